//! Batches that were built, batches of a second implementation, and batches that are wrong.

use bytes::{Bytes, BytesMut};
use kafka_protocol::records as theirs;
use proptest::prelude::*;

use super::*;

type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

#[derive(Debug, Clone, PartialEq)]
struct OwnedRecord {
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

fn bytes_strategy() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![9 => prop::collection::vec(any::<u8>(), 0..20), 1 => prop::collection::vec(any::<u8>(), 60..300)]
}

prop_compose! {
    fn record_strategy()(
        timestamp_ms in prop_oneof![0..2_000_000_000_000_i64, Just(0), Just(i64::MAX / 2)],
        key in prop::option::of(bytes_strategy()),
        value in prop::option::of(bytes_strategy()),
        headers in prop::collection::vec((bytes_strategy(), prop::option::of(bytes_strategy())), 0..4),
    ) -> OwnedRecord {
        OwnedRecord { timestamp_ms, key, value, headers }
    }
}

fn build(options: BatchOptions, records: &[OwnedRecord]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for record in records {
        let headers: Vec<(&[u8], Option<&[u8]>)> =
            record.headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
        builder.push(NewRecord {
            timestamp_ms: record.timestamp_ms,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        });
    }
    let size = builder.size_bytes();
    let bytes = builder.build().unwrap();
    assert_eq!(bytes.len(), size);
    bytes
}

fn owned(record: &Record<'_>) -> OwnedRecord {
    OwnedRecord {
        timestamp_ms: record.timestamp_ms,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record
            .headers
            .iter()
            .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
            .collect(),
    }
}

/// Two records, 74 bytes: the second has a key, a null value and a header.
fn sample() -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord { timestamp_ms: 1000, value: Some(b"v"), ..NewRecord::default() });
    builder.push(NewRecord {
        timestamp_ms: 1001,
        key: Some(b"k"),
        value: None,
        headers: &[(b"h", None)],
    });
    builder.build().unwrap().to_vec()
}

/// The sample with some bytes replaced, and the checksum made right again.
fn sample_with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = sample();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[test]
fn crc_is_castagnoli() {
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
}

#[test]
fn the_bytes_of_a_small_batch_are_known() {
    let bytes = sample();
    let records = b"\x0e\0\0\0\x01\x02v\0\x14\0\x02\x02\x02k\x01\x02\x02h\x01";
    assert_eq!(&bytes[HEADER_BYTES..], records);
    assert_eq!(&bytes[..17], b"\0\0\0\0\0\0\0\0\0\0\0\x44\xff\xff\xff\xff\x02");
    assert_eq!(&bytes[21..43], b"\0\0\0\0\0\x01\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\x03\xe9");
    assert_eq!(
        &bytes[43..61],
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x02"
    );
}

#[test]
fn a_view_says_what_the_header_says() {
    let options = BatchOptions {
        base_offset: 100,
        partition_leader_epoch: 3,
        producer_id: 9,
        producer_epoch: 4,
        base_sequence: i32::MAX,
        transactional: true,
        control: true,
        timestamp_type: TimestampType::LogAppendTime,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options);
    for timestamp_ms in [50, 70, 60] {
        builder.push(NewRecord { timestamp_ms, ..NewRecord::default() });
    }
    let bytes = builder.build().unwrap();
    let (batch, rest) = RecordBatch::parse(&bytes).unwrap();
    assert!(rest.is_empty());
    assert_eq!((batch.base_offset(), batch.last_offset(), batch.next_offset()), (100, 102, 103));
    assert_eq!(
        (batch.partition_leader_epoch(), batch.magic(), batch.size_bytes()),
        (3, 2, bytes.len())
    );
    assert_eq!(
        (batch.producer_id(), batch.producer_epoch(), batch.base_sequence()),
        (9, 4, i32::MAX)
    );
    assert_eq!(batch.header().last_sequence(), 1);
    assert_eq!((batch.base_timestamp(), batch.max_timestamp(), batch.record_count()), (50, 70, 3));
    assert_eq!(
        (batch.compression(), batch.timestamp_type()),
        (Compression::None, TimestampType::LogAppendTime)
    );
    assert!(batch.is_transactional() && batch.is_control() && batch.header().has_producer_id());
    assert_eq!(batch.header().delete_horizon_ms(), None);
    let timestamps: Vec<i64> =
        batch.records().unwrap().map(|record| record.unwrap().timestamp_ms).collect();
    assert_eq!(timestamps, [70, 70, 70]);
    batch.verify_crc().unwrap();
}

