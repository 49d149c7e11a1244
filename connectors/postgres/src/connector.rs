//! The connector class: its config, its one task, its validation.

use std::sync::Arc;

use aquifer_connect_api::config::{ConfigDef, ConfigMap};
use aquifer_connect_api::{
    ConnectError, Connector, SourceConnector, SourceContext, SourceTask, Validation,
};
use async_trait::async_trait;

use crate::config::CONFIG;
use crate::settings::Settings;
use crate::task::PostgresTask;
use crate::validate::validate;

/// Captures the changes of a Postgres database, configured like Debezium's connector.
#[derive(Debug, Default, Clone, Copy)]
pub struct PostgresConnector;

#[async_trait]
impl Connector for PostgresConnector {
    fn class(&self) -> &'static str {
        "io.debezium.connector.postgresql.PostgresConnector"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["PostgresConnector", "Postgres", "PostgresSource"]
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn config_def(&self) -> &'static ConfigDef {
        &CONFIG
    }

    async fn validate(&self, config: &ConfigMap, report: &mut Validation) {
        validate(config, report).await;
    }

    /// Always one: a slot has one reader.
    fn task_configs(
        &self,
        config: &ConfigMap,
        _tasks_max: usize,
    ) -> Result<Vec<ConfigMap>, ConnectError> {
        Ok(vec![config.clone()])
    }
}

#[async_trait]
impl SourceConnector for PostgresConnector {
    async fn start_task(
        &self,
        config: &ConfigMap,
        context: Arc<dyn SourceContext>,
    ) -> Result<Box<dyn SourceTask>, ConnectError> {
        let mut config = config.clone();
        config.insert("name".to_owned(), context.connector().to_owned());
        let settings = Settings::read(&config)?;
        Ok(Box::new(PostgresTask::new(settings, context)))
    }
}
