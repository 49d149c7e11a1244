//! A batch on its way into a log: its header is its own and can be written, its records stay where they arrived.

use bytes::Bytes;

use super::header::ATTRIBUTE_LOG_APPEND_TIME;
use super::patch::{ATTRIBUTES_AT, CRC_AT, MAX_TIMESTAMP_AT, put};
use super::{
    BatchError, BatchHeader, CRC_START, HEADER_BYTES, RecordBatch, set_base_offset_and_epoch,
};

/// One batch in two pieces: the header, copied, and the records, shared with the buffer they came in.
#[derive(Debug, Clone)]
pub struct StampedBatch {
    head: [u8; HEADER_BYTES],
    records: Bytes,
    buffer_bytes: usize,
}

impl StampedBatch {
    /// Takes the one batch that `bytes` are, which lie in a buffer of `buffer_bytes`. Believes only lengths, as
    /// [`RecordBatch::parse`].
    ///
    /// # Errors
    /// When `bytes` are not exactly one batch of format 2.
    pub fn new(bytes: &Bytes, buffer_bytes: usize) -> Result<Self, BatchError> {
        let (batch, rest) = RecordBatch::parse(bytes)?;
        if !rest.is_empty() {
            let remaining = rest.len() as u64;
            return Err(BatchError::TrailingBytes { records: 0, remaining });
        }
        let (head, records) = batch.bytes().split_first_chunk().ok_or(incomplete(bytes.len()))?;
        Ok(Self { head: *head, records: bytes.slice_ref(records), buffer_bytes })
    }

    /// Puts the records into a buffer of their own, so that the one they came in can go.
    pub fn detach(&mut self) {
        self.records = Bytes::copy_from_slice(&self.records);
        self.buffer_bytes = self.records.len();
    }

    /// How much stays allocated for as long as the records are kept, bytes.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// The fixed part, as values.
    ///
    /// # Errors
    /// Never after [`Self::new`]; the header is read again.
    pub fn header(&self) -> Result<BatchHeader, BatchError> {
        BatchHeader::parse(&self.head)
    }

    /// Size of the whole batch in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        HEADER_BYTES + self.records.len()
    }

    /// The two pieces, in order.
    #[must_use]
    pub fn pieces(&self) -> [&[u8]; 2] {
        [&self.head, &self.records]
    }

    /// The two pieces, in order, to be kept: the header moves into a buffer of its own.
    #[must_use]
    pub fn into_pieces(self) -> [Bytes; 2] {
        [Bytes::copy_from_slice(&self.head), self.records]
    }

    /// Gives the batch its place in the partition. The checksum does not cover these fields.
    ///
    /// # Errors
    /// Never: the header is whole.
    pub fn set_base_offset_and_epoch(
        &mut self,
        base_offset: i64,
        partition_leader_epoch: i32,
    ) -> Result<(), BatchError> {
        set_base_offset_and_epoch(&mut self.head, base_offset, partition_leader_epoch)
    }

    /// Puts the largest timestamp right and renews the checksum.
    ///
    /// # Errors
    /// Never: the header is whole.
    pub fn set_max_timestamp(&mut self, max_timestamp_ms: i64) -> Result<(), BatchError> {
        put(&mut self.head, MAX_TIMESTAMP_AT, &max_timestamp_ms.to_be_bytes())?;
        let covered = self.head.get(CRC_START..).unwrap_or_default();
        let crc = crc32c::crc32c_append(crc32c::crc32c(covered), &self.records);
        put(&mut self.head, CRC_AT, &crc.to_be_bytes())
    }

    /// Gives all records the time of the append, and renews the checksum.
    ///
    /// # Errors
    /// Never: the header is whole.
    pub fn set_log_append_time(&mut self, log_append_time_ms: i64) -> Result<(), BatchError> {
        let attributes = self.header()?.attributes | ATTRIBUTE_LOG_APPEND_TIME;
        put(&mut self.head, ATTRIBUTES_AT, &attributes.to_be_bytes())?;
        self.set_max_timestamp(log_append_time_ms)
    }
}

fn incomplete(remaining: usize) -> BatchError {
    BatchError::Incomplete { needed: HEADER_BYTES as u64, remaining: remaining as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, BatchOptions, NewRecord, set_log_append_time};

    fn batch() -> Bytes {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for number in 0..3 {
            builder.push(NewRecord {
                timestamp_ms: 1_000 + number,
                key: Some(b"key"),
                value: Some(b"value"),
                headers: &[],
            });
        }
        builder.build().unwrap()
    }

    #[test]
    fn stamping_in_two_pieces_gives_the_bytes_of_stamping_in_one() {
        let bytes = batch();
        let mut stamped = StampedBatch::new(&bytes, 1_000).unwrap();
        assert_eq!(stamped.buffer_bytes(), 1_000);
        let mut whole = bytes.to_vec();
        stamped.set_base_offset_and_epoch(77, 5).unwrap();
        set_base_offset_and_epoch(&mut whole, 77, 5).unwrap();
        assert_eq!(stamped.pieces().concat(), whole);
        stamped.detach();
        assert!(stamped.buffer_bytes() < whole.len());
        stamped.set_log_append_time(123_456).unwrap();
        set_log_append_time(&mut whole, 123_456).unwrap();
        assert_eq!(stamped.pieces().concat(), whole);
        assert_eq!(stamped.size_bytes(), whole.len());
        assert_eq!(stamped.into_pieces().concat(), whole);
        assert!(RecordBatch::parse(&whole).unwrap().0.verify_crc().is_ok());
    }

    #[test]
    fn more_or_less_than_one_batch_is_refused() {
        let bytes = batch();
        assert!(StampedBatch::new(&bytes.slice(..bytes.len() - 1), 0).is_err());
        let two = Bytes::from([&bytes[..], &bytes[..]].concat());
        assert!(StampedBatch::new(&two, 0).is_err());
    }
}
