//! The broker's state machines: topics with their configs, consumer groups with their offsets, and transactions.
//!
//! Each machine decides records and applies records (`machine.rs` states the laws); nothing here reads a clock,
//! a file, a socket or a source of randomness: time and fresh ids come with the command. Who stores the records
//! and when a reply may leave is the business of the node that hosts the machine.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

pub mod assignor;
pub mod group;
pub mod machine;
pub mod record;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm)]
mod sim;
pub mod topic;
pub mod transaction;

pub use group::GroupMachine;
pub use machine::{Decision, Machine, RequestId, Timestamp};
pub use record::RecordError;
pub use topic::TopicMachine;
pub use transaction::TransactionMachine;
