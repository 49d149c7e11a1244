//! Groups as scripts: a line of commands, and what the group has come to.
//!
//! `join a` lets client a join (it returns with the id it is told); `static=1` gives it a name, `topics=t,u` a
//! subscription, `protocols=x,y` what it can run. Times are seconds. A member's id is its client's name, a dash and
//! how many ids were made before.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;
use bytes::Bytes;

use super::command::*;
use super::id::{GroupId, InstanceId, MemberId, TopicName};
use super::*;
use crate::machine::take_decision;

struct World {
    machine: GroupMachine,
    log: Vec<EncodedRecord>,
    now: Timestamp,
    requests: u64,
    ids: u32,
    /// Per client: its member id, the last generation it was told, and its static name.
    clients: BTreeMap<String, Client>,
    pending: BTreeMap<RequestId, String>,
    output: String,
}

#[derive(Clone, Debug, Default)]
struct Client {
    member_id: String,
    generation: i32,
    instance_id: Option<InstanceId>,
    leads: Vec<MemberId>,
}

impl World {
    fn new(settings: GroupSettings) -> Self {
        let mut machine = GroupMachine::new(settings);
        machine.resume(Timestamp(0));
        Self {
            machine,
            log: Vec::new(),
            now: Timestamp(0),
            requests: 0,
            ids: 0,
            clients: BTreeMap::new(),
            pending: BTreeMap::new(),
            output: String::new(),
        }
    }

    fn take(&mut self, decision: DecisionOf<GroupMachine>) {
        let (records, replies) = take_decision(&mut self.machine, decision);
        self.log.extend(records.iter().map(GroupMachine::encode));
        for (request, reply) in replies {
            self.answer(request, reply);
        }
    }

    fn answer(&mut self, request: RequestId, reply: GroupReply) {
        let Some(name) = self.pending.remove(&request) else {
            panic!("two replies to one request")
        };
        let client = self.clients.entry(name.clone()).or_default();
        let out = &mut self.output;
        let _ = match reply {
            GroupReply::Join(JoinReply { member_id, result: Ok(joined) }) => {
                client.member_id = member_id.to_string();
                client.generation = joined.generation;
                client.leads =
                    joined.members.iter().map(|member| member.member_id.clone()).collect();
                let leads = if joined.leader == member_id { " leads" } else { "" };
                let skips = if joined.skip_assignment { " skips" } else { "" };
                write!(out, "{name}: joined {}{leads}{skips}; ", joined.generation)
            }
            GroupReply::Join(JoinReply { member_id, result: Err(error) }) => {
                if error == ErrorCode::MemberIdRequired {
                    client.member_id = member_id.to_string();
                }
                write!(out, "{name}: {}; ", error.name())
            }
            GroupReply::Sync(Ok(synced)) => {
                write!(out, "{name}: [{}]; ", String::from_utf8_lossy(&synced.assignment))
            }
            GroupReply::Heartbeat(Ok(())) | GroupReply::Delete(Ok(())) => {
                write!(out, "{name}: ok; ")
            }
            GroupReply::Sync(Err(error))
            | GroupReply::Heartbeat(Err(error))
            | GroupReply::Delete(Err(error)) => {
                write!(out, "{name}: {}; ", error.name())
            }
            GroupReply::Leave(result) | GroupReply::Commit(result) => {
                let results = result.unwrap_or_else(|error| vec![Err(error)]);
                let texts =
                    results.iter().map(|result| result.map_or_else(ErrorCode::name, |()| "ok"));
                write!(out, "{name}: {}; ", texts.collect::<Vec<_>>().join(","))
            }
            other => write!(out, "{name}: {other:?}; "),
        };
    }

    fn ask(&mut self, client: &str, command: &GroupCommand) {
        let request = RequestId(self.requests);
        self.requests += 1;
        self.pending.insert(request, client.to_owned());
        let decision = self.machine.decide(self.now, request, command);
        self.take(decision);
    }

