//! Every error of a connector's config at once: the runtime's keys, the connector's, those of its converters and transforms.
//!
//! - The texts are Kafka Connect's, because tools show and match them.
//! - Values of PASSWORD keys never leave: they are shown as `[hidden]`.
//! - A key that nobody knows is no error; it is listed, so that it can be logged.

use std::collections::BTreeSet;
use std::sync::Arc;

use aquifer_connect_api::config::{
    ConfigDef, ConfigKey, ConfigMap, ConfigType, Effect, Importance,
};
use aquifer_connect_api::{ConverterRole, Validation};

use super::client;
use super::connector::{CLIENT_PREFIXES, TOPIC_PREFIX, def, split_list};
use super::worker::WorkerSettings;
use crate::conversion::{converter_config, converter_key};
use crate::plugins::{ConnectorPlugin, Plugins};
use crate::sink_task::check_overrides as check_consumer;

/// One key of a config: what it is, what it says, what is wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key with its prefix.
    pub(crate) name: String,
    /// Its definition, whose name lacks the prefix; none for a key that only an error knows.
    pub(crate) key: Option<ConfigKey>,
    /// The value as given or defaulted.
    pub(crate) value: Option<String>,
    /// The errors.
    pub(crate) errors: Vec<String>,
}

/// What a validation found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// The connector class as the config names it.
    pub(crate) class: String,
    /// Every key, in the order shown.
    pub(crate) entries: Vec<Entry>,
    /// Keys that nobody knows.
    pub(crate) unknown: Vec<String>,
    /// Keys that are accepted and change nothing, and why.
    pub(crate) no_op: Vec<(String, &'static str)>,
}

impl Report {
    /// How many errors there are.
    pub(crate) fn error_count(&self) -> usize {
        self.entries.iter().map(|entry| entry.errors.len()).sum()
    }

    /// Connect's message for a config with errors.
    pub(crate) fn message(&self) -> String {
        let mut text = format!(
            "Connector configuration is invalid and contains the following {} error(s):",
            self.error_count()
        );
        for error in self.entries.iter().flat_map(|entry| &entry.errors) {
            text.push('\n');
            text.push_str(error);
        }
        text.push_str(
            "\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
        );
        text
    }

    fn add(&mut self, name: &str, text: String) {
        match self.entries.iter_mut().find(|entry| entry.name == name) {
            Some(entry) => entry.errors.push(text),
            None => self.entries.push(Entry {
                name: name.to_owned(),
                key: None,
                value: None,
                errors: vec![text],
            }),
        }
    }

    /// Checks a definition against the keys of `config` that begin with `prefix`.
    fn check(&mut self, prefix: &str, def: &ConfigDef, config: &ConfigMap) {
        for key in &def.keys {
            let name = format!("{prefix}{}", key.name);
            if self.entries.iter().any(|entry| entry.name == name) {
                continue;
            }
            let given = config.get(&name).map(String::as_str);
            let errors = key.errors(given).into_iter();
            let errors = errors.map(|text| with_prefix(&text, key, &name, given)).collect();
            if let (Some(_), Effect::NoOp(why)) = (given, key.effect) {
                self.no_op.push((name.clone(), why));
            }
            let value = given.or(key.default).map(str::to_owned);
            self.entries.push(Entry { name, key: Some(key.clone()), value, errors });
        }
    }
}

/// A key's own error text names it without its prefix, and shows a list as it was given; Connect shows `[a, b]`.
fn with_prefix(text: &str, key: &ConfigKey, name: &str, given: Option<&str>) -> String {
    let own = key.name;
    if text.ends_with(&format!("configuration \"{own}\" which has no default value.")) {
        return text.replacen(&format!("\"{own}\""), &format!("\"{name}\""), 1);
    }
    let text = match given.filter(|_| key.kind == ConfigType::List) {
        Some(given) => text.replacen(given, &format!("[{}]", split_list(given).join(", ")), 1),
        None => text.to_owned(),
    };
    text.replacen(
        &format!(" for configuration {own}: "),
        &format!(" for configuration {name}: "),
        1,
    )
}

