//! Rounds that are killed at every change of the file system, and go on after the next start.
//!
//! The last values, offsets and what is aborted are those of before; what was begun is finished or undone; and the round
//! that follows ends where one without a crash ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_broker_protocol::batch::BatchOptions;

use super::test_support::*;
use super::{CleanerLimits, swap};
use crate::LogConfig;
use crate::fs::FileSystem;
use crate::fs::simulated::{Crash, Random, Simulated};
use crate::log::Log;
use crate::test_support::{append, header, read_all};

const DIRECTORY: &str = "/data/t-0";

/// A log with a dozen segments, some transactions, and everything durable. Returns the recovery point.
fn filled(fs: &Simulated, seed: u64) -> i64 {
    let mut random = Random(seed);
    let mut log = open(fs, config(), 0);
    for number in 0..40 {
        let keys: Vec<String> =
            (0..1 + random.below(3)).map(|_| format!("k{}", random.below(8))).collect();
        let value = number.to_string();
        let records: Vec<Written<'_>> = keys
            .iter()
            .map(|key| (key.as_str(), random.chance(80).then_some(value.as_str()), number))
            .collect();
        if random.chance(30) {
            let producer_id = random.below(2).cast_signed();
            let options = BatchOptions {
                producer_id,
                producer_epoch: 0,
                base_sequence: -1,
                transactional: true,
                ..BatchOptions::default()
            };
            append(&mut log, keyed(options, &records), 0).unwrap();
            append(&mut log, marker(producer_id, random.chance(50)), 0).unwrap();
        } else {
            write(&mut log, &records);
        }
    }
    let point = log.write_derived().unwrap();
    fs.sync_everything(DIRECTORY.as_ref()).unwrap();
    point
}

/// What a reader of committed records gets.
fn committed(log: &Log) -> BTreeMap<String, String> {
    last_values(&committed_records(log))
}

fn names(fs: &Simulated) -> Vec<String> {
    let mut names = fs.list_names(DIRECTORY.as_ref()).unwrap();
    names.retain(|name| !name.ends_with(".snapshot"));
    names.sort_unstable();
    names
}

/// What a round without a crash, and the one after it, leave of the data.
fn undisturbed(seed: u64) -> Vec<Vec<u8>> {
    let fs = disk(seed);
    let point = filled(&fs, seed);
    let mut log = open(&fs, config(), point);
    clean_all(&mut log, 5000);
    clean_all(&mut log, 5000);
    data(&log)
}

/// The batches with data. Markers of transactions whose data is gone may be one round further or not.
fn data(log: &Log) -> Vec<Vec<u8>> {
    let mut batches = read_all(log).unwrap();
    batches.retain(|batch| {
        let header = header(batch);
        header.record_count > 0 && !header.is_control()
    });
    batches
}

struct Case<'a> {
    seed: u64,
    how: Crash,
    /// 0: nothing is believed.
    recovery_point: Option<i64>,
    expected: &'a [Vec<u8>],
}

impl Case<'_> {
    /// Whether the round was done before the kill.
    fn run(&self, kill_after: u64) -> bool {
        let fs = disk(self.seed ^ kill_after << 8);
        let point = self.recovery_point.unwrap_or(filled(&fs, self.seed));
        let mut log = open(&fs, config(), point);
        let (before, end) = (committed(&log), log.log_end());
        fs.kill_after(kill_after);
        let survived = clean(&mut log, None, CleanerLimits::default(), 5000).is_ok();
        drop(log);
        fs.crash(self.how);
        // The start that follows is killed as well, at one place or another.
        fs.kill_after(Random(kill_after).below(12));
        drop(crate::test_support::open(Arc::new(fs.clone()), config(), point));
        fs.crash(self.how);
        let mut log = open(&fs, config(), point);
        let left: Vec<_> = names(&fs)
            .into_iter()
            .filter(|name| name.ends_with(swap::CLEANED) || name.ends_with(swap::SWAP))
            .collect();
        assert_eq!(left, Vec::<String>::new());
        assert_eq!((committed(&log), log.log_start(), log.log_end()), (before.clone(), 0, end));
        clean_all(&mut log, 5000);
        assert_eq!(committed(&log), before);
        assert!(data(&log) == self.expected, "what stays does not depend on the crash");
        survived
    }
}

#[test]
fn prop_a_round_that_is_killed_anywhere_is_finished_or_undone() {
    for (seed, how, recovery_point) in
        [(0, Crash::Kill, None), (1, Crash::PowerLoss, None), (2, Crash::PowerLoss, Some(0))]
    {
        let expected = undisturbed(seed);
        let case = Case { seed, how, recovery_point, expected: &expected };
        let survived_at = (0..2000).find(|kill_after| {
            let run = || case.run(*kill_after);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
                eprintln!("seed {seed}, {how:?} after {kill_after} changes, {recovery_point:?}");
                std::panic::resume_unwind(panic)
            })
        });
        assert!(survived_at.is_some_and(|changes| changes > 40), "{survived_at:?}");
    }
}

/// Lays out the files of a swap as they are after some of its steps, by Apache Kafka's order of renames.
#[test]
fn a_swap_that_apache_kafka_began_is_finished_as_kafka_finishes_it() {
    let lay_out = |steps: usize| {
        let fs = disk(1);
        let mut log = open(&fs, LogConfig { segment_bytes: 1 << 20, ..config() }, 0);
        write_segment(&mut log, &[("a", Some("1"), 1)]);
        write_segment(&mut log, &[("a", Some("2"), 1)]);
        write(&mut log, &[("b", Some("1"), 1)]);
        let cleanable = log.cleanable(None, 3, 5).unwrap().unwrap();
        let mut round = log.begin_cleaning(&cleanable, CleanerLimits::default(), 5).unwrap();
        round.index(&mut |_| true).unwrap();
        round.next_segment(&mut |_| true).unwrap().unwrap();
        drop(log);
        let path = |name: &str| std::path::Path::new(DIRECTORY).join(name);
        let base = "00000000000000000000";
        for suffix in ["log", "index", "timeindex"] {
            fs.rename(
                &path(&format!("{base}.{suffix}.swap")),
                &path(&format!("{base}.{suffix}.cleaned")),
            )
            .unwrap();
        }
        // Kafka renames the records first, then deletes the old segments, then names the new one, records first.
        let mut all: Vec<(String, String)> = Vec::new();
        for suffix in ["log", "index", "timeindex"] {
            all.push((format!("{base}.{suffix}.cleaned"), format!("{base}.{suffix}.swap")));
        }
        for old in ["00000000000000000000", "00000000000000000001"] {
            for suffix in ["log", "index", "timeindex"] {
                all.push((format!("{old}.{suffix}"), format!("{old}.{suffix}.deleted")));
            }
        }
        for suffix in ["log", "index", "timeindex"] {
            all.push((format!("{base}.{suffix}.swap"), format!("{base}.{suffix}")));
        }
        for (from, to) in all.iter().take(steps) {
            fs.rename(&path(from), &path(to)).unwrap();
        }
        (fs, all.len())
    };
    let (_, count) = lay_out(0);
    for steps in 0..=count {
        let (fs, _) = lay_out(steps);
        let log = open(&fs, config(), 3);
        let expected = if steps < 3 { 3 } else { 2 };
        assert_eq!((records(&log).len(), log.log_end()), (expected, 3), "after {steps} steps");
        assert_eq!(last_values(&records(&log)).len(), 2);
    }
}
