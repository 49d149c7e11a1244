//! gzip: one member or several, one behind the other.

use std::io::Read;

use flate2::bufread::{GzEncoder, MultiGzDecoder};

use super::{CompressionError, read_bounded};
use crate::batch::Compression;

/// The level that Kafka's clients use unless told otherwise.
const LEVEL: u32 = 6;

pub(super) fn compress(bytes: &[u8], level: Option<i32>) -> Result<Vec<u8>, CompressionError> {
    let level = match level {
        // -1 asks for the usual one.
        None | Some(-1) => LEVEL,
        Some(level) => level.clamp(1, 9).unsigned_abs(),
    };
    let mut compressed = Vec::new();
    GzEncoder::new(bytes, flate2::Compression::new(level))
        .read_to_end(&mut compressed)
        .map_err(|error| CompressionError::compress(Compression::Gzip, bytes, error))?;
    Ok(compressed)
}

pub(super) fn decompress(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    read_bounded(Compression::Gzip, MultiGzDecoder::new(bytes), bytes_max)
}
