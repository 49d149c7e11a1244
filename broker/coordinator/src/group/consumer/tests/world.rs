//! A group machine, the clients that ask it, and the words of the scripts that drive them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::primitive::Uuid;
use bytes::Bytes;

use super::super::embedded::{read_assignment, write_assignment};
use super::super::member::{Assignment, without_epochs};
use crate::group::command::*;
use crate::group::id::{GroupId, InstanceId, MemberId, TopicName};
use crate::group::{GroupEvent, GroupMachine, GroupSettings};
use crate::machine::{DecisionOf, EncodedRecord, take_decision};
use crate::record::metadata::MetadataRecord;
use crate::topic::TopicMachine;
use crate::topic::image::MetadataImage;
use crate::{Machine, RequestId, Timestamp};

/// An image of topics, as `t=3 u=2`; a topic's id comes from its name.
pub(crate) fn image(topics: &str) -> Arc<MetadataImage> {
    let mut machine = TopicMachine::new(1);
    for topic in topics.split_whitespace() {
        let (name, count) = topic.split_once('=').unwrap();
        let topic_id = id_of(name);
        machine.apply(&MetadataRecord::Topic { name: TopicName::from(name), topic_id });
        for partition in 0..count.parse().unwrap() {
            let (leader, leader_epoch) = (1, 0);
            let record = MetadataRecord::Partition { topic_id, partition, leader, leader_epoch };
            machine.apply(&record);
        }
    }
    Arc::clone(machine.image())
}

pub(super) fn id_of(name: &str) -> Uuid {
    let mut id = [0; 16];
    for (place, letter) in id.iter_mut().zip(name.bytes()) {
        *place = letter;
    }
    Uuid(id)
}

fn name_of(id: &Uuid) -> String {
    String::from_utf8(id.0.iter().copied().take_while(|letter| *letter != 0).collect()).unwrap()
}

fn show(assignment: &Assignment) -> String {
    let topics = assignment.iter().map(|(id, indexes)| {
        let indexes = indexes.iter().map(ToString::to_string).collect::<Vec<_>>();
        format!("{}{}", name_of(id), indexes.join(""))
    });
    topics.collect::<Vec<_>>().join(" ")
}

/// A subscription as a classic consumer writes it: v1, topics, no user data, and what it owns.
pub(crate) fn classic_subscription(topics: &str, owned: &Assignment) -> Bytes {
    let mut bytes = vec![0, 1];
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(text.as_bytes());
    };
    let count = |bytes: &mut Vec<u8>, count: usize| {
        bytes.extend(u32::try_from(count).unwrap().to_be_bytes());
    };
    let names = topics.split(',').collect::<Vec<_>>();
    count(&mut bytes, names.len());
    names.iter().for_each(|name| text(&mut bytes, name));
    bytes.extend((-1_i32).to_be_bytes());
    count(&mut bytes, owned.len());
    for (id, indexes) in owned {
        text(&mut bytes, &name_of(id));
        count(&mut bytes, indexes.len());
        indexes.iter().for_each(|index| bytes.extend(index.to_be_bytes()));
    }
    Bytes::from(bytes)
}

#[derive(Clone, Debug, Default)]
struct Client {
    member_id: String,
    epoch: i32,
    owned: Assignment,
    instance_id: Option<InstanceId>,
    topics: String,
}

pub(super) struct World {
    pub(super) machine: GroupMachine,
    settings: GroupSettings,
    topics: Arc<MetadataImage>,
    pub(super) log: Vec<EncodedRecord>,
    now: Timestamp,
    requests: u64,
    clients: BTreeMap<String, Client>,
    pending: BTreeMap<RequestId, String>,
    pub(super) output: String,
}

impl World {
    pub(super) fn new(settings: GroupSettings) -> Self {
        let mut world = Self {
            machine: GroupMachine::new(settings.clone()),
            settings,
            topics: image("t=3 u=2"),
            log: Vec::new(),
            now: Timestamp(1_000_000),
            requests: 0,
            clients: BTreeMap::new(),
            pending: BTreeMap::new(),
            output: String::new(),
        };
        world.restart();
        world
    }

