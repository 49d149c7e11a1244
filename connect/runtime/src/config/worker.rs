//! TABLE of the worker's keys: those of `connect-distributed.properties`, by their own names.

use std::sync::LazyLock;
use std::time::Duration;

use aquifer_connect_api::config::{
    Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Effect, Importance, ParsedConfig,
};

use crate::header::CLASSES;

/// What is done with a worker's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySupport {
    /// It is honoured.
    Honoured,
    /// It is accepted and changes nothing; the text says why.
    NoOp(&'static str),
    /// Nobody knows it.
    Unknown,
}

/// Prefixes whose keys are passed on: to converters and to the clients of topics.
const PREFIXES: &[&str] = &[
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "producer.",
    "consumer.",
    "admin.",
];

/// Whether a worker knows a key and acts on it.
pub fn known_key(name: &str) -> KeySupport {
    match DEF.key(name).map(|key| key.effect) {
        Some(Effect::Honoured) => KeySupport::Honoured,
        Some(Effect::NoOp(why)) => KeySupport::NoOp(why),
        None if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => KeySupport::Honoured,
        None => KeySupport::Unknown,
    }
}

/// Every key that a worker knows, in the order of the table, for suggestions and reference pages.
pub fn known_keys() -> impl Iterator<Item = &'static str> {
    DEF.keys.iter().map(|key| key.name)
}

const ONE_WORKER: &str = "one worker runs every connector, so there is no group of workers to tune";
const BUILT_IN: &str = "plugins are built in";

