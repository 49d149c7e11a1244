//! Short-lived readers beside the follower: one that finds out whether an end is invisible, one that reads a partition once.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;

use super::follower::introduce;
use super::{TopicRecord, TopicStateSettings};
use crate::clock;
use crate::context::LogContext;
use crate::error::ClientError;
use crate::settings::ClientSettings;

/// How long a look at the end may take, connecting included.
const LOOK_MAX: Duration = Duration::from_secs(3);
/// How long reading may stand still.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Offsets of a partition, from the first up to and without the second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) partition: i32,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// A consumer whose end nobody waits for: closing takes the library up to half a second.
struct Reader(Option<BaseConsumer<LogContext>>);

impl Drop for Reader {
    fn drop(&mut self) {
        crate::closing::drop_elsewhere("reader close", self.0.take());
    }
}

fn reader(client: &ClientSettings, settings: &TopicStateSettings) -> Result<Reader, KafkaError> {
    // The library assigns only to handles with a group; nothing is ever joined or committed under this name.
    let group = format!("aquifer-reader-{}", settings.topic);
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
            ("fetch.queue.backoff.ms", "10"),
            // An end is reported when a fetch has waited in vain: not long.
            ("fetch.wait.max.ms", "5"),
        ],
        &settings.overrides,
    );
    Ok(Reader(Some(BaseConsumer::from_config_and_context(&config, LogContext)?)))
}

/// Which gaps hold no record for a reader of this isolation, now and for ever.
pub(super) async fn invisible(
    client: &ClientSettings,
    settings: &TopicStateSettings,
    gaps: Vec<Gap>,
) -> Result<Vec<Gap>, ClientError> {
    const OPERATION: &str = "look at topic's end";
    let (client, settings) = (client.clone(), settings.clone());
    tokio::task::spawn_blocking(move || {
        look(&client, &settings, gaps).map_err(|err| ClientError::from_library(OPERATION, &err))
    })
    .await
    .map_err(|_| ClientError::Closed { operation: OPERATION })?
}

fn look(
    client: &ClientSettings,
    settings: &TopicStateSettings,
    gaps: Vec<Gap>,
) -> Result<Vec<Gap>, KafkaError> {
    let reader = reader(client, settings)?;
    let Some(consumer) = &reader.0 else { return Ok(Vec::new()) };
    let (topic, deadline) = (settings.topic.as_str(), clock::now() + LOOK_MAX);
    // Where this reader's view ends: for one of committed records, the first record of an open transaction. An end that is
    // met later is not before it.
    let mut asked = TopicPartitionList::new();
    for gap in &gaps {
        asked.add_partition_offset(topic, gap.partition, Offset::End)?;
    }
    let ends = consumer.offsets_for_times(asked, LOOK_MAX)?;
    let stable = |gap: &Gap| {
        let end = ends.find_partition(topic, gap.partition).map(|element| element.offset());
        matches!(end, Some(Offset::Offset(end)) if end >= gap.to)
    };
    let mut open: HashMap<i32, Gap> =
        gaps.into_iter().filter(stable).map(|gap| (gap.partition, gap)).collect();
    let mut list = TopicPartitionList::new();
    for gap in open.values() {
        let from = if gap.from == 0 { Offset::Beginning } else { Offset::Offset(gap.from) };
        list.add_partition_offset(topic, gap.partition, from)?;
    }
    consumer.assign(&list)?;
    let mut invisible = Vec::new();
    while !open.is_empty() && clock::now() < deadline {
        match consumer.poll(POLL) {
            // The follower will see it as well, or what comes before the end.
            Some(Ok(message)) => drop(open.remove(&message.partition())),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                invisible.extend(open.remove(&partition));
            }
            Some(Err(err)) => return Err(err),
            None => {}
        }
    }
    Ok(invisible)
}

/// Reads a partition from its start until a record at `last` or behind it was applied, once.
///
/// # Errors
/// When the partition can't be read, or nothing arrives for half a minute.
pub async fn read_all(
    client: &ClientSettings,
    settings: &TopicStateSettings,
    partition: i32,
    last: i64,
    mut apply: impl FnMut(&TopicRecord<'_>) + Send + 'static,
) -> Result<(), ClientError> {
    const OPERATION: &str = "read topic";
    let (client, settings) = (client.clone(), settings.clone());
    let failed = |err: &KafkaError| ClientError::from_library(OPERATION, err);
    let read = move || {
        let reader = reader(&client, &settings).map_err(|err| failed(&err))?;
        let closed = ClientError::Closed { operation: OPERATION };
        let consumer = reader.0.as_ref().ok_or(closed)?;
        introduce(consumer, &settings.topic);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&settings.topic, partition, Offset::Beginning)
            .and_then(|()| consumer.assign(&list))
            .map_err(|err| failed(&err))?;
        let mut heard = clock::now();
        while clock::now().duration_since(heard) < SILENCE_MAX {
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    apply(&TopicRecord {
                        partition,
                        offset: message.offset(),
                        timestamp_ms: message.timestamp().to_millis(),
                        key: message.key(),
                        value: message.payload(),
                    });
                    if message.offset() >= last {
                        return Ok(());
                    }
                    heard = clock::now();
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(err)) => {
                    let err = failed(&err);
                    if !err.is_retriable() {
                        return Err(err);
                    }
                }
            }
        }
        let after_ms = u64::try_from(SILENCE_MAX.as_millis()).unwrap_or(u64::MAX);
        Err(ClientError::TimedOut { operation: OPERATION, after_ms })
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| ClientError::Closed { operation: OPERATION })?
}
