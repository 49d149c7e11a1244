//! Counts the deliveries of a batch of records, without an allocation per record.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::ClientError;

/// The deliveries of the records that were sent with it. One per batch; not reused after an error.
#[derive(Debug, Default)]
pub struct Acks {
    /// Records sent and not yet answered.
    pending: AtomicUsize,
    /// Records delivered, in all.
    delivered: AtomicUsize,
    /// The highest offset delivered plus one; 0 before the first.
    end_offset: AtomicI64,
    failed: AtomicBool,
    error: Mutex<Option<ClientError>>,
    changed: Notify,
}

impl Acks {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until every record sent so far is answered; the first failure is the answer, and it stays.
    ///
    /// # Errors
    /// The error of the record that failed first.
    pub async fn wait(&self) -> Result<(), ClientError> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.pending.load(Ordering::Acquire) == 0 {
                return self.result();
            }
            changed.await;
        }
    }

    /// The first failure so far, whether or not records are still on their way.
    ///
    /// # Errors
    /// The error of the record that failed first.
    pub fn result(&self) -> Result<(), ClientError> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.error.lock().clone() {
            Some(err) => Err(err),
            None => Ok(()),
        }
    }

    /// Records sent and not yet answered.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// Records delivered.
    #[must_use]
    pub fn delivered_count(&self) -> usize {
        self.delivered.load(Ordering::Acquire)
    }

    /// The highest offset delivered plus one: useful when all records went to one partition. Nothing before the first.
    #[must_use]
    pub fn end_offset(&self) -> Option<i64> {
        Some(self.end_offset.load(Ordering::Acquire)).filter(|end| *end > 0)
    }

    pub(crate) fn sent(&self) {
        self.pending.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes back a `sent` that the library refused to queue.
    pub(crate) fn unsent(&self) {
        self.answered();
    }

    pub(crate) fn delivered(&self, offset: i64) {
        self.end_offset.fetch_max(offset + 1, Ordering::AcqRel);
        self.delivered.fetch_add(1, Ordering::AcqRel);
        self.answered();
    }

    pub(crate) fn failed(&self, err: ClientError) {
        self.error.lock().get_or_insert(err);
        self.failed.store(true, Ordering::Release);
        self.answered();
    }

    fn answered(&self) {
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wait_returns_when_the_last_record_is_answered() {
        let acks = std::sync::Arc::new(Acks::new());
        acks.sent();
        acks.sent();
        let waiting = tokio::spawn({
            let acks = acks.clone();
            async move { acks.wait().await }
        });
        acks.delivered(7);
        acks.delivered(4);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!((acks.end_offset(), acks.delivered_count()), (Some(8), 2));
    }

    #[tokio::test]
    async fn first_failure_is_the_answer_and_stays() {
        let acks = Acks::new();
        let first = ClientError::UnknownTopic { operation: "produce" };
        acks.sent();
        acks.failed(first.clone());
        acks.sent();
        acks.failed(ClientError::Closed { operation: "produce" });
        acks.sent();
        acks.delivered(0);
        assert_eq!(acks.wait().await, Err(first));
    }

    #[tokio::test]
    async fn empty_batch_is_done() {
        assert_eq!(Acks::new().wait().await, Ok(()));
    }
}
