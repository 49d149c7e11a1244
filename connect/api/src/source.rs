//! The contract of a source: batches of records, each with the offsets that cover it.
//!
//! The order of events is fixed: the records of a batch are acknowledged by the brokers, then its offsets are stored, then
//! `committed` tells the task, and only then may the task tell the outside (a replication slot, a queue).

use std::sync::Arc;

use async_trait::async_trait;
use indexmap::IndexMap;

use crate::config::ConfigMap;
use crate::{ConnectError, Connector, Record};

/// What a source's position is of, e.g. `{"server": "shop"}`; JSON as it stands in `connect-offsets`.
pub type SourcePartition = Arc<serde_json::Map<String, serde_json::Value>>;
/// A position, e.g. `{"lsn": 23}`; JSON as it stands in `connect-offsets`.
pub type SourceOffset = serde_json::Map<String, serde_json::Value>;

/// Records in order, and the offsets that hold once all of them are acknowledged.
#[derive(Debug, Default)]
pub struct SourceBatch {
    /// The records; may be empty, to store an offset alone.
    pub records: Vec<Record>,
    /// Offsets to store when every record of this and of all earlier batches is acknowledged.
    pub offsets: Vec<(SourcePartition, SourceOffset)>,
    /// What `committed` is called with: the task's own number of this batch.
    pub position: u64,
}

/// What the runtime offers a source task.
#[async_trait]
pub trait SourceContext: Send + Sync {
    /// The connector's name.
    fn connector(&self) -> &str;
    /// The task's number, from 0.
    fn task(&self) -> u32;
    /// The stored offset of a partition.
    async fn offset(
        &self,
        partition: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Option<SourceOffset>, ConnectError>;
    /// Every stored partition and offset of the connector.
    async fn offsets(&self) -> Result<IndexMap<String, SourceOffset>, ConnectError>;
}

/// A running source task.
#[async_trait]
pub trait SourceTask: Send {
    /// The next batch; waits until there is something. Cancel-safe: the runtime drops the future to pause, stop or commit, and nothing is lost.
    async fn poll(&mut self) -> Result<SourceBatch, ConnectError>;

    /// Everything up to and with the batch of that position is durable, records and offsets. Must not block.
    fn committed(&mut self, position: u64);

    /// Ends the task; called once, after the last `poll` and `committed`.
    async fn stop(&mut self);
}

/// A connector that reads from the outside.
#[async_trait]
pub trait SourceConnector: Connector {
    /// Starts a task; an error of kind `Retriable` is tried again with backoff.
    async fn start_task(
        &self,
        config: &ConfigMap,
        context: Arc<dyn SourceContext>,
    ) -> Result<Box<dyn SourceTask>, ConnectError>;
}
