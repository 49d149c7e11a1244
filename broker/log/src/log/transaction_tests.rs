//! Transactions in a log: what is undecided, what was aborted, and that it is known again after any stop.

use std::sync::Arc;

use super::Log;
use crate::fs::FileSystem;
use crate::fs::simulated::Simulated;
use crate::test_support::{End, append, batch, marker, open, plain, stamped, sync, transactional};
use crate::transaction_index::AbortedEntry;
use crate::{AppendRules, FirstSequence, LogConfig, LogError, MarkerEpoch, SequenceError, Staged};

fn fs() -> Simulated {
    let fs = Simulated::new(0);
    fs.create_directory("/data".as_ref()).unwrap();
    fs
}

fn reopen(fs: &Simulated, config: &LogConfig, recovery_point: i64) -> Log {
    open(Arc::new(fs.clone()), config.clone(), recovery_point).unwrap().0
}

/// Everything in one segment, or one batch in each.
fn configs() -> [LogConfig; 2] {
    [LogConfig::default(), LogConfig { segment_bytes: 1, ..LogConfig::default() }]
}

/// Two producers: 1 aborts 0..=1 and 6, and has 9 open; 2 commits 2.
fn write_transactions(log: &mut Log) {
    for batch in [
        transactional((1, 0, 0), &[1, 1], 5),
        transactional((2, 0, 0), &[1], 5),
        plain(1),
        marker(1, 0, End::Abort, 3),
        marker(2, 0, End::Commit, 3),
        transactional((1, 0, 2), &[1], 5),
        marker(1, 0, End::Abort, 3),
        plain(1),
        transactional((1, 0, 3), &[1], 5),
    ] {
        append(log, batch, 0).unwrap();
    }
    assert_eq!(log.log_end(), 10);
}

const ABORTED: [AbortedEntry; 2] = [
    AbortedEntry { producer_id: 1, first_offset: 0, last_offset: 4, last_stable_offset: 2 },
    AbortedEntry { producer_id: 1, first_offset: 6, last_offset: 7, last_stable_offset: 8 },
];

fn first_offsets(log: &Log, from: i64, to: i64) -> Vec<i64> {
    let found = log.aborted_transactions(from, to).unwrap();
    found.iter().map(|transaction| transaction.first_offset).collect()
}

fn check_transactions(log: &Log, when: &str) {
    assert_eq!(log.aborted_entries(0, 10).unwrap(), ABORTED, "{when}");
    for (from, to, expected) in [
        (0, 10, &[0, 6][..]),
        (0, 6, &[0]),
        (2, 5, &[0]),
        (5, 6, &[]),
        (5, 7, &[6]),
        (7, 8, &[6]),
        (8, 10, &[]),
    ] {
        assert_eq!(first_offsets(log, from, to), expected, "{from}..{to} {when}");
    }
    assert_eq!(log.open_transaction(1), Some(9), "{when}");
    assert_eq!(log.open_transaction(2), None, "{when}");
    assert_eq!(log.transactions().advance(10), 9, "{when}");
}

#[test]
fn the_last_stable_offset_waits_for_durable_markers() {
    let mut log = reopen(&fs(), &LogConfig::default(), 0);
    write_transactions(&mut log);
    for (high_watermark, expected) in
        [(0, 0), (3, 0), (4, 0), (5, 2), (6, 6), (7, 6), (8, 8), (9, 9), (10, 9)]
    {
        assert_eq!(log.last_stable_offset(high_watermark), expected, "at {high_watermark}");
    }
    log.delete_records(10).unwrap();
    assert_eq!(log.last_stable_offset(10), 10);
}

#[test]
fn transactions_are_known_again_after_every_kind_of_stop() {
    for config in configs() {
        let fs = fs();
        let mut log = reopen(&fs, &config, 0);
        write_transactions(&mut log);
        check_transactions(&log, "before the stop");
        sync(&mut log, &fs).unwrap();
        drop(log);
        check_transactions(&reopen(&fs, &config, 0), "after a kill");
        let mut log = reopen(&fs, &config, 0);
        let point = log.write_derived().unwrap();
        drop(log);
        check_transactions(&reopen(&fs, &config, point), "after a clean stop");
        for point in 0..10 {
            check_transactions(&reopen(&fs, &config, point), &format!("from {point} on"));
        }
        // Of every segment that a marker is in, and of no other.
        let mut names = fs.list_names("/data/t-0".as_ref()).unwrap();
        names.retain(|name| name.ends_with(".txnindex"));
        names.sort_unstable();
        let expected = if config.segment_bytes == 1 {
            vec!["00000000000000000004.txnindex", "00000000000000000007.txnindex"]
        } else {
            vec!["00000000000000000000.txnindex"]
        };
        assert_eq!(names, expected);
    }
}

