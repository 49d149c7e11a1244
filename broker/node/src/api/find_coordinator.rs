//! FindCoordinator, v0–v6: who coordinates a group, or the transactions of a transactional id.
//!
//! Behaviour: this node does, at the address that the client reaches it at. The topic that keeps groups, or
//! transactions, is created here, at the first question.
//! Differs: there are no share groups yet, so that their keys are answered INVALID_REQUEST, with the reason: clients then
//! fail at once, where a retriable code would have them wait.
//!
//! References: KIP-699 (several keys).

use std::borrow::Cow;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

use crate::context::RequestContext;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: FindCoordinatorRequest<'a>,
) -> FindCoordinatorResponse<'a> {
    let found = find(ctx, request.key_type).await;
    let (error, message) = match &found {
        // What Kafka says for "nothing": the code's name, and since v4 nothing.
        Ok(()) => {
            let message = if ctx.api_version < 4 { "NONE" } else { "" };
            (ErrorCode::None, Some(Cow::Borrowed(message)))
        }
        Err((code, message)) => (*code, Some(Cow::Borrowed(*message))),
    };
    let (node_id, (host, port)) = match error {
        ErrorCode::None => (ctx.node.settings.node_id, ctx.node.address_for(&ctx.peer)),
        _ => (-1, (String::new(), -1)),
    };
    if ctx.api_version < 4 {
        return FindCoordinatorResponse {
            error_code: error.code(),
            error_message: message,
            node_id,
            host: Cow::Owned(host),
            port,
            ..FindCoordinatorResponse::default()
        };
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| Coordinator {
        key,
        node_id,
        host: Cow::Owned(host.clone()),
        port,
        error_code: error.code(),
        error_message: message.clone(),
    });
    FindCoordinatorResponse {
        coordinators: coordinators.collect(),
        ..FindCoordinatorResponse::default()
    }
}

async fn find(ctx: &RequestContext, key_type: i8) -> Result<(), (ErrorCode, &'static str)> {
    let hosting = &ctx.node.hosting;
    let (created, reason) = match key_type {
        GROUP => {
            let created = hosting.create_offsets_topic().await;
            (created, "the topic that keeps groups cannot be created")
        }
        TRANSACTION => {
            let created = hosting.create_transaction_topic().await;
            (created, "the topic that keeps transactions cannot be created")
        }
        _ => {
            return Err((
                ErrorCode::InvalidRequest,
                "this broker coordinates consumer groups and transactions, and nothing else yet",
            ));
        }
    };
    created.map(drop).map_err(|_| (ErrorCode::CoordinatorNotAvailable, reason))
}