/// Validates a config; the error is the text of a request that can't be validated at all.
pub(crate) async fn validate(
    plugins: &Arc<Plugins>,
    worker: &WorkerSettings,
    config: &ConfigMap,
) -> Result<Report, String> {
    let Some(class) = config.get("connector.class") else {
        let pairs: Vec<String> =
            config.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let pairs = pairs.join(", ");
        return Err(format!("Connector config {{{pairs}}} contains no connector type"));
    };
    let plugin = plugins.connector(class).ok_or_else(|| plugins.unknown_connector(class))?;
    let mut report = Report { class: class.clone(), ..Report::default() };
    report.check("", def(plugin.kind()), config);
    check_converter_classes(&mut report, plugins, config);
    check_transforms(&mut report, plugins, config);
    match plugin {
        ConnectorPlugin::Sink(_) => check_topics(&mut report, config),
        ConnectorPlugin::Source(_) => check_exactly_once(&mut report, worker, config),
    }
    report.check("", plugin.connector().config_def(), config);
    check_converters(&mut report, plugins, worker, config);
    check_overrides(&mut report, worker, config);
    if report.error_count() == 0 {
        let mut validation = Validation::default();
        plugin.connector().validate(config, &mut validation).await;
        for (key, text) in validation.errors {
            report.add(&key, text);
        }
    }
    report.unknown = unknown_keys(&report, config);
    Ok(report)
}

fn check_converter_classes(report: &mut Report, plugins: &Plugins, config: &ConfigMap) {
    for role in [ConverterRole::Key, ConverterRole::Value] {
        let key = converter_key(role);
        if let Some(class) = config.get(key).filter(|class| plugins.converter(class).is_none()) {
            report.add(key, class_not_found(class, key));
        }
    }
}

fn class_not_found(class: &str, key: &str) -> String {
    format!("Invalid value {class} for configuration {key}: Class {class} could not be found.")
}

/// The keys of the converters that the connector names or tunes; those of the worker's own are the worker's business.
fn check_converters(
    report: &mut Report,
    plugins: &Plugins,
    worker: &WorkerSettings,
    config: &ConfigMap,
) {
    for role in [ConverterRole::Key, ConverterRole::Value] {
        let key = converter_key(role);
        let prefix = format!("{key}.");
        let tuned = config.keys().any(|name| name.starts_with(&prefix));
        if !tuned && !config.contains_key(key) {
            continue;
        }
        let (class, own) = converter_config(worker, config, role);
        let Some(plugin) = plugins.converter(&class) else { continue };
        let prefixed: ConfigMap =
            own.iter().map(|(name, value)| (format!("{prefix}{name}"), value.clone())).collect();
        report.check(&prefix, (plugin.config_def)(), &prefixed);
        let valid = !report
            .entries
            .iter()
            .any(|entry| entry.name.starts_with(&prefix) && !entry.errors.is_empty());
        if valid && let Err(error) = (plugin.new)(&own, role) {
            report.add(key, format!("Invalid value {class} for configuration {key}: {error}"));
        }
    }
}

