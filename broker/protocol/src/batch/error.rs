//! What can be wrong with a record batch.

use crate::compression::CompressionError;
use crate::error::ProtocolError;
use crate::error_code::ErrorCode;

/// A record batch that cannot be read, accepted or built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The buffer ends inside the batch. In a log this is a torn write, in a fetch response the cut end.
    #[error("record batch needs {needed} bytes but only {remaining} remain")]
    Incomplete {
        /// Bytes that the header, or the whole batch, takes.
        needed: u64,
        /// Bytes that are there.
        remaining: u64,
    },
    /// The batch length is smaller than a header, or negative.
    #[error("record batch length is {declared}, below the {min} bytes of a header")]
    LengthTooSmall {
        /// The length field: bytes after itself.
        declared: i64,
        /// The smallest valid length.
        min: u64,
    },
    /// A message format other than 2.
    #[error("record batch has magic {magic}, only 2 is supported")]
    UnsupportedMagic {
        /// What the magic byte says.
        magic: i8,
    },
    /// A codec that no Kafka version defines.
    #[error("record batch names compression codec {codec}, which is not defined")]
    UnknownCompression {
        /// The codec's number in the attributes.
        codec: u8,
    },
    /// The checksum does not match.
    #[error("record batch has crc {computed:#010x} but says {declared:#010x}")]
    Crc {
        /// The checksum in the header.
        declared: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// The record count is negative, or more records than the bytes can hold.
    #[error("record batch says {declared} records but its record bytes are {remaining}")]
    RecordCount {
        /// The count in the header.
        declared: i32,
        /// Bytes behind the header.
        remaining: u64,
    },
    /// A record that is not laid out as a record.
    #[error("record {index} of the batch: {source}")]
    Record {
        /// The record's position in the batch, from zero.
        index: u32,
        /// What is wrong with it.
        source: ProtocolError,
    },
    /// A record whose declared length is not the length of its fields.
    #[error("record {index} of the batch says {declared} bytes but its fields take {used}")]
    RecordLength {
        /// The record's position in the batch, from zero.
        index: u32,
        /// The length it declares, in bytes.
        declared: u64,
        /// Bytes that its fields take.
        used: u64,
    },
    /// Bytes after the last record.
    #[error("{remaining} bytes remain after the last of {records} records of the batch")]
    TrailingBytes {
        /// Records in the batch.
        records: u32,
        /// Bytes left over.
        remaining: u64,
    },
    /// An offset delta out of order, or past the batch's last.
    #[error("record {index} of the batch has offset delta {delta}, expected {expected}")]
    OffsetDelta {
        /// The record's position in the batch, from zero.
        index: u32,
        /// The delta it declares.
        delta: i32,
        /// What its place asks for.
        expected: &'static str,
    },
    /// The last offset delta does not go with the record count.
    #[error("record batch has last offset delta {last_offset_delta} for {record_count} records")]
    LastOffsetDelta {
        /// The delta in the header.
        last_offset_delta: i32,
        /// The count in the header.
        record_count: i32,
    },
    /// The records of a compressed batch cannot be walked without decompressing them.
    #[error("records are compressed with {compression}")]
    Compressed {
        /// The codec's name.
        compression: &'static str,
    },
    /// The records cannot be decompressed, or a batch to be built cannot be compressed.
    #[error("records of the batch: {source}")]
    Compression {
        /// What is wrong with them.
        source: CompressionError,
    },
    /// A batch to be built has no records.
    #[error("a record batch to be written has no records")]
    Empty,
    /// A batch to be built is larger than its length prefix can say.
    #[error("a record batch to be written has {bytes} bytes")]
    TooLarge {
        /// Its size in bytes.
        bytes: u64,
    },
}

impl BatchError {
    /// The code that a producer is told.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Incomplete { .. }
            | Self::LengthTooSmall { .. }
            | Self::Crc { .. }
            | Self::Record { .. }
            | Self::RecordLength { .. }
            | Self::TrailingBytes { .. } => ErrorCode::CorruptMessage,
            Self::UnsupportedMagic { .. } => ErrorCode::UnsupportedForMessageFormat,
            Self::UnknownCompression { .. } => ErrorCode::UnsupportedCompressionType,
            Self::RecordCount { .. }
            | Self::OffsetDelta { .. }
            | Self::LastOffsetDelta { .. }
            | Self::Compressed { .. }
            | Self::Empty => ErrorCode::InvalidRecord,
            Self::Compression { source } => match source {
                CompressionError::Corrupt { .. } => ErrorCode::InvalidRecord,
                CompressionError::TooLarge { .. } => ErrorCode::MessageTooLarge,
                CompressionError::Compress { .. } => ErrorCode::UnknownServerError,
            },
            Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
        }
    }
}
