//! Appending: offsets first, then one write for many batches.

use aquifer_broker_protocol::batch::{BatchHeader, StampedBatch};

use super::Log;
use crate::producer_state::{Marker, SequenceCheck};
use crate::{AppendRules, LogError};

/// Where a staged batch will lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staged {
    /// It got these offsets.
    New {
        /// The first record's offset.
        base_offset: i64,
        /// The last record's offset.
        last_offset: i64,
    },
    /// Its producer sent it before, and it has these offsets.
    Duplicate {
        /// The first record's offset.
        base_offset: i64,
        /// The last record's offset.
        last_offset: i64,
        /// Its largest timestamp, milliseconds.
        max_timestamp_ms: i64,
    },
}

/// A batch as it lies in the log now.
#[derive(Debug)]
pub struct WrittenBatch {
    /// The first record's offset.
    pub base_offset: i64,
    /// The offset after the last record.
    pub next_offset: i64,
    /// The batch, as written.
    pub batch: StampedBatch,
}

impl Log {
    /// `stage_with` with the rules of before transaction version 2.
    pub fn stage(
        &mut self,
        batch: StampedBatch,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<Staged, LogError> {
        self.stage_with(batch, leader_epoch, AppendRules::default(), now_ms)
    }

    /// Gives a validated batch its offsets and leader epoch, unless its producer sent it before or it does not fit.
    /// Nothing is written until `write_staged`.
    pub fn stage_with(
        &mut self,
        mut batch: StampedBatch,
        leader_epoch: i32,
        rules: AppendRules,
        now_ms: i64,
    ) -> Result<Staged, LogError> {
        self.usable()?;
        let mut header = batch.header().map_err(|err| LogError::InvalidBatch(err.to_string()))?;
        if header.last_offset_delta < 0 {
            return Err(LogError::InvalidBatch(format!(
                "last offset delta is {}",
                header.last_offset_delta
            )));
        }
        let marker = Marker::of_stamped(&header, &batch);
        if let Some(marker) = &marker {
            self.producers.check_marker(&header, marker, rules.marker_epoch)?;
        } else if let SequenceCheck::Duplicate(produced) =
            self.producers.check_with(&header, rules.first_sequence)?
        {
            return Ok(Staged::Duplicate {
                base_offset: produced.base_offset(),
                last_offset: produced.last_offset,
                max_timestamp_ms: produced.max_timestamp_ms,
            });
        }
        let base_offset = self.log_end;
        batch
            .set_base_offset_and_epoch(base_offset, leader_epoch)
            .map_err(|err| LogError::InvalidBatch(err.to_string()))?;
        header.base_offset = base_offset;
        header.partition_leader_epoch = leader_epoch;
        match &marker {
            Some(marker) => self.producers.stage_marker(&header, marker, now_ms),
            None => self.producers.stage(&header, now_ms),
        }
        self.log_end = header.next_offset();
        self.staged.push((header, batch));
        Ok(Staged::New { base_offset, last_offset: header.last_offset() })
    }

    /// Writes what was staged. After an error none of it is in the log; if that cannot be brought about either,
    /// the log is offline.
    pub fn write_staged(&mut self, now_ms: i64) -> Result<Vec<WrittenBatch>, LogError> {
        let staged = std::mem::take(&mut self.staged);
        let Some((first, _)) = staged.first() else { return Ok(Vec::new()) };
        let before = first.base_offset;
        let result = self.write_batches(&staged, now_ms);
        self.producers.clear_staged();
        if let Err(err) = result {
            if let Err(second) = self.take_back(before, now_ms) {
                self.offline = Some(format!("{err}; then {second}"));
            }
            return Err(err);
        }
        Ok(staged
            .into_iter()
            .map(|(header, batch)| WrittenBatch {
                base_offset: header.base_offset,
                next_offset: header.next_offset(),
                batch,
            })
            .collect())
    }

    fn write_batches(
        &mut self,
        staged: &[(BatchHeader, StampedBatch)],
        now_ms: i64,
    ) -> Result<(), LogError> {
        let mut rest = staged;
        while let Some((first, _)) = rest.first() {
            // A segment's name is the offset of its first batch, so the end has to stand there when it is made.
            self.log_end = first.base_offset;
            if self.segments.is_empty() {
                self.make_directory(now_ms)?;
            }
            let Some(active) = self.segments.last() else { break };
            if active.is_full_for(first, (0, 0), &self.config) {
                self.roll(now_ms)?;
            }
            let Some(active) = self.segments.last_mut() else { break };
            let (mut count, mut bytes) = (0, 0);
            for (header, batch) in rest {
                if active.is_full_for(header, (count, bytes), &self.config) {
                    break;
                }
                count += 1;
                bytes += batch.size_bytes() as u64;
            }
            let (now, later) = rest.split_at(count.max(1));
            active.append(now, &self.config)?;
            for (header, batch) in now {
                self.epochs.assign(header.partition_leader_epoch, header.base_offset);
                if let Some(marker) = Marker::of_stamped(header, batch) {
                    let aborted = self.producers.apply_marker(header, &marker, now_ms);
                    aborted.into_iter().for_each(|entry| active.aborted.push(entry));
                } else {
                    self.producers.apply(header, now_ms);
                }
                self.log_end = header.next_offset();
            }
            self.unsynced.active = true;
            self.derived_dirty = true;
            rest = later;
        }
        Ok(())
    }

    /// Returns to the state before a failed write.
    fn take_back(&mut self, end: i64, now_ms: i64) -> Result<(), LogError> {
        if self.segments.is_empty() {
            self.log_end = end;
            return Ok(());
        }
        // The file may hold part of a batch behind what the segment knows of.
        for segment in &self.segments[self.segments.len().saturating_sub(2)..] {
            segment.cut_tail()?;
        }
        self.truncate(end, now_ms)
    }
}
