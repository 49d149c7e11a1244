//! Random logs with keys, tombstones and transactions, random rounds over them, and a model of what must be left.
//!
//! Whoever reads at any time gets each key's last value; offsets, order and contents are those of before; a tombstone is
//! there until its time is over; what was aborted is not seen and is gone after a round; producers are known as before.

use std::collections::{BTreeMap, BTreeSet};

use aquifer_broker_protocol::batch::{BatchOptions, Compression};

use super::CleanerLimits;
use super::test_support::*;
use crate::LogConfig;
use crate::fs::FileSystem;
use crate::fs::simulated::{Random, Simulated};
use crate::log::Log;
use crate::producer_state::SequenceCheck;
use crate::test_support::{append, header, read_all, sync};

/// A record as it was written.
#[derive(Debug, Clone)]
struct Original {
    found: Found,
    /// The number of its transaction, if it has one.
    transaction: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

struct Run {
    fs: Simulated,
    random: Random,
    config: LogConfig,
    now_ms: i64,
    originals: BTreeMap<i64, Original>,
    transactions: Vec<Fate>,
    /// Producer to its open transaction.
    open: BTreeMap<i64, usize>,
    sequences: BTreeMap<i64, i32>,
    cleaned_to: Option<i64>,
    recovery_point: i64,
    /// When a tombstone was in a compacted part first.
    first_compacted_ms: BTreeMap<i64, i64>,
    /// When the last round was that reached over an offset.
    rounds: Vec<(i64, i64)>,
}

impl Run {
    fn write(&mut self, log: &mut Log) {
        let count = 1 + self.random.below(4);
        let keys: Vec<String> = (0..count).map(|_| format!("k{}", self.random.below(12))).collect();
        let values: Vec<Option<String>> = (0..count)
            .map(|_| self.random.chance(75).then(|| format!("v{}", self.random.below(1000))))
            .collect();
        let records: Vec<Written<'_>> = keys
            .iter()
            .zip(&values)
            .map(|(key, value)| (key.as_str(), value.as_deref(), self.now_ms))
            .collect();
        let compression = if self.random.chance(30) { Compression::Lz4 } else { Compression::None };
        let mut options = BatchOptions { compression, ..BatchOptions::default() };
        let producer_id = self.random.below(6).cast_signed();
        let mut transaction = None;
        // Producers 0 and 1 have no sequence, 2 and 3 are idempotent, 4 and 5 transactional.
        if producer_id >= 2 {
            let next = self.sequences.entry(producer_id).or_insert(0);
            options.producer_id = producer_id;
            options.producer_epoch = 0;
            options.base_sequence = *next;
            *next += i32::try_from(count).unwrap();
        }
        if producer_id >= 4 {
            options.transactional = true;
            let number = *self.open.entry(producer_id).or_insert(self.transactions.len());
            if number == self.transactions.len() {
                self.transactions.push(Fate::Open);
            }
            transaction = Some(number);
        }
        let base = log.log_end();
        append(log, keyed(options, &records), 0).unwrap();
        for ((at, key), value) in (base..).zip(keys).zip(values) {
            let found = Found { offset: at, key: Some(key), value, timestamp_ms: self.now_ms };
            self.originals.insert(at, Original { found, transaction });
        }
    }

    fn end_transaction(&mut self, log: &mut Log) {
        let producer_id = 4 + self.random.below(2).cast_signed();
        let Some(number) = self.open.remove(&producer_id) else { return };
        let commit = self.random.chance(50);
        self.transactions[number] = if commit { Fate::Committed } else { Fate::Aborted };
        append(log, marker(producer_id, commit), 0).unwrap();
    }

