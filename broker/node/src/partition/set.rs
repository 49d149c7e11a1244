//! All partitions of this broker, the data directory under them, and the thread that keeps it.
//!
//! - After an unclean stop every log is opened, recovered and synced before anything is served.
//! - After a clean stop a log is opened when something needs it; its offsets are known from the checkpoints.
//! - The keeper moves recovery points, applies retention and watches the free space.

mod background;
mod cleaner;
mod keeper;
mod recovery;
mod scrub;
mod shared;
mod throttle;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use aquifer_broker_log::fs::RealFileSystem;
use aquifer_broker_log::{
    DataDir, DataDirSettings, Log, LogError, MetaProperties, OffsetMap, print_uuid,
};
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::{FlushMode, Partition, PartitionConfig, PartitionError, Slot, TopicPartition};
use crate::clock::Clock;
use crate::writer::{Lane, Writers};

pub(crate) use self::cleaner::CleanerSettings;
pub(super) use self::shared::Shared;

/// Segment and index files that stay open; the rest of the usual limit of 1024 is for connections.
const OPEN_FILES_MAX: usize = 512;

/// How to open the data directory.
#[derive(Debug, Clone)]
pub(crate) struct PartitionsSettings {
    /// `node.id`, which the directory must agree with.
    pub(crate) node_id: i32,
    /// `log.dir`.
    pub(crate) data_dir: PathBuf,
    /// `log.flush.mode`.
    pub(crate) flush_mode: FlushMode,
    /// Threads that append; partitions are spread over them.
    pub(crate) writer_threads: usize,
    /// Bytes that may wait to be appended, over all partitions.
    pub(crate) queue_bytes_max: usize,
    /// Bytes of recent appends kept in memory, over all partitions.
    pub(crate) tail_cache_bytes_max: usize,
    /// Below this much free space produce is refused, bytes.
    pub(crate) free_bytes_min: u64,
    /// `log.retention.check.interval.ms`.
    pub(crate) retention_check_ms: i64,
    /// `log.cleaner.*`.
    pub(crate) cleaner: CleanerSettings,
    /// The time.
    pub(crate) clock: Clock,
}

/// What a partition is made of.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) id: TopicPartition,
    pub(super) topic_id: [u8; 16],
    pub(super) leader_epoch: i32,
    pub(super) config: PartitionConfig,
    pub(super) lane: Lane,
    pub(super) log: Option<Log>,
    /// Log start and end, where the log is not open.
    pub(super) range: (i64, i64),
}

impl Made {
    pub(super) fn into_partition(self, shared: &Arc<Shared>) -> Arc<Partition> {
        let Self { id, topic_id, leader_epoch, config, lane, log, range } = self;
        let (log_start, log_end) =
            log.as_ref().map_or(range, |log| (log.log_start(), log.log_end()));
        let own_epoch = log.as_ref().and_then(Log::latest_epoch).unwrap_or(-1);
        Arc::new_cyclic(|me: &Weak<Partition>| Partition {
            id,
            topic_id,
            me: Weak::clone(me),
            shared: Arc::clone(shared),
            lane,
            config: ArcSwap::from_pointee(config),
            leader_epoch: AtomicI32::new(leader_epoch.max(own_epoch)),
            log_start: AtomicI64::new(log_start),
            high_watermark: AtomicI64::new(log_end),
            log_end: AtomicI64::new(log_end),
            transactions: ArcSwapOption::new(
                log.as_ref().map(|log| Arc::clone(log.transactions())),
            ),
            gone: AtomicBool::new(false),
            slot: Mutex::new(log.map_or(Slot::Closed, |log| Slot::Open(Box::new(log)))),
            tail: Mutex::default(),
            queue: Mutex::default(),
            sync_scheduled: AtomicBool::new(false),
            waiting: Mutex::default(),
        })
    }
}

type ByTopic = HashMap<Arc<str>, HashMap<i32, Arc<Partition>>>;

/// All partitions of this broker, and the data directory under them.
#[derive(Debug)]
pub(crate) struct Partitions {
    pub(super) shared: Arc<Shared>,
    writers: Writers,
    on_disk: HashSet<TopicPartition>,
    /// Logs that an unclean stop made us open, until somebody asks for their partitions.
    recovered: Mutex<HashMap<TopicPartition, Log>>,
    open: RwLock<ByTopic>,
    closed: AtomicBool,
    fatal: watch::Sender<Option<String>>,
}

