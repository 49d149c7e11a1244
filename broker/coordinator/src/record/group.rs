//! The records of `__consumer_offsets`: keys and values as Kafka's group coordinator writes them.
//!
//! A key starts with a version that is also its kind: 0 and 1 are committed offsets, 2 a classic group's metadata, 3 to
//! 8 and 16 consumer groups' ([`super::group_consumer`]); others belong to other group types and are skipped. Values are written in version 3, the highest one that older
//! brokers read too, and read in every version.
//!
//! References: apache/kafka, `group-coordinator/src/main/resources/common/message`.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use aquifer_broker_protocol::message;
use bytes::Bytes;

use super::{RecordError, group_consumer, kept, read, split_version, versioned};
use crate::Timestamp;
use crate::group::GroupRecord;
use crate::group::id::{GroupId, InstanceId, MemberId, TopicName};
use crate::group::offset::CommittedOffset;
use crate::group::pending_offset::pending;
use crate::machine::{BatchKind, EncodedRecord};
use crate::transaction::state::{Outcome, Producer};

const OFFSET_KEY_VERSIONS: RangeInclusive<i16> = 0..=1;
const OFFSET_KEY_VERSION: i16 = 1;
const GROUP_KEY_VERSION: i16 = 2;
const VALUE_VERSION: i16 = 3;

message! {
    /// The key of a committed offset.
    pub struct OffsetCommitKey<'a> [0..=1] {
        /// The group.
        group: Cow<'a, str> [0..],
        /// The topic.
        topic: Cow<'a, str> [0..],
        /// The partition index.
        partition: i32 [0..],
    }

    /// A committed offset.
    pub struct OffsetCommitValue<'a> [0..=4, flexible 4..] {
        /// The next offset to read.
        offset: i64 [0..],
        /// The leader epoch of the last record read. Since v3.
        leader_epoch: i32 [3.., ignorable] = -1,
        /// The client's own note.
        metadata: Cow<'a, str> [0..],
        /// When it was committed, in milliseconds.
        commit_timestamp: i64 [0..],
        /// When it expires, in milliseconds. In v1 only.
        expire_timestamp: i64 [1..=1, ignorable] = -1,
    }

    /// The key of a group's metadata.
    pub struct GroupMetadataKey<'a> [2..=2] {
        /// The group.
        group: Cow<'a, str> [2..],
    }

    /// A generation of a classic group.
    pub struct GroupMetadataValue<'a> [0..=4, flexible 4..] {
        /// `consumer`, `connect`, ….
        protocol_type: Cow<'a, str> [0..],
        /// The generation's number.
        generation: i32 [0..],
        /// The selected protocol; null in an empty group.
        protocol: Option<Cow<'a, str>> [0.., nullable 0..] = None,
        /// The leader; null in an empty group.
        leader: Option<Cow<'a, str>> [0.., nullable 0..] = None,
        /// Since when the group is in its state, in milliseconds. Since v2.
        current_state_timestamp: i64 [2.., ignorable] = -1,
        /// The members.
        members: Vec<GroupMetadataMember<'a>> [0..],
    }

    /// A member in `GroupMetadataValue`.
    pub struct GroupMetadataMember<'a> {
        /// The member's id.
        member_id: Cow<'a, str> [0..],
        /// The static name. Since v3.
        group_instance_id: Option<Cow<'a, str>> [3.., nullable 3.., ignorable] = None,
        /// The client's name for itself.
        client_id: Cow<'a, str> [0..],
        /// The peer's address.
        client_host: Cow<'a, str> [0..],
        /// In milliseconds. Since v1.
        rebalance_timeout: i32 [1.., ignorable] = -1,
        /// In milliseconds.
        session_timeout: i32 [0..],
        /// The metadata for the selected protocol.
        subscription: Cow<'a, [u8]> [0..],
        /// The leader's word.
        assignment: Cow<'a, [u8]> [0..],
    }
}

