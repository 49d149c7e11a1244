//! AlterConfigs, v0–v2: sets all configs of a topic; what is not named goes back to its default.
//!
//! Behaviour: one resource that is refused does not keep the others back.
//! Differs: broker keys are read at start and can't be changed by a request; other resources have no configs here.

use std::borrow::Cow;
use std::sync::Arc;

use aquifer_broker_coordinator::group::id::TopicName;
use aquifer_broker_coordinator::topic::command::{AlterConfigs, ConfigChange, RunMode};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use futures_util::future::join_all;

use crate::config;
use crate::context::RequestContext;
use crate::hosting::TopicRefusal;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: AlterConfigsRequest<'a>,
) -> AlterConfigsResponse<'a> {
    let mode = if request.validate_only { RunMode::ValidateOnly } else { RunMode::Apply };
    let responses = request.resources.into_iter().map(|resource| async move {
        let refusal = alter(ctx, &resource, mode).await.err();
        AlterConfigsResourceResponse {
            error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code(),
            error_message: refusal.map(|refusal| Cow::Owned(refusal.message)),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        }
    });
    AlterConfigsResponse { responses: join_all(responses).await, ..AlterConfigsResponse::default() }
}

async fn alter(
    ctx: &RequestContext,
    resource: &AlterConfigsResource<'_>,
    mode: RunMode,
) -> Result<(), TopicRefusal> {
    let topic = topic_of(resource.resource_type, &resource.resource_name)?;
    let mut changes = Vec::with_capacity(resource.configs.len());
    for config in &resource.configs {
        let value = set_value(&config.name, config.value.as_deref())?;
        changes.push((Arc::from(&*config.name), ConfigChange::Set(value)));
    }
    ctx.node.hosting.alter_configs(AlterConfigs { topic, changes, replaces_all: true, mode }).await
}

/// The topic that a resource is; everything else is refused.
pub(super) fn topic_of(resource_type: i8, name: &str) -> Result<TopicName, TopicRefusal> {
    match resource_type {
        TOPIC => Ok(TopicName::from(name)),
        BROKER => Err(TopicRefusal {
            code: ErrorCode::InvalidRequest,
            message: "Cannot update these configs dynamically: broker keys are read at start."
                .to_owned(),
        }),
        other => Err(TopicRefusal {
            code: ErrorCode::InvalidRequest,
            message: format!("configs of resource type {other} do not exist on this broker"),
        }),
    }
}

/// The value that a topic's key is set to, checked.
pub(super) fn set_value(name: &str, value: Option<&str>) -> Result<Arc<str>, TopicRefusal> {
    let invalid = |message| TopicRefusal { code: ErrorCode::InvalidConfig, message };
    let value = value
        .ok_or_else(|| invalid(format!("Null value not supported for topic configs: {name}")))?;
    config::validate_topic_value(name, value).map_err(|error| invalid(error.to_string()))?;
    Ok(Arc::from(value))
}
