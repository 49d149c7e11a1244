//! A consumer group under members of both protocols that join, leave, die, come back and ask twice, topics that come
//! and go, and a host that crashes.
//!
//! What must hold: no partition has two holders, and none that a member believes in has another; a member's epoch
//! never falls; offsets survive crashes and changes of the protocol; and once all is quiet, every partition is used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::primitive::Uuid;
use bytes::Bytes;

use super::{Dice, Host};
use crate::group::command::*;
use crate::group::consumer::embedded::{read_assignment, write_assignment};
use crate::group::consumer::member::{Assignment, LEAVE_EPOCH, STATIC_LEAVE_EPOCH};
use crate::group::consumer::tests::world::{classic_subscription, image};
use crate::group::id::{GroupId, InstanceId, MemberId, TopicName};
use crate::group::{ConsumerSettings, GroupEvent, GroupMachine, GroupSettings};
use crate::machine::Machine;
use crate::topic::image::MetadataImage;

const CLIENTS: usize = 6;
const GROUP: &str = "g";
const TOPICS: [&str; 4] = ["t=3", "t=3 u=4", "t=5 u=4", "t=1 u=2"];

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Speaks {
    #[default]
    Consumer,
    Classic,
}

/// A consumer as a client library would drive it: one request at a time.
#[derive(Clone, Debug, Default)]
struct Client {
    speaks: Speaks,
    member_id: String,
    instance_id: Option<InstanceId>,
    epoch: i32,
    /// What it uses; it lets go before it says so.
    owned: Assignment,
    topics: &'static str,
    /// Its next heartbeat says everything.
    tells_all: bool,
    must_sync: bool,
    leads: Option<Vec<JoinedMember>>,
    waits: bool,
    /// How many of its requests it has given up on: what they are answered it does not hear.
    given_up: usize,
    /// The offset it last tried to commit.
    commits: i64,
    highest_epoch: i32,
}

