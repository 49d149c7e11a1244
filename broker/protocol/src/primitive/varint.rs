//! Variable-length integers, to be written.

/// The longest encoding of a variable-length integer of 32 bits, in bytes.
pub const VARINT_BYTES_MAX: usize = 5;
/// The longest encoding of a variable-length integer of 64 bits, in bytes.
pub const VARLONG_BYTES_MAX: usize = 10;

/// An unsigned variable-length integer, ready to be appended.
#[derive(Debug, Clone, Copy)]
pub struct Varint {
    bytes: [u8; VARLONG_BYTES_MAX],
    length: usize,
}

impl Varint {
    /// The encoding of an unsigned integer.
    #[must_use]
    pub fn unsigned(mut value: u64) -> Self {
        let mut bytes = [0; VARLONG_BYTES_MAX];
        let mut length = 0;
        for slot in &mut bytes {
            length += 1;
            let low = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            if value == 0 {
                *slot = low;
                break;
            }
            *slot = low | 0x80;
        }
        Self { bytes, length }
    }

    /// The zigzag encoding of a signed integer.
    #[must_use]
    pub fn signed(value: i64) -> Self {
        Self::unsigned((value << 1).cast_unsigned() ^ (value >> 63).cast_unsigned())
    }

    /// The bytes of the encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }

    /// How many bytes the encoding has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.length
    }
}
