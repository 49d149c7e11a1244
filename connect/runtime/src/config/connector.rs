//! TABLE of the keys that every connector has, and those that every source or every sink has; the connector's own come beside them.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use aquifer_connect_api::ConnectorKind;
use aquifer_connect_api::config::{
    Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance, ParsedConfig,
};

use super::worker::WorkerSettings;

const COMMON: &str = "Common";
const TRANSFORMS: &str = "Transforms";
const PREDICATES: &str = "Predicates";
const ERRORS: &str = "Error Handling";
const TOPICS: &str = "Topic Creation";
const EXACTLY_ONCE: &str = "Exactly Once Support";

fn keys_of_all() -> Vec<ConfigKey> {
    use ConfigType::{Boolean, Class, Int, List, Long, Short, String};
    let optional = ConfigKey::optional;
    let low = Importance::Low;
    let medium = Importance::Medium;
    vec![
        ConfigKey::required("name", String, Importance::High, "Name of the connector, unique in the cluster.")
            .check(Check::Custom(check_name)).group(COMMON).display("Connector name"),
        ConfigKey::required("connector.class", String, Importance::High, "Class of the connector: its full name, its last part, or that without \"Connector\".")
            .group(COMMON).display("Connector class"),
        optional("tasks.max", Int, Some("1"), Importance::High, "Most tasks the connector may have.")
            .check(Check::AtLeast(1)).group(COMMON).display("Tasks max"),
        optional("tasks.max.enforce", Boolean, Some("true"), low, "Whether tasks.max binds.")
            .group(COMMON).display("Enforce tasks max").no_op("no connector here makes more tasks than tasks.max"),
        optional("key.converter", Class, None, low, "Converter of keys; the worker's where it is not given.")
            .group(COMMON).display("Key converter class"),
        optional("value.converter", Class, None, low, "Converter of values; the worker's where it is not given.")
            .group(COMMON).display("Value converter class"),
        optional("header.converter", Class, None, low, "Converter of headers: SimpleHeaderConverter, StringConverter or ByteArrayConverter.")
            .check(Check::Custom(check_header_converter)).group(COMMON).display("Header converter class"),
        optional("transforms", List, Some(""), low, "Names of the transforms, in the order they are applied.")
            .check(Check::Custom(check_aliases)).group(TRANSFORMS).display("Transforms"),
        optional("predicates", List, Some(""), low, "Names of predicates, which are not supported.")
            .check(Check::Custom(check_predicates)).group(PREDICATES).display("Predicates"),
        optional("config.action.reload", String, Some("restart"), low, "What to do when a config provider has news.")
            .check(Check::OneOf(&["none", "restart"])).group(COMMON).display("Reload Action")
            .no_op("there are no config providers"),
        optional("errors.retry.timeout", Long, Some("0"), medium, "How long a conversion that failed because something outside is away is tried again, in milliseconds; with 0 or -1, as long as it takes.")
            .check(Check::AtLeast(-1)).group(ERRORS).display("Retry Timeout for Errors"),
        optional("errors.retry.delay.max.ms", Long, Some("60000"), medium, "Longest pause between two attempts.")
            .check(Check::AtLeast(1)).group(ERRORS).display("Maximum Delay Between Retries for Errors"),
        optional("errors.tolerance", String, Some("none"), medium, "With none, a record that can't be handled fails the task; with all, it is skipped (and kept as a dead letter where a topic for them is named).")
            .check(Check::OneOf(&["none", "all"])).group(ERRORS).display("Error Tolerance"),
        optional("errors.log.enable", Boolean, Some("false"), medium, "Log each tolerated error, with topic, partition and offset.")
            .group(ERRORS).display("Log Errors"),
        optional("errors.log.include.messages", Boolean, Some("false"), medium, "Accepted; the contents of records are never logged.")
            .group(ERRORS).display("Log Error Details").no_op("the contents of records are never logged"),
        optional("errors.restart.max", Int, Some("3"), medium, "How often a failed task is started again before it stays FAILED; it counts anew once the task has run for errors.restart.delay.max.ms. 0 is Kafka Connect's behaviour. Errors of a record or of the config fail at once; those of something that is away are tried again without end.")
            .check(Check::AtLeast(0)).group(ERRORS).display("Restarts of a failed task"),
        optional("errors.restart.delay.ms", Long, Some("1000"), low, "Pause before the first of those restarts; it doubles with each.")
            .check(Check::AtLeast(1)).group(ERRORS).display("First Delay Before a Restart"),
        optional("errors.restart.delay.max.ms", Long, Some("60000"), low, "Longest pause before such a restart, and before another attempt at something that is away.")
            .check(Check::AtLeast(1)).group(ERRORS).display("Maximum Delay Before a Restart"),
        optional("topic.creation.default.partitions", Int, Some("-1"), low, "Partitions of a topic that a source creates; -1 is the brokers' default.")
            .check(Check::Custom(check_count)).group(TOPICS).display("Partitions of new topics"),
        optional("topic.creation.default.replication.factor", Short, Some("-1"), low, "Replication factor of a topic that a source creates; -1 is the brokers' default.")
            .check(Check::Custom(check_count)).group(TOPICS).display("Replication factor of new topics"),
    ]
}

