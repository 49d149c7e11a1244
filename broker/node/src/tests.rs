//! A node over real sockets: bytes by hand, and librdkafka.

mod admin;
mod bounds;
mod clients;
mod fetch_sessions;
mod frames;
mod log_apis;
mod metadata;
mod old_versions;
mod records;
mod refusals;
mod transactions;
mod wire;

use std::net::SocketAddr;
use std::path::Path;

use crate::{Node, NodeConfig, start};

/// Starts a node on a free port over `data_dir`.
async fn start_node(data_dir: &Path, settings: &[(&str, &str)]) -> Node {
    let config = NodeConfig {
        data_dir: data_dir.to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertised: None,
        settings: settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    start(config).await.unwrap()
}
