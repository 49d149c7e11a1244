//! A task: turns records into items, hands them to its background, and says what is finished.
//!
//! - `put` takes all of its records or none: everything that can fail or wait comes before they are taken. Dropping it loses nothing.
//! - Records that are delivered again while they are unfinished are recognised and not taken twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aquifer_connect_api::{
    ByteString, ConnectError, ErrorKind, SchemaRef, SinkContext, SinkRecord, SinkTask,
    TopicPartition, TopicPartitionOffsets,
};
use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::bulk::Operation;
use crate::client::Client;
use crate::config::{Config, Conversion, Sending, Writing};
use crate::document::Plan;
use crate::index::{Indexes, Wanted};
use crate::mapping;
use crate::offset::Mark;
use crate::prepare::{Prepared, Target, prepare, prepare_null, value_schema};
use crate::queue::Item;
use crate::sender::Sender;
use crate::state::{Errant, Shared};
use crate::version::Versions;

/// A running task.
pub(crate) struct ElasticsearchSinkTask {
    shared: Arc<Shared>,
    conversion: Conversion,
    sending: Sending,
    indexes: Indexes,
    /// Per topic, one for each schema that was met.
    targets: HashMap<ByteString, Vec<Arc<Target>>>,
    background: Background,
}

/// How many schemas of a topic are remembered.
const TARGETS_MAX: usize = 32;

/// How long `put` waits for room; after that the runtime holds the records, and asks again.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(20);

struct Background(Option<JoinHandle<()>>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.take().inspect(JoinHandle::abort);
    }
}

impl ElasticsearchSinkTask {
    /// Starts the background; asks nothing of Elasticsearch yet.
    pub(crate) async fn start(
        config: Config,
        context: Arc<dyn SinkContext>,
    ) -> Result<Self, ConnectError> {
        let client = Client::new(&config.connection).await?;
        let Config { conversion, sending, .. } = config;
        let shared = Arc::new(Shared::new(sending.in_flight_max));
        let sender = Sender {
            shared: shared.clone(),
            client: client.clone(),
            context,
            sending: sending.clone(),
        };
        let background = Background(Some(tokio::spawn(Arc::new(sender).drive())));
        let indexes = Indexes::new(client, sending.request_timeout);
        Ok(Self { shared, conversion, sending, indexes, targets: HashMap::new(), background })
    }

    async fn prepare(&mut self, record: &SinkRecord) -> Result<Prepared, ConnectError> {
        if record.record.value.is_null()
            && let Some(prepared) = prepare_null(&self.conversion, &record.record)
        {
            return Ok(prepared);
        }
        let prepared = match self.target(record).await {
            Ok(target) => prepare(&target, record)?,
            Err(error) if error.kind() == ErrorKind::Record => Prepared::Errant(error),
            Err(error) => return Err(error),
        };
        let SinkRecord { original, .. } = record;
        if let Prepared::Errant(error) = &prepared
            && self.conversion.drop_invalid
        {
            tracing::warn!(topic = %original.topic, partition = original.partition, offset = original.offset, %error, "dropped an invalid record");
            return Ok(Prepared::Skip);
        }
        Ok(prepared)
    }

    async fn target(&mut self, record: &SinkRecord) -> Result<Arc<Target>, ConnectError> {
        let topic = &record.record.topic;
        let schema = value_schema(&record.record);
        let targets = self.targets.get(topic).map(Vec::as_slice).unwrap_or_default();
        let same = targets.iter().find(|target| is_same(target.schema.as_ref(), schema));
        let target = same.or_else(|| targets.iter().find(|t| t.schema.as_ref() == schema));
        if let Some(target) = target {
            return Ok(target.clone());
        }
        let target = Arc::new(self.new_target(record, schema).await?);
        let targets = self.targets.entry(topic.clone()).or_default();
        if targets.len() >= TARGETS_MAX {
            targets.remove(0);
        }
        targets.push(target.clone());
        Ok(target)
    }

