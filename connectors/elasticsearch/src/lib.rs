//! The Elasticsearch sink, with the class name and options of Confluent's: topics into indexes of Elasticsearch 7, 8, 9 and OpenSearch.
//!
//! - A record is finished when its document is written, was already newer, is skipped as configured, or is a durable dead letter.
//! - Order per document is kept here: no two requests in flight hold the same id, and versions stand in the index.
//! - PURE: `field`, `document`, `mapping`, `version`, `id`, `bulk`, `queue`, `offset`, `prepare`. The rest does the IO.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

mod bulk;
mod client;
mod config;
mod connector;
mod document;
mod field;
mod id;
mod index;
mod mapping;
mod offset;
mod prepare;
mod queue;
mod sender;
mod state;
mod task;
mod version;

pub use connector::ElasticsearchSinkConnector;
