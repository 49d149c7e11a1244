//! The contract of a sink: records in, and the offsets below which everything is finished.
//!
//! - `put` owns the records; it may buffer within its bounds and waits when they are reached, which slows this consumer alone.
//! - `finished` says, per partition, the offset below which every record is written, deleted, skipped or a durable dead letter.
//!   Only that is ever committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::config::ConfigMap;
use crate::{ConnectError, Connector, Original, Record};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic as consumed (a transform may have changed the record's).
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

/// Next offset to consume, per partition.
pub type TopicPartitionOffsets = BTreeMap<TopicPartition, i64>;

/// A consumed record, converted and transformed, and how it lay in the topic.
#[derive(Debug, Clone)]
pub struct SinkRecord {
    /// The record after conversion and transforms.
    pub record: Record,
    /// The record as it lay in the topic.
    pub original: Arc<Original>,
}

/// Where a sink reports records that it can't handle.
#[async_trait]
pub trait ErrantRecords: Send + Sync {
    /// Ends well when the record is a durable dead letter, or is skipped as `errors.tolerance=all` allows; else with the error to fail with.
    async fn report(&self, record: &Original, error: ConnectError) -> Result<(), ConnectError>;
}

/// What the runtime offers a sink task.
pub trait SinkContext: Send + Sync {
    /// The connector's name.
    fn connector(&self) -> &str;
    /// The task's number, from 0.
    fn task(&self) -> u32;
    /// Whether the task still owns the partition, asked before a write to the outside.
    fn owns(&self, partition: &TopicPartition) -> bool;
    /// Where records go that can't be handled.
    fn errant_records(&self) -> Arc<dyn ErrantRecords>;
}

/// A running sink task.
#[async_trait]
pub trait SinkTask: Send {
    /// The task now owns these partitions too.
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError>;

    /// Takes records in the order of their partitions. Returning does not mean written: see `finished`. An error of kind `Retriable`
    /// must leave nothing half-taken: the runtime goes back to the finished offsets and delivers again.
    async fn put(&mut self, records: Vec<SinkRecord>) -> Result<(), ConnectError>;

    /// Waits until what was put is finished, as far as it can be: called before a commit that matters (revocation, stop).
    async fn flush(&mut self) -> Result<(), ConnectError>;

    /// Per partition the offset below which everything is finished. Must not block. An error that happened in the background surfaces here.
    fn finished(&mut self) -> Result<TopicPartitionOffsets, ConnectError>;

    /// The task no longer owns these partitions; what is unfinished of them is forgotten.
    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError>;

    /// Ends the task.
    async fn stop(&mut self);
}

/// A connector that writes to the outside.
#[async_trait]
pub trait SinkConnector: Connector {
    /// Starts a task; an error of kind `Retriable` is tried again with backoff.
    async fn start_task(
        &self,
        config: &ConfigMap,
        context: Arc<dyn SinkContext>,
    ) -> Result<Box<dyn SinkTask>, ConnectError>;
}