fn check_transforms(report: &mut Report, plugins: &Plugins, config: &ConfigMap) {
    let aliases = config.get("transforms").map(String::as_str).unwrap_or_default();
    let unique: BTreeSet<&str> = split_list(aliases).into_iter().collect();
    for alias in unique {
        let prefix = format!("transforms.{alias}.");
        let type_key = format!("{prefix}type");
        let class = config.get(&type_key).map(String::as_str);
        let mut errors = Vec::new();
        let plugin = class.and_then(|class| plugins.transform(class));
        match class {
            None => errors.push(format!(
                "Missing required configuration \"{type_key}\" which has no default value."
            )),
            Some(class) if plugin.is_none() => errors.push(class_not_found(class, &type_key)),
            Some(_) => {}
        }
        let key = ConfigKey::required(
            "type",
            ConfigType::Class,
            Importance::High,
            "Class of the transform.",
        );
        report.entries.push(Entry {
            name: type_key.clone(),
            key: Some(key.group("Transforms")),
            value: class.map(str::to_owned),
            errors,
        });
        for refused in ["predicate", "negate"] {
            let name = format!("{prefix}{refused}");
            if let Some(value) = config.get(&name) {
                let text = format!(
                    "Invalid value {value} for configuration {name}: predicates are not supported"
                );
                report.add(&name, text);
            }
        }
        let Some(plugin) = plugin else { continue };
        report.check(&prefix, (plugin.config_def)(), config);
        let valid = !report
            .entries
            .iter()
            .any(|entry| entry.name.starts_with(&prefix) && !entry.errors.is_empty());
        if valid && let Err(error) = (plugin.new)(&stripped(config, &prefix)) {
            let class = plugin.class;
            report.add(
                &type_key,
                format!("Invalid value {class} for configuration {type_key}: {error}"),
            );
        }
    }
}

/// The keys behind a prefix, without it.
pub(crate) fn stripped(config: &ConfigMap, prefix: &str) -> ConfigMap {
    let behind = |(key, value): (&String, &String)| {
        Some((key.strip_prefix(prefix)?.to_owned(), value.clone()))
    };
    config.iter().filter_map(behind).collect()
}

/// What the worker and the connectors here can't give.
fn check_exactly_once(report: &mut Report, worker: &WorkerSettings, config: &ConfigMap) {
    let is = |key: &str, value: &str| {
        config.get(key).is_some_and(|given| given.eq_ignore_ascii_case(value))
    };
    if is("exactly.once.support", "required") && !worker.exactly_once {
        let text = "This worker does not have exactly-once source support enabled.";
        report.add("exactly.once.support", text.to_owned());
    }
    if is("transaction.boundary", "connector") {
        let text = "The connector does not support connector-defined transaction boundaries with the given configuration. \
                    Please reconfigure it to use a different transaction boundary definition.";
        report.add("transaction.boundary", text.to_owned());
    }
}

/// Connect reports each of these under both keys.
fn check_topics(report: &mut Report, config: &ConfigMap) {
    let given = |key: &str| config.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
    let (topics, pattern) = (given("topics"), given("topics.regex"));
    let both = match (topics, pattern) {
        (None, None) => Some("Must configure one of topics or topics.regex"),
        (Some(_), Some(_)) => {
            Some("topics and topics.regex are mutually exclusive options, but both are set.")
        }
        (Some(_), None) | (None, Some(_)) => None,
    };
    if let Some(text) = both {
        report.add("topics", text.to_owned());
        report.add("topics.regex", text.to_owned());
    }
    let Some(dead_letters) = given("errors.deadletterqueue.topic.name") else { return };
    if let Some(topics) = topics.filter(|topics| split_list(topics).contains(&dead_letters)) {
        let text = format!(
            "The DLQ topic '{dead_letters}' may not be included in the list of topics ('topics=[{}]') consumed by the connector",
            split_list(topics).join(", ")
        );
        report.add("topics", text);
    }
    let matches = |pattern: &str| {
        let whole = regex::Regex::new(&format!("^(?:{pattern})$"));
        whole.is_ok_and(|regex| regex.is_match(dead_letters))
    };
    if let Some(pattern) = pattern.filter(|pattern| matches(pattern)) {
        let text = format!(
            "The DLQ topic '{dead_letters}' may not be included in the regex matching the topics ('topics.regex={pattern}') consumed by the connector",
        );
        report.add("topics.regex", text);
    }
}