#[test]
fn offset_and_epoch_are_patched_without_the_checksum() {
    let mut bytes = sample();
    let before = RecordBatch::parse(&bytes).unwrap().0.crc();
    set_base_offset_and_epoch(&mut bytes, 91, 7).unwrap();
    let (batch, _) = RecordBatch::parse(&bytes).unwrap();
    assert_eq!((batch.base_offset(), batch.partition_leader_epoch(), batch.crc()), (91, 7, before));
    batch.verify_crc().unwrap();
    let offsets: Vec<i64> = batch.records().unwrap().map(|record| record.unwrap().offset).collect();
    assert_eq!(offsets, [91, 92]);
    let short = set_base_offset_and_epoch(&mut bytes[..60], 0, 0);
    assert_eq!(short, Err(BatchError::Incomplete { needed: 61, remaining: 60 }));
}

#[test]
fn log_append_time_holds_for_all_records_and_renews_the_checksum() {
    let mut bytes = sample();
    bytes.extend_from_slice(b"next batch");
    set_log_append_time(&mut bytes, 5000).unwrap();
    let (batch, rest) = RecordBatch::parse(&bytes).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(rest, b"next batch");
    assert_eq!(
        (batch.timestamp_type(), batch.max_timestamp()),
        (TimestampType::LogAppendTime, 5000)
    );
    assert!(batch.records().unwrap().all(|record| record.unwrap().timestamp_ms == 5000));
}

#[test]
fn batches_follow_each_other() {
    let both = [sample(), sample()].concat();
    assert_eq!(RecordBatch::parse_all(&both).filter(Result::is_ok).count(), 2);
    let cut: Vec<_> = RecordBatch::parse_all(&both[..100]).map(|batch| batch.map(|_| ())).collect();
    let size = sample().len();
    let remaining = 100 - size as u64;
    assert_eq!(cut, [Ok(()), Err(BatchError::Incomplete { needed: 61, remaining })]);
}

#[test]
fn compaction_may_leave_gaps_and_a_producer_may_not() {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push_at(2, NewRecord::default()).push_at(7, NewRecord::default());
    let bytes = builder.build().unwrap();
    let (batch, _) = RecordBatch::parse(&bytes).unwrap();
    assert_eq!(batch.last_offset_delta(), 7);
    batch.validate_framing().unwrap();
    let refused = BatchError::LastOffsetDelta { last_offset_delta: 7, record_count: 2 };
    assert_eq!(batch.validate_produced(), Err(refused));
}

#[test]
fn a_batch_without_records_is_not_built() {
    assert_eq!(BatchBuilder::new(BatchOptions::default()).build(), Err(BatchError::Empty));
}

/// Parses, checks the checksum and walks; the first complaint.
fn complaint(bytes: &[u8]) -> String {
    let checked = RecordBatch::parse(bytes).and_then(|(batch, _)| {
        batch.verify_crc()?;
        batch.validate_produced()?;
        batch.validate_framing()
    });
    match checked {
        Ok(()) => "none".to_owned(),
        Err(error) => format!("{error} ({})", error.code()),
    }
}

