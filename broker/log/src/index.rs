//! The index files of a segment: offset to position, timestamp to offset, and aborted transactions.
//!
//! - File formats are Kafka's: entries of 8, 12 and 34 bytes, big-endian, growing.
//! - Offsets in the first two are relative to the segment's base.
//! - The active segment's entries are in memory and written behind; a closed segment's are searched in the file.
//! - Entries are hints: whoever follows one checks the batch that it finds.

use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;

use crate::LogError;
use crate::file_cache::{FileCache, FileKey};
use crate::fs::{OpenHow, read_full};

/// What an index file holds.
pub(crate) trait IndexEntry: Copy + std::fmt::Debug {
    /// The entry's size in the file, at most `ENTRY_BYTES_MAX`.
    const SIZE: usize;
    /// Whether there is no file while there are no entries.
    const LAZY: bool = false;
    fn encode(&self, into: &mut Vec<u8>);
    /// `None` when `bytes` are too few.
    fn decode(bytes: &[u8]) -> Option<Self>;
    /// Whether `self` may follow `previous`.
    fn follows(&self, previous: &Self) -> bool;
}

/// The largest entry of any index.
const ENTRY_BYTES_MAX: usize = 40;
/// How many entries are read from a file at once.
const ENTRIES_READ: usize = 512;

/// The batch that ends with `offset` (relative) starts at `position`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) offset: u32,
    pub(crate) position: u32,
}

/// No record up to the batch that ends with `offset` (relative) is newer than `timestamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) offset: u32,
}

impl IndexEntry for OffsetEntry {
    const SIZE: usize = 8;

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.offset.to_be_bytes());
        into.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            offset: u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?),
            position: u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?),
        })
    }

    fn follows(&self, previous: &Self) -> bool {
        self.offset > previous.offset && self.position > previous.position
    }
}

impl IndexEntry for TimeEntry {
    const SIZE: usize = 12;

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.timestamp.to_be_bytes());
        into.extend_from_slice(&self.offset.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            timestamp: i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?),
            offset: u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?),
        })
    }

    fn follows(&self, previous: &Self) -> bool {
        self.timestamp > previous.timestamp && self.offset >= previous.offset
    }
}

/// One index file.
#[derive(Debug)]
pub(crate) struct Index<E> {
    files: Arc<FileCache>,
    key: FileKey,
    path: PathBuf,
    store: Store<E>,
}

#[derive(Debug)]
enum Store<E> {
    /// All entries; the first `written` of them are in the file, and nothing else unless it is `dirty`.
    Memory { entries: Vec<E>, written: usize, dirty: bool },
    /// So many entries in the file.
    File { count: usize },
}

impl<E: IndexEntry> Index<E> {
    /// An index without entries; no file is made yet.
    pub(crate) fn empty(files: Arc<FileCache>, path: PathBuf) -> Self {
        Self {
            key: files.key(),
            files,
            path,
            store: Store::Memory { entries: Vec::new(), written: 0, dirty: !E::LAZY },
        }
    }

    /// The index of a closed segment, searched in its file of `length` bytes.
    pub(crate) fn closed(files: Arc<FileCache>, path: PathBuf, length: u64) -> Self {
        let count = usize::try_from(length).unwrap_or(usize::MAX) / E::SIZE;
        Self { key: files.key(), files, path, store: Store::File { count } }
    }

    /// The file's entries up to the first that `keep` refuses or that does not grow, in memory to go on from.
    pub(crate) fn load(
        files: Arc<FileCache>,
        path: PathBuf,
        keep: impl Fn(&E) -> bool,
    ) -> Result<Self, LogError> {
        let contents = match files.fs().read(&path) {
            Ok(contents) => contents,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(err) => return Err(LogError::io("read", &path)(err)),
        };
        let mut entries: Vec<E> = Vec::new();
        for entry in contents.chunks_exact(E::SIZE).filter_map(E::decode) {
            let grows = entries.last().is_none_or(|last| entry.follows(last));
            if !grows || !keep(&entry) {
                break;
            }
            entries.push(entry);
        }
        let written = entries.len();
        let dirty = contents.len() != written * E::SIZE;
        Ok(Self { key: files.key(), files, path, store: Store::Memory { entries, written, dirty } })
    }

    /// Whether the entries are in the file only.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.store, Store::File { .. })
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> usize {
        match &self.store {
            Store::Memory { entries, .. } => entries.len(),
            Store::File { count } => *count,
        }
    }

    /// What the entries take in the file, bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        (self.count() * E::SIZE) as u64
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Result<Option<E>, LogError> {
        match self.count().checked_sub(1) {
            Some(at) => self.entry(at).map(Some),
            None => Ok(None),
        }
    }

