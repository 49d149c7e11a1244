//! The loop of a sink task: consume → converters → transforms → put, and commits of what is finished.
//!
//! - An offset is committed only below every unfinished record, and only while the partition is ours.
//! - A partition that is taken away is flushed (in limited time), committed and closed before it goes.
//! - Something that is away (a retriable error of a converter, a dead letter or `put`) pauses the partitions, waits with backoff, and
//!   delivers again from what is finished; the consumer stays in its group meanwhile.
//! - A `put` that takes long pauses the partitions too, so that the group does not throw the consumer out.

mod progress;
mod start;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{
    Acks, ClientError, ConsumedRecord, ConsumerEvent, GroupConsumer, PartitionOffset,
};
use aquifer_connect_api::{
    ConnectError, ConnectorKind, ErrantRecords, ErrorKind, Original, SinkConnector, SinkContext,
    SinkRecord, SinkTask, TopicPartition,
};
use parking_lot::RwLock;
use tokio::time::Instant;

use crate::clock::{self, Backoff};
use crate::conversion::{Conversion, Failure};
use crate::dead_letter::DeadLetters;
use crate::error::of_client;
use crate::herder::TaskId;
use crate::host::task_class;
use crate::task::TaskRun;
use progress::Partitions;

pub(crate) use start::{check_overrides, group_id};

/// A put that takes longer than this is waited for with paused partitions.
const SLOW_PUT: Duration = Duration::from_secs(10);
/// How often trouble that goes on is logged.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(30);
/// How often the consumer is polled at least.
const POLL_MAX: Duration = Duration::from_secs(1);

/// Runs a sink task until it is told to stop, or fails.
pub(crate) async fn run(run: &TaskRun, connector: &dyn SinkConnector) -> Result<(), ConnectError> {
    let conversion =
        Conversion::new(&run.context.plugins, &run.context.settings, &run.spec.connector)?;
    let dead_letters = Arc::new(
        start::dead_letters(run, task_class(connector.class(), ConnectorKind::Sink)).await?,
    );
    let owned = Owned::default();
    let context = Arc::new(Context {
        id: run.id.clone(),
        owned: owned.clone(),
        dead_letters: dead_letters.clone(),
    });
    let task = tokio::select! {
        () = run.stop.cancelled() => return Ok(()),
        task = connector.start_task(&run.spec.task, context) => task?,
    };
    let mut sink = SinkLoop {
        run,
        task,
        conversion,
        consumer: start::consumer(run)?,
        dead_letters,
        owned,
        partitions: Partitions::default(),
        held: VecDeque::new(),
        backoff: Backoff::new(Duration::from_millis(300), run.settings.retry_delay_max),
        retry: None,
        next_commit: clock::now() + run.context.settings.flush_interval,
        trouble_logged: None,
    };
    run.running();
    let result = sink.work().await;
    sink.end(result).await
}

/// The partitions that are ours.
type Owned = Arc<RwLock<BTreeSet<TopicPartition>>>;

/// A wait for something that is away.
struct Retry {
    until: Instant,
    since: Instant,
    /// Whether partitions are paused for it; while it is merely remembered, they are not.
    waiting: bool,
}

struct SinkLoop<'a> {
    run: &'a TaskRun,
    task: Box<dyn SinkTask>,
    conversion: Conversion,
    consumer: GroupConsumer,
    dead_letters: Arc<DeadLetters>,
    owned: Owned,
    partitions: Partitions,
    /// Events that came while a put was waited for.
    held: VecDeque<ConsumerEvent>,
    backoff: Backoff,
    retry: Option<Retry>,
    next_commit: Instant,
    trouble_logged: Option<Instant>,
}

/// How far a batch came in one partition.
struct Span {
    partition: TopicPartition,
    put: Option<i64>,
    next: i64,
}

