//! The open transactions as those see them who append to partitions in them: what a transaction covers, and a gate
//! that stands between its appends and its markers.
//!
//! - What is covered here is durable in the coordinator's log.
//! - Whoever appends enters first, and leaves when the append is queued. The markers are queued after the gate was
//!   closed: then nobody is inside, and nobody enters any more. So no append of a producer that was fenced, and none
//!   that came late, lies behind its transaction's marker, also where the epoch stays the same from one transaction to
//!   the next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aquifer_broker_coordinator::group::id::TopicName;
use aquifer_broker_coordinator::transaction::id::TransactionalId;
use aquifer_broker_coordinator::transaction::state::Producer;
use parking_lot::Mutex;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

/// The open transactions, by producer id.
#[derive(Debug, Default)]
pub(super) struct OpenTransactions {
    producers: Mutex<HashMap<i64, Arc<OpenTransaction>>>,
}

/// One open transaction.
#[derive(Debug)]
pub(super) struct OpenTransaction {
    transactional_id: TransactionalId,
    epoch: i16,
    covered: Mutex<HashMap<TopicName, HashSet<i32>>>,
    gate: Arc<RwLock<Gate>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Closed,
}

/// Held while appends of a transaction are queued: its markers wait for that.
#[derive(Debug)]
pub(crate) struct InTransaction {
    _gate: OwnedRwLockReadGuard<Gate>,
}

impl OpenTransactions {
    /// The transaction is open and covers these partitions.
    pub(super) fn cover<'a>(
        &self,
        transactional_id: &TransactionalId,
        producer: Producer,
        partitions: impl IntoIterator<Item = &'a (TopicName, i32)>,
    ) {
        let mut producers = self.producers.lock();
        let new = || {
            Arc::new(OpenTransaction {
                transactional_id: transactional_id.clone(),
                epoch: producer.epoch,
                covered: Mutex::default(),
                gate: Arc::new(RwLock::new(Gate::Open)),
            })
        };
        let open = producers.entry(producer.id).or_insert_with(new);
        if open.epoch != producer.epoch {
            *open = new();
        }
        let mut covered = open.covered.lock();
        for (topic, partition) in partitions {
            covered.entry(topic.clone()).or_default().insert(*partition);
        }
    }

    /// Takes the transaction out: nobody finds it any more. Its gate is still to be closed.
    pub(super) fn remove(&self, producer_id: i64) -> Option<Arc<OpenTransaction>> {
        self.producers.lock().remove(&producer_id)
    }

    /// Enters the producer's transaction if it is open and covers all of `partitions`.
    pub(super) async fn enter(
        &self,
        transactional_id: &str,
        producer: Producer,
        partitions: &[(TopicName, i32)],
    ) -> Option<InTransaction> {
        let open = self.producers.lock().get(&producer.id).cloned()?;
        if &*open.transactional_id != transactional_id || open.epoch != producer.epoch {
            return None;
        }
        let gate = Arc::clone(&open.gate).read_owned().await;
        if *gate == Gate::Closed {
            return None;
        }
        let covered = open.covered.lock();
        let is_covered = partitions.iter().all(|(topic, partition)| {
            covered.get(topic).is_some_and(|partitions| partitions.contains(partition))
        });
        drop(covered);
        is_covered.then_some(InTransaction { _gate: gate })
    }
}

impl OpenTransaction {
    /// Waits until nobody is inside, and lets nobody in any more.
    pub(super) async fn close(&self) {
        *self.gate.write().await = Gate::Closed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCER: Producer = Producer { id: 7, epoch: 1 };

    fn partition(topic: &str, partition: i32) -> (TopicName, i32) {
        (TopicName::from(topic), partition)
    }

    fn opened() -> OpenTransactions {
        let open = OpenTransactions::default();
        open.cover(&TransactionalId::from("x"), PRODUCER, &[partition("t", 0), partition("t", 1)]);
        open
    }

    #[tokio::test]
    async fn only_the_producer_enters_and_only_for_what_is_covered() {
        let open = opened();
        let other_epoch = Producer { epoch: 0, ..PRODUCER };
        let other_id = Producer { id: 8, ..PRODUCER };
        for (transactional_id, producer, asked, expected) in [
            ("x", PRODUCER, vec![partition("t", 0), partition("t", 1)], true),
            ("x", PRODUCER, vec![partition("t", 0), partition("u", 0)], false),
            ("x", PRODUCER, vec![partition("t", 2)], false),
            ("y", PRODUCER, vec![partition("t", 0)], false),
            ("x", other_epoch, vec![partition("t", 0)], false),
            ("x", other_id, vec![partition("t", 0)], false),
        ] {
            let entered = open.enter(transactional_id, producer, &asked).await.is_some();
            assert_eq!(entered, expected, "{transactional_id} {producer:?} {asked:?}");
        }
        open.cover(&TransactionalId::from("x"), PRODUCER, &[partition("u", 0)]);
        assert!(open.enter("x", PRODUCER, &[partition("t", 0), partition("u", 0)]).await.is_some());
    }

    #[tokio::test]
    async fn the_gate_closes_when_the_last_has_left_and_stays_closed() {
        let open = opened();
        let inside = open.enter("x", PRODUCER, &[partition("t", 0)]).await.unwrap();
        let transaction = open.producers.lock().get(&7).cloned().unwrap();
        let removed = open.remove(7).unwrap();
        let mut closing = Box::pin(removed.close());
        assert!(futures_util::poll!(closing.as_mut()).is_pending());
        drop(inside);
        closing.await;
        // One who had found the transaction before it was removed comes too late.
        open.producers.lock().insert(7, transaction);
        assert!(open.enter("x", PRODUCER, &[partition("t", 0)]).await.is_none());
    }
}
