//! The records of `__cluster_metadata-0`: KRaft's frame and schemas.
//!
//! A value is a frame version (1), the record's api key and its version, each an unsigned varint, then the body.
//! Kinds that this machine does not use are skipped; a newer version of one that it uses is refused.
//!
//! References: apache/kafka, `metadata/src/main/resources/common/metadata`; KIP-631.

use std::borrow::Cow;
use std::sync::Arc;

use aquifer_broker_protocol::message;
use aquifer_broker_protocol::message::{Decode, Message};
use aquifer_broker_protocol::primitive::{Reader, Uuid, Varint};

use super::{RecordError, kept};
use crate::group::id::TopicName;
use crate::topic::image::ConfigResource;

const FRAME_VERSION: u32 = 1;
/// `ConfigRecord`'s resource types.
const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;
const RESOURCE_GROUP: i8 = 32;

message! {
    /// A broker has registered; its epoch is the node's generation here.
    pub struct RegisterBrokerRecord<'a> [0..=3, flexible 0..] {
        /// The broker.
        broker_id: i32 [0..],
        /// Of ZooKeeper days. Since v2.
        is_migrating_zk_broker: bool [2.., ignorable] = false,
        /// The process.
        incarnation_id: Uuid [0..],
        /// The epoch.
        broker_epoch: i64 [0..],
        /// Where it can be reached.
        end_points: Vec<RegisterBrokerEndpoint<'a>> [0..],
        /// What it can do.
        features: Vec<RegisterBrokerFeature<'a>> [0..],
        /// Where it stands.
        rack: Option<Cow<'a, str>> [0.., nullable 0..] = None,
        /// Whether it is kept from serving.
        fenced: bool [0..] = true,
        /// Whether it is about to stop. Since v1.
        in_controlled_shutdown: bool [1.., ignorable] = false,
        /// Its log directories. Since v3.
        log_dirs: Vec<Uuid> [3.., tag 0] = Vec::new(),
    }

    /// An endpoint in `RegisterBrokerRecord`.
    pub struct RegisterBrokerEndpoint<'a> {
        /// The listener's name.
        name: Cow<'a, str> [0..],
        /// The host.
        host: Cow<'a, str> [0..],
        /// The port.
        port: u16 [0..],
        /// The security protocol.
        security_protocol: i16 [0..],
    }

    /// A feature in `RegisterBrokerRecord`.
    pub struct RegisterBrokerFeature<'a> {
        /// The feature's name.
        name: Cow<'a, str> [0..],
        /// The lowest level.
        min_supported_version: i16 [0..],
        /// The highest level.
        max_supported_version: i16 [0..],
    }

    /// A topic was created.
    pub struct TopicRecord<'a> [0..=0, flexible 0..] {
        /// Its name.
        name: Cow<'a, str> [0..],
        /// Its id.
        topic_id: Uuid [0..],
    }

    /// A partition was created.
    pub struct PartitionRecord [0..=2, flexible 0..] {
        /// Its index.
        partition_id: i32 [0..] = -1,
        /// Its topic.
        topic_id: Uuid [0..],
        /// The nodes that have it.
        replicas: Vec<i32> [0..],
        /// Those in sync.
        isr: Vec<i32> [0..],
        /// Those about to go.
        removing_replicas: Vec<i32> [0..],
        /// Those about to come.
        adding_replicas: Vec<i32> [0..],
        /// The leader.
        leader: i32 [0..] = -1,
        /// 1 while an unclean leader recovers.
        leader_recovery_state: i8 [0.., tag 0] = 0,
        /// The leader's epoch.
        leader_epoch: i32 [0..] = -1,
        /// The partition's epoch.
        partition_epoch: i32 [0..] = -1,
        /// The log directory of each replica. Since v1.
        directories: Vec<Uuid> [1..] = Vec::new(),
        /// KIP-966. Since v2.
        eligible_leader_replicas: Option<Vec<i32>> [2.., nullable 2.., tag 1] = None,
        /// KIP-966. Since v2.
        last_known_elr: Option<Vec<i32>> [2.., nullable 2.., tag 2] = None,
    }

    /// A config was set, or removed where the value is null.
    pub struct ConfigRecord<'a> [0..=0, flexible 0..] {
        /// 2 for a topic, 4 for a broker or (with an empty name) all brokers, 32 for a group.
        resource_type: i8 [0..],
        /// Its name.
        resource_name: Cow<'a, str> [0..],
        /// The key.
        name: Cow<'a, str> [0..],
        /// The value.
        value: Option<Cow<'a, str>> [0.., nullable 0..] = None,
    }

    /// A topic was deleted.
    pub struct RemoveTopicRecord [0..=0, flexible 0..] {
        /// Its id.
        topic_id: Uuid [0..],
    }

    /// A feature was finalized.
    pub struct FeatureLevelRecord<'a> [0..=0, flexible 0..] {
        /// Its name.
        name: Cow<'a, str> [0..],
        /// Its level.
        feature_level: i16 [0..],
    }

    /// A block of producer ids was given out.
    pub struct ProducerIdsRecord [0..=0, flexible 0..] {
        /// To this broker.
        broker_id: i32 [0..],
        /// In this epoch of it.
        broker_epoch: i64 [0..] = -1,
        /// The first id of the next block.
        next_producer_id: i64 [0..],
    }
}

