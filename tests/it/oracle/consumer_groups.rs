//! ConsumerGroupHeartbeat and ConsumerGroupDescribe: groups whose broker assigns, and the way between both kinds.

use std::borrow::Cow;

use aquifer_broker_protocol::Uuid;
use aquifer_broker_protocol::message::consumer_group_describe::ConsumerGroupDescribeRequest;
use aquifer_broker_protocol::message::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use aquifer_broker_protocol::message::delete_groups::DeleteGroupsRequest;
use aquifer_broker_protocol::message::describe_groups::DescribeGroupsRequest;
use aquifer_broker_protocol::message::offset_commit::OffsetCommitRequest;

use super::caller::Caller;
use super::classic_groups::{join, sync};
use super::offsets::{commit, committed};
use super::requests::{of, s};

/// Ids that members give themselves, the same on both sides.
const A: &str = "AAAAAAAAAAAAAAAAAAAAAA";
const B: &str = "BBBBBBBBBBBBBBBBBBBBBA";
const C: &str = "CCCCCCCCCCCCCCCCCCCCCA";

fn names(topics: &[&str]) -> Option<Vec<Cow<'static, str>>> {
    Some(topics.iter().map(|topic| s(topic)).collect())
}

/// The first beat of a member.
fn joins(group: &str, member: &str, topics: &[&str]) -> ConsumerGroupHeartbeatRequest<'static> {
    of!(ConsumerGroupHeartbeatRequest<'static> {
        group_id: s(group),
        member_id: s(member),
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: names(topics),
        topic_partitions: Some(vec![]),
    })
}

/// A beat with nothing new; what is owned is said where it is given.
fn beats(
    group: &str,
    member: &str,
    epoch: i32,
    owned: Option<(Uuid, &[i32])>,
) -> ConsumerGroupHeartbeatRequest<'static> {
    let topic_partitions = owned.map(|(topic_id, partitions)| {
        if partitions.is_empty() {
            vec![]
        } else {
            vec![TopicPartitions { topic_id, partitions: partitions.to_vec() }]
        }
    });
    of!(ConsumerGroupHeartbeatRequest<'static> { group_id: s(group), member_id: s(member), member_epoch: epoch, topic_partitions })
}

fn describe(group: &str) -> ConsumerGroupDescribeRequest<'static> {
    of!(ConsumerGroupDescribeRequest<'static> { group_ids: vec![s(group)] })
}

/// What a member was given, if it was told.
fn given(answer: &ConsumerGroupHeartbeatResponse<'_>) -> Vec<i32> {
    let topics = answer.assignment.iter().flat_map(|assignment| &assignment.topic_partitions);
    topics.flat_map(|topic| topic.partitions.clone()).collect()
}

pub(crate) async fn script(c: &mut Caller) {
    let (name, id) = c.topic("t", 4, &[]).await;
    let t = (name.as_str(), id);
    refusals(c, t).await;
    one_member(c, t).await;
    two_members(c, t).await;
    static_members(c, t).await;
    subscriptions(c, t).await;
    both_kinds(c, t).await;
}

async fn refusals(c: &mut Caller, t: (&str, Uuid)) {
    let g = c.group("refused").await;
    let good = joins(&g, A, &[t.0]);
    let v = c.newest::<ConsumerGroupHeartbeatRequest<'static>>();
    for (step, request) in [
        ("an empty group", joins("", A, &[t.0])),
        ("no timeout", ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..good.clone() }),
        (
            "no topics",
            ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..good.clone() },
        ),
        (
            "nothing owned said",
            ConsumerGroupHeartbeatRequest { topic_partitions: None, ..good.clone() },
        ),
        (
            "something owned",
            ConsumerGroupHeartbeatRequest {
                topic_partitions: Some(vec![TopicPartitions {
                    topic_id: t.1,
                    partitions: vec![0],
                }]),
                ..good.clone()
            },
        ),
        (
            "an empty instance",
            ConsumerGroupHeartbeatRequest { instance_id: Some(s("")), ..good.clone() },
        ),
        ("an empty rack", ConsumerGroupHeartbeatRequest { rack_id: Some(s("")), ..good.clone() }),
        (
            "an unknown assignor",
            ConsumerGroupHeartbeatRequest { server_assignor: Some(s("magic")), ..good.clone() },
        ),
        (
            "a bad pattern",
            ConsumerGroupHeartbeatRequest {
                subscribed_topic_names: None,
                subscribed_topic_regex: Some(s("(")),
                ..good.clone()
            },
        ),
        ("no id", joins(&g, "", &[t.0])),
        ("an epoch from nowhere", beats(&g, A, 5, None)),
        ("an epoch below -2", beats(&g, A, -3, None)),
        ("leaving what is not there", beats(&g, A, -1, None)),
        ("a static leave without a name", beats(&g, A, -2, None)),
    ] {
        c.call(step, v, request).await;
    }
    c.calls("describe what is not there", 0, |_| describe(&g)).await;
    c.new_call("describe an empty name", describe("")).await;
}

