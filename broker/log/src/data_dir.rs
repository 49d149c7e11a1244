//! A data directory: its lock, identity, checkpoints and the marker of a clean stop. Layout and files are Kafka's.
//!
//! - The marker of a clean stop is gone, durably, before anything else is written.
//! - A recovery point is written only after everything on the file system was synced.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::checkpoint::{parse_offsets, print_offsets};
use crate::file_cache::FileCache;
use crate::fs::FileSystem;
use crate::log::Log;
use crate::recovery::Checkpointed;
use crate::{LogConfig, LogError, MetaProperties, OffsetMap, RecoveryReport};

const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// Up to where logs are compacted; after Apache Kafka's cleaner the partitions in it may have gaps.
const CLEANED: &str = "cleaner-offset-checkpoint";
const CLEAN_STOP: &str = ".kafka_cleanshutdown";

/// How a data directory is opened.
#[derive(Debug, Clone)]
pub struct DataDirSettings {
    /// The directory.
    pub path: PathBuf,
    /// The identity of a directory that has none yet; its `node_id` must be that of an existing one.
    pub identity: MetaProperties,
    /// How many files stay open at most.
    pub open_files_max: usize,
}

/// An open, locked data directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    files: Arc<FileCache>,
    identity: MetaProperties,
    was_clean: bool,
    offsets: Mutex<Offsets>,
    /// Held while a checkpoint file is replaced, so that an older text never comes after a newer one.
    writing: Mutex<()>,
    /// Held for as long as the directory is open.
    _lock: std::fs::File,
}

#[derive(Debug, Default)]
struct Offsets {
    recovery_points: OffsetMap,
    log_starts: OffsetMap,
    high_watermarks: OffsetMap,
    cleaned: OffsetMap,
    /// Whether the recovery points in memory are those in the file.
    saved: bool,
}

impl DataDir {
    /// Locks the directory, making it when it is missing, and reads what the last run left.
    pub fn open(fs: Arc<dyn FileSystem>, settings: DataDirSettings) -> Result<Self, LogError> {
        let DataDirSettings { path, identity, open_files_max } = settings;
        fs.create_directory(&path).map_err(LogError::io("create", &path))?;
        let lock = lock(&path)?;
        let identity = settle_identity(&*fs, &path, identity)?;
        let marker = path.join(CLEAN_STOP);
        let was_clean = match fs.remove_file(&marker) {
            Ok(()) => {
                fs.sync_directory(&path).map_err(LogError::io("sync", &path))?;
                true
            }
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => false,
            Err(err) => return Err(LogError::io("remove", &marker)(err)),
        };
        let offsets = Offsets {
            recovery_points: read_offsets(&*fs, &path.join(RECOVERY_POINTS))?,
            log_starts: read_offsets(&*fs, &path.join(LOG_STARTS))?,
            high_watermarks: read_offsets(&*fs, &path.join(HIGH_WATERMARKS))?,
            cleaned: read_offsets(&*fs, &path.join(CLEANED))?,
            saved: true,
        };
        let files = Arc::new(FileCache::new(fs, open_files_max));
        let dir = Self {
            path,
            files,
            identity,
            was_clean,
            offsets: Mutex::new(offsets),
            writing: Mutex::default(),
            _lock: lock,
        };
        Ok(dir)
    }

    fn fs(&self) -> &Arc<dyn FileSystem> {
        self.files.fs()
    }

    fn offsets(&self) -> MutexGuard<'_, Offsets> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    #[must_use]
    pub fn identity(&self) -> &MetaProperties {
        &self.identity
    }

    /// Whether the last run ended cleanly.
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// Free space, bytes.
    pub fn free_bytes(&self) -> Result<u64, LogError> {
        self.fs().free_bytes(&self.path).map_err(LogError::io("measure", &self.path))
    }

    /// Makes everything on the file system of this directory durable.
    pub fn sync_everything(&self) -> Result<(), LogError> {
        self.fs().sync_everything(&self.path).map_err(LogError::io("sync", &self.path))
    }

    /// Makes the names in a directory durable.
    pub fn sync_directory(&self, path: &Path) -> Result<(), LogError> {
        self.fs().sync_directory(path).map_err(LogError::io("sync", path))
    }

