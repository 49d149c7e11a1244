//! The transactions of a partition as its readers need them: which are undecided, and which were aborted lately.
//!
//! - One lock of its own, held for a look-up only: readers never wait for a disk to know the last stable offset.
//! - A transaction whose marker is not durable yet counts as undecided.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::transaction_index::AbortedEntry;

/// How many aborted transactions are remembered; earlier ones are looked up in the index files.
const RECENT_MAX: usize = 256;

/// A transaction that was aborted: readers of committed records skip what its producer wrote from `first_offset` on, up
/// to the marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose transaction it was.
    pub producer_id: i64,
    /// The offset of its first record.
    pub first_offset: i64,
}

/// The transactions of one log, shared between the log and its readers.
#[derive(Debug, Default)]
pub struct Transactions {
    state: Mutex<State>,
    /// How many are open or may lack a durable marker: where there are none, nobody takes the lock. Whoever knows of a
    /// high watermark has been told of the transactions below it before.
    undecided: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// First offset to producer.
    open: BTreeMap<i64, i64>,
    /// Producer to first offset, of the same.
    open_by_producer: HashMap<i64, i64>,
    /// First offset to the offset of the marker, where the marker may not be durable.
    ended: BTreeMap<i64, i64>,
    /// In the order of their markers.
    recent: VecDeque<AbortedEntry>,
    /// Aborted transactions with a marker at or behind it are all in `recent`.
    recent_from: i64,
}

impl State {
    fn first_unstable_offset(&self, durable_end: i64) -> Option<i64> {
        let open = self.open.keys().next();
        let ended =
            self.ended.iter().find(|(_, marker)| **marker >= durable_end).map(|(first, _)| first);
        open.into_iter().chain(ended).min().copied()
    }
}

impl Transactions {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state.
    fn change<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state();
        let result = act(&mut state);
        self.undecided.store(state.open.len() + state.ended.len(), Ordering::Release);
        result
    }

    fn all_decided(&self) -> bool {
        self.undecided.load(Ordering::Acquire) == 0
    }

    /// The first offset of the earliest transaction that is open, or whose marker is at or behind `durable_end`.
    #[must_use]
    pub fn first_unstable_offset(&self, durable_end: i64) -> Option<i64> {
        if self.all_decided() {
            return None;
        }
        self.state().first_unstable_offset(durable_end)
    }

    /// Up to where everything is durable and decided.
    #[must_use]
    pub fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        self.first_unstable_offset(high_watermark)
            .map_or(high_watermark, |first| first.min(high_watermark))
    }

    /// Takes note that everything below `durable_end` is durable, and returns the last stable offset.
    pub fn advance(&self, durable_end: i64) -> i64 {
        if self.all_decided() {
            return durable_end;
        }
        self.change(|state| {
            state.ended.retain(|_, marker| *marker >= durable_end);
            state
                .first_unstable_offset(durable_end)
                .map_or(durable_end, |first| first.min(durable_end))
        })
    }

    /// The first offset of the producer's open transaction.
    #[must_use]
    pub fn open_transaction(&self, producer_id: i64) -> Option<i64> {
        self.state().open_by_producer.get(&producer_id).copied()
    }

    /// The aborted transactions with records in `from..to`; `None` when only the index files know.
    #[must_use]
    pub fn recent_aborted(&self, from: i64, to: i64) -> Option<Vec<AbortedTransaction>> {
        let state = self.state();
        if from < state.recent_from {
            return None;
        }
        let found = state.recent.iter().filter(|entry| entry.overlaps(from, to));
        Some(found.map(AbortedEntry::transaction).collect())
    }

    pub(crate) fn begin(&self, producer_id: i64, first_offset: i64) {
        self.change(|state| {
            state.open.insert(first_offset, producer_id);
            state.open_by_producer.insert(producer_id, first_offset);
        });
    }

    /// Ends a transaction with a marker, and returns the first offset that is undecided then, markers of others that are
    /// not durable aside: what the index notes as the last stable offset.
    pub(crate) fn end(&self, producer_id: i64, first_offset: i64, marker: i64) -> i64 {
        self.change(|state| {
            state.open.remove(&first_offset);
            state.open_by_producer.remove(&producer_id);
            state.ended.insert(first_offset, marker);
            state.open.keys().next().copied().unwrap_or(marker + 1)
        })
    }

    /// Notes an aborted transaction; its marker is behind those of all others.
    pub(crate) fn note_aborted(&self, entry: AbortedEntry) {
        let mut state = self.state();
        state.recent.push_back(entry);
        if state.recent.len() > RECENT_MAX
            && let Some(oldest) = state.recent.pop_front()
        {
            state.recent_from = oldest.last_offset + 1;
        }
    }

    /// Takes the place of what is known, in one step: readers see the state before or the one after.
    pub(crate) fn replace(&self, fresh: &Self) {
        let fresh = std::mem::take(&mut *fresh.state());
        self.change(|state| *state = fresh);
    }

    /// Says that the index files have aborted transactions with markers up to `last_marker`, which are not in memory.
    pub(crate) fn forget_aborted_up_to(&self, last_marker: i64) {
        let mut state = self.state();
        state.recent.retain(|entry| entry.last_offset > last_marker);
        state.recent_from = state.recent_from.max(last_marker + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(producer_id: i64, first_offset: i64, last_offset: i64) -> AbortedEntry {
        AbortedEntry { producer_id, first_offset, last_offset, last_stable_offset: last_offset + 1 }
    }

    #[test]
    fn a_transaction_is_undecided_until_its_marker_is_durable() {
        let transactions = Transactions::default();
        assert_eq!(transactions.last_stable_offset(10), 10);
        transactions.begin(1, 10);
        transactions.begin(2, 12);
        assert_eq!(transactions.last_stable_offset(15), 10);
        assert_eq!(transactions.last_stable_offset(5), 5);
        // What is noted in the index is where the other transaction begins.
        assert_eq!(transactions.end(1, 10, 15), 12);
        assert_eq!(
            (transactions.open_transaction(1), transactions.open_transaction(2)),
            (None, Some(12))
        );
        assert_eq!(transactions.advance(15), 10);
        assert_eq!(transactions.advance(16), 12);
        assert_eq!(transactions.end(2, 12, 16), 17);
        assert_eq!(transactions.advance(16), 12);
        assert_eq!(transactions.advance(17), 17);
        assert_eq!(transactions.first_unstable_offset(17), None);
    }

    #[test]
    fn aborted_transactions_that_are_not_remembered_are_not_denied() {
        let transactions = Transactions::default();
        assert_eq!(transactions.recent_aborted(0, 100), Some(vec![]));
        transactions.forget_aborted_up_to(30);
        assert_eq!(transactions.recent_aborted(30, 100), None);
        assert_eq!(transactions.recent_aborted(31, 100), Some(vec![]));
        let mut last = 0;
        for number in 0..i64::try_from(RECENT_MAX).unwrap() + 2 {
            last = 40 + 2 * number;
            transactions.note_aborted(aborted(number, last - 1, last));
        }
        assert_eq!(transactions.recent_aborted(42, 100), None);
        assert_eq!(
            transactions.recent_aborted(43, 44),
            Some(vec![AbortedTransaction { producer_id: 2, first_offset: 43 }])
        );
        assert_eq!(transactions.recent_aborted(last, last + 5).map(|found| found.len()), Some(1));
    }
}
