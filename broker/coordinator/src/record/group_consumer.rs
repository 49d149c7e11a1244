//! The records of consumer groups in `__consumer_offsets`, as Kafka's group coordinator writes them.
//!
//! A key starts with its kind; values are of version 0, which grows by tagged fields.
//!
//! References: apache/kafka, `group-coordinator/src/main/resources/common/message/ConsumerGroup*.json`; KIP-848.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_broker_protocol::message;
use aquifer_broker_protocol::primitive::Uuid;
use bytes::Bytes;

use super::{RecordError, kept, read, split_version, versioned};
use crate::Timestamp;
use crate::group::GroupRecord;
use crate::group::consumer::member::{
    Assignment, ClassicProtocols, Current, MemberState, OwnedPartitions, Subscription,
};
use crate::group::consumer::{ConsumerChange, GroupEpoch, ResolvedRegex, TargetEpoch};
use crate::group::id::{GroupId, InstanceId, MemberId, TopicName};
use crate::machine::EncodedRecord;

const EPOCH_KEY: i16 = 3;
const PARTITION_METADATA_KEY: i16 = 4;
const MEMBER_KEY: i16 = 5;
const TARGET_EPOCH_KEY: i16 = 6;
const TARGET_KEY: i16 = 7;
const CURRENT_KEY: i16 = 8;
const REGEX_KEY: i16 = 16;
const VALUE_VERSION: i16 = 0;

message! {
    /// The key of a record that a group has one of; the version is the kind.
    pub struct ConsumerGroupKey<'a> [3..=6] {
        /// The group.
        group: Cow<'a, str> [3..],
    }

    /// The key of a record that each member, or each regular expression, has one of; the version is the kind.
    pub struct ConsumerGroupPartKey<'a> [5..=16] {
        /// The group.
        group: Cow<'a, str> [5..],
        /// The member, or the regular expression.
        part: Cow<'a, str> [5..],
    }

    /// A group's epoch.
    pub struct ConsumerGroupMetadataValue [0..=0, flexible 0..] {
        /// The epoch.
        epoch: i32 [0..],
        /// A hash over the topics subscribed to.
        metadata_hash: i64 [0.., tag 0] = 0,
    }

    /// What a member is and wants.
    pub struct ConsumerGroupMemberMetadataValue<'a> [0..=0, flexible 0..] {
        /// The static name.
        instance_id: Option<Cow<'a, str>> [0.., nullable 0..] = None,
        /// The rack it runs in.
        rack_id: Option<Cow<'a, str>> [0.., nullable 0..] = None,
        /// The client's name for itself.
        client_id: Cow<'a, str> [0..],
        /// The peer's address.
        client_host: Cow<'a, str> [0..],
        /// The topics it names.
        subscribed_topic_names: Vec<Cow<'a, str>> [0..],
        /// The regular expression whose topics it wants.
        subscribed_topic_regex: Option<Cow<'a, str>> [0.., nullable 0..] = None,
        /// In milliseconds.
        rebalance_timeout_ms: i32 [0..] = -1,
        /// The assignor it asks for.
        server_assignor: Option<Cow<'a, str>> [0.., nullable 0..] = None,
        /// Set while it uses the classic protocol.
        classic_member_metadata: Option<Box<ClassicMemberMetadata<'a>>> [0.., nullable 0.., tag 0] = None,
    }

    /// What a member of the classic protocol brought.
    pub struct ClassicMemberMetadata<'a> {
        /// In milliseconds.
        session_timeout_ms: i32 [0..],
        /// The protocols that it can run.
        supported_protocols: Vec<ClassicProtocol<'a>> [0..],
    }

    /// One such protocol.
    pub struct ClassicProtocol<'a> {
        /// Its name.
        name: Cow<'a, str> [0..],
        /// The member's metadata for it.
        metadata: Cow<'a, [u8]> [0..],
    }

    /// The epoch of a target assignment.
    pub struct ConsumerGroupTargetAssignmentMetadataValue [0..=0, flexible 0..] {
        /// The group epoch it was computed for.
        assignment_epoch: i32 [0..],
        /// When, in milliseconds.
        assignment_timestamp: i64 [0.., tag 0, ignorable] = 0,
    }

    /// What a member is to own.
    pub struct ConsumerGroupTargetAssignmentMemberValue [0..=0, flexible 0..] {
        /// The partitions.
        topic_partitions: Vec<TargetPartitions> [0..],
    }

    /// Partitions of one topic that a member is to own.
    pub struct TargetPartitions {
        /// The topic.
        topic_id: Uuid [0..],
        /// Its partitions.
        partitions: Vec<i32> [0..],
    }

    /// What a member holds.
    pub struct ConsumerGroupCurrentMemberAssignmentValue [0..=0, flexible 0..] {
        /// The epoch that its next heartbeat must name.
        member_epoch: i32 [0..],
        /// The epoch before.
        previous_member_epoch: i32 [0..],
        /// Where it stands.
        state: i8 [0..],
        /// What it may use.
        assigned_partitions: Vec<HeldPartitions> [0..],
        /// What it must give up.
        partitions_pending_revocation: Vec<HeldPartitions> [0..],
    }

    /// Partitions of one topic that a member holds.
    pub struct HeldPartitions {
        /// The topic.
        topic_id: Uuid [0..],
        /// Its partitions.
        partitions: Vec<i32> [0..],
        /// The member epoch in which each was given out; older writers leave it out.
        assignment_epochs: Option<Vec<i32>> [0.., nullable 0.., tag 0] = None,
    }

    /// What a regular expression stands for.
    pub struct ConsumerGroupRegularExpressionValue<'a> [0..=0, flexible 0..] {
        /// The topics that it matches.
        topics: Vec<Cow<'a, str>> [0..],
        /// The version of the metadata it was resolved with.
        version: i64 [0..],
        /// When it was resolved, in milliseconds.
        timestamp: i64 [0..],
    }
}

