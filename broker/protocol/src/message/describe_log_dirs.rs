//! DescribeLogDirs, v1 to v5: asks for the log directories of a broker and what lies in them.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_DescribeLogDirs>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks for the log directories of a broker and what lies in them.
    pub struct DescribeLogDirsRequest<'a> [1..=5, flexible 2..] {
        /// Topics that are asked for, null for all.
        topics: Option<Vec<DescribableLogDirTopic<'a>>> [0.., nullable 0..],
    }

    /// The partitions of one topic.
    pub struct DescribableLogDirTopic<'a> {
        /// Name of the topic.
        topic: Cow<'a, str> [0..],
        /// Numbers of the partitions.
        partitions: Vec<i32> [0..],
    }

    /// The log directories.
    pub struct DescribeLogDirsResponse<'a> [1..=5, flexible 2..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 if nothing. Since v3.
        error_code: i16 [3.., ignorable],
        /// The directories.
        results: Vec<DescribeLogDirsResult<'a>> [0..],
    }

    /// A log directory.
    pub struct DescribeLogDirsResult<'a> {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// Absolute path of the directory.
        log_dir: Cow<'a, str> [0..],
        /// The topics.
        topics: Vec<DescribeLogDirsTopic<'a>> [0..],
        /// Size of the volume in bytes, -1 if it is not known. Since v4.
        total_bytes: i64 [4.., ignorable] = -1,
        /// What is free on the volume, in bytes; -1 if it is not known. Since v4.
        usable_bytes: i64 [4.., ignorable] = -1,
        /// Whether the directory takes no new partitions. Since v5.
        is_cordoned: bool [5.., ignorable],
    }

    /// The partitions of one topic.
    pub struct DescribeLogDirsTopic<'a> {
        /// Name of the topic.
        name: Cow<'a, str> [0..],
        /// The partitions.
        partitions: Vec<DescribeLogDirsPartition> [0..],
    }

    /// A partition.
    pub struct DescribeLogDirsPartition {
        /// Number of the partition.
        partition_index: i32 [0..],
        /// Size of its segments in bytes.
        partition_size: i64 [0..],
        /// How many records its end is behind the high watermark, or a future log behind the current one.
        offset_lag: i64 [0..],
        /// Whether it is the log of a move that is not finished.
        is_future_key: bool [0..],
    }
}