    fn run_line(&mut self, line: &str) {
        let words = line.split_whitespace().collect::<Vec<_>>();
        let (verb, name) = (words[0], words.get(1).copied().unwrap_or_default());
        let option = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
        let client = self.clients.entry(name.to_owned()).or_default().clone();
        let member_id = MemberId::from(option("id=").unwrap_or(&client.member_id));
        let generation = option("gen=").map_or(client.generation, |text| text.parse().unwrap());
        let instance_id = option("static=").map(InstanceId::from).or(client.instance_id.clone());
        let group_id = GroupId::from("g");
        match verb {
            "join" | "join1" | "restart" => {
                if verb == "restart" {
                    self.clients.insert(name.to_owned(), Client::default());
                }
                self.clients.get_mut(name).unwrap().instance_id.clone_from(&instance_id);
                let member_id = if verb == "restart" { MemberId::from("") } else { member_id };
                let join =
                    join_command(name, &words, member_id, instance_id, &self.ids.to_string());
                self.ids += 1;
                self.ask(name, &GroupCommand::Join(join.clone()));
                if verb != "join1"
                    && self.output.ends_with(&format!("{name}: MEMBER_ID_REQUIRED; "))
                {
                    let length = self.output.len() - format!("{name}: MEMBER_ID_REQUIRED; ").len();
                    self.output.truncate(length);
                    let member_id = MemberId::from(&*self.clients[name].member_id);
                    self.ask(name, &GroupCommand::Join(JoinGroup { member_id, ..join }));
                }
            }
            "sync" => {
                // A leader assigns each member what its client is called.
                let assignments = client.leads.iter().map(|member_id| {
                    let client_name = member_id.split('-').next().unwrap().to_owned();
                    (member_id.clone(), Bytes::from(client_name))
                });
                let assignments = assignments.collect();
                let (protocol_type, protocol) =
                    (option("type=").map(Arc::from), option("protocol=").map(Arc::from));
                let sync = SyncGroup {
                    group_id,
                    generation,
                    member_id,
                    instance_id,
                    protocol_type,
                    protocol,
                    assignments,
                };
                self.ask(name, &GroupCommand::Sync(sync));
            }
            "beat" => {
                let heartbeat = Heartbeat { group_id, generation, member_id, instance_id };
                self.ask(name, &GroupCommand::Heartbeat(heartbeat));
            }
            "leave" => {
                let members = vec![(member_id, instance_id)];
                self.ask(name, &GroupCommand::Leave(LeaveGroup { group_id, members }));
            }
            "remove" => {
                let members =
                    vec![(MemberId::from(""), Some(InstanceId::from(option("static=").unwrap())))];
                self.ask(name, &GroupCommand::Leave(LeaveGroup { group_id, members }));
            }
            "commit" => {
                let offsets = vec![OffsetToCommit {
                    topic: TopicName::from(option("topic=").unwrap_or("t")),
                    partition: 0,
                    offset: option("offset=").map_or(5, |text| text.parse().unwrap()),
                    leader_epoch: -1,
                    metadata: Arc::from(
                        "m".repeat(option("metadata=").map_or(0, |text| text.parse().unwrap())),
                    ),
                }];
                let commit = CommitOffsets {
                    group_id,
                    generation,
                    member_id,
                    instance_id,
                    knows_member_epochs: true,
                    offsets,
                };
                self.ask(name, &GroupCommand::Commit(commit));
            }
            "delete" => self.ask("admin", &GroupCommand::Delete(group_id)),
            "forget" => {
                let topics = BTreeSet::from([TopicName::from(name)]);
                self.clients.remove(name);
                self.ask("admin", &GroupCommand::ForgetTopics(ForgetTopics::Deleted(topics)));
                self.output.truncate(self.output.len() - "admin: Forgotten; ".len());
            }
            "wait" => {
                self.clients.remove(name);
                let until = self.now.plus_ms(name.parse::<i64>().unwrap() * 1000);
                while let Some(deadline) =
                    self.machine.next_deadline().filter(|deadline| *deadline <= until)
                {
                    self.now = self.now.max(deadline);
                    let decision = self.machine.tick(self.now);
                    self.take(decision);
                }
                self.now = until;
            }
            "crash" => {
                self.pending.clear();
                self.machine = replayed(&self.log, self.machine.settings.clone(), self.now);
            }
            other => panic!("no such command: {other}"),
        }
    }

