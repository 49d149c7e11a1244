//! How to reach a cluster, and the options every handle shares.

use rdkafka::ClientConfig;

/// Where the cluster is, and how this process introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// `host:port`, several joined by commas.
    pub bootstrap: String,
    /// The client id, as it appears in the broker's logs and quotas.
    pub client_id: String,
    /// More options by librdkafka's own names (mostly Kafka's); they win over ours.
    pub overrides: Vec<(String, String)>,
}

/// Which records of transactions a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Only records of committed transactions, and none behind an open one.
    #[default]
    Committed,
    /// Every record up to the high watermark.
    Uncommitted,
}

impl Isolation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Isolation::Committed => "read_committed",
            Isolation::Uncommitted => "read_uncommitted",
        }
    }
}

impl ClientSettings {
    /// Settings for a cluster, without overrides.
    #[must_use]
    pub fn new(bootstrap: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), client_id: client_id.into(), overrides: Vec::new() }
    }

    /// The same cluster under another client id.
    #[must_use]
    pub fn with_client_id(&self, client_id: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), ..self.clone() }
    }

    /// librdkafka's configuration for one handle: common options, then the handle's own, then the caller's.
    pub(crate) fn config(
        &self,
        own: &[(&str, &str)],
        overrides: &[(String, String)],
    ) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config.set("client.id", &self.client_id);
        // A broker that restarts is met again within a second; the default backs off to ten.
        config.set("reconnect.backoff.ms", "50");
        config.set("reconnect.backoff.max.ms", "1000");
        config.set("topic.metadata.refresh.fast.interval.ms", "100");
        config.set("log.connection.close", "false");
        config.set("enable.metrics.push", "false");
        for (name, value) in own {
            config.set(*name, *value);
        }
        for (name, value) in self.overrides.iter().chain(overrides) {
            config.set(name, value);
        }
        config
    }
}