#[test]
fn producers_are_listed_with_their_transactions() {
    let fs = fs();
    let mut log = reopen(&fs, &LogConfig::default(), 0);
    write_transactions(&mut log);
    let list = |log: &Log| {
        let mut producers: Vec<_> = log.producers().collect();
        producers.sort_unstable_by_key(|producer| producer.id);
        producers
            .iter()
            .map(|one| {
                (one.id, one.epoch, one.last_sequence, one.coordinator_epoch, one.open_transaction)
            })
            .collect::<Vec<_>>()
    };
    let expected = [(1, 0, 3, 3, Some(9)), (2, 0, 0, 3, None)];
    assert_eq!(list(&log), expected);
    assert_eq!(log.producers().find(|producer| producer.id == 2).unwrap().last_timestamp_ms, 1000);
    let point = log.write_derived().unwrap();
    drop(log);
    assert_eq!(list(&reopen(&fs, &LogConfig::default(), point)), expected);
}

#[test]
fn truncation_takes_markers_back() {
    for config in configs() {
        let fs = fs();
        let mut log = reopen(&fs, &config, 0);
        write_transactions(&mut log);
        log.truncate(7, 0).unwrap();
        assert_eq!((log.open_transaction(1), log.transactions().advance(7)), (Some(6), 6));
        assert_eq!(log.aborted_entries(0, 10).unwrap(), ABORTED[..1]);
        assert_eq!((first_offsets(&log, 0, 7), first_offsets(&log, 5, 7)), (vec![0], vec![]));
        append(&mut log, marker(1, 0, End::Commit, 3), 0).unwrap();
        assert_eq!(log.transactions().advance(8), 8);
        log.truncate(4, 0).unwrap();
        assert_eq!((log.open_transaction(1), log.open_transaction(2)), (Some(0), Some(2)));
        assert!(log.aborted_entries(0, 10).unwrap().is_empty());
        sync(&mut log, &fs).unwrap();
        drop(log);
        let log = reopen(&fs, &config, 0);
        assert_eq!((log.open_transaction(1), log.transactions().advance(4)), (Some(0), 0));
        assert!(log.aborted_entries(0, 10).unwrap().is_empty());
    }
}

#[test]
fn an_index_with_half_an_entry_is_made_again() {
    for config in configs() {
        let fs = fs();
        let mut log = reopen(&fs, &config, 0);
        write_transactions(&mut log);
        let point = log.write_derived().unwrap();
        sync(&mut log, &fs).unwrap();
        drop(log);
        let names = fs.list_names("/data/t-0".as_ref()).unwrap();
        let name = names.iter().find(|name| name.ends_with(".txnindex")).unwrap();
        let path = log_path(name);
        fs.open(&path, crate::fs::OpenHow::Existing).unwrap().truncate(20).unwrap();
        check_transactions(&reopen(&fs, &config, point), "after the damage");
    }
}

fn log_path(name: &str) -> std::path::PathBuf {
    std::path::Path::new("/data/t-0").join(name)
}

#[test]
fn markers_are_fenced_by_epochs() {
    let mut log = reopen(&fs(), &LogConfig::default(), 0);
    append(&mut log, transactional((1, 4, 0), &[1], 5), 0).unwrap();
    let stage = |log: &mut Log, bytes, marker_epoch| {
        let rules = AppendRules { marker_epoch, ..AppendRules::default() };
        log.stage_with(stamped(bytes), 0, rules, 0)
    };
    let old = stage(&mut log, marker(1, 3, End::Abort, 7), MarkerEpoch::Same);
    assert!(matches!(old, Err(LogError::Sequence(SequenceError::OldEpoch { current: 4, .. }))));
    // Under version 2 the epoch of the batches is that of the transaction before.
    let late = stage(&mut log, marker(1, 4, End::Abort, 7), MarkerEpoch::Raised);
    assert!(matches!(late, Err(LogError::Sequence(SequenceError::OldEpoch { .. }))));
    assert_eq!(log.open_transaction(1), Some(0));
    for _ in 0..2 {
        // The second time nothing is open, and it changes nothing.
        stage(&mut log, marker(1, 5, End::Abort, 7), MarkerEpoch::Raised).unwrap();
        log.write_staged(0).unwrap();
    }
    assert_eq!(log.aborted_entries(0, 9).unwrap().len(), 1);
    let zombie = stage(&mut log, marker(1, 6, End::Abort, 6), MarkerEpoch::Raised);
    assert!(matches!(
        zombie,
        Err(LogError::Sequence(SequenceError::CoordinatorFenced { current: 7, .. }))
    ));
    // The batches of the ended epoch come too late, and the next epoch starts at 0.
    for (batch, expected) in [
        (transactional((1, 4, 1), &[1], 5), "epoch of producer 1 is 4, smaller"),
        (transactional((1, 5, 1), &[1], 5), "out of order"),
    ] {
        let err = append(&mut log, batch, 0).unwrap_err().to_string();
        assert!(err.contains(expected), "{err}");
    }
    append(&mut log, transactional((1, 5, 0), &[1], 5), 0).unwrap();
    let outside = append(&mut log, batch(Some((1, 5, 1)), &[1], 5), 0);
    assert!(matches!(
        outside,
        Err(LogError::Sequence(SequenceError::TransactionOpen { first_offset: 3, .. }))
    ));
    let again = append(&mut log, transactional((1, 5, 0), &[1], 5), 0).unwrap();
    assert!(matches!(again, Staged::Duplicate { base_offset: 3, last_offset: 3, .. }), "{again:?}");
}

