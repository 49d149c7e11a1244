//! CreateTopics, v2–v7: makes topics, or only checks that they could be made.
//!
//! Behaviour: -1 stands for the broker's default; since v5 the answer lists every config with where it comes from,
//! since v7 the topic's id. Topics are made one by one: one that is refused does not keep the others back.
//! Differs: there is one node, so that a replication factor other than 1 is refused, unless
//! `dev.lenient.replication=true`; `timeout_ms` is not used.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use aquifer_broker_coordinator::group::id::TopicName;
use aquifer_broker_coordinator::topic::command::{CreateTopic, CreatedTopic, Existing, RunMode};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicConfigs,
    CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use futures_util::future::join_all;

use crate::config::{self, BrokerSettings, Scope};
use crate::context::RequestContext;
use crate::hosting::{TopicRefusal, new_topic_id};

/// Where a config's value comes from, as the response numbers it.
const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: CreateTopicsRequest<'a>,
) -> CreateTopicsResponse<'a> {
    let mode = if request.validate_only { RunMode::ValidateOnly } else { RunMode::Apply };
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for topic in &request.topics {
        if !seen.insert(&*topic.name) {
            twice.insert(topic.name.to_string());
        }
    }
    let twice = &twice;
    let topics = request.topics.into_iter().map(|topic| async move {
        let created = match twice.contains(&*topic.name) {
            true => Err(refusal(ErrorCode::InvalidRequest, "Duplicate topic name.")),
            false => create(ctx, &topic, mode).await,
        };
        match created {
            Ok(created) => respond(&ctx.node.settings, topic.name, &created),
            Err(refusal) => CreatableTopicResult {
                name: topic.name,
                error_code: refusal.code.code(),
                error_message: Some(Cow::Owned(refusal.message)),
                ..CreatableTopicResult::default()
            },
        }
    });
    CreateTopicsResponse { topics: join_all(topics).await, ..CreateTopicsResponse::default() }
}

async fn create(
    ctx: &RequestContext,
    topic: &CreatableTopic<'_>,
    mode: RunMode,
) -> Result<CreatedTopic, TopicRefusal> {
    let settings = &ctx.node.settings;
    let partition_count = if topic.assignments.is_empty() {
        check_counts(settings, topic)?
    } else {
        check_assignments(settings, topic)?
    };
    let create = CreateTopic {
        name: TopicName::from(&*topic.name),
        topic_id: new_topic_id(),
        partition_count,
        configs: checked_configs(&topic.configs)?,
        mode,
        existing: Existing::IsAnError,
    };
    ctx.node.hosting.create_topic(create).await
}

fn check_counts(
    settings: &BrokerSettings,
    topic: &CreatableTopic<'_>,
) -> Result<i32, TopicRefusal> {
    let replication = match topic.replication_factor {
        -1 => settings.default_replication_factor,
        given => i32::from(given),
    };
    if replication < 1 {
        let message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err(refusal(ErrorCode::InvalidReplicationFactor, message));
    }
    if replication > 1 && !settings.dev_lenient_replication {
        let message = format!(
            "Unable to replicate the partition {replication} time(s): The target replication factor of {replication} \
             cannot be reached because only 1 broker(s) are registered."
        );
        return Err(refusal(ErrorCode::InvalidReplicationFactor, message));
    }
    Ok(if topic.num_partitions == -1 { settings.num_partitions } else { topic.num_partitions })
}

/// A manual assignment may name this node alone, and the partitions from 0 on without gaps.
fn check_assignments(
    settings: &BrokerSettings,
    topic: &CreatableTopic<'_>,
) -> Result<i32, TopicRefusal> {
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let message = "A manual partition assignment was specified, but numPartitions or replicationFactor was not set to -1.";
        return Err(refusal(ErrorCode::InvalidRequest, message));
    }
    let is_ours =
        |assignment: &CreatableReplicaAssignment| assignment.broker_ids == [settings.node_id];
    if let Some(other) = topic.assignments.iter().find(|assignment| !is_ours(assignment)) {
        let message = format!(
            "The manual partition assignment of partition {} is {:?}, but the only broker is {}.",
            other.partition_index, other.broker_ids, settings.node_id
        );
        return Err(refusal(ErrorCode::InvalidReplicaAssignment, message));
    }
    let indexes = topic
        .assignments
        .iter()
        .map(|assignment| assignment.partition_index)
        .collect::<BTreeSet<_>>();
    let count = i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX);
    if indexes.len() != topic.assignments.len() || indexes.iter().copied().ne(0..count) {
        let message =
            "The partitions of a manual assignment must be a consecutive 0-based integer sequence.";
        return Err(refusal(ErrorCode::InvalidReplicaAssignment, message));
    }
    Ok(count)
}

/// A config key and its value.
type Setting = (Arc<str>, Arc<str>);

fn checked_configs(configs: &[CreatableTopicConfig<'_>]) -> Result<Vec<Setting>, TopicRefusal> {
    let checked = configs.iter().map(|config| {
        let Some(value) = config.value.as_deref() else {
            let message = format!("Null value not supported for topic configs: {}", config.name);
            return Err(refusal(ErrorCode::InvalidConfig, message));
        };
        let valid = config::validate_topic_value(&config.name, value);
        valid.map_err(|error| refusal(ErrorCode::InvalidConfig, error.to_string()))?;
        Ok((Arc::from(&*config.name), Arc::from(value)))
    });
    checked.collect()
}

fn respond<'a>(
    settings: &BrokerSettings,
    name: Cow<'a, str>,
    created: &CreatedTopic,
) -> CreatableTopicResult<'a> {
    let configs = config::keys(Scope::Topic).iter().map(|key| {
        let own = created.configs.get(key.name).map(|value| value.to_string());
        let is_static =
            key.synonyms.iter().any(|synonym| settings.set_value(synonym.broker_key).is_some());
        let config_source = match &own {
            Some(_) => SOURCE_TOPIC,
            None if is_static => SOURCE_STATIC_BROKER,
            None => SOURCE_DEFAULT,
        };
        CreatableTopicConfigs {
            name: Cow::Borrowed(key.name),
            value: own.or_else(|| settings.topic_default(key)).map(Cow::Owned),
            read_only: false,
            config_source,
            is_sensitive: false,
        }
    });
    CreatableTopicResult {
        name,
        topic_id: created.topic_id,
        num_partitions: created.partition_count,
        replication_factor: 1,
        configs: Some(configs.collect()),
        ..CreatableTopicResult::default()
    }
}

fn refusal(code: ErrorCode, message: impl Into<String>) -> TopicRefusal {
    TopicRefusal { code, message: message.into() }
}
