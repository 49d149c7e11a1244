//! How each type of field is read and written.
//!
//! Types that may be null are `Option`s; whether a version allows the null is the declaration's business.

use std::borrow::Cow;

use super::{Decode, Encode};
use crate::encoder::Encoder;
use crate::error::ProtocolError;
use crate::primitive::{Reader, Uuid};

/// Room made for an array before its elements are read; past it, it grows as they come.
const RESERVED_ELEMENTS_MAX: usize = 1024;

macro_rules! numbers {
    ($( $type:ty, $read:ident, $bytes:literal; )*) => {
        $(
            impl<'a> Decode<'a> for $type {
                #[inline]
                fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
                    reader.$read(field)
                }

                #[inline]
                fn min_bytes(_version: i16, _flexible: bool) -> usize {
                    $bytes
                }
            }

            impl Encode for $type {
                #[inline]
                fn encode(&self, encoder: &mut Encoder, _field: &'static str) -> Result<(), ProtocolError> {
                    encoder.put(&self.to_be_bytes());
                    Ok(())
                }
            }
        )*
    };
}

numbers! {
    i8, read_i8, 1;
    u8, read_u8, 1;
    i16, read_i16, 2;
    u16, read_u16, 2;
    i32, read_i32, 4;
    u32, read_u32, 4;
    i64, read_i64, 8;
    f64, read_f64, 8;
}

impl<'a> Decode<'a> for bool {
    #[inline]
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
        Ok(reader.read_i8(field)? != 0)
    }

    fn min_bytes(_version: i16, _flexible: bool) -> usize {
        1
    }
}

impl Encode for bool {
    fn encode(&self, encoder: &mut Encoder, _field: &'static str) -> Result<(), ProtocolError> {
        encoder.put(&[u8::from(*self)]);
        Ok(())
    }
}

impl<'a> Decode<'a> for Uuid {
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
        let bytes = reader.take(field, 16)?;
        Ok(Self(bytes.first_chunk().copied().unwrap_or_default()))
    }

    fn min_bytes(_version: i16, _flexible: bool) -> usize {
        16
    }
}

impl Encode for Uuid {
    fn encode(&self, encoder: &mut Encoder, _field: &'static str) -> Result<(), ProtocolError> {
        encoder.put(&self.0);
        Ok(())
    }
}

fn not_null<T>(
    value: Option<T>,
    reader: &Reader<'_>,
    field: &'static str,
) -> Result<T, ProtocolError> {
    value.ok_or(ProtocolError::NullNotAllowed { field, version: reader.version() })
}

fn string_min_bytes(flexible: bool) -> usize {
    if flexible { 1 } else { 2 }
}

fn length_min_bytes(flexible: bool) -> usize {
    if flexible { 1 } else { 4 }
}

impl<'a> Decode<'a> for Cow<'a, str> {
    #[inline]
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
        let text = reader.read_nullable_str(field)?;
        Ok(Cow::Borrowed(not_null(text, reader, field)?))
    }

    fn min_bytes(_version: i16, flexible: bool) -> usize {
        string_min_bytes(flexible)
    }
}

impl Encode for Cow<'_, str> {
    fn encode(&self, encoder: &mut Encoder, field: &'static str) -> Result<(), ProtocolError> {
        encoder.put_str(field, Some(self))
    }
}

impl<'a> Decode<'a> for Option<Cow<'a, str>> {
    #[inline]
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
        Ok(reader.read_nullable_str(field)?.map(Cow::Borrowed))
    }

    fn min_bytes(_version: i16, flexible: bool) -> usize {
        string_min_bytes(flexible)
    }
}

impl Encode for Option<Cow<'_, str>> {
    fn encode(&self, encoder: &mut Encoder, field: &'static str) -> Result<(), ProtocolError> {
        encoder.put_str(field, self.as_deref())
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

impl<'a> Decode<'a> for Cow<'a, [u8]> {
    #[inline]
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
        let bytes = reader.read_nullable_bytes(field)?;
        Ok(Cow::Borrowed(not_null(bytes, reader, field)?))
    }

    fn min_bytes(_version: i16, flexible: bool) -> usize {
        length_min_bytes(flexible)
    }
}