/// The key and value of a change.
pub(super) fn encode(group_id: &GroupId, change: &ConsumerChange) -> EncodedRecord {
    let group = Cow::Borrowed(&**group_id);
    let of_group = |kind| versioned(kind, &ConsumerGroupKey { group: group.clone() });
    let of_part = |kind, part: &str| {
        let part = Cow::Borrowed(part);
        versioned(kind, &ConsumerGroupPartKey { group: group.clone(), part })
    };
    let (key, value) = match change {
        ConsumerChange::Epoch(epoch) => (of_group(EPOCH_KEY), epoch.as_ref().map(epoch_value)),
        // The record is one that we read and delete, and never write.
        ConsumerChange::PartitionMetadata { .. } => (of_group(PARTITION_METADATA_KEY), None),
        ConsumerChange::Member { member_id, subscription } => {
            let value = subscription.as_ref().map(|subscription| member_value(subscription));
            (of_part(MEMBER_KEY, member_id), value)
        }
        ConsumerChange::TargetEpoch(epoch) => {
            (of_group(TARGET_EPOCH_KEY), epoch.as_ref().map(target_epoch_value))
        }
        ConsumerChange::Target { member_id, partitions } => {
            let value = partitions.as_ref().map(|partitions| target_value(partitions));
            (of_part(TARGET_KEY, member_id), value)
        }
        ConsumerChange::Current { member_id, current } => {
            let value = current.as_ref().map(|current| current_value(current));
            (of_part(CURRENT_KEY, member_id), value)
        }
        ConsumerChange::Regex { regex, resolved } => {
            let value = resolved.as_ref().map(|resolved| regex_value(resolved));
            (of_part(REGEX_KEY, regex), value)
        }
    };
    EncodedRecord { key: Some(key), value }
}