    fn compact(&mut self, log: &mut Log) {
        let keys = if self.random.chance(30) { 3 + self.random.below(20) } else { 1000 };
        let limits = CleanerLimits {
            dedupe_buffer_bytes: 24 * usize::try_from(keys).unwrap(),
            load_factor: 0.9,
        };
        let from = log.read(log.log_start(), 1, log.log_end()).unwrap();
        let held = from.map(|range| (range.read().unwrap(), range));
        let cleaned_to = if self.random.chance(20) { None } else { self.cleaned_to };
        if let Some((end, _)) = clean(log, cleaned_to, limits, self.now_ms).unwrap() {
            for (offset, original) in self.originals.range(..end) {
                if original.found.value.is_none() {
                    self.first_compacted_ms.entry(*offset).or_insert(self.now_ms);
                }
            }
            self.rounds.push((end, self.now_ms));
            self.cleaned_to = Some(end);
            self.check_compacted(log, end);
        }
        if let Some((bytes, range)) = held {
            assert_eq!(range.read().unwrap(), bytes, "whoever holds the old file goes on");
        }
    }

    fn is_committed(&self, original: &Original) -> bool {
        original.transaction.is_none_or(|number| self.transactions[number] == Fate::Committed)
    }

    /// What holds at any time.
    fn check(&self, log: &Log) {
        let left = records(log);
        for pair in left.windows(2) {
            assert!(pair[0].offset < pair[1].offset, "{pair:?}");
        }
        for found in &left {
            assert_eq!(*found, self.originals[&found.offset].found);
        }
        let committed: Vec<Found> = self
            .originals
            .values()
            .filter(|original| self.is_committed(original))
            .map(|original| original.found.clone())
            .collect();
        let stable = log.last_stable_offset(log.log_end());
        let below = |records: Vec<Found>| -> Vec<Found> {
            records.into_iter().filter(|found| found.offset < stable).collect()
        };
        let seen = below(committed_records(log));
        assert_eq!(last_values(&seen), last_values(&below(committed)), "each key's last value");
        for found in &seen {
            assert!(self.is_committed(&self.originals[&found.offset]), "{found:?} was aborted");
        }
    }

    /// What holds below `end` after a round up to it.
    fn check_compacted(&self, log: &Log, end: i64) {
        let left: BTreeSet<i64> = records(log).iter().map(|found| found.offset).collect();
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        for (offset, original) in self.originals.range(..end) {
            if self.is_committed(original) {
                last.insert(original.found.key.as_deref().unwrap(), *offset);
            }
        }
        // What did not fit into memory may have been seen in part.
        let behind: BTreeSet<&str> = self
            .originals
            .range(end..)
            .filter(|(_, original)| self.is_committed(original))
            .map(|(_, original)| original.found.key.as_deref().unwrap())
            .collect();
        for (offset, original) in self.originals.range(..end) {
            let key = original.found.key.as_deref().unwrap();
            let is_last = last.get(key) == Some(offset);
            if is_last && behind.contains(key) {
                continue;
            }
            let is_there = left.contains(offset);
            if !is_last {
                assert!(!is_there, "{original:?} is superseded or aborted");
            } else if original.found.value.is_some() {
                assert!(is_there, "{original:?} is the last of its key");
            } else {
                let since = self.first_compacted_ms[offset];
                let over = since + self.config.delete_retention_ms;
                let may_be_gone = self.rounds.iter().any(|(to, at)| to > offset && *at >= over);
                assert!(is_there || may_be_gone, "{original:?} is a tombstone since {since}");
            }
        }
        // A marker stays while data of its transaction is there.
        let mut open: BTreeMap<i64, usize> = BTreeMap::new();
        for batch in read_all(log).unwrap() {
            let header = header(&batch);
            if header.is_control() {
                open.remove(&header.producer_id);
                continue;
            }
            if !header.is_transactional() || header.record_count == 0 {
                continue;
            }
            let first = left.range(header.base_offset..).next().unwrap();
            let number = self.originals[first].transaction.unwrap();
            if let Some(before) = open.insert(header.producer_id, number) {
                assert_eq!(before, number, "the marker of transaction {before} is missing");
            }
        }
    }

