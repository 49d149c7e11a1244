//! Encoded records on their way to the producer, in one buffer.
//!
//! - Order is kept. What was sent is gone only when all of it was sent.
//! - A batch that could not be encoded as a whole is cut off again.

use std::ops::Range;
use std::sync::Arc;

use aquifer_broker_client::{Acks, ClientError, Producer, SendError};
use aquifer_connect_api::{ByteString, ConnectError, Record};
use bytes::{BufMut, BytesMut};
use tokio_util::sync::CancellationToken;

/// Encoded records.
#[derive(Debug, Default)]
pub(super) struct Stage {
    bytes: BytesMut,
    records: Vec<Staged>,
    headers: Vec<StagedHeader>,
    /// The records before this one were sent.
    sent: usize,
}

#[derive(Debug)]
struct Staged {
    topic: ByteString,
    partition: Option<i32>,
    timestamp_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
}

#[derive(Debug)]
struct StagedHeader {
    name: ByteString,
    value: Option<Range<usize>>,
}

/// Where a stage ended at some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    bytes: usize,
    records: usize,
    headers: usize,
}

/// How far a stage was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// All of it.
    Sent,
    /// Told to stop while the producer's queue was full.
    Stopped,
}

impl Stage {
    /// How many records wait.
    pub(super) fn record_count(&self) -> usize {
        self.records.len()
    }

    /// How many bytes of keys, values and headers wait.
    pub(super) fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// The end as it is now.
    pub(super) fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), records: self.records.len(), headers: self.headers.len() }
    }

    /// Forgets what came after a mark.
    pub(super) fn cut(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.records.truncate(mark.records);
        self.headers.truncate(mark.headers);
    }

    /// Where key and value are written to, before [`Stage::push`].
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Adds a record whose key and value were written behind `mark`, up to these ends.
    pub(super) fn push<'h>(
        &mut self,
        mark: Mark,
        record: &Record,
        (key, value): (Option<usize>, Option<usize>),
        headers: impl Iterator<Item = (&'h ByteString, Option<&'h [u8]>)>,
    ) {
        let key_end = key.unwrap_or(mark.bytes);
        for (name, value) in headers {
            let start = self.bytes.len();
            let value = value.map(|value| {
                self.bytes.put_slice(value);
                start..self.bytes.len()
            });
            self.headers.push(StagedHeader { name: name.clone(), value });
        }
        self.records.push(Staged {
            topic: record.topic.clone(),
            partition: record.partition,
            timestamp_ms: record.timestamp_ms,
            key: key.map(|end| mark.bytes..end),
            value: value.map(|end| key_end..end),
            headers: mark.headers..self.headers.len(),
        });
    }

    /// Sends everything, waiting for room in the producer's queue; a record that is refused is `refused`'s to judge.
    pub(super) async fn send(
        &mut self,
        producer: &Producer,
        acks: &Arc<Acks>,
        stop: &CancellationToken,
        refused: impl Fn(&str, ClientError) -> Result<(), ConnectError>,
    ) -> Result<Flow, ConnectError> {
        while let Some(record) = self.records.get(self.sent) {
            // Many records must not keep a thread from the REST, the broker and other tasks for long.
            tokio::task::coop::consume_budget().await;
            match self.send_one(record, producer, acks) {
                Ok(()) => {}
                Err(SendError::QueueFull) => {
                    tokio::select! {
                        () = stop.cancelled() => return Ok(Flow::Stopped),
                        () = producer.space() => continue,
                    }
                }
                Err(SendError::Refused(error)) => refused(&record.topic, error)?,
                Err(other) => {
                    let text = other.to_string();
                    refused(&record.topic, ClientError::Fatal { operation: "produce", text })?;
                }
            }
            self.sent += 1;
        }
        self.clear();
        Ok(Flow::Sent)
    }

    fn send_one(
        &self,
        record: &Staged,
        producer: &Producer,
        acks: &Arc<Acks>,
    ) -> Result<(), SendError> {
        let bytes =
            |range: &Option<Range<usize>>| range.clone().and_then(|range| self.bytes.get(range));
        let headers = self.headers.get(record.headers.clone()).unwrap_or_default();
        let headers: Vec<(&str, Option<&[u8]>)> =
            headers.iter().map(|one| (&*one.name, bytes(&one.value))).collect();
        let (key, value) = (bytes(&record.key), bytes(&record.value));
        let (topic, partition, time) = (&record.topic, record.partition, record.timestamp_ms);
        producer.send(topic, partition, key, value, &headers, time, acks)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.headers.clear();
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use aquifer_broker_client::{ClientSettings, ProducerSettings};
    use aquifer_connect_api::{Headers, Value};

    use super::*;

    fn record() -> Record {
        Record {
            topic: "t".into(),
            partition: Some(0),
            key_schema: None,
            key: Value::Null,
            value_schema: None,
            value: Value::Null,
            offset: None,
            timestamp_ms: None,
            headers: Headers::default(),
        }
    }

    fn put(stage: &mut Stage, value: &[u8]) {
        let mark = stage.mark();
        stage.buffer().put_slice(value);
        let end = stage.byte_count();
        let name = ByteString::from("h");
        stage.push(mark, &record(), (None, Some(end)), std::iter::once((&name, Some(&b"x"[..]))));
    }

    #[test]
    fn what_was_put_after_a_mark_can_be_cut_off() {
        let mut stage = Stage::default();
        put(&mut stage, b"one");
        let mark = stage.mark();
        put(&mut stage, b"two");
        assert_eq!((stage.record_count(), stage.byte_count()), (2, 8));
        stage.cut(mark);
        assert_eq!((stage.record_count(), stage.byte_count()), (1, 4));
    }

    #[tokio::test]
    async fn sending_goes_on_where_a_full_queue_stopped_it() {
        let settings = ClientSettings::new("127.0.0.1:1", "t");
        let small = ProducerSettings { queue_records_max: 1, ..ProducerSettings::default() };
        let producer = Producer::new(&settings, &small).unwrap();
        let (acks, stop) = (Arc::new(Acks::new()), CancellationToken::new());
        let mut stage = Stage::default();
        put(&mut stage, b"one");
        put(&mut stage, b"two");
        stop.cancel();
        let flow = stage.send(&producer, &acks, &stop, |_, _| Ok(())).await.unwrap();
        assert_eq!((flow, acks.pending_count(), stage.sent), (Flow::Stopped, 1, 1));
    }
}
