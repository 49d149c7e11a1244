//! InitProducerId, v0–v5: an id and epoch for an idempotent or transactional producer.
//!
//! Behaviour: without a transactional id each call answers an id that was never given out, with epoch 0, also to a
//! producer that names the id it has (KIP-360), as Kafka does. With one, whoever had it before is fenced by a higher
//! epoch, and a transaction that it left open is aborted. Before v4 a fenced producer is told INVALID_PRODUCER_EPOCH.
//! Differs: the answer waits for the markers of a transaction that has to be ended first, where Kafka answers
//! CONCURRENT_TRANSACTIONS and has the client ask again.
//!
//! References: KIP-98, KIP-360, KIP-588.

use aquifer_broker_coordinator::transaction::command::InitProducer;
use aquifer_broker_coordinator::transaction::id::TransactionalId;
use aquifer_broker_coordinator::transaction::state::Producer;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::init_producer_id::{
    InitProducerIdRequest, InitProducerIdResponse,
};

use crate::context::RequestContext;

/// The first version whose clients know PRODUCER_FENCED.
const FENCED_SINCE_VERSION: i16 = 4;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: InitProducerIdRequest<'_>,
) -> InitProducerIdResponse {
    match init(ctx, &request).await {
        Ok(producer) => InitProducerIdResponse {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            ..InitProducerIdResponse::default()
        },
        Err(error) => {
            let error = match error {
                ErrorCode::ProducerFenced if ctx.api_version < FENCED_SINCE_VERSION => {
                    ErrorCode::InvalidProducerEpoch
                }
                error => error,
            };
            InitProducerIdResponse {
                error_code: error.code(),
                producer_id: -1,
                producer_epoch: -1,
                ..InitProducerIdResponse::default()
            }
        }
    }
}

async fn init(
    ctx: &RequestContext,
    request: &InitProducerIdRequest<'_>,
) -> Result<Producer, ErrorCode> {
    let expected = match (request.producer_id, request.producer_epoch) {
        (-1, -1) => None,
        (-1, _) | (_, -1) => return Err(ErrorCode::InvalidRequest),
        (id, epoch) => Some(Producer { id, epoch }),
    };
    let Some(transactional_id) = &request.transactional_id else {
        let id = ctx.node.hosting.next_producer_id().await.map_err(|error| {
            tracing::warn!(%error, "no producer id");
            ErrorCode::CoordinatorLoadInProgress
        })?;
        return Ok(Producer { id, epoch: 0 });
    };
    let init = InitProducer {
        transactional_id: TransactionalId::from(&**transactional_id),
        timeout_ms: request.transaction_timeout_ms,
        expected,
        fresh_producer_id: None,
    };
    ctx.node.hosting.init_producer(init).await
}
