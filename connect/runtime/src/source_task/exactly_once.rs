//! The exactly-once loop: records and the offsets that cover them are one transaction (KIP-618).
//!
//! - The task's `transactional.id` is initialised before the task starts: a task of that id that still runs elsewhere is fenced, and
//!   what it left open is aborted before the offsets are read.
//! - A batch enters a transaction as a whole, once all of it is encoded; a transaction ends with whole batches alone.
//! - While a transaction is being committed the source goes on being polled, and what it brings is staged, within bounds, for the
//!   next one: so batches that come quickly share a transaction, and one that comes alone is committed at once.
//! - After anything but success the transaction is aborted and the task ends: the next attempt begins at the offsets committed last.

use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{
    Acks, ClientError, ProducerSettings, TransactionSettings, TransactionalProducer,
};
use aquifer_connect_api::{
    ConnectError, SourceBatch, SourceConnector, SourceOffset, SourcePartition, SourceTask,
};
use indexmap::IndexMap;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::encoding::{Encoded, Encoder, unsendable};
use super::stage::{Flow, Stage};
use super::{overrides, start_task};
use crate::clock;
use crate::config::client;
use crate::config::connector::TransactionBoundary;
use crate::error::of_client;
use crate::herder::TaskId;
use crate::offset::canonical;
use crate::task::{TaskRun, WorkerContext};

/// Fencing and aborting wait this long for the brokers before the attempt is given up.
const INIT_MAX: Duration = Duration::from_secs(60);
/// A commit without an answer for this long is given up; whether it took effect shows when the offsets are read again.
const COMMIT_MAX: Duration = Duration::from_secs(60);
/// Aborting is a courtesy to readers: the next attempt does it as well.
const ABORT_MAX: Duration = Duration::from_secs(5);
/// Kafka's default of `transaction.timeout.ms`.
const TIMEOUT_MS: u32 = 60_000;
/// A source that never pauses: how long readers wait for what it brings.
const AGE_MAX: Duration = Duration::from_millis(100);
/// Its records in a transaction, so that one that has to be repeated is not endless.
const RECORDS_MAX: usize = 50_000;
/// Their bytes.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// Records staged while a transaction is being committed; then the source is not polled.
const STAGED_RECORDS_MAX: usize = 20_000;
/// Their bytes.
const STAGED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Runs a source task until it is told to stop, or fails.
pub(super) async fn run(
    run: &TaskRun,
    connector: &dyn SourceConnector,
) -> Result<(), ConnectError> {
    let encoder = Encoder::new(run)?;
    let (producer, timeout) = producer(run)?;
    let fenced = tokio::select! {
        () = run.stop.cancelled() => return Ok(()),
        fenced = producer.init(INIT_MAX) => fenced,
    };
    fenced.map_err(|error| of_client("initialise transactions", error))?;
    let Some(task) = start_task(run, connector).await? else { return Ok(()) };
    let mut source = SourceLoop {
        run,
        task,
        encoder,
        producer,
        timeout,
        interval: interval(run),
        stage: Stage::default(),
        staged: Covered::default(),
        open: None,
        committing: None,
        lost: false,
        lost_since_epoch_ms: None,
    };
    run.running();
    let mut result = source.work().await;
    // Whole batches that came before an error count.
    let drained = tokio::time::timeout(run.graceful_timeout(), source.drain()).await;
    match drained {
        Ok(Err(error)) if result.is_ok() => result = Err(error),
        Ok(_) => {}
        Err(_) => {
            source.lost = true;
            tracing::warn!(
                task = %run.id,
                "stopped with a transaction that was not committed in time; its records will be produced again"
            );
        }
    }
    // A producer may hear that it was shut out only when it aborts.
    if let Some(error) = source.abandon().await
        && result.is_err()
    {
        result = Err(error);
    }
    if tokio::time::timeout(run.graceful_timeout(), source.task.stop()).await.is_err() {
        tracing::warn!(task = %run.id, "the connector's task did not stop in time");
    }
    result
}

/// Aborts what a task of that id left open, wherever it ran, and shuts it out.
pub(crate) async fn fence(context: &WorkerContext, id: &TaskId) -> Result<(), ClientError> {
    let overrides = client::overrides(&context.settings.map, "producer.");
    let settings = ProducerSettings { overrides: own(overrides, None).0, ..Default::default() };
    let transactions = TransactionSettings {
        transactional_id: transactional_id(context, id),
        timeout_ms: TIMEOUT_MS,
    };
    let client = context.client.with_client_id(format!("connector-fence-{id}"));
    TransactionalProducer::new(&client, &settings, &transactions)?.init(INIT_MAX).await
}