    fn state(&self) -> String {
        let Some(group) = self.machine.classic("g", self.now) else { return "none".to_owned() };
        let mut text = format!("{} gen={}", group.state.name(), group.generation);
        for (member_id, member) in &group.members {
            let _ = write!(text, " {member_id}:[{}]", String::from_utf8_lossy(&member.assignment));
        }
        for ((topic, partition), committed) in &self.machine.groups["g"].offsets {
            let _ = write!(text, " {topic}-{partition}@{}", committed.offset);
        }
        text
    }
}

fn join_command(
    name: &str,
    words: &[&str],
    member_id: MemberId,
    instance_id: Option<InstanceId>,
    suffix: &str,
) -> JoinGroup {
    let option = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
    let seconds =
        |key: &str, default: i32| option(key).map_or(default, |text| text.parse().unwrap()) * 1000;
    let protocols = option("protocols=").unwrap_or("range").split(',');
    let metadata =
        Bytes::from(subscription(option("topics=").unwrap_or("t"), option("owned=").unwrap_or("")));
    JoinGroup {
        group_id: GroupId::from("g"),
        member_id,
        instance_id,
        unique_suffix: suffix.to_owned(),
        client_id: Arc::from(name),
        client_host: Arc::from("/127.0.0.1"),
        session_timeout_ms: seconds("session=", 10),
        rebalance_timeout_ms: seconds("rebalance=", 60),
        protocol_type: Arc::from(option("type=").unwrap_or("consumer")),
        protocols: protocols.map(|protocol| (Arc::from(protocol), metadata.clone())).collect(),
        new_member: if option("v=") == Some("3") {
            NewMemberRule::AcceptAtOnce
        } else {
            NewMemberRule::MustReturnWithId
        },
        knows_skip_assignment: option("v=") != Some("8"),
    }
}

/// A consumer's subscription: version, topics, and user data that changes from start to start.
fn subscription(topics: &str, owned: &str) -> Vec<u8> {
    let topics = topics.split(',').collect::<Vec<_>>();
    let mut bytes = vec![0, 1];
    bytes.extend(u32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.bytes());
    }
    bytes.extend(owned.bytes());
    bytes
}

fn replayed(log: &[EncodedRecord], settings: GroupSettings, now: Timestamp) -> GroupMachine {
    let mut machine = GroupMachine::new(settings);
    for record in log {
        let record =
            GroupMachine::decode(record.key.as_deref(), record.value.as_deref()).unwrap().unwrap();
        machine.apply(&record);
    }
    machine.resume(now);
    machine
}

fn run(settings: GroupSettings, script: &str) -> (String, String) {
    let mut world = World::new(settings);
    for line in script.split(';').map(str::trim) {
        world.run_line(line);
        let durable = replayed(&world.log, world.machine.settings.clone(), world.now).durable();
        assert_eq!(
            world.machine.durable(),
            durable,
            "after {line}: replaying the log gives another state"
        );
    }
    (world.output.trim_end_matches("; ").to_owned(), world.state())
}

/// Checks where the group stands after the script.
#[track_caller]
fn check_group(script: &str, expected: &str) {
    assert_eq!(run(GroupSettings::default(), script).1, expected, "{script}");
}

/// Checks every reply, in order.
#[track_caller]
fn check_replies(script: &str, expected: &str) {
    assert_eq!(run(GroupSettings::default(), script).0, expected, "{script}");
}

#[test]
fn one_member_goes_from_join_to_stable() {
    check_group("join a", "CompletingRebalance gen=1 a-0:[]");
    check_group("join a; sync a", "Stable gen=1 a-0:[a]");
    check_replies("join a; sync a; beat a", "a: joined 1 leads; a: [a]; a: ok");
}

#[test]
fn a_new_member_without_id_is_told_one_since_v4() {
    check_replies("join1 a", "a: MEMBER_ID_REQUIRED");
    check_group("join1 a", "Empty gen=0");
    check_replies("join1 a v=3", "a: joined 1 leads");
    check_group("join1 a; wait 11", "none");
}

