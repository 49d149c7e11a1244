//! FindCoordinator, OffsetCommit, OffsetFetch and OffsetDelete of groups without members.

use aquifer_broker_protocol::Uuid;
use aquifer_broker_protocol::message::delete_groups::DeleteGroupsRequest;
use aquifer_broker_protocol::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use aquifer_broker_protocol::message::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use aquifer_broker_protocol::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};

use super::caller::Caller;
use super::requests::{coordinator, of, s};

/// A commit of one partition; by id from v10 on.
pub(crate) fn commit(
    version: i16,
    group: &str,
    (name, id): (&str, Uuid),
    partition_index: i32,
    offset: i64,
    metadata: Option<&str>,
) -> OffsetCommitRequest<'static> {
    let partition = of!(OffsetCommitRequestPartition<'static> {
        partition_index,
        committed_offset: offset,
        committed_metadata: metadata.map(s),
    });
    let topic = if version >= 10 {
        OffsetCommitRequestTopic { name: s(""), topic_id: id, partitions: vec![partition] }
    } else {
        OffsetCommitRequestTopic {
            name: s(name),
            topic_id: Uuid::ZERO,
            partitions: vec![partition],
        }
    };
    of!(OffsetCommitRequest<'static> { group_id: s(group), topics: vec![topic] })
}

