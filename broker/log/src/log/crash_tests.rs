//! Random runs on the simulated file system: append, sync, checkpoint, be killed anywhere, recover, go on.
//!
//! What was synced survives, what is served was appended, offsets have no gaps, producers and transactions are as the
//! records say, in memory and in the index files.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aquifer_broker_protocol::batch::RecordBatch;
use bytes::BytesMut;

use super::{Log, Staged};
use crate::fs::FileSystem;
use crate::fs::simulated::{Crash, Random, Simulated};
use crate::index::IndexEntry;
use crate::producer_state::{Marker, SequenceCheck};
use crate::test_support::{
    End, Sequence, append, batch, header, marker, open, plain, read_all, stamped, sync,
    transactional,
};
use crate::transaction_index::AbortedEntry;
use crate::{LogConfig, LogError};

struct Run {
    fs: Simulated,
    random: Random,
    config: LogConfig,
    /// Batches that may be in the log, in order.
    appended: Vec<Vec<u8>>,
    /// Everything below it was synced.
    durable_end: i64,
    recovery_point: i64,
    next_sequences: HashMap<i64, i32>,
    /// The epochs of transactional producers, and whether their transaction is open.
    transactions: HashMap<i64, (i16, bool)>,
}

/// What the batches of a log say of its transactions.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    /// First offset to producer.
    open: BTreeMap<i64, i64>,
    aborted: Vec<AbortedEntry>,
    epochs: HashMap<i64, i16>,
}

impl Expected {
    fn of(batches: &[Vec<u8>]) -> Self {
        let mut expected = Self::default();
        for bytes in batches {
            let (batch, _) = RecordBatch::parse(bytes).unwrap();
            let producer_id = batch.producer_id();
            if !batch.is_transactional() {
                continue;
            }
            expected.epochs.insert(producer_id, batch.producer_epoch());
            let open = expected.open.iter().find(|(_, id)| **id == producer_id);
            let first = open.map(|(first, _)| *first);
            match (Marker::of(&batch), first) {
                (None, None) => {
                    expected.open.insert(batch.base_offset(), producer_id);
                }
                (Some(marker), Some(first_offset)) => {
                    expected.open.remove(&first_offset);
                    let last_offset = batch.base_offset();
                    let next = expected.open.keys().next().copied();
                    let last_stable_offset = next.unwrap_or(last_offset + 1);
                    if !marker.committed {
                        expected.aborted.push(AbortedEntry {
                            producer_id,
                            first_offset,
                            last_offset,
                            last_stable_offset,
                        });
                    }
                }
                (None, Some(_)) | (Some(_), None) => {}
            }
        }
        expected
    }

    fn last_stable_offset(&self, end: i64) -> i64 {
        self.open.keys().next().copied().unwrap_or(end)
    }
}

impl Run {
    fn shared(&self) -> Arc<dyn FileSystem> {
        Arc::new(self.fs.clone())
    }

    fn sequence(&mut self, count: u64) -> Option<Sequence> {
        self.random.chance(60).then(|| {
            let id = self.random.below(3).cast_signed();
            let next = self.next_sequences.entry(id).or_insert(0);
            *next += i32::try_from(count).unwrap();
            (id, 0, *next - i32::try_from(count).unwrap())
        })
    }

    /// A batch or a marker of one of a few transactional producers. Those with even ids raise their epoch at each end.
    fn of_transaction(&mut self, timestamps: &[i64], value_bytes: usize) -> BytesMut {
        let id = 10 + self.random.below(4).cast_signed();
        let ends = self.random.chance(30);
        let end = if self.random.chance(50) { End::Commit } else { End::Abort };
        let (epoch, open) = self.transactions.entry(id).or_insert((0, false));
        let next = self.next_sequences.entry(id).or_insert(0);
        if ends {
            *open = false;
            if id % 2 == 0 {
                *epoch += 1;
                *next = 0;
            }
            return marker(id, *epoch, end, 1);
        }
        *open = true;
        *next += i32::try_from(timestamps.len()).unwrap();
        transactional(
            (id, *epoch, *next - i32::try_from(timestamps.len()).unwrap()),
            timestamps,
            value_bytes,
        )
    }

