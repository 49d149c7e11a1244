//! The loop of a source task: poll → transforms → converters → produce, then offsets, then `committed`.
//!
//! - An offset is written only when every record of its batch and of all batches before is acknowledged.
//! - `committed` is called only when that offset is acknowledged too.
//! - Offsets are coalesced: while batches come quickly, the newest position is written every `OFFSET_WRITE_INTERVAL`.
//! - What is produced and not acknowledged is bounded in records and bytes; then the source is not polled.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{Acks, ClientError, NewTopic, Producer, ProducerSettings, SendError};
use aquifer_connect_api::{
    ByteString, ConnectError, ErrorKind, Record, SourceBatch, SourceConnector, SourceContext,
    SourceOffset, SourcePartition, SourceTask,
};
use async_trait::async_trait;
use bytes::BytesMut;
use indexmap::IndexMap;
use tokio::time::Instant;

use crate::clock::{self, Backoff};
use crate::config::client;
use crate::conversion::{Conversion, Failure};
use crate::error::of_client;
use crate::header::HeaderBytes;
use crate::herder::TaskId;
use crate::offset::canonical;
use crate::task::{TaskRun, WorkerContext};

/// Records produced and not acknowledged: enough to keep the brokers busy, and below the producer's own queue.
const IN_FLIGHT_RECORDS_MAX: usize = 100_000;
/// Their bytes of keys and values.
const IN_FLIGHT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How often a busy task writes its offsets.
const OFFSET_WRITE_INTERVAL: Duration = Duration::from_millis(50);

/// Runs a source task until it is told to stop, or fails.
pub(crate) async fn run(
    run: &TaskRun,
    connector: &dyn SourceConnector,
) -> Result<(), ConnectError> {
    let conversion =
        Conversion::new(&run.context.plugins, &run.context.settings, &run.spec.connector)?;
    let context = Arc::new(Context { id: run.id.clone(), worker: run.context.clone() });
    let task = tokio::select! {
        () = run.stop.cancelled() => return Ok(()),
        task = connector.start_task(&run.spec.task, context) => task?,
    };
    let mut source = SourceLoop {
        run,
        task,
        conversion,
        producer: producer(run)?,
        topics: HashSet::new(),
        in_flight: VecDeque::new(),
        in_flight_records: 0,
        in_flight_bytes: 0,
        unstored: Unstored::default(),
        writing: None,
        written_at: None,
        encoded: BytesMut::new(),
        scratch: String::new(),
    };
    run.running();
    let mut result = source.work().await;
    // Whatever ended the loop, what the brokers already have must not be produced again.
    let drained = tokio::time::timeout(run.graceful_timeout(), source.drain()).await;
    match drained {
        Ok(Err(error)) if result.is_ok() => result = Err(error),
        Ok(_) => {}
        Err(_) => tracing::warn!(
            task = %run.id,
            "stopped with records not acknowledged in time; they will be produced again"
        ),
    }
    if tokio::time::timeout(run.graceful_timeout(), source.task.stop()).await.is_err() {
        tracing::warn!(task = %run.id, "the connector's task did not stop in time");
    }
    result
}

fn producer(run: &TaskRun) -> Result<Producer, ConnectError> {
    let mut overrides = client::overrides(&run.context.settings.map, "producer.");
    overrides.extend(client::overrides(&run.spec.connector, "producer.override."));
    let settings = ProducerSettings { overrides, ..ProducerSettings::default() };
    Producer::new(&run.client("producer"), &settings).map_err(|error| of_client("producer", error))
}

/// A batch that was produced.
struct Sent {
    acks: Arc<Acks>,
    records: usize,
    bytes: usize,
    offsets: Vec<(SourcePartition, SourceOffset)>,
    position: u64,
}

/// Offsets whose records are acknowledged.
#[derive(Default)]
struct Unstored {
    offsets: IndexMap<String, (SourcePartition, SourceOffset)>,
    position: Option<u64>,
}