/// Options of clients: whether they may be given at all, and what the client library thinks of them.
fn check_overrides(report: &mut Report, worker: &WorkerSettings, config: &ConfigMap) {
    for prefix in CLIENT_PREFIXES {
        let given: Vec<&String> = config.keys().filter(|key| key.starts_with(prefix)).collect();
        let Some(first) = given.first() else { continue };
        if !worker.client_overrides {
            for key in given {
                report.add(key, format!("Invalid value for configuration {key}: connector.client.config.override.policy is None"));
            }
            continue;
        }
        let checked = match *prefix {
            "consumer.override." => check_consumer(worker, config),
            "producer.override." => client::check(client::overrides(config, prefix)),
            _ => {
                let why = "topics are created by the worker's own client";
                report.no_op.extend(given.iter().map(|key| ((*key).clone(), why)));
                continue;
            }
        };
        if let Err(text) = checked {
            let named = given
                .iter()
                .find(|key| key.strip_prefix(prefix).is_some_and(|name| text.contains(name)));
            report.add(named.unwrap_or(first), format!("{}: {text}", prefix.trim_end_matches('.')));
        }
    }
}

fn unknown_keys(report: &Report, config: &ConfigMap) -> Vec<String> {
    let known = |key: &str| {
        report.entries.iter().any(|entry| entry.name == key)
            || CLIENT_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
            || key.starts_with(TOPIC_PREFIX)
    };
    config.keys().filter(|key| !known(key)).cloned().collect()
}

