//! IncrementalAlterConfigs, v0–v1: sets, unsets, extends or shortens configs of a topic, key by key (KIP-339).
//!
//! Behaviour: one resource that is refused does not keep the others back; only lists can be extended and shortened.
//! Differs: broker keys are read at start and can't be changed by a request; other resources have no configs here.

use std::borrow::Cow;
use std::sync::Arc;

use aquifer_broker_coordinator::topic::command::{AlterConfigs, ConfigChange, RunMode};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use futures_util::future::join_all;

use super::alter_configs::{set_value, topic_of};
use crate::config::{self, BrokerSettings, ConfigError, KeyType, Scope};
use crate::context::RequestContext;
use crate::hosting::TopicRefusal;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: IncrementalAlterConfigsRequest<'a>,
) -> IncrementalAlterConfigsResponse<'a> {
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
    let topic = topic_of(resource.resource_type, &resource.resource_name)?;
    let changes = resource.configs.iter();
    let changes =
        changes.map(|config| Ok((Arc::from(&*config.name), change(&ctx.node.settings, config)?)));
    let changes = changes.collect::<Result<Vec<_>, TopicRefusal>>()?;
    ctx.node.hosting.alter_configs(AlterConfigs { topic, changes, replaces_all: false, mode }).await
}

fn change(
    settings: &BrokerSettings,
    config: &AlterableConfig<'_>,
) -> Result<ConfigChange, TopicRefusal> {
    let invalid = |message| TopicRefusal { code: ErrorCode::InvalidConfig, message };
    let name = &*config.name;
    let unknown = || invalid(ConfigError::Unknown { name: name.to_owned() }.to_string());
    let key = config::key(Scope::Topic, name).ok_or_else(unknown)?;
    let default = || Arc::from(settings.topic_default(key).unwrap_or_default());
    let is_list = key.kind == KeyType::List;
    match config.config_operation {
        0 => Ok(ConfigChange::Set(set_value(name, config.value.as_deref())?)),
        1 => Ok(ConfigChange::Delete),
        2 if is_list => Ok(ConfigChange::Append {
            value: set_value(name, config.value.as_deref())?,
            default: default(),
        }),
        3 if is_list => Ok(ConfigChange::Subtract {
            value: set_value(name, config.value.as_deref())?,
            default: default(),
        }),
        2 => Err(invalid(format!("Can't APPEND to key {name} because its type is not LIST."))),
        3 => Err(invalid(format!("Can't SUBTRACT to key {name} because its type is not LIST."))),
        other => Err(TopicRefusal {
            code: ErrorCode::InvalidRequest,
            message: format!("Unknown operation type {other} for key {name}"),
        }),
    }
}
