//! Which transactions are open at a place of a log that is walked in order: whether a batch was aborted, and whether
//! a marker still has data before it.
//!
//! - Only what is decided is walked, so that a transaction that was not aborted was committed.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::transaction_index::AbortedEntry;

/// What one marker means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// Data of its transaction lies before it; an aborted one stands in the index.
    HasData(Option<AbortedEntry>),
    /// Nothing of its transaction is left.
    HasNone,
    /// It is not the end of a transaction.
    Other,
}

/// The transactions at one place.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Aborted transactions that begin behind this place, by their first offset and producer.
    ahead: BTreeMap<(i64, i64), AbortedEntry>,
    /// Aborted ones that have begun, by producer, and whether data of them was seen.
    aborted: HashMap<i64, (AbortedEntry, bool)>,
    /// Producers of committed data whose marker was not seen yet.
    committed: HashSet<i64>,
}

impl Transactions {
    /// At the start of a walk from `from`; `aborted` are all aborted transactions with offsets in it.
    pub(super) fn new(aborted: &[AbortedEntry], from: i64) -> Self {
        // The marker of one that ended before would never come, and what its producer committed later would count as
        // aborted.
        let ahead = aborted
            .iter()
            .filter(|entry| entry.last_offset >= from)
            .map(|entry| ((entry.first_offset, entry.producer_id), *entry))
            .collect();
        Self { ahead, ..Self::default() }
    }

    fn reach(&mut self, offset: i64) {
        while let Some(first) = self.ahead.first_entry()
            && first.key().0 <= offset
        {
            let entry = first.remove();
            self.aborted.entry(entry.producer_id).or_insert((entry, false));
        }
    }

    /// Takes in a data batch that ends with `last_offset`; whether it was aborted.
    pub(super) fn on_data(
        &mut self,
        producer_id: i64,
        last_offset: i64,
        is_transactional: bool,
    ) -> bool {
        self.reach(last_offset);
        if !is_transactional {
            return false;
        }
        match self.aborted.get_mut(&producer_id) {
            Some((_, seen)) => {
                *seen = true;
                true
            }
            None => {
                self.committed.insert(producer_id);
                false
            }
        }
    }

    /// Takes in a control batch; `commit` is what its marker says, if it is the end of a transaction.
    pub(super) fn on_marker(
        &mut self,
        producer_id: i64,
        last_offset: i64,
        commit: Option<bool>,
    ) -> Marker {
        self.reach(last_offset);
        match commit {
            Some(true) if self.committed.remove(&producer_id) => Marker::HasData(None),
            Some(true) => Marker::HasNone,
            Some(false) => match self.aborted.remove(&producer_id) {
                Some((entry, true)) => Marker::HasData(Some(entry)),
                Some((_, false)) | None => Marker::HasNone,
            },
            None => Marker::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_aborts_and_commits_in_turns() {
        let entry = |first_offset, last_offset| AbortedEntry {
            producer_id: 7,
            first_offset,
            last_offset,
            last_stable_offset: last_offset + 1,
        };
        let mut transactions = Transactions::new(&[entry(4, 6), entry(10, 11)], 0);
        assert!(!transactions.on_data(7, 1, true), "committed");
        assert_eq!(transactions.on_marker(7, 2, Some(true)), Marker::HasData(None));
        assert!(!transactions.on_data(7, 3, false), "outside of a transaction");
        assert!(transactions.on_data(7, 5, true), "aborted");
        assert!(!transactions.on_data(8, 5, true), "another producer");
        assert_eq!(transactions.on_marker(7, 6, Some(false)), Marker::HasData(Some(entry(4, 6))));
        assert!(!transactions.on_data(7, 8, true), "committed after it");
        assert_eq!(transactions.on_marker(7, 9, Some(true)), Marker::HasData(None));
        assert_eq!(transactions.on_marker(7, 11, Some(false)), Marker::HasNone, "data is gone");
        assert_eq!(transactions.on_marker(9, 12, Some(true)), Marker::HasNone);
        assert_eq!(transactions.on_marker(9, 13, None), Marker::Other);
        let mut transactions = Transactions::new(&[entry(4, 6), entry(5, 11)], 7);
        assert!(!transactions.on_data(8, 7, true), "of another producer");
        assert!(transactions.on_data(7, 9, true), "the second is not over");
        let mut transactions = Transactions::new(&[entry(4, 6)], 7);
        assert!(!transactions.on_data(7, 8, true), "the first is");
    }
}
