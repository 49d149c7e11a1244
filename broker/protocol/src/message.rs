//! Requests and responses: the table of APIs, and what a declared message can do.
//!
//! - One declaration per message (`message/<api>.rs`) says which version has which field; reading, writing, size and
//!   the test generator come from it.
//! - The TABLE at the end is the one place that ties an API key to its messages. What ApiVersions advertises comes
//!   from it.
//! - Values stay as the wire has them; what they mean is the handlers' business.
//!
//! References: <https://kafka.apache.org/protocol>, KIP-482 (flexible versions).

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::encoder::Encoder;
use crate::error::ProtocolError;
use crate::primitive::Reader;

mod declare;
mod field;
mod records;
#[cfg(test)]
mod tests;

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod elect_leaders;
pub mod end_txn;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod update_features;
pub mod write_txn_markers;

pub use records::{Records, RecordsPiece};

/// Something that is read from a message. `field` is what errors name.
pub trait Decode<'a>: Sized {
    /// Reads the value in the reader's version.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    fn decode(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ProtocolError>;

    /// The smallest encoding, in bytes: what bounds the number of elements that can follow.
    fn min_bytes(version: i16, flexible: bool) -> usize;
}

/// Something that is written into a message. `field` is what errors name.
pub trait Encode {
    /// Writes the value in the encoder's version.
    ///
    /// # Errors
    /// When the version has no place for it.
    fn encode(&self, encoder: &mut Encoder, field: &'static str) -> Result<(), ProtocolError>;

    /// Whether the value is null.
    fn is_null(&self) -> bool {
        false
    }
}

/// A declared request, response or record schema.
pub trait Message: Encode {
    /// Its name.
    const NAME: &'static str;
    /// The versions that are declared.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version with compact lengths and tagged fields; `i16::MAX` if none has them.
    const FIRST_FLEXIBLE: i16;

    /// Whether a version has compact lengths and tagged fields.
    #[must_use]
    fn is_flexible(version: i16) -> bool {
        version >= Self::FIRST_FLEXIBLE
    }

    /// Checks that a version is declared.
    ///
    /// # Errors
    /// When it is not.
    fn check_version(version: i16) -> Result<(), ProtocolError> {
        if Self::VERSIONS.contains(&version) {
            Ok(())
        } else {
            Err(ProtocolError::UnsupportedVersion { message: Self::NAME, version })
        }
    }

    /// Reads a message from the start of `bytes`. What follows its end is ignored, as Kafka does.
    ///
    /// # Errors
    /// When the version is not declared or the bytes are not such a message.
    fn read<'a>(bytes: &'a [u8], version: i16) -> Result<Self, ProtocolError>
    where
        Self: Decode<'a>,
    {
        Self::check_version(version)?;
        Self::decode(
            &mut Reader::with_version(bytes, version, Self::is_flexible(version)),
            Self::NAME,
        )
    }

