//! Transactions and producers of a log, as its partition asks for them.

use std::sync::Arc;

use super::Log;
use crate::transaction_index::{AbortedEntry, Search, collect};
use crate::{AbortedTransaction, LogError, ProducerInfo, Transactions};

impl Log {
    /// The transactions as readers need them, shared: what is asked of it needs no access to the log.
    #[must_use]
    pub fn transactions(&self) -> &Arc<Transactions> {
        self.producers.transactions()
    }

    /// The first offset of the earliest transaction that is open, or whose marker is at or behind `durable_end`.
    #[must_use]
    pub fn first_unstable_offset(&self, durable_end: i64) -> Option<i64> {
        self.transactions().first_unstable_offset(durable_end)
    }

    /// Up to where everything is durable and decided, given the end of what is durable.
    #[must_use]
    pub fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        // What was deleted on request holds nobody up.
        self.transactions().last_stable_offset(high_watermark).max(self.log_start)
    }

    /// The first offset of the producer's open transaction.
    #[must_use]
    pub fn open_transaction(&self, producer_id: i64) -> Option<i64> {
        self.transactions().open_transaction(producer_id)
    }

    /// The producers that the log knows, in no order.
    pub fn producers(&self) -> impl Iterator<Item = ProducerInfo> + '_ {
        self.producers.list()
    }

    /// The aborted transactions with records in `from..to`, in the order of their markers.
    pub fn aborted_transactions(
        &self,
        from: i64,
        to: i64,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        self.usable()?;
        if let Some(found) = self.transactions().recent_aborted(from, to) {
            return Ok(found);
        }
        let found = self.aborted_entries(from, to)?;
        Ok(found.iter().map(AbortedEntry::transaction).collect())
    }

    /// `aborted_transactions` as the index files have them.
    pub(crate) fn aborted_entries(
        &self,
        from: i64,
        to: i64,
    ) -> Result<Vec<AbortedEntry>, LogError> {
        let mut found = Vec::new();
        for segment in &self.segments[self.segment_of(from)..] {
            if collect(&segment.aborted, from, to, &mut found)? == Search::Complete {
                break;
            }
        }
        Ok(found)
    }
}
