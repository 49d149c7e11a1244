//! Debezium-compatible change capture from Postgres: snapshot, then the stream of a logical replication slot.
//!
//! - Speaks the replication protocol itself (`transport.rs`, `stream.rs`); catalogue queries go through sqlx (`catalogue.rs`).
//! - PURE files: `pgoutput.rs`, `value.rs`, `column.rs`, `relation.rs`, `envelope.rs`, `session.rs`, `offset.rs`, `filter.rs`, `lsn.rs`.
//! - A position is (commit LSN, row LSN, row of that LSN); nothing is confirmed to Postgres before its offset is stored.

mod catalogue;
mod clock;
mod column;
mod config;
mod connector;
mod envelope;
mod error;
mod filter;
pub mod lsn;
mod offset;
pub mod pgoutput;
mod relation;
mod session;
mod settings;
mod slot;
mod snapshot;
mod start;
mod stream;
mod task;
mod transport;
mod validate;
pub mod value;

pub use connector::PostgresConnector;
