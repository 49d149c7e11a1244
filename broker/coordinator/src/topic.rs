//! Topics with their partitions and configs, producer ids and the node's generation: the machine
//! over `__cluster_metadata-0`, in KRaft's record schemas.
//!
//! - The state is one [`MetadataImage`], shared with readers; a change copies what it touches.
//! - A topic's id is never used again; a topic made anew under an old name has another id.
//! - The node's generation is the leader epoch of every partition. It rises after each unclean stop, so that
//!   clients notice that a log may have lost its unsynced end.
//! - Values of configs are checked by who asks: the table of keys is the node's.

pub mod command;
mod error;
pub mod image;
mod name;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm)]
mod tests;

use std::sync::Arc;

use aquifer_broker_protocol::primitive::Uuid;

use crate::group::id::TopicName;
use crate::machine::{Decision, DecisionOf, EncodedRecord, Machine, RequestId, Timestamp};
use crate::record::RecordError;
use crate::record::metadata::{self, MetadataRecord};

use command::{
    AddPartitions, AlterConfigs, ConfigChange, CreateTopic, CreatedTopic, Existing,
    ProducerIdBlock, RunMode, TopicCommand, TopicRef, TopicReply,
};
pub use error::TopicError;
use image::{ConfigResource, Configs, MetadataImage, PartitionImage, TopicImage};
pub use name::validate_topic_name;

/// How many producer ids are taken from the log at a time, as in Kafka.
pub const PRODUCER_ID_BLOCK_LENGTH: i64 = 1000;

/// The most partitions that one topic may have: what Kafka allows in one request.
pub const PARTITIONS_MAX: i32 = 10_000;

/// The `metadata.version` of the records written here (4.0-IV3).
const METADATA_VERSION: i16 = 25;

/// The machine over the metadata log.
#[derive(Clone, Debug)]
pub struct TopicMachine {
    node_id: i32,
    image: Arc<MetadataImage>,
}

impl TopicMachine {
    /// A machine before its log is replayed, on the node with this id.
    #[must_use]
    pub fn new(node_id: i32) -> Self {
        Self { node_id, image: Arc::new(MetadataImage::default()) }
    }

    /// Everything applied so far. What of it is durable, the host knows.
    #[must_use]
    pub fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    fn create(
        &self,
        create: &CreateTopic,
    ) -> Result<(Vec<MetadataRecord>, CreatedTopic), TopicError> {
        if let Some(topic) = self.image.topic(&create.name)
            && create.existing == Existing::IsTheAnswer
        {
            return Ok((Vec::new(), CreatedTopic::of(topic)));
        }
        self.image.check_new_topic(&create.name)?;
        if create.partition_count < 1 {
            return Err(TopicError::InvalidPartitions);
        }
        if create.partition_count > PARTITIONS_MAX {
            return Err(TopicError::TooManyPartitions);
        }
        let mut records =
            vec![MetadataRecord::Topic { name: create.name.clone(), topic_id: create.topic_id }];
        records.extend(self.partitions(create.topic_id, 0..create.partition_count));
        records.extend(create.configs.iter().map(|(name, value)| MetadataRecord::Config {
            resource: ConfigResource::Topic(create.name.clone()),
            name: name.clone(),
            value: Some(value.clone()),
        }));
        let created = CreatedTopic {
            name: create.name.clone(),
            topic_id: create.topic_id,
            partition_count: create.partition_count,
            configs: create.configs.iter().cloned().collect(),
        };
        if create.mode == RunMode::ValidateOnly {
            records.clear();
        }
        Ok((records, created))
    }

    fn partitions(
        &self,
        topic_id: Uuid,
        indexes: std::ops::Range<i32>,
    ) -> impl Iterator<Item = MetadataRecord> {
        let (leader, leader_epoch) = (self.node_id, self.image.generation.max(0));
        indexes.map(move |partition| MetadataRecord::Partition {
            topic_id,
            partition,
            leader,
            leader_epoch,
        })
    }