/// A generation of a classic group, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// `consumer`, `connect`, …; empty if nobody ever joined.
    pub protocol_type: Arc<str>,
    /// The generation's number.
    pub generation: i32,
    /// The selected protocol; none in an empty group.
    pub protocol: Option<Arc<str>>,
    /// The leader; none in an empty group.
    pub leader: Option<MemberId>,
    /// Since when the group is in its state; negative if an old record does not say.
    pub state_since: Timestamp,
    /// The members.
    pub members: Vec<MemberMetadata>,
}

/// A member of a generation, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    /// The member's id.
    pub member_id: MemberId,
    /// The static name.
    pub instance_id: Option<InstanceId>,
    /// The client's name for itself.
    pub client_id: Arc<str>,
    /// The peer's address.
    pub client_host: Arc<str>,
    /// Milliseconds; negative if an old record does not say.
    pub rebalance_timeout_ms: i32,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// The metadata for the selected protocol.
    pub subscription: Bytes,
    /// The leader's word.
    pub assignment: Bytes,
}

/// The key and value of a record.
#[must_use]
pub fn encode(record: &GroupRecord) -> EncodedRecord {
    match record {
        GroupRecord::Metadata { group_id, metadata } => EncodedRecord {
            key: Some(versioned(
                GROUP_KEY_VERSION,
                &GroupMetadataKey { group: Cow::Borrowed(group_id) },
            )),
            value: metadata
                .as_ref()
                .map(|metadata| versioned(VALUE_VERSION, &metadata_value(metadata))),
        },
        GroupRecord::Offset { group_id, topic, partition, committed } => {
            encode_offset(group_id, topic, *partition, committed.as_ref())
        }
        GroupRecord::PendingOffset { group_id, topic, partition, committed, .. } => {
            encode_offset(group_id, topic, *partition, Some(committed))
        }
        GroupRecord::Consumer { group_id, change } => group_consumer::encode(group_id, change),
        // What a marker says stands in its batch.
        GroupRecord::EndTransaction { .. } => EncodedRecord { key: None, value: None },
    }
}

fn encode_offset(
    group_id: &GroupId,
    topic: &TopicName,
    partition: i32,
    committed: Option<&CommittedOffset>,
) -> EncodedRecord {
    EncodedRecord {
        key: Some(versioned(
            OFFSET_KEY_VERSION,
            &OffsetCommitKey {
                group: Cow::Borrowed(group_id),
                topic: Cow::Borrowed(topic),
                partition,
            },
        )),
        value: committed.map(|committed| {
            // Only version 1 has room for an expiry of its own; such offsets come from replayed logs alone.
            let version = if committed.expires_at.is_some() { 1 } else { VALUE_VERSION };
            versioned(version, &offset_value(committed))
        }),
    }
}

/// The kind of batch that a record is written in.
#[must_use]
pub fn batch_kind(record: &GroupRecord) -> BatchKind {
    match record {
        GroupRecord::Metadata { .. }
        | GroupRecord::Offset { .. }
        | GroupRecord::Consumer { .. } => BatchKind::Plain,
        GroupRecord::PendingOffset { producer, .. } => {
            BatchKind::Transactional { producer_id: producer.id, producer_epoch: producer.epoch }
        }
        GroupRecord::EndTransaction { producer, outcome, coordinator_epoch } => BatchKind::Marker {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            commit: *outcome == Outcome::Commit,
            coordinator_epoch: *coordinator_epoch,
        },
    }
}

