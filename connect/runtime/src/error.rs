//! What goes wrong in the worker itself, and what an error of the brokers means for a task.

use aquifer_broker_client::ClientError;
use aquifer_connect_api::ConnectError;

/// Why the worker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The worker's config is wrong; every error, one a line.
    #[error("{}", .0.join("\n"))]
    Config(Vec<String>),
    /// The REST address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// One of the worker's topics can't be created or read.
    #[error("can't use topic {topic}")]
    Topic {
        /// The topic.
        topic: String,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// A topic of the worker's is not compacted, so that it would forget.
    #[error("topic {topic} has cleanup.policy {policy}, but must be compact")]
    NotCompacted {
        /// The topic.
        topic: String,
        /// Its policy.
        policy: String,
    },
}

/// What an error of the brokers means for a task: whether to go on trying, and what to say.
pub(crate) fn of_client(doing: &str, error: ClientError) -> ConnectError {
    let message = format!("{doing}: {error}");
    match &error {
        ClientError::Setting(_) => ConnectError::config(message),
        ClientError::RecordTooLarge { .. } => ConnectError::record(message),
        // A dead handle is replaced when the task starts again from its stored offsets.
        ClientError::Fatal { .. }
        | ClientError::Fenced { .. }
        | ClientError::Abortable { .. }
        | ClientError::Closed { .. }
        | ClientError::Rebalanced { .. } => ConnectError::retriable(message),
        other if other.is_retriable() => ConnectError::retriable(message),
        _ => ConnectError::fatal(message),
    }
}