/// As Kafka Connect names them, so that workers of either make shut each other out.
fn transactional_id(context: &WorkerContext, id: &TaskId) -> String {
    format!("{}-{}-{}", context.settings.group_id, id.connector, id.task)
}

/// The producer, and the time after which the coordinator gives up its transactions.
fn producer(run: &TaskRun) -> Result<(TransactionalProducer, Duration), ConnectError> {
    let transactional_id = transactional_id(&run.context, &run.id);
    let (overrides, timeout_ms) = own(overrides(run), Some(&transactional_id));
    // A transaction must be able to last for the interval between two commits.
    let twice = interval(run).unwrap_or_default().as_millis().saturating_mul(2);
    let least = TIMEOUT_MS.max(u32::try_from(twice).unwrap_or(u32::MAX));
    let timeout_ms = timeout_ms.unwrap_or(least);
    let settings = ProducerSettings { overrides, ..ProducerSettings::default() };
    let transactions = TransactionSettings { transactional_id, timeout_ms };
    let producer = TransactionalProducer::new(&run.client("producer"), &settings, &transactions);
    let producer = producer.map_err(|error| of_client("producer", error))?;
    Ok((producer, Duration::from_millis(timeout_ms.into())))
}

/// The time between two commits; `None` where a transaction ends as soon as the source pauses.
fn interval(run: &TaskRun) -> Option<Duration> {
    match run.settings.transaction_boundary {
        TransactionBoundary::Poll => None,
        TransactionBoundary::Interval(given) => {
            Some(given.unwrap_or(run.context.settings.flush_interval))
        }
    }
}

/// Takes out the options that belong to the worker here, and the timeout of transactions.
fn own(
    mut overrides: Vec<(String, String)>,
    transactional_id: Option<&str>,
) -> (Vec<(String, String)>, Option<u32>) {
    for (name, used) in
        [("transactional.id", transactional_id), ("enable.idempotence", Some("true"))]
    {
        let Some(given) = client::take(&mut overrides, name) else { continue };
        if let Some(used) = used.filter(|used| *used != given) {
            tracing::warn!(
                "The value '{given}' for the '{name}' property will be ignored as it cannot be overridden for connectors when \
                 exactly-once source support is enabled. The value '{used}' will be used instead."
            );
        }
    }
    let timeout = client::take(&mut overrides, "transaction.timeout.ms");
    (overrides, timeout.and_then(|text| text.trim().parse().ok()))
}

/// What a transaction covers beside its records.
#[derive(Debug, Default)]
struct Covered {
    offsets: IndexMap<String, (SourcePartition, SourceOffset)>,
    /// What the task is told when it is committed.
    position: Option<u64>,
}

impl Covered {
    fn add(&mut self, offsets: Vec<(SourcePartition, SourceOffset)>, position: u64) {
        for (partition, offset) in offsets {
            self.offsets.insert(canonical(&partition), (partition, offset));
        }
        self.position = Some(position);
    }

    fn extend(&mut self, later: Covered) {
        self.offsets.extend(later.offsets);
        self.position = later.position.or(self.position);
    }
}

/// A transaction that was begun.
struct Open {
    acks: Arc<Acks>,
    covered: Covered,
    records: usize,
    bytes: usize,
    since: Instant,
    since_epoch_ms: i64,
}

/// A transaction on its way to its end.
struct Committing {
    outcome: AbortOnDropHandle<Result<(), ClientError>>,
    position: Option<u64>,
    since_epoch_ms: i64,
}

struct SourceLoop<'a> {
    run: &'a TaskRun,
    task: Box<dyn SourceTask>,
    encoder: Encoder<'a>,
    producer: TransactionalProducer,
    /// After this long the coordinator gives a transaction up.
    timeout: Duration,
    /// The time between two commits; `None` where a transaction ends as soon as the source pauses.
    interval: Option<Duration>,
    /// Records of whole batches that wait for a transaction.
    stage: Stage,
    staged: Covered,
    open: Option<Open>,
    committing: Option<Committing>,
    /// Whether a transaction can't be completed any more.
    lost: bool,
    /// When the transaction was begun that failed.
    lost_since_epoch_ms: Option<i64>,
}

enum Step {
    Stop,
    Committed(Result<(), ClientError>),
    Polled(Result<SourceBatch, ConnectError>),
    Commit,
}

