//! What a connector, a converter or a transform sees of Connect: the data model, records, config definitions and the contracts.
//!
//! - PURE: names no runtime, socket, file or clock. A connector crate depends on this crate and on nothing else of ours.
//! - The vocabulary is Kafka Connect's (`org.apache.kafka.connect.{data,source,sink,transforms,storage}` and `common.config.ConfigDef`).
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

pub mod config;
mod connector;
mod converter;
mod data;
mod error;
pub mod logical;
mod record;
mod schema_cache;
mod sink;
mod source;
mod transform;

pub use bytestring::ByteString;

pub use connector::{Connector, ConnectorKind, Validation};
pub use converter::{
    Converter, ConverterError, ConverterPlugin, ConverterRole, Decoded, NewConverter,
};
pub use data::{Field, Schema, SchemaBuilder, SchemaKind, SchemaRef, Value};
pub use error::{ConnectError, ErrorKind};
pub use record::{
    Header, Headers, Original, Record, UNAVAILABLE_HEADER, VERSION_EPOCH_HEADER, VERSION_HEADER,
};
pub use schema_cache::SchemaCache;
pub use sink::{
    ErrantRecords, SinkConnector, SinkContext, SinkRecord, SinkTask, TopicPartition,
    TopicPartitionOffsets,
};
pub use source::{
    SourceBatch, SourceConnector, SourceContext, SourceOffset, SourcePartition, SourceTask,
};
pub use transform::{NewTransform, Transform, TransformPlugin};
