//! The class `FileStreamSource`: its config, its checks, and how many tasks it runs.

use std::path::Path;
use std::sync::Arc;

use aquifer_connect_api::config::{ConfigDef, ConfigMap};
use aquifer_connect_api::{
    ConnectError, Connector, SourceConnector, SourceContext, SourceTask, Validation,
};
use async_trait::async_trait;

use crate::config;
use crate::source_task::FileSourceTask;

/// Makes a record of each line of a file, and waits for more.
#[derive(Debug)]
pub struct FileStreamSource;

#[async_trait]
impl Connector for FileStreamSource {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.file.FileStreamSourceConnector"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["FileStreamSource", "FileStreamSourceConnector"]
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn config_def(&self) -> &'static ConfigDef {
        &config::SOURCE
    }

    async fn validate(&self, config: &ConfigMap, report: &mut Validation) {
        let Ok(parsed) = config::parse(&config::SOURCE, config) else { return };
        let file = parsed.string(config::FILE);
        if Path::new(file).is_dir() {
            report.error(config::FILE, format!("{file} is a directory, not a file"));
        }
    }

    /// One task: a file is read by one reader, whatever `tasks.max` allows.
    fn task_configs(
        &self,
        config: &ConfigMap,
        _tasks_max: usize,
    ) -> Result<Vec<ConfigMap>, ConnectError> {
        Ok(vec![config.clone()])
    }
}

#[async_trait]
impl SourceConnector for FileStreamSource {
    async fn start_task(
        &self,
        config: &ConfigMap,
        context: Arc<dyn SourceContext>,
    ) -> Result<Box<dyn SourceTask>, ConnectError> {
        let config = config::parse(&config::SOURCE, config)?;
        Ok(Box::new(FileSourceTask::start(&config, &*context).await?))
    }
}
