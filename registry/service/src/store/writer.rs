//! The one task that writes: takes waiting writes together, decides, and commits what they write as one transaction.
//!
//! - Nothing is decided before this writer has fenced the ones before it and has read everything they wrote.
//! - Who waits is answered when the transaction is committed and applied by our own follower.
//! - A transaction that was certainly not committed is decided again, once, by a writer that has taken over anew. One whose commit
//!   went unanswered is looked for after taking over anew: its records are visible then, or never will be.
//! - When nothing waits any more, a plain NOOP ends the log: readers of other makes compare the last record with the end, and
//!   would wait for ever at a marker.

use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{ClientError, ClientSettings, TransactionalProducer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::queue::{Job, Plan, gather};
use super::take_over::{applied, send, take_over};
use super::{CATCH_UP, Loaded};
use crate::decide::{Ahead, Record};
use crate::error::ApiError;
use crate::marks::Marks;
use crate::state::record::Key;

/// How long a commit may go unanswered before its outcome is looked for in the topic.
const COMMIT_MAX: Duration = Duration::from_secs(10);
/// How long aborting may take before the producer is given up.
const ABORT_MAX: Duration = Duration::from_secs(5);
/// Without a write for this long, the log is ended with a NOOP.
const IDLE: Duration = Duration::from_millis(200);
/// How long to wait before taking over is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A transaction whose commit went unanswered.
pub(super) struct Unanswered {
    jobs: Vec<Job>,
    /// The offset of its last record in the topic of schemas.
    last: i64,
}

/// What a writer leaves to the next one, when the topics must be loaded anew.
#[derive(Default)]
pub(super) struct Legacy {
    pub(super) unanswered: Option<Unanswered>,
    /// A write that comes before those that wait.
    next: Vec<Job>,
}

impl Legacy {
    /// The record that tells whether an unanswered commit took effect.
    pub(super) fn witness(&self) -> Option<i64> {
        self.unanswered.as_ref().map(|one| one.last)
    }
}

/// Why a transaction did not come to its end.
enum Lost {
    /// It is aborted, and the producer can go on.
    Aborted(ClientError),
    /// It is not committed and never will be; the producer is of no use any more.
    Producer(ClientError),
    /// Its commit went unanswered.
    Unanswered { last: i64, error: ClientError },
}

/// The writer of a loaded registry.
pub(super) struct Writer {
    pub(super) client: ClientSettings,
    pub(super) loaded: Arc<Loaded>,
    /// None until it has taken over, and after it was fenced or an outcome is unknown.
    producer: Option<TransactionalProducer>,
    legacy: Legacy,
    /// Whether the log may end with a marker.
    ends_in_marker: bool,
}

impl Writer {
    pub(super) fn new(client: ClientSettings, loaded: Arc<Loaded>, legacy: Legacy) -> Self {
        Self { client, loaded, producer: None, legacy, ends_in_marker: false }
    }

    /// Writes until told to stop or until the topics can't be followed; what has begun is brought to an end first.
    pub(super) async fn run(
        mut self,
        waiting: &mut mpsc::Receiver<Job>,
        stop: &CancellationToken,
    ) -> Legacy {
        while self.loaded.failure().is_none() {
            if self.producer.is_none() {
                if stop.is_cancelled() {
                    break;
                }
                self.take_over(stop).await;
                continue;
            }
            let first = match self.legacy.next.pop() {
                Some(job) => Some(job),
                None => tokio::select! {
                    biased;
                    job = waiting.recv() => match job {
                        Some(job) => Some(job),
                        None => break,
                    },
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(IDLE), if self.ends_in_marker => None,
                },
            };
            match first {
                Some(first) if self.legacy.next.is_empty() => {
                    let (batch, next) = gather(first, waiting);
                    self.legacy.next.extend(next);
                    self.write(batch).await;
                }
                // What is decided again goes one by one.
                Some(first) => self.write(vec![first]).await,
                None => self.end_log().await,
            }
        }
        if self.ends_in_marker && self.loaded.failure().is_none() {
            self.end_log().await;
        }
        self.legacy
    }

    async fn take_over(&mut self, stop: &CancellationToken) {
        let taken = tokio::select! {
            taken = take_over(&self.client, &self.loaded) => taken,
            () = stop.cancelled() => return,
        };
        match taken {
            Ok(producer) => {
                self.producer = Some(producer);
                self.ends_in_marker = false;
                self.settle_unanswered();
            }
            Err(err) => {
                tracing::warn!(topic = self.loaded.schemas.topic(), error = %err, "can't write schemas yet, trying again");
                tokio::select! {
                    () = tokio::time::sleep(AGAIN_AFTER) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    /// Everything that is committed has been read: an unanswered transaction is in it, or is aborted.
    fn settle_unanswered(&mut self) {
        let Some(Unanswered { jobs, last }) = self.legacy.unanswered.take() else { return };
        if self.loaded.view.witnessed(last) {
            jobs.into_iter().for_each(|job| job.write.finish(Ok(())));
        } else {
            self.again(jobs, &ClientError::Closed { operation: "commit transaction" });
        }
    }

    /// Decides writes anew that were certainly not written, once.
    fn again(&mut self, jobs: Vec<Job>, err: &ClientError) {
        for mut job in jobs.into_iter().rev() {
            if job.repeated {
                let outcome = ApiError::of_write(job.operation, err);
                job.write.finish(Err(outcome));
            } else {
                job.repeated = true;
                self.legacy.next.push(job);
            }
        }
    }

    async fn end_log(&mut self) {
        match self.loaded.schemas.append(0, &Key::Noop.write(), None).await {
            Ok(_) => self.ends_in_marker = false,
            Err(err) => tracing::debug!(error = %err, "the log could not be ended with a NOOP yet"),
        }
    }

    async fn write(&mut self, mut batch: Vec<Job>) {
        // Who has given up was told that nothing is written.
        batch.retain(|job| job.repeated || job.turn.take());
        if batch.is_empty() {
            return;
        }
        let caught_up = tokio::time::timeout(CATCH_UP, self.loaded.schemas.catch_up()).await;
        let refusal = match caught_up {
            Ok(Ok(())) => None,
            Ok(Err(err)) => Some(err.to_string()),
            Err(_) => Some("the Kafka brokers did not answer".to_owned()),
        };
        if let Some(reason) = refusal {
            for job in batch {
                let reason = format!("{reason}; nothing was written");
                job.write.finish(Err(ApiError::Timeout { operation: job.operation, reason }));
            }
            return;
        }
        let view = self.loaded.view.clone();
        let deciding = tokio::task::spawn_blocking(move || {
            let mut ahead = Ahead::default();
            let decide = |mut job: Job| {
                let plan = job.write.decide(&view, &mut ahead);
                (job, plan)
            };
            batch.into_iter().map(decide).collect::<Vec<_>>()
        });
        // A decision that panics takes its batch along: those who wait learn it from their dropped senders.
        let Ok(decided) = deciding.await else { return };
        let (idle, writing): (Vec<_>, Vec<_>) =
            decided.into_iter().partition(|(_, plan)| plan.is_empty());
        for (job, _) in idle {
            job.write.finish(Ok(()));
        }
        self.commit(writing).await;
    }

    async fn commit(&mut self, writing: Vec<(Job, Plan)>) {
        if writing.is_empty() {
            return;
        }
        let (jobs, plans): (Vec<Job>, Vec<Plan>) = writing.into_iter().unzip();
        match self.transact(&plans).await {
            Ok(()) => jobs.into_iter().for_each(|job| job.write.finish(Ok(()))),
            Err(Lost::Aborted(ClientError::RecordTooLarge { .. })) if jobs.len() > 1 => {
                // One of them is: it must not take the others along.
                for one in jobs.into_iter().zip(plans) {
                    if self.producer.is_some() {
                        Box::pin(self.commit(vec![one])).await;
                    } else {
                        self.again(vec![one.0], &ClientError::Closed { operation: "write" });
                    }
                }
            }
            Err(Lost::Aborted(err)) => {
                for job in jobs {
                    let outcome = ApiError::of_write(job.operation, &err);
                    job.write.finish(Err(outcome));
                }
            }
            Err(Lost::Producer(err)) => {
                tracing::warn!(error = %err, "schemas must be taken over again before writing");
                self.producer = None;
                self.again(jobs, &err);
            }
            Err(Lost::Unanswered { last, error }) => {
                tracing::warn!(error = %error, "a commit went unanswered, its outcome is looked for");
                self.producer = None;
                self.legacy.unanswered = Some(Unanswered { jobs, last });
            }
        }
    }

    /// One transaction, from begin to its records being applied here.
    async fn transact(&mut self, plans: &[Plan]) -> Result<(), Lost> {
        let loaded = self.loaded.clone();
        let Some(producer) = self.producer.clone() else {
            return Err(Lost::Producer(ClientError::Closed { operation: "write" }));
        };
        producer.begin().await.map_err(Lost::Producer)?;
        self.ends_in_marker = true;
        let records: Vec<Record> = plans.iter().flat_map(|plan| plan.records.clone()).collect();
        let marks = plans.iter().filter_map(|plan| plan.mark.as_ref()).map(|(context, id)| {
            let (key, value) = Marks::record(loaded.schemas.topic(), context, *id);
            (key, Some(value))
        });
        let marks: Vec<Record> = marks.collect();
        let sent = async {
            let marked = send(&producer, &loaded.marks, &marks).await?;
            let written = send(&producer, &loaded.schemas, &records).await?;
            marked.wait().await?;
            written.wait().await?;
            Ok((marked, written))
        };
        let (marked, written) = match sent.await {
            Ok(acks) => acks,
            Err(err) => return Err(abort(&producer, err).await),
        };
        let last = written.end_offset().unwrap_or_default() - 1;
        loaded.view.watch(last);
        match producer.commit(COMMIT_MAX).await {
            Ok(()) => {}
            Err(err @ ClientError::Abortable { .. }) => return Err(abort(&producer, err).await),
            Err(error) => return Err(Lost::Unanswered { last, error }),
        }
        let followed = async {
            applied(&loaded.marks, &marked).await?;
            applied(&loaded.schemas, &written).await
        };
        followed.await.map_err(|error| Lost::Unanswered { last, error })
    }
}

async fn abort(producer: &TransactionalProducer, err: ClientError) -> Lost {
    match producer.abort(ABORT_MAX).await {
        Ok(()) => Lost::Aborted(err),
        // Whatever it was, it is never committed: the next writer fences this one.
        Err(_) => Lost::Producer(err),
    }
}
