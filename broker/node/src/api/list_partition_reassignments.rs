//! ListPartitionReassignments, v0: which partitions are moving between nodes. On one node none ever is.
//!
//! Behaviour: always an empty list; `kafka-topics --describe` asks before it prints.

use aquifer_broker_protocol::message::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle(
    _ctx: &RequestContext,
    _request: ListPartitionReassignmentsRequest<'_>,
) -> ListPartitionReassignmentsResponse<'static> {
    ListPartitionReassignmentsResponse::default()
}
