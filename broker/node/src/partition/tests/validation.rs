//! What batches of clients have to be, and what is done to them on their way in.

use aquifer_broker_log::LogConfig;
use aquifer_broker_protocol::batch::{Compression, TimestampType};

use super::*;
use crate::partition::validation;

/// The batch as it would be appended.
fn validate(
    records: &[u8],
    config: &PartitionConfig,
    now_ms: i64,
) -> Result<Vec<u8>, PartitionError> {
    let records = Bytes::copy_from_slice(records);
    let topic = validation::Topic { id: &id(3), config, now_ms };
    let batches = validation::validate(&records, records.len(), ALL, &topic)?;
    Ok(batches[0].pieces().concat())
}

/// What a batch of a client is answered with.
fn check(records: &[u8], config: &PartitionConfig, expected: Option<ErrorCode>) {
    let result = validate(records, config, NOW_MS);
    assert_eq!(result.as_ref().err().map(PartitionError::code), expected, "{result:?}");
}

#[test]
fn batches_of_clients_are_checked() {
    let config = PartitionConfig::default();
    let good = plain("value");
    let changed = |at: usize, byte: u8, renew_crc: bool| {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[at] = byte;
        if renew_crc && let Ok((batch, _)) = RecordBatch::parse(&bytes) {
            let crc = batch.computed_crc();
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        bytes
    };
    let options = BatchOptions::default();
    check(&good, &config, None);
    check(b"", &config, Some(ErrorCode::InvalidRecord));
    check(&[&good[..], &good[..]].concat(), &config, Some(ErrorCode::InvalidRecord));
    check(&good[..good.len() - 1], &config, Some(ErrorCode::InvalidRecord));
    check(&good[..40], &config, Some(ErrorCode::InvalidRecord));
    check(&changed(70, 9, false), &config, Some(ErrorCode::CorruptMessage));
    check(&changed(7, 9, false), &config, Some(ErrorCode::InvalidRecord));
    check(&changed(11, 20, false), &config, Some(ErrorCode::CorruptMessage));
    check(&changed(16, 1, true), &config, Some(ErrorCode::InvalidRecord));
    check(&changed(16, 3, true), &config, Some(ErrorCode::CorruptMessage));
    check(&changed(22, 6, true), &config, Some(ErrorCode::UnsupportedCompressionType));
    check(&changed(60, 2, true), &config, Some(ErrorCode::InvalidRecord));
    check(&changed(61, 90, true), &config, Some(ErrorCode::InvalidRecord));
    check(
        &batch(BatchOptions { control: true, ..options }, &["a"]),
        &config,
        Some(ErrorCode::InvalidRecord),
    );
    let transactional = BatchOptions {
        transactional: true,
        producer_id: 1,
        producer_epoch: 0,
        base_sequence: 0,
        ..options
    };
    check(&batch(transactional, &["a"]), &config, None);
    let epoch_below_0 = BatchOptions { producer_epoch: -1, ..transactional };
    check(&batch(epoch_below_0, &["a"]), &config, Some(ErrorCode::InvalidProducerEpoch));
    let sequence_below_0 = BatchOptions { base_sequence: -1, ..transactional };
    check(&batch(sequence_below_0, &["a"]), &config, Some(ErrorCode::InvalidRecord));
    check(
        &good,
        &PartitionConfig { message_bytes_max: 20, ..config.clone() },
        Some(ErrorCode::MessageTooLarge),
    );
    check(
        &good,
        &PartitionConfig { timestamp_after_max_ms: -1, ..config.clone() },
        Some(ErrorCode::InvalidTimestamp),
    );
    let log = LogConfig { cleanup_compact: true, ..LogConfig::default() };
    let mut keyless = BatchBuilder::new(options);
    keyless.push(NewRecord { timestamp_ms: NOW_MS, key: None, value: Some(b"v"), headers: &[] });
    let keyless = keyless.build().unwrap();
    check(&keyless, &config, None);
    check(&keyless, &PartitionConfig { log, ..config }, Some(ErrorCode::InvalidRecord));
}

#[test]
fn timestamps_are_put_right() {
    let config = PartitionConfig::default();
    let mut wrong = BytesMut::from(&plain("a")[..]);
    wrong[35..43].copy_from_slice(&5_i64.to_be_bytes());
    let crc = RecordBatch::parse(&wrong).unwrap().0.computed_crc();
    wrong[17..21].copy_from_slice(&crc.to_be_bytes());
    let fixed = validate(&wrong, &config, NOW_MS).unwrap();
    let (fixed, _) = RecordBatch::parse(&fixed).unwrap();
    fixed.verify_crc().unwrap();
    assert_eq!(fixed.max_timestamp(), NOW_MS);

    let stamping = PartitionConfig { log_append_time: true, ..config };
    let stamped = validate(&plain("a"), &stamping, NOW_MS + 9).unwrap();
    let (stamped, _) = RecordBatch::parse(&stamped).unwrap();
    stamped.verify_crc().unwrap();
    assert_eq!(
        (stamped.max_timestamp(), stamped.timestamp_type()),
        (NOW_MS + 9, TimestampType::LogAppendTime)
    );
}

#[test]
fn a_batch_that_a_broker_stamped_gets_its_own_times_back() {
    let options =
        BatchOptions { timestamp_type: TimestampType::LogAppendTime, ..BatchOptions::default() };
    let stamped = batch(options, &["a"]);
    let config = PartitionConfig::default();
    let taken = validate(&stamped, &config, NOW_MS).unwrap();
    let (taken, _) = RecordBatch::parse(&taken).unwrap();
    taken.verify_crc().unwrap();
    assert_eq!(taken.timestamp_type(), TimestampType::CreateTime);
    assert_eq!(taken.max_timestamp(), NOW_MS);
    // Where the broker gives the time a producer must not.
    let stamping = PartitionConfig { log_append_time: true, ..config };
    check(&stamped, &stamping, Some(ErrorCode::InvalidTimestamp));
}

#[test]
fn a_refusal_by_the_partition_tells_where_it_starts() {
    let config = PartitionConfig { message_bytes_max: 1000, ..PartitionConfig::default() };
    let good = plain("value");
    let check = |records: &[u8], expected: bool| {
        let refused = validate(records, &config, NOW_MS).unwrap_err();
        assert_eq!(refused.tells_log_start(), expected, "{refused}");
    };
    let mut moved = BytesMut::from(&good[..]);
    moved[7] = 9;
    check(&moved, true);
    check(&batch(BatchOptions { control: true, ..BatchOptions::default() }, &["a"]), true);
    check(&good[..40], false);
    check(&[&good[..], &good[..]].concat(), false);
    check(&plain(&"x".repeat(1000)), false);
    let mut torn = BytesMut::from(&good[..]);
    torn[70] ^= 1;
    check(&torn, false);
}

fn compacted() -> PartitionConfig {
    let log = LogConfig { cleanup_compact: true, ..LogConfig::default() };
    PartitionConfig { log, ..PartitionConfig::default() }
}

/// A batch of records with these keys and timestamps.
fn keyed(compression: Compression, records: &[(Option<&[u8]>, i64)]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions {
        compression,
        producer_id: 5,
        producer_epoch: 1,
        base_sequence: 7,
        ..BatchOptions::default()
    });
    for &(key, timestamp_ms) in records {
        let headers: &[(&[u8], Option<&[u8]>)] = &[(b"h", None)];
        builder.push(NewRecord { timestamp_ms, key, value: Some(b"value"), headers });
    }
    builder.build().unwrap()
}