/// The keys of every source.
pub(crate) static SOURCE: LazyLock<ConfigDef> = LazyLock::new(|| {
    use ConfigType::{List, Long, String};
    let mut keys = keys_of_all();
    let optional = ConfigKey::optional;
    keys.extend([
        optional(
            "topic.creation.groups",
            List,
            Some(""),
            Importance::Low,
            "Groups of new topics, which are not supported.",
        )
        .check(Check::Custom(|text| {
            let empty = text.trim().is_empty();
            if empty {
                Ok(())
            } else {
                Err("groups are not supported, only topic.creation.default".to_owned())
            }
        }))
        .group(TOPICS)
        .display("Topic Creation Groups"),
        optional(
            "exactly.once.support",
            String,
            Some("requested"),
            Importance::Medium,
            "With required, the connector is refused where the worker has no exactly-once support for sources; with requested, it \
             runs at-least-once there. With disabled, which Kafka Connect does not have, it runs at-least-once anywhere.",
        )
        .check(Check::Custom(|text| {
            let known = ["requested", "required", "disabled"];
            if known.iter().any(|one| one.eq_ignore_ascii_case(text)) {
                Ok(())
            } else {
                Err("String must be one of: requested, required, disabled".to_owned())
            }
        }))
        .group(EXACTLY_ONCE)
        .display("Exactly once support"),
        optional(
            "transaction.boundary",
            String,
            Some("poll"),
            Importance::Medium,
            "With poll, a transaction is committed as soon as the batches that the source has ready are in it, always whole ones; \
             with interval, after a time. Boundaries of the connector's own (connector) are refused where it has none.",
        )
        .check(Check::Custom(|text| {
            let known = ["poll", "interval", "connector"];
            if known.iter().any(|one| one.eq_ignore_ascii_case(text)) {
                Ok(())
            } else {
                Err("String must be one of: poll, interval, connector".to_owned())
            }
        }))
        .group(EXACTLY_ONCE)
        .display("Transaction Boundary"),
        optional(
            "transaction.boundary.interval.ms",
            Long,
            None,
            Importance::Low,
            "Time between two commits with transaction.boundary interval, in milliseconds; the worker's offset.flush.interval.ms \
             where it is not given.",
        )
        .check(Check::AtLeast(0))
        .group(EXACTLY_ONCE)
        .display("Transaction boundary interval"),
        optional(
            "offsets.storage.topic",
            String,
            None,
            Importance::Low,
            "An offsets topic of the connector's own, which is not supported.",
        )
        .check(Check::Custom(|_| {
            Err("offsets are stored in the worker's offset.storage.topic".to_owned())
        }))
        .group("offsets.topic")
        .display("Offsets topic"),
    ]);
    ConfigDef::new(keys)
});