    /// The partitions that have a directory. What is left of deleted ones is removed.
    pub fn partitions(&self) -> Result<Vec<(String, i32)>, LogError> {
        let names = self.fs().list_names(&self.path).map_err(LogError::io("list", &self.path))?;
        let mut partitions = Vec::new();
        for name in names {
            if name.ends_with("-delete") {
                let path = self.path.join(&name);
                self.fs().remove_directory(&path).map_err(LogError::io("remove", &path))?;
            } else if let Some((topic, number)) = name.rsplit_once('-')
                && let Ok(number) = number.parse::<i32>()
                && number >= 0
                && !topic.is_empty()
            {
                partitions.push((topic.to_owned(), number));
            }
        }
        partitions.sort_unstable();
        Ok(partitions)
    }

    /// Start and end of a partition's log as a clean stop left them; `None` when the log has to be opened to know.
    #[must_use]
    pub fn known_range(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        if !self.was_clean {
            return None;
        }
        let offsets = self.offsets();
        let key = (topic.to_owned(), partition);
        let end = offsets.recovery_points.get(&key).copied()?;
        Some((offsets.log_starts.get(&key).copied().unwrap_or(0), end))
    }

    /// Opens a partition's log, recovering what an unclean stop left; without a directory it is empty.
    pub fn open_log(
        &self,
        topic: &str,
        partition: i32,
        topic_id: [u8; 16],
        config: LogConfig,
        now_ms: i64,
    ) -> Result<(Log, RecoveryReport), LogError> {
        let key = (topic.to_owned(), partition);
        let known = {
            let offsets = self.offsets();
            let get = |map: &OffsetMap| map.get(&key).copied().unwrap_or(0);
            Checkpointed {
                log_start: get(&offsets.log_starts),
                recovery_point: get(&offsets.recovery_points),
                has_gaps: offsets.cleaned.contains_key(&key),
            }
        };
        let directory = self.path.join(format!("{topic}-{partition}"));
        Log::open(Arc::clone(&self.files), directory, topic_id, config, known, now_ms)
    }

    /// Notes where a partition's log starts; on disk with the next `save`.
    pub fn set_log_start(&self, topic: &str, partition: i32, offset: i64) {
        let mut offsets = self.offsets();
        if offset > 0 {
            offsets.log_starts.insert((topic.to_owned(), partition), offset);
        }
    }

    /// Makes the noted log starts durable.
    pub fn save_log_starts(&self) -> Result<(), LogError> {
        self.write(LOG_STARTS, true, |offsets| print_offsets(&offsets.log_starts))
    }

    /// Where the last compaction of a partition's log ended.
    #[must_use]
    pub fn cleaned_to(&self, topic: &str, partition: i32) -> Option<i64> {
        self.offsets().cleaned.get(&(topic.to_owned(), partition)).copied()
    }

    /// Notes, durably, that a partition's log is compacted up to `offset`.
    pub fn set_cleaned_to(&self, topic: &str, partition: i32, offset: i64) -> Result<(), LogError> {
        self.offsets().cleaned.insert((topic.to_owned(), partition), offset);
        self.save_cleaned()
    }

    fn save_cleaned(&self) -> Result<(), LogError> {
        self.write(CLEANED, true, |offsets| print_offsets(&offsets.cleaned))
    }

    /// Makes everything written so far durable, then the given recovery points and high watermarks.
    /// The derived state of each log must have been written before.
    pub fn save(
        &self,
        recovery_points: OffsetMap,
        high_watermarks: OffsetMap,
    ) -> Result<(), LogError> {
        self.offsets().high_watermarks.extend(high_watermarks);
        self.write(LOG_STARTS, false, |offsets| print_offsets(&offsets.log_starts))?;
        self.write(HIGH_WATERMARKS, false, |offsets| print_offsets(&offsets.high_watermarks))?;
        self.sync_everything()?;
        {
            let mut offsets = self.offsets();
            if recovery_points
                .iter()
                .any(|(key, point)| offsets.recovery_points.get(key) != Some(point))
            {
                offsets.saved = false;
            }
            offsets.recovery_points.extend(recovery_points);
            if offsets.saved {
                return Ok(());
            }
        }
        self.save_recovery_points()?;
        self.offsets().saved = true;
        Ok(())
    }

    fn save_recovery_points(&self) -> Result<(), LogError> {
        self.write(RECOVERY_POINTS, true, |offsets| print_offsets(&offsets.recovery_points))
    }