/// A change of the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataRecord {
    /// A node has begun a generation.
    RegisterBroker {
        /// The node.
        broker_id: i32,
        /// The process.
        incarnation: Uuid,
        /// The generation.
        broker_epoch: i64,
    },
    /// A topic was created; its partitions follow.
    Topic {
        /// Its name.
        name: TopicName,
        /// Its id.
        topic_id: Uuid,
    },
    /// A partition was created.
    Partition {
        /// Its topic.
        topic_id: Uuid,
        /// Its index.
        partition: i32,
        /// Its only replica.
        leader: i32,
        /// The leader epoch it starts with.
        leader_epoch: i32,
    },
    /// A config was set, or removed.
    Config {
        /// Whose.
        resource: ConfigResource,
        /// The key.
        name: Arc<str>,
        /// The value.
        value: Option<Arc<str>>,
    },
    /// A topic was deleted.
    RemoveTopic {
        /// Its id.
        topic_id: Uuid,
    },
    /// A feature was finalized.
    FeatureLevel {
        /// Its name.
        name: Arc<str>,
        /// Its level.
        level: i16,
    },
    /// A block of producer ids was given out.
    ProducerIds {
        /// To this node.
        broker_id: i32,
        /// In this generation.
        broker_epoch: i64,
        /// The first id that remains.
        next_producer_id: i64,
    },
}

const REGISTER_BROKER: u32 = 0;
const TOPIC: u32 = 2;
const PARTITION: u32 = 3;
const CONFIG: u32 = 4;
const REMOVE_TOPIC: u32 = 9;
const FEATURE_LEVEL: u32 = 12;
const PRODUCER_IDS: u32 = 15;

/// The value of a record.
#[must_use]
pub fn encode(record: &MetadataRecord) -> Vec<u8> {
    match record {
        MetadataRecord::RegisterBroker { broker_id, incarnation, broker_epoch } => {
            let record = RegisterBrokerRecord {
                broker_id: *broker_id,
                incarnation_id: *incarnation,
                broker_epoch: *broker_epoch,
                fenced: false,
                ..RegisterBrokerRecord::default()
            };
            framed(REGISTER_BROKER, 1, &record)
        }
        MetadataRecord::Topic { name, topic_id } => {
            framed(TOPIC, 0, &TopicRecord { name: Cow::Borrowed(name), topic_id: *topic_id })
        }
        MetadataRecord::Partition { topic_id, partition, leader, leader_epoch } => {
            let record = PartitionRecord {
                partition_id: *partition,
                topic_id: *topic_id,
                replicas: vec![*leader],
                isr: vec![*leader],
                leader: *leader,
                leader_epoch: *leader_epoch,
                partition_epoch: 0,
                ..PartitionRecord::default()
            };
            framed(PARTITION, 0, &record)
        }
        MetadataRecord::Config { resource, name, value } => {
            let (resource_type, resource_name) = match resource {
                ConfigResource::Topic(topic) => (RESOURCE_TOPIC, &**topic),
                ConfigResource::Broker(id) => (RESOURCE_BROKER, &**id),
                ConfigResource::Group(id) => (RESOURCE_GROUP, &**id),
            };
            let record = ConfigRecord {
                resource_type,
                resource_name: Cow::Borrowed(resource_name),
                name: Cow::Borrowed(name),
                value: value.as_deref().map(Cow::Borrowed),
            };
            framed(CONFIG, 0, &record)
        }
        MetadataRecord::RemoveTopic { topic_id } => {
            framed(REMOVE_TOPIC, 0, &RemoveTopicRecord { topic_id: *topic_id })
        }
        MetadataRecord::FeatureLevel { name, level } => framed(
            FEATURE_LEVEL,
            0,
            &FeatureLevelRecord { name: Cow::Borrowed(name), feature_level: *level },
        ),
        MetadataRecord::ProducerIds { broker_id, broker_epoch, next_producer_id } => {
            let record = ProducerIdsRecord {
                broker_id: *broker_id,
                broker_epoch: *broker_epoch,
                next_producer_id: *next_producer_id,
            };
            framed(PRODUCER_IDS, 0, &record)
        }
    }
}