impl SourceLoop<'_> {
    async fn work(&mut self) -> Result<(), ConnectError> {
        loop {
            if self.full() {
                self.commit();
            }
            let room = self.stage.record_count() < STAGED_RECORDS_MAX
                && self.stage.byte_count() < STAGED_BYTES_MAX;
            let due = self.commit_due();
            let step = tokio::select! {
                biased;
                () = self.run.stop.cancelled() => Step::Stop,
                result = committed(&mut self.committing) => Step::Committed(result),
                batch = self.task.poll(), if room => Step::Polled(batch),
                () = reached(due) => Step::Commit,
            };
            match step {
                Step::Stop => return Ok(()),
                Step::Committed(result) => {
                    self.committed(result)?;
                    self.produce().await?;
                }
                Step::Polled(batch) => {
                    if !self.stage(batch?).await? {
                        return Ok(());
                    }
                    self.produce().await?;
                }
                Step::Commit => self.commit(),
            }
        }
    }

    /// When the open transaction is to be committed, while nothing else happens.
    fn commit_due(&self) -> Option<Instant> {
        let open = self.open.as_ref().filter(|_| self.committing.is_none())?;
        Some(open.since + self.interval.unwrap_or_default())
    }

    /// Whether the open transaction must not go on, although the source has more.
    fn full(&self) -> bool {
        let Some(open) = self.open.as_ref().filter(|_| self.committing.is_none()) else {
            return false;
        };
        let age = clock::now().saturating_duration_since(open.since);
        match self.interval {
            None => age >= AGE_MAX || open.records >= RECORDS_MAX || open.bytes >= BYTES_MAX,
            Some(interval) => age >= interval,
        }
    }

    /// Encodes a batch; `false` when the task was told to stop before all of it was encoded, and nothing of it is kept then.
    async fn stage(&mut self, batch: SourceBatch) -> Result<bool, ConnectError> {
        let mark = self.stage.mark();
        for record in batch.records {
            // A large batch must not keep a thread from the REST, the broker and other tasks for long.
            tokio::task::coop::consume_budget().await;
            match self.encoder.encode(record, &mut self.stage).await {
                Ok(Encoded::Staged | Encoded::Skipped) => {}
                Ok(Encoded::Stopped) => {
                    self.stage.cut(mark);
                    return Ok(false);
                }
                Err(error) => {
                    self.stage.cut(mark);
                    return Err(error);
                }
            }
        }
        self.staged.add(batch.offsets, batch.position);
        Ok(true)
    }

    /// Hands what is staged to the open transaction, or to a new one; nothing while one is being committed.
    async fn produce(&mut self) -> Result<(), ConnectError> {
        if self.committing.is_some() || self.staged.position.is_none() {
            return Ok(());
        }
        if self.open.is_none() {
            if self.stage.record_count() == 0 && self.staged.offsets.is_empty() {
                if let Some(position) = self.staged.position.take() {
                    self.task.committed(position);
                }
                return Ok(());
            }
            self.begin().await?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.records += self.stage.record_count();
        open.bytes += self.stage.byte_count();
        let run = self.run;
        let refused = |topic: &str, error| unsendable(run, topic, error);
        let (records, stop) = (self.producer.records(), &self.run.stop);
        let flow = self.stage.send(records, &open.acks, stop, refused).await;
        // What is sent in part must not be committed.
        self.lost |= !matches!(flow, Ok(Flow::Sent));
        if flow? == Flow::Sent {
            open.covered.extend(std::mem::take(&mut self.staged));
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), ConnectError> {
        let begun = self.producer.begin().await;
        begun.map_err(|error| self.failed("begin transaction", error, None))?;
        self.open = Some(Open {
            acks: Arc::new(Acks::new()),
            covered: Covered::default(),
            records: 0,
            bytes: 0,
            since: clock::now(),
            since_epoch_ms: clock::epoch_ms(),
        });
        Ok(())
    }

    /// Starts the commit of the open transaction, its offsets last: they keep readers of other offsets waiting the shortest then.
    fn commit(&mut self) {
        let Some(Open { acks, covered, since_epoch_ms, .. }) = self.open.take() else { return };
        let (context, producer) = (self.run.context.clone(), self.producer.clone());
        let connector = self.run.id.connector.clone();
        let Covered { offsets, position } = covered;
        let outcome = tokio::spawn(async move {
            let pairs = offsets.values().map(|(partition, offset)| (partition, offset));
            context.offsets.send_with(producer.records(), &connector, pairs, &acks).await?;
            acks.wait().await?;
            producer.commit(COMMIT_MAX).await
        });
        let outcome = AbortOnDropHandle::new(outcome);
        self.committing = Some(Committing { outcome, position, since_epoch_ms });
    }

    fn committed(&mut self, result: Result<(), ClientError>) -> Result<(), ConnectError> {
        let Some(Committing { position, since_epoch_ms, .. }) = self.committing.take() else {
            return Ok(());
        };
        result.map_err(|error| self.failed("commit transaction", error, Some(since_epoch_ms)))?;
        if let Some(position) = position {
            self.task.committed(position);
        }
        Ok(())
    }

    /// What the failure of a transaction means: all but being shut out is mended by another attempt.
    fn failed(
        &mut self,
        doing: &str,
        error: ClientError,
        since_epoch_ms: Option<i64>,
    ) -> ConnectError {
        self.lost = true;
        self.lost_since_epoch_ms = self.lost_since_epoch_ms.or(since_epoch_ms);
        let ClientError::Fenced { .. } = &error else {
            if let ClientError::Abortable { .. } = &error {
                return ConnectError::retriable(format!("{doing}: {error}"));
            }
            return of_client(doing, error);
        };
        // The coordinator shuts out a producer whose transaction lasted too long, too: a machine that slept, brokers that were away.
        let age_ms = since_epoch_ms.map_or(0, |since| clock::epoch_ms().saturating_sub(since));
        if u128::try_from(age_ms).unwrap_or(0) >= self.timeout.as_millis() {
            return ConnectError::retriable(format!("{doing}: it took too long: {error}"));
        }
        let id = self.producer.transactional_id();
        ConnectError::config(format!(
            "{doing}: another producer with transactional.id {id} has been started and has shut this task out; does another worker \
             with the same group.id run connector {}? The task is not started again by itself: {error}",
            self.run.id.connector
        ))
    }

    /// Commits what has whole batches.
    async fn drain(&mut self) -> Result<(), ConnectError> {
        while !self.lost {
            if self.committing.is_some() {
                let result = committed(&mut self.committing).await;
                self.committed(result)?;
                self.produce().await?;
            } else if self.staged.position.is_some() {
                self.produce().await?;
            } else if self.open.is_some() {
                self.commit();
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Aborts what could not be committed, so that readers need not wait for the coordinator to do so. An error if another
    /// producer has shut this one out: then the task must not try again.
    async fn abandon(&mut self) -> Option<ConnectError> {
        let open = self.open.take().map(|open| open.since_epoch_ms);
        let committing = self.committing.take().map(|committing| committing.since_epoch_ms);
        let since = open.or(committing).or(self.lost_since_epoch_ms);
        if since.is_none() && !self.lost {
            return None;
        }
        let Err(error) = self.producer.abort(ABORT_MAX).await else { return None };
        tracing::debug!(task = %self.run.id, error = %error, "transaction is left to the next attempt");
        matches!(error, ClientError::Fenced { .. })
            .then(|| self.failed("abort transaction", error, since))
    }
}

/// The outcome of the commit under way; never, where there is none.
async fn committed(committing: &mut Option<Committing>) -> Result<(), ClientError> {
    match committing {
        Some(committing) => {
            let closed = ClientError::Closed { operation: "commit transaction" };
            (&mut committing.outcome).await.unwrap_or(Err(closed))
        }
        None => std::future::pending().await,
    }
}

/// Completes at that time; never, where there is none.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_worker_are_taken_out_and_the_timeout_is_read() {
        let given =
            [("transactional.id", "x"), ("linger.ms", "5"), ("transaction.timeout.ms", "7")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let (left, timeout) = own(given, Some("w-c-0"));
        assert_eq!(left, [("linger.ms".to_owned(), "5".to_owned())]);
        assert_eq!(timeout, Some(7));
    }

    #[test]
    fn transaction_covers_the_newest_offset_of_each_partition() {
        let partition = |name: &str| -> SourcePartition {
            Arc::new([("p".to_owned(), name.into())].into_iter().collect())
        };
        let offset =
            |n: i64| -> SourceOffset { [("n".to_owned(), n.into())].into_iter().collect() };
        let mut covered = Covered::default();
        covered.add(vec![(partition("a"), offset(1)), (partition("b"), offset(1))], 1);
        let mut later = Covered::default();
        later.add(vec![(partition("a"), offset(2))], 2);
        covered.extend(later);
        let offsets: Vec<_> = covered.offsets.values().map(|(_, offset)| offset.clone()).collect();
        assert_eq!((offsets, covered.position), (vec![offset(2), offset(1)], Some(2)));
    }
}
