//! The `.txnindex` of a segment: the aborted transactions whose markers lie in it.
//!
//! - The file's format is Kafka's; it exists only where there are entries.
//! - Entries are in the order of their markers. A committed transaction leaves none.

use crate::index::{Index, IndexEntry};
use crate::{AbortedTransaction, LogError};

/// The version of an entry.
const VERSION: i16 = 0;

/// An aborted transaction, as the index has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AbortedEntry {
    /// Whose transaction it was.
    pub(crate) producer_id: i64,
    /// The offset of its first record.
    pub(crate) first_offset: i64,
    /// The offset of its marker.
    pub(crate) last_offset: i64,
    /// The first offset that was undecided once the marker was written: entries behind it do not concern earlier ones.
    pub(crate) last_stable_offset: i64,
}

impl IndexEntry for AbortedEntry {
    const SIZE: usize = 34;
    const LAZY: bool = true;

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&VERSION.to_be_bytes());
        for field in
            [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset]
        {
            into.extend_from_slice(&field.to_be_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<2>()?;
        let (producer_id, rest) = rest.split_first_chunk::<8>()?;
        let (first_offset, rest) = rest.split_first_chunk::<8>()?;
        let (last_offset, rest) = rest.split_first_chunk::<8>()?;
        let (last_stable_offset, _) = rest.split_first_chunk::<8>()?;
        (i16::from_be_bytes(*version) == VERSION).then(|| Self {
            producer_id: i64::from_be_bytes(*producer_id),
            first_offset: i64::from_be_bytes(*first_offset),
            last_offset: i64::from_be_bytes(*last_offset),
            last_stable_offset: i64::from_be_bytes(*last_stable_offset),
        })
    }

    fn follows(&self, previous: &Self) -> bool {
        self.last_offset > previous.last_offset
    }
}

impl AbortedEntry {
    /// Whether records of the transaction may lie in `from..to`.
    pub(crate) fn overlaps(&self, from: i64, to: i64) -> bool {
        self.last_offset >= from && self.first_offset < to
    }

    /// What a reader is told of it.
    pub(crate) fn transaction(&self) -> AbortedTransaction {
        AbortedTransaction { producer_id: self.producer_id, first_offset: self.first_offset }
    }
}

/// Whether entries behind those seen may still concern the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    /// All transactions of the range were seen.
    Complete,
    /// The next segment's index may have more.
    GoOn,
}

/// Adds the aborted transactions of `from..to` that one segment's index knows.
pub(crate) fn collect(
    index: &Index<AbortedEntry>,
    from: i64,
    to: i64,
    found: &mut Vec<AbortedEntry>,
) -> Result<Search, LogError> {
    if index.count() == 0 {
        return Ok(Search::GoOn);
    }
    let mut at = index.count_below(|entry| entry.last_offset < from)?;
    loop {
        let entries = index.entries_from(at)?;
        if entries.is_empty() {
            return Ok(Search::GoOn);
        }
        at += entries.len();
        for entry in entries {
            if entry.overlaps(from, to) {
                found.push(entry);
            }
            if entry.last_stable_offset >= to {
                return Ok(Search::Complete);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::file_cache::FileCache;
    use crate::fs::FileSystem;
    use crate::fs::simulated::Simulated;

    fn entry(producer_id: i64, first: i64, last: i64, stable: i64) -> AbortedEntry {
        AbortedEntry {
            producer_id,
            first_offset: first,
            last_offset: last,
            last_stable_offset: stable,
        }
    }

    fn index(fs: &Simulated) -> Index<AbortedEntry> {
        let files = Arc::new(FileCache::new(Arc::new(fs.clone()), 8));
        Index::empty(files, PathBuf::from("/data/00000000000000000000.txnindex"))
    }

    #[test]
    fn entries_have_kafkas_34_bytes() {
        let mut bytes = Vec::new();
        entry(7, 1, 258, 3).encode(&mut bytes);
        let mut expected = vec![0, 0];
        for field in [7_u64, 1, 258, 3] {
            expected.extend_from_slice(&field.to_be_bytes());
        }
        assert_eq!(bytes, expected);
        assert_eq!(AbortedEntry::decode(&bytes), Some(entry(7, 1, 258, 3)));
        bytes[1] = 1;
        assert_eq!(AbortedEntry::decode(&bytes), None);
    }

    #[test]
    fn the_file_appears_with_the_first_entry() {
        let fs = Simulated::new(0);
        fs.create_directory("/data".as_ref()).unwrap();
        let mut index = index(&fs);
        index.write().unwrap();
        assert!(index.close().unwrap().is_none());
        assert!(fs.list_names("/data".as_ref()).unwrap().is_empty());

        let mut index = self::index(&fs);
        index.push(entry(7, 1, 2, 3));
        index.write().unwrap();
        assert_eq!(fs.list("/data".as_ref()).unwrap()[0].length, 34);
        index.truncate(|_| false);
        assert!(index.close().unwrap().is_some());
        assert_eq!(fs.list("/data".as_ref()).unwrap()[0].length, 0);
    }

    #[test]
    fn a_search_ends_where_everything_later_was_decided_later() {
        let fs = Simulated::new(0);
        fs.create_directory("/data".as_ref()).unwrap();
        let mut index = index(&fs);
        // Producer 2's transaction outlives those of producer 1.
        for one in [entry(1, 0, 5, 2), entry(1, 6, 9, 2), entry(2, 2, 12, 13), entry(3, 20, 25, 26)]
        {
            index.push(one);
        }
        for round in ["in memory", "in the file"] {
            for (from, to, expected, search) in [
                (0, 3, &[(1, 0), (2, 2)][..], Search::Complete),
                (0, 1, &[(1, 0)], Search::Complete),
                (6, 13, &[(1, 6), (2, 2)], Search::Complete),
                (10, 14, &[(2, 2)], Search::Complete),
                (13, 20, &[], Search::Complete),
                (13, 27, &[(3, 20)], Search::GoOn),
                (26, 30, &[], Search::GoOn),
            ] {
                let mut found = Vec::new();
                let ended = collect(&index, from, to, &mut found).unwrap();
                let found: Vec<_> =
                    found.iter().map(|found| (found.producer_id, found.first_offset)).collect();
                assert_eq!((&found[..], ended), (expected, search), "{from}..{to} {round}");
            }
            index.close().unwrap();
        }
    }
}
