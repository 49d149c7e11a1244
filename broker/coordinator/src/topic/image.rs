//! The metadata as readers see it: what exists, and what it sets.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aquifer_broker_protocol::primitive::Uuid;

use super::TopicError;
use crate::group::id::TopicName;

/// Config keys and the values that were set.
pub type Configs = BTreeMap<Arc<str>, Arc<str>>;

/// What has configs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// A broker by its id; all brokers where the id is empty.
    Broker(Arc<str>),
    /// A group.
    Group(Arc<str>),
}

/// Topics, configs and what else the metadata log says, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataImage {
    topics: BTreeMap<TopicName, Arc<TopicImage>>,
    names_by_id: HashMap<Uuid, TopicName>,
    /// Names in which `.` is written `_`, and the topic that holds each: no two may share one.
    normal_names: HashMap<String, TopicName>,
    /// Configs of what is not a topic; whoever has none is not there.
    configs: BTreeMap<ConfigResource, Configs>,
    /// The node's generation, which is the leader epoch of every partition; -1 before the first.
    pub generation: i32,
    /// The first producer id that was never given out.
    pub next_producer_id: i64,
    /// Finalized features and their levels; a feature at level 0 was switched off.
    pub features: BTreeMap<Arc<str>, i16>,
}

impl Default for MetadataImage {
    fn default() -> Self {
        Self {
            topics: BTreeMap::new(),
            names_by_id: HashMap::new(),
            normal_names: HashMap::new(),
            configs: BTreeMap::new(),
            generation: -1,
            next_producer_id: 0,
            features: BTreeMap::new(),
        }
    }
}

/// One topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicImage {
    /// Its name.
    pub name: TopicName,
    /// Its id.
    pub id: Uuid,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionImage>,
    /// What it sets of its own.
    pub configs: Configs,
}

/// One partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    /// Its index within the topic.
    pub index: i32,
    /// The node that leads it.
    pub leader: i32,
    /// The leader epoch it was created with; the node's generation may be higher.
    pub leader_epoch: i32,
}

impl TopicImage {
    pub(super) fn new(name: TopicName, id: Uuid) -> Self {
        Self { name, id, partitions: Vec::new(), configs: Configs::new() }
    }

    pub(super) fn add_partition(&mut self, partition: PartitionImage) {
        match self.partitions.binary_search_by_key(&partition.index, |known| known.index) {
            Ok(_) => {}
            Err(place) => self.partitions.insert(place, partition),
        }
    }

    /// How many partitions the topic has.
    #[must_use]
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    /// Whether the topic has a partition of this index.
    #[must_use]
    pub fn has_partition(&self, index: i32) -> bool {
        (0..self.partition_count()).contains(&index)
    }

    /// Whether Kafka calls the topic internal.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        super::is_internal(&self.name)
    }

    /// The value that the topic sets for a config key.
    #[must_use]
    pub fn config(&self, key: &str) -> Option<&str> {
        self.configs.get(key).map(|value| &**value)
    }
}

impl MetadataImage {
    /// The topic with this name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    /// The topic with this id.
    #[must_use]
    pub fn topic_by_id(&self, id: &Uuid) -> Option<&Arc<TopicImage>> {
        self.names_by_id.get(id).and_then(|name| self.topics.get(name))
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    /// What a topic, broker or group sets of its own.
    #[must_use]
    pub fn configs(&self, resource: &ConfigResource) -> Option<&Configs> {
        match resource {
            ConfigResource::Topic(name) => self.topics.get(name).map(|topic| &topic.configs),
            ConfigResource::Broker(_) | ConfigResource::Group(_) => self.configs.get(resource),
        }
    }

    /// Brokers and groups that set something of their own.
    pub fn config_resources(&self) -> impl Iterator<Item = (&ConfigResource, &Configs)> {
        self.configs.iter()
    }

    /// The image as it would be without these topics.
    #[must_use]
    pub fn without(&self, ids: impl IntoIterator<Item = Uuid>) -> Self {
        let mut image = self.clone();
        for id in ids {
            image.remove_topic(&id);
        }
        image
    }

    /// Refuses a topic that could not be created under this name.
    ///
    /// # Errors
    /// When the name is not one, is taken, or is too like another.
    pub fn check_new_topic(&self, name: &TopicName) -> Result<(), TopicError> {
        super::validate_topic_name(name)?;
        if self.topic(name).is_some() {
            return Err(TopicError::AlreadyExists(name.to_string()));
        }
        match self.colliding_topic(name) {
            Some(other) => {
                Err(TopicError::Collides { name: name.to_string(), other: other.to_string() })
            }
            None => Ok(()),
        }
    }

    /// A topic whose name differs from `name` in `.` and `_` alone.
    fn colliding_topic(&self, name: &str) -> Option<&TopicName> {
        self.normal_names.get(&normal_name(name)).filter(|other| ***other != *name)
    }

    pub(super) fn add_topic(&mut self, topic: TopicImage) {
        self.names_by_id.insert(topic.id, topic.name.clone());
        self.normal_names.insert(normal_name(&topic.name), topic.name.clone());
        self.topics.insert(topic.name.clone(), Arc::new(topic));
    }

    pub(super) fn change_topic(&mut self, id: &Uuid, change: impl FnOnce(&mut TopicImage)) {
        if let Some(topic) = self.names_by_id.get(id).and_then(|name| self.topics.get_mut(name)) {
            change(Arc::make_mut(topic));
        }
    }

    pub(super) fn remove_topic(&mut self, id: &Uuid) {
        if let Some(name) = self.names_by_id.remove(id) {
            self.normal_names.remove(&normal_name(&name));
            self.topics.remove(&name);
        }
    }

    pub(super) fn set_config(
        &mut self,
        resource: &ConfigResource,
        name: &Arc<str>,
        value: Option<&Arc<str>>,
    ) {
        let configs = match resource {
            ConfigResource::Topic(topic) => {
                let Some(topic) = self.topics.get_mut(topic) else { return };
                &mut Arc::make_mut(topic).configs
            }
            ConfigResource::Broker(_) | ConfigResource::Group(_) => {
                self.configs.entry(resource.clone()).or_default()
            }
        };
        match value {
            Some(value) => configs.insert(Arc::clone(name), Arc::clone(value)),
            None => configs.remove(name),
        };
        if self.configs.get(resource).is_some_and(BTreeMap::is_empty) {
            self.configs.remove(resource);
        }
    }
}

fn normal_name(name: &str) -> String {
    name.replace('.', "_")
}
