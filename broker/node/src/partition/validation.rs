//! What a batch must be before it may enter a log.
//!
//! - An uncompressed batch is walked record by record; a compressed one is taken by its header.
//! - A batch gets a header of its own, so that it can be stamped; its records are copied only where keeping them would
//!   keep much more than them in memory.
//!
//! Producers' sequences are checked when the batch gets its offset, by the log.

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::batch::{
    BatchError, RecordBatch, StampedBatch, Survey, TimestampType,
};
use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::{AppendHow, Origin, PartitionConfig, PartitionError};

/// Smaller records are cheaper to copy than to keep the buffer of.
const KEPT_BYTES_MIN: usize = 16 << 10;
/// Records that are less than this part of their buffer are copied out of it.
const KEPT_PART_MIN: usize = 4;
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

/// The batches of one append: one, unless a machine of the broker made it.
pub(crate) type Batches = SmallVec<[StampedBatch; 1]>;

/// Checks records, batch by batch. `buffer_bytes` is what stays allocated for as long as a part of `records` is kept.
pub(crate) fn validate(
    records: &Bytes,
    buffer_bytes: usize,
    how: AppendHow,
    config: &PartitionConfig,
    now_ms: i64,
) -> Result<Batches, PartitionError> {
    let mut batches: Batches = match how.origin {
        Origin::Client => {
            let (batch, rest) = parse_one(records)?;
            if !rest.is_empty() {
                return Err(PartitionError::InvalidRecord(
                    "expected exactly one record batch".to_owned(),
                ));
            }
            let fixed = check_client_batch(&batch, config, now_ms)?;
            let mut stamped = StampedBatch::new(records, buffer_bytes)?;
            if let Some(max_timestamp) = fixed {
                stamped.set_max_timestamp(max_timestamp)?;
            }
            smallvec![stamped]
        }
        Origin::Coordinator => RecordBatch::parse_all(records)
            .map(|batch| {
                let batch = batch?;
                batch.validate_framing()?;
                Ok(StampedBatch::new(&records.slice_ref(batch.bytes()), buffer_bytes)?)
            })
            .collect::<Result<_, PartitionError>>()?,
    };
    if batches.is_empty() {
        return Err(PartitionError::InvalidRecord(
            "expected a record batch, got no bytes".to_owned(),
        ));
    }
    for batch in &mut batches {
        if batch.size_bytes() < KEPT_BYTES_MIN || batch.size_bytes() < buffer_bytes / KEPT_PART_MIN
        {
            batch.detach();
        }
        if config.log_append_time && how.origin == Origin::Client {
            batch.set_log_append_time(now_ms)?;
        }
    }
    Ok(batches)
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
    let survey = batch.validate_produced()?;
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
    check_records(batch, survey, config, now_ms)
}

fn check_records(
    batch: &RecordBatch<'_>,
    survey: Option<Survey>,
    config: &PartitionConfig,
    now_ms: i64,
) -> Result<Option<i64>, PartitionError> {
    let in_limits = |timestamp: i64| {
        let earliest = now_ms.saturating_sub(config.timestamp_before_max_ms);
        let latest = now_ms.saturating_add(config.timestamp_after_max_ms);
        if config.log_append_time || (earliest..=latest).contains(&timestamp) {
            return Ok(());
        }
        Err(PartitionError::InvalidTimestamp { timestamp, earliest, latest })
    };
    // Of a compressed batch only the header can be believed.
    let Some(Survey { timestamps, first_keyless }) = survey else {
        if batch.max_timestamp() != NO_TIMESTAMP {
            in_limits(batch.max_timestamp())?;
        }
        return Ok(None);
    };
    if config.log.cleanup_compact
        && let Some(record) = first_keyless
    {
        return Err(PartitionError::InvalidRecord(format!(
            "record {record} has no key, which a compacted topic needs"
        )));
    }
    let mut max_timestamp = NO_TIMESTAMP;
    if let Some((smallest, largest)) = timestamps {
        in_limits(smallest)?;
        in_limits(largest)?;
        max_timestamp = max_timestamp.max(largest);
    }
    // Look-ups by time trust the header, so that a producer's wrong one is put right, as Kafka does.
    Ok((max_timestamp != batch.max_timestamp()).then_some(max_timestamp))
}
