//! What goes wrong in a connector, converter or transform, and what the runtime may do about it.

use std::error::Error as StdError;

/// What the runtime may do with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The outside is away or busy: try again with backoff, nothing is lost.
    Retriable,
    /// This one record can't be handled: a dead letter, or the task fails, as `errors.tolerance` says.
    Record,
    /// The config asks for what can't be had.
    Config,
    /// The task fails with its trace.
    Fatal,
}

/// An error of a connector, converter or transform.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl ConnectError {
    /// The outside is away or busy.
    pub fn retriable(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Retriable, message: message.into(), source: None }
    }

    /// This record is at fault.
    pub fn record(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Record, message: message.into(), source: None }
    }

    /// The config is at fault.
    pub fn config(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Config, message: message.into(), source: None }
    }

    /// The task can't go on.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Fatal, message: message.into(), source: None }
    }

    /// Keeps the error that caused this one.
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the runtime may do with it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message and every cause below it, one a line, as the `trace` of a status and the headers of a dead letter show it.
    pub fn trace(&self) -> String {
        let mut text = self.message.clone();
        let mut cause: Option<&(dyn StdError + 'static)> = self.source();
        while let Some(error) = cause {
            text.push_str("\nCaused by: ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
