//! What a sink task needs before its loop: its consumer, and its dead letters.

use std::time::Duration;

use aquifer_broker_client::{
    Assignor, GroupConsumer, GroupConsumerSettings, Isolation, NewTopic, OffsetReset, Producer,
    ProducerSettings, Subscription,
};
use aquifer_connect_api::ConnectError;
use aquifer_connect_api::config::ConfigMap;

use crate::config::client;
use crate::config::worker::WorkerSettings;
use crate::dead_letter::DeadLetters;
use crate::error::of_client;
use crate::task::TaskRun;

/// After a crash, the partitions of the lost members wait this long: less than Kafka's 45 s, as members are in one process with their
/// heartbeats and are not held up by a collector. `consumer.override.session.timeout.ms` chooses another.
const SESSION_TIMEOUT_MS: u32 = 10_000;
/// How soon a topic that is created later is met.
const TOPIC_REFRESH: Duration = Duration::from_secs(2);

/// The consumer group of a sink connector.
pub(crate) fn group_id(connector: &str, config: &ConfigMap) -> String {
    let own = config.get("consumer.override.group.id");
    own.cloned().unwrap_or_else(|| format!("connect-{connector}"))
}

/// The consumer of a task, subscribed.
pub(super) fn consumer(run: &TaskRun) -> Result<GroupConsumer, ConnectError> {
    let subscription = match &run.settings.topics_regex {
        Some(pattern) => Subscription::Pattern(pattern.clone()),
        None => Subscription::Topics(run.settings.topics.clone()),
    };
    let group = group_id(&run.id.connector, &run.spec.connector);
    let settings =
        consumer_settings(group, subscription, &run.context.settings, &run.spec.connector)?;
    GroupConsumer::new(&run.client("consumer"), settings)
        .map_err(|error| of_client("consumer", error))
}

fn consumer_settings(
    group: String,
    subscription: Subscription,
    worker: &WorkerSettings,
    config: &ConfigMap,
) -> Result<GroupConsumerSettings, ConnectError> {
    let mut settings = GroupConsumerSettings::new(group, subscription);
    settings.session_timeout_ms = SESSION_TIMEOUT_MS;
    let mut overrides = client::overrides(&worker.map, "consumer.");
    overrides.extend(client::overrides(config, "consumer.override."));
    apply_overrides(&mut settings, overrides)?;
    Ok(settings)
}

/// What is wrong with a connector's consumer options, before a consumer is made with them.
pub(crate) fn check_overrides(worker: &WorkerSettings, config: &ConfigMap) -> Result<(), String> {
    let nothing = Subscription::Topics(Vec::new());
    let settings = consumer_settings(String::new(), nothing, worker, config);
    let settings = settings.map_err(|error| error.to_string())?;
    client::check(settings.overrides)
}

/// Those that the consumer has a setting for become one; the rest are passed on.
fn apply_overrides(
    settings: &mut GroupConsumerSettings,
    mut overrides: Vec<(String, String)>,
) -> Result<(), ConnectError> {
    client::take(&mut overrides, "group.id");
    settings.group_instance_id = client::take(&mut overrides, "group.instance.id");
    if let Some(reset) = client::take(&mut overrides, "auto.offset.reset") {
        settings.offset_reset = match reset.as_str() {
            "earliest" => OffsetReset::Earliest,
            "latest" => OffsetReset::Latest,
            "none" => OffsetReset::Error,
            other => return Err(refused("auto.offset.reset", other)),
        };
    }
    if let Some(level) = client::take(&mut overrides, "isolation.level") {
        settings.isolation = match level.as_str() {
            "read_committed" => Isolation::Committed,
            "read_uncommitted" => Isolation::Uncommitted,
            other => return Err(refused("isolation.level", other)),
        };
    }
    if let Some(strategy) = client::take(&mut overrides, "partition.assignment.strategy") {
        let simple = strategy.rsplit('.').next().unwrap_or_default();
        settings.assignor = match simple {
            "RangeAssignor" | "range" => Assignor::Range,
            "RoundRobinAssignor" | "roundrobin" => Assignor::RoundRobin,
            "CooperativeStickyAssignor" | "StickyAssignor" | "cooperative-sticky" => {
                Assignor::CooperativeSticky
            }
            _ => return Err(refused("partition.assignment.strategy", &strategy)),
        };
    }
    if let Some(count) = client::take(&mut overrides, "max.poll.records") {
        let parsed = count.trim().parse::<usize>().ok().filter(|count| *count > 0);
        settings.poll_records_max = parsed.ok_or_else(|| refused("max.poll.records", &count))?;
    }
    for (key, target) in [
        ("session.timeout.ms", &mut settings.session_timeout_ms),
        ("max.poll.interval.ms", &mut settings.max_poll_interval_ms),
    ] {
        if let Some(text) = client::take(&mut overrides, key) {
            *target = text.trim().parse().map_err(|_| refused(key, &text))?;
        }
    }
    let refresh = TOPIC_REFRESH.as_millis().to_string();
    overrides.insert(0, ("topic.metadata.refresh.interval.ms".to_owned(), refresh));
    settings.overrides = overrides;
    Ok(())
}

fn refused(key: &str, value: &str) -> ConnectError {
    ConnectError::config(format!("Invalid value {value} for configuration consumer.override.{key}"))
}

/// Where the task's unusable records go; their topic is created where it is missing.
pub(super) async fn dead_letters(
    run: &TaskRun,
    class: String,
) -> Result<DeadLetters, ConnectError> {
    let settings = &run.settings;
    let mut topic = None;
    if let Some(name) = settings.dead_letter_topic.as_ref().filter(|_| settings.tolerate_all) {
        let new = NewTopic {
            name: name.clone(),
            partitions: 1,
            replication: settings.dead_letter_replication,
            configs: Vec::new(),
        };
        let ensured = run.context.admin.ensure_topic(&new).await;
        ensured.map_err(|error| of_client(&format!("create dead letter topic {name}"), error))?;
        let mut overrides = client::overrides(&run.context.settings.map, "producer.");
        overrides.extend(client::overrides(&run.spec.connector, "producer.override."));
        let own = ProducerSettings { overrides, ..ProducerSettings::default() };
        let producer = Producer::new(&run.client("dlq-producer"), &own)
            .map_err(|error| of_client("dead letter producer", error))?;
        topic = Some((name.clone(), producer));
    }
    Ok(DeadLetters {
        id: run.id.clone(),
        class,
        tolerate_all: settings.tolerate_all,
        log: settings.log_errors,
        context_headers: settings.dead_letter_headers,
        topic,
    })
}
