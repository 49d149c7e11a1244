//! CreateTopics, v0–v7: makes topics, or only checks that they could be made.
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
use aquifer_broker_coordinator::topic::image::Configs;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreatableTopicConfigs, CreatableTopicResult,
    CreateTopicsRequest, CreateTopicsResponse,
};
use futures_util::future::join_all;

use super::assignment::check_assignment;
use super::repeated::leave_firsts;

use crate::config::{self, BrokerSettings, described_topic};
use crate::context::RequestContext;
use crate::hosting::{CLUSTER_METADATA, TopicRefusal, new_topic_id};

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    mut request: CreateTopicsRequest<'a>,
) -> CreateTopicsResponse<'a> {
    let mode = if request.validate_only { RunMode::ValidateOnly } else { RunMode::Apply };
    let twice = &leave_firsts(&mut request.topics, |topic| Some(topic.name.to_string()));
    let topics = request.topics.into_iter().map(|topic| async move {
        let created = match twice.contains(&*topic.name) {
            true => Err(refusal(ErrorCode::InvalidRequest, "Duplicate topic name.")),
            false => create(ctx, &topic, mode).await,
        };
        match created {
            Ok(created) => respond(&ctx.node.hosting.live_settings(), topic.name, &created),
            Err(refusal) => CreatableTopicResult {
                name: topic.name,
                error_code: refusal.code.code(),
                error_message: Some(Cow::Owned(refusal.message)),
                configs: Some(Vec::new()),
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
    let settings = &ctx.node.hosting.live_settings();
    if *topic.name == *CLUSTER_METADATA {
        let message = format!("Creation of internal topic {CLUSTER_METADATA} is prohibited.");
        return Err(refusal(ErrorCode::InvalidRequest, message));
    }
    let name = TopicName::from(&*topic.name);
    // The machine looks again; this is for the order of the reasons.
    ctx.node.hosting.image().check_new_topic(&name)?;
    let configs = checked_configs(settings, &topic.configs)?;
    let partition_count = if topic.assignments.is_empty() {
        check_counts(settings, topic)?
    } else {
        check_assignments(settings, topic)?
    };
    let create = CreateTopic {
        name,
        topic_id: new_topic_id(),
        partition_count,
        configs,
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
             cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories \
             cordoned."
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
    let given = [
        ("replication factor", topic.replication_factor != -1),
        ("numPartitions", topic.num_partitions != -1),
    ];
    if let Some((what, _)) = given.iter().find(|(_, is_given)| *is_given) {
        let message =
            format!("A manual partition assignment was specified, but {what} was not set to -1.");
        return Err(refusal(ErrorCode::InvalidRequest, message));
    }
    for assignment in &topic.assignments {
        check_assignment(settings.node_id, &assignment.broker_ids)?;
    }
    let indexes = topic
        .assignments
        .iter()
        .map(|assignment| assignment.partition_index)
        .collect::<BTreeSet<_>>();
    let count = i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX);
    if indexes.len() != topic.assignments.len() || indexes.iter().copied().ne(0..count) {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return Err(refusal(ErrorCode::InvalidReplicaAssignment, message));
    }
    Ok(count)
}

/// A config key and its value.
type Setting = (Arc<str>, Arc<str>);

fn checked_configs(
    settings: &BrokerSettings,
    configs: &[CreatableTopicConfig<'_>],
) -> Result<Vec<Setting>, TopicRefusal> {
    let nulls = configs.iter().filter(|config| config.value.is_none());
    let nulls: Vec<&str> = nulls.map(|config| &*config.name).collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for topic configs: {}", nulls.join(","));
        return Err(refusal(ErrorCode::InvalidConfig, message));
    }
    let configs = configs.iter().map(|config| {
        (Arc::from(&*config.name), Arc::from(config.value.as_deref().unwrap_or_default()))
    });
    // The last value of a key counts.
    let configs: Configs = configs.collect();
    config::validate_topic(settings, &configs)?;
    Ok(configs.into_iter().collect())
}

fn respond<'a>(
    settings: &BrokerSettings,
    name: Cow<'a, str>,
    created: &CreatedTopic,
) -> CreatableTopicResult<'a> {
    let configs = described_topic(settings, &created.configs).map(|key| CreatableTopicConfigs {
        name: key.name,
        value: key.value.map(Cow::Owned),
        read_only: key.read_only,
        config_source: key.source as i8,
        is_sensitive: key.is_sensitive,
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
