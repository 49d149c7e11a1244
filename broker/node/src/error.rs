//! Why a node did not start, or stopped.

use std::io;
use std::net::SocketAddr;

use crate::config::ConfigError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A setting is unknown or its value is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The data directory or a log in it cannot be opened, recovered or closed.
    #[error(transparent)]
    Storage(Box<dyn std::error::Error + Send + Sync>),
    /// A machine cannot be brought up from its log.
    #[error(transparent)]
    Hosting(Box<dyn std::error::Error + Send + Sync>),
}
