//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup, DescribeGroups, ListGroups, DeleteGroups: the life of a classic group.

use aquifer_broker_protocol::Uuid;
use aquifer_broker_protocol::message::delete_groups::DeleteGroupsRequest;
use aquifer_broker_protocol::message::describe_groups::DescribeGroupsRequest;
use aquifer_broker_protocol::message::heartbeat::HeartbeatRequest;
use aquifer_broker_protocol::message::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use aquifer_broker_protocol::message::leave_group::{LeaveGroupRequest, MemberIdentity};
use aquifer_broker_protocol::message::list_groups::ListGroupsRequest;
use aquifer_broker_protocol::message::offset_commit::OffsetCommitRequest;
use aquifer_broker_protocol::message::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::caller::Caller;
use super::offsets::{commit, committed};
use super::requests::{of, s};

pub(crate) fn join(
    group: &str,
    member: &str,
    instance: Option<&str>,
    protocols: &[&str],
) -> JoinGroupRequest<'static> {
    let protocols = protocols
        .iter()
        .map(|name| JoinGroupRequestProtocol {
            name: s(name),
            metadata: b"\0\x01\0\0\0\0\0\0\0\0".to_vec().into(),
        })
        .collect();
    of!(JoinGroupRequest<'static> {
        group_id: s(group),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: s(member),
        group_instance_id: instance.map(s),
        protocol_type: s("consumer"),
        protocols,
    })
}

pub(crate) fn sync(
    group: &str,
    generation: i32,
    member: &str,
    assigned: &[(&str, &str)],
) -> SyncGroupRequest<'static> {
    let assignments = assigned
        .iter()
        .map(|(member, bytes)| SyncGroupRequestAssignment {
            member_id: s(member),
            assignment: bytes.as_bytes().to_vec().into(),
        })
        .collect();
    of!(SyncGroupRequest<'static> {
        group_id: s(group),
        generation_id: generation,
        member_id: s(member),
        // From v5 on these must be there.
        protocol_type: Some(s("consumer")),
        protocol_name: Some(s("range")),
        assignments,
    })
}