#[test]
fn a_second_member_makes_the_first_rejoin() {
    check_replies(
        "join a; sync a; join b; beat a",
        "a: joined 1 leads; a: [a]; a: REBALANCE_IN_PROGRESS",
    );
    check_group("join a; sync a; join b; join a; sync b; sync a", "Stable gen=2 a-0:[a] b-1:[b]");
    check_replies(
        "join a; sync a; join b; join a; sync b; sync a",
        "a: joined 1 leads; a: [a]; a: joined 2 leads; b: joined 2; a: [a]; b: [b]",
    );
}

#[test]
fn a_rebalancing_group_shows_what_its_members_have_and_not_what_they_want() {
    let mut world = World::new(GroupSettings::default());
    world.run_line("join a");
    world.run_line("sync a");
    let member = |world: &World| {
        let group = world.machine.classic("g", world.now).unwrap().describe();
        let member = group.members.into_iter().next().unwrap();
        (group.state, member.metadata.is_empty(), member.assignment)
    };
    let assigned = Bytes::from_static(b"a");
    assert_eq!(member(&world), (GroupState::Stable, false, assigned.clone()));
    world.run_line("join b");
    assert_eq!(member(&world), (GroupState::PreparingRebalance, true, assigned.clone()));
    world.run_line("join a");
    assert_eq!(member(&world), (GroupState::CompletingRebalance, true, assigned));
}

#[test]
fn a_member_that_does_not_rejoin_in_time_is_out() {
    check_group(
        "join a rebalance=20 session=60; sync a; join b rebalance=20; wait 21",
        "CompletingRebalance gen=2 b-1:[]",
    );
}

#[test]
fn a_silent_member_is_out_after_its_session() {
    check_group("join a; sync a; wait 11", "Empty gen=2");
    check_group("join a; sync a; wait 6; beat a; wait 6", "Stable gen=1 a-0:[a]");
    check_group("join a; sync a; wait 6; commit a; wait 6", "Stable gen=1 a-0:[a] t-0@5");
    check_replies(
        "join a; sync a; wait 11; beat a",
        "a: joined 1 leads; a: [a]; a: UNKNOWN_MEMBER_ID",
    );
}

#[test]
fn a_member_that_never_syncs_is_out_after_the_rebalance_timeout() {
    check_group(
        "join a rebalance=20 session=300; join1 b; wait 1; sync a; wait 30",
        "Stable gen=1 a-0:[a]",
    );
    check_group("join a rebalance=20 session=300; wait 21", "Empty gen=2");
}

#[test]
fn leaving_rebalances_at_once() {
    check_group("join a; sync a; leave a", "Empty gen=2");
    check_replies(
        "join a; sync a; leave a; leave a",
        "a: joined 1 leads; a: [a]; a: ok; a: UNKNOWN_MEMBER_ID",
    );
    check_group(
        "join a; sync a; join b; join a; sync b; sync a; leave a; join b; sync b",
        "Stable gen=3 b-1:[b]",
    );
}

#[test]
fn a_static_member_that_restarts_takes_over_without_a_rebalance() {
    let two = "join a static=1; sync a; join b static=2; join a; sync b; sync a";
    check_group(two, "Stable gen=2 1-0:[1] 2-1:[2]");
    check_group(&format!("{two}; restart b static=2; sync b"), "Stable gen=2 1-0:[1] 2-3:[2]");
    let (replies, _) = run(
        GroupSettings::default(),
        &format!("{two}; restart b static=2; sync b; restart a static=1"),
    );
    assert!(replies.ends_with("b: joined 2; b: [2]; a: joined 2 leads skips"), "{replies}");
    let (replies, _) = run(GroupSettings::default(), &format!("{two}; restart a static=1 v=8"));
    assert!(replies.ends_with("a: joined 2"), "{replies}");
}

