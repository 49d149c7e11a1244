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

/// How long one poll may wait: bounds how late a request to stop or to prove is seen.
const POLL: Duration = Duration::from_millis(100);
/// Waiters are told of progress at least this often while there is more to read.
const RECORDS_PER_NOTICE: u32 = 500;

struct Follower<F> {
    consumer: BaseConsumer<LogContext>,
    shared: Arc<Shared>,
    apply: F,
    progressed: watch::Sender<u64>,
    unannounced: u32,
    /// Per partition: the end that reading from the position on will confirm, once a seek for it was made.
    proving: Vec<Option<i64>>,
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
            ("enable.partition.eof", "true"),
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
    let count = shared.positions.lock().len();
    let mut list = TopicPartitionList::with_capacity(count);
    for partition in 0..i32::try_from(count).unwrap_or(i32::MAX) {
        list.add_partition_offset(&shared.topic, partition, Offset::Beginning)
            .map_err(|err| failed(&err))?;
    }
    consumer.assign(&list).map_err(|err| failed(&err))?;
    let proving = vec![None; count];
    let mut follower = Follower { consumer, shared, apply, progressed, unannounced: 0, proving };
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
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.start_proofs();
            let wait = if self.unannounced > 0 { Duration::ZERO } else { POLL };
            match self.step(wait) {
                Ok(()) => {}
                Err(err) => {
                    tracing::warn!(topic = %self.shared.topic, error = %err, "topic can't be followed");
                    *self.shared.failure.lock() = Some(err);
                    self.announce();
                    return;
                }
            }
        }
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
                advance(&self.shared, record.partition, record.offset + 1);
                self.unannounced += 1;
                if self.unannounced >= RECORDS_PER_NOTICE {
                    self.announce();
                }
                Ok(())
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                let index = usize::try_from(partition).unwrap_or(usize::MAX);
                if let Some(end) = self.proving.get_mut(index).and_then(Option::take) {
                    advance(&self.shared, partition, end);
                    self.unannounced += 1;
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

    /// Reads again from the position of each partition whose end is to be confirmed. What the library had
    /// queued before the seek is outdated by it, so the end it reports next was met after the question.
    fn start_proofs(&mut self) {
        // A proof under way is left to finish: it takes as long as a fetch may wait, and a new seek would start it anew.
        let proving = &self.proving;
        let asked: Vec<(usize, i64)> = self
            .shared
            .to_prove
            .lock()
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| matches!(proving.get(*index), Some(None)))
            .filter_map(|(index, end)| Some((index, end.take()?)))
            .collect();
        for (index, end) in asked {
            let position = self.shared.positions.lock().get(index).copied().unwrap_or_default();
            let Ok(partition) = i32::try_from(index) else { continue };
            if position >= end {
                continue;
            }
            let from = if position == 0 { Offset::Beginning } else { Offset::Offset(position) };
            // Waiting for the seek would stall all partitions; without waiting it still takes effect in order.
            match self.consumer.seek(&self.shared.topic, partition, from, Duration::ZERO) {
                Ok(()) => {
                    if let Some(slot) = self.proving.get_mut(index) {
                        *slot = Some(end);
                    }
                }
                // The partition is not being read yet; whoever waits will ask again.
                Err(err) => {
                    tracing::debug!(topic = %self.shared.topic, partition, error = %err, "no seek yet");
                }
            }
        }
    }

    fn announce(&mut self) {
        self.unannounced = 0;
        self.progressed.send_modify(|count| *count += 1);
    }
}

fn advance(shared: &Shared, partition: i32, to: i64) {
    let mut positions = shared.positions.lock();
    let slot = usize::try_from(partition).ok().and_then(|index| positions.get_mut(index));
    if let Some(position) = slot {
        *position = (*position).max(to);
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
