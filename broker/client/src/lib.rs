//! Our thin layer over librdkafka: what the registry, Connect and the commands need of a Kafka cluster, and no more.
//!
//! - The only crate that names rdkafka, so that the library can be exchanged.
//! - Does not know whose broker answers: everything here is an ordinary client of the public protocol.
//! - No call blocks a reactor: what librdkafka does synchronously runs on the blocking pool, and handles are
//!   closed there or on a thread of their own.
//! - Broken connections are retried by librdkafka; what a caller sees as [`ClientError`] says whether trying again can help.

mod acks;
mod admin;
mod clock;
mod closing;
mod consumer;
mod context;
mod error;
mod producer;
mod record;
mod settings;
mod topic_state;
mod transaction;

pub use acks::Acks;
pub use admin::{Admin, ClusterInfo, NewTopic, TopicInfo};
pub use consumer::{
    Assignor, ConsumerEvent, GroupConsumer, GroupConsumerSettings, OffsetReset, Subscription,
};
pub use error::ClientError;
pub use producer::{Producer, ProducerSettings, SendError};
pub use record::{ConsumedRecord, PartitionOffset, TopicPartition};
pub use settings::{ClientSettings, Isolation};
pub use topic_state::{TopicRecord, TopicState, TopicStateSettings, reader::read_all};
pub use transaction::{TransactionSettings, TransactionalProducer};