struct Run {
    dice: Dice,
    host: Host<GroupMachine>,
    topics: Arc<MetadataImage>,
    clients: Vec<Client>,
    /// In how many of ten restarts a client speaks the classic protocol.
    classic_in_ten: u64,
    ids: u32,
    commits: i64,
    told_offset: i64,
    /// A machine that was only ever told what is written, and up to where.
    replayed: (GroupMachine, usize),
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let interval_ms = if dice.one_in(2) { 1_000 } else { 0 };
        let consumer =
            ConsumerSettings { assignment_interval_ms: interval_ms, ..ConsumerSettings::default() };
        let settings = GroupSettings { consumer, ..GroupSettings::default() };
        // From consumers only to a classic group that one or two of them visit.
        let classic_in_ten = [0, 3, 6, 9][usize::try_from(dice.below(4)).unwrap()];
        let speaks = if classic_in_ten > 3 { Speaks::Classic } else { Speaks::Consumer };
        let clients = (0..CLIENTS).map(|index| Client {
            speaks,
            instance_id: (index % 3 == 0).then(|| InstanceId::from(format!("static{index}"))),
            topics: "t",
            ..Client::default()
        });
        let topics = image(TOPICS[0]);
        let known = Arc::clone(&topics);
        let fresh = move || {
            let mut machine = GroupMachine::new(settings.clone());
            machine.note(GroupEvent::Topics(Arc::clone(&known)));
            machine
        };
        let replayed = (fresh(), 0);
        let host = Host::new(fresh);
        let clients = clients.collect();
        Self {
            dice,
            host,
            topics,
            clients,
            classic_in_ten,
            ids: 0,
            commits: 0,
            told_offset: -1,
            replayed,
        }
    }

    fn run(&mut self) {
        for _ in 0..400 {
            match self.dice.below(40) {
                0..=21 => self.act(),
                22..=23 => {
                    let duration_ms = i64::try_from(self.dice.below(9_000)).unwrap();
                    self.host.pass(duration_ms);
                }
                24..=33 => {
                    let upto = self.dice.below(self.host.log.len() as u64 + 2);
                    self.hear(usize::try_from(upto).unwrap());
                }
                34 => self.restart_a_client(),
                35 => self.change_topics(),
                36 => self.lose_a_reply(),
                37 if self.dice.one_in(4) => self.crash(),
                38 if self.dice.one_in(8) => self.host.pass(50_000),
                _ => self.hear(usize::MAX),
            }
            self.check();
        }
        self.finish();
    }

    fn pick(&mut self) -> usize {
        usize::try_from(self.dice.below(CLIENTS as u64)).unwrap()
    }

    fn act(&mut self) {
        let index = self.pick();
        if self.clients[index].waits {
            return;
        }
        let command = match self.dice.below(12) {
            0 if !self.clients[index].member_id.is_empty() => self.leave(index),
            1..=2 if self.clients[index].epoch > 0 => self.commit(index),
            _ => self.step(index),
        };
        self.ask(index, &command);
    }

    fn ask(&mut self, index: usize, command: &GroupCommand) {
        self.clients[index].waits = true;
        self.host.ask(index + CLIENTS * self.clients[index].given_up, command);
    }

    /// What the client does next if nothing in particular happens.
    fn step(&mut self, index: usize) -> GroupCommand {
        match self.clients[index].speaks {
            Speaks::Consumer => self.beat(index),
            Speaks::Classic if self.clients[index].must_sync => self.sync(index),
            Speaks::Classic if self.clients[index].epoch > 0 => self.beat_classic(index),
            Speaks::Classic => self.join_classic(index),
        }
    }

    fn beat(&mut self, index: usize) -> GroupCommand {
        let wants_more = self.dice.one_in(10);
        let is_full = self.dice.one_in(3);
        let client = &mut self.clients[index];
        if client.member_id.is_empty() {
            self.ids += 1;
            client.member_id = format!("m{}", self.ids);
            client.epoch = 0;
            client.highest_epoch = 0;
        }
        if wants_more {
            client.topics = if client.topics == "t" { "t,u" } else { "t" };
        }
        let tells_all = client.epoch == 0 || client.tells_all || is_full;
        if client.epoch == 0 {
            client.owned.clear();
        }
        client.tells_all = false;
        GroupCommand::ConsumerHeartbeat(ConsumerHeartbeat {
            group_id: GroupId::from(GROUP),
            member_id: MemberId::from(&*client.member_id),
            member_epoch: client.epoch,
            instance_id: client.instance_id.clone(),
            rack_id: None,
            rebalance_timeout_ms: if tells_all { 30_000 } else { -1 },
            topics: (tells_all || wants_more)
                .then(|| client.topics.split(',').map(TopicName::from).collect()),
            regex: None,
            assignor: None,
            owned: tells_all.then(|| client.owned.clone()),
            client_id: Arc::from("client"),
            client_host: Arc::from("/127.0.0.1"),
        })
    }

    fn join_classic(&mut self, index: usize) -> GroupCommand {
        self.ids += 1;
        let client = &self.clients[index];
        let metadata = classic_subscription(client.topics, &client.owned);
        GroupCommand::Join(JoinGroup {
            group_id: GroupId::from(GROUP),
            member_id: MemberId::from(&*client.member_id),
            instance_id: client.instance_id.clone(),
            unique_suffix: self.ids.to_string(),
            client_id: Arc::from("classic"),
            client_host: Arc::from("/127.0.0.1"),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 20_000,
            protocol_type: Arc::from("consumer"),
            protocols: vec![(Arc::from("range"), metadata)],
            new_member: NewMemberRule::MustReturnWithId,
            knows_skip_assignment: true,
        })
    }

    fn sync(&mut self, index: usize) -> GroupCommand {
        let client = &self.clients[index];
        // A leader gives everything to the first member: fair is the business of the other simulation.
        let mut all = self.all_partitions();
        let members = client.leads.iter().flatten().map(|member| {
            let assignment = std::mem::take(&mut all);
            let bytes = write_assignment(&assignment, &member.metadata, &self.topics);
            (member.member_id.clone(), bytes)
        });
        let assignments = members.collect();
        GroupCommand::Sync(SyncGroup {
            group_id: GroupId::from(GROUP),
            generation: client.epoch,
            member_id: MemberId::from(&*client.member_id),
            instance_id: client.instance_id.clone(),
            protocol_type: None,
            protocol: None,
            assignments,
        })
    }

    fn beat_classic(&mut self, index: usize) -> GroupCommand {
        let client = &self.clients[index];
        GroupCommand::Heartbeat(Heartbeat {
            group_id: GroupId::from(GROUP),
            generation: client.epoch,
            member_id: MemberId::from(&*client.member_id),
            instance_id: client.instance_id.clone(),
        })
    }

    fn leave(&mut self, index: usize) -> GroupCommand {
        let for_a_while = self.dice.one_in(2);
        let client = &mut self.clients[index];
        client.owned.clear();
        if client.speaks == Speaks::Classic {
            let members = vec![(MemberId::from(&*client.member_id), client.instance_id.clone())];
            return GroupCommand::Leave(LeaveGroup { group_id: GroupId::from(GROUP), members });
        }
        client.epoch = match &client.instance_id {
            Some(_) if for_a_while => STATIC_LEAVE_EPOCH,
            Some(_) | None => LEAVE_EPOCH,
        };
        let epoch = client.epoch;
        match self.beat(index) {
            GroupCommand::ConsumerHeartbeat(beat) => {
                GroupCommand::ConsumerHeartbeat(ConsumerHeartbeat { member_epoch: epoch, ..beat })
            }
            other => other,
        }
    }

    fn commit(&mut self, index: usize) -> GroupCommand {
        self.commits += 1;
        let client = &mut self.clients[index];
        client.commits = self.commits;
        GroupCommand::Commit(CommitOffsets {
            group_id: GroupId::from(GROUP),
            generation: client.epoch,
            member_id: MemberId::from(&*client.member_id),
            instance_id: client.instance_id.clone(),
            knows_member_epochs: true,
            offsets: vec![OffsetToCommit {
                topic: TopicName::from("t"),
                partition: 0,
                offset: self.commits,
                leader_epoch: -1,
                metadata: Arc::from(""),
            }],
        })
    }

    fn hear(&mut self, upto: usize) {
        for (asked, reply) in self.host.sync(upto) {
            let index = asked % CLIENTS;
            if asked / CLIENTS != self.clients[index].given_up {
                continue;
            }
            self.clients[index].waits = false;
            match reply {
                GroupReply::ConsumerHeartbeat(Ok(reply)) => self.hear_heartbeat(index, reply),
                GroupReply::ConsumerHeartbeat(Err(refusal)) => self.fail(index, refusal.code),
                GroupReply::Join(reply) => self.hear_join(index, reply),
                GroupReply::Sync(Ok(synced)) => self.hear_sync(index, &synced.assignment),
                GroupReply::Sync(Err(error)) | GroupReply::Heartbeat(Err(error)) => {
                    self.fail(index, error);
                }
                GroupReply::Commit(Err(error)) => self.fail_commit(index, error),
                GroupReply::Commit(Ok(results)) => {
                    assert_eq!(results, [Ok(())]);
                    self.told_offset = self.told_offset.max(self.clients[index].commits);
                    assert!(self.fetched() >= self.told_offset, "answered before it was durable");
                }
                GroupReply::Leave(_) => self.clients[index].start_over(),
                _ => {}
            }
        }
    }

    fn hear_heartbeat(&mut self, index: usize, reply: HeartbeatReply) {
        let client = &mut self.clients[index];
        if reply.member_epoch < 0 {
            return client.start_over();
        }
        assert!(reply.member_epoch >= client.highest_epoch, "the member's epoch fell");
        client.highest_epoch = reply.member_epoch;
        client.epoch = reply.member_epoch;
        if let Some(assignment) = reply.assignment {
            // It lets go of what is taken away, and says so next time.
            client.tells_all |= client.owned != assignment;
            client.owned = assignment;
        }
    }

    fn hear_join(&mut self, index: usize, reply: JoinReply) {
        let client = &mut self.clients[index];
        match reply.result {
            Ok(joined) => {
                client.member_id = reply.member_id.to_string();
                client.epoch = joined.generation;
                client.must_sync = true;
                let is_leader = joined.leader == reply.member_id;
                client.leads = (is_leader && !joined.skip_assignment).then_some(joined.members);
            }
            Err(ErrorCode::MemberIdRequired) => client.member_id = reply.member_id.to_string(),
            Err(error) => self.fail(index, error),
        }
    }

    fn hear_sync(&mut self, index: usize, assignment: &Bytes) {
        let assignment = read_assignment(assignment, &self.topics).expect("readable");
        let client = &mut self.clients[index];
        client.must_sync = false;
        // What is taken away it lets go of, and joins again to say so.
        let lets_go = client.owned.iter().any(|(topic_id, indexes)| {
            assignment.get(topic_id).is_none_or(|kept| !indexes.is_subset(kept))
        });
        if lets_go {
            client.epoch = 0;
        }
        client.owned = assignment;
    }

    fn fail(&mut self, index: usize, error: ErrorCode) {
        let client = &mut self.clients[index];
        match (client.speaks, error) {
            (Speaks::Classic, ErrorCode::RebalanceInProgress) => {
                client.epoch = 0;
                client.must_sync = false;
            }
            (Speaks::Consumer, ErrorCode::UnreleasedInstanceId) => {}
            (
                _,
                ErrorCode::UnknownMemberId
                | ErrorCode::FencedInstanceId
                | ErrorCode::FencedMemberEpoch
                | ErrorCode::IllegalGeneration
                | ErrorCode::GroupIdNotFound,
            ) => client.start_over(),
            (speaks, other) => panic!("{other:?} was not to be expected by {speaks:?}"),
        }
    }

    fn fail_commit(&mut self, index: usize, error: ErrorCode) {
        match error {
            ErrorCode::StaleMemberEpoch
            | ErrorCode::IllegalGeneration
            | ErrorCode::RebalanceInProgress => {}
            other => self.fail(index, other),
        }
    }

    /// The process dies and comes back, maybe with another version of its library.
    fn restart_a_client(&mut self) {
        let index = self.pick();
        let is_classic = self.dice.below(10) < self.classic_in_ten;
        let speaks = if is_classic { Speaks::Classic } else { Speaks::Consumer };
        let client = &mut self.clients[index];
        if !client.waits {
            client.start_over();
            client.speaks = speaks;
        }
    }

    /// A request times out at the client: it asks again, and says everything.
    fn lose_a_reply(&mut self) {
        let index = self.pick();
        let client = &mut self.clients[index];
        if client.speaks == Speaks::Consumer && client.waits && client.epoch >= 0 {
            client.waits = false;
            client.given_up += 1;
            client.tells_all = true;
        }
    }

    fn change_topics(&mut self) {
        let pick = usize::try_from(self.dice.below(TOPICS.len() as u64)).unwrap();
        self.topics = image(TOPICS[pick]);
        self.host.machine.note(GroupEvent::Topics(Arc::clone(&self.topics)));
    }

    fn crash(&mut self) {
        for asked in self.host.crash() {
            let client = &mut self.clients[asked % CLIENTS];
            client.waits = false;
            client.tells_all = true;
            if client.epoch < 0 || client.speaks == Speaks::Classic {
                client.start_over();
            }
        }
        self.host.machine.note(GroupEvent::Topics(Arc::clone(&self.topics)));
        self.replayed = (self.host.replayed(self.host.durable), self.host.durable);
        assert!(self.fetched() >= self.told_offset, "a commit that was answered is lost");
    }

    fn fetched(&self) -> i64 {
        let durable = self.host.replayed(self.host.durable).durable();
        let group = durable.get(&GroupId::from(GROUP));
        let offset = group.and_then(|group| group.offsets.values().next());
        offset.map_or(-1, |committed| committed.offset)
    }

    fn all_partitions(&self) -> Assignment {
        let topics = self.topics.topics();
        topics.map(|topic| (topic.id, (0..topic.partition_count()).collect())).collect()
    }

    fn check(&mut self) {
        let durable = self.host.machine.durable();
        let (replayed, length) = &mut self.replayed;
        for record in &self.host.log[*length..] {
            let record = GroupMachine::decode(record.key.as_deref(), record.value.as_deref());
            replayed.apply(&record.unwrap().unwrap());
        }
        *length = self.host.log.len();
        assert_eq!(replayed.durable(), durable, "replay differs");
        let group = durable.get(&GroupId::from(GROUP));
        let Some(group) = group.and_then(|group| group.consumer.as_ref()) else { return };
        let mut holders = BTreeMap::<(Uuid, i32), &MemberId>::new();
        for (member_id, member) in &group.members {
            for (topic_id, partitions) in
                member.current.assigned.iter().chain(&member.current.revoking)
            {
                for index in partitions.keys() {
                    let other = holders.insert((*topic_id, *index), member_id);
                    assert_eq!(other, None, "{topic_id}-{index} is {member_id}'s, too");
                    assert_eq!(group.holder(topic_id, *index), Some(member_id));
                }
            }
        }
        assert!(group.target_epoch.epoch <= group.epoch.epoch);
        // What a member that is still one believes to own is its own.
        for client in &self.clients {
            let member_id = MemberId::from(&*client.member_id);
            let Some(member) = group.members.get(&member_id) else { continue };
            let may_use = match client.speaks {
                Speaks::Consumer => member.current.epoch >= 0 && client.epoch > 0,
                Speaks::Classic => member.current.epoch == client.epoch && !client.must_sync,
            };
            if !may_use {
                continue;
            }
            // Classic members are assigned to by name: a topic may have gone meanwhile.
            let is_told = |name: &str| client.speaks == Speaks::Consumer || name == "t";
            let topics = self.topics.topics().filter(|topic| is_told(&topic.name));
            for topic in topics {
                for index in client.owned.get(&topic.id).into_iter().flatten() {
                    let holder = holders.get(&(topic.id, *index));
                    assert_eq!(holder, Some(&&member_id), "{client:?} {group:?}");
                }
            }
        }
    }

    /// With nothing new, everybody arrives, and every partition has an owner.
    fn finish(&mut self) {
        self.hear(usize::MAX);
        for client in &mut self.clients {
            client.waits = false;
            client.topics = "t,u";
            client.tells_all = true;
        }
        for _ in 0..60 {
            for index in 0..CLIENTS {
                let command = match self.clients[index].speaks {
                    // Its subscription is what was set above.
                    Speaks::Consumer => match self.beat(index) {
                        GroupCommand::ConsumerHeartbeat(beat) => {
                            self.clients[index].topics = "t,u";
                            let topics = ["t", "u"].map(TopicName::from).into();
                            let topics = Some(topics);
                            GroupCommand::ConsumerHeartbeat(ConsumerHeartbeat { topics, ..beat })
                        }
                        other => other,
                    },
                    Speaks::Classic => self.step(index),
                };
                if !self.clients[index].waits {
                    self.ask(index, &command);
                }
                self.hear(usize::MAX);
                self.check();
            }
            self.host.pass(1_500);
            self.hear(usize::MAX);
            self.check();
        }
        let group = GroupId::from(GROUP);
        let durable = self.host.machine.durable();
        let Some(consumer) = durable.get(&group).and_then(|group| group.consumer.as_ref()) else {
            let speak_classic = |client: &Client| client.speaks == Speaks::Classic;
            assert!(self.clients.iter().all(speak_classic), "{:?}", self.clients);
            return;
        };
        let state = consumer.state().name();
        assert_eq!((state, consumer.members.len()), ("Stable", CLIENTS), "{consumer:?}");
        let owned = self.clients.iter().flat_map(|client| {
            client.owned.iter().flat_map(|(id, indexes)| indexes.iter().map(|index| (*id, *index)))
        });
        let mut used = BTreeSet::new();
        for partition in owned {
            assert!(used.insert(partition), "{partition:?} is used twice");
        }
        let all = self.all_partitions();
        let all = all.iter().flat_map(|(id, indexes)| indexes.iter().map(|index| (*id, *index)));
        assert_eq!(used, all.collect(), "{:?}", self.clients);
    }
}

impl Client {
    /// It is no member any more, and uses nothing.
    fn start_over(&mut self) {
        self.member_id.clear();
        self.epoch = 0;
        self.owned.clear();
        self.must_sync = false;
        self.leads = None;
        self.tells_all = true;
    }
}

#[test]
fn consumer_groups_survive_crashes_and_changes_of_protocol() {
    for seed in 0..150 {
        let outcome = std::panic::catch_unwind(|| Run::new(seed).run());
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