    /// The log as it is after a start that has no snapshot to begin from.
    fn reopen(&mut self, mut log: Log) -> Log {
        if !log.is_on_disk() {
            return log;
        }
        let (end, open) = (log.log_end(), self.open.clone());
        if self.random.chance(50) {
            self.recovery_point = log.write_derived().unwrap();
        }
        sync(&mut log, &self.fs).unwrap();
        drop(log);
        if self.random.chance(50) {
            for name in self.fs.list_names("/data/t-0".as_ref()).unwrap() {
                if name.ends_with(".snapshot") {
                    self.fs.remove_file(&std::path::Path::new("/data/t-0").join(name)).unwrap();
                }
            }
        }
        let log = super::test_support::open(&self.fs, self.config.clone(), self.recovery_point);
        assert_eq!(log.log_end(), end);
        for producer_id in 2..6 {
            let Some(next) = self.sequences.get(&producer_id) else { continue };
            let options = |base_sequence| BatchOptions {
                producer_id,
                producer_epoch: 0,
                base_sequence,
                transactional: producer_id >= 4,
                ..BatchOptions::default()
            };
            let batch = |sequence| header(&keyed(options(sequence), &[("k", Some("v"), 1)]));
            assert_eq!(log.producers.check(&batch(*next)), Ok(SequenceCheck::Next));
            assert!(log.producers.check(&batch(*next + 1)).is_err(), "producer {producer_id}");
            assert_eq!(
                log.open_transaction(producer_id).is_some(),
                open.contains_key(&producer_id)
            );
        }
        log
    }
}

fn run(seed: u64) {
    let mut run = Run {
        fs: disk(seed),
        random: Random(seed),
        config: LogConfig { segment_bytes: 700, ..config() },
        now_ms: 10_000,
        originals: BTreeMap::new(),
        transactions: Vec::new(),
        open: BTreeMap::new(),
        sequences: BTreeMap::new(),
        cleaned_to: None,
        recovery_point: 0,
        first_compacted_ms: BTreeMap::new(),
        rounds: Vec::new(),
    };
    let mut log = super::test_support::open(&run.fs, run.config.clone(), 0);
    for _ in 0..150 {
        run.now_ms += run.random.below(100).cast_signed();
        match run.random.below(20) {
            0..=10 => run.write(&mut log),
            11..=15 => run.end_transaction(&mut log),
            16..=18 => run.compact(&mut log),
            _ => log = run.reopen(log),
        }
        run.check(&log);
    }
    // In the end everything is decided, and some rounds later nothing is left that is not needed.
    for producer_id in std::mem::take(&mut run.open).into_keys() {
        append(&mut log, marker(producer_id, true), 0).unwrap();
    }
    run.transactions
        .iter_mut()
        .filter(|fate| **fate == Fate::Open)
        .for_each(|fate| *fate = Fate::Committed);
    log.roll(run.now_ms).unwrap();
    for _ in 0..8 {
        run.now_ms += 5000;
        clean(&mut log, None, CleanerLimits::default(), run.now_ms).unwrap();
    }
    run.check(&log);
    assert!(records(&log).iter().all(|found| found.value.is_some()), "no tombstone is left");
    let kept: BTreeSet<_> = records(&log).iter().map(|found| found.key.clone()).collect();
    assert_eq!(kept.len(), records(&log).len(), "one record of each key");
    // An aborted batch stays, empty, when it is the last of its producer or of its segment.
    let empty: Vec<_> = read_all(&log).unwrap().iter().map(|batch| header(batch)).collect();
    for aborted in log.aborted_transactions(0, log.log_end()).unwrap() {
        assert!(empty.iter().any(|batch| {
            batch.record_count == 0
                && batch.producer_id == aborted.producer_id
                && batch.last_offset() >= aborted.first_offset
        }));
    }
}

#[test]
fn prop_of_each_key_the_last_committed_value_stays() {
    for seed in 0..25 {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
