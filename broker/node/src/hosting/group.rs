//! The group machines: one per partition of `__consumer_offsets` that is in use.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use aquifer_broker_coordinator::assignor;
use aquifer_broker_coordinator::group::command::{
    EndOffsets, ForgetTopics, GroupCommand, GroupListing, GroupReply, ListGroups,
};
use aquifer_broker_coordinator::group::consumer::migration::MigrationPolicy;
use aquifer_broker_coordinator::group::id::{TopicName, partition_for};
use aquifer_broker_coordinator::group::{
    ConsumerSettings, GroupEvent, GroupMachine, GroupRecord, GroupSettings,
};
use aquifer_broker_coordinator::topic::image::MetadataImage;
use aquifer_broker_coordinator::{Machine, RequestId};
use aquifer_broker_protocol::ErrorCode;

use arc_swap::ArcSwap;

use super::machine_host::{Hosted, MachineHandle, start_loading};
use super::{CONSUMER_OFFSETS, HostError, Hosting};
use crate::config::BrokerSettings;
use crate::partition::{Partition, Partitions};

/// One group machine.
struct HostedGroups {
    settings: Arc<BrokerSettings>,
    live_settings: Arc<ArcSwap<BrokerSettings>>,
    image: Arc<ArcSwap<MetadataImage>>,
    partitions: Arc<Partitions>,
    partition: i32,
}

impl Hosted for HostedGroups {
    type Machine = GroupMachine;

    fn name(&self) -> String {
        format!("{CONSUMER_OFFSETS}-{}", self.partition)
    }

    fn fresh(&self) -> GroupMachine {
        GroupMachine::new(group_settings(&self.settings))
    }

    fn partition(&self) -> Option<Arc<Partition>> {
        self.partitions.get(CONSUMER_OFFSETS, self.partition)
    }

    fn prepare(&mut self, machine: &mut GroupMachine) {
        let image = self.image.load();
        if !Arc::ptr_eq(&image, machine.topics()) {
            machine.note(GroupEvent::Topics(Arc::clone(&image)));
        }
        let settings = self.live_settings.load();
        if !Arc::ptr_eq(&settings, &self.settings) {
            self.settings = Arc::clone(&settings);
            machine.note(GroupEvent::Settings(Box::new(group_settings(&settings))));
        }
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
        let may_write = match &command {
            GroupCommand::Join(_) | GroupCommand::Commit(_) => true,
            GroupCommand::ConsumerHeartbeat(beat) => beat.member_epoch == 0,
            _ => false,
        };
        let partition_count = match self.offsets_partition_count() {
            Some(count) => count,
            None if may_write => self.create_offsets_topic().await?,
            None => return Ok(self.answer_of_no_groups(&command)),
        };
        let partition = i32::try_from(partition_for(group_id, partition_count)).unwrap_or(0);
        self.group_machine(partition).ask(command).await
    }

    /// Ends a producer's transaction in one partition of `__consumer_offsets`.
    pub(super) async fn end_offsets(
        &self,
        partition: i32,
        end: EndOffsets,
    ) -> Result<(), HostError> {
        self.group_machine(partition).ask(GroupCommand::EndTransaction(end)).await.map(drop)
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

    /// The partition of `__consumer_offsets` that keeps a group.
    pub(crate) async fn offsets_partition(
        &self,
        group_id: &str,
    ) -> Result<(TopicName, i32), ErrorCode> {
        let count = self.create_offsets_topic().await;
        let count = count.map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
        let partition = i32::try_from(partition_for(group_id, count)).unwrap_or(0);
        Ok((TopicName::from(CONSUMER_OFFSETS), partition))
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
            settings: self.live_settings(),
            live_settings: Arc::clone(&self.live_settings),
            image: Arc::clone(&self.image),
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
        consumer: consumer_settings(settings),
        ..GroupSettings::default()
    }
}

/// The keys of consumer groups; what is written there was checked when it was set.
fn consumer_settings(settings: &BrokerSettings) -> ConsumerSettings {
    let default = ConsumerSettings::default();
    let number = |name: &str| settings.value(name).and_then(|text| text.trim().parse::<i32>().ok());
    let assignors = settings.value("group.consumer.assignors").unwrap_or_default();
    // Kafka's own assignors may also be named by their classes.
    let names = assignors.split(',').map(|name| match name.trim() {
        "org.apache.kafka.coordinator.group.assignor.UniformAssignor" => "uniform",
        "org.apache.kafka.coordinator.group.assignor.RangeAssignor" => "range",
        name => name,
    });
    let known = names.filter(|name| assignor::by_name(name).is_some()).map(Arc::from);
    let known = known.collect::<Vec<_>>();
    ConsumerSettings {
        session_timeout_ms: number("group.consumer.session.timeout.ms")
            .unwrap_or(default.session_timeout_ms),
        heartbeat_interval_ms: number("group.consumer.heartbeat.interval.ms")
            .unwrap_or(default.heartbeat_interval_ms),
        size_max: number("group.consumer.max.size")
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(default.size_max),
        assignment_interval_ms: number("group.consumer.assignment.interval.ms")
            .map_or(default.assignment_interval_ms, i64::from),
        assignors: if known.is_empty() { default.assignors } else { known },
        migration: migration_policy(settings.value("group.consumer.migration.policy")),
    }
}

fn migration_policy(name: Option<&str>) -> MigrationPolicy {
    match name.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "disabled" => MigrationPolicy::Disabled,
        "upgrade" => MigrationPolicy::Upgrade,
        "downgrade" => MigrationPolicy::Downgrade,
        _ => MigrationPolicy::Bidirectional,
    }
}
