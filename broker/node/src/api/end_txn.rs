//! EndTxn, v0–v5: commits or aborts a producer's transaction.
//!
//! Behaviour: answered when the markers are durable in every partition, so that the next transaction finds nothing of
//! this one in its way. A request that is repeated gets the answer of the first; since v5 (KIP-890) the epoch rises
//! with each transaction and the answer says with whom to go on, so that a late request can't end the next one.
//! Before v2 a fenced producer is told INVALID_PRODUCER_EPOCH.
//! Differs: Kafka answers before the markers are written.
//!
//! References: KIP-98, KIP-890.

use aquifer_broker_coordinator::transaction::command::EndTransaction;
use aquifer_broker_coordinator::transaction::id::TransactionalId;
use aquifer_broker_coordinator::transaction::state::{ClientVersion, Outcome, Producer};
use aquifer_broker_protocol::message::end_txn::{EndTxnRequest, EndTxnResponse};

use super::transactional::fenced_before_v2;
use crate::context::RequestContext;

/// The first version of clients whose epoch rises with each transaction.
const EPOCH_RISES_SINCE_VERSION: i16 = 5;

/// Answers the request.
pub(crate) async fn handle(ctx: &RequestContext, request: EndTxnRequest<'_>) -> EndTxnResponse {
    let end = EndTransaction {
        transactional_id: TransactionalId::from(&*request.transactional_id),
        producer: Producer { id: request.producer_id, epoch: request.producer_epoch },
        outcome: if request.committed { Outcome::Commit } else { Outcome::Abort },
        client: if ctx.api_version >= EPOCH_RISES_SINCE_VERSION {
            ClientVersion::V2
        } else {
            ClientVersion::V1
        },
        fresh_producer_id: None,
    };
    match ctx.node.hosting.end_transaction(end).await {
        Ok(producer) => EndTxnResponse {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            ..EndTxnResponse::default()
        },
        Err(error) => EndTxnResponse {
            error_code: fenced_before_v2(ctx, error).code(),
            ..EndTxnResponse::default()
        },
    }
}