/// What a group committed for some partitions, or for all.
pub(crate) fn committed(
    version: i16,
    group: &str,
    (name, id): (&str, Uuid),
    partitions: Option<&[i32]>,
) -> OffsetFetchRequest<'static> {
    if version < 8 {
        let topics = partitions.map(|partitions| {
            vec![OffsetFetchRequestTopic { name: s(name), partition_indexes: partitions.to_vec() }]
        });
        return of!(OffsetFetchRequest<'static> { group_id: s(group), topics });
    }
    let topics = partitions.map(|partitions| {
        let (name, topic_id) = if version >= 10 { (s(""), id) } else { (s(name), Uuid::ZERO) };
        vec![OffsetFetchRequestTopics { name, topic_id, partition_indexes: partitions.to_vec() }]
    });
    let group = of!(OffsetFetchRequestGroup<'static> { group_id: s(group), topics });
    of!(OffsetFetchRequest<'static> { groups: vec![group] })
}

pub(crate) async fn script(c: &mut Caller) {
    let g = c.group("g").await;
    c.calls("a group", 0, |v| if v == 0 { coordinator(0, 0, &g) } else { coordinator(v, 0, &g) })
        .await;
    c.new_call("an empty group", coordinator(6, 0, "")).await;
    c.new_call("an unknown kind", coordinator(6, 9, &g)).await;
    c.call("an unknown kind", 3, coordinator(3, 9, &g)).await;
    let mut several = coordinator(6, 0, &g);
    several.coordinator_keys.extend([s(""), s(&c.name("other"))]);
    c.new_call("several", several).await;
    let (name, id) = c.topic("t", 3, &[]).await;
    let t = (name.as_str(), id);
    let unknown = c.name("unknown");
    let nobody = (unknown.as_str(), Uuid([8; 16]));
    c.calls("before anything is committed", 1, |v| committed(v, &g, t, Some(&[0, 1]))).await;
    c.calls("a commit", 2, |v| commit(v, &g, t, 0, i64::from(v), Some("note"))).await;
    c.calls("what was committed", 1, |v| committed(v, &g, t, Some(&[0, 1, 9]))).await;
    c.calls("all that was committed", 2, |v| committed(v, &g, t, None)).await;
    c.calls("of no topics", 1, |v| {
        let mut request = committed(v, &g, t, Some(&[]));
        if v < 8 {
            request.topics = Some(vec![])
        } else {
            request.groups[0].topics = Some(vec![])
        }
        request
    })
    .await;
    for version in [2, 9, 10] {
        c.call("no note", version, commit(version, &g, t, 1, 5, None)).await;
        c.call("a long note", version, commit(version, &g, t, 1, 5, Some(&"x".repeat(4096)))).await;
        c.call(
            "a note that is too long",
            version,
            commit(version, &g, t, 1, 5, Some(&"x".repeat(4097))),
        )
        .await;
        c.call("an unknown partition", version, commit(version, &g, t, 9, 5, None)).await;
        c.call("an unknown topic", version, commit(version, &g, nobody, 0, 5, None)).await;
        c.call("below zero", version, commit(version, &g, t, 2, -1, None)).await;
        c.call("an empty group", version, commit(version, "", t, 0, 5, None)).await;
        let mut member = commit(version, &g, t, 0, 5, None);
        member.member_id = s("nobody");
        c.call("a member that is not there", version, member.clone()).await;
        member.generation_id_or_member_epoch = 3;
        c.call("a member of a generation", version, member.clone()).await;
        member.member_id = s("");
        c.call("a generation without a member", version, member).await;
    }
    let mut empty = commit(9, &g, t, 0, 5, None);
    empty.topics = vec![];
    c.call("a commit of nothing", 9, empty).await;
    c.new_call("what is committed now", committed(10, &g, t, None)).await;
    c.new_call("of an unknown topic", committed(10, &g, nobody, Some(&[0]))).await;
    c.call("of an unknown topic", 9, committed(9, &g, nobody, Some(&[0]))).await;
    let nobodys = c.group("nobodys").await;
    c.calls("of an unknown group", 1, |v| committed(v, &nobodys, t, Some(&[0]))).await;
    c.calls("all of an unknown group", 2, |v| committed(v, &nobodys, t, None)).await;
    c.new_call("of an empty group", committed(10, "", t, Some(&[0]))).await;
    let mut two = committed(9, &g, t, Some(&[0]));
    two.groups.extend(committed(9, &nobodys, t, None).groups);
    c.call("two groups", 9, two.clone()).await;
    two.require_stable = true;
    c.call("two groups, stable", 9, two).await;
    let mut with_member = committed(9, &g, t, Some(&[0]));
    with_member.groups[0].member_id = Some(s("nobody"));
    with_member.groups[0].member_epoch = 2;
    c.call("as a member that is not there", 9, with_member).await;
    deleting(c, &g, t).await;
}

async fn deleting(c: &mut Caller, g: &str, t: (&str, Uuid)) {
    let ask = |group: &str, name: &str, partitions: &[i32]| {
        let partitions = partitions
            .iter()
            .map(|partition_index| OffsetDeleteRequestPartition {
                partition_index: *partition_index,
            })
            .collect();
        let topics = vec![OffsetDeleteRequestTopic { name: s(name), partitions }];
        of!(OffsetDeleteRequest<'static> { group_id: s(group), topics })
    };
    let unknown = c.name("unknown");
    let nobodys = c.name("nobodys");
    c.call("an offset", 0, ask(g, t.0, &[0])).await;
    c.call("offsets that are not there", 0, ask(g, t.0, &[0, 2])).await;
    c.call("an unknown partition", 0, ask(g, t.0, &[9])).await;
    c.call("an unknown topic", 0, ask(g, &unknown, &[0])).await;
    c.call("an unknown group", 0, ask(&nobodys, t.0, &[0])).await;
    c.call("an empty group", 0, ask("", t.0, &[0])).await;
    c.new_call("what is left", committed(10, g, t, None)).await;
    let groups = |names: &[&str]| DeleteGroupsRequest {
        groups_names: names.iter().map(|name| s(name)).collect(),
    };
    c.calls("a group that is not there", 0, |_| groups(&[&nobodys])).await;
    c.new_call("an empty name", groups(&[""])).await;
    c.new_call("a group and another", groups(&[g, &nobodys])).await;
    c.new_call("after the group is gone", committed(10, g, t, None)).await;
}
