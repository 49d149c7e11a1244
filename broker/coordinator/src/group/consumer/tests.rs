//! Consumer groups as scripts: a line of commands, and what the members are told or the group has come to.
//!
//! `topics t=3` says what exists. `join a t,u` lets member a join and subscribe; `/regex/` stands for an expression,
//! `static=`, `assignor=` and `epoch=` set what they say. `beat a` is a short heartbeat, `ack a` a full one that owns
//! what the member was last told (or `own=t0,t1`). `classic c t` joins and syncs by the classic protocol, `cbeat c`
//! is its heartbeat. Times are seconds. A member is told its epoch and its partitions, if those are told.

pub(crate) mod world;

use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;

use super::member::Assignment;
use super::migration::MigrationPolicy;
use crate::group::command::*;
use crate::group::id::{GroupId, InstanceId, MemberId};
use crate::group::{ConsumerSettings, GroupSettings};
use world::{World, id_of};

/// Targets follow each change at once, so that scripts need not wait.
fn settings() -> GroupSettings {
    let consumer = ConsumerSettings { assignment_interval_ms: 0, ..ConsumerSettings::default() };
    GroupSettings { consumer, ..GroupSettings::default() }
}

fn check_with(settings: GroupSettings, script: &str, replies: &str, group: &str) {
    let mut world = World::new(settings);
    world.run(script);
    assert_eq!(world.output.trim_end_matches("; "), replies, "{script}");
    assert_eq!(world.group(), group, "{script}");
    // What is written says it all.
    world.restart();
}

fn check(script: &str, replies: &str, group: &str) {
    check_with(settings(), script, replies, group);
}

#[test]
fn the_first_member_gets_all_partitions_at_once() {
    check("join a t", "a: 2 [t012]", "Stable 2/2 a@2[t012]");
    check("join a t; beat a", "a: 2 [t012]; a: 2", "Stable 2/2 a@2[t012]");
    // A full heartbeat is answered in full.
    check("join a t; ack a", "a: 2 [t012]; a: 2 [t012]", "Stable 2/2 a@2[t012]");
    check("join a none", "a: 2 []", "Stable 2/2 a@2[]");
}

#[test]
fn a_partition_is_given_out_after_its_holder_let_go_of_it() {
    check(
        "join a t; join b t; beat b; beat a; beat b; ack a; beat b",
        "a: 2 [t012]; b: 3 []; b: 3; a: 2 [t01]; b: 3; a: 3 [t01]; b: 3 [t2]",
        "Stable 3/3 a@3[t01] b@3[t2]",
    );
    check(
        "join a t; join b t; beat a",
        "a: 2 [t012]; b: 3 []; a: 2 [t01]",
        "Reconciling 3/3 a@2[t01]-[t2] b@3[]",
    );
    // Still holding it, or not saying anything of it, is not letting go.
    check(
        "join a t; join b t; beat a; ack a own=t0,t2; beat a; beat b",
        "a: 2 [t012]; b: 3 []; a: 2 [t01]; a: 2 [t01]; a: 2; b: 3",
        "Reconciling 3/3 a@2[t01]-[t2] b@3[]",
    );
}

#[test]
fn a_member_that_leaves_frees_its_partitions() {
    check(
        "join a t; join b t; beat a; ack a; beat b; leave a; beat b",
        "a: 2 [t012]; b: 3 []; a: 2 [t01]; a: 3 [t01]; b: 3 [t2]; a: -1; b: 4 [t012]",
        "Stable 4/4 b@4[t012]",
    );
    check("join a t; leave a", "a: 2 [t012]; a: -1", "Empty 3/2");
    check("join a t; leave a; join b t", "a: 2 [t012]; a: -1; b: 4 [t012]", "Stable 4/4 b@4[t012]");
    check("join a t; leave b", "a: 2 [t012]; b: UNKNOWN_MEMBER_ID", "Stable 2/2 a@2[t012]");
    check("leave b", "b: GROUP_ID_NOT_FOUND", "none");
}

