//! zstd: one frame or several, one behind the other.

use zstd::stream::read::Decoder;

use super::{CompressionError, read_bounded};
use crate::batch::Compression;

/// The level that Kafka's clients use unless told otherwise.
const LEVEL: i32 = 3;
/// The largest window that is decoded, 128 MiB: what the highest level writes, and what Java's decoder takes. Its memory
/// is used only as far as bytes are decoded.
const WINDOW_LOG_MAX: u32 = 27;

pub(super) fn compress(bytes: &[u8], level: Option<i32>) -> Result<Vec<u8>, CompressionError> {
    let range = zstd::compression_level_range();
    let level = level.unwrap_or(LEVEL).clamp(*range.start(), *range.end());
    zstd::bulk::compress(bytes, level)
        .map_err(|error| CompressionError::compress(Compression::Zstd, bytes, error))
}

pub(super) fn decompress(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    let corrupt = |error| CompressionError::corrupt(Compression::Zstd, error);
    if bytes.is_empty() {
        return Err(CompressionError::corrupt(Compression::Zstd, "no frame"));
    }
    let mut decoder = Decoder::with_buffer(bytes).map_err(corrupt)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(corrupt)?;
    read_bounded(Compression::Zstd, decoder, bytes_max)
}
