//! The thread that reads a topic and applies its records.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::{oneshot, watch};

use super::{Shared, TopicRecord, TopicStateSettings};
use crate::context::LogContext;
use crate::error::ClientError;
use crate::settings::ClientSettings;

/// How long one poll may wait: bounds how late a request to stop is seen.
const POLL: Duration = Duration::from_millis(100);
/// How long a new handle may wait for the topic's leaders before it goes on without knowing them.
const INTRODUCTION_MAX: Duration = Duration::from_secs(2);
/// Waiters are told of progress at least this often while there is more to read.
const RECORDS_PER_NOTICE: u32 = 500;

struct Follower<F> {
    consumer: BaseConsumer<LogContext>,
    shared: Arc<Shared>,
    apply: F,
    progressed: watch::Sender<u64>,
    unannounced: u32,
}

/// Starts the thread; it ends when told to, or when the topic can't be followed any more.
pub(super) fn start(
    client: &ClientSettings,
    settings: &TopicStateSettings,
    shared: Arc<Shared>,
    apply: impl FnMut(&TopicRecord<'_>) + Send + 'static,
    progressed: watch::Sender<u64>,
    finish: oneshot::Sender<()>,
) -> Result<(), ClientError> {
    // The library assigns only to handles with a group; nothing is ever joined or committed under this name.
    let group = format!("aquifer-follower-{}", settings.topic);
    let config = client.config(
        &[
            ("group.id", &group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", settings.isolation.name()),
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
            ("queued.max.messages.kbytes", "8192"),
            // A topic that was deleted is reported after this long, not after half a minute.
            ("topic.metadata.propagation.max.ms", "5000"),
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.error.backoff.ms", "100"),
        ],
        &settings.overrides,
    );
    let failed = |err: &KafkaError| ClientError::from_library("follow topic", err);
    let consumer: BaseConsumer<LogContext> =
        BaseConsumer::from_config_and_context(&config, LogContext).map_err(|err| failed(&err))?;
    let mut follower = Follower { consumer, shared, apply, progressed, unannounced: 0 };
    std::thread::Builder::new()
        .name(format!("follow {}", settings.topic))
        .spawn(move || {
            follower.run();
            drop(follower);
            finish.send(()).ok();
        })
        .map_err(|err| ClientError::Refused {
            operation: "follow topic",
            text: err.to_string(),
            code: -1,
        })?;
    Ok(())
}

impl<F: FnMut(&TopicRecord<'_>)> Follower<F> {
    fn run(&mut self) {
        if let Err(err) = self.assign() {
            self.fail(ClientError::from_library("follow topic", &err));
            return;
        }
        while !self.shared.stop.load(Ordering::Relaxed) {
            let wait = if self.unannounced > 0 { Duration::ZERO } else { POLL };
            match self.step(wait) {
                Ok(()) => {}
                Err(err) => {
                    self.fail(err);
                    return;
                }
            }
        }
    }

    fn assign(&self) -> Result<(), KafkaError> {
        introduce(&self.consumer, &self.shared.topic);
        let count = self.shared.positions.lock().len();
        let mut list = TopicPartitionList::with_capacity(count);
        for partition in 0..i32::try_from(count).unwrap_or(i32::MAX) {
            list.add_partition_offset(&self.shared.topic, partition, Offset::Beginning)?;
        }
        self.consumer.assign(&list)
    }

    fn fail(&mut self, err: ClientError) {
        tracing::warn!(topic = %self.shared.topic, error = %err, "topic can't be followed");
        *self.shared.failure.lock() = Some(err);
        self.announce();
    }

    fn step(&mut self, wait: Duration) -> Result<(), ClientError> {
        match self.consumer.poll(wait) {
            Some(Ok(message)) => {
                let record = TopicRecord {
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp_ms: message.timestamp().to_millis(),
                    key: message.key(),
                    value: message.payload(),
                };
                (self.apply)(&record);
                self.shared.advance(record.partition, record.offset + 1);
                self.unannounced += 1;
                if self.unannounced >= RECORDS_PER_NOTICE {
                    self.announce();
                }
                Ok(())
            }
            Some(Err(err)) => lasting(&err),
            None => {
                if self.unannounced > 0 {
                    self.announce();
                }
                Ok(())
            }
        }
    }

    fn announce(&mut self) {
        self.unannounced = 0;
        self.progressed.send_modify(|count| *count += 1);
    }
}

/// Lets a new handle learn the topic's leaders: without, the library looks up where a partition begins half a second late.
pub(super) fn introduce(consumer: &BaseConsumer<LogContext>, topic: &str) {
    if let Err(err) = consumer.fetch_metadata(Some(topic), INTRODUCTION_MAX) {
        tracing::debug!(topic, error = %err, "the topic's leaders are not known yet");
    }
}

/// Errors that reading again does not heal: the topic is gone or forbidden, or its start has moved past us.
fn lasting(err: &KafkaError) -> Result<(), ClientError> {
    let sorted = ClientError::from_library("follow topic", err);
    let code = match err {
        KafkaError::MessageConsumption(code) | KafkaError::MessageConsumptionFatal(code) => *code,
        _ => RDKafkaErrorCode::Unknown,
    };
    let lasting = sorted.is_fatal()
        || matches!(sorted, ClientError::UnknownTopic { .. })
        || matches!(
            code,
            RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::TopicAuthorizationFailed
        );
    if lasting {
        return Err(sorted);
    }
    tracing::debug!(error = %sorted, "trouble while following a topic");
    Ok(())
}
