//! AlterReplicaLogDirs, v1–v2: moves partitions to another directory. There is one, where they are already.
//!
//! Behaviour: naming that directory is well, as in Kafka where nothing has to move; any other is LOG_DIR_NOT_FOUND.
//!
//! References: KIP-113.

use std::borrow::Cow;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};

use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: AlterReplicaLogDirsRequest<'a>,
) -> AlterReplicaLogDirsResponse<'a> {
    let image = ctx.node.hosting.image();
    let mut results: Vec<AlterReplicaLogDirTopicResult<'a>> = Vec::new();
    for directory in request.dirs {
        let is_ours = std::path::Path::new(&*directory.path) == ctx.node.log_dir;
        for asked in directory.topics {
            let topic = image.topic(&asked.name);
            let partitions = asked.partitions.iter().map(|index| {
                let is_known = topic.is_some_and(|topic| topic.has_partition(*index));
                let error = match (is_ours, is_known) {
                    (false, _) => ErrorCode::LogDirNotFound,
                    (true, false) => ErrorCode::UnknownTopicOrPartition,
                    (true, true) => ErrorCode::None,
                };
                AlterReplicaLogDirPartitionResult {
                    partition_index: *index,
                    error_code: error.code(),
                }
            });
            let partitions: Vec<_> = partitions.collect();
            match results.iter_mut().find(|result| result.topic_name == asked.name) {
                Some(result) => result.partitions.extend(partitions),
                None => results.push(AlterReplicaLogDirTopicResult {
                    topic_name: Cow::Owned(asked.name.to_string()),
                    partitions,
                }),
            }
        }
    }
    AlterReplicaLogDirsResponse { results, ..AlterReplicaLogDirsResponse::default() }
}