#[test]
fn what_a_static_member_owned_does_not_matter_but_its_topics_do() {
    let one = "join a static=1 topics=t,u owned=x; sync a";
    check_group(&format!("{one}; restart a static=1 topics=u,t owned=y"), "Stable gen=1 1-1:[1]");
    check_group(
        &format!("{one}; restart a static=1 topics=t"),
        "CompletingRebalance gen=2 1-1:[1]",
    );
    check_group(
        &format!("{one}; restart a static=1 topics=t,u protocols=range,sticky"),
        "Stable gen=1 1-1:[1]",
    );
}

#[test]
fn the_old_id_of_a_static_member_is_fenced() {
    let (replies, _) = run(
        GroupSettings::default(),
        "join a static=1; sync a; restart a static=1; beat a id=1-0; join1 a id=1-0; sync a id=1-0; commit a id=1-0",
    );
    let fenced = "a: FENCED_INSTANCE_ID; a: FENCED_INSTANCE_ID; a: FENCED_INSTANCE_ID; a: FENCED_INSTANCE_ID";
    assert!(replies.ends_with(fenced), "{replies}");
}

#[test]
fn a_static_member_that_restarts_during_a_rebalance_waits_for_it() {
    check_replies(
        "join a static=1; sync a; join b; restart a static=1",
        "a: joined 1 leads; a: [1]; a: joined 2 leads; b: joined 2",
    );
    check_group("join a static=1; restart a static=1", "CompletingRebalance gen=2 1-1:[]");
}

#[test]
fn a_static_member_leaves_only_by_timeout_or_by_name() {
    check_group("join a static=1; sync a; wait 11", "Empty gen=2");
    check_group("join a static=1; sync a; remove admin static=1", "Empty gen=2");
    check_replies(
        "join a static=1; sync a; remove admin static=9",
        "a: joined 1 leads; a: [1]; admin: UNKNOWN_MEMBER_ID",
    );
}

#[test]
fn members_must_share_a_protocol() {
    check_replies(
        "join a; join1 b v=3 protocols=sticky",
        "a: joined 1 leads; b: INCONSISTENT_GROUP_PROTOCOL",
    );
    check_replies(
        "join a; join1 b v=3 type=connect",
        "a: joined 1 leads; b: INCONSISTENT_GROUP_PROTOCOL",
    );
    let (_, state) = run(
        GroupSettings::default(),
        "join a protocols=x,y; sync a; join b protocols=y,x; join c protocols=y,x; join a protocols=x,y",
    );
    assert_eq!(state, "CompletingRebalance gen=2 a-0:[a] b-1:[] c-2:[]");
}

#[test]
fn the_protocol_that_most_prefer_is_selected() {
    let mut world = World::new(GroupSettings::default());
    for line in "join a protocols=x,y,z; sync a; join b protocols=y,x; join1 c v=3 protocols=y,x; join a protocols=x,y,z"
        .split(';')
    {
        world.run_line(line.trim());
    }
    assert_eq!(world.machine.classic("g", world.now).unwrap().protocol.as_deref(), Some("y"));
}

#[test]
fn a_sync_must_name_the_groups_protocol() {
    check_replies(
        "join a; sync a type=connect",
        "a: joined 1 leads; a: INCONSISTENT_GROUP_PROTOCOL",
    );
    check_replies(
        "join a; sync a protocol=sticky",
        "a: joined 1 leads; a: INCONSISTENT_GROUP_PROTOCOL",
    );
    check_replies("join a; sync a type=consumer protocol=range", "a: joined 1 leads; a: [a]");
}

#[test]
fn a_session_timeout_out_of_bounds_is_refused() {
    check_replies("join a session=5", "a: INVALID_SESSION_TIMEOUT");
    check_replies("join a session=1801", "a: INVALID_SESSION_TIMEOUT");
}

#[test]
fn an_unknown_id_or_generation_is_refused() {
    check_replies("join1 a id=zzz", "a: UNKNOWN_MEMBER_ID");
    check_replies("beat a id=zzz", "a: UNKNOWN_MEMBER_ID");
    check_replies("sync a id=zzz", "a: UNKNOWN_MEMBER_ID");
    check_replies(
        "join a; sync a gen=7; sync a; beat a gen=0",
        "a: joined 1 leads; a: ILLEGAL_GENERATION; a: [a]; a: ILLEGAL_GENERATION",
    );
}