#[test]
fn silence_ends_a_members_session_and_a_crash_gives_it_a_whole_one() {
    check("join a t; wait 44", "a: 2 [t012]", "Stable 2/2 a@2[t012]");
    check("join a t; wait 45", "a: 2 [t012]", "Empty 3/2");
    check("join a t; wait 44; beat a; wait 44", "a: 2 [t012]; a: 2", "Stable 2/2 a@2[t012]");
    check("join a t; wait 44; crash; wait 44", "a: 2 [t012]", "Stable 2/2 a@2[t012]");
    check("join a t; wait 44; crash; wait 45", "a: 2 [t012]", "Empty 3/2");
}

#[test]
fn a_member_that_keeps_what_it_must_give_up_is_fenced() {
    check(
        "join a t; join b t; beat a; wait 29; beat a; beat b; wait 1; beat b; beat a",
        "a: 2 [t012]; b: 3 []; a: 2 [t01]; a: 2; b: 3; b: 4 [t012]; a: UNKNOWN_MEMBER_ID",
        "Stable 4/4 b@4[t012]",
    );
    // The time runs on after a crash, from its start.
    check(
        "join a t; join b t; beat a; crash; wait 29; beat a; beat b; wait 1; beat b",
        "a: 2 [t012]; b: 3 []; a: 2 [t01]; a: 2; b: 3; b: 4 [t012]",
        "Stable 4/4 b@4[t012]",
    );
    // It does not run for one that has arrived.
    check(
        "join a t; join b t; beat a; ack a; wait 29; beat a; beat b; wait 29; beat a; beat b",
        "a: 2 [t012]; b: 3 []; a: 2 [t01]; a: 3 [t01]; a: 3; b: 3 [t2]; a: 3; b: 3",
        "Stable 3/3 a@3[t01] b@3[t2]",
    );
}

#[test]
fn epochs_fence_members_that_missed_something() {
    let group = "Stable 2/2 a@2[t012]";
    check("join a t; beat a epoch=3", "a: 2 [t012]; a: FENCED_MEMBER_EPOCH", group);
    check(
        "join b t; join a t; leave b; beat a; beat a epoch=2",
        "b: 2 [t012]; a: 3 []; b: -1; a: 4 [t012]; a: FENCED_MEMBER_EPOCH",
        "Stable 4/4 a@4[t012]",
    );
    // The answer that told the new epoch was lost: the member says what it holds, and is told again.
    check(
        "join b t; join a t; leave b; beat a; ack a epoch=3 own=",
        "b: 2 [t012]; a: 3 []; b: -1; a: 4 [t012]; a: 4 [t012]",
        "Stable 4/4 a@4[t012]",
    );
    check("join a t; join a t", "a: 2 [t012]; a: 2 [t012]", group);
    check("join a t; beat x epoch=1", "a: 2 [t012]; x: UNKNOWN_MEMBER_ID", group);
    check("beat x epoch=1", "x: GROUP_ID_NOT_FOUND", "none");
}

#[test]
fn a_duplicate_of_an_old_heartbeat_changes_nothing() {
    check(
        "join a t; join b t; beat a; ack a; beat b; ack a epoch=2 own=t0,t1,t2; beat a",
        "a: 2 [t012]; b: 3 []; a: 2 [t01]; a: 3 [t01]; b: 3 [t2]; a: FENCED_MEMBER_EPOCH; a: 3",
        "Stable 3/3 a@3[t01] b@3[t2]",
    );
}

#[test]
fn static_members_keep_their_partitions_over_a_restart() {
    check(
        "join a t static=s; join b t; beat a; ack a; beat b; leave a epoch=-2; join c t static=s; beat b",
        "a: 2 [t012]; b: 3 []; a: 2 [t01]; a: 3 [t01]; b: 3 [t2]; a: -2; c: 3 [t01]; b: 3",
        "Stable 3/3 b@3[t2] c@3[t01]",
    );
    check("join a t static=s; leave a epoch=-2; wait 45", "a: 2 [t012]; a: -2", "Empty 3/2");
    check(
        "join a t static=s; join b t static=s; leave a epoch=-2; join b t static=s; beat a epoch=1",
        "a: 2 [t012]; b: UNRELEASED_INSTANCE_ID; a: -2; b: 2 [t012]; a: FENCED_INSTANCE_ID",
        "Stable 2/2 b@2[t012]",
    );
    // For good.
    check("join a t static=s; leave a", "a: 2 [t012]; a: -1", "Empty 3/2");
    check(
        "join a t static=s; leave b static=x",
        "a: 2 [t012]; b: UNKNOWN_MEMBER_ID",
        "Stable 2/2 a@2[t012]",
    );
    // Other topics than before: the group's epoch rises.
    check(
        "join a t static=s; leave a epoch=-2; join b u static=s",
        "a: 2 [t012]; a: -2; b: 3 [u01]",
        "Stable 3/3 b@3[u01]",
    );
}

