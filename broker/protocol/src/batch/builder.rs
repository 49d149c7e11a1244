//! Builds batches: what coordinators append, what is compressed anew for a topic, and what tests produce.
//!
//! The batches of real producers are not its business where they are kept as they arrive.

use bytes::{BufMut, Bytes, BytesMut};

use super::header::{ATTRIBUTE_CONTROL, ATTRIBUTE_LOG_APPEND_TIME, ATTRIBUTE_TRANSACTIONAL};
use super::{BatchError, CRC_START, Compression, HEADER_BYTES, LENGTH_PREFIX_BYTES, TimestampType};
use crate::compression::compress_at_level;
use crate::primitive::Varint;

/// What stands in the header of a batch to be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    /// Offset of the first record; the broker overwrites it when it appends.
    pub base_offset: i64,
    /// Epoch of the leader; the broker overwrites it when it appends.
    pub partition_leader_epoch: i32,
    /// The producer's id; -1 without idempotence.
    pub producer_id: i64,
    /// The producer's epoch; -1 without idempotence.
    pub producer_epoch: i16,
    /// Sequence number of the first record; -1 without idempotence.
    pub base_sequence: i32,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
    /// Whether the records are control records.
    pub control: bool,
    /// Where the timestamps come from.
    pub timestamp_type: TimestampType,
    /// How the records are compressed when the batch is finished.
    pub compression: Compression,
    /// The level of the codec, its usual one if `None`.
    pub compression_level: Option<i32>,
}

impl Default for BatchOptions {
    /// A producer's batch without idempotence, not compressed.
    fn default() -> Self {
        Self {
            base_offset: 0,
            partition_leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            transactional: false,
            control: false,
            timestamp_type: TimestampType::CreateTime,
            compression: Compression::None,
            compression_level: None,
        }
    }
}

/// A record to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRecord<'a> {
    /// Its timestamp in milliseconds.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// Collects records and gives back the bytes of a batch.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    options: BatchOptions,
    records: BytesMut,
    count: i32,
    last_offset_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub fn new(options: BatchOptions) -> Self {
        let mut records = BytesMut::with_capacity(256);
        records.put_bytes(0, HEADER_BYTES);
        Self {
            options,
            records,
            count: 0,
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
        }
    }

    /// Adds a record at the next offset. The first one's timestamp becomes the base timestamp.
    pub fn push(&mut self, record: NewRecord<'_>) -> &mut Self {
        self.push_at(self.last_offset_delta.saturating_add(1), record)
    }

    /// Adds a record at an offset of its own, as compaction leaves them. Deltas must rise.
    pub fn push_at(&mut self, offset_delta: i32, record: NewRecord<'_>) -> &mut Self {
        if self.count == 0 {
            self.base_timestamp = record.timestamp_ms;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp_ms);
        let timestamp_delta = Varint::signed(record.timestamp_ms.wrapping_sub(self.base_timestamp));
        let offset_delta_varint = Varint::signed(i64::from(offset_delta));
        let header_count = signed_length(record.headers.len());

        let mut size =
            1 + timestamp_delta.size() + offset_delta_varint.size() + header_count.size();
        size += nullable_size(record.key) + nullable_size(record.value);
        for (key, value) in record.headers {
            size += nullable_size(Some(key)) + nullable_size(*value);
        }

        self.records.reserve(size + 5);
        self.records.put_slice(signed_length(size).as_bytes());
        self.records.put_u8(0);
        self.records.put_slice(timestamp_delta.as_bytes());
        self.records.put_slice(offset_delta_varint.as_bytes());
        self.put_nullable(record.key);
        self.put_nullable(record.value);
        self.records.put_slice(header_count.as_bytes());
        for (key, value) in record.headers {
            self.put_nullable(Some(key));
            self.put_nullable(*value);
        }
        self.count = self.count.saturating_add(1);
        self.last_offset_delta = offset_delta;
        self
    }

    fn put_nullable(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                self.records.put_slice(signed_length(bytes.len()).as_bytes());
                self.records.put_slice(bytes);
            }
            None => self.records.put_slice(Varint::signed(-1).as_bytes()),
        }
    }

    /// Records added so far.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.count
    }

    /// Size that the batch has so far, in bytes and before it is compressed.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.records.len()
    }

    /// The finished batch.
    ///
    /// # Errors
    /// When it has no records, or more bytes than the format can say, or its codec fails.
    pub fn build(mut self) -> Result<Bytes, BatchError> {
        if self.count == 0 {
            return Err(BatchError::Empty);
        }
        self.compress()?;
        let size = self.records.len();
        let Ok(batch_length) = i32::try_from(size - LENGTH_PREFIX_BYTES) else {
            return Err(BatchError::TooLarge { bytes: size as u64 });
        };
        let mut covered = BytesMut::with_capacity(HEADER_BYTES);
        covered.put_i16(self.attributes());
        covered.put_i32(self.last_offset_delta);
        covered.put_i64(self.base_timestamp);
        covered.put_i64(self.max_timestamp);
        covered.put_i64(self.options.producer_id);
        covered.put_i16(self.options.producer_epoch);
        covered.put_i32(self.options.base_sequence);
        covered.put_i32(self.count);
        self.put_at(CRC_START, &covered);
        let crc = crc32c::crc32c(self.records.get(CRC_START..).unwrap_or_default());

        let mut prefix = BytesMut::with_capacity(CRC_START);
        prefix.put_i64(self.options.base_offset);
        prefix.put_i32(batch_length);
        prefix.put_i32(self.options.partition_leader_epoch);
        prefix.put_i8(2);
        prefix.put_u32(crc);
        self.put_at(0, &prefix);
        Ok(self.records.freeze())
    }

    fn compress(&mut self) -> Result<(), BatchError> {
        let compression = self.options.compression;
        if compression == Compression::None {
            return Ok(());
        }
        let plain = self.records.get(HEADER_BYTES..).unwrap_or_default();
        let compressed = compress_at_level(compression, self.options.compression_level, plain)
            .map_err(|source| BatchError::Compression { source })?;
        self.records.truncate(HEADER_BYTES);
        self.records.extend_from_slice(&compressed);
        Ok(())
    }

    fn attributes(&self) -> i16 {
        let mut attributes = self.options.compression.codec();
        if self.options.transactional {
            attributes |= ATTRIBUTE_TRANSACTIONAL;
        }
        if self.options.control {
            attributes |= ATTRIBUTE_CONTROL;
        }
        match self.options.timestamp_type {
            TimestampType::CreateTime => attributes,
            TimestampType::LogAppendTime => attributes | ATTRIBUTE_LOG_APPEND_TIME,
        }
    }

    fn put_at(&mut self, at: usize, value: &[u8]) {
        // The header's room was made in `new`, so that the range is always there.
        if let Some(place) = self.records.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }
}

fn signed_length(length: usize) -> Varint {
    Varint::signed(i64::try_from(length).unwrap_or(i64::MAX))
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    match bytes {
        Some(bytes) => signed_length(bytes.len()).size() + bytes.len(),
        None => 1,
    }
}
