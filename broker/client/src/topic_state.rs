//! A compacted topic as somebody's state: read from its start to its end, then followed, and written through.
//!
//! - `apply` is called for every record in offset order per partition, on one thread; loading and living are the same calls.
//! - [`TopicState::append`] returns when the record is durable *and* applied by our own follower: what was written can be read back.
//! - [`TopicState::catch_up`] asks the brokers for the end offsets, so that a read after it sees everything written before it, by anyone.
//! - Positions count what readers never see as well (markers, aborted records, compacted tails), so a caller never waits for those.
//! - A reader of committed records is behind while a transaction that began before the end is open: catching up waits for its end.
//!
//! Does not decide who may write, and keeps no records itself.

mod follower;
pub(crate) mod reader;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::acks::Acks;
use crate::admin::Admin;
use crate::error::ClientError;
use crate::producer::Producer;
use crate::record::TopicPartition;
use crate::settings::{ClientSettings, Isolation};

/// Without progress for this long, it is looked whether what is left is invisible; the pauses between such looks double.
const PROOF_AFTER: Duration = Duration::from_millis(100);
/// The longest of those pauses.
const PROOF_AFTER_MAX: Duration = Duration::from_millis(800);

/// Which topic, and how it is read.
#[derive(Debug, Clone)]
pub struct TopicStateSettings {
    /// The topic; it must exist.
    pub topic: String,
    /// Which transactional records are applied.
    pub isolation: Isolation,
    /// More consumer options by librdkafka's names; they win.
    pub overrides: Vec<(String, String)>,
}

impl TopicStateSettings {
    /// Reads committed records of a topic.
    #[must_use]
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), isolation: Isolation::Committed, overrides: Vec::new() }
    }
}

/// A record to apply, borrowed from the library's buffer.
#[derive(Debug, Clone, Copy)]
pub struct TopicRecord<'a> {
    /// The partition, from 0.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// Milliseconds since 1970, when the record has a time.
    pub timestamp_ms: Option<i64>,
    /// The key; records without one mean nothing on a compacted topic.
    pub key: Option<&'a [u8]>,
    /// The value; absent is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// A loaded topic that is followed until this is closed or dropped.
pub struct TopicState {
    client: ClientSettings,
    settings: TopicStateSettings,
    shared: Arc<Shared>,
    progress: watch::Receiver<u64>,
    admin: Admin,
    producer: Producer,
    finished: Mutex<Option<oneshot::Receiver<()>>>,
    /// One proof at a time.
    proving: tokio::sync::Mutex<()>,
}

/// What the follower's thread and its users share.
struct Shared {
    topic: Arc<str>,
    /// Per partition: everything below is applied.
    positions: Mutex<Vec<i64>>,
    /// Per partition: where the last transaction that was reported here ended; its marker lies there or behind.
    transaction_ends: Mutex<Vec<Option<i64>>>,
    failure: Mutex<Option<ClientError>>,
    stop: AtomicBool,
}

impl Shared {
    fn reached(&self, ends: &[i64]) -> bool {
        self.positions.lock().iter().zip(ends).all(|(position, end)| position >= end)
    }

    fn advance(&self, partition: i32, to: i64) {
        let mut positions = self.positions.lock();
        let slot = usize::try_from(partition).ok().and_then(|index| positions.get_mut(index));
        if let Some(position) = slot {
            *position = (*position).max(to);
        }
    }

    /// Per partition, the position, where it is the end of a reported transaction: as its last record was seen, its marker is in
    /// the log, at this position or behind it.
    fn marked(&self) -> Vec<Option<i64>> {
        let positions = self.positions.lock();
        let ends = self.transaction_ends.lock();
        positions.iter().zip(&*ends).map(|(at, end)| end.filter(|end| end == at)).collect()
    }
}

