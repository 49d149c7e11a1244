//! Opening a log: what is true after a stop, clean or not.
//!
//! - Segments below the recovery point are believed; behind it every batch's checksum is compared.
//! - The log ends before the first batch that is not valid; later segments are removed.
//! - After a clean stop the recovery point is the log end, so that only the last few batches are read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cleaner::swap;
use crate::epoch_cache::EpochCache;
use crate::file_cache::FileCache;
use crate::fs::FileSystem;
use crate::index::IndexEntry;
use crate::log::Log;
use crate::producer_state::{Marker, ProducerState, snapshot_path};
use crate::scan::Scan;
use crate::segment::Segment;
use crate::transaction_index::AbortedEntry;
use crate::{LogConfig, LogError, checkpoint};

/// What opening a log found.
#[derive(Debug, Default)]
pub struct RecoveryReport {
    /// Why bytes were cut, when some were.
    pub truncated: Option<LogError>,
    /// Bytes that were cut, later segments included.
    pub truncated_bytes: u64,
    /// Bytes behind the recovery point that were read and found valid.
    pub recovered_bytes: u64,
}

/// What the data directory knows of a log before it is opened.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Checkpointed {
    /// Where the log starts, 0 when unknown.
    pub(crate) log_start: i64,
    /// The offset below which everything was durable, 0 when unknown.
    pub(crate) recovery_point: i64,
    /// Whether compaction may have left gaps between the segments.
    pub(crate) has_gaps: bool,
}

/// Sizes of a segment's files; `None` where one is missing.
#[derive(Debug, Default, Clone, Copy)]
struct SegmentFiles {
    log: Option<u64>,
    index: Option<u64>,
    time_index: Option<u64>,
    aborted: Option<u64>,
}

impl SegmentFiles {
    /// Whether the index of aborted transactions, if there is one, has whole entries.
    fn has_whole_aborted(&self) -> bool {
        self.aborted.unwrap_or(0).is_multiple_of(AbortedEntry::SIZE as u64)
    }

    /// Whether the index files can be used as they are.
    fn have_indexes(&self) -> bool {
        self.has_whole_aborted()
            && self.index.is_some_and(|bytes| bytes % 8 == 0)
            && self
                .time_index
                .is_some_and(|bytes| bytes % 12 == 0 && (bytes > 0 || self.log == Some(0)))
    }
}

#[derive(Debug, Default)]
struct Listing {
    segments: BTreeMap<i64, SegmentFiles>,
    snapshots: Vec<i64>,
}

fn list(fs: &dyn FileSystem, directory: &std::path::Path) -> Result<Option<Listing>, LogError> {
    let entries = match fs.list(directory) {
        Ok(entries) => entries,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(LogError::io("list", directory)(err)),
    };
    let mut listing = Listing::default();
    for entry in entries {
        let path = directory.join(&entry.name);
        if [".deleted", ".tmp"].iter().any(|suffix| entry.name.ends_with(suffix)) {
            fs.remove_file(&path).map_err(LogError::io("remove", &path))?;
            continue;
        }
        let Some((stem, suffix)) = entry.name.split_once('.') else { continue };
        let Ok(offset) = stem.parse::<i64>() else { continue };
        if stem.len() != 20 || offset < 0 {
            continue;
        }
        match suffix {
            "log" => listing.segments.entry(offset).or_default().log = Some(entry.length),
            "index" => listing.segments.entry(offset).or_default().index = Some(entry.length),
            "timeindex" => {
                listing.segments.entry(offset).or_default().time_index = Some(entry.length)
            }
            "txnindex" => listing.segments.entry(offset).or_default().aborted = Some(entry.length),
            "snapshot" => listing.snapshots.push(offset),
            _ => {}
        }
    }
    // Indexes whose records are gone are left over from a deletion.
    listing.segments.retain(|_, files| files.log.is_some());
    listing.snapshots.sort_unstable();
    Ok(Some(listing))
}