/// The same for a group that agreed on another protocol.
fn sync_of(protocol: &str, request: SyncGroupRequest<'static>) -> SyncGroupRequest<'static> {
    SyncGroupRequest { protocol_name: Some(s(protocol)), ..request }
}

fn heartbeat(group: &str, generation: i32, member: &str) -> HeartbeatRequest<'static> {
    of!(HeartbeatRequest<'static> { group_id: s(group), generation_id: generation, member_id: s(member) })
}

fn leave(
    version: i16,
    group: &str,
    members: &[(&str, Option<&str>)],
) -> LeaveGroupRequest<'static> {
    if version < 3 {
        let member = members.first().map_or("", |(member, _)| member);
        return of!(LeaveGroupRequest<'static> { group_id: s(group), member_id: s(member) });
    }
    let members = members
        .iter()
        .map(|(member, instance)| of!(MemberIdentity<'static> { member_id: s(member), group_instance_id: instance.map(s) }))
        .collect();
    of!(LeaveGroupRequest<'static> { group_id: s(group), members })
}

fn describe(group: &str) -> DescribeGroupsRequest<'static> {
    of!(DescribeGroupsRequest<'static> { groups: vec![s(group)] })
}

fn as_member(
    generation: i32,
    member: &str,
    request: OffsetCommitRequest<'static>,
) -> OffsetCommitRequest<'static> {
    OffsetCommitRequest {
        generation_id_or_member_epoch: generation,
        member_id: s(member),
        ..request
    }
}

pub(crate) async fn script(c: &mut Caller) {
    let (name, id) = c.topic("t", 3, &[]).await;
    let t = (name.as_str(), id);
    refusals(c).await;
    one_member(c, t).await;
    two_members(c, t).await;
    static_members(c).await;
    listing(c, t).await;
}

async fn refusals(c: &mut Caller) {
    let g = c.group("refused").await;
    let with = |session: i32, kind: &str, protocols: &[&str]| JoinGroupRequest {
        session_timeout_ms: session,
        protocol_type: s(kind),
        ..join(&g, "", None, protocols)
    };
    c.new_call("an empty group", join("", "", None, &["range"])).await;
    c.new_call("a session that is too short", with(10, "consumer", &["range"])).await;
    c.new_call("a session that is too long", with(10_000_000, "consumer", &["range"])).await;
    c.new_call("no protocol", with(30_000, "consumer", &[])).await;
    c.new_call("no kind of protocol", with(30_000, "", &["range"])).await;
    c.new_call("a member that is not there", join(&g, "nobody", None, &["range"])).await;
    for version in 0..=4 {
        c.call("heartbeat of nobody", version, heartbeat(&g, 1, "nobody")).await;
    }
    c.calls("sync of nobody", 0, |_| sync(&g, 1, "nobody", &[])).await;
    c.calls("leave of nobody", 0, |v| leave(v, &g, &[("nobody", None)])).await;
    c.calls("describe what is not there", 0, |_| describe(&c_name(&g))).await;
    c.new_call("describe an empty name", describe("")).await;
    c.new_call("heartbeat of an empty group", heartbeat("", 1, "nobody")).await;
    c.new_call("sync of an empty group", sync("", 1, "nobody", &[])).await;
    c.new_call("leave of an empty group", leave(5, "", &[("nobody", None)])).await;
}

fn c_name(group: &str) -> String {
    format!("{group}-not-there")
}

async fn one_member(c: &mut Caller, t: (&str, Uuid)) {
    for version in 0..=9 {
        let g = c.group(&format!("one-{version}")).await;
        let mut member = String::new();
        if version >= 4 {
            let answer = c
                .call("is told an id", version, join(&g, "", None, &["range", "roundrobin"]))
                .await;
            member = answer.member_id.into_owned();
        }
        let answer =
            c.call("joins", version, join(&g, &member, None, &["range", "roundrobin"])).await;
        let (generation, member) = (answer.generation_id, answer.member_id.into_owned());
        let v = |last: i16| version.min(last);
        c.call("before sync", v(4), heartbeat(&g, generation, &member)).await;
        c.call("before sync", v(6), describe(&g)).await;
        let request = sync(&g, generation, &member, &[(&member, "assigned")]);
        if version >= 5 {
            let unnamed =
                SyncGroupRequest { protocol_type: None, protocol_name: None, ..request.clone() };
            c.call("syncs without a protocol", 5, unnamed).await;
        }
        c.call("syncs", v(5), request.clone()).await;
        c.call("syncs again", v(5), request.clone()).await;
        c.call("beats", v(4), heartbeat(&g, generation, &member)).await;
        c.call("beats in another generation", v(4), heartbeat(&g, generation + 5, &member)).await;
        c.call("beats as another", v(4), heartbeat(&g, generation, "other")).await;
        c.call("syncs another generation", v(5), sync(&g, generation + 1, &member, &[])).await;
        c.call("is described", v(6), describe(&g)).await;
        let cv = version.clamp(2, 9);
        c.call("commits", cv, as_member(generation, &member, commit(cv, &g, t, 0, 7, None))).await;
        c.call(
            "commits in another generation",
            cv,
            as_member(generation + 1, &member, commit(cv, &g, t, 0, 8, None)),
        )
        .await;
        c.call(
            "commits as another",
            cv,
            as_member(generation, "other", commit(cv, &g, t, 0, 8, None)),
        )
        .await;
        c.call("commits from outside", cv, commit(cv, &g, t, 0, 9, None)).await;
        let delete = DeleteGroupsRequest { groups_names: vec![s(&g)] };
        c.call("is not deleted", v(2), delete.clone()).await;
        let again =
            c.call("joins again", version, join(&g, &member, None, &["range", "roundrobin"])).await;
        c.call(
            "syncs after that",
            v(5),
            sync(&g, again.generation_id, &member, &[(&member, "new")]),
        )
        .await;
        c.call("with other protocols", version, join(&g, &member, None, &["sticky"])).await;
        let other_kind = JoinGroupRequest {
            protocol_type: s("connect"),
            ..join(&g, &member, None, &["sticky"])
        };
        c.call("with another kind", version, other_kind).await;
        if version >= 5 {
            let mut request = sync(&g, again.generation_id + 1, &member, &[]);
            (request.protocol_type, request.protocol_name) =
                (Some(s("connect")), Some(s("sticky")));
            c.call("with another kind", version.min(5), request.clone()).await;
            (request.protocol_type, request.protocol_name) =
                (Some(s("consumer")), Some(s("range")));
            c.call("with another protocol", version.min(5), request).await;
        }
        c.call("leaves", v(5), leave(v(5), &g, &[(&member, None)])).await;
        c.call("leaves again", v(5), leave(v(5), &g, &[(&member, None)])).await;
        c.call("is described, empty", v(6), describe(&g)).await;
        c.call("its offsets are kept", 9, committed(9, &g, t, Some(&[0]))).await;
        c.call("is deleted", v(2), delete.clone()).await;
        c.call("is described, deleted", v(6), describe(&g)).await;
    }
}

async fn two_members(c: &mut Caller, t: (&str, Uuid)) {
    let g = c.group("two").await;
    let mut d = c.another();
    let first = c
        .new_call("the first is told an id", join(&g, "", None, &["range"]))
        .await
        .member_id
        .into_owned();
    c.new_call("the first joins", join(&g, &first, None, &["range", "roundrobin"])).await;
    c.new_call("the first syncs", sync(&g, 1, &first, &[(&first, "all")])).await;
    let second = d
        .new_call("the second is told an id", join(&g, "", None, &["roundrobin"]))
        .await
        .member_id
        .into_owned();
    c.new_call("with one to come", describe(&g)).await;
    c.new_call("the first goes on meanwhile", heartbeat(&g, 1, &first)).await;
    d.new_call("nothing in common", join(&g, &second, None, &["sticky"])).await;
    let joining = async {
        c.settle(4, || heartbeat(&g, 1, &first), |answer| answer.error_code == 27).await;
        c.new_call("the first is told to join", heartbeat(&g, 1, &first)).await;
        c.new_call("in preparation", describe(&g)).await;
        c.call("commits in preparation", 9, as_member(1, &first, commit(9, &g, t, 0, 4, None)))
            .await;
        c.new_call("syncs too early", sync(&g, 1, &first, &[])).await;
        c.new_call("the first joins again", join(&g, &first, None, &["range", "roundrobin"])).await
    };
    let second_joins = d.new_call("the second joins", join(&g, &second, None, &["roundrobin"]));
    let (_, first_again) = tokio::join!(second_joins, joining);
    let generation = first_again.generation_id;
    c.new_call("in completion", describe(&g)).await;
    c.call("commits in completion", 9, as_member(generation, &first, commit(9, &g, t, 0, 5, None)))
        .await;
    let follower =
        d.new_call("the second syncs", sync_of("roundrobin", sync(&g, generation, &second, &[])));
    let shares = [(first.as_str(), "one half"), (second.as_str(), "other half")];
    let leader = c.new_call(
        "the first syncs for both",
        sync_of("roundrobin", sync(&g, generation, &first, &shares)),
    );
    tokio::join!(follower, leader);
    c.new_call("stable", describe(&g)).await;
    d.new_call("the second beats", heartbeat(&g, generation, &second)).await;
    d.new_call("the second joins as it is", join(&g, &second, None, &["roundrobin"])).await;
    d.new_call("the second leaves", leave(5, &g, &[(&second, None)])).await;
    c.settle(4, || heartbeat(&g, generation, &first), |answer| answer.error_code == 27).await;
    let alone =
        c.new_call("the first alone", join(&g, &first, None, &["range", "roundrobin"])).await;
    c.new_call("the first syncs alone", sync(&g, alone.generation_id, &first, &[(&first, "all")]))
        .await;
    c.new_call("two leave at once, one unknown", leave(5, &g, &[(&first, None), ("nobody", None)]))
        .await;
}

async fn static_members(c: &mut Caller) {
    let g = c.group("static").await;
    let first = c.new_call("a static one joins", join(&g, "", Some("i1"), &["range"])).await;
    let (generation, member) = (first.generation_id, first.member_id.into_owned());
    c.new_call("it syncs", sync(&g, generation, &member, &[(&member, "all")])).await;
    c.new_call(
        "it beats",
        HeartbeatRequest { group_instance_id: Some(s("i1")), ..heartbeat(&g, generation, &member) },
    )
    .await;
    let again = c.new_call("it comes back", join(&g, "", Some("i1"), &["range"])).await;
    let now = again.member_id.into_owned();
    for version in [5, 8] {
        let again = c.call("it comes back", version, join(&g, "", Some("i1"), &["range"])).await;
        c.call(
            "and syncs",
            5,
            SyncGroupRequest {
                group_instance_id: Some(s("i1")),
                ..sync(&g, again.generation_id, &again.member_id, &[])
            },
        )
        .await;
    }
    let fenced = HeartbeatRequest {
        group_instance_id: Some(s("i1")),
        ..heartbeat(&g, again.generation_id, &member)
    };
    c.new_call("as it was before", fenced).await;
    c.new_call("as it was, without its name", heartbeat(&g, again.generation_id, &now)).await;
    c.new_call("as it was, joining", join(&g, &member, Some("i1"), &["range"])).await;
    c.new_call(
        "as it was, syncing",
        SyncGroupRequest {
            group_instance_id: Some(s("i1")),
            ..sync(&g, again.generation_id, &member, &[])
        },
    )
    .await;
    c.new_call(
        "an unknown name",
        HeartbeatRequest {
            group_instance_id: Some(s("i9")),
            ..heartbeat(&g, again.generation_id, &now)
        },
    )
    .await;
    c.new_call("described", describe(&g)).await;
    c.new_call("leaves as it was", leave(5, &g, &[(&member, Some("i1"))])).await;
    c.new_call("is taken out by name", leave(5, &g, &[("", Some("i1")), ("", Some("i9"))])).await;
    c.new_call("described, empty", describe(&g)).await;
}

async fn listing(c: &mut Caller, t: (&str, Uuid)) {
    let simple = c.group("simple").await;
    c.call("makes a group", 9, commit(9, &simple, t, 0, 1, None)).await;
    let live = c.group("live").await;
    let member =
        c.new_call("is told an id", join(&live, "", None, &["range"])).await.member_id.into_owned();
    c.new_call("joins", join(&live, &member, None, &["range"])).await;
    let prefix = c.name("");
    let ask = |states: &[&str], types: &[&str]| ListGroupsRequest {
        states_filter: states.iter().map(|state| s(state)).collect(),
        types_filter: types.iter().map(|kind| s(kind)).collect(),
    };
    for (step, version, request) in [
        ("all", 0, ask(&[], &[])),
        ("all", 1, ask(&[], &[])),
        ("all", 2, ask(&[], &[])),
        ("all", 3, ask(&[], &[])),
        ("all", 4, ask(&[], &[])),
        ("all", 5, ask(&[], &[])),
        ("empty ones", 4, ask(&["Empty"], &[])),
        ("in small letters", 4, ask(&["empty"], &[])),
        ("an unknown state", 4, ask(&["Sleeping"], &[])),
        ("classic ones", 5, ask(&[], &["classic"])),
        ("in large letters", 5, ask(&[], &["Classic"])),
        ("of the other kind", 5, ask(&[], &["consumer"])),
        ("an unknown kind", 5, ask(&[], &["modern"])),
        ("classic ones at work", 5, ask(&["CompletingRebalance"], &["classic"])),
    ] {
        c.call_then(step, version, request, |answer| {
            answer.groups.retain(|group| group.group_id.starts_with(&prefix));
        })
        .await;
    }
    c.new_call(
        "several described",
        DescribeGroupsRequest {
            groups: vec![s(&simple), s(&live), s(&c_name(&live))],
            include_authorized_operations: true,
        },
    )
    .await;
}
