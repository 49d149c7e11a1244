//! Where each leader epoch begins: the `leader-epoch-checkpoint` of a partition.
//!
//! - Epochs and start offsets grow together.

use std::path::{Path, PathBuf};

use crate::LogError;
use crate::checkpoint;
use crate::fs::FileSystem;

/// The answer for an epoch that nothing is known of.
pub(crate) const UNDEFINED: (i32, i64) = (-1, -1);

/// The epochs of one partition.
#[derive(Debug)]
pub(crate) struct EpochCache {
    path: PathBuf,
    entries: Vec<(i32, i64)>,
    dirty: bool,
}

impl EpochCache {
    /// No epochs yet.
    pub(crate) fn empty(directory: &Path) -> Self {
        Self { path: directory.join("leader-epoch-checkpoint"), entries: Vec::new(), dirty: false }
    }

    /// The epochs in the partition's file. A file that cannot be read counts as empty: batches carry their epoch.
    pub(crate) fn load(fs: &dyn FileSystem, directory: &Path) -> Result<Self, LogError> {
        let mut cache = Self::empty(directory);
        match fs.read(&cache.path) {
            Ok(contents) => {
                if let Some(entries) = checkpoint::parse_epochs(&contents) {
                    for (epoch, start) in entries {
                        cache.assign(epoch, start);
                    }
                }
                cache.dirty = false;
                Ok(cache)
            }
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(cache),
            Err(err) => Err(LogError::io("read", &cache.path)(err)),
        }
    }

    /// Notes that records from `start` on carry `epoch`; nothing happens when that is known.
    pub(crate) fn assign(&mut self, epoch: i32, start: i64) {
        if epoch < 0 {
            return;
        }
        if self.entries.last().is_none_or(|&(last, last_start)| epoch > last && start >= last_start)
        {
            // An epoch in which nothing was written has no range to answer for.
            self.entries.retain(|&(_, other)| other < start);
            self.entries.push((epoch, start));
            self.dirty = true;
        }
    }

    /// The last epoch.
    pub(crate) fn latest(&self) -> Option<i32> {
        self.entries.last().map(|&(epoch, _)| epoch)
    }

    /// The largest known epoch at or below `epoch`, and the offset at which it ends.
    pub(crate) fn end_offset(&self, epoch: i32, log_end: i64) -> (i32, i64) {
        if epoch < 0 {
            return UNDEFINED;
        }
        if self.latest() == Some(epoch) {
            return (epoch, log_end);
        }
        let above = self.entries.partition_point(|&(known, _)| known <= epoch);
        match (above.checked_sub(1).and_then(|at| self.entries.get(at)), self.entries.get(above)) {
            (_, None) => UNDEFINED,
            (None, Some(&(_, start))) => (epoch, start),
            (Some(&(known, _)), Some(&(_, start))) => (known, start),
        }
    }

    /// Forgets epochs that begin at or behind `end`.
    pub(crate) fn truncate_end(&mut self, end: i64) {
        let before = self.entries.len();
        self.entries.retain(|&(_, start)| start < end);
        self.dirty |= self.entries.len() != before;
    }

    /// Forgets epochs that end before `start`.
    pub(crate) fn truncate_start(&mut self, start: i64) {
        let covering = self.entries.partition_point(|&(_, begins)| begins <= start);
        if covering > 1
            || (covering == 1 && self.entries.first().is_some_and(|&(_, begins)| begins < start))
        {
            self.entries.drain(..covering - 1);
            if let Some(first) = self.entries.first_mut() {
                first.1 = start;
            }
            self.dirty = true;
        }
    }

    /// Brings the file up to date. Durable with the next sync of everything.
    pub(crate) fn write(&mut self, fs: &dyn FileSystem) -> Result<(), LogError> {
        if self.dirty {
            fs.replace_lazily(
                &self.path,
                checkpoint::print_epochs(&self.entries).as_bytes(),
                false,
            )
            .map_err(LogError::io("write", &self.path))?;
            self.dirty = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> EpochCache {
        let mut cache = EpochCache::empty(Path::new("p"));
        for (epoch, start) in [(2, 0), (2, 5), (4, 10), (7, 20)] {
            cache.assign(epoch, start);
        }
        cache
    }

    #[test]
    fn end_offset_is_where_the_next_epoch_starts() {
        for (epoch, expected) in [
            (-1, UNDEFINED),
            (0, (0, 0)),
            (2, (2, 10)),
            (3, (2, 10)),
            (4, (4, 20)),
            (7, (7, 30)),
            (8, UNDEFINED),
        ] {
            assert_eq!(cache().end_offset(epoch, 30), expected, "epoch {epoch}");
        }
    }

    #[test]
    fn truncation_keeps_what_still_has_records() {
        let mut end = cache();
        end.truncate_end(10);
        assert_eq!(end.entries, [(2, 0)]);
        let mut start = cache();
        start.truncate_start(12);
        assert_eq!(start.entries, [(4, 12), (7, 20)]);
    }

    #[test]
    fn an_epoch_without_records_leaves_no_entry() {
        let mut cache = cache();
        cache.assign(9, 20);
        assert_eq!(cache.entries, [(2, 0), (4, 10), (9, 20)]);
    }
}