    /// Lowers a recovery point at once, because records below it were given up.
    pub fn lower_recovery_point(
        &self,
        topic: &str,
        partition: i32,
        end: i64,
    ) -> Result<(), LogError> {
        match self.offsets().recovery_points.get_mut(&(topic.to_owned(), partition)) {
            Some(point) if *point > end => *point = end,
            _ => return Ok(()),
        }
        self.save_recovery_points()
    }

    fn write(
        &self,
        name: &str,
        durable: bool,
        print: impl FnOnce(&Offsets) -> String,
    ) -> Result<(), LogError> {
        let _guard = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = print(&self.offsets());
        let path = self.path.join(name);
        self.fs()
            .replace_lazily(&path, text.as_bytes(), durable)
            .map_err(LogError::io("write", &path))
    }

    /// Takes a partition out: its directory is renamed and its offsets are forgotten.
    /// Returns the directory to remove, if there was one.
    pub fn delete_partition(
        &self,
        topic: &str,
        partition: i32,
        unique: &str,
    ) -> Result<Option<PathBuf>, LogError> {
        let key = (topic.to_owned(), partition);
        let (known, was_cleaned) = {
            let mut offsets = self.offsets();
            offsets.log_starts.remove(&key);
            offsets.high_watermarks.remove(&key);
            let was_cleaned = offsets.cleaned.remove(&key).is_some();
            (offsets.recovery_points.remove(&key).is_some(), was_cleaned)
        };
        let from = self.path.join(format!("{topic}-{partition}"));
        // A name may have 255 bytes; the topic's name is cut as Kafka does.
        let suffix = format!("-{partition}.{unique}-delete");
        let kept: String = topic.chars().take(255_usize.saturating_sub(suffix.len())).collect();
        let to = self.path.join(format!("{kept}{suffix}"));
        if known {
            // A topic of this name that is made later must not inherit the offset.
            self.save_recovery_points()?;
            self.save_log_starts()?;
        }
        if was_cleaned {
            self.save_cleaned()?;
        }
        match self.fs().rename(&from, &to) {
            Ok(()) => {
                self.fs().sync_directory(&self.path).map_err(LogError::io("sync", &self.path))?;
                Ok(Some(to))
            }
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(err) => Err(LogError::io("rename", &from)(err)),
        }
    }

    /// Removes a directory that `delete_partition` gave.
    pub fn remove_directory(&self, path: &Path) -> Result<(), LogError> {
        self.fs().remove_directory(path).map_err(LogError::io("remove", path))
    }

    /// Marks the stop as clean. The last act; `save` with every log's end comes before it.
    pub fn mark_clean(&self) -> Result<(), LogError> {
        self.write(CLEAN_STOP, true, |_| "{\"version\":0,\"brokerEpoch\":-1}".to_owned())
    }
}

fn lock(path: &Path) -> Result<std::fs::File, LogError> {
    let lock_path = path.join(".lock");
    // The lock is between processes of this machine, so it is always a real file.
    let open = std::fs::File::options().create(true).truncate(false).write(true).open(&lock_path);
    let file = open.map_err(LogError::io("open", &lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(LogError::InUse(path.to_path_buf())),
        Err(std::fs::TryLockError::Error(err)) => Err(LogError::io("lock", &lock_path)(err)),
    }
}

fn settle_identity(
    fs: &dyn FileSystem,
    path: &Path,
    fresh: MetaProperties,
) -> Result<MetaProperties, LogError> {
    let file = path.join("meta.properties");
    match fs.read(&file) {
        Ok(contents) => {
            let Some(known) = MetaProperties::parse(&contents) else {
                let reason = "expected cluster.id, node.id, directory.id and version=1".to_owned();
                return Err(LogError::BadFile { path: file, reason });
            };
            if known.node_id != fresh.node_id {
                let reason =
                    format!("it belongs to node.id={}, not {}", known.node_id, fresh.node_id);
                return Err(LogError::BadFile { path: file, reason });
            }
            Ok(known)
        }
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            fs.replace(&file, fresh.print().as_bytes()).map_err(LogError::io("write", &file))?;
            Ok(fresh)
        }
        Err(err) => Err(LogError::io("read", &file)(err)),
    }
}

