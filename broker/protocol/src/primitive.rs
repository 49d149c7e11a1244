//! Integers, varints, lengths and counts: the alphabet of Kafka's wire format, read from a slice.
//!
//! - Reading borrows; nothing is allocated here.
//! - A length or count is compared with the bytes that remain before it is believed.
//! - What a message does with its fields stands in `message/`; writing is the `Encoder`'s business.

#[cfg(test)]
mod tests;
mod uuid;
mod varint;

pub use uuid::{InvalidUuid, Uuid};
pub use varint::{VARINT_BYTES_MAX, VARLONG_BYTES_MAX, Varint};

use crate::error::ProtocolError;

/// Reads a message front to back, and knows the version that decides which fields exist and how they look.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    unknown_tagged_fields: u64,
}

macro_rules! fixed {
    ($( $(#[$doc:meta])* $name:ident -> $type:ty; )*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// When fewer bytes remain.
            #[inline]
            pub fn $name(&mut self, field: &'static str) -> Result<$type, ProtocolError> {
                Ok(<$type>::from_be_bytes(*self.chunk(field)?))
            }
        )*
    };
}

impl<'a> Reader<'a> {
    /// A reader of version 0 in the old, not flexible, format: what record batches and index files need.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::with_version(bytes, 0, false)
    }

    /// A reader of one version of a message. Flexible versions have compact lengths and tagged fields (KIP-482).
    #[must_use]
    pub fn with_version(bytes: &'a [u8], version: i16, flexible: bool) -> Self {
        Self { rest: bytes, version, flexible, unknown_tagged_fields: 0 }
    }

    /// The version of the message being read.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Whether that version is flexible.
    #[must_use]
    pub fn flexible(&self) -> bool {
        self.flexible
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many tagged fields were skipped because no declaration knows them.
    #[must_use]
    pub fn unknown_tagged_fields(&self) -> u64 {
        self.unknown_tagged_fields
    }

    #[inline]
    fn chunk<const N: usize>(&mut self, field: &'static str) -> Result<&'a [u8; N], ProtocolError> {
        let Some((chunk, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(ProtocolError::Truncated {
                field,
                needed: N as u64,
                remaining: self.rest.len() as u64,
            });
        };
        self.rest = rest;
        Ok(chunk)
    }

    fixed! {
        /// Reads a signed byte.
        read_i8 -> i8;
        /// Reads a byte.
        read_u8 -> u8;
        /// Reads a signed integer of two bytes.
        read_i16 -> i16;
        /// Reads an unsigned integer of two bytes.
        read_u16 -> u16;
        /// Reads a signed integer of four bytes.
        read_i32 -> i32;
        /// Reads an unsigned integer of four bytes.
        read_u32 -> u32;
        /// Reads a signed integer of eight bytes.
        read_i64 -> i64;
        /// Reads a floating-point number of eight bytes.
        read_f64 -> f64;
    }

    /// Takes `count` bytes as they are.
    ///
    /// # Errors
    /// When fewer bytes remain.
    #[inline]
    pub fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], ProtocolError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(ProtocolError::LengthOverrun {
                field,
                declared: count as u64,
                remaining: self.rest.len() as u64,
            });
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Reads an unsigned variable-length integer of at most 32 bits.
    ///
    /// # Errors
    /// When it does not end, or needs more bits.
    #[inline]
    pub fn read_unsigned_varint(&mut self, field: &'static str) -> Result<u32, ProtocolError> {
        if let Some((&first, rest)) = self.rest.split_first()
            && first < 0x80
        {
            self.rest = rest;
            return Ok(u32::from(first));
        }
        let wide = self.read_long_varint(field, VARINT_BYTES_MAX, 32)?;
        u32::try_from(wide).map_err(|_| ProtocolError::VarintTooLong { field, bits: 32 })
    }

    /// Reads an unsigned variable-length integer of at most 64 bits.
    ///
    /// # Errors
    /// When it does not end, or needs more bits.
    #[inline]
    pub fn read_unsigned_varlong(&mut self, field: &'static str) -> Result<u64, ProtocolError> {
        if let Some((&first, rest)) = self.rest.split_first()
            && first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(first));
        }
        self.read_long_varint(field, VARLONG_BYTES_MAX, 64)
    }

    fn read_long_varint(
        &mut self,
        field: &'static str,
        bytes_max: usize,
        bits: u32,
    ) -> Result<u64, ProtocolError> {
        let mut value: u64 = 0;
        for (index, &byte) in self.rest.iter().take(bytes_max).enumerate() {
            let shift = index * 7;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                return Err(ProtocolError::VarintTooLong { field, bits });
            }
            value |= low << shift;
            if byte < 0x80 {
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        if self.rest.len() >= bytes_max {
            Err(ProtocolError::VarintTooLong { field, bits })
        } else {
            let remaining = self.rest.len() as u64;
            Err(ProtocolError::Truncated { field, needed: remaining + 1, remaining })
        }
    }

    /// Reads a signed (zigzag) variable-length integer of at most 32 bits.
    ///
    /// # Errors
    /// When it does not end, or needs more bits.
    #[inline]
    pub fn read_varint(&mut self, field: &'static str) -> Result<i32, ProtocolError> {
        let raw = self.read_unsigned_varint(field)?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// Reads a signed (zigzag) variable-length integer of at most 64 bits.
    ///
    /// # Errors
    /// When it does not end, or needs more bits.
    #[inline]
    pub fn read_varlong(&mut self, field: &'static str) -> Result<i64, ProtocolError> {
        let raw = self.read_unsigned_varlong(field)?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// Takes bytes behind a signed variable-length length, where -1 is null: keys and values of records.
    ///
    /// # Errors
    /// When the length is below -1 or past the end.
    #[inline]
    pub fn read_varint_bytes(
        &mut self,
        field: &'static str,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        let length = self.read_varint(field)?;
        self.take_signed(field, length)
    }

    #[inline]
    fn take_signed(
        &mut self,
        field: &'static str,
        length: i32,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        match usize::try_from(length) {
            Ok(length) => self.take(field, length).map(Some),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(ProtocolError::NegativeLength { field, declared: i64::from(length) }),
        }
    }

    /// The length behind a compact prefix: one more than the length, zero for null.
    fn read_compact_length(&mut self, field: &'static str) -> Result<Option<usize>, ProtocolError> {
        let prefix = self.read_unsigned_varint(field)?;
        Ok(prefix.checked_sub(1).map(|length| usize::try_from(length).unwrap_or(usize::MAX)))
    }

    /// Takes the bytes of a string, `None` for null.
    ///
    /// # Errors
    /// When its length is below -1 or past the end, or it is not UTF-8.
    #[inline]
    pub fn read_nullable_str(
        &mut self,
        field: &'static str,
    ) -> Result<Option<&'a str>, ProtocolError> {
        let bytes = if self.flexible {
            match self.read_compact_length(field)? {
                Some(length) => Some(self.take(field, length)?),
                None => None,
            }
        } else {
            let length = self.read_i16(field)?;
            self.take_signed(field, i32::from(length))?
        };
        match bytes {
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(ProtocolError::InvalidUtf8 { field }),
            },
            None => Ok(None),
        }
    }

    /// Takes a byte string, `None` for null.
    ///
    /// # Errors
    /// When its length is below -1 or past the end.
    #[inline]
    pub fn read_nullable_bytes(
        &mut self,
        field: &'static str,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        if self.flexible {
            match self.read_compact_length(field)? {
                Some(length) => self.take(field, length).map(Some),
                None => Ok(None),
            }
        } else {
            let length = self.read_i32(field)?;
            self.take_signed(field, length)
        }
    }

    /// Reads the number of elements of an array, `None` for null, and refuses more than the rest can hold
    /// when each takes at least `element_bytes` (which counts as one if it is zero).
    ///
    /// # Errors
    /// When the count is below -1 or cannot be true.
    pub fn read_array_count(
        &mut self,
        field: &'static str,
        element_bytes: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        let count = if self.flexible {
            self.read_compact_length(field)?
        } else {
            let count = self.read_i32(field)?;
            match usize::try_from(count) {
                Ok(count) => Some(count),
                Err(_) if count == -1 => None,
                Err(_) => {
                    return Err(ProtocolError::NegativeLength {
                        field,
                        declared: i64::from(count),
                    });
                }
            }
        };
        let element_bytes = element_bytes.max(1);
        if let Some(count) = count
            && count.saturating_mul(element_bytes) > self.rest.len()
        {
            return Err(ProtocolError::CountOverrun {
                field,
                declared: count as u64,
                element_bytes: element_bytes as u64,
                remaining: self.rest.len() as u64,
            });
        }
        Ok(count)
    }

    /// Reads the tag and the content of one tagged field.
    ///
    /// # Errors
    /// When its size is past the end.
    pub fn read_tagged_field(&mut self) -> Result<(u32, &'a [u8]), ProtocolError> {
        let tag = self.read_unsigned_varint("tagged field's tag")?;
        let size = self.read_unsigned_varint("tagged field's size")?;
        let content = self.take("tagged field", usize::try_from(size).unwrap_or(usize::MAX))?;
        Ok((tag, content))
    }

    /// Reads the number of tagged fields that follow; each takes at least two bytes.
    ///
    /// # Errors
    /// When so many cannot follow.
    pub fn read_tagged_field_count(&mut self) -> Result<u32, ProtocolError> {
        let field = "tagged field count";
        let count = self.read_unsigned_varint(field)?;
        let remaining = self.rest.len() as u64;
        if u64::from(count) * 2 > remaining {
            return Err(ProtocolError::CountOverrun {
                field,
                declared: u64::from(count),
                element_bytes: 2,
                remaining,
            });
        }
        Ok(count)
    }

    /// Skips all tagged fields of a structure that declares none.
    ///
    /// # Errors
    /// When their sizes are past the end.
    pub fn skip_tagged_fields(&mut self) -> Result<(), ProtocolError> {
        for _ in 0..self.read_tagged_field_count()? {
            self.read_tagged_field()?;
            self.unknown_tagged_fields += 1;
        }
        Ok(())
    }

    /// A reader of the content of a tagged field, in the same version.
    #[must_use]
    pub fn nested(&self, content: &'a [u8]) -> Self {
        Self {
            rest: content,
            version: self.version,
            flexible: self.flexible,
            unknown_tagged_fields: 0,
        }
    }

    /// Checks that a nested reader used all of a tagged field, and takes over its count of unknown fields.
    ///
    /// # Errors
    /// When bytes are left in it.
    pub fn finish_nested(
        &mut self,
        field: &'static str,
        nested: &Reader<'a>,
        declared: usize,
    ) -> Result<(), ProtocolError> {
        self.unknown_tagged_fields += nested.unknown_tagged_fields;
        if nested.rest.is_empty() {
            return Ok(());
        }
        Err(ProtocolError::TaggedFieldLength {
            field,
            declared: declared as u64,
            used: declared.saturating_sub(nested.rest.len()) as u64,
        })
    }

    /// Notes that a tagged field was skipped because no declaration knows it.
    pub fn count_unknown_tagged_field(&mut self) {
        self.unknown_tagged_fields += 1;
    }
}
