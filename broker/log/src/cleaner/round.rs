//! One round over one log: note the last offset of each key, then copy group by group.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use aquifer_broker_protocol::batch::{BatchError, RecordBatch};

use super::copy::Copying;
use super::offset_map::{OffsetMap, keys_max};
use super::rewrite::OpenBatch;
use super::swap::{self, CleanedSegment};
use super::transactions::Transactions;
use super::{Cleanable, CleanerLimits, Pace};
use crate::fs::{File, FileSystem, OpenHow};
use crate::log::Log;
use crate::producer_state::{LastWrite, Marker};
use crate::scan::{Located, Scan};
use crate::transaction_index::AbortedEntry;
use crate::{LogConfig, LogError};

/// What a round did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct CleaningStats {
    /// Keys in the dirty part.
    pub keys: u64,
    /// Records before.
    pub records_read: u64,
    /// Records after.
    pub records_kept: u64,
    /// Records that went because they have no key.
    pub records_without_key: u64,
    /// Bytes before.
    pub bytes_read: u64,
    /// Bytes after.
    pub bytes_kept: u64,
}

/// A closed segment as it was when the round began. Its file does not change while it has its name.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) base_offset: i64,
    /// The first offset of the next segment.
    pub(super) next: i64,
    pub(super) size: u64,
    index_bytes: u64,
    time_index_bytes: u64,
    pub(super) path: PathBuf,
}

impl Source {
    pub(super) fn open(&self, fs: &dyn FileSystem) -> Result<Arc<dyn File>, LogError> {
        match fs.open(&self.path, OpenHow::Existing) {
            // Retention took it.
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Err(LogError::Interrupted),
            opened => opened.map_err(LogError::io("open", &self.path)),
        }
    }

    pub(super) fn corrupt(&self, located: &Located, err: &BatchError) -> LogError {
        LogError::Corrupt {
            path: self.path.clone(),
            position: located.position,
            reason: err.to_string(),
        }
    }
}

/// A round. It works on files alone, so that the log goes on meanwhile.
#[derive(Debug)]
pub struct CleaningRound {
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) directory: PathBuf,
    pub(super) config: LogConfig,
    pub(super) sources: Vec<Source>,
    /// Aborted transactions with records or markers in the sources.
    pub(super) aborted: Vec<AbortedEntry>,
    /// What each known producer wrote last.
    pub(super) producers: HashMap<i64, LastWrite>,
    pub(super) now_ms: i64,
    limits: CleanerLimits,
    first_dirty: i64,
    /// Behind the last offset that the map covers; what lies behind it stays as it is.
    pub(super) end: i64,
    pub(super) map: OffsetMap,
    /// The groups that are not copied yet, as ranges of the sources.
    groups: VecDeque<Range<usize>>,
    pub(super) transactions: Transactions,
    pub(super) stats: CleaningStats,
}

impl Log {
    /// Begins a round over what `cleanable` says.
    pub fn begin_cleaning(
        &mut self,
        cleanable: &Cleanable,
        limits: CleanerLimits,
        now_ms: i64,
    ) -> Result<CleaningRound, LogError> {
        self.usable()?;
        let behind = self.segments.iter().skip(1).map(|segment| segment.base_offset);
        let sources: Vec<Source> = self
            .segments
            .iter()
            .zip(behind)
            .take_while(|(_, next)| *next <= cleanable.end)
            .map(|(segment, next)| Source {
                base_offset: segment.base_offset,
                next,
                size: segment.size,
                index_bytes: segment.offset_index.size_bytes(),
                time_index_bytes: segment.time_index.size_bytes(),
                path: segment.path().to_path_buf(),
            })
            .collect();
        let first = sources.first().map_or(cleanable.first_dirty, |source| source.base_offset);
        let aborted = self.aborted_entries(first, cleanable.end)?;
        Ok(CleaningRound {
            fs: Arc::clone(self.files.fs()),
            directory: self.directory.clone(),
            config: self.config.clone(),
            transactions: Transactions::new(&aborted, first),
            sources,
            aborted,
            producers: self.producers.last_writes(),
            now_ms,
            limits,
            first_dirty: cleanable.first_dirty,
            end: cleanable.first_dirty,
            map: OffsetMap::new(0, &limits),
            groups: VecDeque::new(),
            stats: CleaningStats::default(),
        })
    }
}

impl CleaningRound {
    /// Where the log is compacted to once all groups are swapped in.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.end
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> CleaningStats {
        self.stats
    }

    /// Notes the last offset of each key in the dirty part, as far as memory reaches.
    pub fn index(&mut self, pace: &mut Pace<'_>) -> Result<(), LogError> {
        let (count, first) = self.count_records(pace)?;
        // One batch is taken in any case, or the round would not get on.
        self.map = OffsetMap::new(count.min(keys_max(&self.limits)).max(first), &self.limits);
        let dirty = self.sources.iter().find(|source| source.next > self.first_dirty);
        let from = dirty.map_or(self.first_dirty, |source| source.base_offset);
        let mut transactions = Transactions::new(&self.aborted, from);
        for at in 0..self.sources.len() {
            if self.sources[at].next <= self.first_dirty {
                continue;
            }
            if let Some(full) = self.index_source(at, &mut transactions, pace)? {
                self.end = full;
                break;
            }
            self.end = self.sources[at].next;
        }
        self.stats.keys = self.map.len() as u64;
        self.group();
        Ok(())
    }

