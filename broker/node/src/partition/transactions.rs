//! What is decided in a partition: its last stable offset, and which transactions were aborted.
//!
//! - All of it is known once the log was opened, and then without the log's lock: readers wait for no disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use aquifer_broker_log::AbortedTransaction;
use aquifer_broker_protocol::batch::BatchHeader;

use super::{LogSlice, Partition, PartitionError, ReadBound};

/// What a read of committed records has to leave out.
pub(super) enum Aborted {
    /// These transactions.
    Known(Vec<AbortedTransaction>),
    /// Only the log's index files know, for offsets up to this.
    Unknown { to: i64 },
}

impl Partition {
    /// The end of what is durable and decided. A log that is not open counts as decided; see `settle`.
    pub(super) fn last_stable(&self, log_start: i64, high_watermark: i64) -> i64 {
        match &*self.transactions.load() {
            Some(transactions) => {
                // What was deleted on request holds nobody up.
                transactions.last_stable_offset(high_watermark).max(log_start.min(high_watermark))
            }
            None => high_watermark,
        }
    }

    /// Takes note that everything below `high_watermark` is durable, and returns the end of what is decided too.
    pub(super) fn advance_decided(&self, high_watermark: i64) -> i64 {
        match &*self.transactions.load() {
            Some(transactions) => transactions.advance(high_watermark),
            None => high_watermark,
        }
    }

    /// Whether `offsets` tells what is decided.
    fn is_settled(&self) -> bool {
        self.transactions.load().is_some()
            || self.log_start.load(Ordering::Acquire) == self.log_end.load(Ordering::Acquire)
    }

    /// Opens the log if that is needed to tell what is decided: after a clean stop nothing but the log knows.
    pub(crate) async fn settle(self: &Arc<Self>) -> Result<(), PartitionError> {
        if self.is_settled() {
            return Ok(());
        }
        self.on_blocking_pool(|partition| partition.with_log(|_| Ok(()))).await
    }

    /// `settle`, where the disk may be waited for.
    pub(super) fn settle_now(&self) -> Result<(), PartitionError> {
        if self.is_settled() { Ok(()) } else { self.with_log(|_| Ok(())) }
    }

    /// The end of what was appended before the call, once it is durable, or of what of it is decided: the answer to
    /// ListOffsets "latest".
    pub(crate) async fn visible_end(
        self: &Arc<Self>,
        bound: ReadBound,
    ) -> Result<i64, PartitionError> {
        let end = self.synced_end().await?;
        if bound != ReadBound::LastStable {
            return Ok(end);
        }
        self.settle().await?;
        Ok(self.offsets().last_stable)
    }

    /// Up to where a reader may see, out of the offsets of one moment.
    pub(super) fn limit(&self, bound: ReadBound) -> i64 {
        let offsets = self.offsets();
        match bound {
            ReadBound::LogEnd => offsets.log_end,
            ReadBound::HighWatermark => offsets.high_watermark,
            ReadBound::LastStable => offsets.last_stable,
        }
    }

    /// The aborted transactions among the batches that were read from `from` on, which end below `to`.
    pub(super) fn aborted_in(
        &self,
        from: i64,
        to: i64,
        bound: ReadBound,
        slices: &[LogSlice],
    ) -> Aborted {
        let transactions = self.transactions.load();
        let transactions = transactions.as_ref().filter(|_| bound == ReadBound::LastStable);
        let Some(transactions) = transactions else { return Aborted::Known(Vec::new()) };
        match transactions.recent_aborted(from, to) {
            Some(found) if found.is_empty() => Aborted::Known(found),
            found => {
                // Worth a closer look: a client is told of no more than concerns it.
                let end = end_of(slices).map_or(to, |end| end.min(to));
                match found.and_then(|_| transactions.recent_aborted(from, end)) {
                    Some(found) => Aborted::Known(found),
                    None => Aborted::Unknown { to: end },
                }
            }
        }
    }

    /// `aborted_in`, where the disk may be waited for.
    pub(super) fn aborted_now(
        &self,
        from: i64,
        to: i64,
        bound: ReadBound,
        slices: &[LogSlice],
    ) -> Result<Vec<AbortedTransaction>, PartitionError> {
        match self.aborted_in(from, to, bound, slices) {
            Aborted::Known(found) => Ok(found),
            Aborted::Unknown { to } => self.with_log(|log| Ok(log.aborted_transactions(from, to)?)),
        }
    }
}

/// The offset after the last batch, where the batches are in memory.
fn end_of(slices: &[LogSlice]) -> Option<i64> {
    let mut last = None;
    let mut rest: &[u8] = &[];
    // A batch may be in two slices: its header at the end of one, its records in the next.
    let mut skip = 0;
    for slice in slices {
        let LogSlice::Bytes(bytes) = slice else { return None };
        rest = bytes;
        loop {
            let skipped = skip.min(rest.len());
            rest = &rest[skipped..];
            skip -= skipped;
            if rest.is_empty() {
                break;
            }
            let header = BatchHeader::parse(rest).ok()?;
            last = Some(header.next_offset());
            skip = header.size_bytes();
        }
    }
    debug_assert!(skip == 0 && rest.is_empty(), "slices hold whole batches");
    last
}