impl TopicState {
    /// Reads the topic from its start to its end as of now, calling `apply` in order, then keeps following.
    ///
    /// # Errors
    /// When the topic does not exist or can't be read; loading can be tried again.
    pub async fn load(
        client: &ClientSettings,
        settings: TopicStateSettings,
        admin: Admin,
        producer: Producer,
        apply: impl FnMut(&TopicRecord<'_>) + Send + 'static,
    ) -> Result<Self, ClientError> {
        let state = Self::follow(client, settings, admin, producer, apply).await?;
        state.catch_up().await?;
        Ok(state)
    }

    /// As [`TopicState::load`], but does not wait until the end is reached: where a transaction may have been left open, whose
    /// end is this caller's to bring about.
    ///
    /// # Errors
    /// When the topic does not exist or can't be read.
    pub async fn follow(
        client: &ClientSettings,
        settings: TopicStateSettings,
        admin: Admin,
        producer: Producer,
        apply: impl FnMut(&TopicRecord<'_>) + Send + 'static,
    ) -> Result<Self, ClientError> {
        let Some(partitions) = admin.topic_partitions(&settings.topic).await? else {
            return Err(ClientError::UnknownTopic { operation: "load topic" });
        };
        let count = usize::try_from(partitions).unwrap_or_default();
        let topic: Arc<str> = Arc::from(settings.topic.as_str());
        let shared = Arc::new(Shared {
            topic,
            positions: Mutex::new(vec![0; count]),
            transaction_ends: Mutex::new(vec![None; count]),
            failure: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let (progressed, progress) = watch::channel(0);
        let (finish, finished) = oneshot::channel();
        follower::start(client, &settings, shared.clone(), apply, progressed, finish)?;
        Ok(Self {
            client: client.clone(),
            settings,
            shared,
            progress,
            admin,
            producer,
            finished: Mutex::new(Some(finished)),
            proving: tokio::sync::Mutex::default(),
        })
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.shared.topic
    }

    /// Waits until everything that was in the topic when this was called is applied.
    ///
    /// # Errors
    /// When the brokers can't be asked or the follower has failed.
    pub async fn catch_up(&self) -> Result<(), ClientError> {
        // Looked up before the question: a marker that the follower has passed by then is in the log when the end is asked.
        let marked = self.shared.marked();
        let mut ends = self.end_offsets().await?;
        for (end, marked) in ends.iter_mut().zip(marked) {
            // Between what is applied and the end there is room for that marker alone.
            if let Some(position) = marked.filter(|position| *end == position + 1) {
                *end = position;
            }
        }
        self.wait_until(&ends).await
    }

    /// Waits until everything below an offset of a partition is applied, e.g. the records of a transaction that is committed.
    ///
    /// # Errors
    /// When the follower has failed.
    pub async fn applied(&self, partition: i32, end: i64) -> Result<(), ClientError> {
        let mut ends = vec![0; self.shared.positions.lock().len()];
        if let Some(slot) = usize::try_from(partition).ok().and_then(|index| ends.get_mut(index)) {
            *slot = end;
        }
        self.wait_until(&ends).await
    }

    /// Reports that a transaction whose last record in a partition lies before `end` is committed, so that
    /// [`TopicState::catch_up`] need not look for its marker.
    pub fn transaction_ended(&self, partition: i32, end: i64) {
        let mut ends = self.shared.transaction_ends.lock();
        if let Some(slot) = usize::try_from(partition).ok().and_then(|index| ends.get_mut(index)) {
            *slot = Some(end);
        }
    }

    /// Writes one record and waits until it is durable and applied here; answers its offset.
    ///
    /// After an error the record may still have been written, or still be on its way: a later successful
    /// append to the same partition settles that, as order is kept.
    ///
    /// # Errors
    /// When the record was not acknowledged, or was and could not be read back.
    pub async fn append(
        &self,
        partition: i32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<i64, ClientError> {
        self.append_all(partition, &[(key, value)]).await
    }

    /// Writes records in order to one partition and waits until all are durable and applied here; answers the last one's offset.
    ///
    /// # Errors
    /// As [`TopicState::append`]; any number of the records may have been written then.
    pub async fn append_all(
        &self,
        partition: i32,
        records: &[(&[u8], Option<&[u8]>)],
    ) -> Result<i64, ClientError> {
        let acks = Arc::new(Acks::new());
        for (key, value) in records {
            self.producer
                .send_waiting(
                    &self.shared.topic,
                    Some(partition),
                    Some(key),
                    *value,
                    &[],
                    None,
                    &acks,
                )
                .await?;
        }
        acks.wait().await?;
        let end = acks.end_offset().unwrap_or_default();
        self.applied(partition, end).await?;
        Ok(end - 1)
    }

    /// Why the follower stopped, if it did. The state is stale from then on: load a new one.
    #[must_use]
    pub fn failure(&self) -> Option<ClientError> {
        self.shared.failure.lock().clone()
    }

    /// Completes when the follower has failed; the state must be loaded anew.
    pub async fn failed(&self) -> ClientError {
        let mut progress = self.progress.clone();
        loop {
            if let Some(err) = self.failure() {
                return err;
            }
            if progress.changed().await.is_err() {
                return self.failure().unwrap_or(ClientError::Closed { operation: "follow topic" });
            }
        }
    }

    /// Stops following; waits at most `timeout` for the thread to end.
    pub async fn close(&self, timeout: Duration) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let finished = self.finished.lock().take();
        if let Some(finished) = finished
            && tokio::time::timeout(timeout, finished).await.is_err()
        {
            tracing::warn!(topic = self.topic(), "follower takes long to stop");
        }
    }

    async fn end_offsets(&self) -> Result<Vec<i64>, ClientError> {
        let count = self.shared.positions.lock().len();
        let asked: Vec<_> = (0..i32::try_from(count).unwrap_or(i32::MAX))
            .map(|partition| TopicPartition { topic: self.shared.topic.clone(), partition })
            .collect();
        let ends = self.admin.end_offsets(&asked).await?;
        Ok(ends.into_iter().map(|end| end.offset).collect())
    }

    async fn wait_until(&self, ends: &[i64]) -> Result<(), ClientError> {
        let mut progress = self.progress.clone();
        let mut patience = PROOF_AFTER;
        loop {
            progress.borrow_and_update();
            if let Some(err) = self.failure() {
                return Err(err);
            }
            if self.shared.reached(ends) {
                return Ok(());
            }
            match tokio::time::timeout(patience, progress.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => {
                    return Err(self
                        .failure()
                        .unwrap_or(ClientError::Closed { operation: "follow topic" }));
                }
                Err(_) => {
                    self.prove(ends).await;
                    patience = (patience * 2).min(PROOF_AFTER_MAX);
                }
            }
        }
    }

    /// What lies between the last applied record and the end may be invisible (a marker, an aborted or compacted tail):
    /// another reader looks, and where it meets the end without a record, the position moves there.
    async fn prove(&self, ends: &[i64]) {
        let _one = self.proving.lock().await;
        let positions = self.shared.positions.lock().clone();
        let behind: Vec<reader::Gap> = (0_i32..)
            .zip(positions.iter().zip(ends))
            .filter(|(_, (position, end))| position < end)
            .map(|(partition, (position, end))| reader::Gap {
                partition,
                from: *position,
                to: *end,
            })
            .collect();
        if behind.is_empty() {
            return;
        }
        match reader::invisible(&self.client, &self.settings, behind).await {
            Ok(invisible) => {
                for gap in invisible {
                    self.shared.advance(gap.partition, gap.to);
                }
            }
            // Whoever waits asks again.
            Err(err) => tracing::debug!(topic = self.topic(), error = %err, "no look at the end"),
        }
    }
}

impl Drop for TopicState {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}
