//! Putting a compacted segment in the place of those it was made of, so that a crash at any step leaves the old ones or
//! the new one, whole.
//!
//! - The files are written and synced as `.cleaned`. While one has that name the old segments count.
//! - All of them become `.swap`, the records last, and the directory is synced. From then on the new segment counts.
//! - The old segments behind the first go, then the new files take the first one's names, the records first.
//! - To take it back, a file is made `.cleaned` again, and that one goes last.
//! - The last batch of a compacted segment always reaches the end of what it replaces, so that the range can be read from
//!   the file. Names, and what is done with them after a crash, are those of Apache Kafka.
//!
//! References: `LocalLog.replaceSegments` and `LogLoader` of Apache Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::LogError;
use crate::fs::{File, FileSystem, OpenHow};
use crate::log::Log;
use crate::scan::Scan;
use crate::segment::{SUFFIXES, Segment, segment_path};

/// Behind the name of a file that is being written.
pub(crate) const CLEANED: &str = ".cleaned";
/// Behind the name of a file that is to take the place of others.
pub(crate) const SWAP: &str = ".swap";

/// What a compacted segment takes the place of.
#[derive(Debug)]
pub(super) struct Replaced {
    /// The base offsets of the segments.
    pub(super) bases: Vec<i64>,
    /// The offset behind them.
    pub(super) end: i64,
    /// Whether aborted transactions are not in the index any more, because nothing is left of them.
    pub(super) drops_aborted: bool,
    /// The files: while they are held, removing their names is quick, whatever their size.
    pub(super) held: Vec<Arc<dyn File>>,
}

/// A segment that was compacted and waits to take its place.
#[derive(Debug)]
pub struct CleanedSegment {
    pub(super) base_offset: i64,
    pub(super) size: u64,
    pub(super) index_bytes: u64,
    pub(super) time_index_bytes: u64,
    pub(super) transaction_index_bytes: u64,
    pub(super) replaced: Replaced,
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) directory: PathBuf,
}

impl CleanedSegment {
    fn path(&self, suffix: &str, state: &str) -> PathBuf {
        segment_path(&self.directory, self.base_offset, &format!("{suffix}{state}"))
    }

    /// The suffixes of the index files that there are.
    fn indexes(&self) -> impl Iterator<Item = &'static str> {
        let has_aborted = self.transaction_index_bytes > 0;
        ["index", "timeindex"]
            .into_iter()
            .chain(["txnindex"].into_iter().filter(move |_| has_aborted))
    }

    fn rename(&self, suffix: &str, from: &str, to: &str) -> Result<(), LogError> {
        let path = self.path(suffix, from);
        self.fs.rename(&path, &self.path(suffix, to)).map_err(LogError::io("rename", &path))
    }

    fn sync_names(&self) -> Result<(), LogError> {
        self.fs.sync_directory(&self.directory).map_err(LogError::io("sync", &self.directory))
    }

    /// From here on a crash is answered by finishing the swap.
    pub(super) fn commit(&self) -> Result<(), LogError> {
        self.indexes().try_for_each(|suffix| self.rename(suffix, CLEANED, SWAP))?;
        self.rename("log", CLEANED, SWAP)?;
        self.sync_names()
    }

    /// Makes the names durable that `Log::swap_in` left. No other segment may be committed before.
    pub fn settle(self) -> Result<(), LogError> {
        self.sync_names()?;
        // Only now the space of the old files is given back.
        drop(self.replaced.held);
        Ok(())
    }

    /// Takes the segment back: the old ones go on to count.
    pub fn discard(self) -> Result<(), LogError> {
        discard(&*self.fs, &self.directory, self.base_offset)
    }

    /// The first offset of what it replaces.
    #[must_use]
    pub fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// The offset behind it.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.replaced.end
    }
}

/// Removes the files of a segment that was not swapped in.
pub(super) fn discard(
    fs: &dyn FileSystem,
    directory: &Path,
    base_offset: i64,
) -> Result<(), LogError> {
    let path =
        |suffix: &str, state| segment_path(directory, base_offset, &format!("{suffix}{state}"));
    match fs.rename(&path("log", SWAP), &path("log", CLEANED)) {
        Err(err) if err.kind() != ErrorKind::NotFound => {
            return Err(LogError::io("rename", &path("log", SWAP))(err));
        }
        _ => {}
    }
    for state in [SWAP, CLEANED] {
        // The records are the last of the list's reverse, and so the last to go.
        for suffix in SUFFIXES.into_iter().rev() {
            remove(fs, &path(suffix, state))?;
        }
    }
    fs.sync_directory(directory).map_err(LogError::io("sync", directory))
}

fn remove(fs: &dyn FileSystem, path: &Path) -> Result<(), LogError> {
    match fs.remove_file(path) {
        Err(err) if err.kind() != ErrorKind::NotFound => Err(LogError::io("remove", path)(err)),
        _ => Ok(()),
    }
}

