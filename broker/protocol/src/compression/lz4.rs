//! lz4 in its frame format, version 1, with independent blocks: what Kafka's clients write and Java's can read.
//!
//! Checksums are checked where a frame has them. A frame with linked blocks or a dictionary is refused, as Kafka does.
//!
//! References: <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>.

use twox_hash::XxHash32;

use super::CompressionError;
use crate::batch::Compression;
use crate::primitive::Reader;

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
const VERSION_MASK: u8 = 0b1100_0000;
const VERSION_1: u8 = 0b0100_0000;
const INDEPENDENT_BLOCKS: u8 = 0b0010_0000;
const BLOCK_CHECKSUM: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;
const FLAG_RESERVED: u8 = 0b0000_0010;
const DICTIONARY: u8 = 0b0000_0001;
const DESCRIPTOR_RESERVED: u8 = 0b1000_1111;
/// The block size that is written, 64 KiB, as its code in the descriptor and in bytes.
const BLOCK_SIZE_CODE: u8 = 4;
const BLOCK_BYTES: usize = 64 * 1024;
/// The bit of a block's length that says that its bytes are not compressed.
const STORED: u32 = 0x8000_0000;
/// No byte of a block makes more than this many.
const EXPANSION_MAX: usize = 255;

pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let failed = |error: String| CompressionError::compress(Compression::Lz4, bytes, error);
    let descriptor = [VERSION_1 | INDEPENDENT_BLOCKS, BLOCK_SIZE_CODE << 4];
    let mut compressed = Vec::with_capacity(16 + bytes.len() / 2);
    compressed.extend_from_slice(&MAGIC);
    compressed.extend_from_slice(&descriptor);
    compressed.push(header_checksum(&descriptor));
    for block in bytes.chunks(BLOCK_BYTES) {
        let smaller = lz4_flex::block::compress(block);
        let (content, stored) =
            if smaller.len() < block.len() { (&smaller[..], 0) } else { (block, STORED) };
        let length = u32::try_from(content.len()).map_err(|error| failed(error.to_string()))?;
        compressed.extend_from_slice(&(length | stored).to_le_bytes());
        compressed.extend_from_slice(content);
    }
    compressed.extend_from_slice(&0_u32.to_le_bytes());
    Ok(compressed)
}

/// The second byte of the descriptor's hash.
fn header_checksum(descriptor: &[u8]) -> u8 {
    XxHash32::oneshot(0, descriptor).to_be_bytes()[2]
}

pub(super) fn decompress(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    let mut reader = Reader::new(bytes);
    let frame = Frame::read(&mut reader)?;
    let mut decompressed = Vec::new();
    loop {
        let word = read_u32(&mut reader, "block length")?;
        if word == 0 {
            break;
        }
        let length = usize::try_from(word & !STORED).unwrap_or(usize::MAX);
        if length > frame.block_bytes_max {
            return Err(corrupt(format!("a block of {length} bytes in a frame of smaller ones")));
        }
        let block = reader.take("block", length).map_err(corrupt)?;
        if frame.block_checksum && read_u32(&mut reader, "block checksum")? != hash(block) {
            return Err(corrupt("the checksum of a block does not match"));
        }
        let room = bytes_max.saturating_sub(decompressed.len());
        if word & STORED == 0 {
            frame.append_block(&mut decompressed, block, room, bytes_max)?;
        } else if block.len() > room {
            return Err(CompressionError::too_large(Compression::Lz4, bytes_max));
        } else {
            decompressed.extend_from_slice(block);
        }
    }
    if frame.content_checksum && read_u32(&mut reader, "content checksum")? != hash(&decompressed) {
        return Err(corrupt("the checksum of the content does not match"));
    }
    if frame.content_bytes.is_some_and(|declared| declared != decompressed.len() as u64) {
        return Err(corrupt("the size of the content does not match"));
    }
    match reader.remaining() {
        0 => Ok(decompressed),
        remaining => Err(corrupt(format!("{remaining} bytes remain after the frame"))),
    }
}

/// What a frame's descriptor says.
struct Frame {
    block_bytes_max: usize,
    block_checksum: bool,
    content_checksum: bool,
    content_bytes: Option<u64>,
}

impl Frame {
    fn read(reader: &mut Reader<'_>) -> Result<Self, CompressionError> {
        if reader.take("magic", MAGIC.len()).map_err(corrupt)? != MAGIC {
            return Err(corrupt("not a frame"));
        }
        let start = reader.rest();
        let flags = reader.read_u8("flags").map_err(corrupt)?;
        let descriptor = reader.read_u8("block size").map_err(corrupt)?;
        if flags & VERSION_MASK != VERSION_1 {
            return Err(corrupt("not a frame of version 1"));
        }
        if flags & FLAG_RESERVED != 0 || descriptor & DESCRIPTOR_RESERVED != 0 {
            return Err(corrupt("reserved bits are set"));
        }
        if flags & INDEPENDENT_BLOCKS == 0 || flags & DICTIONARY != 0 {
            return Err(corrupt("blocks that need others cannot be read"));
        }
        let code = u32::from(descriptor >> 4);
        if code < 4 {
            return Err(corrupt("the block size is not defined"));
        }
        let content_bytes = if flags & CONTENT_SIZE == 0 {
            None
        } else {
            let bytes = reader.take("content size", 8).map_err(corrupt)?;
            bytes.first_chunk().copied().map(u64::from_le_bytes)
        };
        let used = start.len().saturating_sub(reader.remaining());
        let checksum = reader.read_u8("header checksum").map_err(corrupt)?;
        if checksum != header_checksum(start.get(..used).unwrap_or_default()) {
            return Err(corrupt("the checksum of the header does not match"));
        }
        Ok(Self {
            block_bytes_max: 1 << (8 + 2 * code),
            block_checksum: flags & BLOCK_CHECKSUM != 0,
            content_checksum: flags & CONTENT_CHECKSUM != 0,
            content_bytes,
        })
    }

    /// Decompresses a block behind what is there, into at most `room` bytes.
    fn append_block(
        &self,
        decompressed: &mut Vec<u8>,
        block: &[u8],
        room: usize,
        bytes_max: usize,
    ) -> Result<(), CompressionError> {
        let start = decompressed.len();
        let possible = block.len().saturating_mul(EXPANSION_MAX).min(self.block_bytes_max);
        decompressed.resize(start + possible.min(room), 0);
        let place = decompressed.get_mut(start..).unwrap_or_default();
        match lz4_flex::block::decompress_into(block, place) {
            Ok(written) => {
                decompressed.truncate(start + written);
                Ok(())
            }
            Err(lz4_flex::block::DecompressError::OutputTooSmall { .. }) if room < possible => {
                Err(CompressionError::too_large(Compression::Lz4, bytes_max))
            }
            Err(error) => Err(corrupt(error)),
        }
    }
}

fn corrupt(reason: impl ToString) -> CompressionError {
    CompressionError::corrupt(Compression::Lz4, reason)
}

fn hash(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}

fn read_u32(reader: &mut Reader<'_>, field: &'static str) -> Result<u32, CompressionError> {
    reader.read_u32(field).map(u32::swap_bytes).map_err(corrupt)
}
