//! A record as transforms see it, on its way in or out.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{SchemaRef, Value};

/// The header that carries a change's version, INT64 (`DESIGN`: Connect, versions).
pub const VERSION_HEADER: &str = "__version";
/// The header that names the space in which versions compare, STRING.
pub const VERSION_EPOCH_HEADER: &str = "__version_epoch";
/// The header that names the fields whose value the source could not give, STRING, joined by commas.
pub const UNAVAILABLE_HEADER: &str = "__unavailable";

/// One header; keys may repeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The header's key.
    pub key: ByteString,
    /// The schema of the value, where known.
    pub schema: Option<SchemaRef>,
    /// The value.
    pub value: Value,
}

/// Headers in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Headers(pub Vec<Header>);

impl Headers {
    /// The last header of that key, as Kafka's `lastHeader`.
    pub fn last(&self, key: &str) -> Option<&Header> {
        self.0.iter().rev().find(|header| header.key == key)
    }

    /// Adds a header at the end.
    pub fn add(&mut self, key: impl Into<ByteString>, schema: Option<SchemaRef>, value: Value) {
        self.0.push(Header { key: key.into(), schema, value });
    }

    /// Removes every header of that key.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|header| header.key != key);
    }
}

/// A record between a connector and a converter.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The topic it goes to or came from.
    pub topic: ByteString,
    /// The partition; `None` lets the partitioner choose by key.
    pub partition: Option<i32>,
    /// Schema of the key; `None` without schemas.
    pub key_schema: Option<SchemaRef>,
    /// The key.
    pub key: Value,
    /// Schema of the value; `None` without schemas and for a tombstone.
    pub value_schema: Option<SchemaRef>,
    /// The value; `Null` is a tombstone.
    pub value: Value,
    /// The offset it was consumed at; `None` on its way in.
    pub offset: Option<i64>,
    /// Milliseconds since the epoch; `None` lets the producer choose.
    pub timestamp_ms: Option<i64>,
    /// Headers in their order.
    pub headers: Headers,
}

/// A consumed record as it lay in the topic: what a dead letter carries and an error names.
#[derive(Debug, Clone)]
pub struct Original {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since the epoch, as the topic has it.
    pub timestamp_ms: Option<i64>,
    /// The key's bytes.
    pub key: Option<Bytes>,
    /// The value's bytes.
    pub value: Option<Bytes>,
    /// Headers: key and bytes.
    pub headers: Vec<(ByteString, Option<Bytes>)>,
}
