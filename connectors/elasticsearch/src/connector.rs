//! The class `ElasticsearchSinkConnector`: its config, its checks, and its tasks.

use std::sync::Arc;

use aquifer_connect_api::config::{ConfigDef, ConfigMap};
use aquifer_connect_api::{
    ConnectError, Connector, SinkConnector, SinkContext, SinkTask, Validation,
};
use async_trait::async_trait;
use elasticsearch::http::Method;

use crate::client::Client;
use crate::config::{Config, DEFINITION, faults};
use crate::task::ElasticsearchSinkTask;

/// Writes topics into indexes of Elasticsearch or OpenSearch.
#[derive(Debug)]
pub struct ElasticsearchSinkConnector;

#[async_trait]
impl Connector for ElasticsearchSinkConnector {
    fn class(&self) -> &'static str {
        "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ElasticsearchSink", "ElasticsearchSinkConnector"]
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn config_def(&self) -> &'static ConfigDef {
        &DEFINITION
    }

    async fn validate(&self, config: &ConfigMap, report: &mut Validation) {
        let Ok(parsed) = DEFINITION.parse(config) else { return };
        let faults = faults(&parsed);
        faults.iter().for_each(|(key, text)| report.error(key, text.as_str()));
        if !faults.is_empty() {
            return;
        }
        let client = match Config::parse(config) {
            Ok(Config { connection, sending, .. }) => {
                Client::new(&connection).await.map(|client| (client, sending.request_timeout))
            }
            Err(error) => Err(error),
        };
        let (client, timeout) = match client {
            Ok(client) => client,
            Err(error) => return report.error("connection.url", error.trace()),
        };
        match client.send(Method::Get, "", None, timeout).await {
            Err(away) => report.error("connection.url", away.to_string()),
            Ok(reply) if matches!(reply.status, 401 | 403) => {
                let text = format!("Elasticsearch refused the credentials: {}", reply.reason());
                report.error("connection.username", text);
            }
            Ok(reply) if !reply.is_success() => report.error("connection.url", reply.reason()),
            Ok(_) => {}
        }
    }

    /// Every task is alike; which partitions it reads is the consumer group's business.
    fn task_configs(
        &self,
        config: &ConfigMap,
        tasks_max: usize,
    ) -> Result<Vec<ConfigMap>, ConnectError> {
        Ok(vec![config.clone(); tasks_max])
    }
}

#[async_trait]
impl SinkConnector for ElasticsearchSinkConnector {
    async fn start_task(
        &self,
        config: &ConfigMap,
        context: Arc<dyn SinkContext>,
    ) -> Result<Box<dyn SinkTask>, ConnectError> {
        let task = ElasticsearchSinkTask::start(Config::parse(config)?, context).await?;
        Ok(Box::new(task))
    }
}
