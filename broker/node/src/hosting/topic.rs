//! The metadata machine, and what its records mean to partitions: they are opened, reconfigured and deleted here.

use std::collections::BTreeSet;
use std::sync::Arc;

use aquifer_broker_coordinator::group::id::TopicName;
use aquifer_broker_coordinator::record::metadata::MetadataRecord;
use aquifer_broker_coordinator::topic::command::{
    AddPartitions, AlterConfigs, CreateTopic, CreatedTopic, Existing, ProducerIdBlock, RunMode,
    TopicCommand, TopicRef, TopicReply,
};
use aquifer_broker_coordinator::topic::image::{ConfigResource, MetadataImage, TopicImage};
use aquifer_broker_coordinator::topic::{TopicError, TopicMachine};
use aquifer_broker_log::LogConfig;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::primitive::Uuid;
use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::machine_host::{Hosted, MachineHandle, start_loaded};
use super::steady::SteadyClock;
use super::{CLUSTER_METADATA, CONSUMER_OFFSETS, HostError, Hosting, TRANSACTION_STATE};
use crate::config::{BrokerSettings, TimestampType, TopicSettings};
use crate::features;
use crate::partition::{Partition, PartitionConfig, Partitions, TopicPartition};

/// The id that Kafka gives the metadata topic.
const CLUSTER_METADATA_ID: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// What a client is told when topics or configs can't be changed as it asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicRefusal {
    /// The code.
    pub(crate) code: ErrorCode,
    /// The reason, for people.
    pub(crate) message: String,
}

impl From<TopicError> for TopicRefusal {
    fn from(error: TopicError) -> Self {
        Self { code: error.code(), message: error.to_string() }
    }
}

impl From<HostError> for TopicRefusal {
    fn from(error: HostError) -> Self {
        Self { code: error.topic_code(), message: error.to_string() }
    }
}

/// What everybody may see of the metadata: what is durable.
pub(super) struct Shown {
    /// What exists.
    pub(super) image: Arc<ArcSwap<MetadataImage>>,
    /// The broker's configuration with what was set at run time.
    pub(super) settings: Arc<ArcSwap<BrokerSettings>>,
}

/// The metadata machine and what follows from it.
struct HostedTopics {
    settings: Arc<BrokerSettings>,
    partitions: Arc<Partitions>,
    log: Arc<Partition>,
    shown: Shown,
}

/// Replays the metadata log and starts its machine.
pub(super) async fn start_machine(
    settings: &Arc<BrokerSettings>,
    partitions: &Arc<Partitions>,
    clock: &SteadyClock,
    shown: Shown,
    stop: CancellationToken,
) -> Result<(MachineHandle<TopicMachine>, JoinHandle<()>), HostError> {
    let on_disk = partitions.on_disk();
    let mut strangers = on_disk.iter().filter(|id| &*id.topic != CLUSTER_METADATA);
    if on_disk.iter().all(|id| &*id.topic != CLUSTER_METADATA)
        && let Some(first) = strangers.next()
    {
        let first = format!("{}-{}", first.topic, first.partition);
        return Err(HostError::MetadataMissing { first, others: strangers.count() });
    }
    // Its generation stands in the log itself: `begin` raises the epoch once it is known.
    let log = open_metadata_log(settings, partitions, 0)?;
    let hosted = HostedTopics {
        settings: Arc::clone(settings),
        partitions: Arc::clone(partitions),
        log,
        shown,
    };
    start_loaded(hosted, clock.clone(), stop).await
}

/// Opens the metadata log, or raises its leader epoch if it is open.
fn open_metadata_log(
    settings: &BrokerSettings,
    partitions: &Partitions,
    generation: i32,
) -> Result<Arc<Partition>, HostError> {
    let id = TopicPartition { topic: Arc::from(CLUSTER_METADATA), partition: 0 };
    // Its records must outlive any retention that the broker is set to.
    let config = PartitionConfig {
        log: LogConfig {
            cleanup_delete: false,
            cleanup_compact: false,
            ..partition_config(settings, |_| None).log
        },
        message_bytes_max: usize::MAX,
        ..PartitionConfig::default()
    };
    let opened = partitions.get_or_create(id, CLUSTER_METADATA_ID.0, generation.max(0), config);
    opened.map_err(|source| HostError::Partition { log: CLUSTER_METADATA.to_owned(), source })
}

