//! snappy: raw, as librdkafka writes it, and in the blocks of the xerial library, as Java writes it.
//!
//! A xerial stream is a header of 16 bytes and then blocks, each behind its length in four bytes. The header may come
//! again where a block would: streams may be put one behind the other.

use super::CompressionError;
use crate::batch::Compression;
use crate::primitive::Reader;

/// The magic bytes of a xerial stream.
const MAGIC: &[u8] = b"\x82SNAPPY\0";
/// The version of the format, and the oldest that can read it.
const VERSIONS: &[u8] = b"\0\0\0\x01\0\0\0\x01";
/// The magic's start, where the length of a block would stand.
const MAGIC_LENGTH: u32 = u32::from_be_bytes([0x82, b'S', b'N', b'A']);
/// Bytes of input per block that is written, as Java's default.
const BLOCK_BYTES: usize = 32 * 1024;
/// No element of the format makes more than 64 bytes of its three, or of its literal more than itself.
const EXPANSION_MAX: usize = 22;

pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let failed = |error: String| CompressionError::compress(Compression::Snappy, bytes, error);
    let mut compressed = Vec::with_capacity(MAGIC.len() + VERSIONS.len() + bytes.len() / 2);
    compressed.extend_from_slice(MAGIC);
    compressed.extend_from_slice(VERSIONS);
    let mut encoder = snap::raw::Encoder::new();
    for block in bytes.chunks(BLOCK_BYTES) {
        let block = encoder.compress_vec(block).map_err(|error| failed(error.to_string()))?;
        let length = i32::try_from(block.len()).map_err(|error| failed(error.to_string()))?;
        compressed.extend_from_slice(&length.to_be_bytes());
        compressed.extend_from_slice(&block);
    }
    Ok(compressed)
}

pub(super) fn decompress(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    let mut decompressed = Vec::new();
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        append_block(&mut decompressed, bytes, bytes_max)?;
        return Ok(decompressed);
    };
    let corrupt = |error| CompressionError::corrupt(Compression::Snappy, error);
    loop {
        let mut reader = Reader::new(rest);
        reader.take("xerial versions", VERSIONS.len()).map_err(corrupt)?;
        rest = loop {
            if reader.remaining() == 0 {
                return Ok(decompressed);
            }
            let at = reader.rest();
            let length = reader.read_u32("xerial block length").map_err(corrupt)?;
            if length == MAGIC_LENGTH {
                break at.strip_prefix(MAGIC).ok_or_else(|| {
                    CompressionError::corrupt(Compression::Snappy, "a block with a false length")
                })?;
            }
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let block = reader.take("xerial block", length).map_err(corrupt)?;
            append_block(&mut decompressed, block, bytes_max)?;
        };
    }
}

/// Decompresses a raw block behind what is there.
fn append_block(
    decompressed: &mut Vec<u8>,
    block: &[u8],
    bytes_max: usize,
) -> Result<(), CompressionError> {
    let corrupt = |error| CompressionError::corrupt(Compression::Snappy, error);
    let length = snap::raw::decompress_len(block).map_err(corrupt)?;
    let start = decompressed.len();
    if length > bytes_max.saturating_sub(start) {
        return Err(CompressionError::too_large(Compression::Snappy, bytes_max));
    }
    if length > block.len().saturating_mul(EXPANSION_MAX) {
        return Err(CompressionError::corrupt(
            Compression::Snappy,
            format!("{} bytes say that they become {length}", block.len()),
        ));
    }
    decompressed.resize(start + length, 0);
    let place = decompressed.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new().decompress(block, place).map_err(corrupt)?;
    decompressed.truncate(start + written);
    Ok(())
}