/// What REST and logs may show of a value.
pub(crate) fn shown(key: &ConfigKey, value: &str) -> String {
    if key.kind == ConfigType::Password { "[hidden]".to_owned() } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_plugins;

    fn config(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    async fn check(pairs: &[(&str, &str)], expected: &[&str]) {
        let plugins = Arc::new(test_plugins::plugins());
        let worker = WorkerSettings::read(&ConfigMap::new()).unwrap();
        let report = validate(&plugins, &worker, &config(pairs)).await.unwrap();
        let errors: Vec<&str> =
            report.entries.iter().flat_map(|entry| &entry.errors).map(String::as_str).collect();
        assert_eq!(errors, expected, "{pairs:?}");
    }

    #[tokio::test]
    async fn every_wrong_key_is_named_at_once_in_the_words_of_kafka_connect() {
        check(
            &[
                ("name", "x"),
                ("connector.class", "LineSource"),
                ("tasks.max", "0"),
                ("errors.tolerance", "some"),
                ("transforms", "a,b,c,c"),
                ("transforms.b.type", "Nope"),
                ("transforms.c.type", "Suffix"),
                ("value.converter", "Nope"),
            ],
            &[
                "Invalid value 0 for configuration tasks.max: Value must be at least 1",
                "Invalid value Nope for configuration value.converter: Class Nope could not be found.",
                "Invalid value [a, b, c, c] for configuration transforms: Duplicate alias provided.",
                "Invalid value some for configuration errors.tolerance: String must be one of: none, all",
                "Missing required configuration \"transforms.a.type\" which has no default value.",
                "Invalid value Nope for configuration transforms.b.type: Class Nope could not be found.",
                "Missing required configuration \"transforms.c.suffix\" which has no default value.",
                "Missing required configuration \"topic\" which has no default value.",
            ],
        )
        .await;
    }

    #[tokio::test]
    async fn sink_needs_exactly_one_way_to_name_topics() {
        let base = [("name", "x"), ("connector.class", "MemorySink")];
        let none = "Must configure one of topics or topics.regex";
        check(&base, &[none, none]).await;
        let both = "topics and topics.regex are mutually exclusive options, but both are set.";
        let with = |extra: &[(&'static str, &'static str)]| [&base[..], extra].concat();
        check(&with(&[("topics", "a"), ("topics.regex", "b")]), &[both, both]).await;
        check(
            &with(&[("topics", "a, b"), ("errors.deadletterqueue.topic.name", "b")]),
            &["The DLQ topic 'b' may not be included in the list of topics ('topics=[a, b]') consumed by the connector"],
        )
        .await;
        check(&with(&[("topics", "a")]), &[]).await;
    }

    #[tokio::test]
    async fn predicates_are_refused_rather_than_ignored() {
        check(
            &[
                ("name", "x"),
                ("connector.class", "LineSource"),
                ("topic", "t"),
                ("predicates", "p"),
                ("transforms", "c"),
                ("transforms.c.type", "Suffix"),
                ("transforms.c.suffix", "!"),
                ("transforms.c.predicate", "p"),
            ],
            &[
                "Invalid value [p] for configuration predicates: predicates are not supported",
                "Invalid value p for configuration transforms.c.predicate: predicates are not supported",
            ],
        )
        .await;
    }

    #[tokio::test]
    async fn exactly_once_that_can_not_be_had_is_refused_in_the_words_of_kafka_connect() {
        check(
            &[
                ("name", "x"),
                ("connector.class", "LineSource"),
                ("topic", "t"),
                ("exactly.once.support", "perhaps"),
                ("transaction.boundary", "connector"),
            ],
            &[
                "Invalid value perhaps for configuration exactly.once.support: String must be one of: requested, required, disabled",
                "The connector does not support connector-defined transaction boundaries with the given configuration. Please reconfigure it to use a different transaction boundary definition.",
            ],
        )
        .await;
    }

    #[tokio::test]
    async fn connector_is_asked_only_when_each_key_is_valid_by_itself() {
        let base = [("name", "x"), ("connector.class", "LineSource"), ("topic", "forbidden")];
        check(&base, &["topic forbidden is forbidden"]).await;
        let and_wrong = [&base[..], &[("tasks.max", "x")]].concat();
        check(
            &and_wrong,
            &["Invalid value x for configuration tasks.max: Not a number of type INT"],
        )
        .await;
    }

    #[tokio::test]
    async fn config_without_a_known_class_is_refused_by_its_text() {
        let plugins = Arc::new(test_plugins::plugins());
        let worker = WorkerSettings::read(&ConfigMap::new()).unwrap();
        let missing = validate(&plugins, &worker, &config(&[("name", "x")])).await.unwrap_err();
        assert_eq!(missing, "Connector config {name=x} contains no connector type");
        let unknown =
            validate(&plugins, &worker, &config(&[("connector.class", "Nope")])).await.unwrap_err();
        let expected = "Failed to find any class that implements Connector and which name matches Nope, available connectors are: PluginDesc{klass=class test.MemorySinkConnector,";
        assert!(unknown.starts_with(expected), "{unknown}");
    }

    #[tokio::test]
    async fn client_option_that_the_library_does_not_know_is_named() {
        check(
            &[
                ("name", "x"),
                ("connector.class", "LineSource"),
                ("topic", "t"),
                ("producer.override.linger.ms", "5"),
                ("producer.override.lingr.ms", "5"),
            ],
            &["producer.override: client setting refused: lingr.ms=5: No such configuration property: \"lingr.ms\""],
        )
        .await;
        check(
            &[
                ("name", "x"),
                ("connector.class", "MemorySink"),
                ("topics", "t"),
                ("consumer.override.auto.offset.reset", "sometime"),
            ],
            &["consumer.override: Invalid value sometime for configuration consumer.override.auto.offset.reset"],
        )
        .await;
    }

    #[tokio::test]
    async fn keys_that_nobody_knows_are_listed() {
        let plugins = Arc::new(test_plugins::plugins());
        let worker = WorkerSettings::read(&ConfigMap::new()).unwrap();
        let config = config(&[
            ("name", "x"),
            ("connector.class", "LineSource"),
            ("topic", "t"),
            ("tpoic", "t"),
            ("producer.override.linger.ms", "5"),
            ("tasks.max.enforce", "true"),
        ]);
        let report = validate(&plugins, &worker, &config).await.unwrap();
        assert_eq!(report.unknown, ["tpoic"]);
        assert_eq!(report.no_op.len(), 1);
    }
}
