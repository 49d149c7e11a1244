//! Kafka's file connectors: `FileStreamSource` makes a record of each line of a file, `FileStreamSink` appends a line for each record.
//!
//! - The smallest connectors there are, and the example of `docs/write-a-connector.md`: the layout is that of every connector crate.
//! - Depends on `connect/api` alone: it sees no runtime, broker or other connector.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

mod config;
mod line;
mod sink;
mod sink_task;
mod source;
mod source_task;

pub use sink::FileStreamSink;
pub use source::FileStreamSource;