impl Partitions {
    /// Locks the data directory, recovers what an unclean stop left, and starts the writer threads.
    pub(crate) async fn open(settings: PartitionsSettings) -> Result<Arc<Self>, PartitionError> {
        tokio::task::spawn_blocking(move || Self::open_blocking(settings))
            .await
            .unwrap_or_else(|err| Err(PartitionError::Storage(err.to_string())))
    }

    fn open_blocking(settings: PartitionsSettings) -> Result<Arc<Self>, PartitionError> {
        let identity = MetaProperties {
            cluster_id: print_uuid(uuid::Uuid::new_v4().as_bytes()),
            node_id: settings.node_id,
            directory_id: print_uuid(uuid::Uuid::new_v4().as_bytes()),
        };
        let data_dir = DataDir::open(
            Arc::new(RealFileSystem),
            DataDirSettings {
                path: settings.data_dir.clone(),
                identity,
                open_files_max: OPEN_FILES_MAX,
            },
        )?;
        let data_dir = Arc::new(data_dir);
        let named =
            |(topic, partition): (String, i32)| TopicPartition { topic: topic.into(), partition };
        let on_disk: Vec<TopicPartition> = data_dir.partitions()?.into_iter().map(named).collect();
        let recovered = if data_dir.was_clean() {
            HashMap::new()
        } else {
            recovery::recover(&data_dir, &on_disk, &settings.clock)?
        };
        let (fatal, _) = watch::channel(None);
        let writers =
            Writers::start(settings.writer_threads, &data_dir, &fatal).map_err(no_thread)?;
        let retention_check_ms = settings.retention_check_ms;
        let shared = Arc::new(Shared::new(data_dir, settings));
        let partitions = Arc::new(Self {
            shared,
            writers,
            on_disk: on_disk.into_iter().collect(),
            recovered: Mutex::new(recovered),
            open: RwLock::default(),
            closed: AtomicBool::new(false),
            fatal,
        });
        keeper::start(&partitions, retention_check_ms).map_err(no_thread)?;
        cleaner::start(&partitions).map_err(no_thread)?;
        scrub::start(&partitions).map_err(no_thread)?;
        Ok(partitions)
    }

    /// Whether the last stop was clean. After an unclean one the leader epochs have to be raised.
    pub(crate) fn was_clean(&self) -> bool {
        self.shared.data_dir.was_clean()
    }

    /// `cluster.id` from meta.properties, made at the first start.
    pub(crate) fn cluster_id(&self) -> &str {
        &self.shared.data_dir.identity().cluster_id
    }

    /// The partitions that had a directory when the broker started.
    pub(crate) fn on_disk(&self) -> Vec<TopicPartition> {
        let mut ids: Vec<_> = self.on_disk.iter().cloned().collect();
        ids.sort_unstable();
        ids
    }