    fn add_partitions(&self, add: &AddPartitions) -> Result<Vec<MetadataRecord>, TopicError> {
        let topic = self
            .image
            .topic(&add.topic)
            .ok_or_else(|| TopicError::UnknownTopic(add.topic.to_string()))?;
        let (current, asked) = (topic.partition_count(), add.partition_count);
        if asked == current {
            return Err(TopicError::HasPartitions(current));
        }
        if asked < current {
            let topic = add.topic.to_string();
            return Err(TopicError::NoIncrease { topic, current, asked });
        }
        let added = asked - current;
        if let Some(assigned) = add.assigned
            && usize::try_from(added) != Ok(assigned)
        {
            return Err(TopicError::WrongAssignmentCount { added, assigned });
        }
        if asked > PARTITIONS_MAX {
            return Err(TopicError::TooManyPartitions);
        }
        Ok(match add.mode {
            RunMode::Apply => self.partitions(topic.id, current..asked).collect(),
            RunMode::ValidateOnly => Vec::new(),
        })
    }

    fn delete(&self, topic: &TopicRef) -> Result<(Vec<MetadataRecord>, Uuid), TopicError> {
        let found = match topic {
            TopicRef::Name(name) => self.image.topic(name).ok_or(TopicError::NotHosted)?,
            TopicRef::Id(id) => {
                self.image.topic_by_id(id).ok_or(TopicError::UnknownTopicId(*id))?
            }
        };
        Ok((vec![MetadataRecord::RemoveTopic { topic_id: found.id }], found.id))
    }

    fn alter_configs(&self, alter: &AlterConfigs) -> Result<Vec<MetadataRecord>, TopicError> {
        let resource = &alter.resource;
        let current = match (self.image.configs(resource), resource) {
            (Some(configs), _) => configs,
            (None, ConfigResource::Topic(topic)) => {
                return Err(TopicError::UnknownTopic(topic.to_string()));
            }
            (None, ConfigResource::Broker(_) | ConfigResource::Group(_)) => &Configs::new(),
        };
        let changed = alter.changes.iter().filter_map(|(name, change)| {
            let value = change.result(current.get(name).map(|value| &**value));
            let is_same = value.as_deref() == current.get(name).map(|value| &**value);
            (!is_same).then(|| (name.clone(), value))
        });
        let mut values = changed.collect::<Vec<_>>();
        if alter.replaces_all {
            let is_named =
                |name: &Arc<str>| alter.changes.iter().any(|(changed, _)| changed == name);
            let dropped = current.keys().filter(|name| !is_named(name));
            values.extend(dropped.map(|name| (name.clone(), None)));
        }
        if alter.mode == RunMode::ValidateOnly {
            values.clear();
        }
        let records = values.into_iter().map(|(name, value)| MetadataRecord::Config {
            resource: resource.clone(),
            name,
            value,
        });
        Ok(records.collect())
    }

    fn allocate_producer_ids(&self) -> (MetadataRecord, ProducerIdBlock) {
        let first = self.image.next_producer_id;
        let record = MetadataRecord::ProducerIds {
            broker_id: self.node_id,
            broker_epoch: i64::from(self.image.generation),
            next_producer_id: first.saturating_add(PRODUCER_ID_BLOCK_LENGTH),
        };
        (record, ProducerIdBlock { first, length: PRODUCER_ID_BLOCK_LENGTH })
    }

    /// The first generation of a node also says which metadata version its log is written in.
    fn begin_generation(&self, incarnation: Uuid) -> (Vec<MetadataRecord>, i32) {
        let generation = self.image.generation.saturating_add(1);
        let mut records = Vec::new();
        if self.image.generation < 0 {
            records.push(MetadataRecord::FeatureLevel {
                name: Arc::from("metadata.version"),
                level: METADATA_VERSION,
            });
        }
        records.push(MetadataRecord::RegisterBroker {
            broker_id: self.node_id,
            incarnation,
            broker_epoch: i64::from(generation),
        });
        (records, generation)
    }
}

impl Machine for TopicMachine {
    type Command = TopicCommand;
    type Record = MetadataRecord;
    type Event = ();
    type Reply = TopicReply;

