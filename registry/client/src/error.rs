//! What can go wrong when a registry is asked.

/// An error of the registry, or on the way to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No registry of the list answered; it may later.
    #[error("no schema registry answered at {urls}")]
    Unreachable {
        /// The addresses tried.
        urls: String,
        /// The last failure.
        #[source]
        source: reqwest::Error,
    },
    /// The registry answered that it can't now (5xx, 429).
    #[error("the schema registry answered {status} to {request}: {message}")]
    Unavailable {
        /// HTTP status.
        status: u16,
        /// Method and path.
        request: String,
        /// The registry's words.
        message: String,
    },
    /// The registry refused: incompatible, invalid, not found, not allowed.
    #[error("the schema registry refused {request}: {message} (error code {code})")]
    Refused {
        /// The registry's error code, e.g. 40401 or 409.
        code: i64,
        /// Method and path.
        request: String,
        /// The registry's words.
        message: String,
    },
    /// The answer is not what the API promises.
    #[error("the schema registry's answer to {request} was not understood")]
    Answer {
        /// Method and path.
        request: String,
        /// What was wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A URL or another option can't be used.
    #[error("{0}")]
    Options(String),
}

impl RegistryError {
    /// Whether the same call may succeed later.
    pub fn retriable(&self) -> bool {
        matches!(self, RegistryError::Unreachable { .. } | RegistryError::Unavailable { .. })
    }
}