    fn entry(&self, at: usize) -> Result<E, LogError> {
        match &self.store {
            Store::Memory { entries, .. } => entries.get(at).copied().ok_or_else(|| self.bad(at)),
            Store::File { .. } => {
                let mut bytes = [0; ENTRY_BYTES_MAX];
                let bytes = &mut bytes[..E::SIZE];
                let file = self.files.get(self.key, &self.path, OpenHow::Existing)?;
                let read = read_full(&*file, bytes, (at * E::SIZE) as u64)
                    .map_err(LogError::io("read", &self.path))?;
                E::decode(&bytes[..read]).ok_or_else(|| self.bad(at))
            }
        }
    }

    /// Some entries from the one at `at` on; none at the end.
    pub(crate) fn entries_from(&self, at: usize) -> Result<Vec<E>, LogError> {
        match &self.store {
            Store::Memory { entries, .. } => {
                Ok(entries.iter().skip(at).take(ENTRIES_READ).copied().collect())
            }
            Store::File { count } => {
                let many = count.saturating_sub(at).min(ENTRIES_READ);
                if many == 0 {
                    return Ok(Vec::new());
                }
                let mut bytes = vec![0; many * E::SIZE];
                let file = self.files.get(self.key, &self.path, OpenHow::Existing)?;
                let read = read_full(&*file, &mut bytes, (at * E::SIZE) as u64)
                    .map_err(LogError::io("read", &self.path))?;
                let entries: Vec<E> =
                    bytes[..read].chunks_exact(E::SIZE).filter_map(E::decode).collect();
                if entries.len() < many { Err(self.bad(at + entries.len())) } else { Ok(entries) }
            }
        }
    }

    fn bad(&self, at: usize) -> LogError {
        LogError::BadFile { path: self.path.clone(), reason: format!("entry {at} cannot be read") }
    }

    /// The last entry for which `below` holds; `below` must hold for a first part of the entries and for no other.
    pub(crate) fn floor(&self, below: impl Fn(&E) -> bool) -> Result<Option<E>, LogError> {
        match self.count_below(below)?.checked_sub(1) {
            Some(at) => self.entry(at).map(Some),
            None => Ok(None),
        }
    }

    /// For how many of the first entries `below` holds; it must hold for no other.
    pub(crate) fn count_below(&self, below: impl Fn(&E) -> bool) -> Result<usize, LogError> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low + (high - low) / 2;
            if below(&self.entry(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Adds an entry if it may follow the last one. Only the active segment's index takes entries.
    pub(crate) fn push(&mut self, entry: E) {
        if let Store::Memory { entries, dirty, .. } = &mut self.store
            && entries.last().is_none_or(|last| entry.follows(last))
        {
            entries.push(entry);
            *dirty = true;
        }
    }

    /// Drops the entries from the first for which `keep` does not hold.
    pub(crate) fn truncate(&mut self, keep: impl Fn(&E) -> bool) {
        if let Store::Memory { entries, written, dirty } = &mut self.store {
            let kept = entries.partition_point(keep);
            *dirty |= kept < entries.len();
            entries.truncate(kept);
            *written = (*written).min(kept);
        }
    }

    /// Brings the file up to date, cutting what lies behind the last entry. Not synced.
    pub(crate) fn write(&mut self) -> Result<(), LogError> {
        let Store::Memory { entries, written, dirty } = &mut self.store else { return Ok(()) };
        if E::LAZY && !*dirty {
            return Ok(());
        }
        let file = self.files.get(self.key, &self.path, OpenHow::Create)?;
        let mut bytes = Vec::with_capacity((entries.len() - *written) * E::SIZE);
        for entry in &entries[*written..] {
            entry.encode(&mut bytes);
        }
        let position = (*written * E::SIZE) as u64;
        if !bytes.is_empty() {
            file.write_all_at(&mut [IoSlice::new(&bytes)], position)
                .map_err(LogError::io("write", &self.path))?;
        }
        file.truncate(position + bytes.len() as u64)
            .map_err(LogError::io("truncate", &self.path))?;
        *written = entries.len();
        *dirty = false;
        Ok(())
    }

    /// Writes the file and lets go of the entries in memory. Returns the file, if there is one, to be synced.
    pub(crate) fn close(&mut self) -> Result<Option<Arc<dyn crate::fs::File>>, LogError> {
        let had_file = match &self.store {
            Store::Memory { entries, dirty, .. } => !E::LAZY || *dirty || !entries.is_empty(),
            Store::File { count } => !E::LAZY || *count > 0,
        };
        self.write()?;
        self.store = Store::File { count: self.count() };
        if !had_file {
            return Ok(None);
        }
        self.files.get(self.key, &self.path, OpenHow::Existing).map(Some)
    }

    /// Closes the file, because it is about to move.
    pub(crate) fn forget(&self) {
        self.files.forget(self.key);
    }

    /// The entries, all of them.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> Vec<E> {
        (0..self.count()).map(|at| self.entry(at).unwrap()).collect()
    }
}

impl<E> Drop for Index<E> {
    fn drop(&mut self) {
        self.files.forget(self.key);
    }
}
