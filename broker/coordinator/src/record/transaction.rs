//! The records of `__transaction_state`: keys and values as Kafka's transaction coordinator writes them.
//!
//! Values are written in version 1, which brokers since 3.6 read and whose tagged fields KIP-890 needs; both versions
//! are read.
//!
//! References: apache/kafka, `transaction-coordinator/src/main/resources/common/message`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use aquifer_broker_protocol::message;

use super::{RecordError, read, split_version, versioned};
use crate::Timestamp;
use crate::group::id::TopicName;
use crate::machine::EncodedRecord;
use crate::transaction::TransactionRecord;
use crate::transaction::id::TransactionalId;
use crate::transaction::state::{Producer, Transaction, TransactionState};

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 1;

/// The status of an id that is being forgotten; Kafka does not write it, and means nothing but a tombstone by it.
const DEAD: i8 = 6;

message! {
    /// The key of a transactional id.
    pub struct TransactionLogKey<'a> [0..=0] {
        /// The id.
        transactional_id: Cow<'a, str> [0..],
    }

    /// Where a transactional id stands.
    pub struct TransactionLogValue<'a> [0..=1, flexible 1..] {
        /// The producer's id.
        producer_id: i64 [0..],
        /// The producer's id before. Since v1.
        previous_producer_id: i64 [1.., tag 0, ignorable] = -1,
        /// The producer's id after the transaction that is being ended. Since v1.
        next_producer_id: i64 [1.., tag 1, ignorable] = -1,
        /// The producer's epoch.
        producer_epoch: i16 [0..],
        /// In milliseconds.
        transaction_timeout_ms: i32 [0..],
        /// The number of the state.
        transaction_status: i8 [0..],
        /// The partitions; null in an id without a transaction.
        transaction_partitions: Option<Vec<TransactionPartitions<'a>>> [0.., nullable 0..],
        /// In milliseconds.
        transaction_last_update_timestamp_ms: i64 [0..],
        /// In milliseconds; -1 before the first transaction.
        transaction_start_timestamp_ms: i64 [0..],
        /// The transaction version of the client. Since v1.
        client_transaction_version: i16 [1.., tag 2, ignorable] = 0,
    }

    /// Partitions of a topic in `TransactionLogValue`.
    pub struct TransactionPartitions<'a> {
        /// The topic.
        topic: Cow<'a, str> [0..],
        /// The partition indexes.
        partition_ids: Vec<i32> [0..],
    }
}

/// The key and value of a record.
#[must_use]
pub fn encode(record: &TransactionRecord) -> EncodedRecord {
    let key = TransactionLogKey { transactional_id: Cow::Borrowed(&record.transactional_id) };
    EncodedRecord {
        key: Some(versioned(KEY_VERSION, &key)),
        value: record
            .transaction
            .as_ref()
            .map(|transaction| versioned(VALUE_VERSION, &value(transaction))),
    }
}

/// Reads a key and value; `None` for kinds that later brokers may add.
///
/// # Errors
/// When the bytes don't follow the schema that their version names.
pub fn decode(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<Option<TransactionRecord>, RecordError> {
    let (version, body) = split_version("key", key.unwrap_or_default())?;
    if version != KEY_VERSION {
        return Ok(None);
    }
    let key = read::<TransactionLogKey<'_>>(version, body)?;
    let transaction = value.map(decode_value).transpose()?.flatten();
    Ok(Some(TransactionRecord {
        transactional_id: TransactionalId::from(&*key.transactional_id),
        transaction,
    }))
}

fn value(transaction: &Transaction) -> TransactionLogValue<'_> {
    let mut topics = BTreeMap::<&str, Vec<i32>>::new();
    for (topic, partition) in &transaction.partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let topics = topics.into_iter().map(|(topic, partition_ids)| TransactionPartitions {
        topic: Cow::Borrowed(topic),
        partition_ids,
    });
    TransactionLogValue {
        producer_id: transaction.producer.id,
        previous_producer_id: transaction.previous_producer_id,
        next_producer_id: transaction.next_producer_id,
        producer_epoch: transaction.producer.epoch,
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_status: transaction.state.id(),
        transaction_partitions: (transaction.state != TransactionState::Empty)
            .then(|| topics.collect()),
        transaction_last_update_timestamp_ms: transaction.updated_at.0,
        transaction_start_timestamp_ms: transaction.started_at.map_or(-1, |at| at.0),
        client_transaction_version: transaction.client_version,
    }
}

fn decode_value(bytes: &[u8]) -> Result<Option<Transaction>, RecordError> {
    let (version, body) = split_version("value", bytes)?;
    let value = read::<TransactionLogValue<'_>>(version, body)?;
    let Some(state) = TransactionState::from_id(value.transaction_status) else {
        return match value.transaction_status {
            DEAD => Ok(None),
            number => Err(RecordError::UnknownState { number }),
        };
    };
    let topics = value.transaction_partitions.unwrap_or_default();
    let partitions = topics.iter().flat_map(|topic| {
        let name = TopicName::from(&*topic.topic);
        topic.partition_ids.iter().map(move |partition| (name.clone(), *partition))
    });
    let started_at = value.transaction_start_timestamp_ms;
    Ok(Some(Transaction {
        producer: Producer { id: value.producer_id, epoch: value.producer_epoch },
        previous_producer_id: value.previous_producer_id,
        next_producer_id: value.next_producer_id,
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions: partitions.collect::<BTreeSet<_>>(),
        started_at: (started_at >= 0).then_some(Timestamp(started_at)),
        updated_at: Timestamp(value.transaction_last_update_timestamp_ms),
        client_version: value.client_transaction_version,
    }))
}
