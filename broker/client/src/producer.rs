//! An idempotent producer with acks=all: many records in flight, their deliveries counted per batch.
//!
//! - Order per partition is the order of `send`.
//! - The queue is bounded in records and bytes; a full queue is an answer ([`SendError::QueueFull`]) that can be waited on.
//! - A fatal error (fenced, out of sequence) kills the handle: every later send says so, and the owner makes a new one.
//!
//! Does not retry what the library gave up: the owner knows whether repeating is safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::Notify;

use crate::acks::Acks;
use crate::context;
use crate::error::ClientError;
use crate::settings::ClientSettings;

/// How a producer batches and what it may hold.
#[derive(Debug, Clone)]
pub struct ProducerSettings {
    /// How long a batch may wait for more records, in milliseconds. Default 2.
    pub linger_ms: u32,
    /// How long a record may be retried before it fails, in milliseconds. Default 120 000, as Kafka's `delivery.timeout.ms`.
    pub delivery_timeout_ms: u32,
    /// Records that may wait or be in flight. Default 200 000.
    pub queue_records_max: u32,
    /// Bytes that may wait or be in flight, in KiB. Default 64 MiB.
    pub queue_kib_max: u32,
    /// More options by librdkafka's names; they win.
    pub overrides: Vec<(String, String)>,
}

impl Default for ProducerSettings {
    fn default() -> Self {
        Self {
            linger_ms: 2,
            delivery_timeout_ms: 120_000,
            queue_records_max: 200_000,
            queue_kib_max: 64 * 1024,
            overrides: Vec::new(),
        }
    }
}

/// Why a record was not queued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The queue holds as much as it may: await [`Producer::space`] and send again.
    #[error("producer queue is full")]
    QueueFull,
    /// The record, its topic or its partition is refused.
    #[error(transparent)]
    Refused(ClientError),
}

/// A shared handle; clones send through the same queue.
#[derive(Clone)]
pub struct Producer {
    inner: Arc<Inner>,
}

struct Inner {
    /// None only while being dropped.
    library: Option<ThreadedProducer<DeliveryContext>>,
    space: Arc<Space>,
}

#[derive(Default)]
struct Space {
    /// Whether somebody waits, so that a delivery costs one load when nobody does.
    wanted: AtomicBool,
    freed: Notify,
}

pub(crate) struct DeliveryContext {
    space: Arc<Space>,
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        context::log(level, fac, log_message);
    }
    fn error(&self, err: KafkaError, reason: &str) {
        context::error(&err, reason);
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = Arc<Acks>;

    fn delivery(&self, delivery_result: &DeliveryResult<'_>, acks: Arc<Acks>) {
        match delivery_result {
            Ok(message) => acks.delivered(message.offset()),
            Err((err, _)) => acks.failed(ClientError::from_library("produce", err)),
        }
        if self.space.wanted.load(Ordering::Relaxed) {
            self.space.wanted.store(false, Ordering::Relaxed);
            self.space.freed.notify_waiters();
        }
    }
}

impl Producer {
    /// Makes a handle; it connects by itself and needs no broker yet.
    ///
    /// # Errors
    /// [`ClientError::Setting`] when an option is refused.
    pub fn new(
        settings: &ClientSettings,
        producer: &ProducerSettings,
    ) -> Result<Self, ClientError> {
        Self::with_options(settings, producer, &[])
    }

    /// As [`Producer::new`], with options that no setting and no override may change.
    pub(crate) fn with_options(
        settings: &ClientSettings,
        producer: &ProducerSettings,
        options: &[(&str, &str)],
    ) -> Result<Self, ClientError> {
        let (linger, timeout) =
            (producer.linger_ms.to_string(), producer.delivery_timeout_ms.to_string());
        let (records, kib) =
            (producer.queue_records_max.to_string(), producer.queue_kib_max.to_string());
        let mut config = settings.config(
            &[
                ("enable.idempotence", "true"),
                ("acks", "all"),
                ("partitioner", "murmur2_random"),
                ("linger.ms", &linger),
                ("delivery.timeout.ms", &timeout),
                ("queue.buffering.max.messages", &records),
                ("queue.buffering.max.kbytes", &kib),
                ("batch.num.messages", "10000"),
                // A new topic is seen within the fast refresh; a missing one fails the record after this long.
                ("topic.metadata.propagation.max.ms", "10000"),
            ],
            &producer.overrides,
        );
        for (name, value) in options {
            config.set(*name, *value);
        }
        let space = Arc::new(Space::default());
        let library = ThreadedProducer::from_config_and_context(
            &config,
            DeliveryContext { space: space.clone() },
        )
        .map_err(|err| ClientError::from_library("create producer", &err))?;
        Ok(Self { inner: Arc::new(Inner { library: Some(library), space }) })
    }

    pub(crate) fn library(&self) -> Result<&ThreadedProducer<DeliveryContext>, ClientError> {
        self.inner.library.as_ref().ok_or(ClientError::Closed { operation: "produce" })
    }

