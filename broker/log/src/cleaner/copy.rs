//! Copying some segments into one, without what is not needed any more.

use std::ops::Range;

use aquifer_broker_protocol::batch::{BatchError, BatchHeader, RecordBatch};

use super::Pace;
use super::output::Output;
use super::rewrite::{OpenBatch, RawRecord};
use super::round::{CleaningRound, go_on};
use super::swap::{CleanedSegment, Replaced};
use super::transactions::Marker as MarkerState;
use crate::LogError;
use crate::producer_state::Marker;
use crate::scan::Scan;

/// The copy of one group.
pub(super) struct Copying<'a> {
    round: &'a mut CleaningRound,
    group: Range<usize>,
    output: Output,
    /// Whether anything is left out or written anew.
    has_changed: bool,
}

/// What becomes of a batch.
enum Copied {
    /// It stays as it is.
    AsItIs,
    /// It is written anew.
    Anew(Vec<u8>),
    /// It goes.
    Gone,
}

/// What the transactions say about a batch.
struct Verdict {
    /// Its records go.
    without_records: bool,
    /// It is the marker of a transaction of which nothing is left.
    is_empty_marker: bool,
}

impl<'a> Copying<'a> {
    pub(super) fn new(round: &'a mut CleaningRound, group: Range<usize>) -> Result<Self, LogError> {
        let base_offset = round.sources[group.start].base_offset;
        let output = Output::create(&round.fs, &round.directory, base_offset, &round.config)?;
        let has_changed = group.len() > 1;
        Ok(Self { round, group, output, has_changed })
    }

    /// Copies everything; `None` when nothing changed.
    pub(super) fn run(mut self, pace: &mut Pace<'_>) -> Result<Option<CleanedSegment>, LogError> {
        let mut held = Vec::with_capacity(self.group.len());
        // Behind it there are only empty files.
        let last = self.group.clone().rev().find(|at| self.round.sources[*at].size > 0);
        for at in self.group.clone() {
            let source = &self.round.sources[at];
            let (file, path, size) =
                (source.open(&*self.round.fs)?, source.path.clone(), source.size);
            let mut scan = Scan::contents(&*file, &path, 0, size);
            while let Some(located) = scan.next()? {
                let batch = scan.checked_batch(&located)?;
                let is_last = Some(at) == last && located.end() == size;
                let copied = self
                    .copy(batch, is_last)
                    .map_err(|err| self.round.sources[at].corrupt(&located, &err))?;
                let written = match &copied {
                    Copied::AsItIs => batch.bytes(),
                    Copied::Anew(bytes) => bytes,
                    Copied::Gone => &[],
                };
                self.has_changed |= !matches!(copied, Copied::AsItIs);
                if !written.is_empty() {
                    self.output.push(written)?;
                }
                let (read, written) = (batch.size_bytes() as u64, written.len() as u64);
                self.round.stats.bytes_read += read;
                self.round.stats.bytes_kept += written;
                go_on(pace, read + written)?;
            }
            held.push(file);
        }
        let sources = &self.round.sources[self.group.clone()];
        let (from, to) = (sources[0].base_offset, sources[sources.len() - 1].next);
        let aborted_before = self
            .round
            .aborted
            .iter()
            .filter(|entry| (from..to).contains(&entry.last_offset))
            .count();
        let drops_aborted = self.output.aborted_count() != aborted_before;
        if !self.has_changed && !drops_aborted {
            return Ok(None);
        }
        let bases = sources.iter().map(|source| source.base_offset).collect();
        self.output.finish(Replaced { bases, end: to, drops_aborted, held }).map(Some)
    }

    fn copy(&mut self, batch: RecordBatch<'_>, is_last: bool) -> Result<Copied, BatchError> {
        let header = batch.header();
        let verdict = self.judge(&batch);
        let stays_empty = is_last || self.is_last_of_producer(header);
        let open = OpenBatch::open(batch)?;
        let before = open.records()?;
        self.round.stats.records_read += before.len() as u64;
        let count = before.len();
        let kept: Vec<RawRecord<'_>> = if verdict.without_records {
            Vec::new()
        } else {
            before.into_iter().filter(|raw| self.stays(header, raw)).collect()
        };
        self.round.stats.records_kept += kept.len() as u64;
        if kept.is_empty() {
            return Ok(match (stays_empty, count) {
                (false, _) => Copied::Gone,
                (true, 0) => Copied::AsItIs,
                (true, _) => Copied::Anew(open.emptied()?),
            });
        }
        // What lies behind the map was not compared with what comes later, so that its time has not begun.
        let is_compacted = header.last_offset() < self.round.end;
        let has_tombstone =
            !header.is_control() && kept.iter().any(|raw| raw.record.value.is_none());
        let begins = is_compacted
            && (has_tombstone || verdict.is_empty_marker)
            && header.delete_horizon_ms().is_none();
        let horizon_ms =
            begins.then(|| self.round.now_ms.saturating_add(self.round.config.delete_retention_ms));
        if kept.len() == count && horizon_ms.is_none() {
            return Ok(Copied::AsItIs);
        }
        Ok(Copied::Anew(open.with_records(&kept, horizon_ms)?))
    }

    fn judge(&mut self, batch: &RecordBatch<'_>) -> Verdict {
        let header = batch.header();
        let (producer_id, last_offset) = (header.producer_id, header.last_offset());
        if !header.is_control() {
            let transactions = &mut self.round.transactions;
            let aborted = transactions.on_data(producer_id, last_offset, header.is_transactional());
            return Verdict { without_records: aborted, is_empty_marker: false };
        }
        if header.record_count == 0 {
            return Verdict { without_records: true, is_empty_marker: true };
        }
        let commit = Marker::of(batch).map(|marker| marker.committed);
        let is_empty_marker =
            match self.round.transactions.on_marker(producer_id, last_offset, commit) {
                MarkerState::HasData(aborted) => {
                    if let Some(entry) = aborted {
                        self.output.push_aborted(entry);
                    }
                    false
                }
                MarkerState::HasNone => true,
                MarkerState::Other => false,
            };
        let is_over = header.delete_horizon_ms().is_some_and(|at| at <= self.round.now_ms);
        Verdict { without_records: is_empty_marker && is_over, is_empty_marker }
    }

    /// Whether the batch holds what is known of its producer.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        header.has_producer_id()
            && self.round.producers.get(&header.producer_id).is_some_and(|last| {
                match last.data_offset {
                    Some(offset) => header.last_offset() == offset,
                    None => header.is_control() && header.producer_epoch == last.epoch,
                }
            })
    }

    fn stays(&mut self, header: &BatchHeader, raw: &RawRecord<'_>) -> bool {
        let record = &raw.record;
        if header.is_control() || record.offset >= self.round.end {
            return true;
        }
        let Some(key) = record.key else {
            self.round.stats.records_without_key += 1;
            return false;
        };
        let is_last = self.round.map.get(key).is_none_or(|last| record.offset >= last);
        let is_needed = record.value.is_some()
            || header.delete_horizon_ms().is_none_or(|at| self.round.now_ms < at);
        is_last && is_needed
    }
}
