//! OffsetForLeaderEpoch, v0–v4: where the records of a leader epoch end, so that a client notices a log that was cut.
//!
//! Behaviour: an epoch that the log never had is answered with -1 and -1; a current leader epoch that is not ours fences.

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};

use super::target;
use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: OffsetForLeaderEpochRequest<'a>,
) -> OffsetForLeaderEpochResponse<'a> {
    let topics = request.topics.into_iter().map(|topic| OffsetForLeaderTopicResult {
        partitions: topic.partitions.iter().map(|asked| answer(ctx, &topic.topic, asked)).collect(),
        topic: topic.topic,
    });
    OffsetForLeaderEpochResponse {
        topics: topics.collect(),
        ..OffsetForLeaderEpochResponse::default()
    }
}

fn answer(ctx: &RequestContext, topic: &str, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let found = target::partition_by_name(ctx, topic, asked.partition).and_then(|partition| {
        target::check_leader_epoch(&partition, asked.current_leader_epoch)?;
        target::end_of_epoch(&partition, asked.leader_epoch)
    });
    let (error_code, leader_epoch, end_offset) = match found {
        Ok((epoch, end)) => (ErrorCode::None, epoch, end),
        Err(error) => (error, -1, -1),
    };
    EpochEndOffset {
        error_code: error_code.code(),
        partition: asked.partition,
        leader_epoch,
        end_offset,
    }
}
