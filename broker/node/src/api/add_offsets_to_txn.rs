//! AddOffsetsToTxn, v0–v4: a producer is about to commit offsets of a group in its transaction.
//!
//! Behaviour: adds the partition of `__consumer_offsets` that keeps the group. Clients of transaction version 2 don't
//! send it: TxnOffsetCommit v5 adds the partition itself.
//!
//! References: KIP-98.

use aquifer_broker_coordinator::transaction::command::AddPartitions;
use aquifer_broker_coordinator::transaction::id::TransactionalId;
use aquifer_broker_coordinator::transaction::state::{ClientVersion, Producer};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::add_offsets_to_txn::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse,
};

use super::transactional::fenced_before_v2;
use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: AddOffsetsToTxnRequest<'_>,
) -> AddOffsetsToTxnResponse {
    let error = add(ctx, &request).await.err().unwrap_or(ErrorCode::None);
    AddOffsetsToTxnResponse {
        error_code: fenced_before_v2(ctx, error).code(),
        ..AddOffsetsToTxnResponse::default()
    }
}

async fn add(ctx: &RequestContext, request: &AddOffsetsToTxnRequest<'_>) -> Result<(), ErrorCode> {
    let hosting = &ctx.node.hosting;
    let partition = hosting.offsets_partition(&request.group_id).await?;
    let add = AddPartitions {
        transactional_id: TransactionalId::from(&*request.transactional_id),
        producer: Producer { id: request.producer_id, epoch: request.producer_epoch },
        partitions: vec![partition],
        client: ClientVersion::V1,
    };
    hosting.add_partitions(add).await
}
