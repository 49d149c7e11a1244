//! A group machine under clients that join, sync, beat, commit, leave and restart, and a host that crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;
use bytes::Bytes;

use super::{Dice, Host};
use crate::GroupMachine;
use crate::group::GroupSettings;
use crate::group::classic::GroupState;
use crate::group::command::*;
use crate::group::id::{GroupId, InstanceId, MemberId, TopicName};

const CLIENTS: usize = 5;
const GROUP: &str = "g";

/// A consumer as a client library would drive it: one request at a time.
#[derive(Clone, Debug, Default)]
struct Client {
    member_id: String,
    instance_id: Option<InstanceId>,
    generation: i32,
    /// Members to assign, if it leads.
    leads: Option<Vec<MemberId>>,
    step: Step,
    waits: bool,
    ids_made: u32,
    /// The offset it last tried to commit.
    commits: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Step {
    #[default]
    Join,
    Sync,
    Steady,
}

struct Run {
    dice: Dice,
    host: Host<GroupMachine>,
    clients: Vec<Client>,
    crashes: u32,
    commits: i64,
    /// The largest offset whose commit a client was told of.
    told_offset: i64,
    /// Per crash and generation: who was told to lead.
    leaders: BTreeMap<(u32, i32), String>,
    generation_told: BTreeMap<u32, i32>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let delay_ms = if dice.one_in(3) { 3_000 } else { 0 };
        let settings =
            GroupSettings { initial_rebalance_delay_ms: delay_ms, ..GroupSettings::default() };
        let clients = (0..CLIENTS).map(|index| Client {
            instance_id: (index % 2 == 0).then(|| InstanceId::from(format!("static{index}"))),
            ..Client::default()
        });
        Self {
            dice,
            host: Host::new(move || GroupMachine::new(settings.clone())),
            clients: clients.collect(),
            crashes: 0,
            commits: 0,
            told_offset: -1,
            leaders: BTreeMap::new(),
            generation_told: BTreeMap::new(),
        }
    }

    fn run(&mut self) {
        for _ in 0..400 {
            match self.dice.below(20) {
                0..=11 => self.act(),
                12 => {
                    let duration_ms = i64::try_from(self.dice.below(12_000)).unwrap();
                    self.host.pass(duration_ms);
                }
                13..=17 => {
                    let upto = self.dice.below(self.host.log.len() as u64 + 2);
                    self.hear(usize::try_from(upto).unwrap());
                }
                18 => self.restart_a_client(),
                _ if self.dice.one_in(3) => self.crash(),
                _ => self.hear(usize::MAX),
            }
            self.check();
        }
        self.finish();
    }

    fn act(&mut self) {
        let index = usize::try_from(self.dice.below(CLIENTS as u64)).unwrap();
        if self.clients[index].waits {
            return;
        }
        let command = match self.clients[index].step {
            Step::Join => self.join(index),
            Step::Sync => self.sync(index),
            Step::Steady => match self.dice.below(8) {
                0 => self.join(index),
                1 => self.leave(index),
                2..=4 => self.commit(index),
                _ => self.beat(index),
            },
        };
        self.clients[index].waits = true;
        self.host.ask(index, &command);
    }

    fn join(&mut self, index: usize) -> GroupCommand {
        let topics: &[u8] =
            if self.dice.one_in(4) { b"\0\0\0\0\0\x01\0\x01u" } else { b"\0\0\0\0\0\x01\0\x01t" };
        let client = &mut self.clients[index];
        client.ids_made += 1;
        GroupCommand::Join(JoinGroup {
            group_id: GroupId::from(GROUP),
            member_id: MemberId::from(&*client.member_id),
            instance_id: client.instance_id.clone(),
            unique_suffix: format!("{}-{}", client.ids_made, self.crashes),
            client_id: Arc::from(format!("client{index}")),
            client_host: Arc::from("/127.0.0.1"),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 20_000,
            protocol_type: Arc::from("consumer"),
            protocols: vec![(Arc::from("range"), Bytes::from_static(topics))],
            new_member: NewMemberRule::MustReturnWithId,
            knows_skip_assignment: true,
        })
    }

