//! WriteTxnMarkers, v1–v2: ends producers' transactions in partitions, past their coordinator.
//!
//! Behaviour: for operators (`kafka-transactions.sh abort`), to end a transaction that its coordinator does not know of.
//! A marker of an epoch below the producer's is refused with INVALID_PRODUCER_EPOCH, one of a coordinator that was
//! replaced with TRANSACTION_COORDINATOR_FENCED.
//!
//! References: KIP-98, KIP-664.

use aquifer_broker_coordinator::transaction::state::{Outcome, Producer};
use aquifer_broker_log::MarkerEpoch;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

use crate::context::RequestContext;
use crate::hosting::{Marker, MarkerError};

/// The first transaction version whose markers have a higher epoch than the records they end.
const EPOCH_RAISED_SINCE: i8 = 2;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: WriteTxnMarkersRequest<'a>,
) -> WriteTxnMarkersResponse<'a> {
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        markers.push(write(ctx, marker).await);
    }
    WriteTxnMarkersResponse { markers }
}

async fn write<'a>(
    ctx: &RequestContext,
    asked: WritableTxnMarker<'a>,
) -> WritableTxnMarkerResult<'a> {
    let marker = Marker {
        producer: Producer { id: asked.producer_id, epoch: asked.producer_epoch },
        outcome: if asked.transaction_result { Outcome::Commit } else { Outcome::Abort },
        coordinator_epoch: asked.coordinator_epoch,
        epoch: if asked.transaction_version >= EPOCH_RAISED_SINCE {
            MarkerEpoch::Raised
        } else {
            MarkerEpoch::Same
        },
    };
    let mut topics = Vec::with_capacity(asked.topics.len());
    for topic in asked.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for partition_index in topic.partition_indexes {
            let written = ctx.node.hosting.write_marker(&topic.name, partition_index, marker).await;
            let error = written.err().map_or(ErrorCode::None, |error| code(&error));
            let error_code = error.code();
            partitions.push(WritableTxnMarkerPartitionResult { partition_index, error_code });
        }
        topics.push(WritableTxnMarkerTopicResult { name: topic.name, partitions });
    }
    WritableTxnMarkerResult { producer_id: asked.producer_id, topics }
}

fn code(error: &MarkerError) -> ErrorCode {
    match error {
        MarkerError::NoPartition => ErrorCode::UnknownTopicOrPartition,
        MarkerError::Partition(error) => error.code(),
        MarkerError::Group(error) => error.group_code(),
    }
}
