//! Control records: what ends a transaction in a partition.
//!
//! - A control batch holds one record. Its key says which kind it is, and its value belongs to that kind.
//! - Both start with a version; later versions may only add fields at the end, so that all are read as version 0.
//! - Consumers never see control records; compaction does not go by their keys.
//!
//! References: KIP-98.

use bytes::{Bytes, BytesMut};

use crate::batch::{BatchBuilder, BatchOptions, NewRecord, Record};
use crate::message;
use crate::message::Message;

message! {
    /// The key of a control record.
    pub struct ControlRecordKey [0..=0] {
        /// What kind it is: 0 aborts a transaction, 1 commits it, more are of KRaft.
        control_type: i16 [0..],
    }

    /// The value of a control record that ends a transaction.
    pub struct EndTransactionMarkerValue [0..=0] {
        /// Epoch of the coordinator that wrote it.
        coordinator_epoch: i32 [0..],
    }
}

const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// The marker that ends a transaction in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndTransactionMarker {
    /// Whether the transaction was committed; else it was aborted.
    pub commit: bool,
    /// Epoch of the coordinator that wrote it.
    pub coordinator_epoch: i32,
}

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlRecord {
    /// A transaction ended.
    EndTransaction(EndTransactionMarker),
    /// A kind that means nothing to a partition of records, or bytes that are no control record.
    Other,
}

impl EndTransactionMarker {
    /// The control batch that holds the marker, for the producer whose transaction it ends. The broker gives it its
    /// place when it appends it.
    #[must_use]
    pub fn batch(self, producer_id: i64, producer_epoch: i16, timestamp_ms: i64) -> BytesMut {
        let control_type = if self.commit { COMMIT } else { ABORT };
        let key = versioned(&ControlRecordKey { control_type });
        let coordinator_epoch = self.coordinator_epoch;
        let value = versioned(&EndTransactionMarkerValue { coordinator_epoch });
        let mut builder = BatchBuilder::new(BatchOptions {
            producer_id,
            producer_epoch,
            transactional: true,
            control: true,
            ..BatchOptions::default()
        });
        builder.push(NewRecord {
            timestamp_ms,
            key: Some(&key),
            value: Some(&value),
            ..NewRecord::default()
        });
        BytesMut::from(builder.build().expect("one small record makes a batch"))
    }
}

fn versioned(message: &impl Message) -> Bytes {
    message.to_versioned_bytes(0).expect("integers can be written in version 0")
}

/// Reads a record of a control batch.
#[must_use]
pub fn read_control(record: &Record<'_>) -> ControlRecord {
    read(record).map_or(ControlRecord::Other, ControlRecord::EndTransaction)
}

fn read(record: &Record<'_>) -> Option<EndTransactionMarker> {
    let commit = match first_version::<ControlRecordKey>(record.key?)?.control_type {
        COMMIT => true,
        ABORT => false,
        _ => return None,
    };
    let value = first_version::<EndTransactionMarkerValue>(record.value?)?;
    Some(EndTransactionMarker { commit, coordinator_epoch: value.coordinator_epoch })
}

/// Reads the fields of version 0 from this version or a later one.
fn first_version<'a, T: Message + message::Decode<'a>>(bytes: &'a [u8]) -> Option<T> {
    let (version, fields) = bytes.split_first_chunk::<2>()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    T::read(fields, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::RecordBatch;

    fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> ControlRecord {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.push(NewRecord { key, value, ..NewRecord::default() });
        let bytes = builder.build().unwrap();
        let (batch, _) = RecordBatch::parse(&bytes).unwrap();
        read_control(&batch.records().unwrap().next().unwrap().unwrap())
    }

    #[test]
    fn a_marker_is_a_control_batch_of_one_record_and_reads_as_it_was_written() {
        for marker in [
            EndTransactionMarker { commit: true, coordinator_epoch: 7 },
            EndTransactionMarker { commit: false, coordinator_epoch: -1 },
        ] {
            let bytes = marker.batch(4000, 3, 1_700_000_000_000);
            let (batch, rest) = RecordBatch::parse(&bytes).unwrap();
            assert!(rest.is_empty());
            batch.verify_crc().unwrap();
            batch.validate_produced().unwrap();
            assert!(batch.is_control() && batch.is_transactional());
            assert_eq!((batch.producer_id(), batch.producer_epoch()), (4000, 3));
            assert_eq!((batch.base_sequence(), batch.record_count()), (-1, 1));
            assert_eq!(batch.max_timestamp(), 1_700_000_000_000);
            let record = batch.records().unwrap().next().unwrap().unwrap();
            assert_eq!(read_control(&record), ControlRecord::EndTransaction(marker));
        }
    }

    #[test]
    fn the_bytes_are_those_of_kafka() {
        let bytes = EndTransactionMarker { commit: true, coordinator_epoch: 258 }.batch(1, 0, 0);
        // Length 16, no attributes, no deltas, key of 4: version 0 and type 1, value of 6: version 0 and the epoch.
        assert_eq!(
            &bytes[crate::batch::HEADER_BYTES..],
            b"\x20\0\0\0\x08\0\0\0\x01\x0c\0\0\0\0\x01\x02\0"
        );
        // Attributes: transactional and control.
        assert_eq!(&bytes[21..23], b"\0\x30");
    }

    #[test]
    fn a_second_implementation_reads_the_value() {
        use kafka_protocol::messages::EndTxnMarker;
        use kafka_protocol::protocol::Decodable;

        let bytes = EndTransactionMarker { commit: true, coordinator_epoch: 70_000 }.batch(1, 0, 0);
        let (batch, _) = RecordBatch::parse(&bytes).unwrap();
        let record = batch.records().unwrap().next().unwrap().unwrap();
        let mut value = Bytes::copy_from_slice(&record.value.unwrap()[2..]);
        assert_eq!(EndTxnMarker::decode(&mut value, 0).unwrap().coordinator_epoch, 70_000);
        assert!(value.is_empty());
    }

    #[test]
    fn later_versions_are_read_as_the_first_and_other_records_are_no_marker() {
        let marker = EndTransactionMarker { commit: false, coordinator_epoch: 5 };
        assert_eq!(
            record(Some(b"\0\x01\0\0more"), Some(b"\0\x02\0\0\0\x05more")),
            ControlRecord::EndTransaction(marker)
        );
        for (key, value) in [
            (None, Some(&b"\0\0\0\0\0\x05"[..])),
            (Some(&b"\0\0\0\0"[..]), None),
            (Some(b"\0\0\0"), Some(b"\0\0\0\0\0\x05")),
            (Some(b"\0\0\0\0"), Some(b"\0\0\0\0\0")),
            (Some(b"\xff\xff\0\0"), Some(b"\0\0\0\0\0\x05")),
            (Some(b"\0\0\0\0"), Some(b"\xff\xff\0\0\0\x05")),
            (Some(b"\0\0\0\x02"), Some(b"\0\0\0\0\0\x05")),
            (Some(b"\0\0\xff\xff"), Some(b"\0\0\0\0\0\x05")),
        ] {
            assert_eq!(record(key, value), ControlRecord::Other, "{key:?} {value:?}");
        }
    }
}
