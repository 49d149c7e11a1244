//! The codecs of record batches: gzip, snappy, lz4 and zstd, as Kafka's clients write them.
//!
//! - What decompression gives is bounded by the caller; memory grows with what was really decoded, never with a size
//!   that the bytes only declare.
//! - Each codec reads every form that clients write, and writes the form of the Java client.
//! - More than one stream behind the other is read where the format says that it is one (gzip, xerial snappy, zstd).
//!
//! References: KIP-57 (lz4), KIP-110 (zstd), KIP-390 (levels).

use std::io::Read;

use crate::batch::Compression;

mod gzip;
mod lz4;
mod snappy;
#[cfg(test)]
mod tests;
mod zstd;

/// Bytes that cannot be decompressed or compressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompressionError {
    /// The bytes are not of the codec's format.
    #[error("{codec} data is not valid: {reason}")]
    Corrupt {
        /// The codec's name.
        codec: &'static str,
        /// What the codec says about them.
        reason: String,
    },
    /// The decompressed bytes are more than were allowed.
    #[error("{codec} data has more than {bytes_max} bytes when decompressed")]
    TooLarge {
        /// The codec's name.
        codec: &'static str,
        /// The bound.
        bytes_max: u64,
    },
    /// The codec cannot compress the bytes.
    #[error("cannot compress {bytes} bytes with {codec}: {reason}")]
    Compress {
        /// The codec's name.
        codec: &'static str,
        /// How many bytes it was given.
        bytes: u64,
        /// What the codec says.
        reason: String,
    },
}

impl CompressionError {
    fn corrupt(compression: Compression, reason: impl ToString) -> Self {
        Self::Corrupt { codec: compression.name(), reason: reason.to_string() }
    }

    fn too_large(compression: Compression, bytes_max: usize) -> Self {
        Self::TooLarge { codec: compression.name(), bytes_max: bytes_max as u64 }
    }

    fn compress(compression: Compression, bytes: &[u8], reason: impl ToString) -> Self {
        Self::Compress {
            codec: compression.name(),
            bytes: bytes.len() as u64,
            reason: reason.to_string(),
        }
    }
}

/// Compresses bytes at the codec's usual level.
///
/// # Errors
/// When the codec cannot; the formats set limits that a batch does not reach.
pub fn compress(compression: Compression, bytes: &[u8]) -> Result<Vec<u8>, CompressionError> {
    compress_at_level(compression, None, bytes)
}

/// Compresses bytes at a level of the codec, or at its usual one. Levels out of range are brought into it; snappy and
/// lz4 have none here.
///
/// # Errors
/// Those of [`compress`].
pub fn compress_at_level(
    compression: Compression,
    level: Option<i32>,
    bytes: &[u8],
) -> Result<Vec<u8>, CompressionError> {
    match compression {
        Compression::None => Ok(bytes.to_vec()),
        Compression::Gzip => gzip::compress(bytes, level),
        Compression::Snappy => snappy::compress(bytes),
        Compression::Lz4 => lz4::compress(bytes),
        Compression::Zstd => zstd::compress(bytes, level),
    }
}

/// Decompresses bytes into at most `bytes_max` bytes.
///
/// # Errors
/// When they are not of the codec's format, or become more than `bytes_max`.
pub fn decompress(
    compression: Compression,
    bytes: &[u8],
    bytes_max: usize,
) -> Result<Vec<u8>, CompressionError> {
    match compression {
        Compression::None if bytes.len() > bytes_max => {
            Err(CompressionError::too_large(compression, bytes_max))
        }
        Compression::None => Ok(bytes.to_vec()),
        Compression::Gzip => gzip::decompress(bytes, bytes_max),
        Compression::Snappy => snappy::decompress(bytes, bytes_max),
        Compression::Lz4 => lz4::decompress(bytes, bytes_max),
        Compression::Zstd => zstd::decompress(bytes, bytes_max),
    }
}

/// Reads a decoder to its end, or fails as soon as it gives more than `bytes_max`.
fn read_bounded(
    compression: Compression,
    decoder: impl Read,
    bytes_max: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut decompressed = Vec::new();
    let one_too_many = (bytes_max as u64).saturating_add(1);
    decoder
        .take(one_too_many)
        .read_to_end(&mut decompressed)
        .map_err(|error| CompressionError::corrupt(compression, error))?;
    if decompressed.len() > bytes_max {
        return Err(CompressionError::too_large(compression, bytes_max));
    }
    Ok(decompressed)
}