/// The keys of every sink.
pub(crate) static SINK: LazyLock<ConfigDef> = LazyLock::new(|| {
    use ConfigType::{Boolean, List, Short, String};
    let mut keys = keys_of_all();
    keys.retain(|key| key.group != TOPICS);
    let optional = ConfigKey::optional;
    keys.extend([
        optional(
            "topics",
            List,
            Some(""),
            Importance::High,
            "Topics to consume, separated by commas.",
        )
        .group(COMMON)
        .display("Topics"),
        optional(
            "topics.regex",
            String,
            Some(""),
            Importance::High,
            "Consumes every topic whose whole name matches.",
        )
        .check(Check::Custom(check_regex))
        .group(COMMON)
        .display("Topics regex"),
        optional(
            "errors.deadletterqueue.topic.name",
            String,
            Some(""),
            Importance::Medium,
            "Topic for records that can't be handled; none is kept where it is empty.",
        )
        .group(ERRORS)
        .display("Dead Letter Queue Topic Name"),
        optional(
            "errors.deadletterqueue.topic.replication.factor",
            Short,
            Some("-1"),
            Importance::Medium,
            "Its replication factor when it is created; -1 is the brokers' default.",
        )
        .check(Check::Custom(check_count))
        .group(ERRORS)
        .display("Dead Letter Queue Topic Replication Factor"),
        optional(
            "errors.deadletterqueue.context.headers.enable",
            Boolean,
            Some("false"),
            Importance::Medium,
            "Add headers that say where the record came from and what was wrong.",
        )
        .group(ERRORS)
        .display("Enable Error Context Headers"),
    ]);
    ConfigDef::new(keys)
});

/// The keys of every connector of that kind.
pub(crate) fn def(kind: ConnectorKind) -> &'static ConfigDef {
    match kind {
        ConnectorKind::Source => &SOURCE,
        ConnectorKind::Sink => &SINK,
    }
}

/// Prefixes whose keys are not the connector's own: passed on to converters, transforms and clients.
pub(crate) const CLIENT_PREFIXES: &[&str] =
    &["producer.override.", "consumer.override.", "admin.override."];

/// Prefix of the configs of topics that a source creates.
pub(crate) const TOPIC_PREFIX: &str = "topic.creation.default.";

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("String may not be empty".to_owned());
    }
    let control = name.chars().filter(|c| c.is_control()).map(|c| u32::from(c).to_string());
    let control: Vec<String> = control.collect();
    if control.is_empty() {
        return Ok(());
    }
    Err(format!(
        "String may not contain control sequences but had the following ASCII chars: {}",
        control.join(", ")
    ))
}

fn check_header_converter(class: &str) -> Result<(), String> {
    match crate::header::HeaderConverter::of_class(class) {
        Some(_) => Ok(()),
        None => Err(format!("Class {class} could not be found.")),
    }
}

fn check_aliases(text: &str) -> Result<(), String> {
    let aliases = split_list(text);
    let unique: BTreeSet<&str> = aliases.iter().copied().collect();
    if unique.len() == aliases.len() { Ok(()) } else { Err("Duplicate alias provided.".to_owned()) }
}

fn check_predicates(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Ok(()) } else { Err("predicates are not supported".to_owned()) }
}

fn check_count(text: &str) -> Result<(), String> {
    match text.trim().parse::<i64>() {
        Ok(-1) | Ok(1..) => Ok(()),
        Ok(_) | Err(_) => Err("Value must be -1 or at least 1".to_owned()),
    }
}

fn check_regex(text: &str) -> Result<(), String> {
    regex::Regex::new(text).map(drop).map_err(|error| format!("Invalid regex: {error}"))
}

/// Texts separated by commas, trimmed; an empty text is an empty list.
pub(crate) fn split_list(text: &str) -> Vec<&str> {
    let text = text.trim();
    if text.is_empty() { Vec::new() } else { text.split(',').map(str::trim).collect() }
}

/// Where the transactions of a source end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionBoundary {
    /// With the batches that are there.
    Poll,
    /// After a time; the worker's where none is given.
    Interval(Option<Duration>),
}

