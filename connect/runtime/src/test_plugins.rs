//! Tiny connectors for tests and for trying a worker by hand: a source that counts, a sink that writes lines to a file.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, LazyLock};

use aquifer_connect_api::config::{Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance};
use aquifer_connect_api::{
    ByteString, ConnectError, Connector, Converter, ConverterError, ConverterPlugin, ConverterRole,
    Decoded, Headers, Record, SchemaRef, SinkConnector, SinkContext, SinkRecord, SinkTask,
    SourceBatch, SourceConnector, SourceContext, SourcePartition, SourceTask, TopicPartition,
    TopicPartitionOffsets, Transform, TransformPlugin, Validation, Value,
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

/// A source that emits the numbers from its stored offset up to `count`.
pub(crate) struct LineSource;

static SOURCE_DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    let text =
        |name, doc| ConfigKey::optional(name, ConfigType::String, None, Importance::Low, doc);
    let number = |name, default, doc| {
        ConfigKey::optional(name, ConfigType::Long, Some(default), Importance::Low, doc)
    };
    ConfigDef::new(vec![
        ConfigKey::required("topic", ConfigType::String, Importance::High, "Where to.")
            .check(Check::NonEmpty),
        number("count", "1000", "How many numbers."),
        number("batch.size", "100", "How many in a batch."),
        number("panic.at", "-1", "Panics instead of emitting this number."),
        number("fail.at", "-1", "Fails instead of emitting this number."),
        ConfigKey::optional("password", ConfigType::Password, None, Importance::Low, "A secret."),
        text("committed.file", "Where what is committed is noted."),
    ])
});

#[async_trait]
impl Connector for LineSource {
    fn class(&self) -> &'static str {
        "test.LineSourceConnector"
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn config_def(&self) -> &'static ConfigDef {
        &SOURCE_DEF
    }

    async fn validate(&self, config: &ConfigMap, report: &mut Validation) {
        if config.get("topic").is_some_and(|topic| topic == "forbidden") {
            report.error("topic", "topic forbidden is forbidden");
        }
    }

    fn task_configs(
        &self,
        config: &ConfigMap,
        _tasks_max: usize,
    ) -> Result<Vec<ConfigMap>, ConnectError> {
        Ok(vec![config.clone()])
    }
}

#[async_trait]
impl SourceConnector for LineSource {
    async fn start_task(
        &self,
        config: &ConfigMap,
        context: Arc<dyn SourceContext>,
    ) -> Result<Box<dyn SourceTask>, ConnectError> {
        let config = SOURCE_DEF.parse(config).map_err(|_| ConnectError::config("bad config"))?;
        let partition: SourcePartition =
            Arc::new([("source".to_owned(), context.connector().into())].into_iter().collect());
        let stored = context.offset(&partition).await?;
        let next = stored.and_then(|offset| offset.get("n")?.as_i64()).unwrap_or(0);
        Ok(Box::new(Lines { next, partition, config }))
    }
}

struct Lines {
    next: i64,
    partition: SourcePartition,
    config: aquifer_connect_api::config::ParsedConfig,
}

#[async_trait]
impl SourceTask for Lines {
    async fn poll(&mut self) -> Result<SourceBatch, ConnectError> {
        let end = self.config.long("count").min(self.next + self.config.long("batch.size"));
        if self.next >= end {
            return std::future::pending().await;
        }
        let mut batch = SourceBatch::default();
        for number in self.next..end {
            assert!(number != self.config.long("panic.at"), "told to panic at {number}");
            if number == self.config.long("fail.at") {
                return Err(ConnectError::fatal(format!("told to fail at {number}")));
            }
            let mut headers = Headers::default();
            headers.add("__version", None, Value::Int64(number));
            batch.records.push(Record {
                topic: ByteString::from(self.config.string("topic")),
                partition: None,
                key_schema: None,
                key: Value::string((number % 10).to_string()),
                value_schema: None,
                value: Value::string(number.to_string()),
                offset: None,
                timestamp_ms: None,
                headers,
            });
        }
        self.next = end;
        let offset = [("n".to_owned(), end.into())].into_iter().collect();
        batch.offsets.push((self.partition.clone(), offset));
        batch.position = u64::try_from(end).unwrap_or_default();
        Ok(batch)
    }

    fn committed(&mut self, position: u64) {
        if let Some(file) = self.config.get("committed.file") {
            std::fs::write(file, position.to_string()).ok();
        }
    }

    async fn stop(&mut self) {}
}

/// A sink that appends a line for each record to a file.
pub(crate) struct MemorySink;

static SINK_DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    let text =
        |name, doc| ConfigKey::optional(name, ConfigType::String, None, Importance::Low, doc);
    ConfigDef::new(vec![
        text("file", "Where to."),
        text("away.while.file", "While this file exists, the outside is away."),
        text("errant.value", "Records of this value are reported as unusable."),
    ])
});

