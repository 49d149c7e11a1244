//! DeleteTopics, v0 to v6: deletes topics by name, or since v6 by id.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_DeleteTopics>.

use std::borrow::Cow;

use crate::message;
use crate::primitive::Uuid;

message! {
    /// Deletes topics by name, or since v6 by id.
    pub struct DeleteTopicsRequest<'a> [0..=6, flexible 4..] {
        /// The topics. Since v6.
        topics: Vec<DeleteTopicState<'a>> [6..],
        /// Names of the topics. Up to v5.
        topic_names: Vec<Cow<'a, str>> [0..=5, ignorable],
        /// How long the broker may wait, in milliseconds.
        timeout_ms: i32 [0..],
    }

    /// A topic, by name or by id. Since v6.
    pub struct DeleteTopicState<'a> {
        /// Name of the topic, null if it is named by id. Since v6.
        name: Option<Cow<'a, str>> [6.., nullable 6..],
        /// Id of the topic, zero if it is not known. Since v6.
        topic_id: Uuid [6..],
    }

    /// Whether the topics were deleted.
    pub struct DeleteTopicsResponse<'a> [0..=6, flexible 4..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v1.
        throttle_time_ms: i32 [1.., ignorable],
        /// The results.
        responses: Vec<DeletableTopicResult<'a>> [0..],
    }

    /// Whether one topic was deleted.
    pub struct DeletableTopicResult<'a> {
        /// Name of the topic, null if it was named by id and is not known.
        name: Option<Cow<'a, str>> [0.., nullable 6..],
        /// Id of the topic, zero if it is not known. Since v6.
        topic_id: Uuid [6.., ignorable],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing. Since v5.
        error_message: Option<Cow<'a, str>> [5.., nullable 5.., ignorable],
    }
}