/// A checkpoint that is missing or torn counts as empty: more is scanned then.
fn read_offsets(fs: &dyn FileSystem, path: &Path) -> Result<OffsetMap, LogError> {
    match fs.read(path) {
        Ok(contents) => Ok(parse_offsets(&contents).unwrap_or_else(|| {
            tracing::warn!(path = %path.display(), "checkpoint cannot be read, going on without it");
            OffsetMap::new()
        })),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(OffsetMap::new()),
        Err(err) => Err(LogError::io("read", path)(err)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::RealFileSystem;
    use crate::test_support::{plain, stamped};

    fn open(path: &Path, node_id: i32) -> Result<DataDir, LogError> {
        let identity =
            MetaProperties { cluster_id: "c".into(), node_id, directory_id: format!("d{node_id}") };
        let settings = DataDirSettings { path: path.to_path_buf(), identity, open_files_max: 8 };
        DataDir::open(Arc::new(RealFileSystem), settings)
    }

    #[test]
    fn a_clean_stop_is_believed_once() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path();
        let dir = open(path, 1).unwrap();
        assert!(!dir.was_clean());
        let (mut log, _) = dir.open_log("t", 0, [1; 16], LogConfig::default(), 0).unwrap();
        log.stage(stamped(plain(3)), 0, 0).unwrap();
        log.write_staged(0).unwrap();
        let ends = OffsetMap::from([(("t".to_owned(), 0), log.write_derived().unwrap())]);
        dir.save(ends.clone(), ends).unwrap();
        dir.mark_clean().unwrap();
        assert!(matches!(open(path, 1), Err(LogError::InUse(_))));
        drop((log, dir));

        let dir = open(path, 1).unwrap();
        assert!(dir.was_clean());
        assert_eq!(dir.known_range("t", 0), Some((0, 3)));
        assert_eq!(dir.partitions().unwrap(), [("t".to_owned(), 0)]);
        drop(dir);
        let dir = open(path, 1).unwrap();
        assert_eq!((dir.was_clean(), dir.known_range("t", 0)), (false, None));
        let directory = dir.delete_partition("t", 0, "x").unwrap().unwrap();
        assert_eq!((directory.exists(), dir.partitions().unwrap()), (true, vec![]));
        assert!(!directory.exists());
    }

    #[test]
    fn a_directory_of_another_node_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        drop(open(temporary.path(), 1).unwrap());
        let refused = open(temporary.path(), 2).unwrap_err();
        assert!(refused.to_string().contains("node.id=1, not 2"), "{refused}");
    }

    #[test]
    fn where_compaction_ended_is_kept_as_kafka_keeps_it() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = open(temporary.path(), 1).unwrap();
        assert_eq!(dir.cleaned_to("t", 0), None);
        dir.set_cleaned_to("t", 0, 7).unwrap();
        dir.set_cleaned_to("u", 1, 9).unwrap();
        drop(dir);
        let dir = open(temporary.path(), 1).unwrap();
        assert_eq!((dir.cleaned_to("t", 0), dir.cleaned_to("u", 1)), (Some(7), Some(9)));
        // A topic of this name that is made later is not compacted yet.
        assert_eq!(dir.delete_partition("t", 0, "x").unwrap(), None);
        let text = std::fs::read_to_string(temporary.path().join(CLEANED)).unwrap();
        assert_eq!(text, "0\n1\nu 1 9\n");
    }

    #[test]
    fn gaps_are_kept_where_kafka_compacted_and_cut_elsewhere() {
        for (compacted, end) in [(true, 12), (false, 3)] {
            let temporary = tempfile::tempdir().unwrap();
            let dir = open(temporary.path(), 1).unwrap();
            let config = LogConfig { segment_bytes: 1, ..LogConfig::default() };
            let (mut log, _) = dir.open_log("t", 0, [1; 16], config.clone(), 0).unwrap();
            for _ in 0..4 {
                log.stage(stamped(plain(3)), 0, 0).unwrap();
                log.write_staged(0).unwrap();
            }
            drop((log, dir));
            if compacted {
                std::fs::write(temporary.path().join(CLEANED), "0\n1\nt 0 6\n").unwrap();
            }
            std::fs::remove_file(temporary.path().join("t-0/00000000000000000003.log")).unwrap();
            let dir = open(temporary.path(), 1).unwrap();
            let (log, report) = dir.open_log("t", 0, [1; 16], config, 0).unwrap();
            assert_eq!((log.log_end(), report.truncated.is_none()), (end, compacted));
        }
    }
}