/// Offsets on their way.
struct Writing {
    acks: Arc<Acks>,
    position: u64,
}

struct SourceLoop<'a> {
    run: &'a TaskRun,
    task: Box<dyn SourceTask>,
    conversion: Conversion,
    producer: Producer,
    /// Topics that are known to exist.
    topics: HashSet<ByteString>,
    in_flight: VecDeque<Sent>,
    in_flight_records: usize,
    in_flight_bytes: usize,
    unstored: Unstored,
    writing: Option<Writing>,
    written_at: Option<Instant>,
    /// Keys and values of the record at hand.
    encoded: BytesMut,
    /// Header texts of the record at hand.
    scratch: String,
}

enum Step {
    Stop,
    Acknowledged(Result<(), ClientError>),
    Stored(Result<(), ClientError>),
    Write,
    Polled(Result<SourceBatch, ConnectError>),
}

impl SourceLoop<'_> {
    async fn work(&mut self) -> Result<(), ConnectError> {
        loop {
            let room = self.in_flight_records < IN_FLIGHT_RECORDS_MAX
                && self.in_flight_bytes < IN_FLIGHT_BYTES_MAX;
            let sent = self.in_flight.front().map(|sent| sent.acks.clone());
            let writing = self.writing.as_ref().map(|writing| writing.acks.clone());
            let due = self.write_due();
            let step = tokio::select! {
                biased;
                () = self.run.stop.cancelled() => Step::Stop,
                result = answered(sent) => Step::Acknowledged(result),
                result = answered(writing) => Step::Stored(result),
                () = tokio::time::sleep_until(due.unwrap_or_else(clock::now)), if due.is_some() => Step::Write,
                batch = self.task.poll(), if room => Step::Polled(batch),
            };
            match step {
                Step::Stop => return Ok(()),
                Step::Acknowledged(result) => {
                    result.map_err(|error| of_client("produce", error))?;
                    self.acknowledged();
                    self.write_if_due().await?;
                }
                Step::Stored(result) => {
                    result.map_err(|error| of_client("store offsets", error))?;
                    self.stored();
                    self.write_if_due().await?;
                }
                Step::Write => self.write_if_due().await?,
                Step::Polled(batch) => {
                    if !self.produce(batch?).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits for what is produced, stores its offsets and tells the task.
    async fn drain(&mut self) -> Result<(), ConnectError> {
        while let Some(sent) = self.in_flight.front() {
            let acks = sent.acks.clone();
            let result = acks.wait().await;
            if let Err(error) = result {
                // What came before it is acknowledged, and counts.
                self.in_flight.clear();
                self.settle().await?;
                return Err(of_client("produce", error));
            }
            self.acknowledged();
        }
        self.settle().await
    }

    async fn settle(&mut self) -> Result<(), ConnectError> {
        loop {
            if let Some(writing) = &self.writing {
                let acks = writing.acks.clone();
                acks.wait().await.map_err(|error| of_client("store offsets", error))?;
                self.stored();
            }
            if self.unstored.position.is_none() {
                return Ok(());
            }
            self.write().await?;
        }
    }

    /// Takes over the batches at the front whose records are all acknowledged.
    fn acknowledged(&mut self) {
        while let Some(sent) = self.in_flight.front() {
            if sent.acks.pending_count() > 0 || sent.acks.result().is_err() {
                return;
            }
            let Some(sent) = self.in_flight.pop_front() else { return };
            self.in_flight_records -= sent.records;
            self.in_flight_bytes -= sent.bytes;
            for (partition, offset) in sent.offsets {
                self.unstored.offsets.insert(canonical(&partition), (partition, offset));
            }
            self.unstored.position = Some(sent.position);
        }
    }

    fn stored(&mut self) {
        if let Some(writing) = self.writing.take() {
            self.task.committed(writing.position);
        }
    }

    /// When offsets are to be written; `None` while there are none, or some are on their way.
    fn write_due(&self) -> Option<Instant> {
        if self.writing.is_some() || self.unstored.position.is_none() {
            return None;
        }
        Some(self.written_at.map_or_else(clock::now, |at| at + OFFSET_WRITE_INTERVAL))
    }

    async fn write_if_due(&mut self) -> Result<(), ConnectError> {
        match self.write_due() {
            Some(due) if due <= clock::now() => self.write().await,
            Some(_) | None => Ok(()),
        }
    }

    async fn write(&mut self) -> Result<(), ConnectError> {
        let Unstored { offsets, position } = std::mem::take(&mut self.unstored);
        let Some(position) = position else { return Ok(()) };
        if offsets.is_empty() {
            self.task.committed(position);
            return Ok(());
        }
        let pairs = offsets.values().map(|(partition, offset)| (partition, offset));
        let written = self.run.context.offsets.write(&self.run.id.connector, pairs).await;
        let acks = written.map_err(|error| of_client("store offsets", error))?;
        self.writing = Some(Writing { acks, position });
        self.written_at = Some(clock::now());
        Ok(())
    }

    /// Produces a batch; `false` when the task was told to stop before all of it was produced.
    async fn produce(&mut self, batch: SourceBatch) -> Result<bool, ConnectError> {
        let acks = Arc::new(Acks::new());
        let (mut records, mut bytes) = (0, 0);
        for record in batch.records {
            // A large batch must not keep a thread from the REST, the broker and other tasks for long.
            tokio::task::coop::consume_budget().await;
            match self.produce_record(record, &acks).await? {
                Produced::Sent(record_bytes) => {
                    records += 1;
                    bytes += record_bytes;
                }
                Produced::Skipped => {}
                Produced::Stopped => return Ok(false),
            }
        }
        self.in_flight_records += records;
        self.in_flight_bytes += bytes;
        let (offsets, position) = (batch.offsets, batch.position);
        self.in_flight.push_back(Sent { acks, records, bytes, offsets, position });
        Ok(true)
    }

    async fn produce_record(
        &mut self,
        record: Record,
        acks: &Arc<Acks>,
    ) -> Result<Produced, ConnectError> {
        let topic = record.topic.clone();
        let record = match self.conversion.transform(record) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Produced::Skipped),
            Err(failure) => return self.refuse(&topic, failure.stage.name(), failure.error),
        };
        if !self.topics.contains(&record.topic) {
            self.ensure_topic(&record.topic).await?;
        }
        let Some(encoded) = self.encode(&record).await else { return Ok(Produced::Stopped) };
        let (key, value) = match encoded {
            Ok(ends) => ends,
            Err(failure) => return self.refuse(&record.topic, failure.stage.name(), failure.error),
        };
        let sent = self.send(&record, key, value, acks).await;
        self.encoded.clear();
        match sent {
            Ok(produced) => Ok(produced),
            Err(error) => {
                let error = of_client(&format!("produce to {}", record.topic), error);
                self.refuse(&record.topic, "KAFKA_PRODUCE", error)
            }
        }
    }

    /// Encodes into `encoded`, as often as it takes; `None` when told to stop meanwhile.
    async fn encode(
        &mut self,
        record: &Record,
    ) -> Option<Result<(Option<usize>, Option<usize>), Failure>> {
        let settings = &self.run.settings;
        let mut waits: Option<(Backoff, Instant)> = None;
        loop {
            self.encoded.clear();
            let failure = match self.conversion.encode(record, &mut self.encoded).await {
                Ok(ends) => {
                    if waits.is_some() {
                        self.run.running();
                    }
                    return Some(Ok(ends));
                }
                Err(failure) => failure,
            };
            let first = || {
                (Backoff::new(Duration::from_millis(300), settings.retry_delay_max), clock::now())
            };
            let (backoff, since) = waits.get_or_insert_with(first);
            let over = settings.retry_timeout.is_some_and(|limit| since.elapsed() >= limit);
            if failure.error.kind() != ErrorKind::Retriable {
                return Some(Err(failure));
            }
            if over {
                let error =
                    ConnectError::record(failure.error.to_string()).caused_by(failure.error);
                return Some(Err(Failure { error, ..failure }));
            }
            let delay = backoff.next();
            self.run.retrying(&failure.error, delay);
            tokio::select! {
                () = self.run.stop.cancelled() => return None,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    async fn send(
        &mut self,
        record: &Record,
        key: Option<usize>,
        value: Option<usize>,
        acks: &Arc<Acks>,
    ) -> Result<Produced, ClientError> {
        let key_end = key.unwrap_or(0);
        let key = key.and_then(|end| self.encoded.get(..end));
        let value = value.and_then(|end| self.encoded.get(key_end..end));
        self.scratch.clear();
        let mut headers: Vec<(&str, HeaderBytes<'_>)> = Vec::new();
        for header in &record.headers.0 {
            let bytes = self.conversion.header.encode(
                header.schema.as_ref(),
                &header.value,
                &mut self.scratch,
            );
            headers.push((&header.key, bytes));
        }
        let headers: Vec<(&str, Option<&[u8]>)> =
            headers.iter().map(|(name, bytes)| (*name, bytes.bytes(&self.scratch))).collect();
        let bytes = self.encoded.len();
        let (topic, partition, time) = (&record.topic, record.partition, record.timestamp_ms);
        loop {
            match self.producer.send(topic, partition, key, value, &headers, time, acks) {
                Ok(()) => return Ok(Produced::Sent(bytes)),
                Err(SendError::QueueFull) => {}
                Err(SendError::Refused(error)) => return Err(error),
                Err(other) => {
                    let text = other.to_string();
                    return Err(ClientError::Fatal { operation: "produce", text });
                }
            }
            tokio::select! {
                () = self.run.stop.cancelled() => return Ok(Produced::Stopped),
                () = self.producer.space() => {}
            }
        }
    }

    /// A record that can't be produced: skipped where everything is tolerated, else the end of the task.
    fn refuse(
        &self,
        topic: &str,
        stage: &str,
        error: ConnectError,
    ) -> Result<Produced, ConnectError> {
        if error.kind() != ErrorKind::Record {
            return Err(error);
        }
        if self.run.settings.tolerate_all {
            if self.run.settings.log_errors {
                tracing::warn!(task = %self.run.id, topic, stage, error = %error, "record can't be handled");
            }
            return Ok(Produced::Skipped);
        }
        let message = format!(
            "Tolerance exceeded in error handler: {stage} failed for a record to {topic}: {error}"
        );
        Err(ConnectError::record(message).caused_by(error))
    }

    async fn ensure_topic(&mut self, topic: &ByteString) -> Result<(), ConnectError> {
        if self.run.context.settings.topic_creation {
            let new = NewTopic {
                name: topic.to_string(),
                partitions: self.run.settings.topic_partitions,
                replication: self.run.settings.topic_replication,
                configs: self.run.settings.topic_configs.clone(),
            };
            let ensured = self.run.context.admin.ensure_topic(&new).await;
            ensured.map_err(|error| of_client(&format!("create topic {topic}"), error))?;
        }
        self.run.topic_used(topic);
        self.topics.insert(topic.clone());
        Ok(())
    }
}

enum Produced {
    /// With that many bytes of key and value.
    Sent(usize),
    /// Dropped by a transform, or tolerated.
    Skipped,
    /// The task was told to stop.
    Stopped,
}

/// The answer of a batch; never, where there is none.
async fn answered(acks: Option<Arc<Acks>>) -> Result<(), ClientError> {
    match acks {
        Some(acks) => acks.wait().await,
        None => std::future::pending().await,
    }
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