    /// Upper bounds on the keys of the dirty part and of its first batch.
    fn count_records(&self, pace: &mut Pace<'_>) -> Result<(usize, usize), LogError> {
        let (mut count, mut first) = (0, 0);
        for source in self.sources.iter().filter(|source| source.next > self.first_dirty) {
            let file = source.open(&*self.fs)?;
            let mut scan = Scan::headers(&*file, &source.path, 0, source.size);
            while let Some(located) = scan.next()? {
                let header = located.header;
                if header.is_control() || header.last_offset() < self.first_dirty {
                    continue;
                }
                count += usize::try_from(header.record_count).unwrap_or(0);
                if first == 0 {
                    first = count;
                }
                if count > keys_max(&self.limits) {
                    return Ok((count, first));
                }
            }
            go_on(pace, 0)?;
        }
        Ok((count, first))
    }

    /// Takes one segment into the map; the first offset that did not fit, if one did not.
    fn index_source(
        &mut self,
        at: usize,
        transactions: &mut Transactions,
        pace: &mut Pace<'_>,
    ) -> Result<Option<i64>, LogError> {
        let source = &self.sources[at];
        let file = source.open(&*self.fs)?;
        let mut scan = Scan::contents(&*file, &source.path, 0, source.size);
        while let Some(located) = scan.next()? {
            let batch = scan.checked_batch(&located)?;
            let last_offset = located.header.last_offset();
            if located.header.is_control() {
                let commit = Marker::of(&batch).map(|marker| marker.committed);
                transactions.on_marker(located.header.producer_id, last_offset, commit);
            } else {
                let aborted = transactions.on_data(
                    located.header.producer_id,
                    last_offset,
                    located.header.is_transactional(),
                );
                if !aborted && last_offset >= self.first_dirty {
                    let fits = index_batch(&mut self.map, batch, self.first_dirty)
                        .map_err(|err| source.corrupt(&located, &err))?;
                    if !fits {
                        return Ok(Some(located.header.base_offset.max(self.first_dirty)));
                    }
                }
            }
            go_on(pace, located.header.size_bytes() as u64)?;
        }
        Ok(None)
    }

    /// Puts segments together that fit into one.
    fn group(&mut self) {
        let config = &self.config;
        let mut group: Option<Range<usize>> = None;
        let (mut size, mut index_bytes, mut time_index_bytes) = (0, 0, 0);
        for (at, source) in self.sources.iter().enumerate() {
            if source.base_offset >= self.end {
                break;
            }
            let joins = group.as_ref().is_some_and(|group| {
                size + source.size <= config.segment_bytes.min(u64::from(u32::MAX >> 1))
                    && index_bytes + source.index_bytes <= config.segment_index_bytes
                    && time_index_bytes + source.time_index_bytes <= config.segment_index_bytes
                    && source.next - 1 - self.sources[group.start].base_offset
                        <= i64::from(i32::MAX)
            });
            if !joins {
                self.groups.extend(group.take());
                group = Some(at..at);
                (size, index_bytes, time_index_bytes) = (0, 0, 0);
            }
            size += source.size;
            index_bytes += source.index_bytes;
            time_index_bytes += source.time_index_bytes;
            if let Some(group) = &mut group {
                group.end = at + 1;
            }
        }
        self.groups.extend(group);
    }

    /// Copies the next segments that fit into one, and returns what is to take their place, durable. `None` when
    /// everything is done. A group in which nothing changes is passed over.
    pub fn next_segment(
        &mut self,
        pace: &mut Pace<'_>,
    ) -> Result<Option<CleanedSegment>, LogError> {
        while let Some(group) = self.groups.pop_front() {
            if self.sources[group.clone()].iter().all(|source| source.size == 0) {
                continue;
            }
            let base_offset = self.sources[group.start].base_offset;
            let copied = Copying::new(self, group).and_then(|copying| copying.run(pace));
            let committed = match copied {
                Ok(Some(cleaned)) => cleaned.commit().map(|()| Some(cleaned)),
                Ok(None) => Ok(None),
                Err(err) => Err(err),
            };
            match committed {
                Ok(Some(cleaned)) => return Ok(Some(cleaned)),
                Ok(None) => swap::discard(&*self.fs, &self.directory, base_offset)?,
                Err(err) => {
                    if let Err(second) = swap::discard(&*self.fs, &self.directory, base_offset) {
                        tracing::warn!(error = %second, "what compaction began is left over");
                    }
                    return Err(err);
                }
            }
        }
        Ok(None)
    }
}

/// Notes the keys of a batch; false when one does not fit.
fn index_batch(
    map: &mut OffsetMap,
    batch: RecordBatch<'_>,
    first_dirty: i64,
) -> Result<bool, BatchError> {
    let batch = OpenBatch::open(batch)?;
    for raw in batch.records()? {
        if let Some(key) = raw.record.key
            && raw.record.offset >= first_dirty
            && !map.put(key, raw.record.offset)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tells the pace of bytes; an error when the round is to end.
pub(super) fn go_on(pace: &mut Pace<'_>, bytes: u64) -> Result<(), LogError> {
    if pace(bytes) { Ok(()) } else { Err(LogError::Interrupted) }
}
