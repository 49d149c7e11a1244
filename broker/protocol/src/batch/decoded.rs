//! The records of a batch of any codec.

use std::borrow::Cow;

use super::{BatchError, BatchHeader, Compression, Records, Survey, record};
use crate::compression::decompress;

/// The records of a batch as plain bytes: borrowed if they were not compressed, else owned.
#[derive(Debug, Clone)]
pub struct DecodedRecords<'a> {
    header: BatchHeader,
    bytes: Cow<'a, [u8]>,
}

impl<'a> DecodedRecords<'a> {
    pub(super) fn decode(
        header: &BatchHeader,
        record_bytes: &'a [u8],
        bytes_max: usize,
    ) -> Result<Self, BatchError> {
        let bytes = match header.compression() {
            Compression::None => Cow::Borrowed(record_bytes),
            // What compaction emptied has no records to decompress.
            _ if header.record_count == 0 && record_bytes.is_empty() => Cow::Borrowed(record_bytes),
            compression @ (Compression::Gzip
            | Compression::Snappy
            | Compression::Lz4
            | Compression::Zstd) => Cow::Owned(
                decompress(compression, record_bytes, bytes_max)
                    .map_err(|source| BatchError::Compression { source })?,
            ),
        };
        Ok(Self { header: *header, bytes })
    }

    /// The records as they are laid out in an uncompressed batch.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same bytes, given away.
    #[must_use]
    pub fn into_bytes(self) -> Cow<'a, [u8]> {
        self.bytes
    }

    /// The records in order. After an error there are no more.
    #[must_use]
    pub fn iter(&self) -> Records<'_> {
        Records::from_decompressed(&self.header, &self.bytes)
    }

    /// Walks the records like [`RecordBatch::validate_framing`](super::RecordBatch::validate_framing), whatever the
    /// codec was.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn validate_framing(&self) -> Result<(), BatchError> {
        self.header.check_framing()?;
        record::walk(&self.header, &self.bytes, record::Deltas::Rising).map(drop)
    }

    /// Walks the records like [`RecordBatch::validate_produced`](super::RecordBatch::validate_produced), whatever the
    /// codec was.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn validate_produced(&self) -> Result<Survey, BatchError> {
        self.header.check_produced()?;
        record::walk(&self.header, &self.bytes, record::Deltas::Dense)
    }
}

impl<'a> IntoIterator for &'a DecodedRecords<'_> {
    type Item = Result<super::Record<'a>, BatchError>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}
