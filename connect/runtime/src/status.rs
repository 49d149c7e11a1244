//! Statuses of connectors and tasks: at once in the worker's own view, and soon in `connect-status`.
//!
//! - The last status of each connector and task is what gets written; those it replaced before they were written never are.
//! - What waits to be written is bounded by what exists: one record per connector, task and used topic.
//! - A status of something deleted is a tombstone, written after every other status of it.

use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{Acks, Producer};
use indexmap::IndexMap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Backoff};
use crate::herder::{Herder, State, Status, StatusId, StatusRecord, TaskId};

/// Where statuses are reported to.
pub(crate) struct StatusBoard {
    herder: Arc<RwLock<Herder>>,
    waiting: Mutex<IndexMap<Vec<u8>, Option<Vec<u8>>>>,
    wake: Notify,
    worker_id: String,
    generation: i32,
}

impl StatusBoard {
    /// A board of that worker over the herder's view.
    pub(crate) fn new(herder: Arc<RwLock<Herder>>, worker_id: String, generation: i32) -> Self {
        let waiting = Mutex::new(IndexMap::new());
        Self { herder, waiting, wake: Notify::new(), worker_id, generation }
    }

    /// Notes a state.
    pub(crate) fn report(
        &self,
        id: StatusId,
        state: State,
        trace: Option<String>,
        version: Option<&str>,
    ) {
        let status = Status {
            state,
            trace,
            worker_id: self.worker_id.clone(),
            generation: self.generation,
            version: version.map(str::to_owned),
        };
        if self.herder.read().status(&id) == Some(&status) {
            return;
        }
        self.put(StatusRecord::Status { id, status: Some(status) });
    }

    /// Forgets the status of something that is gone.
    pub(crate) fn forget(&self, id: StatusId) {
        if self.herder.read().status(&id).is_some() {
            self.put(StatusRecord::Status { id, status: None });
        }
    }

    /// Notes that a task uses a topic.
    pub(crate) fn topic_used(&self, id: &TaskId, topic: &str) {
        if self.herder.read().topics(&id.connector).contains(&topic) {
            return;
        }
        self.put(StatusRecord::Topic {
            connector: id.connector.clone(),
            topic: topic.to_owned(),
            task: id.task,
            discovered_ms: clock::epoch_ms(),
            used: true,
        });
    }

    /// Forgets which topics a connector used.
    pub(crate) fn forget_topics(&self, connector: &str) {
        let topics: Vec<String> =
            self.herder.read().topics(connector).into_iter().map(str::to_owned).collect();
        for topic in topics {
            self.put(StatusRecord::Topic {
                connector: connector.to_owned(),
                topic,
                task: 0,
                discovered_ms: 0,
                used: false,
            });
        }
    }

    fn put(&self, record: StatusRecord) {
        let (key, value) = record.encode();
        // The lock is held over both, so that the view and what is written agree on the order.
        let mut waiting = self.waiting.lock();
        self.herder.write().apply_status(record);
        waiting.insert(key, value);
        drop(waiting);
        self.wake.notify_one();
    }

    /// Writes what is reported until it is told to stop; then what still waits, in a limited time.
    pub(crate) async fn write_loop(
        self: Arc<Self>,
        topic: String,
        producer: Producer,
        stop: CancellationToken,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.wake.notified() => {}
            }
            while let Err(error) = self.write(&topic, &producer).await {
                tracing::warn!(topic, error = %error, "statuses could not be written yet");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(backoff.next()) => {}
                }
            }
            backoff.reset();
        }
        const LAST_WORDS: Duration = Duration::from_secs(3);
        let last = tokio::time::timeout(LAST_WORDS, self.write(&topic, &producer)).await;
        if !matches!(last, Ok(Ok(()))) {
            tracing::warn!(topic, "the last statuses could not be written");
        }
    }

    async fn write(
        &self,
        topic: &str,
        producer: &Producer,
    ) -> Result<(), aquifer_broker_client::ClientError> {
        let taken = std::mem::take(&mut *self.waiting.lock());
        let acks = Arc::new(Acks::new());
        let mut result = Ok(());
        for (key, value) in &taken {
            let sent =
                producer.send_waiting(topic, None, Some(key), value.as_deref(), &[], None, &acks);
            result = sent.await;
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() {
            result = acks.wait().await;
        }
        if result.is_err() {
            let mut waiting = self.waiting.lock();
            for (key, value) in taken {
                waiting.entry(key).or_insert(value);
            }
        }
        result
    }
}
