//! TABLE: the keys of `schema-registry.properties`, and what becomes of each.

use std::net::SocketAddr;
use std::time::Duration;

use aquifer_broker_client::ClientSettings;
use aquifer_registry_schema::CompatibilityLevel;

use crate::RegistryError;

/// How to run a registry.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The Kafka cluster that keeps the schemas.
    pub client: ClientSettings,
    /// Keys of `schema-registry.properties`, validated when starting.
    pub settings: Vec<(String, String)>,
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySupport {
    /// It does what Confluent's documentation says.
    Honoured,
    /// It is accepted and does nothing, for this reason.
    NoOp(&'static str),
    /// It is no key of a schema registry.
    Unknown,
}

/// The keys with a meaning here or elsewhere: those that end with a dot stand for all keys that begin so.
const KEYS: &[(&str, KeySupport)] = &[
    ("kafkastore.topic", KeySupport::Honoured),
    ("kafkastore.topic.replication.factor", KeySupport::Honoured),
    ("kafkastore.timeout.ms", KeySupport::Honoured),
    ("schema.compatibility.level", KeySupport::Honoured),
    ("avro.compatibility.level", KeySupport::Honoured),
    ("max.request.body.size", KeySupport::Honoured),
    ("listeners", KeySupport::NoOp("the address comes from --registry")),
    ("port", KeySupport::NoOp("the address comes from --registry")),
    ("host.name", KeySupport::NoOp("there is one instance, nothing is forwarded to it")),
    (
        "kafkastore.bootstrap.servers",
        KeySupport::NoOp("the cluster comes from --bootstrap-servers"),
    ),
    ("kafkastore.connection.url", KeySupport::NoOp("there is no ZooKeeper")),
    ("kafkastore.init.timeout.ms", KeySupport::NoOp("starting retries until the brokers answer")),
    ("kafkastore.group.id", KeySupport::NoOp("reading needs no group")),
    ("schema.registry.group.id", KeySupport::NoOp("there is one instance, no election")),
    ("leader.eligibility", KeySupport::NoOp("there is one instance, no election")),
    ("master.eligibility", KeySupport::NoOp("there is one instance, no election")),
    ("mode.mutability", KeySupport::NoOp("modes can't be changed here")),
    ("debug", KeySupport::NoOp("logging is set by AQUIFER_LOG")),
    ("schema.registry.inter.instance.protocol", KeySupport::NoOp("there is one instance")),
    ("metadata.encoder.secret", KeySupport::NoOp("rule sets are not supported")),
    ("kafkastore.checkpoint.", KeySupport::NoOp("the topic is read from its start")),
    ("access.control.allow.", KeySupport::NoOp("cross-origin requests are not supported")),
    ("metrics.", KeySupport::NoOp("metrics are not exported this way")),
    ("metric.", KeySupport::NoOp("metrics are not exported this way")),
    ("request.logger.name", KeySupport::NoOp("logging is set by AQUIFER_LOG")),
    ("shutdown.graceful.ms", KeySupport::NoOp("requests in flight are always finished")),
    ("response.mediatype.", KeySupport::NoOp("media types are fixed")),
    ("schema.cache.size", KeySupport::NoOp("the cache is bounded in bytes")),
    ("schema.cache.expiry.secs", KeySupport::NoOp("the cache is bounded in bytes")),
];

/// What becomes of a key of `schema-registry.properties`.
#[must_use]
pub fn known_key(name: &str) -> KeySupport {
    KEYS.iter()
        .find(|(key, _)| *key == name || (key.ends_with('.') && name.starts_with(key)))
        .map_or(KeySupport::Unknown, |(_, support)| *support)
}

/// The names of all keys, for suggesting the nearest one.
pub fn known_keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(name, _)| *name)
}

/// The settings with their values read.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) topic: String,
    pub(crate) replication: i32,
    /// How long a request waits for the brokers.
    pub(crate) timeout: Duration,
    pub(crate) level: CompatibilityLevel,
    pub(crate) body_bytes_max: usize,
}

impl Settings {
    pub(crate) fn read(pairs: &[(String, String)]) -> Result<Self, RegistryError> {
        let mut settings = Self {
            topic: "_schemas".to_owned(),
            replication: -1,
            timeout: Duration::from_secs(10),
            level: CompatibilityLevel::Backward,
            body_bytes_max: 4 * 1024 * 1024,
        };
        for (name, value) in pairs {
            let refused = || RegistryError::Setting { name: name.clone(), value: value.clone() };
            match name.as_str() {
                "kafkastore.topic" if !value.is_empty() => settings.topic.clone_from(value),
                "kafkastore.topic.replication.factor" => {
                    let factor = value.parse().ok().filter(|factor| *factor == -1 || *factor > 0);
                    settings.replication = factor.ok_or_else(refused)?;
                }
                "kafkastore.timeout.ms" => {
                    let timeout = value.parse().ok().filter(|timeout| *timeout > 0);
                    settings.timeout = Duration::from_millis(timeout.ok_or_else(refused)?);
                }
                "schema.compatibility.level" | "avro.compatibility.level" => {
                    settings.level = CompatibilityLevel::named(value).ok_or_else(refused)?;
                }
                "max.request.body.size" => {
                    // Confluent's 0 means no limit; ours always has one.
                    let bytes: usize = value.parse().map_err(|_| refused())?;
                    if bytes > 0 {
                        settings.body_bytes_max = bytes;
                    }
                }
                _ if known_key(name) == KeySupport::Unknown => return Err(refused()),
                _ => {}
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_honoured_stated_or_refused() {
        assert_eq!(known_key("kafkastore.topic"), KeySupport::Honoured);
        assert!(matches!(known_key("metrics.jmx.prefix"), KeySupport::NoOp(_)));
        assert_eq!(known_key("kafkastore.topics"), KeySupport::Unknown);
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let level = Settings::read(&pair("schema.compatibility.level", "full")).unwrap().level;
        assert_eq!(level, CompatibilityLevel::Full);
        for (name, value) in [("kafkastore.timeout.ms", "soon"), ("no.such.key", "1")] {
            assert!(Settings::read(&pair(name, value)).is_err(), "{name}");
        }
    }
}
