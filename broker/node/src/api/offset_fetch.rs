//! OffsetFetch, v1–v10: up to where groups have read.
//!
//! Behaviour: -1 where nothing was committed, also for a group that does not exist. Topics null asks for all. Since
//! v7 an offset that an open transaction may change is withheld if the client wants stable ones (KIP-447). Since v8
//! several groups at once, since v9 a member of a consumer group is told if it is none any more (KIP-848), since v10
//! topics by id.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aquifer_broker_coordinator::group::command::{
    FetchOffsets, FetchedOffset, GroupCommand, GroupReply,
};
use aquifer_broker_coordinator::group::id::{GroupId, MemberId, TopicName};
use aquifer_broker_coordinator::topic::image::MetadataImage;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopics, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use aquifer_broker_protocol::primitive::Uuid;
use futures_util::future::join_all;

use crate::context::RequestContext;

/// Whose offsets, and on what terms.
struct Asked<'a> {
    group_id: &'a str,
    /// The member that asks, with its epoch.
    member: Option<(MemberId, i32)>,
    stability: Stability,
}

/// Whether offsets that an open transaction may change are withheld.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stability {
    Required,
    NotRequired,
}

impl Stability {
    fn of(require_stable: bool) -> Self {
        if require_stable { Self::Required } else { Self::NotRequired }
    }
}

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: OffsetFetchRequest<'a>,
) -> OffsetFetchResponse<'a> {
    if ctx.api_version < 8 {
        return handle_one_group(ctx, request).await;
    }
    let stability = Stability::of(request.require_stable);
    let groups = request.groups.into_iter().map(|group| async move {
        let topics = group.topics.as_deref();
        let member = group.member_id.as_deref();
        let asked = Asked {
            group_id: &group.group_id,
            member: member.map(|id| (MemberId::from(id), group.member_epoch)),
            stability,
        };
        let fetched = if ctx.api_version < 10 {
            fetch_by_name(ctx, asked, topics).await
        } else {
            fetch_by_id(ctx, asked, topics).await
        };
        let (error, topics) =
            fetched.map_or_else(|error| (error, Vec::new()), |topics| (ErrorCode::None, topics));
        OffsetFetchResponseGroup { group_id: group.group_id, topics, error_code: error.code() }
    });
    OffsetFetchResponse { groups: join_all(groups).await, ..OffsetFetchResponse::default() }
}

async fn handle_one_group<'a>(
    ctx: &RequestContext,
    request: OffsetFetchRequest<'a>,
) -> OffsetFetchResponse<'a> {
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        });
        topics.collect::<Vec<_>>()
    });
    let stability = Stability::of(request.require_stable);
    let asked = Asked { group_id: &request.group_id, member: None, stability };
    let fetched = fetch_by_name(ctx, asked, topics.as_deref()).await;
    let (error, fetched) = match fetched {
        Ok(fetched) => (ErrorCode::None, fetched),
        // v1 has no place for an error of the whole.
        Err(error) => {
            (error, topics.as_deref().map(|topics| with_error(topics, error)).unwrap_or_default())
        }
    };
    let topics = fetched.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
            .collect(),
    });
    OffsetFetchResponse {
        topics: topics.collect(),
        error_code: error.code(),
        ..OffsetFetchResponse::default()
    }
}

async fn fetch_by_name(
    ctx: &RequestContext,
    asked: Asked<'_>,
    topics: Option<&[OffsetFetchRequestTopics<'_>]>,
) -> Result<Vec<OffsetFetchResponseTopics<'static>>, ErrorCode> {
    let partitions = topics.map(|topics| {
        let named = topics.iter().flat_map(|topic| {
            let name = TopicName::from(&*topic.name);
            topic.partition_indexes.iter().map(move |index| (name.clone(), *index))
        });
        named.collect()
    });
    let stability = asked.stability;
    let fetched = fetch(ctx, asked, partitions).await?;
    let by_topic = by_topic(fetched, stability).into_iter().map(|(name, partitions)| {
        OffsetFetchResponseTopics {
            name: Cow::Owned(name.to_string()),
            partitions,
            ..OffsetFetchResponseTopics::default()
        }
    });
    Ok(by_topic.collect())
}

