//! DeleteRecords, v0 to v2: deletes the records below an offset.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_DeleteRecords>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Deletes the records below an offset.
    pub struct DeleteRecordsRequest<'a> [0..=2, flexible 2..] {
        /// The topics.
        topics: Vec<DeleteRecordsTopic<'a>> [0..],
        /// How long the broker may wait, in milliseconds.
        timeout_ms: i32 [0..],
    }

    /// The offsets of one topic.
    pub struct DeleteRecordsTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<DeleteRecordsPartition> [0..],
    }

    /// The offset of one partition.
    pub struct DeleteRecordsPartition {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// First offset to keep, -1 for the high watermark.
        offset: i64 [0..],
    }

    /// Where the partitions begin now.
    pub struct DeleteRecordsResponse<'a> [0..=2, flexible 2..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The results.
        topics: Vec<DeleteRecordsTopicResult<'a>> [0..],
    }

    /// The results of one topic.
    pub struct DeleteRecordsTopicResult<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The results per partition.
        partitions: Vec<DeleteRecordsPartitionResult> [0..],
    }

    /// The result of one partition.
    pub struct DeleteRecordsPartitionResult {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// First offset of the partition, -1 after an error.
        low_watermark: i64 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
    }
}
