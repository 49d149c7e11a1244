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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{GroupMachine, Machine, TopicMachine};

    /// Bytes that begin like a record: a small number, then anything.
    fn record_bytes() -> impl Strategy<Value = Vec<u8>> {
        (0_u8..6, proptest::collection::vec(any::<u8>(), 0..80)).prop_map(|(kind, mut bytes)| {
            bytes.splice(0..0, [0, kind]);
            bytes
        })
    }

    proptest! {
        #[test]
        fn prop_group_records_of_any_bytes_are_read_or_refused(key in record_bytes(), value in record_bytes()) {
            let _ = GroupMachine::decode(Some(&key), Some(&value));
        }

        #[test]
        fn prop_metadata_records_of_any_bytes_are_read_or_refused(
            kind in 0_u8..22,
            version in 0_u8..4,
            body in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut value = vec![1, kind, version];
            value.extend(body);
            if let Ok(Some(record)) = TopicMachine::decode(None, Some(&value)) {
                let encoded = TopicMachine::encode(&record);
                prop_assert_eq!(TopicMachine::decode(None, encoded.value.as_deref()), Ok(Some(record)));
            }
        }
    }
}
