//! EndTxn, the end of transactions whose time is up, and what follows when their markers are written.
//!
//! - A request with the current epoch is about the open transaction. Under V2 the epoch rises with each transaction,
//!   so that a repeated or delayed request carries the one before: it is answered from the outcome that stands, and
//!   can't touch the next transaction. Under V1 the epoch says nothing of that, as in Kafka.
//! - A transaction whose time is up ends as if its producer had aborted it: an abort under V2 finds that done, and a
//!   commit is refused.
//! - An abort is accepted under V2 where no transaction is open: the client can't know whether its first write,
//!   which would have opened one, has arrived.

use aquifer_broker_protocol::ErrorCode;

use super::Step;
use super::command::{Answer, EndTransaction, MarkersWritten};
use super::state::{ClientVersion, EPOCH_MAX, Outcome, Producer, Transaction, TransactionState};

/// What a request of a producer with a fitting id and epoch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// What is open now, or would be.
    Current,
    /// The transaction that was ended last.
    Last,
}

impl Step {
    /// The answer to `end`, given what is written of the id.
    pub(super) fn end(
        &mut self,
        end: &EndTransaction,
        known: Option<&Transaction>,
    ) -> Answer<Producer> {
        if end.transactional_id.is_empty() {
            return Answer::Refused(ErrorCode::InvalidRequest);
        }
        let Some(transaction) = known else {
            return Answer::Refused(ErrorCode::InvalidProducerIdMapping);
        };
        let about = match end.client {
            ClientVersion::V1 => about_v1(end.producer, transaction),
            ClientVersion::V2 => about_v2(end.producer, transaction),
        };
        match about {
            Ok(About::Last) => answer_about_last(end.outcome, transaction),
            Ok(About::Current) => self.end_current(end, transaction),
            Err(error) => Answer::Refused(error),
        }
    }

    fn end_current(&mut self, end: &EndTransaction, transaction: &Transaction) -> Answer<Producer> {
        let is_open = match transaction.state {
            TransactionState::Ongoing => true,
            TransactionState::Empty
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort => false,
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                return answer_about_last(end.outcome, transaction);
            }
        };
        let may_be_empty = end.client == ClientVersion::V2 && end.outcome == Outcome::Abort;
        if !is_open && !may_be_empty {
            return Answer::Refused(ErrorCode::InvalidTxnState);
        }
        let needs_id = end.client == ClientVersion::V2 && transaction.is_epoch_exhausted();
        if needs_id && end.fresh_producer_id.is_none() {
            return Answer::NeedsProducerId;
        }
        let next_id = end.fresh_producer_id.filter(|_| needs_id);
        let prepared = transaction.prepared(self.now, end.outcome, end.client, next_id);
        if end.client == ClientVersion::V2 {
            self.remember_epoch(&end.transactional_id, Some(transaction.producer.epoch));
        }
        let successor = prepared.successor();
        if let Some(completed) = prepared.completed(self.now).filter(|_| !is_open) {
            // Nothing was written, so that there is nothing to mark.
            self.write(&end.transactional_id, prepared);
            self.write(&end.transactional_id, completed);
            return Answer::Now(successor);
        }
        self.write(&end.transactional_id, prepared);
        Answer::AfterMarkers(successor)
    }

    /// The transaction is complete, if it is the one whose markers are written.
    pub(super) fn markers_written(
        &mut self,
        written: &MarkersWritten,
        known: Option<&Transaction>,
    ) {
        let is_the_one = |transaction: &&Transaction| {
            transaction.producer == written.producer
                && transaction.updated_at == written.prepared_at
        };
        let completed =
            known.filter(is_the_one).and_then(|transaction| transaction.completed(self.now));
        if let Some(completed) = completed {
            self.write(&written.transactional_id, completed);
        }
    }
}

/// Under V1 id and epoch must be the current ones; a repeated request is about what was ended last.
fn about_v1(producer: Producer, transaction: &Transaction) -> Result<About, ErrorCode> {
    if producer.id != transaction.producer.id {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    if producer.epoch != transaction.producer.epoch {
        return Err(ErrorCode::ProducerFenced);
    }
    match transaction.state {
        TransactionState::Ongoing | TransactionState::Empty => Ok(About::Current),
        TransactionState::PrepareCommit
        | TransactionState::PrepareAbort
        | TransactionState::CompleteCommit
        | TransactionState::CompleteAbort => Ok(About::Last),
    }
}

/// Under V2 the epoch before the current one stands for the transaction that was ended last.
fn about_v2(producer: Producer, transaction: &Transaction) -> Result<About, ErrorCode> {
    let current = transaction.producer;
    // A producer that has used up its epochs gets another id; without one it was fenced by the last epoch.
    let is_fenced = current.epoch > EPOCH_MAX && transaction.next_producer_id < 0;
    let is_before = producer.id == current.id
        && i32::from(producer.epoch) + 1 == i32::from(current.epoch)
        && transaction.raised_epoch()
        && !is_fenced
        // Its epochs were used up, so that it goes on under another id.
        || producer.id == transaction.previous_producer_id
            && producer.id != current.id
            && producer.epoch == EPOCH_MAX
            && current.epoch == 0;
    if producer.id != current.id && !is_before {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    match transaction.state {
        TransactionState::Ongoing | TransactionState::Empty if producer == current => {
            Ok(About::Current)
        }
        TransactionState::PrepareCommit | TransactionState::PrepareAbort if is_before => {
            Ok(About::Last)
        }
        TransactionState::CompleteCommit | TransactionState::CompleteAbort if is_before => {
            Ok(About::Last)
        }
        TransactionState::CompleteCommit | TransactionState::CompleteAbort
            if producer == current =>
        {
            Ok(About::Current)
        }
        TransactionState::Ongoing
        | TransactionState::Empty
        | TransactionState::PrepareCommit
        | TransactionState::PrepareAbort
        | TransactionState::CompleteCommit
        | TransactionState::CompleteAbort => Err(ErrorCode::ProducerFenced),
    }
}

/// The same outcome again is well; the other one comes too late.
fn answer_about_last(outcome: Outcome, transaction: &Transaction) -> Answer<Producer> {
    match (transaction.state, outcome) {
        (TransactionState::PrepareCommit, Outcome::Commit)
        | (TransactionState::PrepareAbort, Outcome::Abort) => {
            Answer::AfterMarkers(transaction.successor())
        }
        (TransactionState::CompleteCommit, Outcome::Commit)
        | (TransactionState::CompleteAbort, Outcome::Abort) => Answer::Now(transaction.producer),
        (
            TransactionState::PrepareCommit
            | TransactionState::PrepareAbort
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort
            | TransactionState::Empty
            | TransactionState::Ongoing,
            Outcome::Commit | Outcome::Abort,
        ) => Answer::Refused(ErrorCode::InvalidTxnState),
    }
}
