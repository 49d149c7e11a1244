//! The group machines: one per partition of `__consumer_offsets` that is in use.

use std::collections::BTreeSet;
use std::sync::Arc;

use aquifer_broker_coordinator::group::command::{
    ForgetTopics, GroupCommand, GroupListing, GroupReply, ListGroups,
};
use aquifer_broker_coordinator::group::id::{TopicName, partition_for};
use aquifer_broker_coordinator::group::{GroupMachine, GroupRecord, GroupSettings};
use aquifer_broker_coordinator::{Machine, RequestId};

use super::machine_host::{Hosted, MachineHandle, start_loading};
use super::{CONSUMER_OFFSETS, HostError, Hosting};
use crate::config::BrokerSettings;
use crate::partition::{Partition, Partitions};

/// One group machine.
struct HostedGroups {
    settings: GroupSettings,
    partitions: Arc<Partitions>,
    partition: i32,
}

impl Hosted for HostedGroups {
    type Machine = GroupMachine;

    fn name(&self) -> String {
        format!("{CONSUMER_OFFSETS}-{}", self.partition)
    }

    fn fresh(&self) -> GroupMachine {
        GroupMachine::new(self.settings.clone())
    }

    fn partition(&self) -> Option<Arc<Partition>> {
        self.partitions.get(CONSUMER_OFFSETS, self.partition)
    }

    fn loaded(&mut self, _machine: &GroupMachine) {}

    async fn durable(&mut self, _machine: &GroupMachine, _records: &[GroupRecord]) {}
}

impl Hosting {
    /// The group machine's answer to a command about `group_id`.
    pub(crate) async fn ask_group(
        &self,
        group_id: &str,
        command: GroupCommand,
    ) -> Result<GroupReply, HostError> {
        let may_write = matches!(command, GroupCommand::Join(_) | GroupCommand::Commit(_));
        let partition_count = match self.offsets_partition_count() {
            Some(count) => count,
            None if may_write => self.create_offsets_topic().await?,
            None => return Ok(self.answer_of_no_groups(&command)),
        };
        let partition = i32::try_from(partition_for(group_id, partition_count)).unwrap_or(0);
        self.group_machine(partition).ask(command).await
    }

    /// The groups of all machines.
    pub(crate) async fn list_groups(
        &self,
        list: &ListGroups,
    ) -> Result<Vec<GroupListing>, HostError> {
        let machines = self.groups.lock().values().cloned().collect::<Vec<_>>();
        let answers = machines.iter().map(|machine| machine.ask(GroupCommand::List(list.clone())));
        let mut listings = Vec::new();
        for answer in futures_util::future::join_all(answers).await {
            if let GroupReply::Listing(groups) = answer? {
                listings.extend(groups);
            }
        }
        listings.sort_by(|one, other| one.group_id.cmp(&other.group_id));
        Ok(listings)
    }

    /// Drops the offsets of topics that were deleted, in every group.
    pub(super) async fn forget_topics(&self, deleted: BTreeSet<TopicName>) {
        let machines = self.groups.lock().values().cloned().collect::<Vec<_>>();
        let forget = ForgetTopics::Deleted(deleted);
        let answers =
            machines.iter().map(|machine| machine.ask(GroupCommand::ForgetTopics(forget.clone())));
        for answer in futures_util::future::join_all(answers).await {
            if let Err(error) = answer {
                // The next start drops what is left.
                tracing::warn!(%error, "offsets of deleted topics remain");
            }
        }
    }

    /// Creates `__consumer_offsets` if it is not there, and answers how many partitions it has.
    pub(crate) async fn create_offsets_topic(&self) -> Result<u32, HostError> {
        if let Some(count) = self.offsets_partition_count() {
            return Ok(count);
        }
        if let Err(refusal) = self.ensure_topic(CONSUMER_OFFSETS).await {
            tracing::error!(
                code = refusal.code.name(),
                message = refusal.message,
                "cannot create {CONSUMER_OFFSETS}"
            );
            return Err(HostError::Lost);
        }
        self.offsets_partition_count().ok_or(HostError::Lost)
    }

    /// Starts the machines whose logs exist, and has them drop offsets of topics that no longer do.
    pub(super) fn resume_groups(self: &Arc<Self>) {
        let on_disk = self.partitions.on_disk();
        let written =
            on_disk.iter().filter(|id| &*id.topic == CONSUMER_OFFSETS).map(|id| id.partition);
        for partition in written {
            let machine = self.group_machine(partition);
            let topics = self.image().topics().map(|topic| topic.name.clone()).collect();
            let forget = GroupCommand::ForgetTopics(ForgetTopics::AllBut(topics));
            // Ahead of every client: a topic that one of them creates is not among these.
            if !machine.tell(forget) {
                tracing::warn!(partition, "offsets of deleted topics may remain");
            }
        }
    }

    fn offsets_partition_count(&self) -> Option<u32> {
        let image = self.image();
        image.topic(CONSUMER_OFFSETS).and_then(|topic| u32::try_from(topic.partition_count()).ok())
    }

    fn group_machine(&self, partition: i32) -> MachineHandle<GroupMachine> {
        let mut groups = self.groups.lock();
        if let Some(machine) = groups.get(&partition) {
            return machine.clone();
        }
        let hosted = HostedGroups {
            settings: group_settings(&self.settings),
            partitions: Arc::clone(&self.partitions),
            partition,
        };
        let (machine, task) = start_loading(hosted, self.clock.clone(), self.stop.clone());
        groups.insert(partition, machine.clone());
        self.tasks.lock().push(task);
        machine
    }

    /// Before anything was written, every question has the answer of an empty machine.
    fn answer_of_no_groups(&self, command: &GroupCommand) -> GroupReply {
        let machine = GroupMachine::new(group_settings(&self.settings));
        let decision = machine.decide(self.clock.now(), RequestId(0), command);
        let answer = decision.replies.into_iter().next().map(|(_, reply)| reply);
        answer.expect("a machine answers at once what neither joins nor commits")
    }
}

fn group_settings(settings: &BrokerSettings) -> GroupSettings {
    GroupSettings {
        session_timeout_min_ms: settings.group_min_session_timeout_ms,
        session_timeout_max_ms: settings.group_max_session_timeout_ms,
        group_size_max: usize::try_from(settings.group_max_size).unwrap_or(usize::MAX),
        initial_rebalance_delay_ms: i64::from(settings.group_initial_rebalance_delay_ms),
        offset_metadata_chars_max: usize::try_from(settings.offset_metadata_max_bytes).unwrap_or(0),
        offsets_retention_ms: i64::from(settings.offsets_retention_minutes) * 60_000,
        offsets_retention_check_interval_ms: settings.offsets_retention_check_interval_ms,
        ..GroupSettings::default()
    }
}