#[test]
fn a_full_group_takes_no_more_members() {
    let settings = GroupSettings { group_size_max: 1, ..GroupSettings::default() };
    let (replies, state) = run(settings, "join a; sync a; join b");
    assert_eq!(replies, "a: joined 1 leads; a: [a]; b: GROUP_MAX_SIZE_REACHED");
    assert_eq!(state, "Stable gen=1 a-0:[a]");
}

#[test]
fn the_initial_rebalance_waits_for_company_when_told_to() {
    let settings = GroupSettings { initial_rebalance_delay_ms: 3_000, ..GroupSettings::default() };
    let (replies, state) = run(settings, "join a; wait 2; join b; wait 2; wait 3; sync a");
    assert_eq!(replies, "a: joined 1 leads; b: joined 1; a: [a]");
    assert_eq!(state, "Stable gen=1 a-0:[a] b-1:[b]");
}

#[test]
fn a_leader_that_rejoins_rebalances_a_follower_does_not() {
    let two = "join a; sync a; join b; join a; sync b; sync a";
    check_group(&format!("{two}; join b"), "Stable gen=2 a-0:[a] b-1:[b]");
    check_group(&format!("{two}; join a"), "PreparingRebalance gen=2 a-0:[a] b-1:[b]");
    check_group(&format!("{two}; join b topics=t,u"), "PreparingRebalance gen=2 a-0:[a] b-1:[b]");
}

#[test]
fn waiting_syncs_are_sent_back_when_the_generation_ends() {
    let (replies, _) = run(
        GroupSettings::default(),
        "join a; sync a; join b; join a; sync b; join1 c v=3; sync a",
    );
    assert!(replies.ends_with("b: REBALANCE_IN_PROGRESS; a: REBALANCE_IN_PROGRESS"), "{replies}");
}

#[test]
fn commits_come_from_the_current_generation() {
    check_replies("join a; sync a; commit a", "a: joined 1 leads; a: [a]; a: ok");
    check_replies("join a; commit a", "a: joined 1 leads; a: REBALANCE_IN_PROGRESS");
    check_replies("join a; sync a; join b; commit a", "a: joined 1 leads; a: [a]; a: ok");
    check_replies(
        "join a; sync a; commit a gen=0",
        "a: joined 1 leads; a: [a]; a: ILLEGAL_GENERATION",
    );
    check_replies(
        "join a; sync a; commit a id=zzz",
        "a: joined 1 leads; a: [a]; a: UNKNOWN_MEMBER_ID",
    );
    check_replies("commit a gen=3 id=zzz", "a: ILLEGAL_GENERATION");
}

#[test]
fn a_client_without_a_group_commits_while_the_group_is_empty() {
    check_group("commit x gen=-1 offset=9", "Empty gen=0 t-0@9");
    check_replies(
        "join a; sync a; commit x gen=-1",
        "a: joined 1 leads; a: [a]; x: UNKNOWN_MEMBER_ID",
    );
    check_group("commit x gen=-1 offset=9; commit x gen=-1 offset=3; crash", "Empty gen=0 t-0@3");
}

#[test]
fn long_offset_metadata_is_refused() {
    check_replies(
        "commit x gen=-1 metadata=4096; commit x gen=-1 metadata=4097",
        "x: ok; x: OFFSET_METADATA_TOO_LARGE",
    );
}

#[test]
fn a_stable_group_survives_a_crash_and_its_members_go_on() {
    let two = "join a; sync a; join b static=2; join a; sync b; sync a; commit a";
    check_group(&format!("{two}; wait 9; crash; wait 9"), "Stable gen=2 2-1:[2] a-0:[a] t-0@5");
    let (replies, _) =
        run(GroupSettings::default(), &format!("{two}; crash; beat a; beat b; sync a; commit a"));
    assert!(replies.ends_with("a: ok; b: ok; a: [a]; a: ok"), "{replies}");
    check_group(&format!("{two}; crash; restart b static=2"), "Stable gen=2 2-3:[2] a-0:[a] t-0@5");
    check_group(&format!("{two}; crash; wait 11"), "Empty gen=3 t-0@5");
}

