//! What the metadata machine is asked, and what it answers.

use std::sync::Arc;

use aquifer_broker_protocol::primitive::Uuid;

use super::TopicError;
use super::image::{ConfigResource, Configs};
use crate::group::id::TopicName;

/// A request to the metadata machine.
#[derive(Clone, Debug)]
pub enum TopicCommand {
    /// CreateTopics, one topic.
    Create(CreateTopic),
    /// DeleteTopics, one topic.
    Delete(TopicRef),
    /// CreatePartitions, one topic.
    AddPartitions(AddPartitions),
    /// AlterConfigs and IncrementalAlterConfigs, one resource.
    AlterConfigs(AlterConfigs),
    /// UpdateFeatures, and the features that a new version of the program brings.
    FinalizeFeatures(Vec<(Arc<str>, i16)>),
    /// InitProducerId, when the node's block is used up.
    AllocateProducerIds,
    /// The node has started for the first time, or after an unclean stop.
    BeginGeneration {
        /// A fresh id of this process.
        incarnation: Uuid,
    },
}

/// The answer to the command of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum TopicReply {
    /// To `Create`.
    Created(Result<CreatedTopic, TopicError>),
    /// To `Delete`: the id of the topic that is gone.
    Deleted(Result<Uuid, TopicError>),
    /// To `AddPartitions`.
    PartitionsAdded(Result<(), TopicError>),
    /// To `AlterConfigs`.
    ConfigsAltered(Result<(), TopicError>),
    /// To `FinalizeFeatures`.
    FeaturesFinalized,
    /// To `AllocateProducerIds`.
    ProducerIds(ProducerIdBlock),
    /// To `BeginGeneration`: the generation that has begun.
    Generation(i32),
}

/// Whether a change is made, or only checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// Make it.
    Apply,
    /// Answer as if it were made.
    ValidateOnly,
}

/// What it means that the topic to be created is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// As in CreateTopics.
    IsAnError,
    /// As in creation at first use.
    IsTheAnswer,
}

/// A topic to create.
#[derive(Clone, Debug)]
pub struct CreateTopic {
    /// Its name.
    pub name: TopicName,
    /// A fresh id.
    pub topic_id: Uuid,
    /// How many partitions; defaults are filled in by who asks.
    pub partition_count: i32,
    /// Config keys and values, known and checked.
    pub configs: Vec<(Arc<str>, Arc<str>)>,
    /// Whether to make it.
    pub mode: RunMode,
    /// What if it is there.
    pub existing: Existing,
}

/// A topic as it was created.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedTopic {
    /// Its name.
    pub name: TopicName,
    /// Its id.
    pub topic_id: Uuid,
    /// How many partitions it has.
    pub partition_count: i32,
    /// What it sets of its own.
    pub configs: Configs,
}

/// A topic by name or by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    /// By name.
    Name(TopicName),
    /// By id.
    Id(Uuid),
}

/// More partitions for a topic.
#[derive(Clone, Debug)]
pub struct AddPartitions {
    /// The topic.
    pub topic: TopicName,
    /// How many partitions it is to have in all.
    pub partition_count: i32,
    /// How many partitions the request assigns to nodes by hand, if it does.
    pub assigned: Option<usize>,
    /// Whether to make them.
    pub mode: RunMode,
}

/// A change of configs.
#[derive(Clone, Debug)]
pub struct AlterConfigs {
    /// Whose.
    pub resource: ConfigResource,
    /// Key by key; known and checked.
    pub changes: Vec<(Arc<str>, ConfigChange)>,
    /// Keys not named go back to their defaults: the old AlterConfigs.
    pub replaces_all: bool,
    /// Whether to make it.
    pub mode: RunMode,
}

/// The change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// To this value.
    Set(Arc<str>),
    /// Back to the default.
    Delete,
    /// These items are added to a list.
    Append {
        /// Items, separated by commas.
        value: Arc<str>,
        /// What the list is if it was never set.
        default: Arc<str>,
    },
    /// These items are taken from a list.
    Subtract {
        /// Items, separated by commas.
        value: Arc<str>,
        /// What the list is if it was never set.
        default: Arc<str>,
    },
}

/// Producer ids that nobody else will be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first one.
    pub first: i64,
    /// How many there are.
    pub length: i64,
}
