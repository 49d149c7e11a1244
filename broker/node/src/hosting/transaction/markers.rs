//! Writes the markers of a transaction whose outcome is fixed, and has the machine complete it.
//!
//! - Every partition gets its marker, however often that has to be tried; one that was deleted needs none.
//! - Markers may be written again after a crash: where no transaction is open they end nothing.
//! - At most one task writes the markers of a transactional id, and it ends when the machine has heard of them: a
//!   marker can't come late and end the id's next transaction.

use std::sync::{Arc, Weak};

use aquifer_broker_coordinator::TransactionMachine;
use aquifer_broker_coordinator::group::command::EndOffsets;
use aquifer_broker_coordinator::group::id::TopicName;
use aquifer_broker_coordinator::transaction::command::{MarkersWritten, TransactionCommand};
use aquifer_broker_coordinator::transaction::id::TransactionalId;
use aquifer_broker_coordinator::transaction::state::{Outcome, Producer, Transaction};
use aquifer_broker_log::MarkerEpoch;
use aquifer_broker_protocol::control::EndTransactionMarker;
use tokio::time::Duration;

use super::super::machine_host::MachineHandle;
use super::super::{CONSUMER_OFFSETS, HostError, Hosting};
use super::open::OpenTransaction;
use crate::partition::{Acks, AppendHow, Origin, Partition, PartitionError};

/// The first and the longest pause between attempts to write a marker.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// Transaction version 2: the marker's epoch is above that of the records it ends.
const EPOCH_RAISED_SINCE_VERSION: i16 = 2;

/// The end of a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marker {
    /// The producer, with the epoch that the marker carries.
    pub(crate) producer: Producer,
    /// Commit or abort.
    pub(crate) outcome: Outcome,
    /// The epoch of the coordinator that ends it.
    pub(crate) coordinator_epoch: i32,
    /// Whether the epoch was raised when the transaction was ended.
    pub(crate) epoch: MarkerEpoch,
}

/// One transaction to be marked in all of its partitions.
pub(super) struct Ending {
    pub(super) hosting: Weak<Hosting>,
    pub(super) machine: MachineHandle<TransactionMachine>,
    pub(super) transactional_id: TransactionalId,
    pub(super) transaction: Transaction,
    pub(super) outcome: Outcome,
    /// Its gate, if somebody may still be inside.
    pub(super) open: Option<Arc<OpenTransaction>>,
}

impl Ending {
    /// Returns when the machine has completed the transaction, or the node stops.
    pub(super) async fn run(self) {
        if let Some(open) = &self.open {
            open.close().await;
        }
        let Some(hosting) = self.hosting.upgrade() else { return };
        let marker = Marker {
            producer: self.transaction.producer,
            outcome: self.outcome,
            coordinator_epoch: hosting.coordinator_epoch(),
            epoch: if self.transaction.client_version >= EPOCH_RAISED_SINCE_VERSION {
                MarkerEpoch::Raised
            } else {
                MarkerEpoch::Same
            },
        };
        let writes = self.transaction.partitions.iter().map(|(topic, partition)| {
            write_until_done(&hosting, topic, *partition, marker, &self.transactional_id)
        });
        futures_util::future::join_all(writes).await;
        drop(hosting);
        let written = TransactionCommand::MarkersWritten(MarkersWritten {
            transactional_id: self.transactional_id,
            producer: self.transaction.producer,
            prepared_at: self.transaction.updated_at,
        });
        loop {
            match self.machine.ask(written.clone()).await {
                Ok(_) | Err(HostError::Stopping) => return,
                // The machine is being replayed.
                Err(_) => tokio::time::sleep(PAUSE.0).await,
            }
        }
    }
}

async fn write_until_done(
    hosting: &Hosting,
    topic: &TopicName,
    partition: i32,
    marker: Marker,
    transactional_id: &TransactionalId,
) {
    let mut pause = PAUSE.0;
    loop {
        let error = match hosting.write_marker(topic, partition, marker).await {
            Ok(()) | Err(MarkerError::NoPartition) => return,
            Err(error) => error,
        };
        let is_final = error.is_final();
        tracing::warn!(%transactional_id, %topic, partition, %error, is_final, "a marker was not written");
        if is_final {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Why a marker is not in a partition.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MarkerError {
    /// There is no such partition, or it is being deleted.
    #[error("the partition does not exist")]
    NoPartition,
    /// The partition did not take it.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The group machine did not take it.
    #[error(transparent)]
    Group(#[from] HostError),
}

impl MarkerError {
    /// Whether the partition will never take it: it has heard of a later epoch, so that the transaction is over there.
    fn is_final(&self) -> bool {
        match self {
            Self::NoPartition | Self::Partition(PartitionError::Sequence(_)) => true,
            Self::Partition(_) | Self::Group(_) => false,
        }
    }
}

impl Hosting {
    /// Ends a producer's transaction in one partition; returns when that is durable.
    pub(crate) async fn write_marker(
        &self,
        topic: &str,
        partition: i32,
        marker: Marker,
    ) -> Result<(), MarkerError> {
        let found = self.partitions.get(topic, partition).ok_or(MarkerError::NoPartition)?;
        if topic == CONSUMER_OFFSETS {
            let end = EndOffsets {
                producer: marker.producer,
                outcome: marker.outcome,
                coordinator_epoch: marker.coordinator_epoch,
            };
            return Ok(self.end_offsets(partition, end).await?);
        }
        match self.append_marker(&found, marker).await {
            Err(PartitionError::Gone(_)) => Err(MarkerError::NoPartition),
            appended => Ok(appended?),
        }
    }

    async fn append_marker(
        &self,
        partition: &Arc<Partition>,
        marker: Marker,
    ) -> Result<(), PartitionError> {
        let Marker { producer, outcome, coordinator_epoch, epoch } = marker;
        let marker = EndTransactionMarker { commit: outcome == Outcome::Commit, coordinator_epoch };
        let batch = marker.batch(producer.id, producer.epoch, self.clock.wall_ms());
        let how = AppendHow { acks: Acks::All, origin: Origin::Marker(epoch) };
        partition.append(batch.freeze(), how).await.map(drop)
    }
}