    /// Reads a message that must fill `bytes`.
    ///
    /// # Errors
    /// When the version is not declared, the bytes are not such a message, or more follows.
    fn read_exact<'a>(bytes: &'a [u8], version: i16) -> Result<Self, ProtocolError>
    where
        Self: Decode<'a>,
    {
        Self::check_version(version)?;
        let mut reader = Reader::with_version(bytes, version, Self::is_flexible(version));
        let message = Self::decode(&mut reader, Self::NAME)?;
        match reader.remaining() {
            0 => Ok(message),
            remaining => Err(ProtocolError::TrailingBytes {
                message: Self::NAME,
                remaining: remaining as u64,
            }),
        }
    }

    /// Reads a record that starts with its version in two bytes: keys and values of internal topics.
    ///
    /// # Errors
    /// When the version is not declared or the bytes are not such a record.
    fn read_versioned<'a>(bytes: &'a [u8]) -> Result<(i16, Self), ProtocolError>
    where
        Self: Decode<'a>,
    {
        let mut reader = Reader::new(bytes);
        let version = reader.read_i16("version")?;
        Ok((version, Self::read(reader.rest(), version)?))
    }

    /// Writes the message.
    ///
    /// # Errors
    /// When the version is not declared, or a field has a value that it cannot carry.
    fn write(&self, encoder: &mut Encoder, version: i16) -> Result<(), ProtocolError> {
        Self::check_version(version)?;
        encoder.set_version(version, Self::is_flexible(version));
        self.encode(encoder, Self::NAME)
    }

    /// Size of the encoded message in bytes.
    ///
    /// # Errors
    /// Those of [`Self::write`].
    fn size_bytes(&self, version: i16) -> Result<usize, ProtocolError> {
        let mut encoder = Encoder::counting(version, Self::is_flexible(version));
        self.write(&mut encoder, version)?;
        Ok(encoder.size_bytes())
    }

    /// The encoded message in one piece.
    ///
    /// # Errors
    /// Those of [`Self::write`], and records that do not lie in memory.
    fn to_bytes(&self, version: i16) -> Result<Bytes, ProtocolError> {
        let mut encoder = Encoder::new(version, Self::is_flexible(version));
        self.write(&mut encoder, version)?;
        encoder.into_bytes().ok_or(ProtocolError::NotInMemory { message: Self::NAME })
    }

    /// The encoded message behind its version in two bytes: keys and values of internal topics.
    ///
    /// # Errors
    /// Those of [`Self::to_bytes`].
    fn to_versioned_bytes(&self, version: i16) -> Result<Bytes, ProtocolError> {
        let mut encoder = Encoder::new(version, Self::is_flexible(version));
        encoder.put(&version.to_be_bytes());
        self.write(&mut encoder, version)?;
        encoder.into_bytes().ok_or(ProtocolError::NotInMemory { message: Self::NAME })
    }
}

/// Reads the value of a field, which may be null if the version says so. For the macro.
#[doc(hidden)]
#[inline]
pub fn decode_field<'a, T: Decode<'a> + Encode>(
    reader: &mut Reader<'a>,
    field: &'static str,
    nullable: bool,
) -> Result<T, ProtocolError> {
    let value = T::decode(reader, field)?;
    check_null(&value, field, reader.version(), nullable)?;
    Ok(value)
}

/// Checks that a value is not null unless the version allows it. For the macro.
#[doc(hidden)]
#[inline]
pub fn check_null<T: Encode>(
    value: &T,
    field: &'static str,
    version: i16,
    nullable: bool,
) -> Result<(), ProtocolError> {
    if !nullable && value.is_null() {
        return Err(ProtocolError::NullNotAllowed { field, version });
    }
    Ok(())
}

/// One row per API: key, and the module with its request and response.
macro_rules! apis {
    ($( $name:ident = $key:literal, $module:ident :: { $request:ident, $response:ident }; )*) => {
        /// An API of Kafka's protocol that this broker speaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ApiKey {
            $(
                #[doc = concat!("`", stringify!($name), "`, key ", stringify!($key), ".")]
                $name = $key,
            )*
        }

        impl ApiKey {
            /// Every API, in the order of the keys.
            pub const ALL: &'static [Self] = &[$( Self::$name, )*];

            /// The API with this key.
            #[must_use]
            pub fn from_key(key: i16) -> Option<Self> {
                match key {
                    $( $key => Some(Self::$name), )*
                    _ => None,
                }
            }

            /// The key on the wire.
            #[must_use]
            pub fn key(self) -> i16 {
                match self {
                    $( Self::$name => $key, )*
                }
            }

            /// The name that Kafka's documentation uses.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$name => stringify!($name), )*
                }
            }

            /// The versions to advertise.
            #[must_use]
            pub fn versions(self) -> RangeInclusive<i16> {
                match self {
                    $( Self::$name => $module::$request::VERSIONS, )*
                }
            }

            /// The first version with compact lengths and tagged fields.
            #[must_use]
            pub fn first_flexible(self) -> i16 {
                match self {
                    $( Self::$name => $module::$request::FIRST_FLEXIBLE, )*
                }
            }
        }

        // A response has the versions of its request.
        const _: () = {
            $(
                let (request, response) = ($module::$request::VERSIONS, $module::$response::VERSIONS);
                assert!(*request.start() == *response.start() && *request.end() == *response.end());
                assert!($module::$request::FIRST_FLEXIBLE == $module::$response::FIRST_FLEXIBLE);
            )*
        };

        /// Calls a macro with the rows of the table, for tests over every message.
        #[cfg(test)]
        macro_rules! for_each_api {
            ($callback:ident) => {
                $callback! { $( $name, $module, $request, $response; )* }
            };
        }
        #[cfg(test)]
        pub(crate) use for_each_api;
    };
}

