//! IncrementalAlterConfigs, v0–v1: sets, unsets, extends or shortens configs of a topic, broker or group, key by key (KIP-339).
//!
//! Behaviour: one resource that is refused does not keep the others back; only lists can be extended and shortened.
//! Differs: only the broker keys that can change here may be set at run time; loggers and client metrics have none.

use std::borrow::Cow;

use aquifer_broker_coordinator::topic::command::RunMode;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use futures_util::future::join_all;

use super::config_change::{Change, Operation, Unnamed, change_configs, named_twice, refuse_twice};
use crate::context::RequestContext;
use crate::hosting::TopicRefusal;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: IncrementalAlterConfigsRequest<'a>,
) -> IncrementalAlterConfigsResponse<'a> {
    let mode = if request.validate_only { RunMode::ValidateOnly } else { RunMode::Apply };
    let resources = request.resources.iter();
    let twice = &named_twice(resources.map(|known| (known.resource_type, &*known.resource_name)));
    let responses = request.resources.into_iter().map(|resource| async move {
        let key = (resource.resource_type, resource.resource_name.to_string());
        let refusal = match twice.contains(&key) {
            true => Some(refuse_twice()),
            false => alter(ctx, &resource, mode).await.err(),
        };
        AlterConfigsResourceResponse {
            error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code(),
            error_message: refusal.map(|refusal| Cow::Owned(refusal.message)),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        }
    });
    IncrementalAlterConfigsResponse {
        responses: join_all(responses).await,
        ..IncrementalAlterConfigsResponse::default()
    }
}

async fn alter(
    ctx: &RequestContext,
    resource: &AlterConfigsResource<'_>,
    mode: RunMode,
) -> Result<(), TopicRefusal> {
    let changes: Vec<_> = resource
        .configs
        .iter()
        .map(|config| Change {
            name: Cow::Borrowed(&*config.name),
            operation: Operation::from_number(config.config_operation),
            value: config.value.as_deref().map(Cow::Borrowed),
        })
        .collect();
    let name = (resource.resource_type, &*resource.resource_name);
    change_configs(ctx, name, &changes, Unnamed::Stay, mode).await
}
