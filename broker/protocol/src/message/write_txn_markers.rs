//! WriteTxnMarkers, v1 and v2: appends the markers that end transactions.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_WriteTxnMarkers>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Appends the markers that end transactions.
    pub struct WriteTxnMarkersRequest<'a> [1..=2, flexible 1..] {
        /// The markers.
        markers: Vec<WritableTxnMarker<'a>> [0..],
    }

    /// A marker and where it goes.
    pub struct WritableTxnMarker<'a> {
        /// Id of the producer.
        producer_id: i64 [0..],
        /// Epoch of the producer.
        producer_epoch: i16 [0..],
        /// Whether the transaction was committed; else it was aborted.
        transaction_result: bool [0..],
        /// The topics.
        topics: Vec<WritableTxnMarkerTopic<'a>> [0..],
        /// Epoch of the coordinator that sends the marker.
        coordinator_epoch: i32 [0..],
        /// Feature level of the transaction: 2 when its epoch rises with every transaction (KIP-890). Since v2.
        transaction_version: i8 [2.., ignorable],
    }

    /// The partitions of one topic.
    pub struct WritableTxnMarkerTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// Numbers of the partitions.
        partition_indexes: Vec<i32> [0..],
    }

    /// Whether the markers were appended.
    pub struct WriteTxnMarkersResponse<'a> [1..=2, flexible 1..] {
        /// The results per marker.
        markers: Vec<WritableTxnMarkerResult<'a>> [0..],
    }

    /// The results of one marker.
    pub struct WritableTxnMarkerResult<'a> {
        /// Id of the producer.
        producer_id: i64 [0..],
        /// The results.
        topics: Vec<WritableTxnMarkerTopicResult<'a>> [0..],
    }

    /// The results of one topic.
    pub struct WritableTxnMarkerTopicResult<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The results per partition.
        partitions: Vec<WritableTxnMarkerPartitionResult> [0..],
    }

    /// The result of one partition.
    pub struct WritableTxnMarkerPartitionResult {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
    }
}