#[test]
fn a_transaction_of_version_2_starts_at_0_where_its_producer_is_not_known() {
    let mut log = reopen(&fs(), &LogConfig::default(), 0);
    let rules = AppendRules { first_sequence: FirstSequence::Zero, ..AppendRules::default() };
    let mut stage = |bytes| log.stage_with(stamped(bytes), 0, rules, 0);
    let lost_first = stage(transactional((1, 0, 7), &[1], 5));
    assert!(matches!(
        lost_first,
        Err(LogError::Sequence(SequenceError::OutOfOrder { sequence: 7, last_sequence: -1, .. }))
    ));
    stage(transactional((1, 0, 0), &[1], 5)).unwrap();
    stage(transactional((1, 0, 1), &[1], 5)).unwrap();
    // Without a transaction the state may have expired, as before.
    stage(batch(Some((2, 0, 7)), &[1], 5)).unwrap();
}

#[test]
fn staged_batches_and_markers_follow_each_other_in_one_write() {
    let mut log = reopen(&fs(), &LogConfig::default(), 0);
    for batch in [
        transactional((1, 0, 0), &[1], 5),
        marker(1, 0, End::Abort, 0),
        transactional((1, 0, 1), &[1], 5),
        marker(1, 0, End::Commit, 0),
    ] {
        log.stage(stamped(batch), 0, 0).unwrap();
    }
    let outside = log.stage(stamped(batch(Some((1, 0, 2)), &[1], 5)), 0, 0);
    assert!(outside.is_ok(), "nothing is open any more: {outside:?}");
    log.write_staged(0).unwrap();
    assert_eq!(first_offsets(&log, 0, 5), [0]);
    assert_eq!(log.transactions().advance(5), 5);
}

#[test]
fn a_coordinators_batches_have_no_sequence_but_an_epoch() {
    let mut log = reopen(&fs(), &LogConfig::default(), 0);
    for epoch in [2, 2, 3] {
        append(&mut log, transactional((1, epoch, -1), &[1], 5), 0).unwrap();
    }
    assert!(append(&mut log, transactional((1, 2, -1), &[1], 5), 0).is_err());
    assert_eq!(log.open_transaction(1), Some(0));
}

#[test]
fn a_transaction_that_lost_its_marker_to_retention_is_not_open_for_ever() {
    let fs = fs();
    let config = LogConfig { retention_bytes: 0, ..LogConfig::default() };
    let mut log = reopen(&fs, &config, 0);
    append(&mut log, transactional((1, 0, 0), &[1], 5), 0).unwrap();
    log.write_derived().unwrap();
    append(&mut log, marker(1, 0, End::Abort, 0), 0).unwrap();
    log.roll(1000).unwrap();
    append(&mut log, plain(1), 0).unwrap();
    assert_eq!(log.retain(3, 1000).unwrap(), 1);
    // The snapshot of the segment is lost, and one of a time when the transaction was open is there.
    fs.remove_file(&log_path("00000000000000000002.snapshot")).unwrap();
    assert!(fs.read(&log_path("00000000000000000001.snapshot")).is_ok());
    drop(log);
    let log = reopen(&fs, &config, 3);
    assert_eq!((log.log_start(), log.last_stable_offset(3)), (2, 3));
}

#[test]
fn snapshots_of_recovery_points_do_not_pile_up() {
    let fs = fs();
    let mut log = reopen(&fs, &LogConfig::default(), 0);
    for round in 1..6 {
        append(&mut log, plain(1), 0).unwrap();
        log.write_derived().unwrap();
        if round == 3 {
            log.roll(0).unwrap();
        }
        if round == 4 {
            sync(&mut log, &fs).unwrap();
            drop(log);
            log = reopen(&fs, &LogConfig::default(), 4);
        }
    }
    let mut names = fs.list_names("/data/t-0".as_ref()).unwrap();
    names.retain(|name| name.ends_with(".snapshot"));
    names.sort_unstable();
    // The one of the segment, of the last recovery point, and of the one before it.
    assert_eq!(names, [3, 4, 5].map(|offset| format!("{offset:020}.snapshot")));
}