impl Hosted for HostedTopics {
    type Machine = TopicMachine;

    fn name(&self) -> String {
        format!("{CLUSTER_METADATA}-0")
    }

    fn fresh(&self) -> TopicMachine {
        TopicMachine::new(self.settings.node_id)
    }

    fn partition(&self) -> Option<Arc<Partition>> {
        Some(Arc::clone(&self.log))
    }

    fn loaded(&mut self, machine: &TopicMachine) {
        self.show_settings(machine.image());
        self.shown.image.store(Arc::clone(machine.image()));
    }

    async fn durable(&mut self, machine: &TopicMachine, records: &[MetadataRecord]) {
        let before = self.shown.image.load_full();
        let after = machine.image();
        let (mut changed, mut removed) = (BTreeSet::new(), Vec::new());
        let mut all_changed = false;
        for record in records {
            match record {
                MetadataRecord::Topic { name, .. }
                | MetadataRecord::Config { resource: ConfigResource::Topic(name), .. } => {
                    changed.insert(name);
                }
                // The records of a topic follow each other.
                MetadataRecord::Partition { topic_id, .. } => {
                    changed.extend(after.topic_by_id(topic_id).map(|topic| &topic.name));
                }
                MetadataRecord::Config { resource: ConfigResource::Broker(_), .. } => {
                    all_changed = true;
                }
                MetadataRecord::RemoveTopic { topic_id } => {
                    removed.extend(before.topic_by_id(topic_id))
                }
                MetadataRecord::Config { resource: ConfigResource::Group(_), .. }
                | MetadataRecord::RegisterBroker { .. }
                | MetadataRecord::FeatureLevel { .. }
                | MetadataRecord::ProducerIds { .. } => {}
            }
        }
        // A topic that came and went in one round was never opened. One that went and came again under the same
        // name must be gone from the disk before it is opened, and no client may reach the old one meanwhile.
        if !removed.is_empty() {
            self.shown.image.store(Arc::new(before.without(removed.iter().map(|topic| topic.id))));
        }
        for topic in removed {
            self.delete_partitions(topic).await;
        }
        if all_changed {
            self.show_settings(after);
            changed.extend(after.topics().map(|topic| &topic.name));
        }
        let settings = self.shown.settings.load_full();
        for topic in changed.into_iter().filter_map(|name| after.topic(name)) {
            open_partitions(&settings, &self.partitions, after.generation, topic);
        }
        self.shown.image.store(Arc::clone(after));
    }
}

impl HostedTopics {
    fn show_settings(&self, image: &MetadataImage) {
        let id = ConfigResource::Broker(Arc::from(self.settings.node_id.to_string()));
        let everybody = ConfigResource::Broker(Arc::from(""));
        let (own, cluster) = (image.configs(&id), image.configs(&everybody));
        let settings = self.settings.at_run_time(own, cluster);
        self.partitions.update_cleaner(settings.log_cleaner.clone());
        self.shown.settings.store(Arc::new(settings));
    }

    async fn delete_partitions(&self, topic: &TopicImage) {
        for partition in &topic.partitions {
            if let Err(error) = self.partitions.delete(&topic.name, partition.index).await {
                // The next start removes what is left.
                tracing::error!(topic = %topic.name, partition = partition.index, %error, "not deleted");
            }
        }
        tracing::info!(topic = %topic.name, id = %topic.id, "topic deleted");
    }
}

/// Opens the topic's partitions, or hands its configs to those that are open.
fn open_partitions(
    settings: &BrokerSettings,
    partitions: &Partitions,
    generation: i32,
    topic: &TopicImage,
) {
    let config = partition_config(settings, |key| topic.config(key));
    let name: Arc<str> = Arc::from(&*topic.name);
    for partition in &topic.partitions {
        if let Some(open) = partitions.get(&name, partition.index) {
            open.update_config(config.clone());
            continue;
        }
        let id = TopicPartition { topic: Arc::clone(&name), partition: partition.index };
        if let Err(error) =
            partitions.get_or_create(id, topic.id.0, generation.max(0), config.clone())
        {
            tracing::error!(topic = %name, partition = partition.index, %error, "cannot be opened");
        }
    }
}