#[test]
fn a_crash_in_a_rebalance_goes_back_to_the_last_stable_generation() {
    check_group("join a; sync a; join b; crash", "Stable gen=1 a-0:[a]");
    check_replies(
        "join a; sync a; join b; join a; crash; beat a",
        "a: joined 1 leads; a: [a]; a: joined 2 leads; b: joined 2; a: ILLEGAL_GENERATION",
    );
}

#[test]
fn offsets_expire_seven_days_after_the_group_is_empty() {
    let week = 7 * 86_400;
    check_group(
        &format!("join a; sync a; commit a; leave a; wait {}", week - 1200),
        "Empty gen=2 t-0@5",
    );
    check_group(&format!("join a; sync a; commit a; leave a; wait {}", week + 1200), "none");
    check_group(
        &format!("commit x gen=-1; wait {}; commit x gen=-1; wait 1800", week - 900),
        "Empty gen=0 t-0@5",
    );
    check_group(&format!("commit x gen=-1; wait {}", week + 1200), "none");
    check_group("join a; sync a; leave a; wait 1200", "none");
}

#[test]
fn a_group_is_deleted_with_its_offsets_when_it_is_empty() {
    check_replies("join a; sync a; delete", "a: joined 1 leads; a: [a]; admin: NON_EMPTY_GROUP");
    check_replies("delete", "admin: GROUP_ID_NOT_FOUND");
    check_group("join a; sync a; commit a; leave a; delete", "none");
    check_group("join a; sync a; commit a; leave a; delete; crash", "none");
    check_group("commit x gen=-1; delete", "none");
}

#[test]
fn offsets_of_deleted_topics_are_forgotten() {
    check_group("commit x gen=-1; commit x gen=-1 topic=u; forget t", "Empty gen=0 u-0@5");
    check_group("commit x gen=-1; forget t", "none");
}

#[test]
fn states_filter_the_listing() {
    let mut world = World::new(GroupSettings::default());
    world.run_line("join a");
    let states = |states: &[&str]| ListGroups {
        states: states.iter().map(|state| (*state).to_owned()).collect(),
        ..ListGroups::default()
    };
    assert_eq!(world.machine.list(world.now, &states(&["stable", "completingrebalance"])).len(), 1);
    assert_eq!(world.machine.list(world.now, &states(&["Empty"])).len(), 0);
    assert_eq!(world.machine.list(world.now, &states(&[])).len(), 1);
}

#[test]
fn records_have_kafkas_bytes() {
    let record = GroupRecord::Offset {
        group_id: GroupId::from("g"),
        topic: TopicName::from("t"),
        partition: 2,
        committed: Some(CommittedOffset {
            offset: 7,
            leader_epoch: 4,
            metadata: Arc::from("m"),
            committed_at: Timestamp(9),
            expires_at: None,
        }),
    };
    let encoded = GroupMachine::encode(&record);
    assert_eq!(encoded.key.unwrap(), b"\0\x01\0\x01g\0\x01t\0\0\0\x02");
    assert_eq!(
        encoded.value.unwrap(),
        b"\0\x03\0\0\0\0\0\0\0\x07\0\0\0\x04\0\x01m\0\0\0\0\0\0\0\x09"
    );
}

#[test]
fn records_of_other_group_types_are_skipped_and_broken_ones_refused() {
    assert_eq!(GroupMachine::decode(Some(b"\0\x0b\0\x01g"), Some(b"\0\0")), Ok(None));
    assert!(GroupMachine::decode(Some(b"\0"), None).is_err());
    assert!(GroupMachine::decode(None, None).is_err());
    assert!(GroupMachine::decode(Some(b"\0\x01\0\x09g"), None).is_err());
    assert!(GroupMachine::decode(Some(b"\0\x02\0\x01g"), Some(b"\0\x09")).is_err());
}
