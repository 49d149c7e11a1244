//! The fixed part of a batch: what can be known without its records.

use super::{BatchError, HEADER_BYTES, LENGTH_PREFIX_BYTES};
use crate::error::ProtocolError;
use crate::primitive::Reader;

const ATTRIBUTE_COMPRESSION: i16 = 0x07;
pub(super) const ATTRIBUTE_LOG_APPEND_TIME: i16 = 0x08;
pub(super) const ATTRIBUTE_TRANSACTIONAL: i16 = 0x10;
pub(super) const ATTRIBUTE_CONTROL: i16 = 0x20;
const ATTRIBUTE_DELETE_HORIZON: i16 = 0x40;

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// snappy, in the framing of the Java client.
    Snappy,
    /// lz4, in its frame format.
    Lz4,
    /// zstd.
    Zstd,
}

impl Compression {
    /// Every codec.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this name; `producer` and `uncompressed` name none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.name() == name)
    }

    /// The number in the attributes.
    pub(super) fn codec(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The name that configs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Where the timestamps of a batch come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// Set by the producer, per record.
    CreateTime,
    /// Set by the broker when it appended the batch: the batch's max timestamp holds for every record.
    LogAppendTime,
}

/// The fixed part of a batch, as values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record (of the first one written, if compaction removed it).
    pub base_offset: i64,
    /// Bytes after the length field itself.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; -1 from a producer.
    pub partition_leader_epoch: i32,
    /// The message format, 2.
    pub magic: i8,
    /// CRC-32C from the attributes to the end.
    pub crc: u32,
    /// Compression, timestamp type and the transactional, control and delete-horizon flags.
    pub attributes: i16,
    /// Offset of the last record minus the base offset.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas start from, in milliseconds; the delete horizon if that flag is set.
    pub base_timestamp: i64,
    /// Largest timestamp in the batch, in milliseconds.
    pub max_timestamp: i64,
    /// The producer's id; -1 without idempotence.
    pub producer_id: i64,
    /// The producer's epoch; -1 without idempotence.
    pub producer_epoch: i16,
    /// Sequence number of the first record; -1 without idempotence.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the fixed part from the first [`HEADER_BYTES`]; the rest of the batch need not be there.
    ///
    /// # Errors
    /// When the header is cut, is not of format 2, or its length, count or codec cannot be true.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        // The magic byte stands where old formats have it too, and says more than "too short" would.
        if let Some(&magic) = bytes.get(16)
            && magic != 2
        {
            return Err(BatchError::UnsupportedMagic { magic: magic.cast_signed() });
        }
        let incomplete = |_: ProtocolError| BatchError::Incomplete {
            needed: HEADER_BYTES as u64,
            remaining: bytes.len() as u64,
        };
        let mut reader = Reader::new(bytes);
        let header = Self {
            base_offset: reader.read_i64("base offset").map_err(incomplete)?,
            batch_length: reader.read_i32("batch length").map_err(incomplete)?,
            partition_leader_epoch: reader
                .read_i32("partition leader epoch")
                .map_err(incomplete)?,
            magic: reader.read_i8("magic").map_err(incomplete)?,
            crc: reader.read_u32("crc").map_err(incomplete)?,
            attributes: reader.read_i16("attributes").map_err(incomplete)?,
            last_offset_delta: reader.read_i32("last offset delta").map_err(incomplete)?,
            base_timestamp: reader.read_i64("base timestamp").map_err(incomplete)?,
            max_timestamp: reader.read_i64("max timestamp").map_err(incomplete)?,
            producer_id: reader.read_i64("producer id").map_err(incomplete)?,
            producer_epoch: reader.read_i16("producer epoch").map_err(incomplete)?,
            base_sequence: reader.read_i32("base sequence").map_err(incomplete)?,
            record_count: reader.read_i32("record count").map_err(incomplete)?,
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), BatchError> {
        let min = HEADER_BYTES - LENGTH_PREFIX_BYTES;
        if usize::try_from(self.batch_length).map_or(true, |length| length < min) {
            return Err(BatchError::LengthTooSmall {
                declared: i64::from(self.batch_length),
                min: min as u64,
            });
        }
        let record_bytes = self.size_bytes() - HEADER_BYTES;
        let count_is_possible = match usize::try_from(self.record_count) {
            // Compressed records may take less than a byte each.
            Ok(count) => self.codec() != 0 || count <= record_bytes,
            Err(_) => false,
        };
        if !count_is_possible {
            return Err(BatchError::RecordCount {
                declared: self.record_count,
                remaining: record_bytes as u64,
            });
        }
        if self.codec() > 4 {
            return Err(BatchError::UnknownCompression { codec: self.codec() });
        }
        Ok(())
    }

    /// What holds for every batch in a log.
    pub(super) fn check_framing(&self) -> Result<(), BatchError> {
        if self.last_offset_delta < 0 { Err(self.last_offset_delta_error()) } else { Ok(()) }
    }

    /// What a producer's batch must keep.
    pub(super) fn check_produced(&self) -> Result<(), BatchError> {
        if self.record_count == 0 {
            let remaining = self.size_bytes().saturating_sub(HEADER_BYTES) as u64;
            return Err(BatchError::RecordCount { declared: 0, remaining });
        }
        if i64::from(self.last_offset_delta) + 1 != i64::from(self.record_count) {
            return Err(self.last_offset_delta_error());
        }
        Ok(())
    }

    fn last_offset_delta_error(&self) -> BatchError {
        BatchError::LastOffsetDelta {
            last_offset_delta: self.last_offset_delta,
            record_count: self.record_count,
        }
    }

    fn codec(&self) -> u8 {
        (self.attributes & ATTRIBUTE_COMPRESSION).to_be_bytes()[1]
    }

    /// Size of the whole batch in bytes, its length prefix included.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        usize::try_from(self.batch_length).unwrap_or(0) + LENGTH_PREFIX_BYTES
    }

    /// Offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset after the batch: where the next one starts.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// How the records are compressed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        match self.codec() {
            1 => Compression::Gzip,
            2 => Compression::Snappy,
            3 => Compression::Lz4,
            4 => Compression::Zstd,
            // `parse` lets no undefined codec through.
            _ => Compression::None,
        }
    }

    /// Where the timestamps come from.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & ATTRIBUTE_LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & ATTRIBUTE_TRANSACTIONAL != 0
    }

    /// Whether the batch holds control records (transaction markers), which consumers do not see.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & ATTRIBUTE_CONTROL != 0
    }

    /// When compaction may drop the tombstones and markers in the batch, in milliseconds, if it has said so.
    #[must_use]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & ATTRIBUTE_DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Whether the batch comes from an idempotent or transactional producer.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id >= 0
    }

    /// Sequence number of the last record; it wraps from 2147483647 to 0. -1 without idempotence.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        i32::try_from(last)
            .unwrap_or_else(|_| i32::try_from(last - i64::from(i32::MAX) - 1).unwrap_or(0))
    }
}