/// What the topic's own configs, the broker's and the defaults come to.
fn partition_config<'a>(
    settings: &BrokerSettings,
    own: impl Fn(&str) -> Option<&'a str>,
) -> PartitionConfig {
    let topic = TopicSettings::new(settings, own);
    PartitionConfig {
        log: log_config(settings, &topic),
        message_bytes_max: usize::try_from(topic.max_message_bytes).unwrap_or(0),
        compression: topic.compression,
        validation: settings.log_validation,
        log_append_time: topic.message_timestamp_type == TimestampType::LogAppendTime,
        timestamp_before_max_ms: topic.message_timestamp_before_max_ms,
        timestamp_after_max_ms: topic.message_timestamp_after_max_ms,
    }
}

fn log_config(settings: &BrokerSettings, topic: &TopicSettings) -> LogConfig {
    let unsigned = |value: i32| u64::try_from(value).unwrap_or(0);
    LogConfig {
        segment_bytes: unsigned(topic.segment_bytes),
        // A record in the active segment cannot be compacted, so that the lag bounds the segment's age as well.
        segment_ms: if topic.cleanup_compact {
            topic.segment_ms.min(topic.max_compaction_lag_ms)
        } else {
            topic.segment_ms
        },
        segment_index_bytes: unsigned(topic.segment_index_bytes),
        index_interval_bytes: unsigned(topic.index_interval_bytes),
        retention_ms: topic.retention_ms,
        retention_bytes: topic.retention_bytes,
        cleanup_delete: topic.cleanup_delete,
        cleanup_compact: topic.cleanup_compact,
        min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
        min_compaction_lag_ms: topic.min_compaction_lag_ms,
        max_compaction_lag_ms: topic.max_compaction_lag_ms,
        delete_retention_ms: topic.delete_retention_ms,
        file_delete_delay_ms: topic.file_delete_delay_ms,
        producer_id_expiration_ms: i64::from(settings.producer_id_expiration_ms),
    }
}

impl Hosting {
    /// Creates a topic, or only checks that it could be.
    pub(crate) async fn create_topic(
        &self,
        create: CreateTopic,
    ) -> Result<CreatedTopic, TopicRefusal> {
        match self.topics.ask(TopicCommand::Create(create)).await? {
            TopicReply::Created(result) => Ok(result?),
            other => unreachable_reply(&other),
        }
    }

    /// The topic, created with the broker's defaults if it does not exist; internal topics with Kafka's configs.
    pub(crate) async fn ensure_topic(&self, name: &str) -> Result<Arc<TopicImage>, TopicRefusal> {
        if let Some(topic) = self.image().topic(name) {
            return Ok(Arc::clone(topic));
        }
        let (partition_count, configs) = if name == CONSUMER_OFFSETS {
            let configs = [
                ("cleanup.policy", "compact"),
                ("compression.type", "producer"),
                ("segment.bytes", "104857600"),
            ];
            (self.settings.offsets_topic_num_partitions, configs.to_vec())
        } else if name == TRANSACTION_STATE {
            let configs = [
                ("cleanup.policy", "compact"),
                ("compression.type", "uncompressed"),
                ("segment.bytes", "104857600"),
                ("unclean.leader.election.enable", "false"),
            ];
            (self.settings.transaction_state_log_num_partitions, configs.to_vec())
        } else {
            (self.settings.num_partitions, Vec::new())
        };
        let create = CreateTopic {
            name: TopicName::from(name),
            topic_id: new_topic_id(),
            partition_count,
            configs: configs
                .into_iter()
                .map(|(key, value)| (Arc::from(key), Arc::from(value)))
                .collect(),
            mode: RunMode::Apply,
            existing: Existing::IsTheAnswer,
        };
        self.create_topic(create).await?;
        let image = self.image();
        let gone = || TopicRefusal::from(TopicError::UnknownTopic(name.to_owned()));
        image.topic(name).map(Arc::clone).ok_or_else(gone)
    }