impl SinkLoop<'_> {
    async fn work(&mut self) -> Result<(), ConnectError> {
        loop {
            let now = clock::now();
            if now >= self.next_commit {
                self.next_commit = now + self.run.context.settings.flush_interval;
                self.commit_finished()?;
            }
            let waiting =
                self.retry.as_ref().filter(|retry| retry.waiting).map(|retry| retry.until);
            if waiting.is_some_and(|until| now >= until) {
                self.deliver_again().await;
                continue;
            }
            let until = waiting.map_or(self.next_commit, |until| until.min(self.next_commit));
            let wait = until.saturating_duration_since(now).min(POLL_MAX);
            let event = match self.held.pop_front() {
                Some(event) => Some(event),
                None => tokio::select! {
                    () = self.run.stop.cancelled() => return Ok(()),
                    event = self.consumer.poll(wait) => event,
                },
            };
            match event {
                None => {}
                Some(ConsumerEvent::Records(records)) => self.take(records).await?,
                Some(ConsumerEvent::Assigned(partitions)) => self.assigned(partitions).await?,
                Some(ConsumerEvent::Revoked { partitions, lost }) => {
                    self.revoked(partitions, lost).await?;
                }
                Some(ConsumerEvent::Committed { result: Err(error), .. }) => {
                    // The next commit covers it.
                    tracing::warn!(task = %self.run.id, error = %error, "offsets could not be committed yet");
                }
                Some(ConsumerEvent::Committed { result: Ok(()), .. }) => {}
                Some(ConsumerEvent::Error(error)) => self.consumer_error(error)?,
            }
        }
    }

    fn consumer_error(&mut self, error: ClientError) -> Result<(), ConnectError> {
        if error.is_retriable() {
            // It is told again and again while it lasts.
            let now = clock::now();
            if self.trouble_logged.is_none_or(|at| now >= at + TROUBLE_INTERVAL) {
                self.trouble_logged = Some(now);
                tracing::warn!(task = %self.run.id, error = %error, "consumer has trouble");
            }
            return Ok(());
        }
        Err(of_client("consume", error))
    }

    /// Delivers records, or goes into a wait when something is away.
    async fn take(&mut self, records: Vec<ConsumedRecord>) -> Result<(), ConnectError> {
        let mut last: Option<&ConsumedRecord> = None;
        for record in &records {
            // Records come in runs of one partition.
            let same = |last: &ConsumedRecord| {
                last.partition == record.partition && Arc::ptr_eq(&last.topic, &record.topic)
            };
            if !last.is_some_and(same) {
                let partition = api_partition(&record.topic, record.partition);
                self.partitions.saw(&partition, record.offset);
            }
            last = Some(record);
        }
        if self.retry.as_ref().is_some_and(|retry| retry.waiting) {
            // Read before the pause; they come again.
            return Ok(());
        }
        match self.deliver(records).await {
            Ok(()) => {
                if self.retry.take().is_some() {
                    self.backoff.reset();
                    self.run.running();
                }
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Retriable => self.wait(&error),
            Err(error) => Err(error),
        }
    }

    async fn deliver(&mut self, records: Vec<ConsumedRecord>) -> Result<(), ConnectError> {
        let mut batch = Vec::with_capacity(records.len());
        let mut spans: Vec<Span> = Vec::new();
        let dead = Arc::new(Acks::new());
        for record in records {
            // A large batch must not keep a thread from the REST, the broker and other tasks for long.
            tokio::task::coop::consume_budget().await;
            let (topic, partition, next) =
                (record.topic.clone(), record.partition, record.offset + 1);
            let put = self.convert(record, &dead, &mut batch).await?.then_some(next);
            let same = |span: &&mut Span| {
                span.partition.partition == partition && span.partition.topic == topic
            };
            match spans.iter_mut().find(same) {
                Some(span) => {
                    span.put = put.or(span.put);
                    span.next = next;
                }
                None => spans.push(Span { partition: api_partition(&topic, partition), put, next }),
            }
        }
        self.dead_letters.settled(&dead).await?;
        if !batch.is_empty() {
            self.put(batch).await?;
        }
        for span in spans {
            self.run.topic_used(&span.partition.topic);
            self.partitions.consumed(&span.partition, span.put, span.next);
        }
        Ok(())
    }

    /// Converts and transforms one record into the batch; `false` when nothing of it is for the task.
    async fn convert(
        &mut self,
        record: ConsumedRecord,
        dead: &Arc<Acks>,
        batch: &mut Vec<SinkRecord>,
    ) -> Result<bool, ConnectError> {
        let headers = record.headers.into_iter().map(|(key, value)| (key.into(), value));
        let original = Arc::new(Original {
            topic: record.topic,
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key,
            value: record.value,
            headers: headers.collect(),
        });
        let decoded = self.conversion.decode(&original).await;
        let failure = match decoded.and_then(|record| self.conversion.transform(record)) {
            Ok(Some(record)) => {
                batch.push(SinkRecord { record, original });
                return Ok(true);
            }
            Ok(None) => return Ok(false),
            Err(failure) => self.given_up(failure),
        };
        self.dead_letters.send(&original, failure, dead).await?;
        Ok(false)
    }

    /// A failure of something that is away becomes one of the record when it was tried for long enough.
    fn given_up(&self, failure: Failure) -> Failure {
        let limit = self.run.settings.retry_timeout;
        let over = self.retry.as_ref().zip(limit);
        let over = over.is_some_and(|(retry, limit)| retry.since.elapsed() >= limit);
        if !over || failure.error.kind() != ErrorKind::Retriable {
            return failure;
        }
        let error = ConnectError::record(failure.error.to_string()).caused_by(failure.error);
        Failure { error, ..failure }
    }

    /// Gives records to the task; the consumer stays in its group however long that takes.
    async fn put(&mut self, batch: Vec<SinkRecord>) -> Result<(), ConnectError> {
        let Self { task, consumer, owned, held, .. } = self;
        let mut put = task.put(batch);
        if let Ok(result) = tokio::time::timeout(SLOW_PUT, &mut put).await {
            return result;
        }
        let paused: Vec<_> = owned.read().iter().map(client_partition).collect();
        if let Err(error) = consumer.pause(&paused) {
            tracing::debug!(error = %error, "partitions could not be paused");
        }
        let mut changing = false;
        let result = loop {
            tokio::select! {
                result = &mut put => break result,
                // A change of ownership takes effect at the poll after it: that one waits for the put.
                event = consumer.poll(POLL_MAX), if !changing => {
                    changing = matches!(
                        event,
                        Some(ConsumerEvent::Assigned(_) | ConsumerEvent::Revoked { .. })
                    );
                    held.extend(event);
                }
            }
        };
        drop(put);
        if let Err(error) = consumer.resume(&paused) {
            tracing::debug!(error = %error, "partitions could not be resumed");
        }
        result
    }

    /// Pauses everything until it is time to try again.
    fn wait(&mut self, error: &ConnectError) -> Result<(), ConnectError> {
        let delay = self.backoff.next();
        self.run.retrying(error, delay);
        let now = clock::now();
        let since = self.retry.as_ref().map_or(now, |retry| retry.since);
        self.retry = Some(Retry { until: now + delay, since, waiting: true });
        let all: Vec<_> = self.owned.read().iter().map(client_partition).collect();
        self.consumer.pause(&all).map_err(|error| of_client("pause", error))
    }

    /// Goes back to what is finished and reads on from there.
    async fn deliver_again(&mut self) {
        match self.task.finished() {
            Ok(finished) => self.partitions.finished(finished),
            // It surfaces again at the next put or commit.
            Err(error) => {
                tracing::debug!(task = %self.run.id, error = %error, "task reports an error while waiting")
            }
        }
        for (partition, offset) in self.partitions.rewind() {
            let to = client_offset(&partition, offset);
            if let Err(error) = self.consumer.seek(&to).await {
                let delay = self.backoff.next();
                tracing::warn!(task = %self.run.id, error = %error, "could not go back to offset {offset} yet");
                if let Some(retry) = &mut self.retry {
                    retry.until = clock::now() + delay;
                }
                return;
            }
        }
        if let Some(retry) = &mut self.retry {
            retry.waiting = false;
        }
        let all: Vec<_> = self.owned.read().iter().map(client_partition).collect();
        if let Err(error) = self.consumer.resume(&all) {
            tracing::warn!(task = %self.run.id, error = %error, "partitions could not be resumed");
        }
    }

    async fn assigned(
        &mut self,
        partitions: Vec<aquifer_broker_client::TopicPartition>,
    ) -> Result<(), ConnectError> {
        let new: Vec<TopicPartition> =
            partitions.iter().map(|one| api_partition(&one.topic, one.partition)).collect();
        self.owned.write().extend(new.iter().cloned());
        if self.retry.as_ref().is_some_and(|retry| retry.waiting) {
            self.consumer.pause(&partitions).map_err(|error| of_client("pause", error))?;
        }
        tracing::info!(task = %self.run.id, count = new.len(), "partitions assigned");
        self.task.open(&new).await
    }

    async fn revoked(
        &mut self,
        partitions: Vec<aquifer_broker_client::TopicPartition>,
        lost: bool,
    ) -> Result<(), ConnectError> {
        let gone: Vec<TopicPartition> =
            partitions.iter().map(|one| api_partition(&one.topic, one.partition)).collect();
        tracing::info!(task = %self.run.id, count = gone.len(), lost, "partitions revoked");
        let mut failed = None;
        if !lost {
            failed = self.flush_and_commit().await.err();
        }
        {
            let mut owned = self.owned.write();
            owned.retain(|partition| !gone.contains(partition));
        }
        self.partitions.forget(&gone);
        self.task.close(&gone).await?;
        match failed {
            Some(error) if error.kind() != ErrorKind::Retriable => Err(error),
            Some(error) => {
                tracing::warn!(task = %self.run.id, error = %error, "partitions went away before all was written");
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Finishes what can be finished in time, and commits that.
    async fn flush_and_commit(&mut self) -> Result<(), ConnectError> {
        let limit = self.run.context.settings.flush_timeout;
        let flushed = match tokio::time::timeout(limit, self.task.flush()).await {
            Ok(flushed) => flushed,
            Err(_) => Err(ConnectError::retriable(format!(
                "flush took longer than {} ms",
                limit.as_millis()
            ))),
        };
        let finished = self.task.finished();
        let result = match finished {
            Ok(finished) => {
                self.partitions.finished(finished);
                flushed
            }
            Err(error) => flushed.and(Err(error)),
        };
        let offsets = self.partitions.to_commit();
        let native: Vec<PartitionOffset> =
            offsets.iter().map(|(partition, offset)| client_offset(partition, *offset)).collect();
        match self.consumer.commit(&native).await {
            Ok(()) => self.partitions.committed(&offsets),
            Err(error) => {
                tracing::warn!(task = %self.run.id, error = %error, "offsets could not be committed; records will be delivered again");
            }
        }
        result
    }

    /// Commits what the task says is finished, without waiting.
    fn commit_finished(&mut self) -> Result<(), ConnectError> {
        match self.task.finished() {
            Ok(finished) => self.partitions.finished(finished),
            Err(error) if error.kind() == ErrorKind::Retriable => {
                if !self.retry.as_ref().is_some_and(|retry| retry.waiting) {
                    self.wait(&error)?;
                }
            }
            Err(error) => return Err(error),
        }
        let offsets = self.partitions.to_commit();
        if offsets.is_empty() {
            return Ok(());
        }
        let native: Vec<PartitionOffset> =
            offsets.iter().map(|(partition, offset)| client_offset(partition, *offset)).collect();
        match self.consumer.commit_later(&native) {
            Ok(()) => self.partitions.committed(&offsets),
            Err(error) => {
                tracing::warn!(task = %self.run.id, error = %error, "offsets could not be committed yet");
            }
        }
        Ok(())
    }

    /// Ends in order, whether told to or failed; a failure stays the result.
    async fn end(mut self, result: Result<(), ConnectError>) -> Result<(), ConnectError> {
        let flushed = self.flush_and_commit().await;
        let owned: Vec<TopicPartition> = self.owned.read().iter().cloned().collect();
        let closed = self.task.close(&owned).await;
        self.owned.write().clear();
        let limit = self.run.graceful_timeout();
        if tokio::time::timeout(limit, self.task.stop()).await.is_err() {
            tracing::warn!(task = %self.run.id, "the connector's task did not stop in time");
        }
        self.consumer.close(limit).await;
        if let Err(error) = flushed.and(closed)
            && result.is_ok()
        {
            tracing::warn!(task = %self.run.id, error = %error.trace(), "stopped before all was written; the rest is delivered again");
        }
        result
    }
}

fn api_partition(topic: &Arc<str>, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.clone(), partition }
}

fn client_partition(partition: &TopicPartition) -> aquifer_broker_client::TopicPartition {
    aquifer_broker_client::TopicPartition {
        topic: partition.topic.clone(),
        partition: partition.partition,
    }
}

fn client_offset(partition: &TopicPartition, offset: i64) -> PartitionOffset {
    PartitionOffset { topic: partition.topic.clone(), partition: partition.partition, offset }
}

/// What a sink task is offered.
struct Context {
    id: TaskId,
    owned: Owned,
    dead_letters: Arc<DeadLetters>,
}

impl SinkContext for Context {
    fn connector(&self) -> &str {
        &self.id.connector
    }

    fn task(&self) -> u32 {
        self.id.task
    }

    fn owns(&self, partition: &TopicPartition) -> bool {
        self.owned.read().contains(partition)
    }

    fn errant_records(&self) -> Arc<dyn ErrantRecords> {
        self.dead_letters.clone()
    }
}
