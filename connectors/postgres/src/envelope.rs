//! Debezium's change events: envelope, source block and headers, field by field as version 3.3 writes them. PURE.
//!
//! **Versions.** Every record of one change carries `(commit LSN >> 3) << 12 | min(index in the transaction, 4095)`, the index
//! counted from 0 over the transaction's changes, captured or not. A sink that keeps the highest version (`external_gte`, where
//! an equal one wins too) ends at the newest state:
//! - commits have distinct LSNs, 8 bytes apart at least, and each commit's is above the consistent point of the snapshot
//!   before it or equal to it with the stream's events written later; so any later change of a key has a version at least as high;
//! - a delete and its tombstone share a version: both delete the same document;
//! - a changed key gives delete and tombstone of the old key and create of the new one, with one version; they are different
//!   documents. When a transaction passes a key on (1→2 and 2→3), the parts for key 2 come from two changes with two indexes,
//!   in the order of the changes;
//! - from the 4096th change of a transaction on versions are equal, and the order of the topic decides, as it does for a replay:
//!   after a restart the changes from a point on come again, all of them and in order.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

use aquifer_connect_api::{
    ByteString, Header, Headers, Record, SchemaBuilder, SchemaRef, UNAVAILABLE_HEADER,
    VERSION_EPOCH_HEADER, VERSION_HEADER, Value, logical,
};
use bytes::{BufMut, BytesMut};

use crate::lsn::Lsn;
use crate::relation::{CompiledRelation, RowValues};
use crate::value::nested::joined;

/// Postgres counts time from 2000-01-01; this is that in microseconds since 1970.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
/// The indexes that fit beside the LSN.
const VERSION_INDEX_MAX: u32 = 4095;

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Update,
    Delete,
    Read,
    Truncate,
}

impl Op {
    fn code(self) -> &'static str {
        match self {
            Op::Create => "c",
            Op::Update => "u",
            Op::Delete => "d",
            Op::Read => "r",
            Op::Truncate => "t",
        }
    }
}

/// What all records of one change have in common.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The change's own LSN.
    pub(crate) lsn: Lsn,
    /// `["<last commit>","<lsn>"]`.
    pub(crate) sequence: ByteString,
    pub(crate) tx_id: Option<i64>,
    /// Microseconds since the epoch: commit time, or the snapshot's.
    pub(crate) source_us: i64,
    /// Microseconds since the epoch: now.
    pub(crate) now_us: i64,
    pub(crate) snapshot: &'static str,
    pub(crate) version: i64,
}

