//! Records and positions as they leave a consumer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Headers, Message};

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
}

/// A position in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionOffset {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
    /// The offset of the next record to read.
    pub offset: i64,
}

/// A record as it was read, its bytes owned.
#[derive(Debug, Clone)]
pub struct ConsumedRecord {
    /// The topic's name, shared by all records of a consumer.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// Milliseconds since 1970, as created or as appended; absent when the record has none.
    pub timestamp_ms: Option<i64>,
    /// The key; absent is not the same as empty.
    pub key: Option<Bytes>,
    /// The value; absent is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in their order; a name may repeat.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl ConsumedRecord {
    /// Copies a record out of librdkafka's buffer: key and value share one allocation.
    pub(crate) fn copy(topic: Arc<str>, message: &BorrowedMessage<'_>) -> Self {
        let (key, value) = (message.key(), message.payload());
        let key_bytes = key.map_or(0, <[u8]>::len);
        let mut both = Vec::with_capacity(key_bytes + value.map_or(0, <[u8]>::len));
        both.extend_from_slice(key.unwrap_or_default());
        both.extend_from_slice(value.unwrap_or_default());
        let both = Bytes::from(both);
        Self {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: key.map(|_| both.slice(..key_bytes)),
            value: value.map(|_| both.slice(key_bytes..)),
            headers: copy_headers(message),
        }
    }
}

/// The library panics on a header name that is not UTF-8, which any producer can write: such a header is left out and logged.
fn copy_headers(message: &BorrowedMessage<'_>) -> Vec<(String, Option<Bytes>)> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let mut copied = Vec::with_capacity(headers.count());
    for index in 0..headers.count() {
        match catch_unwind(AssertUnwindSafe(|| {
            headers
                .try_get(index)
                .map(|header| (header.key.to_owned(), header.value.map(Bytes::copy_from_slice)))
        })) {
            Ok(Some(header)) => copied.push(header),
            Ok(None) => {}
            Err(_) => tracing::warn!(
                topic = message.topic(),
                partition = message.partition(),
                offset = message.offset(),
                index,
                "left out a record header whose name is not UTF-8"
            ),
        }
    }
    copied
}
