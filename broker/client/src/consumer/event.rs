//! What the library reports while it is polled, kept until the consumer hands it out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use crate::context;
use crate::error::ClientError;
use crate::record::{ConsumedRecord, PartitionOffset, TopicPartition};

/// What a poll of a group consumer brings.
#[derive(Debug)]
pub enum ConsumerEvent {
    /// Records, in order per partition; never empty.
    Records(Vec<ConsumedRecord>),
    /// Partitions that are ours from the next poll on (with a cooperative assignor: in addition).
    Assigned(Vec<TopicPartition>),
    /// Partitions that are ours until the next poll: finish and commit before it.
    Revoked {
        /// The partitions.
        partitions: Vec<TopicPartition>,
        /// Whether they are gone already, because the member was thrown out: commits will fail.
        lost: bool,
    },
    /// The answer to a [`commit_later`](crate::GroupConsumer::commit_later).
    Committed {
        /// What was to be committed.
        offsets: Vec<PartitionOffset>,
        /// The coordinator's answer.
        result: Result<(), ClientError>,
    },
    /// Trouble; retriable ones pass by themselves and need no more than a log line.
    Error(ClientError),
}

/// A change of ownership.
#[derive(Debug)]
pub(super) enum Rebalance {
    Assign(Vec<TopicPartition>),
    Revoke(Vec<TopicPartition>),
}

#[derive(Default)]
pub(crate) struct GroupContext {
    /// Counts everything that is not a record, to tell an empty queue from a served event.
    pub(super) served: AtomicU64,
    pub(super) closing: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    rebalances: Vec<Rebalance>,
    committed: Vec<ConsumerEvent>,
}

impl GroupContext {
    pub(super) fn rebalanced(&self) -> bool {
        !self.waiting.lock().rebalances.is_empty()
    }

    pub(super) fn take_events(&self, library: &BaseConsumer<Self>) -> Vec<ConsumerEvent> {
        let Waiting { rebalances, mut committed } = std::mem::take(&mut *self.waiting.lock());
        for rebalance in rebalances {
            committed.push(match rebalance {
                Rebalance::Assign(partitions) => ConsumerEvent::Assigned(partitions),
                Rebalance::Revoke(partitions) => {
                    ConsumerEvent::Revoked { partitions, lost: library.assignment_lost() }
                }
            });
        }
        committed
    }

    pub(super) fn push_event(&self, event: ConsumerEvent) {
        self.waiting.lock().committed.push(event);
    }

    fn count(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.count();
        context::log(level, fac, log_message);
    }
    fn stats_raw(&self, _statistics: &[u8]) {
        self.count();
    }
    fn error(&self, err: KafkaError, reason: &str) {
        self.count();
        context::error(&err, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.count();
        let assign = matches!(err, RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS);
        if self.closing.load(Ordering::Relaxed) {
            // Nobody polls any more, and closing waits until this is answered.
            let cooperative =
                matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
            let done = match (assign, cooperative) {
                (false, true) => consumer.incremental_unassign(list),
                (true, true) => Ok(()),
                (_, false) => consumer.unassign(),
            };
            if let Err(err) = done {
                tracing::debug!(error = %err, "could not give partitions back while closing");
            }
            return;
        }
        let partitions = partitions(list);
        let change =
            if assign { Rebalance::Assign(partitions) } else { Rebalance::Revoke(partitions) };
        self.waiting.lock().rebalances.push(change);
    }
}

pub(super) fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements()
        .iter()
        .map(|element| TopicPartition {
            topic: Arc::from(element.topic()),
            partition: element.partition(),
        })
        .collect()
}