#[async_trait]
impl Connector for MemorySink {
    fn class(&self) -> &'static str {
        "test.MemorySinkConnector"
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn config_def(&self) -> &'static ConfigDef {
        &SINK_DEF
    }

    async fn validate(&self, _config: &ConfigMap, _report: &mut Validation) {}

    fn task_configs(
        &self,
        config: &ConfigMap,
        tasks_max: usize,
    ) -> Result<Vec<ConfigMap>, ConnectError> {
        Ok(vec![config.clone(); tasks_max])
    }
}

#[async_trait]
impl SinkConnector for MemorySink {
    async fn start_task(
        &self,
        config: &ConfigMap,
        context: Arc<dyn SinkContext>,
    ) -> Result<Box<dyn SinkTask>, ConnectError> {
        let finished = TopicPartitionOffsets::new();
        Ok(Box::new(Memory { config: config.clone(), context, finished, lines: BTreeMap::new() }))
    }
}

struct Memory {
    config: ConfigMap,
    context: Arc<dyn SinkContext>,
    finished: TopicPartitionOffsets,
    lines: BTreeMap<TopicPartition, i64>,
}

#[async_trait]
impl SinkTask for Memory {
    async fn open(&mut self, _partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn put(&mut self, records: Vec<SinkRecord>) -> Result<(), ConnectError> {
        if self
            .config
            .get("away.while.file")
            .is_some_and(|file| std::path::Path::new(file).exists())
        {
            return Err(ConnectError::retriable("the file system is away"));
        }
        let mut text = String::new();
        for SinkRecord { record, original } in records {
            let value = record.value.as_str().unwrap_or("null").to_owned();
            let partition =
                TopicPartition { topic: original.topic.clone(), partition: original.partition };
            self.lines.insert(partition, original.offset + 1);
            if self.config.get("errant.value") == Some(&value) {
                let error = ConnectError::record(format!("value {value} is not wanted"));
                self.context.errant_records().report(&original, error).await?;
                continue;
            }
            let version = record.headers.last("__version").map(|header| header.value.as_i64());
            text.push_str(&format!(
                "{} {} {} {value} {version:?}\n",
                original.topic, original.partition, original.offset
            ));
        }
        if let Some(file) = self.config.get("file") {
            let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
            let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|error| ConnectError::retriable("write").caused_by(error))?;
        }
        self.finished.clone_from(&self.lines);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    fn finished(&mut self) -> Result<TopicPartitionOffsets, ConnectError> {
        Ok(self.finished.clone())
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        for partition in partitions {
            self.lines.remove(partition);
            self.finished.remove(partition);
        }
        Ok(())
    }

    async fn stop(&mut self) {}
}

/// Keys and values as text; `poison` can't be read.
struct Text;

static TEXT_DEF: LazyLock<ConfigDef> = LazyLock::new(ConfigDef::default);

#[async_trait]
impl Converter for Text {
    fn encode(
        &mut self,
        _topic: &str,
        _headers: &Headers,
        _schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<bool, ConverterError> {
        let Some(text) = value.as_str() else { return Ok(false) };
        out.extend_from_slice(text.as_bytes());
        Ok(true)
    }

    async fn prepare_encode(
        &mut self,
        _topic: &str,
        _schema: Option<&SchemaRef>,
    ) -> Result<(), ConnectError> {
        Ok(())
    }

    fn decode(&mut self, _topic: &str, bytes: Option<&Bytes>) -> Result<Decoded, ConverterError> {
        let Some(bytes) = bytes else { return Ok(Decoded::default()) };
        let text = ByteString::try_from(bytes.clone());
        let text = text.map_err(|_| ConnectError::record("not UTF-8"))?;
        if text == "poison" {
            return Err(ConnectError::record("poison is not text").into());
        }
        Ok(Decoded { schema: None, value: Value::String(text) })
    }

    async fn prepare_decode(&mut self, _topic: &str, _bytes: &Bytes) -> Result<(), ConnectError> {
        Ok(())
    }
}

struct Suffix(String);

static SUFFIX_DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    let doc = "What is appended; the value `drop` is dropped.";
    ConfigDef::new(vec![ConfigKey::required("suffix", ConfigType::String, Importance::High, doc)])
});

impl Transform for Suffix {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConnectError> {
        let Some(text) = record.value.as_str() else { return Ok(Some(record)) };
        if text == "drop" {
            return Ok(None);
        }
        record.value = Value::string(format!("{text}{}", self.0));
        Ok(Some(record))
    }
}

/// All of them.
pub(crate) fn plugins() -> super::Plugins {
    super::Plugins {
        sources: vec![Arc::new(LineSource)],
        sinks: vec![Arc::new(MemorySink)],
        transforms: vec![TransformPlugin {
            class: "test.Suffix",
            config_def: || &SUFFIX_DEF,
            new: |config| Ok(Box::new(Suffix(config.get("suffix").cloned().unwrap_or_default()))),
        }],
        converters: vec![ConverterPlugin {
            class: "test.TextConverter",
            config_def: || &TEXT_DEF,
            new: |_, _: ConverterRole| Ok(Box::new(Text)),
        }],
    }
}