    fn append_some(&mut self, log: &mut Log, epoch: i32) -> Result<(), LogError> {
        let mut staged: Vec<Vec<u8>> = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let count = 1 + self.random.below(3);
            let timestamps: Vec<i64> =
                (0..count).map(|_| self.random.below(5000).cast_signed()).collect();
            let value_bytes = usize::try_from(self.random.below(120)).unwrap();
            let mut bytes = if self.random.chance(50) {
                self.of_transaction(&timestamps, value_bytes)
            } else {
                let sequence = self.sequence(count);
                batch(sequence, &timestamps, value_bytes)
            };
            let Staged::New { base_offset, .. } = log.stage(stamped(bytes.clone()), epoch, 1000)?
            else {
                panic!("a new batch is not a duplicate");
            };
            aquifer_broker_protocol::batch::set_base_offset_and_epoch(
                &mut bytes,
                base_offset,
                epoch,
            )
            .unwrap();
            staged.push(bytes.to_vec());
        }
        // A write that died half-way may have left its first batches.
        self.appended.extend(staged);
        log.write_staged(1000).map(|_| ())
    }

    fn work(&mut self, log: &mut Log, epoch: i32) -> Result<(), LogError> {
        for _ in 0..self.random.below(30) {
            match self.random.below(10) {
                0..=5 => self.append_some(log, epoch)?,
                6..=8 => {
                    let end = log.log_end();
                    sync(log, &self.fs)?;
                    self.durable_end = end;
                }
                _ => {
                    let point = log.write_derived()?;
                    self.fs
                        .sync_everything(log.directory())
                        .map_err(LogError::io("sync", log.directory()))?;
                    self.recovery_point = point;
                    self.durable_end = self.durable_end.max(point);
                }
            }
        }
        Ok(())
    }

    fn verify(&mut self, log: &Log) {
        assert!(log.log_end() >= self.durable_end, "{} < {}", log.log_end(), self.durable_end);
        let found = read_all(log).unwrap();
        assert!(found.len() <= self.appended.len());
        assert_eq!(found, self.appended[..found.len()], "what is served was appended, in order");
        assert_eq!(found.last().map_or(0, |last| header(last).next_offset()), log.log_end());
        let mut last = HashMap::new();
        for batch in &found {
            let header = header(batch);
            if header.has_producer_id() && !header.is_control() {
                last.insert(header.producer_id, header);
            }
        }
        self.next_sequences =
            last.iter().map(|(id, header)| (*id, header.last_sequence() + 1)).collect();
        let expected = Expected::of(&found);
        self.transactions = HashMap::new();
        for (id, epoch) in &expected.epochs {
            let open = expected.open.values().any(|open| open == id);
            self.transactions.insert(*id, (*epoch, open));
            if last.get(id).is_none_or(|header| header.producer_epoch != *epoch) {
                self.next_sequences.insert(*id, 0);
                last.remove(id);
            }
        }
        self.verify_transactions(log, &expected);
        for (id, mut header) in last {
            assert!(
                matches!(log.producers.check(&header), Ok(SequenceCheck::Duplicate(_))),
                "producer {id}"
            );
            header.base_sequence = header.last_sequence() + 1;
            assert_eq!(log.producers.check(&header), Ok(SequenceCheck::Next), "producer {id}");
        }
        self.appended.truncate(found.len());
    }

    fn verify_transactions(&mut self, log: &Log, expected: &Expected) {
        let end = log.log_end();
        assert_eq!(log.transactions().advance(end), expected.last_stable_offset(end));
        assert_eq!(log.aborted_entries(0, end).unwrap(), expected.aborted);
        for id in 10..14 {
            let open = expected.open.iter().find(|(_, open)| **open == id);
            assert_eq!(log.open_transaction(id), open.map(|(first, _)| *first), "producer {id}");
        }
        for _ in 0..10 {
            let from = self.random.below(end.cast_unsigned() + 1).cast_signed();
            let to = from + 1 + self.random.below(20).cast_signed();
            let found = log.aborted_transactions(from, to).unwrap();
            let expected = expected.aborted.iter().filter(|entry| entry.overlaps(from, to));
            assert_eq!(found, expected.map(AbortedEntry::transaction).collect::<Vec<_>>());
        }
    }

    /// After a clean stop, what lies in the files is what the records say.
    fn verify_files(&self, batches: &[Vec<u8>]) {
        let expected = Expected::of(batches);
        let mut found = Vec::new();
        let mut names = self.fs.list_names("/data/t-0".as_ref()).unwrap();
        names.retain(|name| name.ends_with(".txnindex"));
        names.sort_unstable();
        for name in names {
            let contents = self.fs.read(&std::path::Path::new("/data/t-0").join(name)).unwrap();
            assert_eq!(contents.len() % AbortedEntry::SIZE, 0);
            found.extend(contents.chunks(AbortedEntry::SIZE).filter_map(AbortedEntry::decode));
        }
        assert_eq!(found, expected.aborted);
    }

    fn reopen(&mut self) -> Log {
        loop {
            // Recovery itself may be killed.
            if self.random.chance(30) {
                self.fs.kill_after(self.random.below(12));
            }
            match open(self.shared(), self.config.clone(), self.recovery_point) {
                Ok((mut log, _)) => {
                    if sync(&mut log, &self.fs).is_ok() {
                        self.fs.kill_after(u64::MAX);
                        return log;
                    }
                }
                Err(LogError::Io { .. }) => {}
                Err(err) => panic!("recovery: {err}"),
            }
            self.crash();
        }
    }

    fn crash(&mut self) {
        let how = if self.random.chance(50) { Crash::Kill } else { Crash::PowerLoss };
        self.fs.crash(how);
    }
}