impl Log {
    /// Opens the log in `directory`, or an empty one when there is none.
    pub(crate) fn open(
        files: Arc<FileCache>,
        directory: PathBuf,
        topic_id: [u8; 16],
        config: LogConfig,
        known: Checkpointed,
        now_ms: i64,
    ) -> Result<(Self, RecoveryReport), LogError> {
        let mut log = Self::new(files, directory, topic_id, config);
        let mut report = RecoveryReport::default();
        let fs = Arc::clone(log.files.fs());
        swap::recover(&*fs, &log.directory)?;
        let Some(listing) = list(&*fs, &log.directory)? else { return Ok((log, report)) };
        if let Ok(metadata) = fs.read(&log.directory.join("partition.metadata"))
            && let Some(topic_id) = checkpoint::parse_partition_metadata(&metadata)
        {
            log.topic_id = topic_id;
        }
        if listing.segments.is_empty() {
            // A directory whose first segment was not durable yet: start over in it.
            log.log_start = known.log_start;
            log.log_end = known.log_start;
            return Ok((log, report));
        }
        log.epochs = EpochCache::load(&*fs, &log.directory)?;
        log.open_segments(&listing, known, now_ms, &mut report)?;
        log.settle_start(known.log_start, now_ms)?;
        log.epochs.truncate_end(log.log_end);
        log.epochs.truncate_start(log.log_start);
        log.keep_snapshots(&listing.snapshots);
        // Behind it, aborted transactions may be missing in the index files.
        let damaged = listing.segments.iter().find(|(_, files)| !files.has_whole_aborted());
        let trusted_end =
            damaged.map_or(known.recovery_point, |(base, _)| known.recovery_point.min(*base));
        log.load_producers(&listing.snapshots, trusted_end, now_ms)?;
        log.close_aborted()?;
        log.derived_dirty |= !listing.snapshots.contains(&log.log_end);
        Ok((log, report))
    }