async fn fetch_by_id(
    ctx: &RequestContext,
    asked: Asked<'_>,
    topics: Option<&[OffsetFetchRequestTopics<'_>]>,
) -> Result<Vec<OffsetFetchResponseTopics<'static>>, ErrorCode> {
    let image = ctx.node.hosting.image();
    let name_of = |topic: &OffsetFetchRequestTopics<'_>| {
        image.topic_by_id(&topic.topic_id).map(|t| t.name.clone())
    };
    let partitions = topics.map(|topics| {
        let known =
            topics.iter().filter_map(|topic| Some((name_of(topic)?, &topic.partition_indexes)));
        let known = known
            .flat_map(|(name, indexes)| indexes.iter().map(move |index| (name.clone(), *index)));
        known.collect::<Vec<_>>()
    });
    let stability = asked.stability;
    let fetched = by_topic(fetch(ctx, asked, partitions).await?, stability);
    let known = fetched.into_iter().filter_map(|(name, partitions)| {
        let topic_id = id_of(&image, &name)?;
        Some(OffsetFetchResponseTopics {
            topic_id,
            partitions,
            ..OffsetFetchResponseTopics::default()
        })
    });
    let mut response = known.collect::<Vec<_>>();
    let unknown = topics.unwrap_or_default().iter().filter(|topic| name_of(topic).is_none());
    response.extend(
        unknown
            .flat_map(|topic| with_error(std::slice::from_ref(topic), ErrorCode::UnknownTopicId)),
    );
    Ok(response)
}

fn id_of(image: &MetadataImage, name: &str) -> Option<Uuid> {
    image.topic(name).map(|topic| topic.id)
}

async fn fetch(
    ctx: &RequestContext,
    asked: Asked<'_>,
    partitions: Option<Vec<(TopicName, i32)>>,
) -> Result<Vec<FetchedOffset>, ErrorCode> {
    let group_id = asked.group_id;
    let command =
        FetchOffsets { group_id: GroupId::from(group_id), partitions, member: asked.member };
    match ctx.node.hosting.ask_group(group_id, GroupCommand::FetchOffsets(command)).await {
        Ok(GroupReply::Offsets(offsets)) => offsets,
        Ok(_) => Err(ErrorCode::UnknownServerError),
        Err(error) => Err(error.group_code()),
    }
}

fn by_topic(
    fetched: Vec<FetchedOffset>,
    stability: Stability,
) -> BTreeMap<TopicName, Vec<OffsetFetchResponsePartitions<'static>>> {
    let mut topics = BTreeMap::<_, Vec<_>>::new();
    for offset in fetched {
        let partition = match offset.committed {
            _ if offset.is_pending && stability == Stability::Required => {
                nothing(offset.partition, ErrorCode::UnstableOffsetCommit)
            }
            Some(committed) => OffsetFetchResponsePartitions {
                partition_index: offset.partition,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch,
                metadata: Some(Cow::Owned(committed.metadata.to_string())),
                ..OffsetFetchResponsePartitions::default()
            },
            None => nothing(offset.partition, ErrorCode::None),
        };
        topics.entry(offset.topic).or_default().push(partition);
    }
    topics
}

fn with_error(
    topics: &[OffsetFetchRequestTopics<'_>],
    error: ErrorCode,
) -> Vec<OffsetFetchResponseTopics<'static>> {
    let topics = topics.iter().map(|topic| OffsetFetchResponseTopics {
        name: Cow::Owned(topic.name.to_string()),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(|index| nothing(*index, error)).collect(),
    });
    topics.collect()
}

fn nothing(partition_index: i32, error: ErrorCode) -> OffsetFetchResponsePartitions<'static> {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(Cow::Borrowed("")),
        error_code: error.code(),
    }
}