    /// Adds partitions to a topic, or only checks that they could be added.
    pub(crate) async fn create_partitions(&self, add: AddPartitions) -> Result<(), TopicRefusal> {
        match self.topics.ask(TopicCommand::AddPartitions(add)).await? {
            TopicReply::PartitionsAdded(result) => Ok(result?),
            other => unreachable_reply(&other),
        }
    }

    /// Finalizes features at these levels.
    pub(crate) async fn finalize_features(
        &self,
        levels: Vec<(Arc<str>, i16)>,
    ) -> Result<(), TopicRefusal> {
        match self.topics.ask(TopicCommand::FinalizeFeatures(levels)).await? {
            TopicReply::FeaturesFinalized => Ok(()),
            other => unreachable_reply(&other),
        }
    }

    /// Deletes a topic with its partitions and the offsets committed for it; answers its name and id.
    pub(crate) async fn delete_topic(&self, topic: TopicRef) -> Result<Uuid, TopicRefusal> {
        let image = self.image();
        let known = match &topic {
            TopicRef::Name(name) => image.topic(name),
            TopicRef::Id(id) => image.topic_by_id(id),
        };
        let name = known.map(|topic| topic.name.clone());
        match self.topics.ask(TopicCommand::Delete(topic)).await? {
            TopicReply::Deleted(result) => {
                let id = result?;
                if let Some(name) = name {
                    self.forget_topics(BTreeSet::from([name])).await;
                }
                Ok(id)
            }
            other => unreachable_reply(&other),
        }
    }

    /// Changes the configs of a topic, broker or group, or only checks that they could be.
    pub(crate) async fn alter_configs(&self, alter: AlterConfigs) -> Result<(), TopicRefusal> {
        match self.topics.ask(TopicCommand::AlterConfigs(alter)).await? {
            TopicReply::ConfigsAltered(result) => Ok(result?),
            other => unreachable_reply(&other),
        }
    }

    pub(super) async fn allocate_producer_ids(&self) -> Result<ProducerIdBlock, HostError> {
        match self.topics.ask(TopicCommand::AllocateProducerIds).await? {
            TopicReply::ProducerIds(block) => Ok(block),
            other => unreachable_reply(&other),
        }
    }

    /// Begins a generation if one is due, then brings the partitions in line with the image.
    pub(super) async fn begin(&self) -> Result<(), HostError> {
        if self.image().generation < 0 || !self.partitions.was_clean() {
            let incarnation = Uuid(*uuid::Uuid::new_v4().as_bytes());
            self.topics.ask(TopicCommand::BeginGeneration { incarnation }).await?;
        }
        let missing = features::missing(&self.image().features);
        if !missing.is_empty() {
            self.topics.ask(TopicCommand::FinalizeFeatures(missing)).await?;
        }
        let image = self.image();
        open_metadata_log(&self.settings, &self.partitions, image.generation)?;
        for id in self.partitions.on_disk() {
            let is_known =
                image.topic(&id.topic).is_some_and(|topic| topic.has_partition(id.partition));
            if is_known || &*id.topic == CLUSTER_METADATA {
                continue;
            }
            // Its deletion was durable, but the node stopped before the directory was gone.
            tracing::info!(topic = %id.topic, partition = id.partition, "removing a partition of a deleted topic");
            let deleted = self.partitions.delete(&id.topic, id.partition).await;
            let log = || format!("{}-{}", id.topic, id.partition);
            deleted.map_err(|source| HostError::Partition { log: log(), source })?;
        }
        let settings = self.live_settings();
        for topic in image.topics() {
            open_partitions(&settings, &self.partitions, image.generation, topic);
        }
        Ok(())
    }
}

/// A random topic id. Kafka avoids ids that print with a leading dash, which command lines take for an option.
pub(crate) fn new_topic_id() -> Uuid {
    loop {
        let id = Uuid(*uuid::Uuid::new_v4().as_bytes());
        if !id.to_string().starts_with('-') {
            return id;
        }
    }
}

/// A machine answers each command with the reply of its name: anything else is a broken invariant.
fn unreachable_reply<T>(reply: &TopicReply) -> T {
    panic!("the metadata machine answered another command: {reply:?}")
}
