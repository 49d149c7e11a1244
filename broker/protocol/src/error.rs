//! What can be wrong with bytes from the wire, or with a value that is to become such bytes.

use crate::error_code::ErrorCode;

/// A request, response, header or record schema that cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A field of fixed size does not fit into what is left.
    #[error("{field} needs {needed} bytes but only {remaining} remain")]
    Truncated {
        /// The field being read.
        field: &'static str,
        /// Its size in bytes.
        needed: u64,
        /// Bytes left in the message.
        remaining: u64,
    },
    /// A length prefix points past the end of the message.
    #[error("{field} says {declared} bytes but only {remaining} remain")]
    LengthOverrun {
        /// The field being read.
        field: &'static str,
        /// The length it declares, in bytes.
        declared: u64,
        /// Bytes left in the message.
        remaining: u64,
    },
    /// An array declares more elements than the rest of the message can hold.
    #[error(
        "{field} says {declared} elements of at least {element_bytes} bytes but only {remaining} bytes remain"
    )]
    CountOverrun {
        /// The field being read.
        field: &'static str,
        /// The number of elements it declares.
        declared: u64,
        /// The smallest encoding of one element, in bytes.
        element_bytes: u64,
        /// Bytes left in the message.
        remaining: u64,
    },
    /// A length or count below -1.
    #[error("{field} has a length of {declared}")]
    NegativeLength {
        /// The field being read.
        field: &'static str,
        /// The length it declares.
        declared: i64,
    },
    /// A null where the version allows none.
    #[error("{field} is null, which version {version} does not allow")]
    NullNotAllowed {
        /// The field.
        field: &'static str,
        /// The version of the message.
        version: i16,
    },
    /// A string that is not UTF-8.
    #[error("{field} is not valid UTF-8")]
    InvalidUtf8 {
        /// The field being read.
        field: &'static str,
    },
    /// A variable-length integer that does not end within its type.
    #[error("{field} is a variable-length integer longer than {bits} bits")]
    VarintTooLong {
        /// The field being read.
        field: &'static str,
        /// The width of its type.
        bits: u32,
    },
    /// A marker byte with a value that the format does not define.
    #[error("{field} has the undefined value {value}")]
    UndefinedValue {
        /// The field being read.
        field: &'static str,
        /// What came.
        value: i64,
    },
    /// A tagged field whose content is shorter or longer than it declares.
    #[error("tagged field {field} declares {declared} bytes but its content has {used}")]
    TaggedFieldLength {
        /// The field being read.
        field: &'static str,
        /// The size it declares, in bytes.
        declared: u64,
        /// The size of its content, in bytes.
        used: u64,
    },
    /// Bytes after the end of a message.
    #[error("{remaining} bytes remain after the end of {message}")]
    TrailingBytes {
        /// The name of the message.
        message: &'static str,
        /// Bytes left over.
        remaining: u64,
    },
    /// A version of a message that is not declared.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// The name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// An API key that is not in the table.
    #[error(
        "api key {api_key} is not known (version {api_version}, correlation id {correlation_id})"
    )]
    UnknownApiKey {
        /// The key in the request header.
        api_key: i16,
        /// The version in the request header.
        api_version: i16,
        /// The correlation id in the request header.
        correlation_id: i32,
    },
    /// A value that the version to be written has no place for.
    #[error("{field} is set but version {version} cannot carry it")]
    FieldNotInVersion {
        /// The field being written.
        field: &'static str,
        /// The version being written.
        version: i16,
    },
    /// A value that is too long for its length prefix.
    #[error("{field} has a length of {length} but at most {max} can be written")]
    TooLong {
        /// The field being written.
        field: &'static str,
        /// Its length in bytes or elements.
        length: u64,
        /// The longest that its prefix can say.
        max: u64,
    },
    /// A message to be had in one piece, with records that lie elsewhere.
    #[error("{message} has records that do not lie in memory")]
    NotInMemory {
        /// The name of the message.
        message: &'static str,
    },
}

impl ProtocolError {
    /// The code that a client is told.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnsupportedVersion { .. } | Self::UnknownApiKey { .. } => {
                ErrorCode::UnsupportedVersion
            }
            Self::FieldNotInVersion { .. } | Self::TooLong { .. } | Self::NotInMemory { .. } => {
                ErrorCode::UnknownServerError
            }
            Self::Truncated { .. }
            | Self::LengthOverrun { .. }
            | Self::CountOverrun { .. }
            | Self::NegativeLength { .. }
            | Self::NullNotAllowed { .. }
            | Self::InvalidUtf8 { .. }
            | Self::VarintTooLong { .. }
            | Self::UndefinedValue { .. }
            | Self::TaggedFieldLength { .. }
            | Self::TrailingBytes { .. } => ErrorCode::InvalidRequest,
        }
    }
}
