//! Which partitions an open transaction covers: added by its producer, and asked for by whoever appends to them.

use aquifer_broker_protocol::ErrorCode;

use super::Step;
use super::command::{AddPartitions, Answer, VerifyPartitions};
use super::state::{Producer, Transaction, TransactionState};

impl Step {
    /// The answer to `add`, given what is written of the id.
    pub(super) fn add(&mut self, add: &AddPartitions, known: Option<&Transaction>) -> Answer<()> {
        if add.transactional_id.is_empty() {
            return Answer::Refused(ErrorCode::InvalidRequest);
        }
        let transaction = match current(add.producer, known) {
            Ok(transaction) => transaction,
            Err(error) => return Answer::Refused(error),
        };
        if transaction.state.prepared().is_some() {
            return Answer::AskAgainAfterMarkers;
        }
        let is_covered =
            add.partitions.iter().all(|partition| transaction.partitions.contains(partition));
        if transaction.state != TransactionState::Ongoing || !is_covered {
            let next = transaction.with_partitions(self.now, &add.partitions, add.client);
            self.write(&add.transactional_id, next);
        }
        Answer::Now(())
    }
}

/// The answer to `verify`, given what is written of the id.
pub(super) fn verify(verify: &VerifyPartitions, known: Option<&Transaction>) -> Answer<Vec<bool>> {
    if verify.transactional_id.is_empty() {
        return Answer::Refused(ErrorCode::InvalidRequest);
    }
    let transaction = match current(verify.producer, known) {
        Ok(transaction) => transaction,
        Err(error) => return Answer::Refused(error),
    };
    if transaction.state.prepared().is_some() {
        return Answer::AskAgainAfterMarkers;
    }
    let covered =
        verify.partitions.iter().map(|partition| transaction.partitions.contains(partition));
    Answer::Now(covered.collect())
}

/// What is written of the id, if `producer` is the one that may write under it.
fn current(producer: Producer, known: Option<&Transaction>) -> Result<&Transaction, ErrorCode> {
    match known {
        Some(transaction) if transaction.producer.id == producer.id => {
            if transaction.producer.epoch == producer.epoch {
                Ok(transaction)
            } else {
                Err(ErrorCode::ProducerFenced)
            }
        }
        Some(_) | None => Err(ErrorCode::InvalidProducerIdMapping),
    }
}