    fn open_segments(
        &mut self,
        listing: &Listing,
        known: Checkpointed,
        now_ms: i64,
        report: &mut RecoveryReport,
    ) -> Result<(), LogError> {
        let recovery_point = known.recovery_point;
        let may_have_gaps = known.has_gaps || self.config.cleanup_compact;
        let bases: Vec<i64> = listing.segments.keys().copied().collect();
        let fs = Arc::clone(self.files.fs());
        for (at, (&base, sizes)) in listing.segments.iter().enumerate() {
            let size = sizes.log.unwrap_or(0);
            let next = bases.get(at + 1).copied();
            // Only compaction leaves gaps; elsewhere the end of a file was lost exactly between two batches.
            let after_gap =
                base > self.log_end && base > recovery_point && !self.segments.is_empty();
            if report.truncated.is_none() && after_gap && !may_have_gaps {
                report.truncated = Some(LogError::Corrupt {
                    path: crate::segment::segment_path(&self.directory, base, "log"),
                    position: 0,
                    reason: format!("records from {} on are missing before it", self.log_end),
                });
            }
            if report.truncated.is_some() {
                report.truncated_bytes += size;
                for suffix in ["log", "index", "timeindex", "txnindex"] {
                    let path = crate::segment::segment_path(&self.directory, base, suffix);
                    match fs.remove_file(&path) {
                        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                            return Err(LogError::io("remove", &path)(err));
                        }
                        _ => {}
                    }
                }
                continue;
            }
            if let Some(next) = next
                && next <= recovery_point
                && sizes.have_indexes()
            {
                let bytes = |file: Option<u64>| file.unwrap_or(0);
                let indexes = (bytes(sizes.index), bytes(sizes.time_index), bytes(sizes.aborted));
                let segment = Segment::closed(&self.files, &self.directory, base, size, indexes);
                self.segments.push(segment);
                self.log_end = next;
                continue;
            }
            let mut segment =
                Segment::active(&self.files, &self.directory, base, size, recovery_point, now_ms)?;
            if !sizes.has_whole_aborted() {
                segment.aborted.truncate(|_| false);
            }
            self.log_end = self.log_end.max(base);
            let config = self.config.clone();
            let (epochs, log_end) = (&mut self.epochs, &mut self.log_end);
            let mut recovered_bytes = 0;
            let invalid = segment.recover(&config, |header| {
                if header.base_offset >= recovery_point {
                    recovered_bytes += header.size_bytes() as u64;
                }
                epochs.assign(header.partition_leader_epoch, header.base_offset);
                *log_end = header.next_offset();
            })?;
            report.recovered_bytes += recovered_bytes;
            if let Some(invalid) = invalid {
                report.truncated_bytes += size.saturating_sub(segment.size);
                report.truncated = Some(invalid);
                segment.cut_tail()?;
            } else if next.is_some() {
                self.unsynced.files.extend(segment.close_position_indexes()?);
            }
            // What lies behind the recovery point may be in the page cache only.
            let touched = recovered_bytes > 0 || report.truncated.is_some();
            self.unsynced.active |= touched;
            self.derived_dirty |= touched;
            self.segments.push(segment);
        }
        if let Some(active) = self.segments.last_mut() {
            active.learn()?;
        }
        // A closed segment at the end goes on only as the one before the active one.
        if self.segments.last().is_some_and(Segment::is_closed) {
            let end = self.log_end;
            self.roll_after_closed(end, now_ms)?;
        }
        Ok(())
    }

    fn roll_after_closed(&mut self, end: i64, now_ms: i64) -> Result<(), LogError> {
        self.segments.push(Segment::create(&self.files, &self.directory, end, now_ms)?);
        self.unsynced.directories.push(self.directory.clone());
        Ok(())
    }

    /// Applies the checkpointed log start; what the log lost may lie before it.
    fn settle_start(&mut self, checkpointed: i64, now_ms: i64) -> Result<(), LogError> {
        let first = self.segments.first().map_or(0, |segment| segment.base_offset);
        self.log_start = checkpointed.max(first);
        if self.log_start > self.log_end {
            // Offsets are never given out twice: go on behind what was deleted on request.
            self.log_end = self.log_start;
            while !self.segments.is_empty() {
                self.remove_segment(0, now_ms)?;
            }
            self.roll_after_closed(self.log_end, now_ms)?;
            self.derived_dirty = true;
        }
        Ok(())
    }

    /// Remembers the snapshots of recovery points, so that they go when there are newer ones.
    fn keep_snapshots(&mut self, snapshots: &[i64]) {
        let is_of_point = |at: &i64| {
            *at <= self.log_end && self.segments.iter().all(|segment| segment.base_offset != *at)
        };
        self.snapshots = snapshots.iter().copied().filter(is_of_point).collect();
    }

    /// Producers from the newest snapshot that can be read, and from the batches behind it; aborted transactions go to
    /// the index files, which are complete up to `trusted_end`.
    fn load_producers(
        &mut self,
        snapshots: &[i64],
        trusted_end: i64,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let fs = Arc::clone(self.files.fs());
        let mut producers = ProducerState::default();
        let first = self.segments.first().map_or(self.log_start, |segment| segment.base_offset);
        let mut from = first;
        for &offset in snapshots.iter().rev() {
            let path = snapshot_path(&self.directory, offset);
            let is_of_log = (first..=self.log_end).contains(&offset);
            if is_of_log && offset > trusted_end.max(first) {
                continue;
            }
            if is_of_log
                && let Ok(contents) = fs.read(&path)
                && let Some(read) = ProducerState::decode(&contents)
            {
                producers = read;
                from = offset;
                break;
            }
            // It describes records that are gone, or is torn.
            self.snapshots.retain(|at| *at != offset);
            self.unsynced.directories.push(self.directory.clone());
            match fs.remove_file(&path) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    return Err(LogError::io("remove", &path)(err));
                }
                _ => {}
            }
        }
        if let Some(last_marker) = self.last_aborted_marker()? {
            producers.transactions().forget_aborted_up_to(last_marker);
        }
        self.replay_producers(&mut producers, from, now_ms)?;
        producers.expire(now_ms, self.config.producer_id_expiration_ms);
        self.producers.replace(producers);
        Ok(())
    }

    fn replay_producers(
        &mut self,
        producers: &mut ProducerState,
        from: i64,
        now_ms: i64,
    ) -> Result<(), LogError> {
        if from >= self.log_end {
            return Ok(());
        }
        let first =
            self.segments.partition_point(|segment| segment.base_offset <= from).saturating_sub(1);
        for segment in &mut self.segments[first..] {
            let Some(start) = segment.locate(from)? else { continue };
            let file = segment.file()?;
            let path = segment.path().to_path_buf();
            let mut scan = Scan::headers(&*file, &path, start.position, segment.size);
            while let Some(located) = scan.next()? {
                if located.header.base_offset < from {
                    continue;
                }
                if !located.header.is_control() {
                    producers.apply(&located.header, now_ms);
                } else if let Some(marker) = Marker::of(&scan.batch(&located)?)
                    && let Some(entry) = producers.apply_marker(&located.header, &marker, now_ms)
                {
                    // Where the index has it already, it stays as it is.
                    segment.aborted.push(entry);
                }
            }
        }
        Ok(())
    }

    /// The last marker that the index files know.
    fn last_aborted_marker(&self) -> Result<Option<i64>, LogError> {
        for segment in self.segments.iter().rev() {
            if let Some(last) = segment.aborted.last()? {
                return Ok(Some(last.last_offset));
            }
        }
        Ok(None)
    }

    /// Closes the indexes of aborted transactions that were open for the replay.
    fn close_aborted(&mut self) -> Result<(), LogError> {
        let closed = self.segments.len().saturating_sub(1);
        for segment in &mut self.segments[..closed] {
            if !segment.aborted.is_closed() {
                self.unsynced.files.extend(segment.aborted.close()?);
            }
        }
        Ok(())
    }

    /// Producers as of the log end, after the log was cut.
    pub(crate) fn rebuild_producers(&mut self, now_ms: i64) -> Result<(), LogError> {
        let snapshots = match list(self.fs(), &self.directory)? {
            Some(listing) => listing.snapshots,
            None => Vec::new(),
        };
        self.snapshots.retain(|at| *at <= self.log_end);
        self.load_producers(&snapshots, self.log_end, now_ms)
    }
}