async fn one_member(c: &mut Caller, t: (&str, Uuid)) {
    for version in [0, 1] {
        let g = c.group(&format!("one-{version}")).await;
        let id = if version == 0 { "" } else { A };
        let answer = c.call("joins", version, joins(&g, id, &[t.0])).await;
        let member = answer.member_id.clone().unwrap_or_default().into_owned();
        let epoch = answer.member_epoch;
        let partitions = given(&answer);
        c.call("described before it owns", version, describe(&g)).await;
        c.call(
            "owns what it was given",
            version,
            beats(&g, &member, epoch, Some((t.1, &partitions))),
        )
        .await;
        c.call("beats", version, beats(&g, &member, epoch, None)).await;
        c.call("described", version, describe(&g)).await;
        c.call(
            "described as a classic one",
            6,
            of!(DescribeGroupsRequest<'static> { groups: vec![s(&g)] }),
        )
        .await;
        c.call(
            "described as a classic one",
            5,
            of!(DescribeGroupsRequest<'static> { groups: vec![s(&g)] }),
        )
        .await;
        c.call("beats in an epoch to come", version, beats(&g, &member, epoch + 5, None)).await;
        c.call("beats as another", version, beats(&g, B, epoch, None)).await;
        let by = |epoch: i32, member: &str, offset: i64| OffsetCommitRequest {
            generation_id_or_member_epoch: epoch,
            member_id: s(member),
            ..commit(9, &g, t, 0, offset, None)
        };
        c.call("commits", 9, by(epoch, &member, 3)).await;
        c.call("commits in an old epoch", 9, by(epoch - 1, &member, 4)).await;
        c.call("commits in an epoch to come", 9, by(epoch + 1, &member, 4)).await;
        c.call("commits as another", 9, by(epoch, B, 4)).await;
        c.call("commits from outside", 9, commit(9, &g, t, 0, 4, None)).await;
        c.call(
            "commits in an old version",
            8,
            OffsetCommitRequest {
                generation_id_or_member_epoch: epoch,
                member_id: s(&member),
                ..commit(8, &g, t, 0, 5, None)
            },
        )
        .await;
        let mut read = committed(9, &g, t, Some(&[0]));
        read.groups[0].member_id = Some(s(&member));
        read.groups[0].member_epoch = epoch;
        c.call("reads its offsets", 9, read.clone()).await;
        read.groups[0].member_epoch = epoch + 3;
        c.call("reads its offsets in another epoch", 9, read).await;
        c.call("reads its offsets from outside", 9, committed(9, &g, t, Some(&[0]))).await;
        let delete = DeleteGroupsRequest { groups_names: vec![s(&g)] };
        c.new_call("is not deleted", delete.clone()).await;
        c.call("as a classic member", 9, join(&g, "", None, &["range"])).await;
        let left = c.call("leaves", version, beats(&g, &member, -1, None)).await;
        let _ = left;
        c.call("leaves again", version, beats(&g, &member, -1, None)).await;
        c.call("described, empty", version, describe(&g)).await;
        c.new_call("is deleted", delete).await;
        c.call("described, deleted", version, describe(&g)).await;
    }
}

async fn two_members(c: &mut Caller, t: (&str, Uuid)) {
    let g = c.group("two").await;
    let v = 1;
    let first = c.call("the first joins", v, joins(&g, A, &[t.0])).await;
    c.call("the first owns all", v, beats(&g, A, first.member_epoch, Some((t.1, &[0, 1, 2, 3]))))
        .await;
    c.call("the second joins", v, joins(&g, B, &[t.0])).await;
    c.call("while the first has not given up", v, describe(&g)).await;
    let asked = c
        .settle(
            v,
            || beats(&g, A, first.member_epoch, Some((t.1, &[0, 1, 2, 3]))),
            |answer| answer.assignment.is_some() || answer.error_code != 0,
        )
        .await;
    let kept = given(&asked);
    let gave = c
        .call(
            "the first gives up what it is asked",
            v,
            beats(&g, A, asked.member_epoch, Some((t.1, &kept))),
        )
        .await;
    c.call("while the second has not taken", v, describe(&g)).await;
    let taken = c
        .settle(
            v,
            || beats(&g, B, gave.member_epoch, Some((t.1, &[]))),
            |answer| !given(answer).is_empty() || answer.error_code != 0,
        )
        .await;
    let others = given(&taken);
    c.call("the second owns the rest", v, beats(&g, B, taken.member_epoch, Some((t.1, &others))))
        .await;
    c.call("both", v, describe(&g)).await;
    c.call("the first in its old epoch", v, beats(&g, A, first.member_epoch, Some((t.1, &kept))))
        .await;
    c.call(
        "the first in its old epoch with all",
        v,
        beats(&g, A, first.member_epoch, Some((t.1, &[0, 1, 2, 3]))),
    )
    .await;
    c.call("the second leaves", v, beats(&g, B, -1, None)).await;
    let back = c
        .settle(
            v,
            || beats(&g, A, gave.member_epoch, None),
            |answer| given(answer).len() == 4 || answer.error_code != 0,
        )
        .await;
    c.call(
        "the first owns all again",
        v,
        beats(&g, A, back.member_epoch, Some((t.1, &given(&back)))),
    )
    .await;
    c.call("the first alone", v, describe(&g)).await;
    c.call("the first starts anew", v, joins(&g, A, &[t.0])).await;
    c.call(
        "asks for the other assignor",
        v,
        ConsumerGroupHeartbeatRequest {
            server_assignor: Some(s("range")),
            ..beats(&g, A, back.member_epoch, None)
        },
    )
    .await;
    c.call("with the other assignor", v, describe(&g)).await;
    c.call("the first leaves", v, beats(&g, A, -1, None)).await;
}

async fn static_members(c: &mut Caller, t: (&str, Uuid)) {
    let g = c.group("static").await;
    let v = 1;
    let named = |request: ConsumerGroupHeartbeatRequest<'static>, name: &str| {
        ConsumerGroupHeartbeatRequest { instance_id: Some(s(name)), ..request }
    };
    let first = c.call("a static one joins", v, named(joins(&g, A, &[t.0]), "i1")).await;
    c.call(
        "it owns all",
        v,
        named(beats(&g, A, first.member_epoch, Some((t.1, &[0, 1, 2, 3]))), "i1"),
    )
    .await;
    c.call("another with its name", v, named(joins(&g, B, &[t.0]), "i1")).await;
    c.call("it goes for a while", v, named(beats(&g, A, -2, None), "i1")).await;
    c.call("while it is away", v, describe(&g)).await;
    let back = c.call("it comes back with another id", v, named(joins(&g, C, &[t.0]), "i1")).await;
    c.call(
        "it owns what it had",
        v,
        named(beats(&g, C, back.member_epoch, Some((t.1, &given(&back)))), "i1"),
    )
    .await;
    c.call("as it was before", v, named(beats(&g, A, first.member_epoch, None), "i1")).await;
    c.call("after it is back", v, describe(&g)).await;
    c.call("it leaves for good", v, named(beats(&g, C, -1, None), "i1")).await;
    c.call("when it is gone", v, describe(&g)).await;
}

async fn subscriptions(c: &mut Caller, t: (&str, Uuid)) {
    let g = c.group("subscribed").await;
    let v = 1;
    let unknown = c.name("unknown");
    let joined = c.call("to what is not there", v, joins(&g, A, &[&unknown])).await;
    let (second, second_id) = c.topic("second", 2, &[]).await;
    let both = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: names(&[t.0, &second]),
        ..beats(&g, A, joined.member_epoch, None)
    };
    let answer = c.call("to two", v, both).await;
    let owned = vec![
        TopicPartitions { topic_id: t.1, partitions: vec![0, 1, 2, 3] },
        TopicPartitions { topic_id: second_id, partitions: vec![0, 1] },
    ];
    c.call(
        "owns of two",
        v,
        ConsumerGroupHeartbeatRequest {
            topic_partitions: Some(owned),
            ..beats(&g, A, answer.member_epoch, None)
        },
    )
    .await;
    c.call("of two", v, describe(&g)).await;
    c.call(
        "to none",
        v,
        ConsumerGroupHeartbeatRequest {
            subscribed_topic_names: names(&[]),
            ..beats(&g, A, answer.member_epoch, None)
        },
    )
    .await;
    c.call("leaves", v, beats(&g, A, -1, None)).await;
    let h = c.group("by-pattern").await;
    let pattern = format!("{}.*", c.name("sec"));
    let by_pattern = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(s(&pattern)),
        ..joins(&h, A, &[])
    };
    let first = std::cell::RefCell::default();
    c.call_then("to a pattern", v, by_pattern, |answer| {
        *first.borrow_mut() = answer.clone();
        // Patterns are looked up beside the group: whether the first answer has them is chance.
        (answer.assignment, answer.member_epoch) = (None, 0);
    })
    .await;
    let first: ConsumerGroupHeartbeatResponse<'static> = first.into_inner();
    let epoch = std::cell::Cell::new(first.member_epoch);
    let settled = if given(&first).is_empty() {
        c.settle(
            v,
            || beats(&h, A, epoch.get(), None),
            |answer| {
                epoch.set(answer.member_epoch);
                !given(answer).is_empty() || answer.error_code != 0
            },
        )
        .await
    } else {
        first
    };
    let owned = beats(&h, A, settled.member_epoch, Some((second_id, &given(&settled))));
    c.call_then("owns what fits the pattern", v, owned, |answer| answer.member_epoch = 0).await;
    c.call_then("fits the pattern", v, describe(&h), |answer| {
        for group in &mut answer.groups {
            (group.group_epoch, group.assignment_epoch) = (0, 0);
            group.members.iter_mut().for_each(|member| member.member_epoch = 0);
        }
    })
    .await;
    c.call("leaves the pattern", v, beats(&h, A, -1, None)).await;
}