fn run(seed: u64) {
    let config =
        LogConfig { segment_bytes: 900, index_interval_bytes: 150, ..LogConfig::default() };
    let mut run = Run {
        fs: Simulated::new(seed),
        random: Random(seed ^ 0xabcd),
        config,
        appended: Vec::new(),
        durable_end: 0,
        recovery_point: 0,
        next_sequences: HashMap::new(),
        transactions: HashMap::new(),
    };
    run.fs.create_directory("/data".as_ref()).unwrap();
    run.fs.sync_directory("/data".as_ref()).unwrap();
    for epoch in 0..6 {
        let mut log = run.reopen();
        run.verify(&log);
        run.durable_end = log.log_end();
        if run.random.chance(80) {
            run.fs.kill_after(run.random.below(120));
        }
        // An error here is the kill; the process is gone with everything in its memory.
        let worked = run.work(&mut log, epoch);
        if worked.is_ok() && log.write_derived().is_ok() && log.is_on_disk() {
            run.verify_files(&read_all(&log).unwrap());
        }
        drop(log);
        run.crash();
    }
}

#[test]
fn prop_everything_synced_survives_and_nothing_invalid_is_served() {
    for seed in 0..300 {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_failed_sync_takes_back_what_is_not_durable_and_the_log_goes_on() {
    let fs = Simulated::new(1);
    fs.create_directory("/data".as_ref()).unwrap();
    let (mut log, _) = open(Arc::new(fs.clone()), LogConfig::default(), 0).unwrap();
    append(&mut log, batch(Some((5, 0, 0)), &[1], 10), 3).unwrap();
    sync(&mut log, &fs).unwrap();
    append(&mut log, batch(Some((5, 0, 1)), &[2], 10), 3).unwrap();
    fs.set_fail_syncs(true);
    assert!(sync(&mut log, &fs).is_err());
    fs.set_fail_syncs(false);
    log.give_up_unsynced(1, 1000).unwrap();
    assert_eq!((log.log_end(), log.segments.len()), (1, 2));
    let again = append(&mut log, batch(Some((5, 0, 1)), &[2], 10), 4).unwrap();
    assert_eq!(again, Staged::New { base_offset: 1, last_offset: 1 });
    sync(&mut log, &fs).unwrap();
    drop(log);
    fs.crash(Crash::PowerLoss);
    let (log, _) = open(Arc::new(fs), LogConfig::default(), 0).unwrap();
    assert_eq!(log.log_end(), 2);
    assert_eq!(log.end_offset_for_epoch(3), (3, 1));
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was() {
    let fs = Simulated::new(2);
    fs.create_directory("/data".as_ref()).unwrap();
    let (mut log, _) = open(Arc::new(fs.clone()), LogConfig::default(), 0).unwrap();
    append(&mut log, batch(Some((5, 0, 0)), &[1], 10), 0).unwrap();
    for sequence in 1..20 {
        fs.set_full(true);
        let err = append(&mut log, batch(Some((5, 0, sequence)), &[1], 10), 0).unwrap_err();
        assert!(err.is_disk_full(), "{err}");
        assert_eq!(log.log_end(), i64::from(sequence));
        fs.set_full(false);
        append(&mut log, batch(Some((5, 0, sequence)), &[1], 10), 0).unwrap();
    }
    assert_eq!(read_all(&log).unwrap().len(), 20);
}

#[test]
fn a_flipped_byte_is_refused_where_it_was_trusted_and_cut_where_it_was_not() {
    let fs = Simulated::new(3);
    fs.create_directory("/data".as_ref()).unwrap();
    let (mut log, _) = open(Arc::new(fs.clone()), LogConfig::default(), 0).unwrap();
    for _ in 0..3 {
        append(&mut log, plain(1), 0).unwrap();
    }
    let point = log.write_derived().unwrap();
    fs.sync_everything("/data".as_ref()).unwrap();
    drop(log);
    let size = plain(1).len();
    fs.flip("/data/t-0/00000000000000000000.log".as_ref(), size + size / 2 + 30);
    // Trusted: the records stay, and reading says what is wrong with them. Here the tail is scanned from the start
    // of the segment, for want of an index entry, so that it is found at once.
    let (log, report) = open(Arc::new(fs), LogConfig::default(), point).unwrap();
    assert!(
        matches!(report.truncated, Some(LogError::Corrupt { position, .. }) if position == size as u64)
    );
    assert_eq!(log.log_end(), 1);
}
