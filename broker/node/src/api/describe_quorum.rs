//! DescribeQuorum, v0–v2: who keeps the metadata log. This node does, alone.
//!
//! Behaviour: it leads itself, and has always just been caught up with. Asked for anything but partition 0 of the metadata log,
//! alone, it knows no partition at all.
//!
//! References: KIP-595, KIP-836.

use std::borrow::Cow;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState,
    TopicData,
};

use crate::context::RequestContext;
use crate::hosting::CLUSTER_METADATA;
use crate::partition::Partition;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: DescribeQuorumRequest<'a>,
) -> DescribeQuorumResponse<'a> {
    let log = ctx.node.partitions.get(CLUSTER_METADATA, 0);
    let Some(log) = log.filter(|_| asks_for_the_log(&request)) else {
        return unknown(request);
    };
    let topics = vec![TopicData {
        topic_name: Cow::Borrowed(CLUSTER_METADATA),
        partitions: vec![quorum(ctx, &log)],
    }];
    let (host, port) = ctx.node.address_for(&ctx.peer);
    let listener = Listener {
        name: Cow::Borrowed("PLAINTEXT"),
        host: Cow::Owned(host),
        port: u16::try_from(port).unwrap_or_default(),
    };
    let nodes = vec![Node { node_id: ctx.node.settings.node_id, listeners: vec![listener] }];
    DescribeQuorumResponse {
        error_message: Some(Cow::Borrowed("")),
        topics,
        nodes,
        ..DescribeQuorumResponse::default()
    }
}

fn asks_for_the_log(request: &DescribeQuorumRequest<'_>) -> bool {
    match &*request.topics {
        [topic] if topic.topic_name == CLUSTER_METADATA => {
            matches!(&*topic.partitions, [asked] if asked.partition_index == 0)
        }
        _ => false,
    }
}

fn unknown(request: DescribeQuorumRequest<'_>) -> DescribeQuorumResponse<'_> {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| PartitionData {
            partition_index: asked.partition_index,
            error_code: ErrorCode::UnknownTopicOrPartition.code(),
            error_message: Some(Cow::Borrowed("This server does not host this topic-partition.")),
            ..PartitionData::default()
        });
        TopicData { partitions: partitions.collect(), topic_name: topic.topic_name }
    });
    DescribeQuorumResponse {
        error_message: Some(Cow::Borrowed("")),
        topics: topics.collect(),
        ..DescribeQuorumResponse::default()
    }
}

fn quorum(ctx: &RequestContext, log: &Partition) -> PartitionData<'static> {
    let node_id = ctx.node.settings.node_id;
    let offsets = log.offsets();
    let now_ms = ctx.node.clock.now_ms();
    let voter = ReplicaState {
        replica_id: node_id,
        log_end_offset: offsets.log_end,
        last_fetch_timestamp: now_ms,
        last_caught_up_timestamp: now_ms,
        ..ReplicaState::default()
    };
    PartitionData {
        leader_id: node_id,
        leader_epoch: log.leader_epoch(),
        high_watermark: offsets.high_watermark,
        current_voters: vec![voter],
        ..PartitionData::default()
    }
}