fn refusal(records: &[u8], config: &PartitionConfig) -> RefusedRecords {
    match validate(records, config, NOW_MS) {
        Err(PartitionError::RefusedRecords(refused)) => *refused,
        other => panic!("{other:?}"),
    }
}

#[test]
fn refused_records_are_named_one_by_one_whatever_the_codec() {
    for compression in Compression::ALL {
        let some = Some(&b"k"[..]);
        let mixed = keyed(compression, &[(some, NOW_MS), (None, NOW_MS), (None, NOW_MS)]);
        check(&mixed, &PartitionConfig::default(), None);
        let refused = refusal(&mixed, &compacted());
        let message =
            "Compacted topic cannot accept message without key in topic partition orders-3";
        assert_eq!(refused.code, ErrorCode::InvalidRecord);
        assert_eq!(refused.records, [(1, message.to_owned()), (2, message.to_owned())]);
        assert!(refused.message.contains("due to 2 record errors in total"), "{}", refused.message);

        let old = keyed(compression, &[(some, NOW_MS), (some, NOW_MS - 11), (some, -1)]);
        let config = PartitionConfig { timestamp_before_max_ms: 10, ..PartitionConfig::default() };
        let refused = refusal(&old, &config);
        assert_eq!(refused.code, ErrorCode::InvalidTimestamp);
        let named: Vec<i32> = refused.records.iter().map(|(index, _)| *index).collect();
        assert_eq!(named, [1]);
        check(&old, &PartitionConfig { log_append_time: true, ..config }, None);
    }
}

