//! One member of a classic group.

use std::sync::Arc;

use bytes::Bytes;

use super::id::InstanceId;
use crate::{RequestId, Timestamp};

/// A member as the running group sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<InstanceId>,
    pub(crate) client_id: Arc<str>,
    pub(crate) client_host: Arc<str>,
    pub(crate) session_timeout_ms: i32,
    pub(crate) rebalance_timeout_ms: i32,
    /// Protocol name and the member's metadata for it, the preferred one first.
    pub(crate) protocols: Vec<(Arc<str>, Bytes)>,
    /// Of the current generation; empty before it is known.
    pub(crate) assignment: Bytes,
    /// When the member is taken for dead, unless `is_excused`.
    pub(crate) deadline: Timestamp,
    /// The JoinGroup that waits for the generation to form.
    pub(crate) awaiting_join: Option<RequestId>,
    /// The SyncGroup that waits for the leader.
    pub(crate) awaiting_sync: Option<RequestId>,
    /// Has not yet been told its first generation: such a member does not know to send heartbeats.
    pub(crate) is_new: bool,
}

impl Member {
    /// A member whose request is parked here can't send heartbeats: it is not dead. A new one still has a
    /// deadline, or clients that retry their first join would pile up in a long rebalance.
    pub(crate) fn is_excused(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    pub(crate) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| **name == *protocol)
    }

    /// The metadata for `protocol`, empty if the member doesn't support it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| **name == *protocol)
            .map_or_else(Bytes::new, |(_, bytes)| bytes.clone())
    }

    pub(crate) fn extend_session(&mut self, now: Timestamp) {
        self.deadline = now.plus_ms(i64::from(self.session_timeout_ms));
    }
}

/// The topics named by a `consumer` protocol's subscription, sorted; `None` if it can't be read.
///
/// The rest of a subscription (owned partitions, generation) differs each time a consumer starts, so that only
/// the topics tell whether a restarted static member wants something else than before.
pub(crate) fn subscribed_topics(metadata: &[u8]) -> Option<Vec<&[u8]>> {
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (topic, tail) = tail.split_at_checked(length)?;
        topics.push(topic);
        rest = tail;
    }
    topics.sort_unstable();
    Some(topics)
}
