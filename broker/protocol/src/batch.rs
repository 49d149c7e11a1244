//! Record batches of format 2: a borrowed view, checks, patches in place, and a builder.
//!
//! - A batch is read where it lies: its records are never copied; they are decompressed only by `decode_records`.
//! - The CRC-32C covers everything from the attributes on, so base offset and leader epoch can be patched
//!   without touching it.
//! - `parse` believes only lengths. Whether the checksum holds and the records are laid out as records is asked for
//!   separately, because a log that was checked once need not pay again.
//!
//! References: <https://kafka.apache.org/documentation/#recordbatch>.

mod builder;
#[cfg(test)]
mod client_batches;
mod decoded;
#[cfg(test)]
mod decoded_tests;
mod error;
mod header;
mod patch;
mod record;
mod stamped;
#[cfg(test)]
mod tests;

pub use builder::{BatchBuilder, BatchOptions, NewRecord};
pub use decoded::DecodedRecords;
pub use error::BatchError;
pub use header::{BatchHeader, Compression, TimestampType};
pub use patch::{set_base_offset_and_epoch, set_log_append_time};
pub use record::{Header, Headers, Record, Records, Survey};
pub use stamped::StampedBatch;

/// Bytes from the start of a batch to its first record.
pub const HEADER_BYTES: usize = 61;
/// Bytes that come before what the batch length counts: base offset and the length itself.
pub const LENGTH_PREFIX_BYTES: usize = 12;
/// Where the bytes start that the checksum covers.
pub(crate) const CRC_START: usize = 21;

/// A record batch where it lies.
#[derive(Debug, Clone, Copy)]
pub struct RecordBatch<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

macro_rules! header_getters {
    ($( $(#[$doc:meta])* $name:ident -> $type:ty = $($path:ident)? $(.$field:ident)?; )*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(&self) -> $type {
                $(self.header.$path())? $(self.header.$field)?
            }
        )*
    };
}

impl<'a> RecordBatch<'a> {
    /// Takes the batch at the start of `bytes`, and returns what follows it.
    ///
    /// # Errors
    /// When the batch is cut, is not of format 2, or its length, count or codec cannot be true.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let size = header.size_bytes();
        let Some((batch, rest)) = bytes.split_at_checked(size) else {
            return Err(BatchError::Incomplete {
                needed: size as u64,
                remaining: bytes.len() as u64,
            });
        };
        Ok((Self { header, bytes: batch }, rest))
    }

    /// The batches that lie one behind the other in `bytes`. After an error there are no more.
    pub fn parse_all(bytes: &'a [u8]) -> impl Iterator<Item = Result<Self, BatchError>> + 'a {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            match Self::parse(rest) {
                Ok((batch, after)) => {
                    rest = after;
                    Some(Ok(batch))
                }
                Err(error) => {
                    rest = &[];
                    Some(Err(error))
                }
            }
        })
    }

    /// The fixed part, as values.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, header included.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes behind the header: the records, compressed as the attributes say.
    #[must_use]
    pub fn record_bytes(&self) -> &'a [u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    header_getters! {
        /// Offset of the first record.
        base_offset -> i64 = .base_offset;
        /// Epoch of the leader that appended the batch; -1 from a producer.
        partition_leader_epoch -> i32 = .partition_leader_epoch;
        /// The message format, 2.
        magic -> i8 = .magic;
        /// The checksum in the header.
        crc -> u32 = .crc;
        /// The attribute bits.
        attributes -> i16 = .attributes;
        /// Offset of the last record minus the base offset.
        last_offset_delta -> i32 = .last_offset_delta;
        /// Timestamp that the records' deltas start from, in milliseconds.
        base_timestamp -> i64 = .base_timestamp;
        /// Largest timestamp in the batch, in milliseconds.
        max_timestamp -> i64 = .max_timestamp;
        /// The producer's id; -1 without idempotence.
        producer_id -> i64 = .producer_id;
        /// The producer's epoch; -1 without idempotence.
        producer_epoch -> i16 = .producer_epoch;
        /// Sequence number of the first record; -1 without idempotence.
        base_sequence -> i32 = .base_sequence;
        /// Number of records.
        record_count -> i32 = .record_count;
        /// Size of the whole batch in bytes.
        size_bytes -> usize = size_bytes;
        /// Offset of the last record.
        last_offset -> i64 = last_offset;
        /// The offset after the batch: where the next one starts.
        next_offset -> i64 = next_offset;
        /// How the records are compressed.
        compression -> Compression = compression;
        /// Where the timestamps come from.
        timestamp_type -> TimestampType = timestamp_type;
        /// Whether the batch belongs to a transaction.
        is_transactional -> bool = is_transactional;
        /// Whether the batch holds control records, which consumers do not see.
        is_control -> bool = is_control;
    }

    /// The checksum of the bytes as they are.
    #[must_use]
    pub fn computed_crc(&self) -> u32 {
        crc32c::crc32c(self.bytes.get(CRC_START..).unwrap_or_default())
    }

    /// Checks the checksum.
    ///
    /// # Errors
    /// When it does not match the bytes.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = self.computed_crc();
        if computed == self.header.crc {
            Ok(())
        } else {
            Err(BatchError::Crc { declared: self.header.crc, computed })
        }
    }

    /// The records of an uncompressed batch.
    ///
    /// # Errors
    /// When the batch is compressed.
    pub fn records(&self) -> Result<Records<'a>, BatchError> {
        match self.compression() {
            Compression::None => Ok(Records::new(&self.header, self.record_bytes())),
            compressed @ (Compression::Gzip
            | Compression::Snappy
            | Compression::Lz4
            | Compression::Zstd) => Err(BatchError::Compressed { compression: compressed.name() }),
        }
    }

    /// The records of any batch, decompressed into at most `bytes_max` bytes if they are compressed.
    ///
    /// # Errors
    /// When they cannot be decompressed, or become more than `bytes_max`. Uncompressed records are not bounded.
    pub fn decode_records(&self, bytes_max: usize) -> Result<DecodedRecords<'a>, BatchError> {
        DecodedRecords::decode(&self.header, self.record_bytes(), bytes_max)
    }

    /// Walks an uncompressed batch: lengths fit exactly, the count is right, offset deltas rise and stay below the last.
    /// A compressed batch passes: its records cannot be seen. Holds for every batch in a log, compacted ones included.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn validate_framing(&self) -> Result<(), BatchError> {
        self.header.check_framing()?;
        match self.compression() {
            Compression::None => {
                record::walk(&self.header, self.record_bytes(), record::Deltas::Rising).map(drop)
            }
            Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => {
                Ok(())
            }
        }
    }

    /// Like [`Self::validate_framing`], and what only a producer must keep: at least one record, and offset deltas
    /// 0, 1, 2 … without a gap. Returns what was seen on the way; nothing of a compressed batch.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn validate_produced(&self) -> Result<Option<Survey>, BatchError> {
        self.header.check_produced()?;
        match self.compression() {
            Compression::None => {
                record::walk(&self.header, self.record_bytes(), record::Deltas::Dense).map(Some)
            }
            Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => {
                Ok(None)
            }
        }
    }
}