/// Reads the value of a record; `None` for a kind that is not used here.
///
/// # Errors
/// When the frame or the body is broken, or newer than what is known.
pub fn decode(value: &[u8]) -> Result<Option<MetadataRecord>, RecordError> {
    let mut reader = Reader::new(value);
    let frame =
        |source| RecordError::Schema { schema: "metadata record frame", version: 1, source };
    let frame_version = reader.read_unsigned_varint("frame version").map_err(frame)?;
    let api_key = reader.read_unsigned_varint("api key").map_err(frame)?;
    let version = reader.read_unsigned_varint("version").map_err(frame)?;
    let version = i16::try_from(version).unwrap_or(i16::MAX);
    if frame_version != FRAME_VERSION {
        return Err(RecordError::UnknownVersion { schema: "metadata record frame", version });
    }
    let body = reader.rest();
    let record = match api_key {
        REGISTER_BROKER => {
            let record = read::<RegisterBrokerRecord<'_>>(version, body)?;
            MetadataRecord::RegisterBroker {
                broker_id: record.broker_id,
                incarnation: record.incarnation_id,
                broker_epoch: record.broker_epoch,
            }
        }
        TOPIC => {
            let record = read::<TopicRecord<'_>>(version, body)?;
            MetadataRecord::Topic {
                name: TopicName::from(&*record.name),
                topic_id: record.topic_id,
            }
        }
        PARTITION => {
            let record = read::<PartitionRecord>(version, body)?;
            MetadataRecord::Partition {
                topic_id: record.topic_id,
                partition: record.partition_id,
                leader: record.leader,
                leader_epoch: record.leader_epoch,
            }
        }
        CONFIG => {
            let record = read::<ConfigRecord<'_>>(version, body)?;
            let resource = match record.resource_type {
                RESOURCE_TOPIC => ConfigResource::Topic(TopicName::from(&*record.resource_name)),
                RESOURCE_BROKER => ConfigResource::Broker(kept(&record.resource_name)),
                RESOURCE_GROUP => ConfigResource::Group(kept(&record.resource_name)),
                _ => return Ok(None),
            };
            MetadataRecord::Config {
                resource,
                name: kept(&record.name),
                value: record.value.as_deref().map(kept),
            }
        }
        REMOVE_TOPIC => MetadataRecord::RemoveTopic {
            topic_id: read::<RemoveTopicRecord>(version, body)?.topic_id,
        },
        FEATURE_LEVEL => {
            let record = read::<FeatureLevelRecord<'_>>(version, body)?;
            MetadataRecord::FeatureLevel { name: kept(&record.name), level: record.feature_level }
        }
        PRODUCER_IDS => {
            let record = read::<ProducerIdsRecord>(version, body)?;
            MetadataRecord::ProducerIds {
                broker_id: record.broker_id,
                broker_epoch: record.broker_epoch,
                next_producer_id: record.next_producer_id,
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(record))
}

fn framed<M: Message>(api_key: u32, version: i16, record: &M) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    let version_number = u64::try_from(version).unwrap_or_default();
    for number in [u64::from(FRAME_VERSION), u64::from(api_key), version_number] {
        bytes.extend_from_slice(Varint::unsigned(number).as_bytes());
    }
    bytes.extend(
        record.to_bytes(version).expect("every field has a place in the versions written here"),
    );
    bytes
}

fn read<'a, M: Message + Decode<'a>>(version: i16, body: &'a [u8]) -> Result<M, RecordError> {
    if !M::VERSIONS.contains(&version) {
        return Err(RecordError::UnknownVersion { schema: M::NAME, version });
    }
    M::read(body, version).map_err(|source| RecordError::Schema {
        schema: M::NAME,
        version,
        source,
    })
}
