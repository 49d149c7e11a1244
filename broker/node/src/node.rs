//! Starts and stops a node: the data directory, the machines, the listener, in this order; stopping goes back.
//!
//! - When `start` returns, the listener answers and everything that was durable is visible.
//! - A stop that ends well leaves the marker of a clean one; without it the next start recovers and raises leader epochs.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::NodeError;
use crate::api::FetchSessions;
use crate::clock::Clock;
use crate::config::{BrokerSettings, ConfigError};
use crate::context::NodeState;
use crate::hosting::Hosting;
use crate::listener;
use crate::partition::{Partitions, PartitionsSettings};

/// Bytes of appends that may wait for the disk, over all partitions: half a second of a fast disk.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Bytes of recent appends that are kept in memory for readers at the end of their logs.
const TAIL_CACHE_BYTES_MAX: usize = 32 << 20;
/// Below this much free space produce is refused, bytes: the rest of the node needs room to stop cleanly.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// Threads that append; more do not make one disk faster.
const WRITER_THREADS: usize = 2;

/// How to start a node.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where everything is kept; made where it is missing. One process at a time.
    pub data_dir: PathBuf,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The address that clients are told to connect to; where there is none, each is told the one it connected to.
    /// `advertised.listeners` among the settings counts where this is `None`.
    pub advertised: Option<(String, u16)>,
    /// Broker keys by Kafka's names, see [`known_key`](crate::known_key).
    pub settings: Vec<(String, String)>,
}

/// A running node.
pub struct Node {
    state: Arc<NodeState>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

/// Starts a node, and returns when it answers.
///
/// # Errors
/// When a setting is wrong, the data directory is in use or cannot be recovered, or the address is taken.
pub async fn start(config: NodeConfig) -> Result<Node, NodeError> {
    let mut settings = BrokerSettings::new(&config.settings)?;
    let advertised = match config.advertised {
        Some(advertised) => Some(advertised),
        None => settings.set_value("advertised.listeners").map(parse_advertised).transpose()?,
    };
    raise_open_file_limit();
    // Taken before the data directory is touched: a port that is in use is the commonest mistake.
    let listener = listener::bind(config.listen, &settings)
        .map_err(|source| NodeError::Listen { address: config.listen, source })?;
    let address = listener
        .local_addr()
        .map_err(|source| NodeError::Listen { address: config.listen, source })?;
    let log_dir = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    settings.note_given("node.id", settings.node_id.to_string());
    settings.note_given("broker.id", settings.node_id.to_string());
    settings.note_given("listeners", format!("PLAINTEXT://{address}"));
    settings.note_given("log.dirs", log_dir.display().to_string());
    if let Some((host, port)) = &advertised {
        settings.note_given("advertised.listeners", format!("PLAINTEXT://{host}:{port}"));
    }
    let settings = Arc::new(settings);
    let clock = Clock::system();
    let partitions = Partitions::open(PartitionsSettings {
        node_id: settings.node_id,
        data_dir: config.data_dir,
        flush_mode: settings.log_flush_mode,
        writer_threads: WRITER_THREADS,
        queue_bytes_max: QUEUE_BYTES_MAX,
        tail_cache_bytes_max: TAIL_CACHE_BYTES_MAX,
        free_bytes_min: FREE_BYTES_MIN,
        retention_check_ms: settings.log_retention_check_interval_ms,
        cleaner: settings.log_cleaner.clone(),
        clock: clock.clone(),
    })
    .await
    .map_err(|error| NodeError::Storage(Box::new(error)))?;
    let hosting = match Hosting::start(settings.clone(), partitions.clone(), &clock).await {
        Ok(hosting) => hosting,
        Err(error) => {
            // Not closed cleanly on purpose: what could not be read may need the next start's recovery.
            return Err(NodeError::Hosting(Box::new(error)));
        }
    };
    let state = Arc::new(NodeState {
        cluster_id: partitions.cluster_id().to_owned(),
        advertised,
        log_dir,
        fetch_sessions: FetchSessions::new(
            usize::try_from(settings.max_incremental_fetch_session_cache_slots).unwrap_or_default(),
        ),
        settings,
        clock,
        stopping: CancellationToken::new(),
        partitions,
        hosting,
    });
    let accepting = tokio::spawn(listener::accept(listener, state.clone()));
    tracing::info!(%address, cluster_id = %state.cluster_id, "broker is listening");
    Ok(Node { state, address, accepting })
}

impl Node {
    /// Where the node listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> &str {
        &self.state.cluster_id
    }

    /// Completes, with the reason, when an invariant broke and the process should stop: a wrong log is worse than a
    /// stopped one.
    pub fn fatal(&self) -> impl Future<Output = String> + Send + 'static {
        let partitions = self.state.partitions.clone();
        async move { partitions.fatal().await }
    }

    /// Stops: accepts nothing more, sends what is decided, then syncs and closes everything.
    ///
    /// # Errors
    /// When the disk refuses; the next start will recover.
    pub async fn stop(self) -> Result<(), NodeError> {
        self.state.stopping.cancel();
        if let Err(error) = self.accepting.await {
            tracing::error!(%error, "the listener's task ended by a panic");
        }
        self.state.hosting.stop().await;
        self.state.partitions.close().await.map_err(|error| NodeError::Storage(Box::new(error)))?;
        tracing::info!("broker stopped");
        Ok(())
    }
}

/// Lets this process open as many files as the system allows it: each connection is one, and the usual default of 1024
/// stems from programs that use `select`.
fn raise_open_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::info!(%error, "could not raise the limit of open files");
    }
}

/// The host and port of the first address in Kafka's `advertised.listeners`.
fn parse_advertised(value: &str) -> Result<(String, u16), ConfigError> {
    let invalid = |reason: &str| ConfigError::Invalid {
        name: "advertised.listeners".to_owned(),
        value: value.to_owned(),
        reason: reason.to_owned(),
    };
    let first = value.split(',').next().unwrap_or_default().trim();
    let address = first.split_once("://").map_or(first, |(_, address)| address);
    let (host, port) =
        address.rsplit_once(':').ok_or_else(|| invalid("expected PLAINTEXT://host:port"))?;
    let port = port.parse().map_err(|_| invalid("the port is not a number between 0 and 65535"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(invalid("clients need a host to connect to"));
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advertised_listeners_give_host_and_port() {
        let check = |value: &str, host: &str, port: u16| {
            assert_eq!(parse_advertised(value), Ok((host.to_owned(), port)), "{value}");
        };
        check("PLAINTEXT://db.example:9092", "db.example", 9092);
        check("PLAINTEXT://[::1]:9092,SSL://x:1", "::1", 9092);
        assert!(parse_advertised("PLAINTEXT://:9092").is_err());
        assert!(parse_advertised("PLAINTEXT://host").is_err());
    }
}
