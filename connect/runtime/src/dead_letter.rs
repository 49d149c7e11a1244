//! Records that can't be handled: skipped, kept in the dead letter topic, or the end of the task, as `errors.tolerance` says.
//!
//! - A dead letter is the record as it lay in its topic; with context headers it tells where it came from and what was wrong.
//! - `report` returns when the dead letter is acknowledged by the brokers, so the record's offset may be committed.

use std::sync::Arc;

use aquifer_broker_client::{Acks, Producer};
use aquifer_connect_api::{ConnectError, ErrantRecords, ErrorKind, Original};
use async_trait::async_trait;

use crate::conversion::{Failure, Stage};
use crate::error::of_client;
use crate::herder::TaskId;

/// Where one sink task's unusable records go.
pub(crate) struct DeadLetters {
    /// The task.
    pub(crate) id: TaskId,
    /// The class that is named where the sink itself reports a record.
    pub(crate) class: String,
    /// Whether records may be skipped at all.
    pub(crate) tolerate_all: bool,
    /// Whether each one is logged.
    pub(crate) log: bool,
    /// Whether the context headers are added.
    pub(crate) context_headers: bool,
    /// The topic and its producer; none where dead letters are not kept.
    pub(crate) topic: Option<(String, Producer)>,
}

impl DeadLetters {
    /// Sends a dead letter, whose delivery `acks` counts; the error is the end of the task.
    pub(crate) async fn send(
        &self,
        record: &Original,
        failure: Failure,
        acks: &Arc<Acks>,
    ) -> Result<(), ConnectError> {
        let Failure { stage, class, error } = failure;
        if error.kind() == ErrorKind::Retriable {
            return Err(error);
        }
        if !self.tolerate_all {
            return Err(exceeded(record, stage, error));
        }
        if self.log {
            tracing::warn!(
                connector = self.id.connector, task = self.id.task, topic = &*record.topic,
                partition = record.partition, offset = record.offset, stage = stage.name(), class,
                error = %error, "record can't be handled"
            );
        }
        let Some((topic, producer)) = &self.topic else { return Ok(()) };
        let failure = Failure { stage, class, error };
        let context = if self.context_headers {
            context_headers(&self.id, record, &failure)
        } else {
            Vec::new()
        };
        let own = record.headers.iter().map(|(key, value)| (&**key, value.as_deref()));
        let added = context.iter().map(|(key, value)| (*key, Some(value.as_bytes())));
        let headers: Vec<(&str, Option<&[u8]>)> = own.chain(added).collect();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let sent =
            producer.send_waiting(topic, None, key, value, &headers, record.timestamp_ms, acks);
        sent.await.map_err(|error| of_client(&format!("dead letter to {topic}"), error))
    }

    /// Waits for the dead letters that were sent with `acks`.
    pub(crate) async fn settled(&self, acks: &Acks) -> Result<(), ConnectError> {
        acks.wait().await.map_err(|error| of_client("dead letter", error))
    }
}

#[async_trait]
impl ErrantRecords for DeadLetters {
    async fn report(&self, record: &Original, error: ConnectError) -> Result<(), ConnectError> {
        let failure = Failure { stage: Stage::TaskPut, class: self.class.clone(), error };
        let acks = Arc::new(Acks::new());
        self.send(record, failure, &acks).await?;
        self.settled(&acks).await
    }
}

/// The end of a task whose config tolerates no errors: names the record.
fn exceeded(record: &Original, stage: Stage, error: ConnectError) -> ConnectError {
    let message = format!(
        "Tolerance exceeded in error handler: {} failed for the record at offset {} of {}-{}: {error}",
        stage.name(),
        record.offset,
        record.topic,
        record.partition,
    );
    ConnectError::record(message).caused_by(error)
}

/// The headers that say where a dead letter came from and what was wrong with it.
pub(crate) fn context_headers(
    id: &TaskId,
    record: &Original,
    failure: &Failure,
) -> Vec<(&'static str, String)> {
    vec![
        ("__connect.errors.topic", record.topic.to_string()),
        ("__connect.errors.partition", record.partition.to_string()),
        ("__connect.errors.offset", record.offset.to_string()),
        ("__connect.errors.connector.name", id.connector.clone()),
        ("__connect.errors.task.id", id.task.to_string()),
        ("__connect.errors.stage", failure.stage.name().to_owned()),
        ("__connect.errors.class.name", failure.class.clone()),
        ("__connect.errors.exception.class.name", exception_class(failure.error.kind()).to_owned()),
        ("__connect.errors.exception.message", failure.error.to_string()),
        ("__connect.errors.exception.stacktrace", failure.error.trace()),
    ]
}

/// The class that Kafka Connect would have thrown: tools group dead letters by it.
fn exception_class(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Retriable => "org.apache.kafka.connect.errors.RetriableException",
        ErrorKind::Record => "org.apache.kafka.connect.errors.DataException",
        ErrorKind::Config => "org.apache.kafka.common.config.ConfigException",
        ErrorKind::Fatal => "org.apache.kafka.connect.errors.ConnectException",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original() -> Original {
        Original {
            topic: Arc::from("orders"),
            partition: 3,
            offset: 91,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    fn failure() -> Failure {
        let cause = std::io::Error::other("bad byte");
        let error = ConnectError::record("not JSON").caused_by(cause);
        Failure { stage: Stage::ValueConverter, class: "x.JsonConverter".to_owned(), error }
    }

    fn letters(tolerate_all: bool) -> DeadLetters {
        DeadLetters {
            id: TaskId::new("c", 0),
            class: "x.Task".to_owned(),
            tolerate_all,
            log: false,
            context_headers: true,
            topic: None,
        }
    }

    #[test]
    fn context_headers_have_the_names_and_texts_of_kafka_connect() {
        let headers = context_headers(&TaskId::new("c", 2), &original(), &failure());
        let text: Vec<String> =
            headers.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = [
            "__connect.errors.topic=orders",
            "__connect.errors.partition=3",
            "__connect.errors.offset=91",
            "__connect.errors.connector.name=c",
            "__connect.errors.task.id=2",
            "__connect.errors.stage=VALUE_CONVERTER",
            "__connect.errors.class.name=x.JsonConverter",
            "__connect.errors.exception.class.name=org.apache.kafka.connect.errors.DataException",
            "__connect.errors.exception.message=not JSON",
            "__connect.errors.exception.stacktrace=not JSON\nCaused by: bad byte",
        ];
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn without_tolerance_the_error_names_topic_partition_and_offset() {
        let acks = Arc::new(Acks::new());
        let error = letters(false).send(&original(), failure(), &acks).await.unwrap_err();
        assert_eq!(
            error.trace(),
            "Tolerance exceeded in error handler: VALUE_CONVERTER failed for the record at offset 91 of orders-3: not JSON\n\
             Caused by: not JSON\nCaused by: bad byte"
        );
        assert!(letters(true).send(&original(), failure(), &acks).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_merely_away_is_never_a_dead_letter() {
        let error = letters(true)
            .report(&original(), ConnectError::retriable("registry is away"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retriable);
    }
}
