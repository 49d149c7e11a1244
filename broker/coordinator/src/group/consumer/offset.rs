//! Who may commit and read the offsets of a consumer group.

use aquifer_broker_protocol::ErrorCode;

use super::ConsumerGroup;
use super::member::ConsumerMember;
use crate::group::command::CommitOffsets;
use crate::group::id::MemberId;
use crate::topic::image::MetadataImage;

/// Refuses a commit that does not come from a member, or from one that may have lost the partitions since.
///
/// A member that does not know its newest epoch yet may commit for partitions that it had in the epoch it names.
pub(crate) fn validate_commit(
    group: &ConsumerGroup,
    commit: &CommitOffsets,
    topics: &MetadataImage,
) -> Result<(), ErrorCode> {
    if commit.generation < 0 && group.members.is_empty() {
        return Ok(());
    }
    let member = group.members.get(&commit.member_id).ok_or(ErrorCode::UnknownMemberId)?;
    if !commit.knows_member_epochs && !member.is_classic() {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let epoch = commit.generation;
    if epoch == member.current.epoch {
        return Ok(());
    }
    if epoch > member.current.epoch {
        return Err(stale(member));
    }
    let had_it = |topic: &str, partition: i32| {
        let topic_id = topics.topic(topic)?.id;
        member.current.assignment_epoch(&topic_id, partition).filter(|since| *since <= epoch)
    };
    if commit.offsets.iter().all(|offset| had_it(&offset.topic, offset.partition).is_some()) {
        Ok(())
    } else {
        Err(stale(member))
    }
}

/// Refuses to show offsets to a member that is not one any more. Who gives no member id is not asked for one.
pub(crate) fn validate_fetch(
    group: &ConsumerGroup,
    member: Option<&(MemberId, i32)>,
) -> Result<(), ErrorCode> {
    let Some((member_id, epoch)) = member else { return Ok(()) };
    let member = group.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)?;
    if *epoch == member.current.epoch { Ok(()) } else { Err(stale(member)) }
}

fn stale(member: &ConsumerMember) -> ErrorCode {
    if member.is_classic() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}
