//! TxnOffsetCommit, v0–v5: offsets of a group that count once the producer's transaction is committed.
//!
//! Behaviour: the producer's transaction must be open and cover the group's partition of `__consumer_offsets`: by
//! AddOffsetsToTxn, or since v5 by this request itself (KIP-890). Since v3 the member and its generation must be the
//! group's current ones (KIP-447). Answered when durable; until the transaction ends, an OffsetFetch that asks for
//! stable offsets is told UNSTABLE_OFFSET_COMMIT. A topic or partition that does not exist gets its own error.
//!
//! References: KIP-98, KIP-447, KIP-890.

use std::sync::Arc;

use aquifer_broker_coordinator::group::command::{
    CommitInTransaction, CommitOffsets, GroupCommand, GroupReply, OffsetToCommit,
};
use aquifer_broker_coordinator::group::id::{GroupId, InstanceId, MemberId};
use aquifer_broker_coordinator::topic::image::MetadataImage;
use aquifer_broker_coordinator::transaction::state::{ClientVersion, Producer};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

use super::transactional::append_code;
use crate::context::RequestContext;
use crate::hosting::{NotInTransaction, code_of};

/// The first version whose clients know TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE_VERSION: i16 = 4;
/// The first version that adds the group's partition to the transaction.
const ADDS_SINCE_VERSION: i16 = 5;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: TxnOffsetCommitRequest<'a>,
) -> TxnOffsetCommitResponse<'a> {
    let image = ctx.node.hosting.image();
    let mut offsets = Vec::new();
    let mut checked = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let results = topic.partitions.iter().map(|partition| {
            let offset = offset_of(&image, &topic.name, partition);
            (partition.partition_index, offset.map(|offset| offsets.push(offset)))
        });
        checked.push(results.collect::<Vec<_>>());
    }
    let count = offsets.len();
    let committed = if count == 0 { Ok(Vec::new()) } else { commit(ctx, &request, offsets).await };
    let mut committed = committed.unwrap_or_else(|error| vec![Err(error); count]).into_iter();
    let topics = request.topics.into_iter().zip(checked).map(|(topic, checked)| {
        // What was refused above was not sent on; the results of the others come in the order of the request.
        let partitions = checked.into_iter().map(|(partition_index, result)| {
            let result = result
                .and_then(|()| committed.next().unwrap_or(Err(ErrorCode::UnknownServerError)));
            TxnOffsetCommitResponsePartition { partition_index, error_code: code_of(&result) }
        });
        TxnOffsetCommitResponseTopic { name: topic.name, partitions: partitions.collect() }
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..TxnOffsetCommitResponse::default() }
}

fn offset_of(
    image: &MetadataImage,
    topic: &str,
    asked: &TxnOffsetCommitRequestPartition<'_>,
) -> Result<OffsetToCommit, ErrorCode> {
    let known = image.topic(topic).filter(|topic| topic.has_partition(asked.partition_index));
    let known = known.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    Ok(OffsetToCommit {
        topic: known.name.clone(),
        partition: asked.partition_index,
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata: Arc::from(asked.committed_metadata.as_deref().unwrap_or_default()),
    })
}

/// One result per offset, in order.
async fn commit(
    ctx: &RequestContext,
    request: &TxnOffsetCommitRequest<'_>,
    offsets: Vec<OffsetToCommit>,
) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
    let hosting = &ctx.node.hosting;
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let client =
        if ctx.api_version >= ADDS_SINCE_VERSION { ClientVersion::V2 } else { ClientVersion::V1 };
    let partition = hosting.offsets_partition(&request.group_id).await?;
    let entered =
        hosting.enter_transaction(&request.transactional_id, producer, &[partition], client).await;
    let entered = entered.map_err(|refusal| match refusal {
        NotInTransaction::Refused(error) => append_code(error, client),
        NotInTransaction::NotCovered(_) if ctx.api_version >= ABORTABLE_SINCE_VERSION => {
            ErrorCode::TransactionAbortable
        }
        NotInTransaction::NotCovered(_) => ErrorCode::InvalidTxnState,
    })?;
    let group_id = GroupId::from(&*request.group_id);
    let commit = CommitOffsets {
        group_id: group_id.clone(),
        generation: request.generation_id,
        member_id: MemberId::from(&*request.member_id),
        instance_id: request.group_instance_id.as_deref().map(InstanceId::from),
        knows_member_epochs: true,
        offsets,
    };
    let command = GroupCommand::CommitInTransaction(CommitInTransaction { producer, commit });
    let reply = hosting.ask_group(&group_id, command).await;
    // The marker may be written only after the offsets.
    drop(entered);
    match reply {
        Ok(GroupReply::Commit(results)) => results,
        Ok(_) => Err(ErrorCode::UnknownServerError),
        Err(error) => Err(error.group_code()),
    }
}