#[test]
fn wrong_batches_are_refused_with_the_reason() {
    let flipped = {
        let mut bytes = sample();
        bytes[70] ^= 1;
        bytes
    };
    let table: &[(&[u8], &str)] = &[
        (&sample(), "none"),
        (b"", "record batch needs 61 bytes but only 0 remain (CORRUPT_MESSAGE)"),
        (&sample()[..60], "record batch needs 61 bytes but only 60 remain (CORRUPT_MESSAGE)"),
        (&sample()[..70], "record batch needs 80 bytes but only 70 remain (CORRUPT_MESSAGE)"),
        (
            &sample_with(8, b"\0\0\0\x30"),
            "record batch length is 48, below the 49 bytes of a header (CORRUPT_MESSAGE)",
        ),
        (
            &sample_with(8, b"\xff\xff\xff\xff"),
            "record batch length is -1, below the 49 bytes of a header (CORRUPT_MESSAGE)",
        ),
        (
            &sample_with(8, b"\x7f\xff\xff\xff"),
            "record batch needs 2147483659 bytes but only 80 remain (CORRUPT_MESSAGE)",
        ),
        (
            &sample_with(16, b"\x01"),
            "record batch has magic 1, only 2 is supported (UNSUPPORTED_FOR_MESSAGE_FORMAT)",
        ),
        (
            &sample_with(22, b"\x07"),
            "record batch names compression codec 7, which is not defined (UNSUPPORTED_COMPRESSION_TYPE)",
        ),
        (&flipped, "record batch has crc 0x45058957 but says 0x8e53f2f2 (CORRUPT_MESSAGE)"),
        (
            &sample_with(57, b"\0\0\0\0"),
            "record batch says 0 records but its record bytes are 19 (INVALID_RECORD)",
        ),
        (
            &sample_with(57, b"\xff\xff\xff\xff"),
            "record batch says -1 records but its record bytes are 19 (INVALID_RECORD)",
        ),
        (
            &sample_with(57, b"\x7f\xff\xff\xff"),
            "record batch says 2147483647 records but its record bytes are 19 (INVALID_RECORD)",
        ),
        (
            &sample_with(57, b"\0\0\0\x01"),
            "record batch has last offset delta 1 for 1 records (INVALID_RECORD)",
        ),
        (
            &sample_with(23, b"\0\0\0\x02\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\x03\xe9"),
            "record batch has last offset delta 2 for 2 records (INVALID_RECORD)",
        ),
        (
            &sample_with(61, b"\x7f"),
            "record 0 of the batch: record length has a length of -64 (CORRUPT_MESSAGE)",
        ),
        (
            &sample_with(61, b"\x7e"),
            "record 0 of the batch: record says 63 bytes but only 18 remain (CORRUPT_MESSAGE)",
        ),
        (
            &sample_with(61, b"\x10"),
            "record 0 of the batch says 8 bytes but its fields take 7 (CORRUPT_MESSAGE)",
        ),
        (
            &sample_with(64, b"\x02"),
            "record 0 of the batch has offset delta 1, expected one more than the record before (INVALID_RECORD)",
        ),
        (
            &sample_with(65, b"\x03"),
            "record 0 of the batch: record key has a length of -2 (CORRUPT_MESSAGE)",
        ),
        (
            &sample_with(66, b"\x08"),
            "record 0 of the batch: record value says 4 bytes but only 2 remain (CORRUPT_MESSAGE)",
        ),
        (
            &sample_with(68, b"\x01"),
            "record 0 of the batch: header count has a length of -1 (CORRUPT_MESSAGE)",
        ),
        (
            &sample_with(68, b"\x02"),
            "record 0 of the batch: header count says 1 elements of at least 2 bytes but only 0 bytes remain (CORRUPT_MESSAGE)",
        ),
        (
            &sample_with(77, b"\x01"),
            "record 1 of the batch: header key is null, which version 2 does not allow (CORRUPT_MESSAGE)",
        ),
    ];
    for (bytes, expected) in table {
        assert_eq!(complaint(bytes), *expected);
    }
}

#[test]
fn bytes_after_the_last_record_are_refused() {
    let mut bytes = sample();
    bytes.push(0);
    let length = i32::try_from(bytes.len() - LENGTH_PREFIX_BYTES).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let (batch, _) = RecordBatch::parse(&bytes).unwrap();
    assert_eq!(
        batch.validate_framing(),
        Err(BatchError::TrailingBytes { records: 2, remaining: 1 })
    );
}

