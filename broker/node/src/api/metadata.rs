//! Metadata, v0–v13: the brokers, and topics with their partitions.
//!
//! Behaviour: no list means all topics (in v0 an empty one does); a topic that is missing is created where the client and
//! `auto.create.topics.enable` allow it, and is answered at once. From v12 a topic can be asked for by its id.
//! Differs: the address is the one the client connected to, unless `advertised.listeners` says another.
//!
//! References: KIP-430, KIP-516, KIP-1102.

use std::borrow::Cow;

use aquifer_broker_coordinator::topic::image::{MetadataImage, TopicImage};
use aquifer_broker_coordinator::topic::validate_topic_name;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use aquifer_broker_protocol::primitive::Uuid;

use super::operations;
use super::target::leader_epoch;
use crate::context::RequestContext;

/// The first version in which a topic may be asked for by its id.
const IDS_SINCE_VERSION: i16 = 12;
/// The first version in which a client may forbid that topics are created.
const CREATION_CHOICE_SINCE_VERSION: i16 = 4;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: MetadataRequest<'a>,
) -> MetadataResponse<'a> {
    if let Some(asked) = &request.topics
        && let Some(error) = refusal_of(ctx.api_version, asked)
    {
        return refused(asked, error);
    }
    let topics = match &request.topics {
        None => all_topics(ctx, &request),
        Some(topics) if topics.is_empty() && ctx.api_version == 0 => all_topics(ctx, &request),
        Some(asked) => {
            let mut topics = Vec::with_capacity(asked.len());
            for topic in asked {
                topics.push(one_topic(ctx, &request, topic).await);
            }
            topics
        }
    };
    let node = &ctx.node;
    let (host, port) = node.address_for(&ctx.peer);
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: node.settings.node_id,
            host: Cow::Owned(host),
            port,
            rack: node.settings.broker_rack.clone().map(Cow::Owned),
        }],
        cluster_id: Some(Cow::Owned(node.cluster_id.clone())),
        controller_id: node.settings.node_id,
        topics,
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            operations::CLUSTER
        } else {
            operations::NOT_ASKED
        },
        ..MetadataResponse::default()
    }
}

/// Why a request fails as a whole, if it does: ids came with v12, and something has to be named.
fn refusal_of(version: i16, asked: &[MetadataRequestTopic<'_>]) -> Option<ErrorCode> {
    let by_id = asked.iter().any(|topic| !topic.topic_id.is_zero());
    let without_name = asked.iter().any(|topic| topic.name.is_none());
    if version < IDS_SINCE_VERSION {
        (by_id || without_name).then_some(ErrorCode::InvalidRequest)
    } else {
        (without_name && !by_id).then_some(ErrorCode::UnknownServerError)
    }
}

/// The answer to a request that failed: it tells of nothing but the failure.
fn refused<'a>(asked: &[MetadataRequestTopic<'a>], error: ErrorCode) -> MetadataResponse<'a> {
    let topics = asked.iter().map(|topic| MetadataResponseTopic {
        name: Some(topic.name.clone().unwrap_or_default()),
        ..missing(topic, error)
    });
    MetadataResponse {
        topics: topics.collect(),
        error_code: error.code(),
        ..MetadataResponse::default()
    }
}

fn all_topics<'a>(
    ctx: &RequestContext,
    request: &MetadataRequest<'_>,
) -> Vec<MetadataResponseTopic<'a>> {
    let image = ctx.node.hosting.image();
    image.topics().map(|topic| found(ctx, request, &image, topic)).collect()
}

async fn one_topic<'a>(
    ctx: &RequestContext,
    request: &MetadataRequest<'a>,
    asked: &MetadataRequestTopic<'a>,
) -> MetadataResponseTopic<'a> {
    let by_id = asked.topic_id != Uuid::ZERO;
    let name = match &asked.name {
        // The Java client sends an empty name along with an id, other clients none.
        Some(name) if !by_id => name,
        Some(_) | None => {
            let image = ctx.node.hosting.image();
            return match image.topic_by_id(&asked.topic_id) {
                Some(topic) => found(ctx, request, &image, topic),
                None => MetadataResponseTopic {
                    name: None,
                    ..missing(asked, ErrorCode::UnknownTopicId)
                },
            };
        }
    };
    let image = ctx.node.hosting.image();
    if let Some(topic) = image.topic(name) {
        return found(ctx, request, &image, topic);
    }
    if let Err(error) = validate_topic_name(name) {
        return missing(asked, error.code());
    }
    let client_allows =
        ctx.api_version < CREATION_CHOICE_SINCE_VERSION || request.allow_auto_topic_creation;
    if !client_allows || !ctx.node.settings.auto_create_topics_enable {
        return missing(asked, ErrorCode::UnknownTopicOrPartition);
    }
    match ctx.node.hosting.ensure_topic(name).await {
        Ok(topic) => found(ctx, request, &ctx.node.hosting.image(), &topic),
        Err(refusal) => {
            tracing::info!(topic = %name, reason = %refusal.message, "topic not created at first use");
            missing(asked, refusal.code)
        }
    }
}

fn missing<'a>(asked: &MetadataRequestTopic<'a>, error: ErrorCode) -> MetadataResponseTopic<'a> {
    MetadataResponseTopic {
        error_code: error.code(),
        name: asked.name.clone(),
        topic_id: asked.topic_id,
        topic_authorized_operations: operations::NOT_ASKED,
        ..MetadataResponseTopic::default()
    }
}

fn found<'a>(
    ctx: &RequestContext,
    request: &MetadataRequest<'_>,
    image: &MetadataImage,
    topic: &TopicImage,
) -> MetadataResponseTopic<'a> {
    let node_id = ctx.node.settings.node_id;
    let partitions = topic.partitions.iter().map(|partition| MetadataResponsePartition {
        partition_index: partition.index,
        leader_id: partition.leader,
        leader_epoch: leader_epoch(ctx, image, topic, partition),
        replica_nodes: vec![node_id],
        isr_nodes: vec![node_id],
        ..MetadataResponsePartition::default()
    });
    MetadataResponseTopic {
        name: Some(Cow::Owned(topic.name.to_string())),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions: partitions.collect(),
        topic_authorized_operations: if request.include_topic_authorized_operations {
            operations::TOPIC
        } else {
            operations::NOT_ASKED
        },
        ..MetadataResponseTopic::default()
    }
}
