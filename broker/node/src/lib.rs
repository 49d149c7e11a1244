//! The broker: listeners, connections, request handlers, and the hosting of the coordinators' machines.
//!
//! - A reply leaves only when what it says is durable, and replies leave in the order of their requests.
//! - No thread that serves sockets waits for a disk.
//! - Knows nothing of a registry or of connectors: it serves Kafka's protocol to whoever speaks it.

mod api;
mod clock;
mod config;
mod connection;
mod context;
mod error;
mod features;
mod hosting;
mod listener;
mod node;
mod partition;
#[cfg(test)]
mod tests;
mod writer;

pub use config::{ConfigError, KeySupport, broker_key_names, known_key};
pub use error::NodeError;
pub use node::{Node, NodeConfig, start};