    /// Queues one record; its delivery is counted in `acks`. Key, value and headers are copied.
    ///
    /// Without a partition the key decides as in Java (murmur2), and no key means any partition.
    /// A timestamp of 0 is taken as now.
    ///
    /// # Errors
    /// [`SendError::QueueFull`] when there is no room, else what is wrong with the record or the handle.
    #[expect(
        clippy::too_many_arguments,
        reason = "one record's parts, borrowed: a struct would be built per record"
    )]
    pub fn send(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
        timestamp_ms: Option<i64>,
        acks: &Arc<Acks>,
    ) -> Result<(), SendError> {
        let library = self.library().map_err(SendError::Refused)?;
        let mut record: BaseRecord<'_, [u8], [u8], Arc<Acks>> =
            BaseRecord::with_opaque_to(topic, acks.clone());
        record.partition = partition;
        record.key = key;
        record.payload = value;
        record.timestamp = timestamp_ms;
        record.headers = native_headers(headers);
        acks.sent();
        let Err((err, _)) = library.send(record) else { return Ok(()) };
        acks.unsent();
        Err(match err {
            KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => SendError::QueueFull,
            KafkaError::MessageProduction(RDKafkaErrorCode::Fatal) => {
                SendError::Refused(self.fatal_error().unwrap_or(ClientError::Fatal {
                    operation: "produce",
                    text: "fatal error".to_owned(),
                }))
            }
            other => SendError::Refused(ClientError::from_library("produce", &other)),
        })
    }

    /// Waits until a delivery has made room in the queue.
    pub async fn space(&self) {
        let space = &self.inner.space;
        let freed = space.freed.notified();
        space.wanted.store(true, Ordering::Relaxed);
        // The last delivery may have come before the wish was noted: look again after a moment.
        tokio::time::timeout(Duration::from_millis(50), freed).await.ok();
    }

    /// Queues one record, waiting for room as long as it takes.
    ///
    /// # Errors
    /// What is wrong with the record or the handle.
    #[expect(clippy::too_many_arguments, reason = "the same parts as `send`")]
    pub async fn send_waiting(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
        timestamp_ms: Option<i64>,
        acks: &Arc<Acks>,
    ) -> Result<(), ClientError> {
        loop {
            match self.send(topic, partition, key, value, headers, timestamp_ms, acks) {
                Ok(()) => return Ok(()),
                Err(SendError::QueueFull) => self.space().await,
                Err(SendError::Refused(err)) => return Err(err),
            }
        }
    }

    /// The error that killed this handle, if one did.
    #[must_use]
    pub fn fatal_error(&self) -> Option<ClientError> {
        let (code, text) = self.inner.library.as_ref()?.client().fatal_error()?;
        let (operation, text) = ("produce", format!("{code}: {text}"));
        Some(match ClientError::from_code(operation, code) {
            ClientError::Fenced { .. } => ClientError::Fenced { operation, text },
            _ => ClientError::Fatal { operation, text },
        })
    }

    /// Waits until every record queued so far is answered, at most `timeout`.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] when records are still on their way.
    pub async fn flush(&self, timeout: Duration) -> Result<(), ClientError> {
        let this = self.clone();
        let flushed = tokio::task::spawn_blocking(move || {
            this.library().map(|library| library.flush(timeout))
        })
        .await
        .map_err(|_| ClientError::Closed { operation: "flush" })??;
        flushed.map_err(|_| ClientError::TimedOut {
            operation: "flush",
            after_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

impl Drop for Inner {
    /// Destroying waits for library threads, up to half a second or more: not on a reactor.
    fn drop(&mut self) {
        let library = self.library.take();
        crate::closing::drop_elsewhere("producer close", library);
    }
}

fn native_headers(headers: &[(&str, Option<&[u8]>)]) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let mut native = OwnedHeaders::new_with_capacity(headers.len());
    for (key, value) in headers {
        native = native.insert(Header { key, value: *value });
    }
    Some(native)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_option_is_refused_by_name() {
        let mut settings = ClientSettings::new("127.0.0.1:1", "t");
        settings.overrides.push(("no.such.option".into(), "1".into()));
        let err = Producer::new(&settings, &ProducerSettings::default()).err().unwrap();
        assert!(
            matches!(&err, ClientError::Setting(text) if text.contains("no.such.option")),
            "{err}"
        );
    }

    #[test]
    fn full_queue_is_an_answer_and_not_counted() {
        let settings = ClientSettings::new("127.0.0.1:1", "t");
        let small = ProducerSettings { queue_records_max: 1, ..ProducerSettings::default() };
        let producer = Producer::new(&settings, &small).unwrap();
        let acks = Arc::new(Acks::new());
        let send = || producer.send("t", Some(0), None, Some(b"x"), &[], None, &acks);
        assert_eq!(send(), Ok(()));
        assert_eq!(send(), Err(SendError::QueueFull));
        assert_eq!(acks.pending_count(), 1);
    }
}
