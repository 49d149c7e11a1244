//! The records of a fetched partition: batches that are passed on as they lie.

use bytes::Bytes;

use super::{Decode, Encode};
use crate::encoder::Encoder;
use crate::error::ProtocolError;
use crate::primitive::Reader;

/// Batches of a fetch response, wherever they are.
#[derive(Debug, Clone)]
pub enum Records<'a> {
    /// Part of the frame they were read from; encoding copies them.
    Borrowed(&'a [u8]),
    /// Bytes in memory; encoding passes them on as a segment.
    Shared(Bytes),
    /// Several pieces in memory, one behind the other; encoding passes each on as a segment.
    Chain(Vec<RecordsPiece>),
    /// Bytes that lie elsewhere; encoding passes the reference on as a segment.
    External {
        /// Means something to who sends the segments.
        id: usize,
        /// Size in bytes.
        length: u32,
    },
}

/// A piece of records that are not all in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordsPiece {
    /// Bytes in memory.
    Shared(Bytes),
    /// Bytes that lie elsewhere.
    External {
        /// Means something to who sends the segments.
        id: usize,
        /// Size in bytes.
        length: u32,
    },
}

fn external_size(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

impl Records<'_> {
    /// No records. A client must get zero bytes for that and not null: librdkafka takes null for an error.
    pub const EMPTY: Self = Self::Borrowed(&[]);

    /// Size in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Borrowed(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::Chain(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    RecordsPiece::Shared(bytes) => bytes.len(),
                    RecordsPiece::External { length, .. } => external_size(*length),
                })
                .sum(),
            Self::External { length, .. } => external_size(*length),
        }
    }

    /// The bytes, if they are in memory and in one piece.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Borrowed(bytes) => Some(bytes),
            Self::Shared(bytes) => Some(bytes),
            Self::Chain(pieces) => match pieces.as_slice() {
                [] => Some(&[]),
                [RecordsPiece::Shared(bytes)] => Some(bytes),
                _ => None,
            },
            Self::External { length: 0, .. } => Some(&[]),
            Self::External { .. } => None,
        }
    }
}

impl Default for Records<'_> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl PartialEq for Records<'_> {
    /// Records in memory are equal by content, wherever they lie.
    fn eq(&self, other: &Self) -> bool {
        match (self.as_bytes(), other.as_bytes()) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, None) => match (self, other) {
                (Self::Chain(ours), Self::Chain(theirs)) => ours == theirs,
                (
                    Self::External { id, length },
                    Self::External { id: other_id, length: other_length },
                ) => id == other_id && length == other_length,
                _ => false,
            },
            _ => false,
        }
    }
}

impl<'a> Decode<'a> for Option<Records<'a>> {
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError> {
        Ok(reader.read_nullable_bytes(field)?.map(Records::Borrowed))
    }

    fn min_bytes(_version: i16, flexible: bool) -> usize {
        if flexible { 1 } else { 4 }
    }
}

impl Encode for Option<Records<'_>> {
    fn encode(&self, encoder: &mut Encoder, field: &'static str) -> Result<(), ProtocolError> {
        encoder.put_length(field, self.as_ref().map(Records::size_bytes))?;
        match self {
            None => {}
            Some(Records::Borrowed(bytes)) => encoder.put(bytes),
            Some(Records::Shared(bytes)) => encoder.put_shared(bytes),
            Some(Records::Chain(pieces)) => {
                for piece in pieces {
                    match piece {
                        RecordsPiece::Shared(bytes) => encoder.put_shared(bytes),
                        RecordsPiece::External { id, length } => encoder.put_external(*id, *length),
                    }
                }
            }
            Some(Records::External { id, length }) => encoder.put_external(*id, *length),
        }
        Ok(())
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}