    /// A partition that was given out by `get_or_create` and not deleted.
    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        self.open.read().get(topic)?.get(&partition).cloned()
    }

    /// Every partition that was given out and not deleted.
    fn all(&self) -> Vec<Arc<Partition>> {
        self.open.read().values().flat_map(|partitions| partitions.values().cloned()).collect()
    }

    /// The partition, opened or new. `leader_epoch` is raised to the log's own when that is larger.
    pub(crate) fn get_or_create(
        &self,
        id: TopicPartition,
        topic_id: [u8; 16],
        leader_epoch: i32,
        config: PartitionConfig,
    ) -> Result<Arc<Partition>, PartitionError> {
        let mut open = self.open.write();
        if self.closed.load(Ordering::Acquire) {
            return Err(PartitionError::Gone(format!("{}-{}", id.topic, id.partition)));
        }
        if let Some(known) =
            open.get(&id.topic).and_then(|partitions| partitions.get(&id.partition))
        {
            known.leader_epoch.fetch_max(leader_epoch, Ordering::AcqRel);
            return Ok(Arc::clone(known));
        }
        let recovered = self.recovered.lock().remove(&id);
        let was_on_disk = self.on_disk.contains(&id);
        let known_range = was_on_disk
            .then(|| self.shared.data_dir.known_range(&id.topic, id.partition))
            .flatten();
        let must_open = recovered.is_none() && known_range.is_none() && was_on_disk;
        let log = match recovered {
            Some(mut log) => {
                log.update_config(config.log.clone());
                Some(log)
            }
            None if must_open => {
                let now_ms = self.shared.clock.now_ms();
                Some(self.shared.open_log(&id, topic_id, config.log.clone(), now_ms)?)
            }
            None => None,
        };
        let range = known_range.unwrap_or((0, 0));
        let made = Made {
            id: id.clone(),
            topic_id,
            leader_epoch,
            config,
            lane: self.writers.lane(),
            log,
            range,
        };
        let partition = made.into_partition(&self.shared);
        open.entry(Arc::clone(&id.topic)).or_default().insert(id.partition, Arc::clone(&partition));
        Ok(partition)
    }

    /// Stops the partition and removes its directory: it is renamed durably, and unlinked before this completes.
    pub(crate) async fn delete(&self, topic: &str, partition: i32) -> Result<(), PartitionError> {
        let open = {
            let mut open = self.open.write();
            let found = open.get_mut(topic).and_then(|partitions| partitions.remove(&partition));
            if open.get(topic).is_some_and(HashMap::is_empty) {
                open.remove(topic);
            }
            found
        };
        self.recovered.lock().remove(&TopicPartition { topic: topic.into(), partition });
        let (topic, shared) = (topic.to_owned(), Arc::clone(&self.shared));
        let unlink = move || {
            if let Some(open) = open {
                open.close();
                // Waits for a write that is under way; none begins after it.
                *open.slot.lock() = Slot::Closed;
                shared.cleaner.wait_until_free(&open.id);
            }
            let _guard = shared.checkpointing.lock();
            let unique = uuid::Uuid::new_v4().simple().to_string();
            if let Some(directory) = shared.data_dir.delete_partition(&topic, partition, &unique)? {
                shared.data_dir.remove_directory(&directory)?;
            }
            Ok(())
        };
        tokio::task::spawn_blocking(unlink)
            .await
            .unwrap_or_else(|err| Err(PartitionError::Storage(err.to_string())))
    }

    /// Completes when an invariant broke and the process should stop.
    pub(crate) async fn fatal(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        let reason = match fatal.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => None,
        };
        match reason {
            Some(reason) => reason,
            // The sender lives in `self`, so that this is not reached.
            None => std::future::pending().await,
        }
    }

    /// Syncs and closes everything and marks the stop as clean.
    pub(crate) async fn close(self: &Arc<Self>) -> Result<(), PartitionError> {
        let partitions = Arc::clone(self);
        tokio::task::spawn_blocking(move || partitions.close_blocking())
            .await
            .unwrap_or_else(|err| Err(PartitionError::Storage(err.to_string())))
    }

    fn close_blocking(&self) -> Result<(), PartitionError> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.shared.room.close();
        self.shared.stop_threads();
        self.writers.stop();
        let (mut ends, mut high_watermarks) = (OffsetMap::new(), OffsetMap::new());
        let mut note = |id: &TopicPartition, log: &mut Log| -> Result<(), LogError> {
            if log.is_on_disk() {
                let key = (id.topic.to_string(), id.partition);
                ends.insert(key.clone(), log.write_derived()?);
                high_watermarks.insert(key, log.log_end());
                self.shared.data_dir.set_log_start(&id.topic, id.partition, log.log_start());
            }
            Ok(())
        };
        for partition in self.all() {
            partition.close();
            if let Slot::Open(log) = &mut *partition.slot.lock() {
                note(&partition.id, log)?;
            }
        }
        for (id, log) in &mut *self.recovered.lock() {
            note(id, log)?;
        }
        self.shared.data_dir.save(ends, high_watermarks)?;
        self.shared.data_dir.mark_clean()?;
        Ok(())
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        // Without `close` the stop counts as unclean, but no thread is left behind.
        self.shared.stop_threads();
        self.writers.stop();
    }
}

fn no_thread(err: std::io::Error) -> PartitionError {
    PartitionError::Storage(format!("no thread: {err}"))
}
