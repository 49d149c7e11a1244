//! Batches whose records have to be seen or written anew: where the topic has rules for records, or a codec of its own.
//!
//! - The records keep their bytes and their order; only what they are compressed with changes.

use aquifer_broker_protocol::batch::{Compression, DecodedRecords, RecordBatch, StampedBatch};
use aquifer_broker_protocol::compression::compress_at_level;
use bytes::{Bytes, BytesMut};

use crate::partition::{PartitionConfig, PartitionError, Validation};

/// How much the records of a batch may grow when they are opened: many times what a producer puts into a request.
const DECODED_BYTES_MAX: usize = 64 << 20;

/// Where a header has the length of what follows it, and its attributes.
const LENGTH_AT: std::ops::Range<usize> = 8..12;
const ATTRIBUTES_AT: std::ops::Range<usize> = 21..23;
/// The attribute bits that name the codec.
const CODEC_BITS: i16 = 7;
/// The attribute bit of `LogAppendTime`.
const LOG_APPEND_TIME_BIT: i16 = 8;

/// Whether the header of a producer's batch is not enough.
pub(super) fn is_needed(batch: &RecordBatch<'_>, config: &PartitionConfig) -> bool {
    let is_old_refused = config.timestamp_before_max_ms != i64::MAX && !config.log_append_time;
    let has_rules =
        config.log.cleanup_compact || is_old_refused || config.validation == Validation::Strict;
    is_recompressed(batch, config) || has_rules && batch.compression() != Compression::None
}

fn is_recompressed(batch: &RecordBatch<'_>, config: &PartitionConfig) -> bool {
    config.compression.is_some_and(|(codec, _)| codec != batch.compression())
}

/// The records of a batch.
pub(super) fn open<'a>(batch: &RecordBatch<'a>) -> Result<DecodedRecords<'a>, PartitionError> {
    Ok(batch.decode_records(DECODED_BYTES_MAX)?)
}

/// The batch with its records compressed as the topic wants them; `None` when they are so already.
pub(super) fn recompress(
    batch: &RecordBatch<'_>,
    records: &DecodedRecords<'_>,
    config: &PartitionConfig,
) -> Result<Option<StampedBatch>, PartitionError> {
    let Some((codec, level)) = config.compression.filter(|_| is_recompressed(batch, config)) else {
        return Ok(None);
    };
    let (header, _) = batch.bytes().split_at(batch.bytes().len() - batch.record_bytes().len());
    let compressed = compress_at_level(codec, level, records.bytes())
        .map_err(|err| PartitionError::InvalidRecord(err.to_string()))?;
    let mut bytes = BytesMut::with_capacity(header.len() + compressed.len());
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(&compressed);
    let length = i32::try_from(bytes.len() - LENGTH_AT.end).unwrap_or(i32::MAX);
    let attributes = batch.attributes() & !CODEC_BITS | codec_bits(codec);
    bytes[LENGTH_AT].copy_from_slice(&length.to_be_bytes());
    bytes[ATTRIBUTES_AT].copy_from_slice(&attributes.to_be_bytes());
    let bytes: Bytes = bytes.freeze();
    let mut stamped = StampedBatch::new(&bytes, bytes.len())?;
    // The checksum is made anew with it.
    stamped.set_max_timestamp(batch.max_timestamp())?;
    if stamped.size_bytes() > config.message_bytes_max {
        return Err(PartitionError::MessageTooLarge {
            size: stamped.size_bytes(),
            max: config.message_bytes_max,
        });
    }
    Ok(Some(stamped))
}

/// The batch without the mark that a broker gave its records their time.
pub(super) fn with_create_times(batch: &RecordBatch<'_>) -> Result<Bytes, PartitionError> {
    let mut bytes = BytesMut::from(batch.bytes());
    let attributes = batch.attributes() & !LOG_APPEND_TIME_BIT;
    bytes[ATTRIBUTES_AT].copy_from_slice(&attributes.to_be_bytes());
    let bytes = bytes.freeze();
    let mut stamped = StampedBatch::new(&bytes, bytes.len())?;
    // The checksum is made anew with it.
    stamped.set_max_timestamp(batch.max_timestamp())?;
    Ok(stamped.pieces().concat().into())
}

fn codec_bits(codec: Compression) -> i16 {
    match codec {
        Compression::None => 0,
        Compression::Gzip => 1,
        Compression::Snappy => 2,
        Compression::Lz4 => 3,
        Compression::Zstd => 4,
    }
}