    async fn new_target(
        &mut self,
        record: &SinkRecord,
        schema: Option<&SchemaRef>,
    ) -> Result<Target, ConnectError> {
        let topic = &record.record.topic;
        let Some((index, creation)) = self.conversion.index(topic) else {
            return Err(ConnectError::config(format!(
                "topic.to.external.resource.mapping has no index for the topic {topic}"
            )));
        };
        let writing = self.conversion.writing(topic);
        let versions = match writing {
            Writing::Insert => {
                let header = self.conversion.version_header.as_deref();
                Versions::decide(header, &record.record.headers)
            }
            Writing::Upsert | Writing::ByOffset | Writing::Autogenerated => Versions::None,
        };
        let entries = self.conversion.entries;
        let mapped_schema = schema.filter(|_| !self.conversion.ignores_schema(topic));
        let properties = mapped_schema.map(|s| mapping::properties(s, entries)).unwrap_or_default();
        let wanted = Wanted { index: &index, creation, writing, versions, properties };
        let known = self.indexes.ensure(&wanted).await?;
        Ok(Target {
            schema: schema.cloned(),
            plan: Plan::compile(schema.map(|schema| &**schema), &known.properties, entries),
            versions: known.versions,
            index: index.into(),
            writing,
        })
    }

    /// Waits until `ready`, or the task failed.
    async fn wait_until(&self, ready: impl Fn(&Shared) -> bool) -> Result<(), ConnectError> {
        loop {
            let progress = self.shared.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            self.shared.check()?;
            if ready(&self.shared) {
                return Ok(());
            }
            progress.await;
        }
    }
}

fn is_same(a: Option<&SchemaRef>, b: Option<&SchemaRef>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

#[async_trait]
impl SinkTask for ElasticsearchSinkTask {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        self.shared.open(partitions);
        Ok(())
    }

    async fn put(&mut self, records: Vec<SinkRecord>) -> Result<(), ConnectError> {
        self.shared.check()?;
        let mut prepared = Vec::with_capacity(records.len());
        for record in &records {
            prepared.push(self.prepare(record).await?);
        }
        let records_max = self.sending.buffered_records_max;
        let room = self.wait_until(|shared| shared.has_room(records_max));
        tokio::time::timeout(ROOM_WAIT_MAX, room).await.map_err(|_| {
            ConnectError::retriable("Elasticsearch is slower than the topic: the buffer is full")
        })??;
        self.shared.admit(|admission| {
            for (record, prepared) in records.into_iter().zip(prepared) {
                let SinkRecord { original, .. } = record;
                let partition =
                    TopicPartition { topic: original.topic.clone(), partition: original.partition };
                let Some(mark) = admission.mark(&partition, original.offset) else { continue };
                match prepared {
                    Prepared::Skip => admission.skip(&mark),
                    Prepared::Send(request) => admission.send(Item {
                        document: request.document,
                        operation: request.operation,
                        version: request.version,
                        payload: request.payload,
                        unavailable: request.unavailable,
                        mark,
                        original,
                    }),
                    Prepared::Errant(error) => {
                        let item = without_request(mark, original);
                        admission.errant(Errant { item, error, is_malformed: false });
                    }
                }
            }
        });
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ConnectError> {
        let idle = self.wait_until(Shared::is_idle);
        tokio::time::timeout(self.sending.flush_timeout, idle).await.map_err(|_| {
            let limit_ms = self.sending.flush_timeout.as_millis();
            ConnectError::retriable(format!(
                "records were still unfinished after flush.timeout.ms={limit_ms}"
            ))
        })?
    }

    fn finished(&mut self) -> Result<TopicPartitionOffsets, ConnectError> {
        self.shared.check()?;
        Ok(self.shared.finished())
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        self.shared.close(partitions);
        Ok(())
    }

    async fn stop(&mut self) {
        if let Some(background) = self.background.0.take() {
            background.abort();
            // It ends as aborted, which is no news.
            let _ = background.await;
        }
    }
}

fn without_request(mark: Mark, original: Arc<aquifer_connect_api::Original>) -> Item {
    Item {
        document: None,
        operation: Operation::Index,
        version: None,
        payload: Vec::new(),
        unavailable: Vec::new(),
        mark,
        original,
    }
}

#[cfg(test)]
mod tests;
