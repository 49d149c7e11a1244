//! The partition a request names, and whether the client's idea of its leader is ours.

use std::sync::Arc;

use aquifer_broker_coordinator::topic::image::{MetadataImage, PartitionImage, TopicImage};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::primitive::Uuid;

use crate::context::RequestContext;
use crate::partition::Partition;

/// How a request names a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TopicKey<'a> {
    /// By name.
    Name(&'a str),
    /// By id, in the versions that have ids and no names.
    Id(Uuid),
}

/// The topic in the image.
pub(crate) fn topic<'i>(
    image: &'i MetadataImage,
    key: TopicKey<'_>,
) -> Result<&'i Arc<TopicImage>, ErrorCode> {
    match key {
        TopicKey::Name(name) => image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition),
        TopicKey::Id(id) => image.topic_by_id(&id).ok_or(ErrorCode::UnknownTopicId),
    }
}

/// A partition of a topic of the image.
pub(crate) fn partition(
    ctx: &RequestContext,
    topic: &TopicImage,
    index: i32,
) -> Result<Arc<Partition>, ErrorCode> {
    ctx.node.partitions.get(&topic.name, index).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// The leader epoch that clients are told: the open partition's, or what it will be opened with.
pub(crate) fn leader_epoch(
    ctx: &RequestContext,
    image: &MetadataImage,
    topic: &TopicImage,
    partition: &PartitionImage,
) -> i32 {
    let open = ctx.node.partitions.get(&topic.name, partition.index);
    open.map_or(partition.leader_epoch.max(image.generation), |open| open.leader_epoch())
}

/// A partition by the name of its topic.
pub(crate) fn partition_by_name(
    ctx: &RequestContext,
    name: &str,
    index: i32,
) -> Result<Arc<Partition>, ErrorCode> {
    let image = ctx.node.hosting.image();
    partition(ctx, topic(&image, TopicKey::Name(name))?, index)
}

/// Checks the leader epoch that a client last heard of; -1 is "none".
pub(crate) fn check_leader_epoch(partition: &Partition, claimed: i32) -> Result<(), ErrorCode> {
    let current = partition.leader_epoch();
    if claimed < 0 || claimed == current {
        Ok(())
    } else if claimed < current {
        Err(ErrorCode::FencedLeaderEpoch)
    } else {
        Err(ErrorCode::UnknownLeaderEpoch)
    }
}

/// Where the records of a leader epoch end: the largest epoch at or below it that the log knows, and its end.
/// The current epoch ends where the log does, even before it has records.
pub(crate) fn end_of_epoch(partition: &Partition, epoch: i32) -> Result<(i32, i64), ErrorCode> {
    if epoch == partition.leader_epoch() {
        return Ok((epoch, partition.offsets().log_end));
    }
    partition.offset_for_leader_epoch(epoch).map_err(|error| error.code())
}

/// The leader epoch under which the record at an offset was, or will be, written; -1 where the log does not know.
pub(crate) fn epoch_at(partition: &Partition, offset: i64) -> i32 {
    let mut epoch = partition.leader_epoch();
    while epoch > 0 {
        match partition.offset_for_leader_epoch(epoch - 1) {
            Ok((older, end)) if older >= 0 && end > offset => epoch = older,
            Ok(_) => break,
            Err(_) => return -1,
        }
    }
    epoch
}
