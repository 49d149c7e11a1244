//! What a batch must be before it may enter a log.
//!
//! - An uncompressed batch is walked record by record; a compressed one is taken by its header.
//! - What passes is copied once, so that the request's buffer is free and the batch can be stamped in place.
//!
//! Producers' sequences are checked when the batch gets its offset, by the log.

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::batch::{
    BatchError, Compression, RecordBatch, TimestampType, set_log_append_time,
};
use bytes::BytesMut;

use super::{AppendHow, Origin, PartitionConfig, PartitionError};

/// Where a batch has its largest timestamp and its checksum.
const MAX_TIMESTAMP_AT: std::ops::Range<usize> = 35..43;
const CRC_AT: std::ops::Range<usize> = 17..21;
/// The timestamp of a record without one.
const NO_TIMESTAMP: i64 = -1;

impl From<BatchError> for PartitionError {
    fn from(err: BatchError) -> Self {
        if let BatchError::UnknownCompression { codec } = err {
            return Self::UnsupportedCompression(codec);
        }
        if err.code() == ErrorCode::CorruptMessage {
            return Self::CorruptMessage(err.to_string());
        }
        Self::InvalidRecord(err.to_string())
    }
}

/// Checks records and copies them, batch by batch.
pub(crate) fn validate(
    records: &[u8],
    how: AppendHow,
    config: &PartitionConfig,
    now_ms: i64,
) -> Result<Vec<BytesMut>, PartitionError> {
    let batches = match how.origin {
        Origin::Client => {
            let (batch, rest) = parse_one(records)?;
            if !rest.is_empty() {
                return Err(PartitionError::InvalidRecord(
                    "expected exactly one record batch".to_owned(),
                ));
            }
            let fixed = check_client_batch(&batch, config, now_ms)?;
            let mut copy = BytesMut::from(batch.bytes());
            if let Some(max_timestamp) = fixed {
                set_max_timestamp(&mut copy, max_timestamp)?;
            }
            vec![copy]
        }
        Origin::Coordinator => RecordBatch::parse_all(records)
            .map(|batch| {
                let batch = batch?;
                batch.validate_framing()?;
                Ok(BytesMut::from(batch.bytes()))
            })
            .collect::<Result<Vec<_>, PartitionError>>()?,
    };
    if batches.is_empty() {
        return Err(PartitionError::InvalidRecord(
            "expected a record batch, got no bytes".to_owned(),
        ));
    }
    if !config.log_append_time || how.origin == Origin::Coordinator {
        return Ok(batches);
    }
    batches
        .into_iter()
        .map(|mut batch| {
            set_log_append_time(&mut batch, now_ms)?;
            Ok(batch)
        })
        .collect()
}

fn parse_one(records: &[u8]) -> Result<(RecordBatch<'_>, &[u8]), PartitionError> {
    if records.is_empty() {
        return Err(PartitionError::InvalidRecord(
            "expected a record batch, got no bytes".to_owned(),
        ));
    }
    Ok(RecordBatch::parse(records)?)
}

/// Returns the largest timestamp when the header has another one.
fn check_client_batch(
    batch: &RecordBatch<'_>,
    config: &PartitionConfig,
    now_ms: i64,
) -> Result<Option<i64>, PartitionError> {
    if batch.size_bytes() > config.message_bytes_max {
        return Err(PartitionError::MessageTooLarge {
            size: batch.size_bytes(),
            max: config.message_bytes_max,
        });
    }
    batch.verify_crc()?;
    batch.validate_produced()?;
    if batch.is_control() {
        return Err(PartitionError::InvalidRecord(
            "clients may not write control batches".to_owned(),
        ));
    }
    if batch.is_transactional() {
        return Err(PartitionError::InvalidRequest("transactions are not supported".to_owned()));
    }
    if batch.header().has_producer_id() && (batch.base_sequence() < 0 || batch.producer_epoch() < 0)
    {
        return Err(PartitionError::InvalidRecord(format!(
            "producer {} has sequence {} and epoch {}",
            batch.producer_id(),
            batch.base_sequence(),
            batch.producer_epoch()
        )));
    }
    if batch.timestamp_type() == TimestampType::LogAppendTime {
        return Err(PartitionError::InvalidTimestampType);
    }
    check_records(batch, config, now_ms)
}

fn check_records(
    batch: &RecordBatch<'_>,
    config: &PartitionConfig,
    now_ms: i64,
) -> Result<Option<i64>, PartitionError> {
    let limits = (!config.log_append_time).then(|| {
        let earliest = now_ms.saturating_sub(config.timestamp_before_max_ms);
        (earliest, now_ms.saturating_add(config.timestamp_after_max_ms))
    });
    let in_limits = |timestamp: i64| match limits {
        Some((earliest, latest))
            if timestamp != NO_TIMESTAMP && !(earliest..=latest).contains(&timestamp) =>
        {
            Err(PartitionError::InvalidTimestamp { timestamp, earliest, latest })
        }
        _ => Ok(()),
    };
    if batch.compression() != Compression::None {
        in_limits(batch.max_timestamp())?;
        return Ok(None);
    }
    let mut max_timestamp = NO_TIMESTAMP;
    for record in batch.records()? {
        let record = record?;
        if config.log.cleanup_compact && record.key.is_none() {
            return Err(PartitionError::InvalidRecord(format!(
                "record {} has no key, which a compacted topic needs",
                record.offset_delta
            )));
        }
        in_limits(record.timestamp_ms)?;
        max_timestamp = max_timestamp.max(record.timestamp_ms);
    }
    Ok((max_timestamp != batch.max_timestamp()).then_some(max_timestamp))
}

/// Look-ups by time trust the header, so that a producer's wrong one is put right, as Kafka does.
fn set_max_timestamp(batch: &mut BytesMut, max_timestamp: i64) -> Result<(), PartitionError> {
    if let Some(place) = batch.get_mut(MAX_TIMESTAMP_AT) {
        place.copy_from_slice(&max_timestamp.to_be_bytes());
    }
    let crc = RecordBatch::parse(batch)?.0.computed_crc();
    if let Some(place) = batch.get_mut(CRC_AT) {
        place.copy_from_slice(&crc.to_be_bytes());
    }
    Ok(())
}