    pub(super) fn restart(&mut self) {
        let mut machine = GroupMachine::new(self.settings.clone());
        for record in &self.log {
            let record = GroupMachine::decode(record.key.as_deref(), record.value.as_deref());
            machine.apply(&record.unwrap().unwrap());
        }
        machine.note(GroupEvent::Topics(Arc::clone(&self.topics)));
        machine.resume(self.now);
        assert_eq!(machine.durable(), self.machine.durable(), "replay differs");
        self.machine = machine;
    }

    fn take(&mut self, decision: DecisionOf<GroupMachine>) {
        let (records, replies) = take_decision(&mut self.machine, decision);
        self.log.extend(records.iter().map(GroupMachine::encode));
        for (request, reply) in replies {
            let name = self.pending.remove(&request).expect("one reply to each request");
            self.answer(&name, reply);
        }
    }

    fn ask(&mut self, name: &str, command: &GroupCommand) {
        let request = RequestId(self.requests);
        self.requests += 1;
        self.pending.insert(request, name.to_owned());
        let decision = self.machine.decide(self.now, request, command);
        self.take(decision);
    }

    fn answer(&mut self, name: &str, reply: GroupReply) {
        let client = self.clients.entry(name.to_owned()).or_default();
        let _ = match reply {
            GroupReply::ConsumerHeartbeat(Ok(reply)) => {
                client.epoch = reply.member_epoch;
                match reply.assignment {
                    Some(assignment) => {
                        client.owned = assignment;
                        write!(self.output, "{name}: {} [{}]; ", client.epoch, show(&client.owned))
                    }
                    None => write!(self.output, "{name}: {}; ", client.epoch),
                }
            }
            GroupReply::ConsumerHeartbeat(Err(refusal)) => {
                write!(self.output, "{name}: {}; ", refusal.code.name())
            }
            GroupReply::Join(JoinReply { member_id, result: Ok(joined) }) => {
                client.member_id = member_id.to_string();
                client.epoch = joined.generation;
                Ok(())
            }
            GroupReply::Join(JoinReply { member_id, result: Err(error) }) => {
                if error == ErrorCode::MemberIdRequired {
                    client.member_id = member_id.to_string();
                    Ok(())
                } else {
                    write!(self.output, "{name}: {}; ", error.name())
                }
            }
            GroupReply::Sync(Ok(synced)) => {
                let owned = read_assignment(&synced.assignment, &self.topics);
                client.owned = owned.unwrap();
                write!(self.output, "{name}: {} [{}]; ", client.epoch, show(&client.owned))
            }
            GroupReply::Heartbeat(Ok(())) | GroupReply::Delete(Ok(())) => {
                write!(self.output, "{name}: ok; ")
            }
            GroupReply::Sync(Err(error))
            | GroupReply::Heartbeat(Err(error))
            | GroupReply::Delete(Err(error)) => write!(self.output, "{name}: {}; ", error.name()),
            GroupReply::Leave(results)
            | GroupReply::Commit(results)
            | GroupReply::OffsetsDeleted(results) => {
                let results = results.unwrap_or_else(|error| vec![Err(error)]);
                let texts = results.iter().map(|result| match result {
                    Ok(()) => "ok",
                    Err(error) => error.name(),
                });
                write!(self.output, "{name}: {}; ", texts.collect::<Vec<_>>().join(","))
            }
            GroupReply::Offsets(Ok(offsets)) => {
                let texts = offsets.iter().map(|offset| {
                    let committed = offset.committed.as_ref().map_or(-1, |at| at.offset);
                    format!("{}{}@{committed}", offset.topic, offset.partition)
                });
                write!(self.output, "{name}: {}; ", texts.collect::<Vec<_>>().join(" "))
            }
            GroupReply::Offsets(Err(error)) => write!(self.output, "{name}: {}; ", error.name()),
            other => write!(self.output, "{name}: {other:?}; "),
        };
    }