/// Reads a key of this kind, and its value; `None` if it is not about a consumer group.
pub(super) fn decode(
    kind: i16,
    body: &[u8],
    value: Option<&[u8]>,
) -> Result<Option<GroupRecord>, RecordError> {
    let (group_id, change) = match kind {
        EPOCH_KEY | PARTITION_METADATA_KEY | TARGET_EPOCH_KEY => {
            let key = read::<ConsumerGroupKey<'_>>(kind, body)?;
            let change = match kind {
                EPOCH_KEY => ConsumerChange::Epoch(value.map(decode_epoch).transpose()?),
                TARGET_EPOCH_KEY => {
                    ConsumerChange::TargetEpoch(value.map(decode_target_epoch).transpose()?)
                }
                _ => ConsumerChange::PartitionMetadata { exists: value.is_some() },
            };
            (GroupId::from(&*key.group), change)
        }
        MEMBER_KEY | TARGET_KEY | CURRENT_KEY | REGEX_KEY => {
            let key = read::<ConsumerGroupPartKey<'_>>(kind, body)?;
            let member_id = MemberId::from(&*key.part);
            let change = match kind {
                MEMBER_KEY => {
                    let subscription = value.map(decode_member).transpose()?.map(Arc::new);
                    ConsumerChange::Member { member_id, subscription }
                }
                TARGET_KEY => {
                    let partitions = value.map(decode_target).transpose()?.map(Arc::new);
                    ConsumerChange::Target { member_id, partitions }
                }
                CURRENT_KEY => {
                    let current = value.map(decode_current).transpose()?.map(Arc::new);
                    ConsumerChange::Current { member_id, current }
                }
                _ => {
                    let resolved = value.map(decode_regex).transpose()?.map(Arc::new);
                    ConsumerChange::Regex { regex: kept(&key.part), resolved }
                }
            };
            (GroupId::from(&*key.group), change)
        }
        _ => return Ok(None),
    };
    Ok(Some(GroupRecord::Consumer { group_id, change }))
}

fn epoch_value(epoch: &GroupEpoch) -> Vec<u8> {
    let value =
        ConsumerGroupMetadataValue { epoch: epoch.epoch, metadata_hash: epoch.metadata_hash };
    versioned(VALUE_VERSION, &value)
}

fn decode_epoch(value: &[u8]) -> Result<GroupEpoch, RecordError> {
    let (version, body) = split_version("value", value)?;
    let value = read::<ConsumerGroupMetadataValue>(version, body)?;
    Ok(GroupEpoch { epoch: value.epoch, metadata_hash: value.metadata_hash })
}

fn target_epoch_value(epoch: &TargetEpoch) -> Vec<u8> {
    let value = ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch: epoch.epoch,
        assignment_timestamp: epoch.computed_at.0,
    };
    versioned(VALUE_VERSION, &value)
}

fn decode_target_epoch(value: &[u8]) -> Result<TargetEpoch, RecordError> {
    let (version, body) = split_version("value", value)?;
    let value = read::<ConsumerGroupTargetAssignmentMetadataValue>(version, body)?;
    let computed_at = Timestamp(value.assignment_timestamp);
    Ok(TargetEpoch { epoch: value.assignment_epoch, computed_at })
}

fn member_value(subscription: &Subscription) -> Vec<u8> {
    let classic = subscription.classic.as_ref().map(|classic| {
        let protocols = classic.protocols.iter().map(|(name, metadata)| ClassicProtocol {
            name: Cow::Borrowed(&**name),
            metadata: Cow::Borrowed(metadata),
        });
        Box::new(ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: protocols.collect(),
        })
    });
    let topics = subscription.topics.iter();
    let value = ConsumerGroupMemberMetadataValue {
        instance_id: subscription.instance_id.as_deref().map(Cow::Borrowed),
        rack_id: subscription.rack_id.as_deref().map(Cow::Borrowed),
        client_id: Cow::Borrowed(&subscription.client_id),
        client_host: Cow::Borrowed(&subscription.client_host),
        subscribed_topic_names: topics.map(|topic| Cow::Borrowed(&**topic)).collect(),
        // Kafka's coordinator writes no expression as an empty one.
        subscribed_topic_regex: Some(Cow::Borrowed(
            subscription.regex.as_deref().unwrap_or_default(),
        )),
        rebalance_timeout_ms: subscription.rebalance_timeout_ms,
        server_assignor: subscription.assignor.as_deref().map(Cow::Borrowed),
        classic_member_metadata: classic,
    };
    versioned(VALUE_VERSION, &value)
}