async fn both_kinds(c: &mut Caller, t: (&str, Uuid)) {
    let g = c.group("was-classic").await;
    let told = c.call("a classic one is told an id", 9, join(&g, "", None, &["range"])).await;
    let classic = told.member_id.into_owned();
    let joined =
        c.call("it joins", 9, with_subscription(join(&g, &classic, None, &["range"]), t.0)).await;
    c.call(
        "it syncs",
        5,
        sync(&g, joined.generation_id, &classic, &[(&classic, "\0\u{1}\0\0\0\0\0\0\0\0")]),
    )
    .await;
    // Which partitions go to whom follows from the ids, and the broker gave one of them: only how many is compared.
    let count = |partitions: &mut Vec<i32>| {
        *partitions = vec![i32::try_from(partitions.len()).unwrap_or(0)]
    };
    c.call_then("a new one joins the classic group", 1, joins(&g, A, &[t.0]), |answer| {
        let topics =
            answer.assignment.iter_mut().flat_map(|assignment| &mut assignment.topic_partitions);
        topics.for_each(|topic| count(&mut topic.partitions));
    })
    .await;
    c.call_then("described as a new one", 1, describe(&g), |answer| {
        for member in answer.groups.iter_mut().flat_map(|group| &mut group.members) {
            for assignment in [&mut member.assignment, &mut member.target_assignment] {
                assignment
                    .topic_partitions
                    .iter_mut()
                    .for_each(|topic| count(&mut topic.partitions));
            }
        }
    })
    .await;
    c.call("the new one leaves", 1, beats(&g, A, -1, None)).await;
    c.call_then(
        "described as a classic one again",
        6,
        of!(DescribeGroupsRequest<'static> { groups: vec![s(&g)] }),
        |answer| {
            for member in answer.groups.iter_mut().flat_map(|group| &mut group.members) {
                let bytes = i8::try_from(member.member_assignment.len().min(1)).unwrap_or(0);
                member.member_assignment = vec![bytes.unsigned_abs()].into();
            }
        },
    )
    .await;
    let empty = c.group("was-empty").await;
    c.call("offsets from outside", 9, commit(9, &empty, t, 0, 3, None)).await;
    c.call("a new one joins the empty group", 1, joins(&empty, A, &[t.0])).await;
    c.call("its offsets are there", 9, committed(9, &empty, t, Some(&[0]))).await;
    c.call("and leaves", 1, beats(&empty, A, -1, None)).await;
    c.call("a classic one joins the empty new group", 9, join(&empty, "", None, &["range"])).await;
}

/// The classic member's subscription, as a consumer writes it: version 1, one topic, no user data, nothing owned.
fn with_subscription(
    mut request: aquifer_broker_protocol::message::join_group::JoinGroupRequest<'static>,
    topic: &str,
) -> aquifer_broker_protocol::message::join_group::JoinGroupRequest<'static> {
    let mut metadata = vec![0, 1, 0, 0, 0, 1];
    metadata.extend_from_slice(&u16::try_from(topic.len()).unwrap().to_be_bytes());
    metadata.extend_from_slice(topic.as_bytes());
    metadata.extend_from_slice(&[255, 255, 255, 255, 0, 0, 0, 0]);
    for protocol in &mut request.protocols {
        protocol.metadata = metadata.clone().into();
    }
    request
}