impl ApiKey {
    /// Whether a version has compact lengths and tagged fields.
    #[must_use]
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.first_flexible()
    }

    /// Whether a version can be read and answered.
    #[must_use]
    pub fn supports(self, version: i16) -> bool {
        self.versions().contains(&version)
    }
}

// TABLE. Produce starts at 0 because older librdkafka sends uncompressed to a broker that does not say so (KAFKA-18659);
// its v0 to v2 are answered with an error. JoinGroup has v0 and v1 again since Kafka 4.1 (KAFKA-19444). Versions that
// Kafka 4 dropped are kept where only fields differ: of OffsetCommit and OffsetFetch not v0, which meant ZooKeeper.
apis! {
    Produce = 0, produce::{ProduceRequest, ProduceResponse};
    Fetch = 1, fetch::{FetchRequest, FetchResponse};
    ListOffsets = 2, list_offsets::{ListOffsetsRequest, ListOffsetsResponse};
    Metadata = 3, metadata::{MetadataRequest, MetadataResponse};
    OffsetCommit = 8, offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
    OffsetFetch = 9, offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};
    FindCoordinator = 10, find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
    JoinGroup = 11, join_group::{JoinGroupRequest, JoinGroupResponse};
    Heartbeat = 12, heartbeat::{HeartbeatRequest, HeartbeatResponse};
    LeaveGroup = 13, leave_group::{LeaveGroupRequest, LeaveGroupResponse};
    SyncGroup = 14, sync_group::{SyncGroupRequest, SyncGroupResponse};
    DescribeGroups = 15, describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
    ListGroups = 16, list_groups::{ListGroupsRequest, ListGroupsResponse};
    ApiVersions = 18, api_versions::{ApiVersionsRequest, ApiVersionsResponse};
    CreateTopics = 19, create_topics::{CreateTopicsRequest, CreateTopicsResponse};
    DeleteTopics = 20, delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
    DeleteRecords = 21, delete_records::{DeleteRecordsRequest, DeleteRecordsResponse};
    InitProducerId = 22, init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
    OffsetForLeaderEpoch = 23, offset_for_leader_epoch::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
    AddPartitionsToTxn = 24, add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
    AddOffsetsToTxn = 25, add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
    EndTxn = 26, end_txn::{EndTxnRequest, EndTxnResponse};
    WriteTxnMarkers = 27, write_txn_markers::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
    TxnOffsetCommit = 28, txn_offset_commit::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
    DescribeConfigs = 32, describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse};
    AlterConfigs = 33, alter_configs::{AlterConfigsRequest, AlterConfigsResponse};
    AlterReplicaLogDirs = 34, alter_replica_log_dirs::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};
    DescribeLogDirs = 35, describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
    CreatePartitions = 37, create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
    DeleteGroups = 42, delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
    ElectLeaders = 43, elect_leaders::{ElectLeadersRequest, ElectLeadersResponse};
    IncrementalAlterConfigs = 44, incremental_alter_configs::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
    AlterPartitionReassignments = 45, alter_partition_reassignments::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
    ListPartitionReassignments = 46, list_partition_reassignments::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};
    OffsetDelete = 47, offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
    DescribeQuorum = 55, describe_quorum::{DescribeQuorumRequest, DescribeQuorumResponse};
    UpdateFeatures = 57, update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};
    DescribeCluster = 60, describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
    DescribeProducers = 61, describe_producers::{DescribeProducersRequest, DescribeProducersResponse};
    DescribeTransactions = 65, describe_transactions::{DescribeTransactionsRequest, DescribeTransactionsResponse};
    ListTransactions = 66, list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
    ConsumerGroupHeartbeat = 68, consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
    ConsumerGroupDescribe = 69, consumer_group_describe::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};
    ListConfigResources = 74, list_config_resources::{ListConfigResourcesRequest, ListConfigResourcesResponse};
    DescribeTopicPartitions = 75, describe_topic_partitions::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
}