impl Encode for Cow<'_, [u8]> {
    fn encode(&self, encoder: &mut Encoder, field: &'static str) -> Result<(), ProtocolError> {
        encoder.put_bytes(field, Some(self))
    }
}

impl<'a> Decode<'a> for Option<Cow<'a, [u8]>> {
    #[inline]
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
        Ok(reader.read_nullable_bytes(field)?.map(Cow::Borrowed))
    }

    fn min_bytes(_version: i16, flexible: bool) -> usize {
        length_min_bytes(flexible)
    }
}

impl Encode for Option<Cow<'_, [u8]>> {
    fn encode(&self, encoder: &mut Encoder, field: &'static str) -> Result<(), ProtocolError> {
        encoder.put_bytes(field, self.as_deref())
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

/// Records of a produce request: a slice of the frame.
impl<'a> Decode<'a> for Option<&'a [u8]> {
    #[inline]
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
        reader.read_nullable_bytes(field)
    }

    fn min_bytes(_version: i16, flexible: bool) -> usize {
        length_min_bytes(flexible)
    }
}

impl Encode for Option<&[u8]> {
    fn encode(&self, encoder: &mut Encoder, field: &'static str) -> Result<(), ProtocolError> {
        encoder.put_bytes(field, *self)
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

fn decode_elements<'a, T: Decode<'a>>(
    reader: &mut Reader<'a>,
    field: &'static str,
) -> Result<Option<Vec<T>>, ProtocolError> {
    let element_bytes = T::min_bytes(reader.version(), reader.flexible());
    let Some(count) = reader.read_array_count(field, element_bytes)? else {
        return Ok(None);
    };
    let mut elements = Vec::with_capacity(count.min(RESERVED_ELEMENTS_MAX));
    for _ in 0..count {
        elements.push(T::decode(reader, field)?);
    }
    Ok(Some(elements))
}

fn encode_elements<T: Encode>(
    elements: Option<&[T]>,
    encoder: &mut Encoder,
    field: &'static str,
) -> Result<(), ProtocolError> {
    encoder.put_length(field, elements.map(<[T]>::len))?;
    for element in elements.unwrap_or_default() {
        element.encode(encoder, field)?;
    }
    Ok(())
}

impl<'a, T: Decode<'a>> Decode<'a> for Vec<T> {
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
        let elements = decode_elements(reader, field)?;
        not_null(elements, reader, field)
    }

    fn min_bytes(_version: i16, flexible: bool) -> usize {
        length_min_bytes(flexible)
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, encoder: &mut Encoder, field: &'static str) -> Result<(), ProtocolError> {
        encode_elements(Some(self), encoder, field)
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Option<Vec<T>> {
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
        decode_elements(reader, field)
    }

    fn min_bytes(_version: i16, flexible: bool) -> usize {
        length_min_bytes(flexible)
    }
}

impl<T: Encode> Encode for Option<Vec<T>> {
    fn encode(&self, encoder: &mut Encoder, field: &'static str) -> Result<(), ProtocolError> {
        encode_elements(self.as_deref(), encoder, field)
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

/// A structure that may be null: a byte -1 for null, 1 in front of the structure.
impl<'a, T: Decode<'a>> Decode<'a> for Option<Box<T>> {
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
        match reader.read_i8(field)? {
            -1 => Ok(None),
            1 => Ok(Some(Box::new(T::decode(reader, field)?))),
            other => Err(ProtocolError::UndefinedValue { field, value: i64::from(other) }),
        }
    }

    fn min_bytes(_version: i16, _flexible: bool) -> usize {
        1
    }
}

impl<T: Encode> Encode for Option<Box<T>> {
    fn encode(&self, encoder: &mut Encoder, field: &'static str) -> Result<(), ProtocolError> {
        match self {
            Some(structure) => {
                encoder.put(&[1]);
                structure.encode(encoder, field)
            }
            None => {
                encoder.put(&(-1_i8).to_be_bytes());
                Ok(())
            }
        }
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}
