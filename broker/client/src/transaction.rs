//! A producer whose records count all together or not at all.
//!
//! - Initialising it fences every older producer with the same `transactional.id`: their open transaction is aborted, and no call
//!   of theirs takes effect any more.
//! - One transaction at a time. Records are sent with [`TransactionalProducer::records`], between `begin` and `commit`.
//! - What may be done after an error is its variant: [`ClientError::Abortable`] asks for `abort`; after [`ClientError::Fenced`],
//!   [`ClientError::Fatal`] and [`ClientError::TimedOut`] the outcome of a commit is unknown, until another producer is
//!   initialised with the same id and the topic is read again.
//! - The library's calls block, and so run on the blocking pool, in slices: a dropped future leaves one behind for a few seconds at most.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{Producer as _, ThreadedProducer};

use crate::clock;
use crate::error::ClientError;
use crate::producer::{DeliveryContext, Producer, ProducerSettings};
use crate::settings::ClientSettings;

/// How long one call into the library may block.
const SLICE_MAX: Duration = Duration::from_secs(2);
/// How long one wait for deliveries may last before they are counted again.
const DELIVERY_POLL: Duration = Duration::from_millis(1);
/// A pause before a call is repeated, should it fail without having waited.
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Who a transactional producer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionSettings {
    /// The `transactional.id`: of all producers with it, the one initialised last works.
    pub transactional_id: String,
    /// After this long without an end, the coordinator aborts a transaction, in milliseconds.
    pub timeout_ms: u32,
}

/// A producer of transactions; clones are the same producer.
#[derive(Clone)]
pub struct TransactionalProducer {
    producer: Producer,
    id: Arc<str>,
}

impl TransactionalProducer {
    /// Makes a handle; it must be initialised before its first transaction.
    ///
    /// # Errors
    /// [`ClientError::Setting`] when an option is refused.
    pub fn new(
        client: &ClientSettings,
        producer: &ProducerSettings,
        transactions: &TransactionSettings,
    ) -> Result<Self, ClientError> {
        let timeout = transactions.timeout_ms.to_string();
        let options = [
            ("transactional.id", transactions.transactional_id.as_str()),
            ("transaction.timeout.ms", timeout.as_str()),
            ("enable.idempotence", "true"),
        ];
        // The library refuses deliveries that would outlive their transaction.
        let producer = ProducerSettings {
            delivery_timeout_ms: producer.delivery_timeout_ms.min(transactions.timeout_ms),
            ..producer.clone()
        };
        let id = Arc::from(transactions.transactional_id.as_str());
        Ok(Self { producer: Producer::with_options(client, &producer, &options)?, id })
    }

    /// The `transactional.id`.
    #[must_use]
    pub fn transactional_id(&self) -> &str {
        &self.id
    }

    /// Where the records of the transaction that has begun are sent.
    #[must_use]
    pub fn records(&self) -> &Producer {
        &self.producer
    }

    /// Fences older producers with this id and completes what they left open; waits for brokers that are away.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] when that took longer than `timeout`; it may be called again then.
    pub async fn init(&self, timeout: Duration) -> Result<(), ClientError> {
        self.patiently("initialise transactions", timeout, |library, slice| {
            // A new handle that knows no broker yet asks for its coordinator half a second late.
            let until = clock::now() + slice;
            library.client().fetch_cluster_id(slice);
            library.init_transactions(until.saturating_duration_since(clock::now()))
        })
        .await
    }

    /// Begins a transaction; nothing is sent for that.
    ///
    /// # Errors
    /// When one is open already, or the handle is dead.
    pub async fn begin(&self) -> Result<(), ClientError> {
        self.patiently("begin transaction", SLICE_MAX, |library, _| library.begin_transaction())
            .await
    }

    /// Sends what is queued, waits for its acknowledgement, and makes the transaction's records count.
    ///
    /// # Errors
    /// See the module's words on what each variant means.
    pub async fn commit(&self, timeout: Duration) -> Result<(), ClientError> {
        self.patiently("commit transaction", timeout, |library, slice| {
            // The binding's flush sleeps for a tenth of a second when it finds a record whose delivery another thread is
            // just reporting: here that takes a moment.
            let until = clock::now() + slice;
            while library.in_flight_count() > 0 && clock::now() < until {
                library.poll(DELIVERY_POLL);
            }
            library.commit_transaction(until.saturating_duration_since(clock::now()))
        })
        .await
    }

    /// Makes the transaction's records count for nothing; what is queued is not sent any more.
    ///
    /// # Errors
    /// When the brokers did not answer in time, or the handle is dead.
    pub async fn abort(&self, timeout: Duration) -> Result<(), ClientError> {
        self.patiently("abort transaction", timeout, |library, slice| {
            library.abort_transaction(slice)
        })
        .await
    }

    /// Repeats a call that may be repeated until it is over or the time is.
    async fn patiently(
        &self,
        operation: &'static str,
        timeout: Duration,
        call: impl Fn(&ThreadedProducer<DeliveryContext>, Duration) -> Result<(), KafkaError>
        + Send
        + Copy
        + 'static,
    ) -> Result<(), ClientError> {
        let deadline = clock::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(clock::now());
            let producer = self.producer.clone();
            let called = tokio::task::spawn_blocking(move || {
                let library = producer.library()?;
                call(library, left.min(SLICE_MAX)).map_err(|err| sorted(operation, &producer, &err))
            });
            let result = called.await.map_err(|_| ClientError::Closed { operation })?;
            match result {
                Err(err) if err.is_retriable() => {
                    if clock::now() >= deadline {
                        let after_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                        return Err(ClientError::TimedOut { operation, after_ms });
                    }
                    tracing::debug!(id = %self.id, error = %err, "transaction call is repeated");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                done => return done,
            }
        }
    }
}

/// A dead handle says only that it is dead; why, it tells when asked.
fn sorted(operation: &'static str, producer: &Producer, err: &KafkaError) -> ClientError {
    let sorted = ClientError::from_library(operation, err);
    if !sorted.is_fatal() {
        return sorted;
    }
    match producer.fatal_error() {
        Some(ClientError::Fenced { text, .. }) => ClientError::Fenced { operation, text },
        Some(ClientError::Fatal { text, .. }) => ClientError::Fatal { operation, text },
        Some(_) | None => sorted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer(overrides: &[(&str, &str)]) -> Result<TransactionalProducer, ClientError> {
        let client = ClientSettings::new("127.0.0.1:1", "t");
        let own = ProducerSettings {
            overrides: overrides
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..ProducerSettings::default()
        };
        let settings = TransactionSettings { transactional_id: "x".into(), timeout_ms: 10_000 };
        TransactionalProducer::new(&client, &own, &settings)
    }

    #[tokio::test]
    async fn initialising_without_brokers_ends_after_its_time_and_may_be_repeated() {
        let producer = producer(&[]).unwrap();
        for _ in 0..2 {
            let err = producer.init(Duration::from_millis(50)).await.unwrap_err();
            assert!(matches!(err, ClientError::TimedOut { .. }), "{err}");
        }
    }

    #[tokio::test]
    async fn transaction_can_not_begin_before_the_producer_is_initialised() {
        let err = producer(&[]).unwrap().begin().await.unwrap_err();
        assert!(matches!(err, ClientError::Refused { .. }), "{err}");
    }

    #[test]
    fn what_makes_it_transactional_can_not_be_overridden() {
        let made = producer(&[("transactional.id", "other"), ("enable.idempotence", "false")]);
        assert_eq!(made.map(|made| made.transactional_id().to_owned()), Ok("x".to_owned()));
    }
}
