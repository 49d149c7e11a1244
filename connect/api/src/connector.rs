//! What every connector is, whichever way it moves data.

use async_trait::async_trait;

use crate::ConnectError;
use crate::config::{ConfigDef, ConfigMap};

/// Which way a connector moves data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorKind {
    /// Into topics.
    Source,
    /// Out of topics.
    Sink,
}

/// Errors found beside those of each key's own definition, under the key that the user can mend.
#[derive(Debug, Default)]
pub struct Validation {
    /// Key and message, in the order found.
    pub errors: Vec<(String, String)>,
}

impl Validation {
    /// Adds an error under a key.
    pub fn error(&mut self, key: &str, message: impl Into<String>) {
        self.errors.push((key.to_owned(), message.into()));
    }
}

/// A connector class: one value of it, for all its instances, stands in the table of plugins.
#[async_trait]
pub trait Connector: Send + Sync {
    /// The class name that configs use.
    fn class(&self) -> &'static str;

    /// Other class names that are accepted for it.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// The version, as `GET /connector-plugins` shows it.
    fn version(&self) -> &'static str;

    /// Its own config keys; the keys that every connector has are the runtime's.
    fn config_def(&self) -> &'static ConfigDef;

    /// Checks what one key alone can't tell, and asks the outside what it can (is the database there, may this role replicate).
    /// Called only when each key by itself was valid. Bounded by the runtime's time limit.
    async fn validate(&self, config: &ConfigMap, report: &mut Validation);

    /// The configs of the tasks, at most `tasks_max`.
    fn task_configs(
        &self,
        config: &ConfigMap,
        tasks_max: usize,
    ) -> Result<Vec<ConfigMap>, ConnectError>;
}
