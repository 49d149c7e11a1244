//! ElectLeaders, v0–v2: asks for another leader. This node leads every partition, so that none is ever needed.
//!
//! Behaviour: asked for all partitions, every topic is named without any, since those that need no election are left out.
//!
//! References: KIP-183, KIP-460.

use std::borrow::Cow;

use aquifer_broker_coordinator::topic::image::MetadataImage;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
    TopicPartitions,
};

use crate::context::RequestContext;

/// The first replica of the assignment shall lead.
const PREFERRED: i8 = 0;
/// Any replica may lead.
const UNCLEAN: i8 = 1;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: ElectLeadersRequest<'a>,
) -> ElectLeadersResponse<'a> {
    let image = ctx.node.hosting.image();
    let is_known_type = matches!(request.election_type, PREFERRED | UNCLEAN);
    let unknown_type = || format!("Unknown election type {}", request.election_type);
    let topics = request.topic_partitions.unwrap_or_else(|| match is_known_type {
        true => all(&image),
        false => Vec::new(),
    });
    let results = topics.into_iter().map(|asked| {
        let topic = image.topic(&asked.topic);
        let result = |partition_id: i32| {
            let (error, message) = match topic {
                _ if !is_known_type => (ErrorCode::InvalidRequest, unknown_type()),
                None => (
                    ErrorCode::UnknownTopicOrPartition,
                    format!("No such topic as {}", asked.topic),
                ),
                Some(topic) if !topic.has_partition(partition_id) => (
                    ErrorCode::UnknownTopicOrPartition,
                    format!("No such partition as {}-{partition_id}", asked.topic),
                ),
                Some(_) => (
                    ErrorCode::ElectionNotNeeded,
                    "Leader election not needed for topic partition.".to_owned(),
                ),
            };
            PartitionResult {
                partition_id,
                error_code: error.code(),
                error_message: Some(Cow::Owned(message)),
            }
        };
        let partition_result = asked.partitions.iter().copied().map(result).collect();
        ReplicaElectionResult { topic: asked.topic.clone(), partition_result }
    });
    let replica_election_results = results.collect();
    let error = if is_known_type { ErrorCode::None } else { ErrorCode::InvalidRequest };
    ElectLeadersResponse {
        error_code: error.code(),
        replica_election_results,
        ..ElectLeadersResponse::default()
    }
}

/// Every topic, without partitions.
fn all<'a>(image: &MetadataImage) -> Vec<TopicPartitions<'a>> {
    let topics = image.topics().map(|topic| TopicPartitions {
        topic: Cow::Owned(topic.name.to_string()),
        partitions: Vec::new(),
    });
    topics.collect()
}
