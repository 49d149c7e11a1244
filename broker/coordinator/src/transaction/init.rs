//! InitProducerId: who may write under a transactional id from now on.
//!
//! - Without an expected producer the caller is a new instance: every older one is fenced by a higher epoch.
//! - With one (KIP-360) the caller is a producer that goes on: it gets the next epoch if it is still the current
//!   one, the current epoch if this is a retry, and otherwise is fenced itself.
//! - An open transaction is aborted first. Kafka does that before it looks at the expected epoch, so that there a
//!   fenced producer aborts its successor's transaction; here it is refused.

use aquifer_broker_protocol::ErrorCode;

use super::command::{Answer, InitProducer};
use super::state::{EPOCH_MAX, Producer, Transaction, TransactionState};
use super::{Step, TransactionSettings};

impl Step {
    /// The answer to `init`, given what is written of the id.
    pub(super) fn init(
        &mut self,
        settings: &TransactionSettings,
        init: &InitProducer,
        known: Option<(&Transaction, Option<i16>)>,
    ) -> Answer<Producer> {
        if init.transactional_id.is_empty() {
            return Answer::Refused(ErrorCode::InvalidRequest);
        }
        if !(1..=settings.timeout_max_ms).contains(&init.timeout_ms) {
            return Answer::Refused(ErrorCode::InvalidTransactionTimeout);
        }
        let Some((transaction, last_epoch)) = known else {
            let Some(id) = init.fresh_producer_id else { return Answer::NeedsProducerId };
            let first = Transaction::first(id, init.timeout_ms, self.now);
            let producer = first.producer;
            self.write(&init.transactional_id, first);
            self.remember_epoch(&init.transactional_id, None);
            return Answer::Now(producer);
        };
        let claim = match init.expected {
            None => Claim::NewInstance,
            Some(expected) => Claim::of(expected, transaction, last_epoch),
        };
        match (claim, transaction.state) {
            (Claim::Fenced, _) => Answer::Refused(ErrorCode::ProducerFenced),
            (_, TransactionState::PrepareCommit | TransactionState::PrepareAbort) => {
                Answer::AskAgainAfterMarkers
            }
            (Claim::Retry, TransactionState::Ongoing) => Answer::Now(transaction.producer),
            (Claim::NewInstance | Claim::Current, TransactionState::Ongoing) => {
                // The epoch that fences is nobody's yet: a producer that goes on will be told it. Kafka tells it to the
                // one that a new instance fences too, as long as that has not come back.
                let last_epoch = init.expected.map(|expected| expected.epoch);
                self.write(&init.transactional_id, transaction.fenced(self.now));
                self.remember_epoch(&init.transactional_id, last_epoch);
                Answer::AskAgainAfterMarkers
            }
            (
                claim,
                TransactionState::Empty
                | TransactionState::CompleteCommit
                | TransactionState::CompleteAbort,
            ) => self.next_epoch(init, transaction, claim),
        }
    }

    fn next_epoch(
        &mut self,
        init: &InitProducer,
        transaction: &Transaction,
        claim: Claim,
    ) -> Answer<Producer> {
        // The epoch above the largest one only fences: nobody is given it.
        if claim == Claim::Retry && transaction.producer.epoch <= EPOCH_MAX {
            self.retry(init, transaction);
            return Answer::Now(transaction.producer);
        }
        let producer = if transaction.is_epoch_exhausted() {
            let Some(id) = init.fresh_producer_id else { return Answer::NeedsProducerId };
            Producer { id, epoch: 0 }
        } else {
            Producer { epoch: transaction.producer.epoch + 1, ..transaction.producer }
        };
        let next = transaction.with_producer(self.now, producer, init.timeout_ms);
        self.write(&init.transactional_id, next);
        let last_epoch = init.expected.map(|expected| expected.epoch);
        self.remember_epoch(&init.transactional_id, last_epoch);
        Answer::Now(producer)
    }

    /// The producer takes up the epoch that it was given before, or that its last transaction was ended with.
    fn retry(&mut self, init: &InitProducer, transaction: &Transaction) {
        if transaction.state == TransactionState::Empty && transaction.timeout_ms == init.timeout_ms
        {
            return;
        }
        let next = transaction.with_producer(self.now, transaction.producer, init.timeout_ms);
        // The one before stays known, so that the request may be repeated once more.
        let previous_producer_id = transaction.previous_producer_id;
        self.write(&init.transactional_id, Transaction { previous_producer_id, ..next });
    }
}

/// What the caller is, by what it believes to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// A new instance.
    NewInstance,
    /// The current producer.
    Current,
    /// The current producer, which did not hear of its last epoch.
    Retry,
    /// A former producer.
    Fenced,
}

impl Claim {
    fn of(expected: Producer, transaction: &Transaction, last_epoch: Option<i16>) -> Self {
        let is_last = last_epoch == Some(expected.epoch);
        if expected.id == transaction.producer.id {
            if expected.epoch == transaction.producer.epoch {
                Self::Current
            } else if is_last {
                Self::Retry
            } else {
                Self::Fenced
            }
        } else if expected.id == transaction.previous_producer_id
            && expected.epoch >= EPOCH_MAX
            && is_last
        {
            // Its epochs were used up: it was given another id and did not hear of it.
            Self::Retry
        } else {
            Self::Fenced
        }
    }
}