/// The version of a change; see the head of this file.
pub(crate) fn version(commit_lsn: Lsn, index: u32) -> i64 {
    let version = (commit_lsn.0 >> 3) << 12 | u64::from(index.min(VERSION_INDEX_MAX));
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// Commit time to microseconds since the Unix epoch.
pub(crate) fn unix_us(postgres_us: i64) -> i64 {
    postgres_us.saturating_add(POSTGRES_EPOCH_US)
}

/// The source block's `sequence`.
pub(crate) fn sequence(last_commit: Option<Lsn>, lsn: Lsn, scratch: &mut BytesMut) -> ByteString {
    match last_commit {
        Some(commit) => {
            scratch.put_slice(b"[\"");
            put_number(scratch, commit.0);
            scratch.put_slice(b"\",\"");
        }
        None => scratch.put_slice(b"[null,\""),
    }
    put_number(scratch, lsn.0);
    scratch.put_slice(b"\"]");
    ByteString::try_from(scratch.split().freeze()).unwrap_or_default()
}

fn put_number(out: &mut BytesMut, value: u64) {
    let mut digits = [0u8; 20];
    let mut rest = value;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Makes events; holds what all of them share.
#[derive(Debug, Clone)]
pub(crate) struct Envelopes {
    source_schema: SchemaRef,
    transaction_schema: SchemaRef,
    version_schema: SchemaRef,
    text_schema: SchemaRef,
    connector_version: ByteString,
    connector: ByteString,
    name: ByteString,
    database: ByteString,
    epoch: ByteString,
    context: Vec<Header>,
}

impl Envelopes {
    /// For a connector's topic prefix and database; the epoch is known once the server is.
    pub(crate) fn new(prefix: &str, database: &str, epoch: &str) -> Self {
        let text = SchemaBuilder::string().build();
        Envelopes {
            source_schema: source_schema(),
            transaction_schema: transaction_schema(),
            version_schema: SchemaBuilder::int64().build(),
            text_schema: text,
            connector_version: ByteString::from_static(env!("CARGO_PKG_VERSION")),
            connector: ByteString::from_static("postgresql"),
            name: prefix.into(),
            database: database.into(),
            epoch: epoch.into(),
            context: Vec::new(),
        }
    }

    /// With Debezium's headers that say where an event is from.
    pub(crate) fn with_context_headers(mut self) -> Self {
        let header = |key: &'static str, value: &ByteString| Header {
            key: ByteString::from_static(key),
            schema: Some(self.text_schema.clone()),
            value: Value::String(value.clone()),
        };
        self.context = vec![
            header("__debezium.context.connectorLogicalName", &self.name),
            header("__debezium.context.taskId", &ByteString::from_static("0")),
            header("__debezium.context.connectorName", &self.connector),
        ];
        self
    }

    /// The envelope's schema around a table's value schema.
    pub(crate) fn schema(&self, name: &str, value: &SchemaRef) -> SchemaRef {
        let optional_int64 = SchemaBuilder::int64().optional().build();
        SchemaBuilder::structure()
            .name(name)
            .version(2)
            .field("before", value.clone())
            .field("after", value.clone())
            .field("source", self.source_schema.clone())
            .field("transaction", self.transaction_schema.clone())
            .field("op", SchemaBuilder::string().build())
            .field("ts_ms", optional_int64.clone())
            .field("ts_us", optional_int64.clone())
            .field("ts_ns", optional_int64)
            .build()
    }

    /// One change event. The key is null for a table without one and for a truncate.
    pub(crate) fn record(
        &self,
        relation: &CompiledRelation,
        op: Op,
        key: Value,
        before: Option<RowValues>,
        after: Option<RowValues>,
        change: &Change,
    ) -> Record {
        let side = |row: Option<RowValues>| row.map_or(Value::Null, |row| relation.value(row));
        let value = Value::Struct(vec![
            side(before),
            side(after),
            self.source(relation, change),
            Value::Null,
            Value::String(ByteString::from_static(op.code())),
            Value::Int64(change.now_us / 1000),
            Value::Int64(change.now_us),
            Value::Int64(change.now_us.saturating_mul(1000)),
        ]);
        Record {
            topic: relation.topic.clone(),
            partition: None,
            key_schema: if key.is_null() { None } else { relation.key_schema.clone() },
            key,
            value_schema: Some(relation.envelope_schema.clone()),
            value,
            offset: None,
            timestamp_ms: None,
            headers: self.headers(change),
        }
    }

    /// The tombstone that follows a delete.
    pub(crate) fn tombstone(
        &self,
        relation: &CompiledRelation,
        key: Value,
        change: &Change,
    ) -> Record {
        Record {
            topic: relation.topic.clone(),
            partition: None,
            key_schema: relation.key_schema.clone(),
            key,
            value_schema: None,
            value: Value::Null,
            offset: None,
            timestamp_ms: None,
            headers: self.headers(change),
        }
    }

    /// Names the fields whose value Postgres did not send.
    pub(crate) fn mark_unavailable(
        &self,
        record: &mut Record,
        names: &[ByteString],
        scratch: &mut BytesMut,
    ) {
        let schema = Some(self.text_schema.clone());
        record.headers.add(UNAVAILABLE_HEADER, schema, joined(names, scratch));
    }

    fn headers(&self, change: &Change) -> Headers {
        let mut headers = Headers(vec![
            Header {
                key: ByteString::from_static(VERSION_HEADER),
                schema: Some(self.version_schema.clone()),
                value: Value::Int64(change.version),
            },
            Header {
                key: ByteString::from_static(VERSION_EPOCH_HEADER),
                schema: Some(self.text_schema.clone()),
                value: Value::String(self.epoch.clone()),
            },
        ]);
        headers.0.extend_from_slice(&self.context);
        headers
    }

    fn source(&self, relation: &CompiledRelation, change: &Change) -> Value {
        Value::Struct(vec![
            Value::String(self.connector_version.clone()),
            Value::String(self.connector.clone()),
            Value::String(self.name.clone()),
            Value::Int64(change.source_us / 1000),
            Value::String(ByteString::from_static(change.snapshot)),
            Value::String(self.database.clone()),
            Value::String(change.sequence.clone()),
            Value::Int64(change.source_us),
            Value::Int64(change.source_us.saturating_mul(1000)),
            Value::String(relation.schema.clone()),
            Value::String(relation.table.clone()),
            change.tx_id.map_or(Value::Null, Value::Int64),
            Value::Int64(change.lsn.as_i64()),
            Value::Null,
        ])
    }
}

/// Sets a snapshot record's marker once it is known whether more rows follow.
pub(crate) fn set_snapshot_marker(record: &mut Record, marker: &'static str) {
    let Value::Struct(envelope) = &mut record.value else { return };
    let Some(Value::Struct(source)) = envelope.get_mut(2) else { return };
    if let Some(snapshot) = source.get_mut(4) {
        *snapshot = Value::String(ByteString::from_static(marker));
    }
}

fn source_schema() -> SchemaRef {
    let text = SchemaBuilder::string().build();
    let number = SchemaBuilder::int64().optional().build();
    let allowed =
        "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental";
    let snapshot = SchemaBuilder::string()
        .name(logical::DEBEZIUM_ENUM)
        .version(1)
        .parameter("allowed", allowed)
        .default_value(Value::String(ByteString::from_static("false")))
        .optional()
        .build();
    SchemaBuilder::structure()
        .name("io.debezium.connector.postgresql.Source")
        .version(1)
        .field("version", text.clone())
        .field("connector", text.clone())
        .field("name", text.clone())
        .field("ts_ms", SchemaBuilder::int64().build())
        .field("snapshot", snapshot)
        .field("db", text.clone())
        .field("sequence", SchemaBuilder::string().optional().build())
        .field("ts_us", number.clone())
        .field("ts_ns", number.clone())
        .field("schema", text.clone())
        .field("table", text)
        .field("txId", number.clone())
        .field("lsn", number.clone())
        .field("xmin", number)
        .build()
}

fn transaction_schema() -> SchemaRef {
    let number = SchemaBuilder::int64().build();
    SchemaBuilder::structure()
        .name("event.block")
        .version(1)
        .optional()
        .field("id", SchemaBuilder::string().build())
        .field("total_order", number.clone())
        .field("data_collection_order", number)
        .build()
}
