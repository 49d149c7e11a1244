//! Open files, bounded: the least recently used are closed, and opened again when needed.
//!
//! - A file that somebody holds stays open until they drop it, whatever the cache does.
//! - A key is never used for another file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::LogError;
use crate::fs::{File, FileSystem, OpenHow};

/// The files of all logs of one data directory.
#[derive(Debug)]
pub(crate) struct FileCache {
    fs: Arc<dyn FileSystem>,
    open_max: usize,
    next_key: AtomicU64,
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    open: HashMap<FileKey, (Arc<dyn File>, u64)>,
    uses: u64,
}

/// Names a file in the cache, whatever its path becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileKey(u64);

impl FileCache {
    /// A cache that keeps at most `open_max` files open by itself.
    pub(crate) fn new(fs: Arc<dyn FileSystem>, open_max: usize) -> Self {
        Self { fs, open_max: open_max.max(8), next_key: AtomicU64::new(0), files: Mutex::default() }
    }

    pub(crate) fn fs(&self) -> &Arc<dyn FileSystem> {
        &self.fs
    }

    /// A key that no file has.
    pub(crate) fn key(&self) -> FileKey {
        FileKey(self.next_key.fetch_add(1, Ordering::Relaxed))
    }

    /// The file, opened if need be.
    pub(crate) fn get(
        &self,
        key: FileKey,
        path: &Path,
        how: OpenHow,
    ) -> Result<Arc<dyn File>, LogError> {
        {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.uses += 1;
            let uses = files.uses;
            if let Some((file, used)) = files.open.get_mut(&key) {
                *used = uses;
                return Ok(Arc::clone(file));
            }
        }
        let file = self.fs.open(path, how).map_err(LogError::io("open", path))?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.open.len() >= self.open_max {
            files.close_oldest(self.open_max / 4);
        }
        let uses = files.uses;
        files.open.insert(key, (Arc::clone(&file), uses));
        Ok(file)
    }

    /// Closes the file, for example because it was removed.
    pub(crate) fn forget(&self, key: FileKey) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&key);
    }

    #[cfg(test)]
    fn open_count(&self) -> usize {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).open.len()
    }
}

impl Files {
    /// Closes so many at once that the search for the oldest is rare.
    fn close_oldest(&mut self, count: usize) {
        let mut by_use: Vec<(u64, FileKey)> =
            self.open.iter().map(|(key, (_, used))| (*used, *key)).collect();
        by_use.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in by_use.into_iter().take(count.max(1)) {
            self.open.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::RealFileSystem;

    #[test]
    fn opens_no_more_files_than_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FileCache::new(Arc::new(RealFileSystem), 8);
        let keys: Vec<FileKey> = (0..50).map(|_| cache.key()).collect();
        for _ in 0..2 {
            for (number, key) in keys.iter().enumerate() {
                let file =
                    cache.get(*key, &dir.path().join(number.to_string()), OpenHow::Create).unwrap();
                file.write_all_at(&mut [std::io::IoSlice::new(b"x")], 0).unwrap();
                assert!(cache.open_count() <= 8);
            }
        }
    }
}
