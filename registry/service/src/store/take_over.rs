//! Becoming the one writer of a topic: fence older writers, read everything they have written, and cover what they left aborted.
//!
//! - The producer is initialised first: whatever an older writer had under way is decided then, and nothing of it comes later.
//! - A plain record behind all that, seen by our own follower, says that everything before it has been read.
//! - Readers of other makes see aborted records too. Where such a record is the last one of its key, the key is written again
//!   with what it holds, or deleted; the ids in such records count as given out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{
    Acks, ClientError, ClientSettings, Isolation, ProducerSettings, TopicState, TopicStateSettings,
    TransactionSettings, TransactionalProducer, read_all,
};
use parking_lot::Mutex;

use super::Loaded;
use crate::decide::Record;
use crate::marks::Marks;
use crate::state::record::{Key, SchemaValue};
use crate::state::subject;

/// How long a writer's own transaction may take before the coordinator gives it up, in milliseconds.
pub(super) const TRANSACTION_TIMEOUT_MS: u32 = 30_000;
/// How long fencing may take before it is tried anew.
const INIT_MAX: Duration = Duration::from_secs(10);
/// How long the transaction that covers aborted records may take.
const COVER_MAX: Duration = Duration::from_secs(30);

/// Fences older writers and reads on to what is then the end.
pub(super) async fn take_over(
    client: &ClientSettings,
    loaded: &Loaded,
) -> Result<TransactionalProducer, ClientError> {
    let topic = loaded.schemas.topic();
    let producer = TransactionalProducer::new(
        client,
        &ProducerSettings {
            linger_ms: 0,
            delivery_timeout_ms: TRANSACTION_TIMEOUT_MS,
            queue_records_max: 10_000,
            ..ProducerSettings::default()
        },
        &TransactionSettings {
            transactional_id: format!("aquifer-registry-{topic}"),
            timeout_ms: TRANSACTION_TIMEOUT_MS,
        },
    )?;
    producer.init(INIT_MAX).await?;
    let end = loaded.schemas.append(0, &Key::Noop.write(), None).await?;
    loaded.marks.catch_up().await?;
    let aborted = aborted(client, topic, end).await?;
    if !aborted.is_empty() {
        tracing::warn!(topic, keys = aborted.len(), "covering records of aborted transactions");
        cover(client, &producer, loaded, aborted, end).await?;
    }
    Ok(producer)
}

/// Last records of keys.
#[derive(Default)]
struct Last {
    offsets: HashMap<Vec<u8>, i64>,
}

/// The keys whose last record is aborted, with the ids that such records gave out, by context.
async fn aborted(
    client: &ClientSettings,
    topic: &str,
    end: i64,
) -> Result<HashMap<Vec<u8>, Option<(String, i32)>>, ClientError> {
    let last = async |isolation| {
        let found = Arc::new(Mutex::new(Last::default()));
        let settings = TopicStateSettings { isolation, ..TopicStateSettings::new(topic) };
        let into = found.clone();
        read_all(client, &settings, 0, end, move |record| {
            if let Some(key) = record.key {
                into.lock().offsets.insert(key.to_vec(), record.offset);
            }
        })
        .await?;
        Ok::<_, ClientError>(std::mem::take(&mut *found.lock()).offsets)
    };
    let (all, committed) =
        tokio::try_join!(last(Isolation::Uncommitted), last(Isolation::Committed))?;
    let newer = all.into_iter().filter(|(key, offset)| committed.get(key) != Some(offset));
    let offsets: HashMap<i64, Vec<u8>> = newer.map(|(key, offset)| (offset, key)).collect();
    if offsets.is_empty() {
        return Ok(HashMap::new());
    }
    let found = Arc::new(Mutex::new(HashMap::new()));
    let into = found.clone();
    let settings =
        TopicStateSettings { isolation: Isolation::Uncommitted, ..TopicStateSettings::new(topic) };
    read_all(client, &settings, 0, end, move |record| {
        if let Some(key) = offsets.get(&record.offset) {
            let schema = record.value.and_then(SchemaValue::read);
            let id = schema.map(|one| (subject::context_of(&one.subject).to_owned(), one.id));
            into.lock().insert(key.clone(), id);
        }
    })
    .await?;
    Ok(std::mem::take(&mut *found.lock()))
}

/// Writes keys again with what they hold, in one transaction with the marks of the ids that count as given out.
async fn cover(
    client: &ClientSettings,
    producer: &TransactionalProducer,
    loaded: &Loaded,
    aborted: HashMap<Vec<u8>, Option<(String, i32)>>,
    end: i64,
) -> Result<(), ClientError> {
    let topic = loaded.schemas.topic();
    let mut highest: BTreeMap<String, i32> = BTreeMap::new();
    for (context, id) in aborted.values().flatten() {
        let known = highest.entry(context.clone()).or_default();
        *known = (*known).max(*id);
    }
    highest.retain(|context, id| *id > loaded.view.marks.read().highest(context));
    let held = Arc::new(Mutex::new(
        aborted.into_keys().map(|key| (key, None)).collect::<BTreeMap<Vec<u8>, Option<Vec<u8>>>>(),
    ));
    let into = held.clone();
    read_all(client, &TopicStateSettings::new(topic), 0, end, move |record| {
        if let Some(slot) =
            record.key.and_then(|key| into.lock().get_mut(key).map(|_| key.to_vec()))
        {
            into.lock().insert(slot, record.value.map(<[u8]>::to_vec));
        }
    })
    .await?;
    let records: Vec<Record> = std::mem::take(&mut *held.lock()).into_iter().collect();
    producer.begin().await?;
    let marks = highest.iter().map(|(context, id)| {
        let (key, value) = Marks::record(topic, context, *id);
        (key, Some(value))
    });
    let marks: Vec<Record> = marks.collect();
    let marked = send(producer, &loaded.marks, &marks).await?;
    let written = send(producer, &loaded.schemas, &records).await?;
    producer.commit(COVER_MAX).await?;
    applied(&loaded.marks, &marked).await?;
    applied(&loaded.schemas, &written).await
}

/// Queues records of a transaction for the one partition of a topic.
pub(super) async fn send(
    producer: &TransactionalProducer,
    topic: &TopicState,
    records: &[Record],
) -> Result<Arc<Acks>, ClientError> {
    let acks = Arc::new(Acks::new());
    for (key, value) in records {
        let (key, value) = (Some(key.as_slice()), value.as_deref());
        let records = producer.records();
        records.send_waiting(topic.topic(), Some(0), key, value, &[], None, &acks).await?;
    }
    Ok(acks)
}

/// Waits until our follower has applied the records of a committed transaction.
pub(super) async fn applied(topic: &TopicState, acks: &Acks) -> Result<(), ClientError> {
    let Some(end) = acks.end_offset() else { return Ok(()) };
    topic.transaction_ended(0, end);
    topic.applied(0, end).await
}
