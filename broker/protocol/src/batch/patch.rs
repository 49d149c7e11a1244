//! Changes to a batch in its buffer, as a broker makes them when it appends.

use super::header::ATTRIBUTE_LOG_APPEND_TIME;
use super::{BatchError, CRC_START, HEADER_BYTES, RecordBatch};

const BASE_OFFSET_AT: usize = 0;
const LEADER_EPOCH_AT: usize = 12;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;

/// Gives the batch at the start of `bytes` its place in the partition. The checksum does not cover these fields.
///
/// # Errors
/// When there is no whole header.
pub fn set_base_offset_and_epoch(
    bytes: &mut [u8],
    base_offset: i64,
    partition_leader_epoch: i32,
) -> Result<(), BatchError> {
    if bytes.len() < HEADER_BYTES {
        return Err(BatchError::Incomplete {
            needed: HEADER_BYTES as u64,
            remaining: bytes.len() as u64,
        });
    }
    put(bytes, BASE_OFFSET_AT, &base_offset.to_be_bytes())?;
    put(bytes, LEADER_EPOCH_AT, &partition_leader_epoch.to_be_bytes())
}

/// Gives all records of the batch at the start of `bytes` the time of the append, and renews the checksum.
///
/// # Errors
/// When there is no whole batch of format 2.
pub fn set_log_append_time(bytes: &mut [u8], log_append_time_ms: i64) -> Result<(), BatchError> {
    let (batch, _) = RecordBatch::parse(bytes)?;
    let (attributes, size) = (batch.attributes() | ATTRIBUTE_LOG_APPEND_TIME, batch.size_bytes());
    put(bytes, ATTRIBUTES_AT, &attributes.to_be_bytes())?;
    put(bytes, MAX_TIMESTAMP_AT, &log_append_time_ms.to_be_bytes())?;
    let crc = crc32c::crc32c(bytes.get(CRC_START..size).unwrap_or_default());
    put(bytes, CRC_AT, &crc.to_be_bytes())
}

pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Result<(), BatchError> {
    let remaining = bytes.len() as u64;
    match bytes.get_mut(at..at + value.len()) {
        Some(place) => {
            place.copy_from_slice(value);
            Ok(())
        }
        None => Err(BatchError::Incomplete { needed: (at + value.len()) as u64, remaining }),
    }
}