    fn decide(
        &self,
        _now: Timestamp,
        request: RequestId,
        command: &TopicCommand,
    ) -> DecisionOf<Self> {
        let (records, reply) = match command {
            TopicCommand::Create(create) => split(self.create(create), TopicReply::Created),
            TopicCommand::Delete(topic) => split(self.delete(topic), TopicReply::Deleted),
            TopicCommand::AddPartitions(add) => split(
                self.add_partitions(add).map(|records| (records, ())),
                TopicReply::PartitionsAdded,
            ),
            TopicCommand::FinalizeFeatures(levels) => {
                let levels = levels.iter();
                let changed =
                    levels.filter(|(name, level)| self.image.features.get(name) != Some(level));
                let records = changed.map(|(name, level)| MetadataRecord::FeatureLevel {
                    name: Arc::clone(name),
                    level: *level,
                });
                (records.collect(), TopicReply::FeaturesFinalized)
            }
            TopicCommand::AlterConfigs(alter) => split(
                self.alter_configs(alter).map(|records| (records, ())),
                TopicReply::ConfigsAltered,
            ),
            TopicCommand::AllocateProducerIds => {
                let (record, block) = self.allocate_producer_ids();
                (vec![record], TopicReply::ProducerIds(block))
            }
            TopicCommand::BeginGeneration { incarnation } => {
                let (records, generation) = self.begin_generation(*incarnation);
                (records, TopicReply::Generation(generation))
            }
        };
        Decision { records, ..Decision::reply(request, reply) }
    }

    fn tick(&self, _now: Timestamp) -> DecisionOf<Self> {
        Decision::default()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    fn apply(&mut self, record: &MetadataRecord) {
        let image = Arc::make_mut(&mut self.image);
        match record {
            MetadataRecord::Topic { name, topic_id } => {
                image.add_topic(TopicImage::new(name.clone(), *topic_id))
            }
            MetadataRecord::Partition { topic_id, partition, leader, leader_epoch } => {
                let partition = PartitionImage {
                    index: *partition,
                    leader: *leader,
                    leader_epoch: *leader_epoch,
                };
                image.change_topic(topic_id, |topic| topic.add_partition(partition));
            }
            MetadataRecord::RemoveTopic { topic_id } => image.remove_topic(topic_id),
            MetadataRecord::Config { resource, name, value } => {
                image.set_config(resource, name, value.as_ref())
            }
            MetadataRecord::ProducerIds { next_producer_id, .. } => {
                image.next_producer_id = *next_producer_id
            }
            MetadataRecord::RegisterBroker { broker_epoch, .. } => {
                image.generation = i32::try_from(*broker_epoch).unwrap_or(i32::MAX);
            }
            MetadataRecord::FeatureLevel { name, level } => {
                image.features.insert(Arc::clone(name), *level);
            }
        }
    }

    fn note(&mut self, (): ()) {}

    fn resume(&mut self, _now: Timestamp) {}

    fn encode(record: &MetadataRecord) -> EncodedRecord {
        EncodedRecord { key: None, value: Some(metadata::encode(record)) }
    }

    fn decode(
        _key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Option<MetadataRecord>, RecordError> {
        value.map_or(Ok(None), metadata::decode)
    }
}

fn split<T, E>(
    result: Result<(Vec<MetadataRecord>, T), E>,
    reply: impl FnOnce(Result<T, E>) -> TopicReply,
) -> (Vec<MetadataRecord>, TopicReply) {
    match result {
        Ok((records, value)) => (records, reply(Ok(value))),
        Err(error) => (Vec::new(), reply(Err(error))),
    }
}

impl ConfigChange {
    /// The value that the change leads to; `None` if the default applies again.
    #[must_use]
    pub fn result(&self, current: Option<&str>) -> Option<Arc<str>> {
        match self {
            Self::Set(value) => Some(Arc::clone(value)),
            Self::Delete => None,
            Self::Append { value, default } => {
                let mut items = list_items(current.unwrap_or(default));
                for item in list_items(value) {
                    if !items.contains(&item) {
                        items.push(item);
                    }
                }
                Some(Arc::from(items.join(",")))
            }
            Self::Subtract { value, default } => {
                let taken = list_items(value);
                let mut items = list_items(current.unwrap_or(default));
                items.retain(|item| !taken.contains(item));
                Some(Arc::from(items.join(",")))
            }
        }
    }
}

fn list_items(list: &str) -> Vec<&str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

impl CreatedTopic {
    fn of(topic: &TopicImage) -> Self {
        Self {
            name: topic.name.clone(),
            topic_id: topic.id,
            partition_count: topic.partition_count(),
            configs: topic.configs.clone(),
        }
    }
}

/// The topics that Kafka calls internal.
#[must_use]
pub fn is_internal(name: &TopicName) -> bool {
    matches!(&**name, "__consumer_offsets" | "__transaction_state")
}
