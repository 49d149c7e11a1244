//! InitProducerId, v0–v5: an id for an idempotent producer.
//!
//! Behaviour: each call answers an id that was never given out, with epoch 0, also to a producer that names the id it
//! has (KIP-360): without a transactional id Kafka does the same.
//! Differs: there are no transactions yet, so that a transactional id is answered INVALID_REQUEST.

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::init_producer_id::{
    InitProducerIdRequest, InitProducerIdResponse,
};

use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: InitProducerIdRequest<'_>,
) -> InitProducerIdResponse {
    let refuse = |error: ErrorCode| InitProducerIdResponse {
        error_code: error.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    };
    if request.transactional_id.is_some() {
        return refuse(ErrorCode::InvalidRequest);
    }
    match ctx.node.hosting.next_producer_id().await {
        Ok(producer_id) => {
            InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() }
        }
        Err(error) => {
            tracing::warn!(%error, "no producer id");
            refuse(ErrorCode::CoordinatorLoadInProgress)
        }
    }
}
