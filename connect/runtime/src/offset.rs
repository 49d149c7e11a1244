//! The offsets of sources: a fold over `connect-offsets`, in the bytes that Kafka Connect writes.
//!
//! - A key is the JSON array of the connector's name and its source partition, a value the JSON of the source offset, a tombstone none.
//! - Partitions are compared as JSON, not as bytes: another writer may have ordered their fields in another way. What is
//!   rewritten keeps the bytes of the key it was read with, so that compaction finds it.
//! - A source that is exactly-once writes them with its own transactional producer; a read sees committed ones alone.
//! - A read first catches up with the brokers, so it sees everything that was acknowledged before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{
    Acks, Admin, ClientError, ClientSettings, Producer, TopicState, TopicStateSettings,
};
use aquifer_connect_api::{ConnectError, SourceOffset, SourcePartition};
use indexmap::IndexMap;
use parking_lot::RwLock;
use serde_json::{Map, Value};

use crate::error::of_client;

/// The offsets of every source connector.
pub(crate) struct OffsetStore {
    topic: String,
    client: ClientSettings,
    admin: Admin,
    producer: Producer,
    offsets: Arc<RwLock<Offsets>>,
    state: tokio::sync::Mutex<TopicState>,
}

/// The fold over the topic (PURE).
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    /// By connector, then by canonical partition.
    connectors: HashMap<String, IndexMap<String, Stored>>,
}

/// One stored offset.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    /// The key's bytes as last written.
    key: Vec<u8>,
    /// The source partition.
    pub(crate) partition: Map<String, Value>,
    /// The source offset.
    pub(crate) offset: SourceOffset,
}

impl Offsets {
    /// Takes a record; one that is no offset is left alone.
    pub(crate) fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some((connector, partition)) = read_key(key) else { return };
        let stored = self.connectors.entry(connector).or_default();
        let canonical = canonical(&partition);
        let offset = value.and_then(|value| serde_json::from_slice::<SourceOffset>(value).ok());
        match offset {
            Some(offset) => {
                stored.insert(canonical, Stored { key: key.to_vec(), partition, offset });
            }
            None => {
                stored.shift_remove(&canonical);
            }
        }
    }

    fn get(&self, connector: &str, partition: &Map<String, Value>) -> Option<&Stored> {
        self.connectors.get(connector)?.get(&canonical(partition))
    }

    /// What a connector has stored, in the order first seen.
    pub(crate) fn of(&self, connector: &str) -> Vec<Stored> {
        let stored = self.connectors.get(connector);
        stored.into_iter().flat_map(IndexMap::values).cloned().collect()
    }
}

/// The key of an offset that no record has yet.
fn new_key(connector: &str, partition: &Map<String, Value>) -> Vec<u8> {
    serde_json::json!([connector, partition]).to_string().into_bytes()
}

fn read_key(key: &[u8]) -> Option<(String, Map<String, Value>)> {
    let Ok(Value::Array(parts)) = serde_json::from_slice(key) else { return None };
    match <[Value; 2]>::try_from(parts) {
        Ok([Value::String(connector), Value::Object(partition)]) => Some((connector, partition)),
        Ok(_) | Err(_) => None,
    }
}

