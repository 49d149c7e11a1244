//! The loop of a source task: poll → transforms → converters → produce; offsets; then `committed`.
//!
//! - Exactly-once (`exactly_once.rs`): records and their offsets are one transaction. At-least-once (`at_least_once.rs`): offsets
//!   follow their records.
//! - Either way a record goes through `encoding.rs` and `stage.rs`, and a task hears of what is durable only when its offsets are.

mod at_least_once;
mod encoding;
mod exactly_once;
mod stage;

use std::sync::Arc;

use aquifer_connect_api::{ConnectError, SourceConnector, SourceContext, SourceOffset, SourceTask};
use async_trait::async_trait;
use indexmap::IndexMap;

use crate::config::client;
use crate::herder::TaskId;
use crate::task::{TaskRun, WorkerContext};
pub(crate) use exactly_once::fence;

/// Runs a source task until it is told to stop, or fails.
pub(crate) async fn run(
    run: &TaskRun,
    connector: &dyn SourceConnector,
) -> Result<(), ConnectError> {
    if run.settings.exactly_once(&run.context.settings) {
        exactly_once::run(run, connector).await
    } else {
        at_least_once::run(run, connector).await
    }
}

/// The task, reading the offsets stored by now; `None` when told to stop meanwhile.
async fn start_task(
    run: &TaskRun,
    connector: &dyn SourceConnector,
) -> Result<Option<Box<dyn SourceTask>>, ConnectError> {
    let context = Arc::new(Context { id: run.id.clone(), worker: run.context.clone() });
    tokio::select! {
        () = run.stop.cancelled() => Ok(None),
        task = connector.start_task(&run.spec.task, context) => task.map(Some),
    }
}

/// The options of a task's producer: the worker's, then the connector's.
fn overrides(run: &TaskRun) -> Vec<(String, String)> {
    let mut overrides = client::overrides(&run.context.settings.map, "producer.");
    overrides.extend(client::overrides(&run.spec.connector, "producer.override."));
    overrides
}

/// What a source task is offered.
struct Context {
    id: TaskId,
    worker: Arc<WorkerContext>,
}

#[async_trait]
impl SourceContext for Context {
    fn connector(&self) -> &str {
        &self.id.connector
    }

    fn task(&self) -> u32 {
        self.id.task
    }

    async fn offset(
        &self,
        partition: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Option<SourceOffset>, ConnectError> {
        self.worker.offsets.catch_up().await?;
        Ok(self.worker.offsets.get(&self.id.connector, partition))
    }

    async fn offsets(&self) -> Result<IndexMap<String, SourceOffset>, ConnectError> {
        self.worker.offsets.catch_up().await?;
        let stored = self.worker.offsets.of(&self.id.connector).into_iter();
        Ok(stored
            .map(|stored| (serde_json::Value::Object(stored.partition).to_string(), stored.offset))
            .collect())
    }
}