#[test]
fn compressed_records_are_not_walked() {
    let bytes = sample_with(22, b"\x04");
    let (batch, _) = RecordBatch::parse(&bytes).unwrap();
    assert_eq!(batch.compression(), Compression::Zstd);
    assert_eq!(batch.records().err(), Some(BatchError::Compressed { compression: "zstd" }));
    batch.validate_framing().unwrap();
    batch.validate_produced().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn prop_a_view_gives_back_what_was_built(
        base_offset in 0..i64::MAX / 2,
        records in prop::collection::vec(record_strategy(), 1..20),
    ) {
        let bytes = build(BatchOptions { base_offset, ..BatchOptions::default() }, &records);
        let (batch, rest) = RecordBatch::parse(&bytes).unwrap();
        prop_assert!(rest.is_empty());
        batch.verify_crc().unwrap();
        batch.validate_framing().unwrap();
        batch.validate_produced().unwrap();
        let read: Vec<Record<'_>> = batch.records().unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(read.iter().map(owned).collect::<Vec<_>>(), records);
        for (index, record) in (0..).zip(&read) {
            prop_assert_eq!(record.offset, base_offset + index);
            prop_assert_eq!(record.headers.len(), record.headers.iter().count());
        }
    }

    #[test]
    fn prop_a_second_implementation_reads_what_was_built(
        records in prop::collection::vec(record_strategy(), 1..20),
    ) {
        let records = without_repeated_headers(records);
        let bytes = build(BatchOptions { producer_id: 5, producer_epoch: 1, base_sequence: 7, ..BatchOptions::default() }, &records);
        let read = theirs::RecordBatchDecoder::decode(&mut bytes.clone()).unwrap().records;
        let owned: Vec<OwnedRecord> = read.iter().map(from_theirs).collect();
        prop_assert_eq!(owned, records);
    }

    #[test]
    fn prop_batches_of_a_second_implementation_are_read(
        records in prop::collection::vec(record_strategy(), 1..20),
    ) {
        let records = without_repeated_headers(records);
        let given: Vec<theirs::Record> = (0..).zip(&records).map(|(index, record)| to_theirs(index, record)).collect();
        let mut bytes = BytesMut::new();
        let options = theirs::RecordEncodeOptions { version: 2, compression: theirs::Compression::None };
        theirs::RecordBatchEncoder::encode(&mut bytes, given.iter(), &options).unwrap();
        let mut read = Vec::new();
        for batch in RecordBatch::parse_all(&bytes) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            batch.validate_produced().unwrap();
            read.extend(batch.records().unwrap().map(|record| owned(&record.unwrap())));
        }
        prop_assert_eq!(read, records);
    }

    #[test]
    fn prop_hostile_batches_are_refused_or_read(
        records in prop::collection::vec(record_strategy(), 1..5),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = build(BatchOptions::default(), &records).to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let cut = cut.index(bytes.len());
        for bytes in [&bytes[..], &bytes[..cut], &bytes[cut..]] {
            for batch in RecordBatch::parse_all(bytes).flatten() {
                let well_framed = batch.validate_framing().is_ok();
                if let Ok(records) = batch.records() {
                    let errors = records.filter(Result::is_err).count();
                    prop_assert!(!well_framed || errors == 0);
                }
                let produced = batch.validate_produced().is_ok();
                prop_assert!(!produced || well_framed);
            }
        }
        drop(set_log_append_time(&mut bytes, 1));
    }
}

/// Theirs keeps one header per name, and wants names in UTF-8.
fn without_repeated_headers(mut records: Vec<OwnedRecord>) -> Vec<OwnedRecord> {
    for record in &mut records {
        for (index, (key, _)) in record.headers.iter_mut().enumerate() {
            *key = format!("header {index}").into_bytes();
        }
    }
    records
}

fn from_theirs(record: &theirs::Record) -> OwnedRecord {
    OwnedRecord {
        timestamp_ms: record.timestamp,
        key: record.key.as_ref().map(|key| key.to_vec()),
        value: record.value.as_ref().map(|value| value.to_vec()),
        headers: record
            .headers
            .iter()
            .map(|(key, value)| {
                (key.as_bytes().to_vec(), value.as_ref().map(|value| value.to_vec()))
            })
            .collect(),
    }
}

fn to_theirs(index: i32, record: &OwnedRecord) -> theirs::Record {
    theirs::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: 5,
        producer_epoch: 1,
        timestamp_type: theirs::TimestampType::Creation,
        offset: i64::from(index),
        sequence: index,
        timestamp: record.timestamp_ms,
        key: record.key.clone().map(Bytes::from),
        value: record.value.clone().map(Bytes::from),
        headers: record
            .headers
            .iter()
            .map(|(key, value)| {
                let key =
                    kafka_protocol::protocol::StrBytes::from_utf8(key.clone().into()).unwrap();
                (key, value.clone().map(Bytes::from))
            })
            .collect(),
    }
}
