//! Cuts frames out of what a connection has received: four bytes of length, then the request.
//!
//! - A length is judged before a byte of its frame is kept: negative or above the limit ends the connection.
//! - Whoever speaks TLS or HTTP to a plaintext port is recognised, so that the log can say so.
//! - Knows nothing of what is inside a frame.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of the length in front of a frame.
pub const PREFIX_BYTES: usize = 4;

/// What a buffer has to offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// A whole frame without its length.
    Frame(Bytes),
    /// The buffer ends before the frame does; so many bytes are missing.
    Incomplete {
        /// Bytes to come until the frame (or its length) is whole.
        missing: usize,
    },
}

/// A connection that cannot go on, since its bytes have no frames to be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is negative.
    #[error("frame length is {declared}")]
    Negative {
        /// The length in the prefix.
        declared: i32,
    },
    /// The length is above the limit.
    #[error("frame length is {declared} bytes but at most {max} are accepted")]
    TooLarge {
        /// The length in the prefix.
        declared: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// A TLS client.
    #[error(
        "a TLS hello arrived on a plaintext listener: the client is configured for SSL and this port is not"
    )]
    TlsHello,
    /// An HTTP client.
    #[error(
        "an HTTP request ({verb}) arrived on a Kafka listener: this port speaks Kafka's protocol"
    )]
    Http {
        /// Its first bytes.
        verb: &'static str,
    },
}

/// Takes the next frame from the front of `buffer`, if it is whole.
///
/// # Errors
/// When there can be no frame: see [`FrameError`].
pub fn cut_frame(buffer: &mut BytesMut, frame_bytes_max: usize) -> Result<Cut, FrameError> {
    let Some(prefix) = buffer.first_chunk::<PREFIX_BYTES>() else {
        return Ok(Cut::Incomplete { missing: PREFIX_BYTES.saturating_sub(buffer.len()) });
    };
    let declared = i32::from_be_bytes(*prefix);
    let length = match usize::try_from(declared) {
        Ok(length) if length <= frame_bytes_max => length,
        Ok(length) => {
            let too_large =
                FrameError::TooLarge { declared: length as u64, max: frame_bytes_max as u64 };
            return Err(recognise(*prefix).unwrap_or(too_large));
        }
        Err(_) => return Err(FrameError::Negative { declared }),
    };
    let whole = PREFIX_BYTES + length;
    if buffer.len() < whole {
        return Ok(Cut::Incomplete { missing: whole - buffer.len() });
    }
    buffer.advance(PREFIX_BYTES);
    Ok(Cut::Frame(buffer.split_to(length).freeze()))
}

fn recognise(prefix: [u8; PREFIX_BYTES]) -> Option<FrameError> {
    match &prefix {
        // A TLS record of type handshake, protocol 3.x.
        [0x16, 0x03, _, _] => Some(FrameError::TlsHello),
        b"GET " => Some(FrameError::Http { verb: "GET" }),
        b"POST" => Some(FrameError::Http { verb: "POST" }),
        b"PUT " => Some(FrameError::Http { verb: "PUT" }),
        b"HEAD" => Some(FrameError::Http { verb: "HEAD" }),
        b"DELE" => Some(FrameError::Http { verb: "DELETE" }),
        b"OPTI" => Some(FrameError::Http { verb: "OPTIONS" }),
        b"PATC" => Some(FrameError::Http { verb: "PATCH" }),
        b"CONN" => Some(FrameError::Http { verb: "CONNECT" }),
        b"PRI " => Some(FrameError::Http { verb: "HTTP/2" }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(buffer: &[u8], max: usize, expected: Result<Cut, FrameError>) {
        assert_eq!(cut_frame(&mut BytesMut::from(buffer), max), expected);
    }

    #[test]
    fn whole_frames_are_cut_one_after_the_other() {
        let mut buffer = BytesMut::from(&b"\0\0\0\x02ab\0\0\0\0\0\0\0\x03c"[..]);
        assert_eq!(cut_frame(&mut buffer, 8), Ok(Cut::Frame(Bytes::from_static(b"ab"))));
        assert_eq!(cut_frame(&mut buffer, 8), Ok(Cut::Frame(Bytes::new())));
        assert_eq!(cut_frame(&mut buffer, 8), Ok(Cut::Incomplete { missing: 2 }));
        assert_eq!(&buffer[..], b"\0\0\0\x03c");
    }

    #[test]
    fn a_cut_prefix_says_what_is_missing() {
        check(b"", 8, Ok(Cut::Incomplete { missing: 4 }));
        check(b"\0\0\0", 8, Ok(Cut::Incomplete { missing: 1 }));
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_its_bytes_arrive() {
        check(b"\0\0\0\x09", 8, Err(FrameError::TooLarge { declared: 9, max: 8 }));
        check(b"\xff\xff\xff\xff", 8, Err(FrameError::Negative { declared: -1 }));
    }

    #[test]
    fn other_protocols_are_recognised() {
        let max = 100 * 1024 * 1024;
        check(b"\x16\x03\x01\x02\x00\x01", max, Err(FrameError::TlsHello));
        check(b"GET / HTTP/1.1\r\n", max, Err(FrameError::Http { verb: "GET" }));
        check(b"POST / HTTP/1.1\r\n", max, Err(FrameError::Http { verb: "POST" }));
        check(b"PRI * HTTP/2.0\r\n", max, Err(FrameError::Http { verb: "HTTP/2" }));
    }
}
