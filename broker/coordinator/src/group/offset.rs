//! Committed offsets: who may commit, what is kept, and when it expires.
//!
//! Differs from Kafka: in a classic group with members no offset expires, also of topics no longer subscribed to.

use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;

use super::classic::{ClassicGroup, GroupState};
use super::command::{CommitOffsets, FetchOffsets, FetchedOffset, OffsetToCommit};
use super::{Group, GroupRecord, GroupSettings, consumer};
use crate::Timestamp;

/// An offset as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// The client's own note.
    pub metadata: Arc<str>,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// An expiry of its own, from clients before OffsetCommit v5 (records of version 1).
    pub expires_at: Option<Timestamp>,
}

/// Refuses a commit that does not come from the group's current generation.
pub(super) fn validate_commit(
    group: Option<&ClassicGroup>,
    commit: &CommitOffsets,
) -> Result<(), ErrorCode> {
    let Some(group) = group else {
        // A client that only keeps its offsets here makes the group by committing.
        return if commit.generation < 0 { Ok(()) } else { Err(ErrorCode::IllegalGeneration) };
    };
    if commit.generation < 0 && group.state == GroupState::Empty {
        return Ok(());
    }
    if commit.generation < 0 && commit.member_id.is_empty() && commit.instance_id.is_none() {
        // Offsets of a group with members are its members' business.
        return Err(ErrorCode::UnknownMemberId);
    }
    group.validate_member(&commit.member_id, commit.instance_id.as_ref())?;
    if commit.generation != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    if group.state == GroupState::CompletingRebalance {
        // The member knows of the new generation, but its partitions may already be another's.
        return Err(ErrorCode::RebalanceInProgress);
    }
    Ok(())
}

/// The record that an offset of a commit leads to.
pub(super) fn record_for(
    now: Timestamp,
    settings: &GroupSettings,
    commit: &CommitOffsets,
    offset: &OffsetToCommit,
) -> Result<GroupRecord, ErrorCode> {
    // Kafka counts characters of Java strings; those never outnumber the bytes.
    let chars_max = settings.offset_metadata_chars_max;
    if offset.metadata.len() > chars_max && offset.metadata.encode_utf16().count() > chars_max {
        return Err(ErrorCode::OffsetMetadataTooLarge);
    }
    let committed = CommittedOffset {
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: Arc::clone(&offset.metadata),
        committed_at: now,
        expires_at: None,
    };
    Ok(GroupRecord::Offset {
        group_id: commit.group_id.clone(),
        topic: offset.topic.clone(),
        partition: offset.partition,
        committed: Some(committed),
    })
}

/// The answer to an OffsetFetch.
pub(super) fn fetch(
    group: Option<&Group>,
    fetch: &FetchOffsets,
) -> Result<Vec<FetchedOffset>, ErrorCode> {
    if let Some(consumer) = group.and_then(|group| group.consumer.as_deref()) {
        consumer::offset::validate_fetch(consumer, fetch.member.as_ref())?;
    }
    Ok(match &fetch.partitions {
        Some(partitions) => {
            let wanted = partitions.iter().map(|(topic, partition)| FetchedOffset {
                topic: topic.clone(),
                partition: *partition,
                committed: group
                    .and_then(|group| group.offsets.get(&(topic.clone(), *partition)).cloned()),
                is_pending: false,
            });
            wanted.collect()
        }
        None => {
            let all = group.into_iter().flat_map(|group| &group.offsets);
            let all = all.map(|((topic, partition), committed)| FetchedOffset {
                topic: topic.clone(),
                partition: *partition,
                committed: Some(committed.clone()),
                is_pending: false,
            });
            all.collect()
        }
    })
}

/// Whether an offset has outlived its use: `group` has had no members for the retention time, or, where there
/// never were any, nothing was committed for as long.
pub(super) fn is_expired(
    now: Timestamp,
    settings: &GroupSettings,
    group: &Group,
    offset: &CommittedOffset,
) -> bool {
    if let Some(expires_at) = offset.expires_at {
        return expires_at <= now;
    }
    if group.consumer.is_some() {
        return offset.committed_at.plus_ms(settings.offsets_retention_ms) <= now;
    }
    let since = match &group.metadata {
        Some(metadata) if !metadata.protocol_type.is_empty() && metadata.state_since.0 >= 0 => {
            metadata.state_since
        }
        Some(_) | None => offset.committed_at,
    };
    since.plus_ms(settings.offsets_retention_ms) <= now
}