/// The worker's keys.
pub(crate) static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    let key = |name, kind, default, doc| {
        ConfigKey::optional(name, kind, default, Importance::Medium, doc)
    };
    let no_op = |name, why| key(name, ConfigType::String, None, why).no_op(why);
    ConfigDef::new(vec![
        key("group.id", ConfigType::String, Some("connect-cluster"), "Names the worker's cluster in the client ids of its clients."),
        key("client.id", ConfigType::String, None, "Prefix of the client ids of the worker's own clients."),
        key("config.storage.topic", ConfigType::String, Some("connect-configs"), "Topic of connector configs.").check(Check::NonEmpty),
        key("config.storage.replication.factor", ConfigType::Short, Some("-1"), "Its replication factor when it is created; -1 is the brokers' default."),
        key("offset.storage.topic", ConfigType::String, Some("connect-offsets"), "Topic of source offsets.").check(Check::NonEmpty),
        key("offset.storage.partitions", ConfigType::Int, Some("25"), "Its partitions when it is created."),
        key("offset.storage.replication.factor", ConfigType::Short, Some("-1"), "Its replication factor when it is created; -1 is the brokers' default."),
        key("status.storage.topic", ConfigType::String, Some("connect-status"), "Topic of states.").check(Check::NonEmpty),
        key("status.storage.partitions", ConfigType::Int, Some("5"), "Its partitions when it is created."),
        key("status.storage.replication.factor", ConfigType::Short, Some("-1"), "Its replication factor when it is created; -1 is the brokers' default."),
        key("key.converter", ConfigType::Class, Some("org.apache.kafka.connect.json.JsonConverter"), "Converter of keys where a connector names none."),
        key("value.converter", ConfigType::Class, Some("org.apache.kafka.connect.json.JsonConverter"), "Converter of values where a connector names none."),
        key("header.converter", ConfigType::Class, CLASSES.first().map(|(class, _)| *class), "Converter of headers where a connector names none."),
        key("offset.flush.interval.ms", ConfigType::Long, Some("1000"), "How often a sink commits what it has finished. Sources store offsets as soon as their records are acknowledged.").check(Check::AtLeast(1)),
        key("offset.flush.timeout.ms", ConfigType::Long, Some("5000"), "How long a sink may flush when partitions are taken from it.").check(Check::AtLeast(1)),
        key("task.shutdown.graceful.timeout.ms", ConfigType::Long, Some("5000"), "How long a task may take to end before it is cut off.").check(Check::AtLeast(0)),
        key("topic.creation.enable", ConfigType::Boolean, Some("true"), "Create the topics that sources write to."),
        key("topic.tracking.enable", ConfigType::Boolean, Some("true"), "Note which topics a connector uses."),
        key("topic.tracking.allow.reset", ConfigType::Boolean, Some("true"), "Let those notes be reset by REST."),
        key("connector.client.config.override.policy", ConfigType::String, Some("All"), "Which client keys a connector may override: All or None.").check(Check::OneOf(&["All", "None"])),
        key("rest.advertised.host.name", ConfigType::String, None, "Host in the worker's id."),
        key("rest.advertised.port", ConfigType::Int, None, "Port in the worker's id."),
        key("exactly.once.source.support", ConfigType::String, Some("enabled"), "With enabled, sources write their records and the offsets that cover them in one transaction; with disabled or preparing, they are at-least-once.").check(Check::Custom(|text| {
            let known = ["disabled", "preparing", "enabled"].iter().any(|one| one.eq_ignore_ascii_case(text));
            if known { Ok(()) } else { Err("String must be one of: disabled, preparing, enabled".to_owned()) }
        })),
        key("config.providers", ConfigType::List, Some(""), "Config providers are not supported.").check(Check::Custom(|text| {
            if text.trim().is_empty() { Ok(()) } else { Err("config providers are not supported".to_owned()) }
        })),
        no_op("bootstrap.servers", "the brokers are those that the program was started with"),
        no_op("listeners", "the REST address is the one that the program was started with"),
        no_op("rest.advertised.listener", "there is one listener, and it speaks HTTP"),
        no_op("rest.extension.classes", BUILT_IN),
        no_op("plugin.path", BUILT_IN),
        no_op("plugin.discovery", BUILT_IN),
        no_op("admin.listeners", "there are no /admin routes"),
        no_op("access.control.allow.origin", "browsers of other origins are not served"),
        no_op("access.control.allow.methods", "browsers of other origins are not served"),
        no_op("response.http.headers.config", "responses carry no configured headers"),
        no_op("session.timeout.ms", ONE_WORKER),
        no_op("heartbeat.interval.ms", ONE_WORKER),
        no_op("rebalance.timeout.ms", ONE_WORKER),
        no_op("worker.sync.timeout.ms", ONE_WORKER),
        no_op("worker.unsync.backoff.ms", ONE_WORKER),
        no_op("scheduled.rebalance.max.delay.ms", ONE_WORKER),
        no_op("connect.protocol", ONE_WORKER),
        no_op("inter.worker.key.generation.algorithm", ONE_WORKER),
        no_op("inter.worker.key.size", ONE_WORKER),
        no_op("inter.worker.key.ttl.ms", ONE_WORKER),
        no_op("inter.worker.signature.algorithm", ONE_WORKER),
        no_op("inter.worker.verification.algorithms", ONE_WORKER),
        no_op("metric.reporters", "metrics are not kept in JMX"),
        no_op("metrics.num.samples", "metrics are not kept in JMX"),
        no_op("metrics.recording.level", "metrics are not kept in JMX"),
        no_op("metrics.sample.window.ms", "metrics are not kept in JMX"),
    ])
});

/// A topic of the worker.
#[derive(Debug, Clone)]
pub(crate) struct StorageTopic {
    /// The topic's name.
    pub(crate) name: String,
    /// Its partitions when it is created.
    pub(crate) partitions: i32,
    /// Its replication factor when it is created; -1 is the brokers' default.
    pub(crate) replication: i32,
}

/// The worker's settings, read.
#[derive(Debug, Clone)]
pub(crate) struct WorkerSettings {
    pub(crate) group_id: String,
    pub(crate) configs: StorageTopic,
    pub(crate) offsets: StorageTopic,
    pub(crate) status: StorageTopic,
    pub(crate) flush_interval: Duration,
    pub(crate) flush_timeout: Duration,
    pub(crate) graceful_timeout: Duration,
    pub(crate) topic_creation: bool,
    pub(crate) topic_tracking: bool,
    pub(crate) topic_tracking_reset: bool,
    pub(crate) client_overrides: bool,
    /// Whether sources may write in transactions.
    pub(crate) exactly_once: bool,
    pub(crate) advertised: (Option<String>, Option<u16>),
    /// Everything as given, for the keys with a prefix.
    pub(crate) map: ConfigMap,
}

