//! TABLE: what goes wrong, with the status, code and words of Confluent's registry.

use aquifer_broker_client::ClientError;
use aquifer_registry_schema::SchemaError;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("Subject '{0}' not found.")]
    SubjectNotFound(String),
    #[error("Version {0} not found.")]
    VersionNotFound(i32),
    #[error("Schema not found")]
    SchemaNotFound,
    #[error("Schema {0} not found")]
    IdNotFound(i32),
    #[error("Subject '{0}' was soft deleted.Set permanent=true to delete permanently")]
    SubjectSoftDeleted(String),
    #[error("Subject '{0}' was not deleted first before being permanently deleted")]
    SubjectNotSoftDeleted(String),
    #[error(
        "Subject '{subject}' Version {version} was soft deleted.Set permanent=true to delete permanently"
    )]
    VersionSoftDeleted { subject: String, version: i32 },
    #[error(
        "Subject '{subject}' Version {version} was not deleted first before being permanently deleted"
    )]
    VersionNotSoftDeleted { subject: String, version: i32 },
    #[error("Subject '{0}' does not have subject-level compatibility configured")]
    CompatibilityNotConfigured(String),
    #[error("Subject '{0}' does not have subject-level mode configured")]
    ModeNotConfigured(String),
    #[error("Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{}]", messages.join(", "))]
    Incompatible { subject: String, messages: Vec<String> },
    #[error("{0}")]
    InvalidSchema(String),
    #[error(
        "The specified version '{0}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
    )]
    InvalidVersion(String),
    #[error(
        "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive"
    )]
    InvalidCompatibility,
    #[error("{0}")]
    NotPermitted(String),
    #[error(
        "One or more references exist to the schema {{magic=1,keytype=SCHEMA,subject={subject},version={version}}}."
    )]
    ReferenceExists { subject: String, version: i32 },
    #[error("The specified subject '{0}' is not a valid.")]
    InvalidSubject(String),
    #[error("{operation} operation failed because schema is too large")]
    SchemaTooLarge { operation: &'static str },
    #[error("{0}")]
    Unsupported(String),
    #[error("{0}")]
    Malformed(String),
    #[error("{0} may not be null")]
    Missing(&'static str),
    #[error("HTTP 404 Not Found")]
    NoSuchResource,
    #[error("HTTP 405 Method Not Allowed")]
    MethodNotAllowed,
    #[error("HTTP 406 Not Acceptable")]
    NotAcceptable,
    #[error("HTTP 413 Request Entity Too Large")]
    BodyTooLarge,
    #[error("HTTP 415 Unsupported Media Type")]
    UnsupportedMediaType,
    #[error("{0}")]
    Store(String),
    #[error("{operation} operation timed out: {reason}")]
    Timeout { operation: &'static str, reason: String },
}

impl ApiError {
    /// The HTTP status and the error code.
    pub(crate) fn code(&self) -> (u16, i32) {
        match self {
            ApiError::SubjectNotFound(_) => (404, 40401),
            ApiError::VersionNotFound(_) => (404, 40402),
            ApiError::SchemaNotFound | ApiError::IdNotFound(_) => (404, 40403),
            ApiError::SubjectSoftDeleted(_) => (404, 40404),
            ApiError::SubjectNotSoftDeleted(_) => (404, 40405),
            ApiError::VersionSoftDeleted { .. } => (404, 40406),
            ApiError::VersionNotSoftDeleted { .. } => (404, 40407),
            ApiError::CompatibilityNotConfigured(_) => (404, 40408),
            ApiError::ModeNotConfigured(_) => (404, 40409),
            // Registries from 8.2 on say 40901; the shipped clients look for 409.
            ApiError::Incompatible { .. } => (409, 409),
            ApiError::InvalidSchema(_) => (422, 42201),
            ApiError::InvalidVersion(_) => (422, 42202),
            ApiError::InvalidCompatibility => (422, 42203),
            ApiError::NotPermitted(_) => (422, 42205),
            ApiError::ReferenceExists { .. } => (422, 42206),
            ApiError::InvalidSubject(_) => (422, 42208),
            ApiError::SchemaTooLarge { .. } => (422, 42209),
            ApiError::Unsupported(_) | ApiError::Missing(_) => (422, 422),
            ApiError::Malformed(_) => (400, 400),
            ApiError::NoSuchResource => (404, 404),
            ApiError::MethodNotAllowed => (405, 405),
            ApiError::NotAcceptable => (406, 406),
            ApiError::BodyTooLarge => (413, 413),
            ApiError::UnsupportedMediaType => (415, 415),
            ApiError::Store(_) => (500, 50001),
            ApiError::Timeout { .. } => (500, 50002),
        }
    }

    /// What a failed write says.
    pub(crate) fn of_write(operation: &'static str, err: &ClientError) -> Self {
        match err {
            ClientError::RecordTooLarge { .. } => ApiError::SchemaTooLarge { operation },
            ClientError::TimedOut { .. } => {
                ApiError::Timeout { operation, reason: err.to_string() }
            }
            other => ApiError::Store(format!(
                "{operation} operation failed while writing to the Kafka store: {other}"
            )),
        }
    }

    /// What a schema that can't be used says.
    pub(crate) fn of_schema(schema_type: &str, err: &SchemaError) -> Self {
        match err {
            SchemaError::UnsupportedType(_) => ApiError::InvalidSchema(format!(
                "Invalid schema type {schema_type}: this registry supports AVRO only"
            )),
            other => ApiError::InvalidSchema(format!(
                "Invalid schema of type {schema_type}, details: {other}"
            )),
        }
    }
}