/// The same text for the same partition, in whatever order its fields came.
pub(crate) fn canonical(partition: &Map<String, Value>) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let mut entries: Vec<(&String, &Value)> = fields.iter().collect();
                entries.sort_by_key(|(key, _)| key.as_str());
                Value::Object(entries.into_iter().map(|(k, v)| (k.clone(), sorted(v))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
    sorted(&Value::Object(partition.clone())).to_string()
}

impl OffsetStore {
    /// Begins to read the topic, which must exist. It is not waited for: a task that died may have left a transaction open in it,
    /// and that ends when the task is started again.
    pub(crate) async fn load(
        topic: &str,
        client: &ClientSettings,
        admin: &Admin,
        producer: &Producer,
    ) -> Result<Self, ClientError> {
        let offsets = Arc::new(RwLock::new(Offsets::default()));
        let state = follow(topic, client, admin, producer, &offsets).await?;
        Ok(Self {
            topic: topic.to_owned(),
            client: client.clone(),
            admin: admin.clone(),
            producer: producer.clone(),
            offsets,
            state: tokio::sync::Mutex::new(state),
        })
    }

    /// Waits until everything acknowledged before is read; a reader that broke is replaced.
    pub(crate) async fn catch_up(&self) -> Result<(), ConnectError> {
        let mut state = self.state.lock().await;
        if state.failure().is_some() {
            let fresh =
                follow(&self.topic, &self.client, &self.admin, &self.producer, &self.offsets);
            *state = fresh.await.map_err(|error| of_client("read stored offsets", error))?;
        }
        state.catch_up().await.map_err(|error| of_client("read stored offsets", error))
    }

    /// The stored offset of a partition, as of the last catch-up or later.
    pub(crate) fn get(
        &self,
        connector: &str,
        partition: &Map<String, Value>,
    ) -> Option<SourceOffset> {
        self.offsets.read().get(connector, partition).map(|stored| stored.offset.clone())
    }

    /// What a connector has stored, as of the last catch-up or later.
    pub(crate) fn of(&self, connector: &str) -> Vec<Stored> {
        self.offsets.read().of(connector)
    }

    /// Queues offsets; they are stored when the answer's wait is over.
    pub(crate) async fn write<'a>(
        &self,
        connector: &str,
        offsets: impl Iterator<Item = (&'a SourcePartition, &'a SourceOffset)>,
    ) -> Result<Arc<Acks>, ClientError> {
        let acks = Arc::new(Acks::new());
        self.send_with(&self.producer, connector, offsets, &acks).await?;
        Ok(acks)
    }

    /// Queues offsets with the records that they cover: with their producer, in its transaction.
    pub(crate) async fn send_with<'a>(
        &self,
        producer: &Producer,
        connector: &str,
        offsets: impl Iterator<Item = (&'a SourcePartition, &'a SourceOffset)>,
        acks: &Arc<Acks>,
    ) -> Result<(), ClientError> {
        for (partition, offset) in offsets {
            let value = serde_json::to_vec(offset).unwrap_or_default();
            self.send(producer, connector, partition, Some(&value), acks).await?;
        }
        Ok(())
    }

    /// Sets offsets, or removes them where none is given, and waits until they are stored.
    pub(crate) async fn alter(
        &self,
        connector: &str,
        offsets: &[(Map<String, Value>, Option<SourceOffset>)],
    ) -> Result<(), ClientError> {
        let acks = Arc::new(Acks::new());
        for (partition, offset) in offsets {
            let value =
                offset.as_ref().map(|offset| serde_json::to_vec(offset).unwrap_or_default());
            self.send(&self.producer, connector, partition, value.as_deref(), &acks).await?;
        }
        acks.wait().await
    }

    async fn send(
        &self,
        producer: &Producer,
        connector: &str,
        partition: &Map<String, Value>,
        value: Option<&[u8]>,
        acks: &Arc<Acks>,
    ) -> Result<(), ClientError> {
        let stored = self.offsets.read().get(connector, partition).map(|stored| stored.key.clone());
        let key = stored.unwrap_or_else(|| new_key(connector, partition));
        producer.send_waiting(&self.topic, None, Some(&key), value, &[], None, acks).await
    }

    /// Stops reading.
    pub(crate) async fn close(&self, timeout: Duration) {
        self.state.lock().await.close(timeout).await;
    }
}

async fn follow(
    topic: &str,
    client: &ClientSettings,
    admin: &Admin,
    producer: &Producer,
    offsets: &Arc<RwLock<Offsets>>,
) -> Result<TopicState, ClientError> {
    let offsets = offsets.clone();
    let settings = TopicStateSettings::new(topic);
    TopicState::follow(client, settings, admin.clone(), producer.clone(), move |record| {
        if let Some(key) = record.key {
            offsets.write().apply(key, record.value);
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn key_has_the_bytes_of_kafka_connect() {
        let key = new_key("shop", &partition(r#"{"server":"shop"}"#));
        assert_eq!(String::from_utf8(key).unwrap(), r#"["shop",{"server":"shop"}]"#);
    }

    #[test]
    fn partition_is_found_in_whatever_order_its_fields_were_written() {
        let mut offsets = Offsets::default();
        offsets.apply(br#"["c",{"b":1,"a":{"y":2,"x":3}}]"#, Some(br#"{"lsn":5}"#));
        let stored = offsets.get("c", &partition(r#"{"a":{"x":3,"y":2},"b":1}"#)).unwrap();
        assert_eq!(stored.offset, partition(r#"{"lsn":5}"#));
        assert_eq!(stored.key, br#"["c",{"b":1,"a":{"y":2,"x":3}}]"#);
        assert!(offsets.get("d", &partition("{}")).is_none());
    }

    #[test]
    fn tombstone_removes_and_what_is_no_offset_is_left_alone() {
        let mut offsets = Offsets::default();
        offsets.apply(br#"["c",{"p":1}]"#, Some(br#"{"n":1}"#));
        offsets.apply(b"not json", Some(b"{}"));
        offsets.apply(br#"["c"]"#, Some(b"{}"));
        offsets.apply(br#"["c",null]"#, Some(b"{}"));
        assert_eq!(offsets.of("c").len(), 1);
        offsets.apply(br#"["c",{"p":1}]"#, None);
        assert!(offsets.of("c").is_empty());
    }
}
