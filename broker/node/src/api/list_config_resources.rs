//! ListConfigResources, v0–v1: what has configs. v0 asks for client metrics alone, of which there are none.
//!
//! Behaviour: topics and this broker are always listed, a group only where it sets something of its own.
//!
//! References: KIP-1142.

use std::borrow::Cow;

use aquifer_broker_coordinator::topic::image::ConfigResource as Known;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use super::resource::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::context::RequestContext;

const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse<'static> {
    let asked = match (ctx.api_version, request.resource_types.is_empty()) {
        (0, _) => vec![CLIENT_METRICS],
        (_, true) => ALL.to_vec(),
        (_, false) => request.resource_types,
    };
    if asked.iter().any(|kind| !ALL.contains(kind)) {
        return ListConfigResourcesResponse {
            error_code: ErrorCode::UnsupportedVersion.code(),
            ..ListConfigResourcesResponse::default()
        };
    }
    let image = ctx.node.hosting.image();
    let node_id = ctx.node.settings.node_id.to_string();
    let mut config_resources = Vec::new();
    for kind in ALL.into_iter().filter(|kind| asked.contains(kind)) {
        let names: Vec<String> = match kind {
            TOPIC => image.topics().map(|topic| topic.name.to_string()).collect(),
            BROKER | BROKER_LOGGER => vec![node_id.clone()],
            GROUP => {
                let groups = image.config_resources().filter_map(|(known, _)| match known {
                    Known::Group(name) => Some(name.to_string()),
                    Known::Topic(_) | Known::Broker(_) => None,
                });
                groups.collect()
            }
            _ => Vec::new(),
        };
        config_resources.extend(
            names.into_iter().map(|name| ConfigResource {
                resource_name: Cow::Owned(name),
                resource_type: kind,
            }),
        );
    }
    ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() }
}
