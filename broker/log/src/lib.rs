//! One partition on disk, in Kafka's exact file formats. Synchronous.
//!
//! - `fs` is the only door to the file system; a simulated one tears writes and loses unsynced data in tests.
//! - Files that Apache Kafka can read, and Kafka's own are read: segments, indexes, snapshots, checkpoints.
//! - Time comes in as an argument.
//!
//! What may be seen by whom, waiting and threads are the business of `broker/node`.

mod checkpoint;
mod cleaner;
mod config;
mod data_dir;
mod epoch_cache;
mod error;
mod file_cache;
pub mod fs;
mod index;
mod log;
mod producer_state;
mod ranges;
mod recovery;
mod retention;
mod scan;
mod segment;
#[cfg(test)]
mod test_support;
mod transaction_index;
mod transactions;

pub use checkpoint::{MetaProperties, OffsetMap, parse_uuid, print_uuid};
pub use cleaner::{Cleanable, CleanedSegment, CleanerLimits, CleaningRound, CleaningStats, Pace};
pub use config::LogConfig;
pub use data_dir::{DataDir, DataDirSettings};
pub use error::{LogError, SequenceError};
pub use log::{Log, LogRange, Staged, SyncTargets, TimestampOffset, WrittenBatch};
pub use producer_state::{AppendRules, FirstSequence, MarkerEpoch, ProducerInfo};
pub use recovery::RecoveryReport;
pub use transactions::{AbortedTransaction, Transactions};
