//! From a source's record to its bytes: transforms, the topic it needs, the converters, its headers.

use std::collections::HashSet;
use std::time::Duration;

use aquifer_broker_client::{ClientError, NewTopic};
use aquifer_connect_api::{ByteString, ConnectError, ErrorKind, Record};
use tokio::time::Instant;

use super::stage::{Mark, Stage};
use crate::clock::{self, Backoff};
use crate::conversion::{Conversion, Failure};
use crate::error::of_client;
use crate::task::TaskRun;

/// Turns the records of a task into bytes.
pub(super) struct Encoder<'a> {
    run: &'a TaskRun,
    conversion: Conversion,
    /// Topics that are known to exist.
    topics: HashSet<ByteString>,
    /// Header texts of the record at hand.
    scratch: String,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoded {
    /// It is staged.
    Staged,
    /// Dropped by a transform, or tolerated.
    Skipped,
    /// The task was told to stop.
    Stopped,
}

type Ends = (Option<usize>, Option<usize>);

impl<'a> Encoder<'a> {
    /// With the converters and transforms of the task's connector.
    pub(super) fn new(run: &'a TaskRun) -> Result<Self, ConnectError> {
        let context = &run.context;
        let conversion = Conversion::new(&context.plugins, &context.settings, &run.spec.connector)?;
        Ok(Self { run, conversion, topics: HashSet::new(), scratch: String::new() })
    }

    /// Puts a record's bytes on the stage.
    pub(super) async fn encode(
        &mut self,
        record: Record,
        stage: &mut Stage,
    ) -> Result<Encoded, ConnectError> {
        let topic = record.topic.clone();
        let record = match self.conversion.transform(record) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Encoded::Skipped),
            Err(failure) => {
                refuse(self.run, &topic, failure.stage.name(), failure.error)?;
                return Ok(Encoded::Skipped);
            }
        };
        if !self.topics.contains(&record.topic) {
            self.ensure_topic(&record.topic).await?;
        }
        let mark = stage.mark();
        let Some(converted) = self.convert(&record, stage, mark).await else {
            return Ok(Encoded::Stopped);
        };
        match converted {
            Ok(ends) => self.push(&record, stage, mark, ends),
            Err(failure) => {
                refuse(self.run, &record.topic, failure.stage.name(), failure.error)?;
                return Ok(Encoded::Skipped);
            }
        }
        Ok(Encoded::Staged)
    }

    fn push(&mut self, record: &Record, stage: &mut Stage, mark: Mark, ends: Ends) {
        self.scratch.clear();
        let mut headers = Vec::with_capacity(record.headers.0.len());
        for header in &record.headers.0 {
            let (schema, value) = (header.schema.as_ref(), &header.value);
            let bytes = self.conversion.header.encode(schema, value, &mut self.scratch);
            headers.push((&header.key, bytes));
        }
        let scratch = &self.scratch;
        let headers = headers.iter().map(|(name, bytes)| (*name, bytes.bytes(scratch)));
        stage.push(mark, record, ends, headers);
    }

    /// Key and value behind the mark, tried as often as it takes; `None` when told to stop meanwhile.
    async fn convert(
        &mut self,
        record: &Record,
        stage: &mut Stage,
        mark: Mark,
    ) -> Option<Result<Ends, Failure>> {
        let settings = &self.run.settings;
        let mut waits: Option<(Backoff, Instant)> = None;
        loop {
            let failure = match self.conversion.encode(record, stage.buffer()).await {
                Ok(ends) => {
                    if waits.is_some() {
                        self.run.running();
                    }
                    return Some(Ok(ends));
                }
                Err(failure) => failure,
            };
            stage.cut(mark);
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

/// A record that the producer refused: skipped where everything is tolerated, else the end of the task.
pub(super) fn unsendable(
    run: &TaskRun,
    topic: &str,
    error: ClientError,
) -> Result<(), ConnectError> {
    refuse(run, topic, "KAFKA_PRODUCE", of_client(&format!("produce to {topic}"), error))
}

/// A record that can't be produced: skipped where everything is tolerated, else the end of the task.
fn refuse(
    run: &TaskRun,
    topic: &str,
    stage: &str,
    error: ConnectError,
) -> Result<(), ConnectError> {
    if error.kind() != ErrorKind::Record {
        return Err(error);
    }
    if run.settings.tolerate_all {
        if run.settings.log_errors {
            tracing::warn!(task = %run.id, topic, stage, error = %error, "record can't be handled");
        }
        return Ok(());
    }
    let message = format!(
        "Tolerance exceeded in error handler: {stage} failed for a record to {topic}: {error}"
    );
    Err(ConnectError::record(message).caused_by(error))
}
