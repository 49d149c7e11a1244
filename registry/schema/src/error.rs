//! Why a schema is refused.

/// A schema that can't be used. Its message is meant for whoever wrote the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The text is not JSON.
    #[error("{reason} at line {line}, column {column}")]
    Syntax {
        /// What is wrong.
        reason: String,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
    },
    /// The text is JSON and no schema.
    #[error("{0}")]
    Invalid(String),
    /// A bound was exceeded.
    #[error("schema is too large: {what} is limited to {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The schema's type is not supported.
    #[error("schema type {0} is not supported")]
    UnsupportedType(String),
}

impl SchemaError {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        SchemaError::Invalid(text.into())
    }
}
