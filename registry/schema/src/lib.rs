//! Schemas as the registry sees them: parse, print canonically, normalise, compare. PURE.
//!
//! - The canonical text of a schema is what Confluent's registry makes of it, byte for byte: ids hang on it.
//! - Finding differences is separate from the policy that says which differences a level allows.
//! - Whatever the input, the answer is a value or an error: depth, size and work are bounded, nothing is fetched.
//!
//! A schema format is one file plus one in `compatibility/`, and a variant of [`SchemaType`] and [`ParsedSchema`].

#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

pub mod avro;
pub mod compatibility;
mod error;
mod identity;
pub mod json;
mod parsed;

pub use compatibility::{CompatibilityLevel, Previous};
pub use error::SchemaError;
pub use identity::{Metadata, Reference, SchemaIdentity};
pub use parsed::{ParsedSchema, ResolvedReference, SchemaType};

/// The longest schema text that is parsed, in bytes.
pub const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How deep types may nest inside one text. Reading and printing recurse, so the stack bounds it.
pub const NESTING_MAX: usize = 128;
/// How deep types may nest through references, and how deep two schemas are compared. The stack bounds it too.
pub const DEPTH_MAX: usize = 400;
/// How many types one schema may have, those of its references included.
pub const TYPES_MAX: usize = 100_000;