#[test]
fn topics_that_come_grow_and_go_raise_the_epoch() {
    check(
        "topics t=1; join a t,u; topics t=1 u=1; beat a; topics t=2 u=1; beat a; topics u=1; beat a; ack a",
        "a: 2 [t0]; a: 3 [t0 u0]; a: 4 [t01 u0]; a: 4 [u0]; a: 5 [u0]",
        "Stable 5/5 a@5[u0]",
    );
    // Topics that nobody wants don't matter, nor does a restart.
    check("join a t; topics t=3 v=9; beat a", "a: 2 [t012]; a: 2", "Stable 2/2 a@2[t012]");
    check("join a t; crash; beat a", "a: 2 [t012]; a: 2", "Stable 2/2 a@2[t012]");
    check(
        "join a t; topics t=4; crash; beat a",
        "a: 2 [t012]; a: 3 [t0123]",
        "Stable 3/3 a@3[t0123]",
    );
}

#[test]
fn subscriptions_may_change_and_what_is_no_longer_wanted_is_taken_back() {
    check("join a t; beat a u; ack a", "a: 2 [t012]; a: 2 []; a: 3 [u01]", "Stable 3/3 a@3[u01]");
    check("join a t; ack a t,u", "a: 2 [t012]; a: 3 [t012 u01]", "Stable 3/3 a@3[t012 u01]");
}

