//! DescribeCluster, v0–v2: the brokers of this cluster, which is this node.
//!
//! Behaviour: everybody may do everything, since nobody is authenticated: asked for, all operations are listed.
//! Differs: there is no controller to talk to beside the broker; asking for controllers is refused.

use std::borrow::Cow;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use super::operations;
use crate::context::RequestContext;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse<'static> {
    let node = &ctx.node;
    if request.endpoint_type != BROKERS {
        let (error, message) = match request.endpoint_type {
            CONTROLLERS => (
                ErrorCode::MismatchedEndpointType,
                Cow::Borrowed("this is an endpoint of a broker, not of a controller"),
            ),
            other => (
                ErrorCode::UnsupportedEndpointType,
                Cow::Owned(format!("Unsupported endpoint type {other}")),
            ),
        };
        return DescribeClusterResponse {
            error_code: error.code(),
            error_message: Some(message),
            endpoint_type: BROKERS,
            ..DescribeClusterResponse::default()
        };
    }
    let (host, port) = node.address_for(&ctx.peer);
    let cluster_authorized_operations = if request.include_cluster_authorized_operations {
        operations::CLUSTER
    } else {
        operations::NOT_ASKED
    };
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: Cow::Owned(node.cluster_id.clone()),
        controller_id: node.settings.node_id,
        brokers: vec![DescribeClusterBroker {
            broker_id: node.settings.node_id,
            host: Cow::Owned(host),
            port,
            rack: node.settings.broker_rack.clone().map(Cow::Owned),
            ..DescribeClusterBroker::default()
        }],
        cluster_authorized_operations,
        ..DescribeClusterResponse::default()
    }
}
