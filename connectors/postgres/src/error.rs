//! What goes wrong between us and Postgres, and what the runtime may do about it.

use aquifer_connect_api::ConnectError;

use crate::lsn::Lsn;
use crate::pgoutput::PgOutputError;

/// An error of this connector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PgError {
    /// The server could not be reached, or the connection broke.
    #[error("connection to Postgres at {address} failed")]
    Connection {
        address: String,
        #[source]
        source: std::io::Error,
    },
    /// The server closed the connection.
    #[error("Postgres closed the connection")]
    Closed,
    /// TLS could not be set up.
    #[error("TLS with Postgres failed: {0}")]
    Tls(String),
    /// The server answered with an error.
    #[error("Postgres answered {code}: {message}")]
    Server { code: String, message: String },
    /// A query of the catalogue failed.
    #[error("query of the catalogue failed")]
    Query(#[source] sqlx::Error),
    /// A query of the catalogue took too long.
    #[error("query of the catalogue took longer than {0} ms (database.query.timeout.ms)")]
    QueryTimeout(u128),
    /// The server sent what the protocol does not allow here.
    #[error("unexpected answer from Postgres: {0}")]
    Protocol(String),
    /// The stream sent a message that can't be read.
    #[error("replication message at {lsn} can't be read")]
    Message {
        lsn: Lsn,
        #[source]
        source: PgOutputError,
    },
    /// A value has no place in its schema, and the config says to fail then.
    #[error("column {column} of {table} at {lsn}: {reason}")]
    BadValue { table: String, column: String, lsn: Lsn, reason: String },
    /// Slot, offset and cluster do not fit together: going on could lose changes.
    #[error("{0}")]
    Discontinuity(String),
    /// Something must be set up in the database first.
    #[error("{0}")]
    Setup(String),
    /// A task of ours ended before it was done.
    #[error("an internal task ended early")]
    Internal(#[from] tokio::task::JoinError),
    /// The runtime could not give the stored offset.
    #[error("stored offset can't be read: {0}")]
    Offsets(String),
    /// The slot is in use by a connection that is not ours.
    #[error("replication slot {slot} is in use by process {pid}")]
    SlotInUse { slot: String, pid: i32 },
}

/// SQLSTATE classes and codes that pass by themselves: connection trouble, resources, shutdown, an object in use.
fn passes_by_itself(code: &str) -> bool {
    ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        || matches!(code, "55006" | "40001" | "40P01" | "55P03")
}

impl PgError {
    /// Whether trying again may help without anybody doing anything.
    pub(crate) fn is_retriable(&self) -> bool {
        match self {
            PgError::Connection { .. }
            | PgError::Closed
            | PgError::SlotInUse { .. }
            | PgError::Offsets(_)
            | PgError::QueryTimeout(_) => true,
            PgError::Server { code, .. } => passes_by_itself(code),
            PgError::Query(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| passes_by_itself(&code))
            }
            PgError::Query(sqlx::Error::Io(_)) => true,
            PgError::Query(_)
            | PgError::Tls(_)
            | PgError::Protocol(_)
            | PgError::Message { .. }
            | PgError::BadValue { .. }
            | PgError::Discontinuity(_)
            | PgError::Setup(_)
            | PgError::Internal(_) => false,
        }
    }

    /// The server's code, if it answered with an error.
    pub(crate) fn code(&self) -> Option<String> {
        if let PgError::Server { code, .. } = self {
            Some(code.clone())
        } else if let PgError::Query(sqlx::Error::Database(error)) = self {
            error.code().map(|code| code.into_owned())
        } else {
            None
        }
    }
}

impl From<PgError> for ConnectError {
    fn from(error: PgError) -> Self {
        let kind = if error.is_retriable() { ConnectError::retriable } else { ConnectError::fatal };
        let text = error.to_string();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        match cause {
            Some(cause) => kind(text).caused_by(cause),
            None => kind(text),
        }
    }
}

impl From<sqlx::Error> for PgError {
    fn from(error: sqlx::Error) -> Self {
        PgError::Query(error)
    }
}