/// What the runtime reads of a connector's config.
#[derive(Debug, Clone)]
pub(crate) struct ConnectorSettings {
    /// How long a conversion is retried; `None` is without end.
    pub(crate) retry_timeout: Option<Duration>,
    pub(crate) retry_delay_max: Duration,
    pub(crate) tolerate_all: bool,
    pub(crate) log_errors: bool,
    pub(crate) restart_max: u32,
    pub(crate) restart_delay: Duration,
    pub(crate) restart_delay_max: Duration,
    pub(crate) topic_partitions: i32,
    pub(crate) topic_replication: i32,
    /// Configs of new topics by their own names.
    pub(crate) topic_configs: Vec<(String, String)>,
    pub(crate) topics: Vec<String>,
    pub(crate) topics_regex: Option<String>,
    pub(crate) dead_letter_topic: Option<String>,
    pub(crate) dead_letter_replication: i32,
    pub(crate) dead_letter_headers: bool,
    pub(crate) tasks_max: usize,
    /// Whether the connector may be exactly-once, as far as it goes by itself.
    transactional: bool,
    pub(crate) transaction_boundary: TransactionBoundary,
}

impl ConnectorSettings {
    /// Reads a config; the error joins every complaint.
    pub(crate) fn read(kind: ConnectorKind, map: &ConfigMap) -> Result<Self, String> {
        let config = def(kind).parse(map).map_err(|errors| {
            let texts: Vec<String> = errors.into_iter().map(|(_, text)| text).collect();
            texts.join("\n")
        })?;
        Ok(Self::of(&config))
    }

    fn of(config: &ParsedConfig) -> Self {
        let retry_timeout = u64::try_from(config.long("errors.retry.timeout")).unwrap_or(0);
        let count = |name: &str| match config.get(name) {
            Some(_) => i32::try_from(config.long(name)).unwrap_or(-1),
            None => -1,
        };
        let text = |name: &str| {
            config.get(name).map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned)
        };
        Self {
            retry_timeout: (retry_timeout > 0).then(|| Duration::from_millis(retry_timeout)),
            retry_delay_max: config.duration_ms("errors.retry.delay.max.ms"),
            tolerate_all: config.string("errors.tolerance") == "all",
            log_errors: config.bool("errors.log.enable"),
            restart_max: u32::try_from(config.long("errors.restart.max")).unwrap_or(0),
            restart_delay: config.duration_ms("errors.restart.delay.ms"),
            restart_delay_max: config.duration_ms("errors.restart.delay.max.ms"),
            topic_partitions: count("topic.creation.default.partitions"),
            topic_replication: count("topic.creation.default.replication.factor"),
            topic_configs: topic_configs(config.map()),
            topics: config.list("topics").into_iter().map(str::to_owned).collect(),
            topics_regex: text("topics.regex"),
            dead_letter_topic: text("errors.deadletterqueue.topic.name"),
            dead_letter_replication: count("errors.deadletterqueue.topic.replication.factor"),
            dead_letter_headers: config.bool("errors.deadletterqueue.context.headers.enable"),
            tasks_max: config.count("tasks.max").max(1),
            transactional: config
                .get("exactly.once.support")
                .is_none_or(|text| !text.eq_ignore_ascii_case("disabled")),
            transaction_boundary: match config.get("transaction.boundary") {
                Some(text) if text.eq_ignore_ascii_case("interval") => {
                    let given = config.get("transaction.boundary.interval.ms");
                    let interval = || config.duration_ms("transaction.boundary.interval.ms");
                    TransactionBoundary::Interval(given.map(|_| interval()))
                }
                Some(_) | None => TransactionBoundary::Poll,
            },
        }
    }

    /// Whether the connector's tasks write records and offsets in transactions, where it is a source.
    pub(crate) fn exactly_once(&self, worker: &WorkerSettings) -> bool {
        self.transactional && worker.exactly_once
    }
}

fn topic_configs(config: &ConfigMap) -> Vec<(String, String)> {
    let own = |(key, value): (&String, &String)| {
        let name = key.strip_prefix(TOPIC_PREFIX)?;
        let shape = ["partitions", "replication.factor"].contains(&name);
        (!shape).then(|| (name.to_owned(), value.clone()))
    };
    config.iter().filter_map(own).collect()
}