#[test]
fn regular_expressions_match_whole_names_and_follow_the_topics() {
    check("topics ab=1 abc=1 b=1; join a /a.*/", "a: 2 [ab0 abc0]", "Stable 2/2 a@2[ab0 abc0]");
    check("topics ab=1 abc=1; join a /ab?|x/", "a: 2 [ab0]", "Stable 2/2 a@2[ab0]");
    check(
        "topics ab=1; join a /a.*/; topics ab=1 ac=1; beat a; topics ac=1; beat a; ack a",
        "a: 2 [ab0]; a: 3 [ab0 ac0]; a: 3 [ac0]; a: 4 [ac0]",
        "Stable 4/4 a@4[ac0]",
    );
    check(r"topics a.b=1 acb=1; join a /\Qa.b\E/", "a: 2 [a.b0]", "Stable 2/2 a@2[a.b0]");
    for wrong in ["/a(/", "/a)(b/", "/(?!a)/", "/a{1000}{1000}/"] {
        check(&format!("join a {wrong}"), "a: INVALID_REGULAR_EXPRESSION", "none");
    }
    // Others' expressions are resolved once, and forgotten with the last who wants them.
    let mut world = World::new(settings());
    world.run("join a /t/; join b /t/; join c /u/; leave c");
    let regexes = |world: &World| {
        let group = &world.machine.groups[&GroupId::from("g")];
        group.consumer.as_ref().unwrap().regexes.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(regexes(&world), ["t"]);
    world.run("leave a; ack b u");
    assert_eq!(regexes(&world), Vec::<String>::new());
    world.restart();
}

#[test]
fn most_votes_choose_the_assignor() {
    check(
        "join a t,u assignor=range; join b t,u; beat a; ack a; beat b",
        "a: 2 [t012 u01]; b: 3 []; a: 2 [t01 u0]; a: 3 [t01 u0]; b: 3 [t2 u1]",
        "Stable 3/3 a@3[t01 u0] b@3[t2 u1]",
    );
    check("join a t assignor=odd", "a: UNSUPPORTED_ASSIGNOR", "none");
}

#[test]
fn a_full_group_takes_nobody_in() {
    let consumer = ConsumerSettings { size_max: 1, ..settings().consumer };
    check_with(
        GroupSettings { consumer, ..settings() },
        "join a t; join b t; ack a",
        "a: 2 [t012]; b: GROUP_MAX_SIZE_REACHED; a: 2 [t012]",
        "Stable 2/2 a@2[t012]",
    );
}

#[test]
fn members_that_come_in_a_row_are_assigned_to_together() {
    check_with(
        GroupSettings::default(),
        "join a t; join b t; join c t; wait 1; beat a; beat b; ack a; beat b; beat c",
        "a: 2 [t012]; b: 2 []; c: 2 []; a: 2 [t0]; b: 4; a: 4 [t0]; b: 4 [t1]; c: 4 [t2]",
        "Stable 4/4 a@4[t0] b@4[t1] c@4[t2]",
    );
}

#[test]
fn malformed_requests_are_refused_in_kafkas_words() {
    let request = || ConsumerHeartbeat {
        group_id: GroupId::from("g"),
        member_id: MemberId::from("a"),
        member_epoch: 0,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: 1,
        topics: Some(Default::default()),
        regex: None,
        assignor: None,
        owned: Some(Assignment::new()),
        client_id: Arc::from(""),
        client_host: Arc::from(""),
    };
    let owned = Assignment::from([(id_of("t"), [0].into())]);
    for (request, expected) in [
        (ConsumerHeartbeat { group_id: GroupId::from(""), ..request() }, "GroupId can't be empty."),
        (
            ConsumerHeartbeat { instance_id: Some(InstanceId::from("")), ..request() },
            "InstanceId can't be empty.",
        ),
        (ConsumerHeartbeat { rack_id: Some(Arc::from("")), ..request() }, "RackId can't be empty."),
        (
            ConsumerHeartbeat { rebalance_timeout_ms: -1, ..request() },
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            ConsumerHeartbeat { owned: Some(owned), ..request() },
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            ConsumerHeartbeat { owned: None, ..request() },
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            ConsumerHeartbeat { topics: None, ..request() },
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        (ConsumerHeartbeat { member_epoch: -2, ..request() }, "InstanceId can't be null."),
        (ConsumerHeartbeat { member_epoch: -3, ..request() }, "MemberEpoch is invalid."),
    ] {
        let refusal = request.validate(&settings()).unwrap_err();
        assert_eq!((refusal.code, &*refusal.message), (ErrorCode::InvalidRequest, expected));
    }
    let assignor = ConsumerHeartbeat { assignor: Some(Arc::from("odd")), ..request() };
    assert_eq!(
        assignor.validate(&settings()).unwrap_err().message,
        "ServerAssignor odd is not supported. Supported assignors: uniform, range."
    );
}

#[test]
fn offsets_are_committed_in_an_epoch_that_had_the_partition() {
    let two = "join a t; join b t; beat a; ack a; beat b; ";
    let told = "a: 2 [t012]; b: 3 []; a: 2 [t01]; a: 3 [t01]; b: 3 [t2]; ";
    let group = "Stable 3/3 a@3[t01] b@3[t2]";
    for (commit, reply) in [
        ("commit a at=t0", "a: ok"),
        // The member has not heard of its new epoch, but the partition was its own before.
        ("commit a at=t0 epoch=2", "a: ok"),
        ("commit a at=t2 epoch=2", "a: STALE_MEMBER_EPOCH"),
        ("commit b at=t2 epoch=2", "b: STALE_MEMBER_EPOCH"),
        ("commit a epoch=4", "a: STALE_MEMBER_EPOCH"),
        ("commit x epoch=-1", "x: UNKNOWN_MEMBER_ID"),
        ("commit a old", "a: UNSUPPORTED_VERSION"),
        ("commit a; fetch a", "a: ok; a: t0@5"),
        ("commit a; fetch a epoch=1", "a: ok; a: STALE_MEMBER_EPOCH"),
        ("commit a; fetch admin", "a: ok; admin: t0@5"),
        ("fetch x epoch=1", "x: UNKNOWN_MEMBER_ID"),
    ] {
        check(&format!("{two}{commit}"), &format!("{told}{reply}"), group);
    }
    check("join a t; leave a; commit x epoch=-1", "a: 2 [t012]; a: -1; x: ok", "Empty 3/2");
}

#[test]
fn offsets_outlive_the_group_by_their_retention() {
    let week = 7 * 24 * 3600;
    let script = |wait: i64| format!("join a t; commit a; leave a; wait {wait}; fetch admin");
    check(&script(week - 700), "a: 2 [t012]; a: ok; a: -1; admin: t0@5", "Empty 3/2");
    check(&script(week + 700), "a: 2 [t012]; a: ok; a: -1; admin: ", "none");
}

#[test]
fn groups_and_offsets_are_deleted_when_nobody_needs_them() {
    check(
        "join a t; commit a; delete",
        "a: 2 [t012]; a: ok; admin: NON_EMPTY_GROUP",
        "Stable 2/2 a@2[t012]",
    );
    check(
        "join a t; commit a; leave a; delete; crash",
        "a: 2 [t012]; a: ok; a: -1; admin: ok",
        "none",
    );
    check(
        "join a t; commit a; forget t; ack a u; forget t; fetch admin",
        "a: 2 [t012]; a: ok; admin: GROUP_SUBSCRIBED_TO_TOPIC; a: 2 []; admin: ok; admin: ",
        "Reconciling 3/3 a@2[]-[t012]",
    );
    check("forget t", "admin: GROUP_ID_NOT_FOUND", "none");
}

#[test]
fn an_administrator_takes_members_out() {
    check("join a t; remove a", "a: 2 [t012]; a: ok", "Empty 3/2");
    check("join a t static=s; remove a static=s", "a: 2 [t012]; a: ok", "Empty 3/2");
    check(
        "join a t; remove a static=s",
        "a: 2 [t012]; a: UNKNOWN_MEMBER_ID",
        "Stable 2/2 a@2[t012]",
    );
}

#[test]
fn classic_members_take_part_in_a_consumer_group() {
    check(
        "join a t; classic c t; beat a; ack a; cbeat c; cjoin c; cbeat c",
        "a: 2 [t012]; c: 3 []; a: 2 [t01]; a: 3 [t01]; c: REBALANCE_IN_PROGRESS; c: 3 [t2]; c: ok",
        "Stable 3/3 a@3[t01] c-1@3[t2]",
    );
    // It is told to give up, and does so by joining again.
    check(
        "join a t; classic c t; leave a; join d t; cbeat c; cjoin c; join e t; cbeat c; cjoin c; cjoin c; beat e; beat d",
        "a: 2 [t012]; c: 3 []; a: -1; d: 4 [t1]; c: REBALANCE_IN_PROGRESS; c: 4 [t02]; e: 5 []; c: REBALANCE_IN_PROGRESS; c: 4 [t0]; c: 5 [t0]; e: 5 [t2]; d: 5",
        "Stable 5/5 c-1@5[t0] d@5[t1] e@5[t2]",
    );
}

#[test]
fn a_classic_member_that_does_not_rejoin_in_time_is_fenced() {
    check(
        "join a t; classic c t; wait 9; cbeat c; wait 9; cbeat c; wait 9; beat a; cbeat c",
        "a: 2 [t012]; c: 3 []; c: ok; c: ok; a: 2 [t01]; c: ok",
        "Reconciling 3/3 a@2[t01]-[t2] c-1@3[]",
    );
    check(
        "join a t; classic c t; wait 10; cbeat c",
        "a: 2 [t012]; c: 3 []; c: UNKNOWN_MEMBER_ID",
        "Assigning 4/3 a@2[t012]",
    );
    check(
        "join a t; classic c t; beat a; ack a; cbeat c; wait 9; cbeat c; wait 9; cbeat c; wait 2; cbeat c",
        "a: 2 [t012]; c: 3 []; a: 2 [t01]; a: 3 [t01]; c: REBALANCE_IN_PROGRESS; c: REBALANCE_IN_PROGRESS; c: REBALANCE_IN_PROGRESS; c: UNKNOWN_MEMBER_ID",
        "Assigning 4/3 a@3[t01]",
    );
}

#[test]
fn a_live_classic_group_becomes_a_consumer_group_and_back() {
    check("classic c t", "c: 1 [t012]", "classic Stable gen=1 1");
    check(
        "classic c t; commit c; join a t; cbeat c; cjoin c; beat a; cjoin c; beat a; fetch admin",
        "c: 1 [t012]; c: ok; a: 2 []; c: REBALANCE_IN_PROGRESS; c: 1 [t01]; a: 2; c: 2 [t01]; a: 2 [t2]; admin: t0@5",
        "Stable 2/2 a@2[t2] c-0@2[t01]",
    );
    // The last member of the new protocol leaves: back to a classic group, which rebalances.
    check(
        "classic c t; commit c; join a t; cjoin c; cjoin c; beat a; leave a; fetch admin; cbeat c",
        "c: 1 [t012]; c: ok; a: 2 []; c: 1 [t01]; c: 2 [t01]; a: 2 [t2]; a: -1; admin: t0@5; c: REBALANCE_IN_PROGRESS",
        "classic PreparingRebalance gen=2 1",
    );
    check(
        "classic c t; join a t; leave a; cjoin c",
        "c: 1 [t012]; a: 2 []; a: -1; c: 3 [t012]",
        "classic Stable gen=3 1",
    );
    // So does its session end.
    check(
        "classic c t; join a t; cjoin c; cjoin c; crash; wait 9; cbeat c; wait 9; cbeat c; wait 9; cbeat c; \
         wait 9; cbeat c; wait 8; cbeat c; wait 1; cbeat c",
        "c: 1 [t012]; a: 2 []; c: 1 [t01]; c: 2 [t01]; c: ok; c: ok; c: ok; c: ok; c: ok; c: REBALANCE_IN_PROGRESS",
        "classic PreparingRebalance gen=2 1",
    );
}

#[test]
fn an_empty_group_takes_the_protocol_of_who_joins() {
    check(
        "classic c t; commit c; remove c; join a t; fetch admin",
        "c: 1 [t012]; c: ok; c: ok; a: 2 [t012]; admin: t0@5",
        "Stable 2/2 a@2[t012]",
    );
    check(
        "join a t; commit a; leave a; classic c t; fetch admin",
        "a: 2 [t012]; a: ok; a: -1; c: 1 [t012]; admin: t0@5",
        "classic Stable gen=1 1",
    );
    // Offsets alone are no group yet.
    check(
        "commit x epoch=-1; join a t; fetch admin",
        "x: ok; a: 2 [t012]; admin: t0@5",
        "Stable 2/2 a@2[t012]",
    );
}

#[test]
fn the_policy_says_which_way_a_live_group_may_change() {
    let with = |migration| {
        let consumer = ConsumerSettings { migration, ..settings().consumer };
        GroupSettings { consumer, ..settings() }
    };
    check_with(
        with(MigrationPolicy::Downgrade),
        "classic c t; join a t",
        "c: 1 [t012]; a: GROUP_ID_NOT_FOUND",
        "classic Stable gen=1 1",
    );
    check_with(
        with(MigrationPolicy::Upgrade),
        "classic c t; join a t; leave a",
        "c: 1 [t012]; a: 2 []; a: -1",
        "Assigning 3/2 c-0@1[t012]",
    );
    check_with(
        with(MigrationPolicy::Disabled),
        "classic c t; remove c; join a t",
        "c: 1 [t012]; c: ok; a: 2 [t012]",
        "Stable 2/2 a@2[t012]",
    );
}

#[test]
fn a_static_member_may_come_back_with_the_other_protocol() {
    check(
        "classic c t static=s; join a t static=s",
        "c: 1 [t012]; a: 2 [t012]",
        "Stable 2/2 a@2[t012]",
    );
    check(
        "join a t static=s; leave a epoch=-2; classic c t static=s",
        "a: 2 [t012]; a: -2; c: 2 [t012]",
        "classic Stable gen=2 1",
    );
}

#[test]
fn consumer_groups_have_kafkas_bytes() {
    let mut world = World::new(settings());
    world.run("join a t");
    let records = world.log.iter().map(|record| {
        let key = record.key.as_ref().unwrap();
        i16::from_be_bytes([key[0], key[1]])
    });
    // Member, epoch, target, target epoch, current assignment.
    assert_eq!(records.collect::<Vec<_>>(), [5, 3, 7, 6, 8]);
    let current = &world.log[4];
    assert_eq!(current.key.as_deref().unwrap(), b"\0\x08\0\x01g\0\x01a");
    let mut expected = b"\0\0\0\0\0\x02\0\0\0\0\0\x02".to_vec();
    expected.extend(id_of("t").0);
    expected.extend(b"\x04\0\0\0\0\0\0\0\x01\0\0\0\x02");
    // The tagged epochs of the three partitions: tag 0, 13 bytes.
    expected.extend(b"\x01\0\x0d\x04\0\0\0\x02\0\0\0\x02\0\0\0\x02");
    expected.extend(b"\x01\0");
    assert_eq!(current.value.as_deref().unwrap(), expected);
}