    fn sync(&mut self, index: usize) -> GroupCommand {
        let client = &self.clients[index];
        let assign = |member_id: &MemberId| {
            (member_id.clone(), Bytes::from(format!("{} {member_id}", client.generation)))
        };
        GroupCommand::Sync(SyncGroup {
            group_id: GroupId::from(GROUP),
            generation: client.generation,
            member_id: MemberId::from(&*client.member_id),
            instance_id: client.instance_id.clone(),
            protocol_type: None,
            protocol: None,
            assignments: client.leads.iter().flatten().map(assign).collect(),
        })
    }

    fn beat(&mut self, index: usize) -> GroupCommand {
        let client = &self.clients[index];
        GroupCommand::Heartbeat(Heartbeat {
            group_id: GroupId::from(GROUP),
            generation: client.generation,
            member_id: MemberId::from(&*client.member_id),
            instance_id: client.instance_id.clone(),
        })
    }

    fn leave(&mut self, index: usize) -> GroupCommand {
        let client = &self.clients[index];
        let members = vec![(MemberId::from(&*client.member_id), client.instance_id.clone())];
        GroupCommand::Leave(LeaveGroup { group_id: GroupId::from(GROUP), members })
    }

    fn commit(&mut self, index: usize) -> GroupCommand {
        self.commits += 1;
        let client = &mut self.clients[index];
        client.commits = self.commits;
        GroupCommand::Commit(CommitOffsets {
            group_id: GroupId::from(GROUP),
            generation: client.generation,
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
        for (index, reply) in self.host.sync(upto) {
            self.clients[index].waits = false;
            match reply {
                GroupReply::Join(reply) => self.hear_join(index, reply),
                GroupReply::Sync(result) => self.hear_sync(index, result),
                GroupReply::Heartbeat(Err(error)) | GroupReply::Commit(Err(error)) => {
                    self.fail(index, error)
                }
                GroupReply::Commit(Ok(results)) => {
                    assert_eq!(results, [Ok(())]);
                    self.told_offset = self.told_offset.max(self.clients[index].commits);
                    assert!(
                        self.fetched() >= self.told_offset,
                        "a commit was answered before it was durable"
                    );
                }
                GroupReply::Leave(_) => {
                    let client = &mut self.clients[index];
                    client.member_id.clear();
                    client.step = Step::Join;
                }
                _ => {}
            }
        }
    }

    /// Offsets only rise here, so that the stored one says up to where commits are durable.
    fn fetched(&self) -> i64 {
        let durable = self.host.replayed(self.host.durable).durable();
        let group = durable.get(&GroupId::from(GROUP));
        group
            .and_then(|group| group.offsets.values().next())
            .map_or(-1, |committed| committed.offset)
    }

    fn hear_join(&mut self, index: usize, reply: JoinReply) {
        let client = &mut self.clients[index];
        match reply.result {
            Ok(joined) => {
                client.member_id = reply.member_id.to_string();
                client.generation = joined.generation;
                let is_leader = joined.leader == reply.member_id;
                let members = joined
                    .members
                    .iter()
                    .map(|member| member.member_id.clone())
                    .collect::<Vec<_>>();
                client.leads = (is_leader && !joined.skip_assignment).then_some(members);
                client.step = Step::Sync;
                if is_leader {
                    // A static leader's successor leads the same generation under another id.
                    let name = reply.member_id.split('-').next().unwrap().to_owned();
                    let before =
                        self.leaders.insert((self.crashes, joined.generation), name.clone());
                    assert!(
                        before.is_none_or(|before| before == name),
                        "two leaders of {}",
                        joined.generation
                    );
                }
                let before = self.generation_told.entry(self.crashes).or_default();
                assert!(
                    joined.generation >= *before,
                    "generation {} after {before}",
                    joined.generation
                );
                *before = joined.generation;
            }
            Err(ErrorCode::MemberIdRequired) => client.member_id = reply.member_id.to_string(),
            Err(error) => self.fail(index, error),
        }
    }

    fn hear_sync(&mut self, index: usize, result: Result<Synced, ErrorCode>) {
        let client = &mut self.clients[index];
        match result {
            Ok(synced) => {
                let text = String::from_utf8(synced.assignment.to_vec()).unwrap();
                if !text.is_empty() {
                    let (generation, member_id) = text.split_once(' ').unwrap();
                    assert_eq!(
                        generation,
                        client.generation.to_string(),
                        "an assignment of another generation"
                    );
                    // A static member's successor gets what was assigned to its predecessor.
                    let name = |id: &str| id.split('-').next().unwrap().to_owned();
                    assert_eq!(
                        name(member_id),
                        name(&client.member_id),
                        "an assignment of another member"
                    );
                }
                client.step = Step::Steady;
            }
            Err(error) => self.fail(index, error),
        }
    }

    fn fail(&mut self, index: usize, error: ErrorCode) {
        let client = &mut self.clients[index];
        client.step = Step::Join;
        match error {
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => client.member_id.clear(),
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => {}
            other => panic!("{other:?} was not to be expected"),
        }
    }

    fn restart_a_client(&mut self) {
        let index = usize::try_from(self.dice.below(CLIENTS as u64)).unwrap();
        if !self.clients[index].waits {
            let before = &self.clients[index];
            let (instance_id, ids_made) = (before.instance_id.clone(), before.ids_made);
            self.clients[index] = Client { instance_id, ids_made, ..Client::default() };
        }
    }

    fn crash(&mut self) {
        self.crashes += 1;
        for index in self.host.crash() {
            // The client's request times out; it asks again.
            self.clients[index].waits = false;
            self.clients[index].step = Step::Join;
        }
        assert!(self.fetched() >= self.told_offset, "a commit that was answered is lost");
    }

    fn check(&self) {
        let durable = self.host.machine.durable();
        assert_eq!(self.host.replayed(self.host.log.len()).durable(), durable, "replay differs");
        let Some(group) = self.host.machine.classic(GROUP, self.host.now) else { return };
        assert!(
            group.leader.as_ref().is_none_or(|leader| group.members.contains_key(leader)),
            "a leader from outside"
        );
        let written = durable.get(&GroupId::from(GROUP)).and_then(|group| group.metadata.as_ref());
        if group.state == GroupState::Stable {
            assert_eq!(
                written,
                Some(&group.to_metadata()),
                "a stable group that is not what is written"
            );
        }
        let generation = written.map_or(0, |metadata| metadata.generation);
        assert!(group.generation >= generation, "the running generation is behind the written one");
        let parked =
            group.members.values().flat_map(|member| [member.awaiting_join, member.awaiting_sync]);
        let parked = parked.flatten().collect::<BTreeSet<_>>();
        assert!(
            parked.iter().all(|request| self.host.asked.contains_key(request)),
            "waits for nobody"
        );
        let unanswered = self.host.asked.keys().filter(|request| {
            !parked.contains(request) && self.host.held.iter().all(|(_, held, _)| held != *request)
        });
        assert_eq!(unanswered.count(), 0, "a request that nobody will answer");
    }

    /// With no client left alive, everybody is answered and the group is empty.
    fn finish(&mut self) {
        self.host.pass(400_000);
        self.hear(usize::MAX);
        assert!(self.host.asked.is_empty(), "unanswered: {:?}", self.host.asked);
        if let Some(group) = self.host.machine.classic(GROUP, self.host.now) {
            assert_eq!(group.state, GroupState::Empty, "{group:?}");
        }
    }
}

#[test]
fn groups_survive_crashes_at_any_point() {
    for seed in 0..100 {
        let outcome = std::panic::catch_unwind(|| Run::new(seed).run());
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