impl Log {
    /// Puts a committed segment in the place of those it was made of; false when they are not all there any more.
    /// Renames and removes names only. Who holds a range of the old segments goes on reading it.
    pub fn swap_in(&mut self, cleaned: &CleanedSegment) -> Result<bool, LogError> {
        self.usable()?;
        let first =
            self.segments.partition_point(|segment| segment.base_offset < cleaned.base_offset);
        let behind = first + cleaned.replaced.bases.len();
        let is_same = self.segments.get(first..behind).is_some_and(|segments| {
            segments.iter().map(|segment| segment.base_offset).eq(cleaned
                .replaced
                .bases
                .iter()
                .copied())
        });
        // The active segment takes appends, which the new one would lack.
        if !is_same || behind >= self.segments.len() || cleaned.directory != self.directory {
            return Ok(false);
        }
        if let Err(err) = replace_files(self.fs(), cleaned) {
            // The files are half the old and half the new; the next start finishes it.
            self.offline = Some(err.to_string());
            return Err(err);
        }
        let mut segment = Segment::closed(
            &self.files,
            &self.directory,
            cleaned.base_offset,
            cleaned.size,
            (cleaned.index_bytes, cleaned.time_index_bytes, cleaned.transaction_index_bytes),
        );
        segment.checked.add(0, cleaned.size);
        self.segments.splice(first..behind, [segment]);
        if cleaned.replaced.drops_aborted {
            // A reader who is told of an aborted transaction waits for its marker, which will go too.
            self.producers.transactions().forget_aborted_up_to(cleaned.end() - 1);
        }
        Ok(true)
    }
}

fn replace_files(fs: &dyn FileSystem, cleaned: &CleanedSegment) -> Result<(), LogError> {
    for &base in cleaned.replaced.bases.iter().skip(1) {
        for suffix in SUFFIXES.into_iter().chain(["snapshot"]) {
            remove(fs, &segment_path(&cleaned.directory, base, suffix))?;
        }
    }
    if cleaned.transaction_index_bytes == 0 {
        remove(fs, &cleaned.path("txnindex", ""))?;
    }
    cleaned.rename("log", SWAP, "")?;
    cleaned.indexes().try_for_each(|suffix| cleaned.rename(suffix, SWAP, ""))
}

/// Finishes or undoes what compaction had begun in a directory when the broker stopped; this one's or Apache Kafka's.
pub(crate) fn recover(fs: &dyn FileSystem, directory: &Path) -> Result<(), LogError> {
    let names = match fs.list_names(directory) {
        Ok(names) => names,
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(LogError::io("list", directory)(err)),
    };
    let first_cleaned = names.iter().filter_map(|name| offset_of(name, CLEANED)).min();
    let (mut undone, mut swaps) = (Vec::new(), BTreeMap::<i64, BTreeSet<&str>>::new());
    for name in &names {
        if name.ends_with(CLEANED) {
            undone.push(directory.join(name));
        } else if let Some(offset) = offset_of(name, SWAP) {
            // Apache Kafka, too, counts a swap behind a file that is still being written as not begun.
            if first_cleaned.is_some_and(|first| offset >= first) {
                undone.push(directory.join(name));
            } else if let Some(suffix) = suffix_of(name) {
                swaps.entry(offset).or_default().insert(suffix);
            }
        }
    }
    if undone.is_empty() && swaps.is_empty() {
        return Ok(());
    }
    // As long as one file is `.cleaned`, what is `.swap` does not count.
    undone.sort_by_key(|path| path.to_string_lossy().ends_with(CLEANED));
    for path in &undone {
        remove(fs, path)?;
    }
    for (base, suffixes) in swaps {
        finish(fs, directory, (base, &suffixes), &names)?;
    }
    fs.sync_directory(directory).map_err(LogError::io("sync", directory))
}

/// The offset in a file's name, if the name has this ending.
fn offset_of(name: &str, ending: &str) -> Option<i64> {
    let (stem, _) = name.strip_suffix(ending)?.split_once('.')?;
    stem.parse().ok()
}

fn suffix_of(name: &str) -> Option<&str> {
    name.strip_suffix(SWAP)?.split_once('.').map(|(_, suffix)| suffix)
}

fn finish(
    fs: &dyn FileSystem,
    directory: &Path,
    (base, suffixes): (i64, &BTreeSet<&str>),
    names: &[String],
) -> Result<(), LogError> {
    if suffixes.contains("log") {
        let end = end_of(fs, &segment_path(directory, base, &format!("log{SWAP}")), base)?;
        for name in names {
            let Some((stem, suffix)) = name.split_once('.') else { continue };
            let Ok(offset) = stem.parse::<i64>() else { continue };
            let is_replaced = offset > base && offset < end;
            let is_old_index = offset == base && suffix != "log" && !suffixes.contains(suffix);
            if SUFFIXES.contains(&suffix) && (is_replaced || is_old_index) {
                remove(fs, &directory.join(name))?;
            }
        }
    }
    // The records first: what is `.swap` without them only waits for its name.
    for suffix in
        suffixes.get("log").into_iter().chain(suffixes.iter().filter(|suffix| **suffix != "log"))
    {
        let path = segment_path(directory, base, &format!("{suffix}{SWAP}"));
        fs.rename(&path, &segment_path(directory, base, suffix))
            .map_err(LogError::io("rename", &path))?;
    }
    Ok(())
}

/// The offset behind the last batch of a file.
fn end_of(fs: &dyn FileSystem, path: &Path, base: i64) -> Result<i64, LogError> {
    let file = fs.open(path, OpenHow::Existing).map_err(LogError::io("open", path))?;
    let length = file.length().map_err(LogError::io("measure", path))?;
    let mut scan = Scan::headers(&*file, path, 0, length);
    let mut end = base;
    while let Some(located) = scan.next()? {
        end = located.header.next_offset();
    }
    Ok(end)
}