/// Reads a record of a batch of this kind; `None` where it says nothing to a group machine.
///
/// # Errors
/// When the bytes don't follow the schema that their version names.
pub fn decode_in(
    kind: BatchKind,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<Option<GroupRecord>, RecordError> {
    match kind {
        BatchKind::Plain => decode(key, value),
        BatchKind::Transactional { producer_id, producer_epoch } => {
            let producer = Producer { id: producer_id, epoch: producer_epoch };
            Ok(decode(key, value)?.and_then(|record| pending(producer, record)))
        }
        BatchKind::Marker { producer_id, producer_epoch, commit, coordinator_epoch } => {
            Ok(Some(GroupRecord::EndTransaction {
                producer: Producer { id: producer_id, epoch: producer_epoch },
                outcome: if commit { Outcome::Commit } else { Outcome::Abort },
                coordinator_epoch,
            }))
        }
    }
}

/// Reads a key and value; `None` for the kinds of other group types.
///
/// # Errors
/// When the bytes don't follow the schema that their version names.
pub fn decode(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<Option<GroupRecord>, RecordError> {
    let (kind, body) = split_version("key", key.unwrap_or_default())?;
    if OFFSET_KEY_VERSIONS.contains(&kind) {
        let key = read::<OffsetCommitKey<'_>>(kind, body)?;
        let committed = value.map(decode_offset).transpose()?;
        Ok(Some(GroupRecord::Offset {
            group_id: GroupId::from(&*key.group),
            topic: TopicName::from(&*key.topic),
            partition: key.partition,
            committed,
        }))
    } else if kind == GROUP_KEY_VERSION {
        let key = read::<GroupMetadataKey<'_>>(kind, body)?;
        let metadata = value.map(decode_metadata).transpose()?;
        Ok(Some(GroupRecord::Metadata { group_id: GroupId::from(&*key.group), metadata }))
    } else {
        group_consumer::decode(kind, body, value)
    }
}

fn offset_value(committed: &CommittedOffset) -> OffsetCommitValue<'_> {
    OffsetCommitValue {
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: Cow::Borrowed(&committed.metadata),
        commit_timestamp: committed.committed_at.0,
        expire_timestamp: committed.expires_at.map_or(-1, |at| at.0),
    }
}

fn decode_offset(value: &[u8]) -> Result<CommittedOffset, RecordError> {
    let (version, body) = split_version("value", value)?;
    let value = read::<OffsetCommitValue<'_>>(version, body)?;
    Ok(CommittedOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: kept(&value.metadata),
        committed_at: Timestamp(value.commit_timestamp),
        expires_at: (value.expire_timestamp >= 0).then_some(Timestamp(value.expire_timestamp)),
    })
}

fn metadata_value(metadata: &GroupMetadata) -> GroupMetadataValue<'_> {
    let members = metadata.members.iter().map(|member| GroupMetadataMember {
        member_id: Cow::Borrowed(&member.member_id),
        group_instance_id: member.instance_id.as_deref().map(Cow::Borrowed),
        client_id: Cow::Borrowed(&member.client_id),
        client_host: Cow::Borrowed(&member.client_host),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: Cow::Borrowed(&member.subscription),
        assignment: Cow::Borrowed(&member.assignment),
    });
    GroupMetadataValue {
        protocol_type: Cow::Borrowed(&metadata.protocol_type),
        generation: metadata.generation,
        protocol: metadata.protocol.as_deref().map(Cow::Borrowed),
        leader: metadata.leader.as_deref().map(Cow::Borrowed),
        current_state_timestamp: metadata.state_since.0,
        members: members.collect(),
    }
}

fn decode_metadata(value: &[u8]) -> Result<GroupMetadata, RecordError> {
    let (version, body) = split_version("value", value)?;
    let value = read::<GroupMetadataValue<'_>>(version, body)?;
    let members = value.members.iter().map(|member| MemberMetadata {
        member_id: MemberId::from(&*member.member_id),
        instance_id: member.group_instance_id.as_deref().map(InstanceId::from),
        client_id: kept(&member.client_id),
        client_host: kept(&member.client_host),
        rebalance_timeout_ms: member.rebalance_timeout,
        session_timeout_ms: member.session_timeout,
        subscription: Bytes::copy_from_slice(&member.subscription),
        assignment: Bytes::copy_from_slice(&member.assignment),
    });
    Ok(GroupMetadata {
        protocol_type: kept(&value.protocol_type),
        generation: value.generation,
        protocol: value.protocol.as_deref().map(kept),
        leader: value.leader.as_deref().map(MemberId::from),
        state_since: Timestamp(value.current_state_timestamp),
        members: members.collect(),
    })
}
