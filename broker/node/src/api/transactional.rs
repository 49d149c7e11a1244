//! What the handlers of transactional requests have in common: codes that older clients don't know.

use aquifer_broker_coordinator::transaction::state::ClientVersion;
use aquifer_broker_protocol::ErrorCode;

use crate::context::RequestContext;

/// The code for AddPartitionsToTxn, AddOffsetsToTxn and EndTxn: PRODUCER_FENCED is known since their v2.
pub(super) fn fenced_before_v2(ctx: &RequestContext, error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced if ctx.api_version < 2 => ErrorCode::InvalidProducerEpoch,
        error => error,
    }
}

/// The code for Produce and TxnOffsetCommit, where the coordinator does not let a producer append. Their clients
/// retry only what they know of, and take a lower epoch for the sign of being fenced.
pub(super) fn append_code(error: ErrorCode, client: ClientVersion) -> ErrorCode {
    match (error, client) {
        (ErrorCode::ProducerFenced, _) => ErrorCode::InvalidProducerEpoch,
        (ErrorCode::ConcurrentTransactions, ClientVersion::V1)
        | (
            ErrorCode::NotCoordinator
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable,
            _,
        ) => ErrorCode::NotEnoughReplicas,
        (error, _) => error,
    }
}
