//! Appends lines, and counts records as finished once they are synced.
//!
//! - `put` returns when its lines are on the disk, so nothing is ever unfinished between two calls.
//! - A write that fails is undone before the error is returned: the runtime delivers the records again.
//! - At least once: a crash after the sync and before the offsets are committed repeats lines.

use std::io;
use std::path::PathBuf;

use aquifer_connect_api::{
    ConnectError, SinkRecord, SinkTask, TopicPartition, TopicPartitionOffsets,
};
use async_trait::async_trait;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use crate::line;

/// A running sink.
pub(crate) struct FileSinkTask {
    path: PathBuf,
    file: File,
    finished: TopicPartitionOffsets,
}

impl FileSinkTask {
    /// Opens the file for appending.
    pub(crate) async fn start(path: &str) -> Result<Self, ConnectError> {
        let file =
            OpenOptions::new().append(true).create(true).open(path).await.map_err(|error| {
                ConnectError::retriable(format!("can't open {path}")).caused_by(error)
            })?;
        Ok(Self { path: path.into(), file, finished: TopicPartitionOffsets::new() })
    }

    async fn append(&mut self, lines: &str) -> Result<(), io::Error> {
        let length_before = self.file.metadata().await?.len();
        let written = async {
            self.file.write_all(lines.as_bytes()).await?;
            self.file.flush().await?;
            self.file.sync_data().await
        };
        if let Err(error) = written.await {
            return Err(match self.file.set_len(length_before).await {
                Ok(()) => error,
                Err(undo) => io::Error::other(format!("{error}, and undoing it failed: {undo}")),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl SinkTask for FileSinkTask {
    async fn open(&mut self, _partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn put(&mut self, records: Vec<SinkRecord>) -> Result<(), ConnectError> {
        let mut lines = String::new();
        for SinkRecord { record, .. } in &records {
            line::print(record.value_schema.as_ref(), &record.value, &mut lines);
            lines.push('\n');
        }
        self.append(&lines).await.map_err(|error| {
            ConnectError::retriable(format!("can't append to {}", self.path.display()))
                .caused_by(error)
        })?;
        for SinkRecord { original, .. } in &records {
            let partition =
                TopicPartition { topic: original.topic.clone(), partition: original.partition };
            self.finished.insert(partition, original.offset + 1);
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    fn finished(&mut self) -> Result<TopicPartitionOffsets, ConnectError> {
        Ok(self.finished.clone())
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        self.finished.retain(|partition, _| !partitions.contains(partition));
        Ok(())
    }

    async fn stop(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use aquifer_connect_api::{ByteString, Headers, Original, Record, Value};

    fn record(offset: i64, value: Value) -> SinkRecord {
        let original = Original {
            topic: "t".into(),
            partition: 3,
            offset,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let record = Record {
            topic: ByteString::from_static("t"),
            partition: Some(3),
            offset: Some(offset),
            key_schema: None,
            key: Value::Null,
            value_schema: None,
            value,
            timestamp_ms: None,
            headers: Headers::default(),
        };
        SinkRecord { record, original: Arc::new(original) }
    }

    #[tokio::test]
    async fn lines_are_appended_and_then_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "before\n").unwrap();
        let mut task = FileSinkTask::start(path.to_str().unwrap()).await.unwrap();
        assert_eq!(task.finished().unwrap(), TopicPartitionOffsets::new());
        task.put(vec![record(7, Value::string("a")), record(9, Value::Null)]).await.unwrap();
        let partition = TopicPartition { topic: "t".into(), partition: 3 };
        let finished = TopicPartitionOffsets::from([(partition.clone(), 10)]);
        assert_eq!(task.finished().unwrap(), finished);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\na\nnull\n");
        task.close(&[partition]).await.unwrap();
        assert_eq!(task.finished().unwrap(), TopicPartitionOffsets::new());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_retried_and_finishes_nothing() {
        // Every write to this device fails with "no space left".
        let mut task = FileSinkTask::start("/dev/full").await.unwrap();
        let error = task.put(vec![record(1, Value::string("a"))]).await.unwrap_err();
        assert_eq!(error.kind(), aquifer_connect_api::ErrorKind::Retriable);
        assert_eq!(task.finished().unwrap(), TopicPartitionOffsets::new());
    }
}
