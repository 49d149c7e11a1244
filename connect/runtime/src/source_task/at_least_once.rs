//! The at-least-once loop: records as they come, then offsets, then `committed`.
//!
//! - An offset is written only when every record of its batch and of all batches before is acknowledged.
//! - `committed` is called only when that offset is acknowledged too.
//! - Offsets are coalesced: while batches come quickly, the newest position is written every `OFFSET_WRITE_INTERVAL`.
//! - What is produced and not acknowledged is bounded in records and bytes; then the source is not polled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{Acks, ClientError, Producer, ProducerSettings};
use aquifer_connect_api::{
    ConnectError, SourceBatch, SourceConnector, SourceOffset, SourcePartition, SourceTask,
};
use indexmap::IndexMap;
use tokio::time::Instant;

use super::encoding::{Encoded, Encoder, unsendable};
use super::stage::{Flow, Stage};
use super::{overrides, start_task};
use crate::clock;
use crate::error::of_client;
use crate::offset::canonical;
use crate::task::TaskRun;

/// Records produced and not acknowledged: enough to keep the brokers busy, and below the producer's own queue.
const IN_FLIGHT_RECORDS_MAX: usize = 100_000;
/// Their bytes of keys and values.
const IN_FLIGHT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How often a busy task writes its offsets.
const OFFSET_WRITE_INTERVAL: Duration = Duration::from_millis(50);

/// Runs a source task until it is told to stop, or fails.
pub(super) async fn run(
    run: &TaskRun,
    connector: &dyn SourceConnector,
) -> Result<(), ConnectError> {
    let encoder = Encoder::new(run)?;
    let Some(task) = start_task(run, connector).await? else { return Ok(()) };
    let settings = ProducerSettings { overrides: overrides(run), ..ProducerSettings::default() };
    let producer = Producer::new(&run.client("producer"), &settings);
    let mut source = SourceLoop {
        run,
        task,
        encoder,
        producer: producer.map_err(|error| of_client("producer", error))?,
        in_flight: VecDeque::new(),
        in_flight_records: 0,
        in_flight_bytes: 0,
        unstored: Unstored::default(),
        writing: None,
        written_at: None,
        stage: Stage::default(),
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
    encoder: Encoder<'a>,
    producer: Producer,
    in_flight: VecDeque<Sent>,
    in_flight_records: usize,
    in_flight_bytes: usize,
    unstored: Unstored,
    writing: Option<Writing>,
    written_at: Option<Instant>,
    /// Key and value of the record at hand.
    stage: Stage,
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
            match self.encoder.encode(record, &mut self.stage).await? {
                Encoded::Staged => {}
                Encoded::Skipped => continue,
                Encoded::Stopped => return Ok(false),
            }
            records += 1;
            bytes += self.stage.byte_count();
            let run = self.run;
            let refused = |topic: &str, error| unsendable(run, topic, error);
            let (producer, stop) = (&self.producer, &self.run.stop);
            match self.stage.send(producer, &acks, stop, refused).await? {
                Flow::Sent => {}
                Flow::Stopped => return Ok(false),
            }
        }
        self.in_flight_records += records;
        self.in_flight_bytes += bytes;
        let (offsets, position) = (batch.offsets, batch.position);
        self.in_flight.push_back(Sent { acks, records, bytes, offsets, position });
        Ok(true)
    }
}

/// The answer of a batch; never, where there is none.
async fn answered(acks: Option<Arc<Acks>>) -> Result<(), ClientError> {
    match acks {
        Some(acks) => acks.wait().await,
        None => std::future::pending().await,
    }
}
