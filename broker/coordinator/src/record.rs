//! The bytes of the machines' records: Kafka's own schemas, so that Kafka's tools read our logs.

pub mod group;
pub mod metadata;

use std::sync::Arc;

use aquifer_broker_protocol::ProtocolError;

/// A record that can't be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes don't follow the schema.
    #[error("{schema} v{version}: {source}")]
    Schema {
        /// The schema named by the record.
        schema: &'static str,
        /// Its version.
        version: i16,
        /// What is wrong.
        source: ProtocolError,
    },
    /// Nothing says what the record is.
    #[error("the record's {what} has {bytes} bytes, too few to name its schema")]
    TooShort {
        /// `key` or `value`.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A newer writer's record, which can't be skipped without losing what it says.
    #[error("{schema} v{version} is newer than what this program knows")]
    UnknownVersion {
        /// The schema named by the record.
        schema: &'static str,
        /// Its version.
        version: i16,
    },
}

/// A name from a decoded record, kept.
fn kept(text: &str) -> Arc<str> {
    Arc::from(text)
}
