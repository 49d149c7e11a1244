//! Reads lines from where the stored offset says, and follows the file as it grows.
//!
//! - The offset of a batch is the byte after its last line: what is read and not yet a whole line is read again after a restart.
//! - Kafka's task keeps reading the file that it has opened. So does this one, but where that file was cut shorter than what was
//!   read, or another file stands under the name and the old one is read to its end, it starts from the beginning of what is there.
//!   While the task is not running only the length can tell: a file shorter than the stored position is read from its start.

use std::io::{ErrorKind, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aquifer_connect_api::config::ParsedConfig;
use aquifer_connect_api::{
    ByteString, ConnectError, Headers, Record, SchemaBuilder, SchemaRef, SourceBatch,
    SourceContext, SourceOffset, SourcePartition, SourceTask, Value,
};
use async_trait::async_trait;
use bytes::BytesMut;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::{config, line};

/// How often a file that has nothing new is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much is read at once.
const READ_BYTES: usize = 64 << 10;
/// The longest line: without a bound, a file without line ends would fill the memory.
const LINE_BYTES_MAX: usize = 16 << 20;

/// A running source.
pub(crate) struct FileSourceTask {
    path: PathBuf,
    topic: ByteString,
    batch_size: usize,
    partition: SourcePartition,
    schema: SchemaRef,
    file: Option<File>,
    /// Where in the file the buffer starts, in bytes.
    position: u64,
    /// What was read and not yet handed over.
    buffer: BytesMut,
    batches: u64,
}

impl FileSourceTask {
    /// Starts where the stored offset says; without one, at the beginning.
    pub(crate) async fn start(
        config: &ParsedConfig,
        context: &dyn SourceContext,
    ) -> Result<Self, ConnectError> {
        let file = config.string(config::FILE);
        let partition = serde_json::Map::from_iter([("filename".to_owned(), file.into())]);
        let position = match context.offset(&partition).await? {
            None => 0,
            Some(offset) => {
                offset.get("position").and_then(serde_json::Value::as_u64).ok_or_else(|| {
                    ConnectError::fatal(format!(
                        "the stored offset of {file} should have a `position` in bytes, but is {}",
                        serde_json::Value::Object(offset)
                    ))
                })?
            }
        };
        Ok(Self {
            path: file.into(),
            topic: config.string(config::TOPIC).into(),
            batch_size: config.count(config::BATCH_SIZE),
            partition: Arc::new(partition),
            schema: SchemaBuilder::string().build(),
            file: None,
            position,
            buffer: BytesMut::new(),
            batches: 0,
        })
    }

    /// Makes records of the whole lines in the buffer, as many as a batch may have.
    fn batch(&mut self) -> SourceBatch {
        let before = self.buffer.len();
        let lines = std::iter::from_fn(|| line::take(&mut self.buffer)).take(self.batch_size);
        let records: Vec<Record> =
            lines.map(|text| record(&self.topic, &self.schema, text)).collect();
        self.position += (before - self.buffer.len()) as u64;
        self.batches += 1;
        let offset = SourceOffset::from_iter([("position".to_owned(), self.position.into())]);
        SourceBatch {
            records,
            offsets: vec![(self.partition.clone(), offset)],
            position: self.batches,
        }
    }

    /// Reads on; false when there is nothing new. Dropping the future loses nothing: tokio's file keeps what a dropped read found.
    async fn read(&mut self) -> Result<bool, std::io::Error> {
        if self.file.is_none() {
            let mut file = match File::open(&self.path).await {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
            if file.metadata().await?.len() < self.position {
                self.begin_again("the file is shorter than the stored position");
            }
            file.seek(SeekFrom::Start(self.position)).await?;
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else { return Ok(false) };
        self.buffer.reserve(READ_BYTES);
        if file.read_buf(&mut self.buffer).await? > 0 {
            return Ok(true);
        }
        let opened = file.metadata().await?;
        if opened.len() < self.position + self.buffer.len() as u64 {
            self.begin_again("the file was cut");
            return Ok(true);
        }
        match fs::metadata(&self.path).await {
            Ok(named) if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) => {
                self.begin_again("another file has taken the name");
                Ok(true)
            }
            // Moved away: the next one under the name has not appeared yet.
            _ => Ok(false),
        }
    }

    fn begin_again(&mut self, why: &str) {
        let (path, unfinished_bytes) = (self.path.display(), self.buffer.len());
        tracing::warn!(file = %path, position = self.position, unfinished_bytes, "reading from the start: {why}");
        self.file = None;
        self.position = 0;
        self.buffer.clear();
    }
}

#[async_trait]
impl SourceTask for FileSourceTask {
    async fn poll(&mut self) -> Result<SourceBatch, ConnectError> {
        loop {
            let batch = self.batch();
            if !batch.records.is_empty() {
                return Ok(batch);
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(ConnectError::fatal(format!(
                    "a line of at most {LINE_BYTES_MAX} bytes was expected in {} at byte {}",
                    self.path.display(),
                    self.position
                )));
            }
            let more = self.read().await.map_err(|error| {
                ConnectError::retriable(format!("can't read {}", self.path.display()))
                    .caused_by(error)
            })?;
            if !more {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    /// A file needs not be told.
    fn committed(&mut self, _position: u64) {}

    async fn stop(&mut self) {
        self.file = None;
    }
}

fn record(topic: &ByteString, schema: &SchemaRef, text: ByteString) -> Record {
    Record {
        topic: topic.clone(),
        partition: None,
        offset: None,
        key_schema: None,
        key: Value::Null,
        value_schema: Some(schema.clone()),
        value: Value::String(text),
        timestamp_ms: None,
        headers: Headers::default(),
    }
}

#[cfg(test)]
mod tests;