impl WorkerSettings {
    /// The settings, or every error: key and text.
    pub(crate) fn read(map: &ConfigMap) -> Result<Self, Vec<(String, String)>> {
        let config = DEF.parse(map)?;
        let topic = |name: &str, partitions: Option<&str>| storage_topic(&config, name, partitions);
        let port = config.get("rest.advertised.port").and_then(|port| port.trim().parse().ok());
        Ok(Self {
            group_id: config.string("group.id").to_owned(),
            configs: topic("config", None),
            offsets: topic("offset", Some("offset.storage.partitions")),
            status: topic("status", Some("status.storage.partitions")),
            flush_interval: config.duration_ms("offset.flush.interval.ms"),
            flush_timeout: config.duration_ms("offset.flush.timeout.ms"),
            graceful_timeout: config.duration_ms("task.shutdown.graceful.timeout.ms"),
            topic_creation: config.bool("topic.creation.enable"),
            topic_tracking: config.bool("topic.tracking.enable"),
            topic_tracking_reset: config.bool("topic.tracking.allow.reset"),
            client_overrides: config.string("connector.client.config.override.policy") == "All",
            exactly_once: config
                .string("exactly.once.source.support")
                .eq_ignore_ascii_case("enabled"),
            advertised: (config.get("rest.advertised.host.name").map(str::to_owned), port),
            map: map.clone(),
        })
    }

    /// The value of a worker's key, or its default.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let default = || DEF.key(name).and_then(|key| key.default);
        self.map.get(name).map(String::as_str).or_else(default)
    }
}

fn storage_topic(config: &ParsedConfig, kind: &str, partitions: Option<&str>) -> StorageTopic {
    let number = |name: &str| i32::try_from(config.long(name)).unwrap_or(-1);
    StorageTopic {
        name: config.string(&format!("{kind}.storage.topic")).to_owned(),
        partitions: partitions.map_or(1, number),
        replication: number(&format!("{kind}.storage.replication.factor")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_kafka_connect_where_they_are_not_better() {
        let settings = WorkerSettings::read(&ConfigMap::new()).unwrap();
        assert_eq!(settings.configs.name, "connect-configs");
        assert_eq!((settings.configs.partitions, settings.offsets.partitions), (1, 25));
        assert_eq!((settings.status.partitions, settings.status.replication), (5, -1));
        assert_eq!(settings.flush_interval, Duration::from_secs(1));
    }

    #[test]
    fn keys_are_honoured_accepted_or_unknown() {
        assert_eq!(known_key("offset.flush.interval.ms"), KeySupport::Honoured);
        assert_eq!(known_key("value.converter.schemas.enable"), KeySupport::Honoured);
        assert_eq!(known_key("plugin.path"), KeySupport::NoOp("plugins are built in"));
        assert_eq!(known_key("plugin.paht"), KeySupport::Unknown);
    }

    #[test]
    fn sources_are_exactly_once_where_worker_and_connector_allow_it() {
        let check = |worker: &str, connector: &str, expected: bool| {
            let one =
                |key: &str, value: &str| ConfigMap::from([(key.to_owned(), value.to_owned())]);
            let worker = WorkerSettings::read(&one("exactly.once.source.support", worker)).unwrap();
            let mut config = one("exactly.once.support", connector);
            config.insert("name".to_owned(), "c".to_owned());
            config.insert("connector.class".to_owned(), "LineSource".to_owned());
            let settings = super::super::connector::ConnectorSettings::read(
                aquifer_connect_api::ConnectorKind::Source,
                &config,
            );
            assert_eq!(settings.unwrap().exactly_once(&worker), expected, "{config:?}");
        };
        check("ENABLED", "requested", true);
        check("enabled", "REQUIRED", true);
        check("enabled", "disabled", false);
        check("preparing", "requested", false);
        check("disabled", "required", false);
        let wrong = [("exactly.once.source.support".to_owned(), "perhaps".to_owned())].into();
        assert_eq!(WorkerSettings::read(&wrong).unwrap_err().len(), 1);
    }
}
