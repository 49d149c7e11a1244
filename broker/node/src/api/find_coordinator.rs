//! FindCoordinator, v0–v6: who coordinates a group.
//!
//! Behaviour: this node does, at the address that the client reaches it at. The topic that keeps groups is created
//! here, at the first question.
//! Differs: there are no transactions and no share groups yet, so that their keys are answered INVALID_REQUEST, with
//! the reason: clients then fail at once, where a retriable code would have them wait.
//!
//! References: KIP-699 (several keys).

use std::borrow::Cow;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

use crate::context::RequestContext;

const GROUP: i8 = 0;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: FindCoordinatorRequest<'a>,
) -> FindCoordinatorResponse<'a> {
    let found = find(ctx, request.key_type).await;
    let (error, message) = match &found {
        Ok(()) => (ErrorCode::None, None),
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
    if key_type != GROUP {
        return Err((
            ErrorCode::InvalidRequest,
            "this broker coordinates consumer groups, and nothing else yet",
        ));
    }
    let created = ctx.node.hosting.create_offsets_topic().await;
    created.map(drop).map_err(|_| {
        (ErrorCode::CoordinatorNotAvailable, "the topic that keeps groups cannot be created")
    })
}