    pub(super) fn run(&mut self, script: &str) {
        for line in script.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            self.run_line(line);
        }
    }

    fn run_line(&mut self, line: &str) {
        let words = line.split_whitespace().collect::<Vec<_>>();
        let (verb, name) = (words[0], words.get(1).copied().unwrap_or_default());
        let option = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
        match verb {
            "topics" => {
                self.topics = image(line.strip_prefix("topics").unwrap());
                self.machine.note(GroupEvent::Topics(Arc::clone(&self.topics)));
            }
            "join" | "beat" | "ack" | "leave" => self.heartbeat(verb, name, &words),
            "classic" => {
                let topics = words.get(2).copied().unwrap_or("t").to_owned();
                let client = self.clients.entry(name.to_owned()).or_default();
                client.topics = topics;
                client.instance_id = option("static=").map(InstanceId::from);
                client.member_id.clear();
                if client.instance_id.is_none() {
                    self.classic_join(name);
                }
                self.classic_join(name);
                self.classic_sync(name);
            }
            "cjoin" => {
                self.classic_join(name);
                self.classic_sync(name);
            }
            "cbeat" => {
                let client = self.clients[name].clone();
                self.ask(
                    name,
                    &GroupCommand::Heartbeat(Heartbeat {
                        group_id: GroupId::from("g"),
                        generation: client.epoch,
                        member_id: MemberId::from(&*client.member_id),
                        instance_id: client.instance_id,
                    }),
                );
            }
            "remove" => {
                let (member_id, instance_id) = match option("static=") {
                    Some(instance_id) => ("", Some(InstanceId::from(instance_id))),
                    None => (&*self.clients[name].member_id, None),
                };
                let members = vec![(MemberId::from(member_id), instance_id)];
                let leave = LeaveGroup { group_id: GroupId::from("g"), members };
                self.ask(name, &GroupCommand::Leave(leave));
            }
            "commit" => self.commit(name, &words),
            "fetch" => {
                let client = self.clients.get(name).cloned().unwrap_or_default();
                let epoch = option("epoch=").map_or(client.epoch, |epoch| epoch.parse().unwrap());
                let member = (name != "admin").then(|| (MemberId::from(&*client.member_id), epoch));
                let fetch = FetchOffsets { group_id: GroupId::from("g"), partitions: None, member };
                self.ask(name, &GroupCommand::FetchOffsets(fetch));
            }
            "delete" => self.ask("admin", &GroupCommand::Delete(GroupId::from("g"))),
            "forget" => {
                let topics = vec![(TopicName::from(name), vec![0, 1, 2])];
                let delete = DeleteOffsets { group_id: GroupId::from("g"), topics };
                self.ask("admin", &GroupCommand::DeleteOffsets(delete));
            }
            "wait" => self.pass(name.parse::<i64>().unwrap() * 1000),
            "crash" => self.restart(),
            other => panic!("what is {other}?"),
        }
    }

    fn heartbeat(&mut self, verb: &str, name: &str, words: &[&str]) {
        let option = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
        let client = self.clients.entry(name.to_owned()).or_default();
        if client.member_id.is_empty() {
            client.member_id = name.to_owned();
        }
        if let Some(instance_id) = option("static=") {
            client.instance_id = Some(InstanceId::from(instance_id));
        }
        let epoch = match verb {
            "join" => 0,
            "leave" => -1,
            _ => client.epoch,
        };
        let is_full = matches!(verb, "join" | "ack");
        let wants = words.get(2).filter(|word| !word.contains('=')).copied();
        if let Some(wants) = wants {
            client.topics = wants.to_owned();
        }
        let (mut topics, mut regex) = (None, None);
        if is_full || wants.is_some() {
            match client.topics.strip_prefix('/').and_then(|text| text.strip_suffix('/')) {
                Some(expression) => {
                    regex = Some(Arc::from(expression));
                    topics = Some(Default::default());
                }
                None => {
                    topics = Some(client.topics.split(',').map(TopicName::from).collect());
                    regex = Some(Arc::from(""));
                }
            }
        }
        let owned = match (verb, option("own=")) {
            ("join", _) => Some(Assignment::new()),
            (_, Some(owned)) => {
                let mut partitions = Assignment::new();
                for partition in owned.split(',').filter(|owned| !owned.is_empty()) {
                    let (topic, index) = partition.split_at(1);
                    partitions.entry(id_of(topic)).or_default().insert(index.parse().unwrap());
                }
                Some(partitions)
            }
            ("ack", None) => Some(client.owned.clone()),
            _ => None,
        };
        let beat = ConsumerHeartbeat {
            group_id: GroupId::from("g"),
            member_id: MemberId::from(option("id=").unwrap_or(&client.member_id)),
            member_epoch: option("epoch=").map_or(epoch, |epoch| epoch.parse().unwrap()),
            instance_id: client.instance_id.clone(),
            rack_id: None,
            rebalance_timeout_ms: if is_full { 30_000 } else { -1 },
            topics,
            regex,
            assignor: option("assignor=").map(Arc::from),
            owned,
            client_id: Arc::from(name),
            client_host: Arc::from("/127.0.0.1"),
        };
        self.ask(name, &GroupCommand::ConsumerHeartbeat(beat));
    }

    fn classic_join(&mut self, name: &str) {
        let client = self.clients[name].clone();
        let metadata = classic_subscription(&client.topics, &client.owned);
        let join = JoinGroup {
            group_id: GroupId::from("g"),
            member_id: MemberId::from(&*client.member_id),
            instance_id: client.instance_id.clone(),
            unique_suffix: self.requests.to_string(),
            client_id: Arc::from(name),
            client_host: Arc::from("/127.0.0.1"),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 20_000,
            protocol_type: Arc::from("consumer"),
            protocols: vec![(Arc::from("range"), metadata)],
            new_member: NewMemberRule::MustReturnWithId,
            knows_skip_assignment: true,
        };
        self.ask(name, &GroupCommand::Join(join));
    }

    fn classic_sync(&mut self, name: &str) {
        let client = self.clients[name].clone();
        // Should it lead a classic group, it takes all of its topic.
        let all = Assignment::from([(id_of(&client.topics), (0..3).collect())]);
        let assignment = write_assignment(&all, b"\0\x01", &self.topics);
        let sync = SyncGroup {
            group_id: GroupId::from("g"),
            generation: client.epoch,
            member_id: MemberId::from(&*client.member_id),
            instance_id: client.instance_id,
            protocol_type: None,
            protocol: None,
            assignments: vec![(MemberId::from(&*client.member_id), assignment)],
        };
        self.ask(name, &GroupCommand::Sync(sync));
    }

    fn commit(&mut self, name: &str, words: &[&str]) {
        let option = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
        let client = self.clients.get(name).cloned().unwrap_or_default();
        let (topic, index) = option("at=").unwrap_or("t0").split_at(1);
        let commit = CommitOffsets {
            group_id: GroupId::from("g"),
            generation: option("epoch=").map_or(client.epoch, |epoch| epoch.parse().unwrap()),
            member_id: MemberId::from(&*client.member_id),
            instance_id: client.instance_id,
            knows_member_epochs: !words.contains(&"old"),
            offsets: vec![OffsetToCommit {
                topic: TopicName::from(topic),
                partition: index.parse().unwrap(),
                offset: 5,
                leader_epoch: -1,
                metadata: Arc::from(""),
            }],
        };
        self.ask(name, &GroupCommand::Commit(commit));
    }

    fn pass(&mut self, duration_ms: i64) {
        let until = self.now.plus_ms(duration_ms);
        let mut ticks = 0;
        while let Some(deadline) = self.machine.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(deadline);
            let decision = self.machine.tick(self.now);
            self.take(decision);
            ticks += 1;
            assert!(ticks < 10_000, "time stands still");
        }
        self.now = until;
    }

    pub(super) fn group(&self) -> String {
        let Some(group) = self.machine.groups.get(&GroupId::from("g")) else {
            return "none".to_owned();
        };
        let Some(consumer) = &group.consumer else {
            let classic = group.classic(self.now);
            return format!(
                "classic {} gen={} {}",
                classic.state.name(),
                classic.generation,
                classic.members.len()
            );
        };
        let mut text = format!(
            "{} {}/{}",
            consumer.state().name(),
            consumer.epoch.epoch,
            consumer.target_epoch.epoch
        );
        for (member_id, member) in &consumer.members {
            let current = &member.current;
            let owned = show(&without_epochs(&current.assigned));
            let _ = write!(text, " {member_id}@{}[{owned}]", current.epoch);
            if !current.revoking.is_empty() {
                let _ = write!(text, "-[{}]", show(&without_epochs(&current.revoking)));
            }
        }
        text
    }
}
