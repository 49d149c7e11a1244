//! Writes messages into a list of segments.
//!
//! - Records are never copied: bytes that are shared, or lie in a file, become segments of their own between the
//!   bytes that are written here. Only small ones are copied, because a segment costs more than they do.
//! - An encoder can also count instead of write, so that size and content come from the same code.

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::ProtocolError;
use crate::message::Encode;
use crate::primitive::Varint;

/// Shared bytes up to this size are copied: an iovec entry and a reference count would cost more.
const COPIED_BYTES_MAX: usize = 256;
/// Room made before the first byte is written: most responses fit.
const FIRST_BYTES: usize = 128;

/// A piece of a frame, in sending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Bytes as they are to be sent.
    Bytes(Bytes),
    /// `length` bytes that lie elsewhere, for example in a file; `id` means something to who put it there.
    External {
        /// Which piece.
        id: usize,
        /// Its size in bytes.
        length: u32,
    },
}

impl Segment {
    /// Size in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::External { length, .. } => usize::try_from(*length).unwrap_or(usize::MAX),
        }
    }
}

/// Writes one message of one version.
#[derive(Debug)]
pub struct Encoder {
    buffer: BytesMut,
    /// Segments that go between the written bytes, each with its place in `buffer`.
    inserts: Vec<(usize, Segment)>,
    size: usize,
    counting: bool,
    version: i16,
    flexible: bool,
}

impl Encoder {
    /// An encoder of one version of a message. Flexible versions have compact lengths and tagged fields (KIP-482).
    #[must_use]
    pub fn new(version: i16, flexible: bool) -> Self {
        Self {
            buffer: BytesMut::with_capacity(FIRST_BYTES),
            inserts: Vec::new(),
            size: 0,
            counting: false,
            version,
            flexible,
        }
    }

    /// An encoder that only counts.
    #[must_use]
    pub fn counting(version: i16, flexible: bool) -> Self {
        Self {
            buffer: BytesMut::new(),
            inserts: Vec::new(),
            size: 0,
            counting: true,
            version,
            flexible,
        }
    }

    /// The version of the message being written.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Whether that version is flexible.
    #[must_use]
    pub fn flexible(&self) -> bool {
        self.flexible
    }

    /// Switches between the rules of a header and those of its body.
    pub fn set_version(&mut self, version: i16, flexible: bool) {
        self.version = version;
        self.flexible = flexible;
    }

    /// Bytes written so far, segments included.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size
    }

    /// Writes bytes as they are.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.size += bytes.len();
        if !self.counting {
            self.buffer.put_slice(bytes);
        }
    }

    /// Writes bytes that are shared: as a segment of their own unless they are few.
    pub fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() <= COPIED_BYTES_MAX {
            self.put(bytes);
            return;
        }
        self.size += bytes.len();
        if !self.counting {
            self.inserts.push((self.buffer.len(), Segment::Bytes(bytes.clone())));
        }
    }

    /// Writes a reference to bytes that lie elsewhere.
    pub fn put_external(&mut self, id: usize, length: u32) {
        let segment = Segment::External { id, length };
        self.size += segment.size_bytes();
        if !self.counting && length > 0 {
            self.inserts.push((self.buffer.len(), segment));
        }
    }

    /// Writes an unsigned variable-length integer.
    #[inline]
    pub fn put_unsigned_varint(&mut self, value: u32) {
        self.put(Varint::unsigned(u64::from(value)).as_bytes());
    }

    /// Writes a length, or -1 for null, as four bytes or as a compact prefix.
    ///
    /// # Errors
    /// When the length does not fit its prefix.
    pub fn put_length(
        &mut self,
        field: &'static str,
        length: Option<usize>,
    ) -> Result<(), ProtocolError> {
        let length = match length {
            Some(length) => Some(i32::try_from(length).map_err(|_| ProtocolError::TooLong {
                field,
                length: length as u64,
                max: i32::MAX.unsigned_abs().into(),
            })?),
            None => None,
        };
        if self.flexible {
            self.put_unsigned_varint(length.map_or(0, |length| length.cast_unsigned() + 1));
        } else {
            self.put(&length.unwrap_or(-1).to_be_bytes());
        }
        Ok(())
    }

    /// Writes a string, or null.
    ///
    /// # Errors
    /// When it is longer than its prefix can say.
    pub fn put_str(
        &mut self,
        field: &'static str,
        text: Option<&str>,
    ) -> Result<(), ProtocolError> {
        let length = match text {
            Some(text) => i16::try_from(text.len()).map_err(|_| ProtocolError::TooLong {
                field,
                length: text.len() as u64,
                max: i16::MAX.unsigned_abs().into(),
            })?,
            None => -1,
        };
        if self.flexible {
            self.put_unsigned_varint((i32::from(length) + 1).cast_unsigned());
        } else {
            self.put(&length.to_be_bytes());
        }
        self.put(text.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// Writes a byte string, or null.
    ///
    /// # Errors
    /// When it is longer than its prefix can say.
    pub fn put_bytes(
        &mut self,
        field: &'static str,
        bytes: Option<&[u8]>,
    ) -> Result<(), ProtocolError> {
        self.put_length(field, bytes.map(<[u8]>::len))?;
        self.put(bytes.unwrap_or_default());
        Ok(())
    }

    /// Writes one tagged field: tag, size, content.
    ///
    /// # Errors
    /// When the content cannot be written.
    pub fn put_tagged_field(
        &mut self,
        tag: u32,
        field: &'static str,
        content: &impl Encode,
    ) -> Result<(), ProtocolError> {
        let mut counted = Self::counting(self.version, self.flexible);
        content.encode(&mut counted, field)?;
        let size = u32::try_from(counted.size).map_err(|_| ProtocolError::TooLong {
            field,
            length: counted.size as u64,
            max: u64::from(u32::MAX),
        })?;
        self.put_unsigned_varint(tag);
        self.put_unsigned_varint(size);
        content.encode(self, field)
    }

    /// Writes into the first four bytes how many follow them: the length prefix of a frame.
    ///
    /// # Errors
    /// When the frame is larger than its prefix can say.
    pub(crate) fn patch_frame_length(&mut self) -> Result<(), ProtocolError> {
        let length = self.size.saturating_sub(4);
        let prefix = i32::try_from(length).map_err(|_| ProtocolError::TooLong {
            field: "frame",
            length: length as u64,
            max: i32::MAX as u64,
        })?;
        if let Some(place) = self.buffer.get_mut(..4) {
            place.copy_from_slice(&prefix.to_be_bytes());
        }
        Ok(())
    }

    /// What was written, in sending order.
    #[must_use]
    pub fn finish(self) -> Vec<Segment> {
        let mut segments = Vec::with_capacity(self.inserts.len() * 2 + 1);
        let mut rest = self.buffer.freeze();
        let mut taken = 0;
        for (at, segment) in self.inserts {
            if at > taken {
                segments.push(Segment::Bytes(rest.split_to(at - taken)));
                taken = at;
            }
            segments.push(segment);
        }
        if !rest.is_empty() {
            segments.push(Segment::Bytes(rest));
        }
        segments
    }

    /// What was written as one piece, if nothing of it lies elsewhere.
    #[must_use]
    pub fn into_bytes(self) -> Option<Bytes> {
        if self.inserts.is_empty() {
            return Some(self.buffer.freeze());
        }
        let mut whole = BytesMut::with_capacity(self.size);
        for segment in self.finish() {
            match segment {
                Segment::Bytes(bytes) => whole.put_slice(&bytes),
                Segment::External { .. } => return None,
            }
        }
        Some(whole.freeze())
    }
}
