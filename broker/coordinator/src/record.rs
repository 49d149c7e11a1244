//! The bytes of the machines' records: Kafka's own schemas, so that Kafka's tools read our logs.

pub mod group;
pub mod group_consumer;
pub mod metadata;
pub mod transaction;

use std::sync::Arc;

use aquifer_broker_protocol::ProtocolError;
use aquifer_broker_protocol::message::{Decode, Message};

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
    /// A state that this program does not know.
    #[error("a transactional id is in state {number}, which is not known")]
    UnknownState {
        /// The number of the state.
        number: i8,
    },
}

/// A name from a decoded record, kept.
fn kept(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn versioned<M: Message>(version: i16, message: &M) -> Vec<u8> {
    let mut bytes = version.to_be_bytes().to_vec();
    bytes.extend(
        message.to_bytes(version).expect("every field has a place in the versions written here"),
    );
    bytes
}

fn split_version<'a>(what: &'static str, bytes: &'a [u8]) -> Result<(i16, &'a [u8]), RecordError> {
    let (version, body) =
        bytes.split_first_chunk::<2>().ok_or(RecordError::TooShort { what, bytes: bytes.len() })?;
    Ok((i16::from_be_bytes(*version), body))
}

fn read<'a, M: Message + Decode<'a>>(version: i16, body: &'a [u8]) -> Result<M, RecordError> {
    if !M::VERSIONS.contains(&version) {
        return Err(RecordError::UnknownVersion { schema: M::NAME, version });
    }
    M::read(body, version).map_err(|source| RecordError::Schema {
        schema: M::NAME,
        version,
        source,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{GroupMachine, Machine, TopicMachine, TransactionMachine};

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
        fn prop_transaction_records_of_any_bytes_are_read_or_refused(
            key in record_bytes(),
            value in record_bytes(),
        ) {
            let _ = TransactionMachine::decode(Some(&key), Some(&value));
            let named = TransactionMachine::decode(Some(&[0, 0, 0, 1, b'x']), Some(&value));
            if let Ok(Some(record)) = named {
                let encoded = TransactionMachine::encode(&record);
                let (key, value) = (encoded.key.as_deref(), encoded.value.as_deref());
                prop_assert_eq!(TransactionMachine::decode(key, value), Ok(Some(record)));
            }
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
