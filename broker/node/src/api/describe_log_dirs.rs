//! DescribeLogDirs, v1–v5: the data directory, how full its disk is, and how large each partition is in it.
//!
//! Behaviour: the size of a partition is that of its `.log` files; one that was never written has none. There is one directory.
//!
//! References: KIP-113, KIP-827.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aquifer_broker_coordinator::topic::image::MetadataImage;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: DescribeLogDirsRequest<'a>,
) -> DescribeLogDirsResponse<'a> {
    let image = ctx.node.hosting.image();
    let partitions = asked(&image, &request);
    let directory = ctx.node.log_dir.clone();
    // Thousands of directories may have to be read.
    let look = tokio::task::spawn_blocking(move || look(&directory, &partitions));
    let (topics, space) = match look.await {
        Ok(looked) => looked,
        Err(error) => {
            tracing::error!(%error, "looking at the data directory ended by a panic");
            return DescribeLogDirsResponse {
                error_code: ErrorCode::UnknownServerError.code(),
                ..DescribeLogDirsResponse::default()
            };
        }
    };
    let (total_bytes, usable_bytes) = space.unwrap_or((-1, -1));
    let result = DescribeLogDirsResult {
        log_dir: Cow::Owned(ctx.node.log_dir.display().to_string()),
        topics,
        total_bytes,
        usable_bytes,
        ..DescribeLogDirsResult::default()
    };
    DescribeLogDirsResponse { results: vec![result], ..DescribeLogDirsResponse::default() }
}

/// A topic and some of its partitions.
type TopicPartitions = (Arc<str>, Vec<i32>);

/// What exists of what was asked for.
fn asked(image: &MetadataImage, request: &DescribeLogDirsRequest<'_>) -> Vec<TopicPartitions> {
    let indexes = |count: i32| (0..count).collect::<Vec<_>>();
    match &request.topics {
        None => image
            .topics()
            .map(|topic| (Arc::from(&*topic.name), indexes(topic.partition_count())))
            .collect(),
        Some(topics) => topics
            .iter()
            .filter_map(|asked| {
                let topic = image.topic(&asked.topic)?;
                let known = asked.partitions.iter().copied();
                let known: Vec<i32> = known.filter(|index| topic.has_partition(*index)).collect();
                (!known.is_empty()).then(|| (Arc::from(&*topic.name), known))
            })
            .collect(),
    }
}

/// The sizes of partitions, and the total and usable bytes of the disk. May take long.
fn look(
    directory: &Path,
    partitions: &[TopicPartitions],
) -> (Vec<DescribeLogDirsTopic<'static>>, Option<(i64, i64)>) {
    let topics = partitions.iter().map(|(topic, indexes)| DescribeLogDirsTopic {
        name: Cow::Owned(topic.to_string()),
        partitions: indexes
            .iter()
            .map(|index| DescribeLogDirsPartition {
                partition_index: *index,
                partition_size: size_of(&directory.join(format!("{topic}-{index}"))),
                ..DescribeLogDirsPartition::default()
            })
            .collect(),
    });
    (topics.collect(), space_of(directory))
}

/// The bytes of the segments in a directory; 0 where there is none.
fn size_of(directory: &PathBuf) -> i64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let segments = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "log"));
    let sizes = segments.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len());
    i64::try_from(sizes.sum::<u64>()).unwrap_or(i64::MAX)
}

fn space_of(directory: &Path) -> Option<(i64, i64)> {
    let space = rustix::fs::statvfs(directory).ok()?;
    let bytes =
        |blocks: u64| i64::try_from(blocks.saturating_mul(space.f_frsize)).unwrap_or(i64::MAX);
    Some((bytes(space.f_blocks), bytes(space.f_bavail)))
}