fn decode_member(value: &[u8]) -> Result<Subscription, RecordError> {
    let (version, body) = split_version("value", value)?;
    let value = read::<ConsumerGroupMemberMetadataValue<'_>>(version, body)?;
    let classic = value.classic_member_metadata.map(|classic| {
        let protocols = classic.supported_protocols.iter();
        let protocols = protocols
            .map(|protocol| (kept(&protocol.name), Bytes::copy_from_slice(&protocol.metadata)));
        ClassicProtocols {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: protocols.collect(),
        }
    });
    let topics = value.subscribed_topic_names.iter();
    let regex = value.subscribed_topic_regex.as_deref().filter(|regex| !regex.is_empty());
    Ok(Subscription {
        instance_id: value.instance_id.as_deref().map(InstanceId::from),
        rack_id: value.rack_id.as_deref().map(kept),
        client_id: kept(&value.client_id),
        client_host: kept(&value.client_host),
        topics: topics.map(|topic| TopicName::from(&**topic)).collect(),
        regex: regex.map(kept),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: value.server_assignor.as_deref().map(kept),
        classic,
    })
}

fn target_value(target: &Assignment) -> Vec<u8> {
    let topics = target.iter().map(|(topic_id, partitions)| TargetPartitions {
        topic_id: *topic_id,
        partitions: partitions.iter().copied().collect(),
    });
    let value = ConsumerGroupTargetAssignmentMemberValue { topic_partitions: topics.collect() };
    versioned(VALUE_VERSION, &value)
}

fn decode_target(value: &[u8]) -> Result<Assignment, RecordError> {
    let (version, body) = split_version("value", value)?;
    let value = read::<ConsumerGroupTargetAssignmentMemberValue>(version, body)?;
    let topics = value.topic_partitions.into_iter();
    Ok(topics.map(|topic| (topic.topic_id, topic.partitions.into_iter().collect())).collect())
}

fn current_value(current: &Current) -> Vec<u8> {
    let value = ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: current.epoch,
        previous_member_epoch: current.previous_epoch,
        state: current.state.number(),
        assigned_partitions: held(&current.assigned),
        partitions_pending_revocation: held(&current.revoking),
    };
    versioned(VALUE_VERSION, &value)
}

fn held(owned: &OwnedPartitions) -> Vec<HeldPartitions> {
    let topics = owned.iter().map(|(topic_id, partitions)| HeldPartitions {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
    });
    topics.collect()
}

fn decode_current(value: &[u8]) -> Result<Current, RecordError> {
    let (version, body) = split_version("value", value)?;
    let value = read::<ConsumerGroupCurrentMemberAssignmentValue>(version, body)?;
    let epoch = value.member_epoch;
    Ok(Current {
        epoch,
        previous_epoch: value.previous_member_epoch,
        state: MemberState::of_number(value.state),
        assigned: owned(value.assigned_partitions, epoch),
        revoking: owned(value.partitions_pending_revocation, epoch),
    })
}

/// Older writers don't say when a partition was given out: the member's epoch is the latest that it can be.
fn owned(topics: Vec<HeldPartitions>, member_epoch: i32) -> OwnedPartitions {
    let mut owned = OwnedPartitions::new();
    for topic in topics {
        let epochs = topic.assignment_epochs.unwrap_or_default();
        let epochs = epochs.into_iter().chain(std::iter::repeat(member_epoch));
        let partitions = topic.partitions.into_iter().zip(epochs).collect::<BTreeMap<_, _>>();
        owned.entry(topic.topic_id).or_default().extend(partitions);
    }
    owned
}

fn regex_value(resolved: &ResolvedRegex) -> Vec<u8> {
    let value = ConsumerGroupRegularExpressionValue {
        topics: resolved.topics.iter().map(|topic| Cow::Borrowed(&**topic)).collect(),
        version: resolved.version,
        timestamp: resolved.resolved_at.0,
    };
    versioned(VALUE_VERSION, &value)
}

fn decode_regex(value: &[u8]) -> Result<ResolvedRegex, RecordError> {
    let (version, body) = split_version("value", value)?;
    let value = read::<ConsumerGroupRegularExpressionValue<'_>>(version, body)?;
    Ok(ResolvedRegex {
        topics: value.topics.iter().map(|topic| TopicName::from(&**topic)).collect(),
        version: value.version,
        resolved_at: Timestamp(value.timestamp),
    })
}
