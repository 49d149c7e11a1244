//! Kafka's wire format: frames, messages, record batches and error codes.
//!
//! - Pure: bytes and values in, bytes and values out.
//! - Bytes from outside are never trusted: every length and count is checked against the bytes that remain
//!   before anything is allocated, and bad input is an error, never a panic.
//! - Record batches stay the bytes they are; they are decompressed and rebuilt only where that is asked for.
//!
//! What a request means is the business of `broker/node` and `broker/coordinator`.

#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

#[doc(hidden)]
pub mod arbitrary;
pub mod batch;
pub mod compression;
pub mod control;
pub mod encoder;
mod error;
pub mod error_code;
pub mod frame;
#[cfg(test)]
mod fuzz;
pub mod message;
pub mod primitive;
pub mod request_header;
pub mod response_header;

pub use encoder::{Encoder, Segment};
pub use error::ProtocolError;
pub use error_code::ErrorCode;
pub use message::{ApiKey, Decode, Encode, Message};
pub use primitive::{Reader, Uuid};
