//! What consumers of the classic protocol put into its opaque bytes: subscriptions and assignments.
//!
//! References: KIP-429, KIP-792, KIP-881; apache/kafka, `ConsumerProtocolSubscription` and
//! `ConsumerProtocolAssignment`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aquifer_broker_protocol::message;
use aquifer_broker_protocol::message::{Decode, Message};
use bytes::Bytes;

use super::member::Assignment;
use crate::group::id::TopicName;
use crate::topic::image::MetadataImage;

/// The newest version that is known here; a newer one begins like it.
const VERSION_MAX: i16 = 3;

message! {
    /// What a consumer subscribes to.
    pub struct ConsumerProtocolSubscription<'a> [0..=3] {
        /// The topics it names.
        topics: Vec<Cow<'a, str>> [0..],
        /// The assignor's own bytes.
        user_data: Option<Cow<'a, [u8]>> [0.., nullable 0..] = None,
        /// What it owned when it joined. Since v1.
        owned_partitions: Vec<ConsumerProtocolTopic<'a>> [1.., ignorable],
        /// The generation in which it owned that. Since v2.
        generation_id: i32 [2.., ignorable] = -1,
        /// The rack it runs in. Since v3.
        rack_id: Option<Cow<'a, str>> [3.., nullable 3.., ignorable] = None,
    }

    /// What a consumer is assigned.
    pub struct ConsumerProtocolAssignment<'a> [0..=3] {
        /// The partitions.
        assigned_partitions: Vec<ConsumerProtocolTopic<'a>> [0..],
        /// The assignor's own bytes.
        user_data: Option<Cow<'a, [u8]>> [0.., nullable 0..] = None,
    }

    /// Partitions of one topic.
    pub struct ConsumerProtocolTopic<'a> {
        /// The topic.
        topic: Cow<'a, str> [0..],
        /// Its partitions.
        partitions: Vec<i32> [0..],
    }
}

/// A consumer's subscription, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Embedded {
    pub(crate) topics: BTreeSet<TopicName>,
    pub(crate) rack_id: Option<Arc<str>>,
    pub(crate) owned: BTreeMap<TopicName, BTreeSet<i32>>,
}

impl Embedded {
    /// What it owned, where its topics still exist.
    pub(crate) fn owned_partitions(&self, topics: &MetadataImage) -> Assignment {
        by_id(&self.owned, topics)
    }
}

/// Reads a subscription; `None` if it is not one.
pub(crate) fn read_subscription(bytes: &[u8]) -> Option<Embedded> {
    let read = read::<ConsumerProtocolSubscription<'_>>(bytes)?;
    Some(Embedded {
        topics: read.topics.iter().map(|topic| TopicName::from(&**topic)).collect(),
        rack_id: read.rack_id.as_deref().filter(|rack| !rack.is_empty()).map(Arc::from),
        owned: by_name(&read.owned_partitions),
    })
}

/// Reads an assignment; `None` if it is not one. No bytes are no partitions.
pub(crate) fn read_assignment(bytes: &[u8], topics: &MetadataImage) -> Option<Assignment> {
    if bytes.is_empty() {
        return Some(Assignment::new());
    }
    let read = read::<ConsumerProtocolAssignment<'_>>(bytes)?;
    Some(by_id(&by_name(&read.assigned_partitions), topics))
}

/// The assignment in the version of the subscription that it answers.
pub(crate) fn write_assignment(
    assignment: &Assignment,
    subscription: &[u8],
    topics: &MetadataImage,
) -> Bytes {
    let version = subscription.first_chunk().copied().map_or(0, i16::from_be_bytes);
    let version = version.clamp(0, VERSION_MAX);
    let known = assignment.iter().filter_map(|(id, partitions)| {
        let topic = topics.topic_by_id(id)?.name.to_string();
        let partitions = partitions.iter().copied().collect();
        Some(ConsumerProtocolTopic { topic: Cow::Owned(topic), partitions })
    });
    let assignment =
        ConsumerProtocolAssignment { assigned_partitions: known.collect(), user_data: None };
    let mut bytes = version.to_be_bytes().to_vec();
    bytes.extend(assignment.to_bytes(version).expect("every field has a place in every version"));
    Bytes::from(bytes)
}

fn read<'a, M: Message + Decode<'a>>(bytes: &'a [u8]) -> Option<M> {
    let (version, body) = bytes.split_first_chunk()?;
    let version = i16::from_be_bytes(*version);
    if version < 0 {
        return None;
    }
    M::read(body, version.min(VERSION_MAX)).ok()
}

fn by_name(topics: &[ConsumerProtocolTopic<'_>]) -> BTreeMap<TopicName, BTreeSet<i32>> {
    let mut named = BTreeMap::<_, BTreeSet<_>>::new();
    for topic in topics {
        named.entry(TopicName::from(&*topic.topic)).or_default().extend(&topic.partitions);
    }
    named
}

fn by_id(named: &BTreeMap<TopicName, BTreeSet<i32>>, topics: &MetadataImage) -> Assignment {
    let existing = named.iter().filter(|(_, partitions)| !partitions.is_empty());
    let existing = existing.filter_map(|(name, partitions)| {
        let topic = topics.topic(name)?;
        Some((topic.id, partitions.clone()))
    });
    existing.collect()
}