#[test]
fn a_topic_with_a_codec_stores_all_batches_in_it() {
    let records = [(Some(&b"k"[..]), NOW_MS), (None, NOW_MS + 5), (Some(b""), NOW_MS)];
    for sent in Compression::ALL {
        let batch = keyed(sent, &records);
        for stored in Compression::ALL {
            let compression = Some((stored, None));
            let config = PartitionConfig { compression, ..PartitionConfig::default() };
            let bytes = validate(&batch, &config, NOW_MS).unwrap();
            let (found, rest) = RecordBatch::parse(&bytes).unwrap();
            assert!(rest.is_empty());
            found.verify_crc().unwrap();
            assert_eq!(found.compression(), stored, "sent as {}", sent.name());
            assert_eq!(sent == stored, bytes == batch);
            let (before, _) = RecordBatch::parse(&batch).unwrap();
            let before = before.decode_records(1 << 20).unwrap();
            let after = found.decode_records(1 << 20).unwrap();
            assert_eq!(after.bytes(), before.bytes());
            assert_eq!(
                (found.producer_id(), found.producer_epoch(), found.base_sequence()),
                (5, 1, 7)
            );
            assert_eq!((found.record_count(), found.max_timestamp()), (3, NOW_MS + 5));
        }
    }
}

#[test]
fn what_grows_past_the_limit_when_it_is_stored_anew_is_refused() {
    let value = "x".repeat(10_000);
    let mut builder = BatchBuilder::new(BatchOptions {
        compression: Compression::Gzip,
        ..BatchOptions::default()
    });
    builder.push(NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() });
    let config = PartitionConfig {
        compression: Some((Compression::None, None)),
        message_bytes_max: 1000,
        ..PartitionConfig::default()
    };
    check(&builder.build().unwrap(), &config, Some(ErrorCode::MessageTooLarge));
}

#[test]
fn strict_validation_opens_every_compressed_batch() {
    let good = keyed(Compression::Lz4, &[(None, NOW_MS), (None, NOW_MS)]);
    // A count that the records do not bear out.
    let mut wrong = BytesMut::from(&good[..]);
    wrong[23..27].copy_from_slice(&2_i32.to_be_bytes());
    wrong[57..61].copy_from_slice(&3_i32.to_be_bytes());
    let crc = RecordBatch::parse(&wrong).unwrap().0.computed_crc();
    wrong[17..21].copy_from_slice(&crc.to_be_bytes());
    let strict = PartitionConfig { validation: Validation::Strict, ..PartitionConfig::default() };
    check(&good, &strict, None);
    check(&wrong, &PartitionConfig::default(), None);
    assert!(validate(&wrong, &strict, NOW_MS).is_err());
}
