//! A compacted topic as somebody's state: read from its start to its end, then followed, and written through.
//!
//! - `apply` is called for every record in offset order per partition, on one thread; loading and living are the same calls.
//! - [`TopicState::append`] returns when the record is durable *and* applied by our own follower: what was written can be read back.
//! - [`TopicState::catch_up`] asks the brokers for the end offsets, so that a read after it sees everything written before it, by anyone.
//! - Positions count what readers never see as well (markers, aborted records, compacted tails), so a caller never waits for those.
//!
//! Does not decide who may write, and keeps no records itself.

mod follower;

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

/// Without progress for this long, the follower is asked to prove that it is at the end.
const PROOF_AFTER: Duration = Duration::from_millis(200);

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
    shared: Arc<Shared>,
    progress: watch::Receiver<u64>,
    admin: Admin,
    producer: Producer,
    finished: Mutex<Option<oneshot::Receiver<()>>>,
}

/// What the follower's thread and its users share.
struct Shared {
    topic: Arc<str>,
    /// Per partition: everything below is applied.
    positions: Mutex<Vec<i64>>,
    /// Per partition: an end offset that the follower is asked to confirm.
    to_prove: Mutex<Vec<Option<i64>>>,
    failure: Mutex<Option<ClientError>>,
    stop: AtomicBool,
}

impl Shared {
    fn reached(&self, ends: &[i64]) -> bool {
        self.positions.lock().iter().zip(ends).all(|(position, end)| position >= end)
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
        let Some(partitions) = admin.topic_partitions(&settings.topic).await? else {
            return Err(ClientError::UnknownTopic { operation: "load topic" });
        };
        let count = usize::try_from(partitions).unwrap_or_default();
        let topic: Arc<str> = Arc::from(settings.topic.as_str());
        let shared = Arc::new(Shared {
            topic,
            positions: Mutex::new(vec![0; count]),
            to_prove: Mutex::new(vec![None; count]),
            failure: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let (progressed, progress) = watch::channel(0);
        let (finish, finished) = oneshot::channel();
        let state =
            Self { shared, progress, admin, producer, finished: Mutex::new(Some(finished)) };
        // The ends are asked first, so that an end the follower meets later is not before them.
        let ends = state.end_offsets().await?;
        follower::start(client, &settings, state.shared.clone(), apply, progressed, finish)?;
        state.wait_until(&ends).await?;
        Ok(state)
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
        let ends = self.end_offsets().await?;
        self.wait_until(&ends).await
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
        let mut ends = vec![0; self.shared.positions.lock().len()];
        if let Some(slot) = usize::try_from(partition).ok().and_then(|index| ends.get_mut(index)) {
            *slot = end;
        }
        self.wait_until(&ends).await?;
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
        loop {
            progress.borrow_and_update();
            if let Some(err) = self.failure() {
                return Err(err);
            }
            if self.shared.reached(ends) {
                return Ok(());
            }
            match tokio::time::timeout(PROOF_AFTER, progress.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => {
                    return Err(self
                        .failure()
                        .unwrap_or(ClientError::Closed { operation: "follow topic" }));
                }
                Err(_) => self.ask_for_proof(ends),
            }
        }
    }

    /// What lies between the last applied record and the end may be invisible (a marker, a compacted tail):
    /// the follower reads again from its position, and finding the end there is the proof.
    fn ask_for_proof(&self, ends: &[i64]) {
        let positions = self.shared.positions.lock().clone();
        let mut to_prove = self.shared.to_prove.lock();
        for ((asked, position), end) in to_prove.iter_mut().zip(&positions).zip(ends) {
            if position < end {
                *asked = Some(asked.map_or(*end, |asked| asked.max(*end)));
            }
        }
    }
}

impl Drop for TopicState {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}
