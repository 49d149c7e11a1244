//! The class `FileStreamSink`: its config, its checks, and how many tasks it runs.

use std::path::Path;
use std::sync::Arc;

use aquifer_connect_api::config::{ConfigDef, ConfigMap};
use aquifer_connect_api::{
    ConnectError, Connector, SinkConnector, SinkContext, SinkTask, Validation,
};
use async_trait::async_trait;

use crate::config;
use crate::sink_task::FileSinkTask;

/// Appends a line to a file for each record.
#[derive(Debug)]
pub struct FileStreamSink;

#[async_trait]
impl Connector for FileStreamSink {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.file.FileStreamSinkConnector"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["FileStreamSink", "FileStreamSinkConnector"]
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn config_def(&self) -> &'static ConfigDef {
        &config::SINK
    }

    async fn validate(&self, config: &ConfigMap, report: &mut Validation) {
        let Ok(parsed) = config::parse(&config::SINK, config) else { return };
        let file = Path::new(parsed.string(config::FILE));
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if file.is_dir() {
            report.error(config::FILE, format!("{} is a directory, not a file", file.display()));
        } else if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            report.error(config::FILE, format!("there is no directory {}", folder.display()));
        }
    }

    /// One task, whatever `tasks.max` allows: a failed write is undone by cutting the file, which two writers could not do.
    fn task_configs(
        &self,
        config: &ConfigMap,
        _tasks_max: usize,
    ) -> Result<Vec<ConfigMap>, ConnectError> {
        Ok(vec![config.clone()])
    }
}

#[async_trait]
impl SinkConnector for FileStreamSink {
    async fn start_task(
        &self,
        config: &ConfigMap,
        _context: Arc<dyn SinkContext>,
    ) -> Result<Box<dyn SinkTask>, ConnectError> {
        let config = config::parse(&config::SINK, config)?;
        Ok(Box::new(FileSinkTask::start(config.string(config::FILE)).await?))
    }
}
