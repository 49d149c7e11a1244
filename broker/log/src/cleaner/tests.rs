//! Rounds over small logs, by hand.

use std::path::Path;

use aquifer_broker_protocol::batch::{
    BatchBuilder, BatchOptions, Compression, NewRecord, TimestampType,
};
use bytes::BytesMut;

use super::CleanerLimits;
use super::test_support::*;
use crate::fs::FileSystem;
use crate::producer_state::SequenceCheck;
use crate::test_support::{append, header, read_all, sync};
use crate::{LogConfig, LogError};

fn owned(expected: &[(i64, &str, Option<&str>)]) -> Vec<(i64, String, Option<String>)> {
    expected
        .iter()
        .map(|(offset, key, value)| (*offset, (*key).to_owned(), value.map(str::to_owned)))
        .collect()
}

#[test]
fn the_last_value_of_each_key_stays_where_it_was() {
    let fs = disk(0);
    let mut log = open(&fs, LogConfig { segment_bytes: 1 << 20, ..config() }, 0);
    write_segment(&mut log, &[("a", Some("1"), 10), ("b", Some("1"), 11), ("c", Some("1"), 12)]);
    write_segment(&mut log, &[("a", Some("2"), 13)]);
    write_segment(&mut log, &[("b", Some("2"), 14), ("d", Some("1"), 15)]);
    write(&mut log, &[("d", Some("2"), 16)]);
    let (end, stats) = clean(&mut log, None, CleanerLimits::default(), 20).unwrap().unwrap();
    let expected = [
        (2, "c", Some("1")),
        (3, "a", Some("2")),
        (4, "b", Some("2")),
        (5, "d", Some("1")),
        (6, "d", Some("2")),
    ];
    assert_eq!(listed(&log), owned(&expected), "the active segment is not looked at");
    assert_eq!((end, log.log_start(), log.log_end(), log.segments.len()), (6, 0, 7, 2));
    assert_eq!((stats.keys, stats.records_read, stats.records_kept), (4, 6, 4));
    // Every offset can be asked for, and an offset that went is answered with what comes next.
    for from in 0..7 {
        let range = log.read(from, 1, 7).unwrap().unwrap();
        assert!(range.checked);
        let bytes = range.read().unwrap();
        assert!(header(&bytes).next_offset() > from);
    }
    assert_eq!(clean(&mut log, Some(end), CleanerLimits::default(), 20).unwrap(), None);
    let names = fs.list_names(Path::new("/data/t-0")).unwrap();
    assert!(
        names.iter().all(|name| !name.contains(".swap") && !name.contains(".cleaned")),
        "{names:?}"
    );
    sync(&mut log, &fs).unwrap();
    drop(log);
    assert_eq!(listed(&open(&fs, config(), 0)), owned(&expected), "scanned");
    assert_eq!(listed(&open(&fs, config(), 7)), owned(&expected), "believed");
}

#[test]
fn a_tombstone_goes_its_time_after_what_it_deletes() {
    let fs = disk(0);
    let mut log = open(&fs, LogConfig { segment_bytes: 1 << 20, ..config() }, 0);
    write_segment(&mut log, &[("a", Some("1"), 10), ("b", Some("1"), 10)]);
    write_segment(&mut log, &[("a", None, 11), ("c", Some("1"), 12)]);
    let with = owned(&[(1, "b", Some("1")), (2, "a", None), (3, "c", Some("1"))]);
    let without = owned(&[(1, "b", Some("1")), (3, "c", Some("1"))]);
    clean_all(&mut log, 5000);
    assert_eq!(listed(&log), with);
    let rewritten = records(&log);
    assert_eq!(rewritten.iter().map(|found| found.timestamp_ms).collect::<Vec<_>>(), [10, 11, 12]);
    let batches = read_all(&log).unwrap();
    assert_eq!(header(&batches[0]).delete_horizon_ms(), None);
    assert_eq!(header(&batches[1]).delete_horizon_ms(), Some(6000));
    clean_all(&mut log, 5999);
    assert_eq!(
        (listed(&log), header(&read_all(&log).unwrap()[1]).delete_horizon_ms()),
        (with, Some(6000))
    );
    clean_all(&mut log, 6000);
    assert_eq!(listed(&log), without);
    assert_eq!(records(&log)[1].timestamp_ms, 12, "counted from the horizon all the same");
}

#[test]
fn a_key_that_comes_back_after_its_tombstone_stays() {
    let fs = disk(0);
    let mut log = open(&fs, config(), 0);
    write_segment(&mut log, &[("a", Some("1"), 10)]);
    write_segment(&mut log, &[("a", None, 11)]);
    write_segment(&mut log, &[("a", Some("2"), 12)]);
    clean_all(&mut log, 5000);
    assert_eq!(listed(&log), owned(&[(2, "a", Some("2"))]));
}

#[test]
fn what_does_not_fit_into_memory_is_left_to_the_next_round() {
    let fs = disk(0);
    let mut log = open(&fs, config(), 0);
    for number in 0..12 {
        let key = format!("k{}", number % 6);
        let value = number.to_string();
        write(&mut log, &[(key.as_str(), Some(value.as_str()), number)]);
    }
    log.roll(0).unwrap();
    let limits = CleanerLimits { dedupe_buffer_bytes: 24 * 5, load_factor: 0.9 };
    let before = last_values(&records(&log));
    let (mut to, mut ends) = (None, Vec::new());
    while let Some((end, _)) = clean(&mut log, to, limits, 20).unwrap() {
        assert_eq!(last_values(&records(&log)), before);
        ends.push(end);
        to = Some(end);
    }
    assert_eq!(ends, [4, 8, 12]);
    assert_eq!(records(&log).len(), 6);
    // A batch with more keys than memory has room for is taken all the same.
    let keys: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
    let many: Vec<Written<'_>> = keys.iter().map(|key| (key.as_str(), Some("x"), 1)).collect();
    write_segment(&mut log, &many);
    write_segment(&mut log, &many);
    while let Some((end, _)) = clean(&mut log, to, limits, 20).unwrap() {
        to = Some(end);
    }
    assert_eq!((to, records(&log).len()), (Some(52), 26));
}

#[test]
fn a_tombstone_behind_what_fitted_does_not_begin_its_time() {
    let fs = disk(0);
    let mut log = open(&fs, LogConfig { segment_bytes: 1 << 20, ..config() }, 0);
    for (key, value) in [("a", Some("1")), ("b", Some("1")), ("c", Some("1")), ("a", None)] {
        write(&mut log, &[(key, value, 1)]);
    }
    log.roll(0).unwrap();
    let limits = CleanerLimits { dedupe_buffer_bytes: 72, load_factor: 0.9 };
    assert_eq!(clean(&mut log, None, limits, 10).unwrap().unwrap().0, 2);
    let horizon =
        |log: &crate::Log| header(read_all(log).unwrap().last().unwrap()).delete_horizon_ms();
    assert_eq!(horizon(&log), None);
    assert_eq!(clean(&mut log, Some(2), limits, 500).unwrap().unwrap().0, 4);
    assert_eq!(horizon(&log), Some(1500));
}

#[test]
fn the_last_batch_of_a_producer_stays_without_records() {
    let fs = disk(0);
    let mut log = open(&fs, config(), 0);
    let produced = |sequence| BatchOptions {
        producer_id: 5,
        producer_epoch: 1,
        base_sequence: sequence,
        ..BatchOptions::default()
    };
    append(&mut log, keyed(produced(0), &[("a", Some("1"), 1), ("b", Some("1"), 1)]), 3).unwrap();
    append(&mut log, keyed(produced(2), &[("a", Some("2"), 1), ("b", Some("2"), 1)]), 3).unwrap();
    write_segment(&mut log, &[("z", Some("1"), 2)]);
    write_segment(&mut log, &[("a", Some("3"), 2), ("b", Some("3"), 2), ("z", Some("2"), 2)]);
    clean_all(&mut log, 5000);
    assert_eq!(listed(&log).first().unwrap().0, 5);
    let first = header(&read_all(&log).unwrap()[0]);
    assert_eq!((first.record_count, first.base_offset, first.last_offset()), (0, 2, 3));
    assert_eq!((first.base_sequence, first.last_sequence(), first.producer_epoch), (2, 3, 1));
    assert_eq!((first.partition_leader_epoch, first.max_timestamp), (3, 1));
    sync(&mut log, &fs).unwrap();
    drop(log);
    for name in fs.list_names(Path::new("/data/t-0")).unwrap() {
        if name.ends_with(".snapshot") {
            fs.remove_file(&Path::new("/data/t-0").join(name)).unwrap();
        }
    }
    let log = open(&fs, config(), 0);
    let mut next = header(&keyed(produced(4), &[("a", Some("4"), 1)]));
    assert_eq!(log.producers.check(&next), Ok(SequenceCheck::Next));
    next.base_sequence = 5;
    assert!(log.producers.check(&next).is_err());
}

#[test]
fn the_broker_s_timestamps_stay() {
    let fs = disk(0);
    let mut log = open(&fs, config(), 0);
    let stamped =
        BatchOptions { timestamp_type: TimestampType::LogAppendTime, ..BatchOptions::default() };
    append(&mut log, keyed(stamped, &[("a", Some("1"), 70), ("b", None, 70)]), 0).unwrap();
    write_segment(&mut log, &[("a", Some("2"), 71)]);
    clean_all(&mut log, 5000);
    assert_eq!(records(&log)[0].timestamp_ms, 70);
    let batches = read_all(&log).unwrap();
    assert_eq!(header(&batches[0]).timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(header(&batches[0]).delete_horizon_ms(), Some(6000));
}

#[test]
fn a_compressed_batch_is_written_anew_with_its_own_codec() {
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let fs = disk(0);
        let mut log = open(&fs, config(), 0);
        let options = || BatchOptions { compression, ..BatchOptions::default() };
        let long = "x".repeat(300);
        append(
            &mut log,
            keyed(options(), &[("a", Some("1"), 5), ("b", Some(&long), 6), ("c", None, 7)]),
            0,
        )
        .unwrap();
        append(&mut log, keyed(options(), &[("a", Some("2"), 8)]), 0).unwrap();
        append(&mut log, keyed(options(), &[("d", Some("1"), 8)]), 0).unwrap();
        write_segment(&mut log, &[("d", Some("2"), 8)]);
        clean_all(&mut log, 100);
        let expected = [
            (1, "b", Some(long.as_str())),
            (2, "c", None),
            (3, "a", Some("2")),
            (5, "d", Some("2")),
        ];
        assert_eq!(listed(&log), owned(&expected), "{}", compression.name());
        let first = header(&read_all(&log).unwrap()[0]);
        assert_eq!(
            (first.compression(), first.record_count, first.last_offset()),
            (compression, 2, 2)
        );
        assert_eq!(first.delete_horizon_ms(), Some(1100));
        clean_all(&mut log, 1100);
        assert_eq!(records(&log)[0].timestamp_ms, 6);
        assert_eq!(listed(&log).len(), 3);
    }
}

#[test]
fn records_without_a_key_go() {
    let fs = disk(0);
    let mut log = open(&fs, config(), 0);
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord { value: Some(b"v"), headers: &[(b"h", None)], ..NewRecord::default() });
    append(&mut log, BytesMut::from(&builder.build().unwrap()[..]), 0).unwrap();
    write_segment(&mut log, &[("a", Some("1"), 2)]);
    let (_, stats) = clean(&mut log, None, CleanerLimits::default(), 20).unwrap().unwrap();
    assert_eq!((stats.records_without_key, listed(&log).len()), (1, 1));
}

#[test]
fn a_reader_that_holds_the_old_files_goes_on() {
    let fs = disk(0);
    let mut log = open(&fs, config(), 0);
    for value in ["1", "2", "3", "4"] {
        write_segment(&mut log, &[("a", Some(value), 1)]);
    }
    let held: Vec<_> = (0..4).map(|from| log.read(from, 1, 4).unwrap().unwrap()).collect();
    let before: Vec<_> = held.iter().map(|range| range.read().unwrap()).collect();
    clean_all(&mut log, 20);
    assert_eq!((log.segments.len(), records(&log).len()), (2, 1));
    let mut checked = log.segments[0].checked.clone();
    for (range, before) in held.iter().zip(before) {
        range.check().unwrap();
        assert_eq!(range.read().unwrap(), before);
    }
    // What is known of an old file says nothing of the one in its place.
    log.segments[0].checked.truncate(0);
    log.mark_checked(&held[0]);
    std::mem::swap(&mut log.segments[0].checked, &mut checked);
    assert_eq!(checked, crate::ranges::Ranges::default());
}

#[test]
fn segments_are_put_together_up_to_their_size() {
    let fs = disk(0);
    let size =
        u64::try_from(keyed(BatchOptions::default(), &[("k0", Some("x"), 1)]).len()).unwrap();
    let mut log = open(&fs, LogConfig { segment_bytes: 3 * size, ..config() }, 0);
    for number in 0..9 {
        let key = format!("k{number}");
        write_segment(&mut log, &[(key.as_str(), Some("x"), 1)]);
    }
    clean_all(&mut log, 20);
    let bases = |log: &crate::Log| {
        log.segments.iter().map(|segment| segment.base_offset).collect::<Vec<_>>()
    };
    assert_eq!(bases(&log), [0, 3, 6, 9]);
    let before = log.segments.iter().map(|segment| segment.key()).collect::<Vec<_>>();
    // A round that changes nothing leaves the files alone.
    clean_all(&mut log, 20);
    assert_eq!(log.segments.iter().map(|segment| segment.key()).collect::<Vec<_>>(), before);
}

#[test]
fn a_corrupt_batch_ends_the_round_and_nothing_is_lost() {
    let fs = disk(0);
    let mut log = open(&fs, config(), 0);
    write_segment(&mut log, &[("a", Some("1"), 1)]);
    write_segment(&mut log, &[("a", Some("2"), 1)]);
    sync(&mut log, &fs).unwrap();
    fs.flip("/data/t-0/00000000000000000001.log".as_ref(), 70);
    let refused = clean(&mut log, None, CleanerLimits::default(), 20).unwrap_err();
    assert!(matches!(refused, LogError::Corrupt { .. }), "{refused}");
    let names = fs.list_names(Path::new("/data/t-0")).unwrap();
    assert!(names.iter().all(|name| !name.contains(".cleaned")), "{names:?}");
    assert_eq!(log.read(0, 1, 1).unwrap().unwrap().length, header_len(&log, 0));
}

fn header_len(log: &crate::Log, at: usize) -> u64 {
    log.segments[at].size
}

#[test]
fn a_round_that_is_told_to_stop_leaves_nothing_behind() {
    let fs = disk(0);
    let mut log = open(&fs, config(), 0);
    for value in ["1", "2", "3", "4"] {
        write_segment(&mut log, &[("a", Some(value), 1)]);
    }
    for stop_after in 0..12 {
        let cleanable = log.cleanable(None, 4, 20).unwrap().unwrap();
        let mut round = log.begin_cleaning(&cleanable, CleanerLimits::default(), 20).unwrap();
        let mut calls = 0;
        let pace = &mut |_| {
            calls += 1;
            calls <= stop_after
        };
        let stopped = round.index(pace).and_then(|()| round.next_segment(pace));
        let Err(err) = stopped else { continue };
        assert!(matches!(err, LogError::Interrupted), "{err}");
        let names = fs.list_names(Path::new("/data/t-0")).unwrap();
        assert!(names.iter().all(|name| !name.contains(".cleaned")), "{names:?}");
        assert_eq!(records(&log).len(), 4);
    }
}

#[test]
fn a_segment_whose_sources_went_is_not_swapped_in() {
    let fs = disk(0);
    let config = LogConfig { cleanup_delete: true, retention_ms: 100, ..config() };
    let mut log = open(&fs, config.clone(), 0);
    write_segment(&mut log, &[("a", Some("1"), 1)]);
    write_segment(&mut log, &[("a", Some("2"), 1000)]);
    write_segment(&mut log, &[("b", Some("1"), 1000)]);
    let cleanable = log.cleanable(None, 3, 20).unwrap().unwrap();
    let mut round = log.begin_cleaning(&cleanable, CleanerLimits::default(), 20).unwrap();
    round.index(&mut |_| true).unwrap();
    let cleaned = round.next_segment(&mut |_| true).unwrap().unwrap();
    assert_eq!(log.retain(3, 1050).unwrap(), 1);
    assert!(!log.swap_in(&cleaned).unwrap());
    cleaned.discard().unwrap();
    assert_eq!(listed(&log), owned(&[(1, "a", Some("2")), (2, "b", Some("1"))]));
    drop(log);
    assert_eq!(listed(&open(&fs, config, 3)), owned(&[(1, "a", Some("2")), (2, "b", Some("1"))]));
}

#[test]
fn a_log_that_is_cut_at_its_end_keeps_what_is_about_to_be_swapped_in() {
    let fs = disk(0);
    let mut log = open(&fs, config(), 0);
    for value in ["1", "2", "3"] {
        write_segment(&mut log, &[("a", Some(value), 1)]);
    }
    write(&mut log, &[("b", Some("1"), 1)]);
    for stage in ["written", "committed"] {
        write(&mut log, &[("lost", Some("1"), 1)]);
        let cleanable = log.cleanable(None, 3, 20).unwrap().unwrap();
        let mut round = log.begin_cleaning(&cleanable, CleanerLimits::default(), 20).unwrap();
        round.index(&mut |_| true).unwrap();
        if stage == "written" {
            // The log is cut between two steps of the copy.
            let mut calls = 0;
            let cut = &mut |_| {
                calls += 1;
                if calls == 2 {
                    log.give_up_unsynced(4, 20).unwrap();
                }
                true
            };
            round.next_segment(cut).unwrap().unwrap().discard().unwrap();
        } else {
            let cleaned = round.next_segment(&mut |_| true).unwrap().unwrap();
            log.give_up_unsynced(4, 20).unwrap();
            assert!(log.swap_in(&cleaned).unwrap());
            cleaned.settle().unwrap();
        }
    }
    assert_eq!(listed(&log), owned(&[(2, "a", Some("3")), (3, "b", Some("1"))]));
    sync(&mut log, &fs).unwrap();
    drop(log);
    assert_eq!(listed(&open(&fs, config(), 0)), owned(&[(2, "a", Some("3")), (3, "b", Some("1"))]));
}

#[test]
fn what_may_be_compacted_is_bounded_by_decisions_age_and_the_active_segment() {
    let fs = disk(0);
    let mut log = open(&fs, config(), 0);
    for (at, timestamp_ms) in [100, 200, 300].into_iter().enumerate() {
        let value = at.to_string();
        write_segment(&mut log, &[("a", Some(value.as_str()), timestamp_ms)]);
    }
    write(&mut log, &[("a", Some("active"), 400)]);
    let size = log.segments[0].size;
    let mut check =
        |config: LogConfig, cleaned_to, stable, expected: Option<(i64, u64, u64, bool)>| {
            log.update_config(config);
            let found = log.cleanable(cleaned_to, stable, 1000).unwrap();
            let found =
                found.map(|c| (c.end, c.clean_bytes / size, c.dirty_bytes / size, c.is_overdue));
            assert_eq!(found, expected);
        };
    let base = config();
    check(LogConfig { cleanup_compact: false, ..base.clone() }, None, 4, None);
    check(base.clone(), None, 4, Some((3, 0, 3, false)));
    check(base.clone(), None, 2, Some((2, 0, 2, false)));
    check(base.clone(), None, 0, None);
    check(base.clone(), Some(1), 4, Some((3, 1, 2, false)));
    check(base.clone(), Some(3), 4, None);
    check(base.clone(), Some(99), 4, Some((3, 0, 3, false)));
    check(
        LogConfig { min_compaction_lag_ms: 750, ..base.clone() },
        None,
        4,
        Some((2, 0, 2, false)),
    );
    check(LogConfig { min_compaction_lag_ms: 950, ..base.clone() }, None, 4, None);
    check(LogConfig { max_compaction_lag_ms: 850, ..base.clone() }, None, 4, Some((3, 0, 3, true)));
    check(
        LogConfig { max_compaction_lag_ms: 850, ..base.clone() },
        Some(1),
        4,
        Some((3, 1, 2, false)),
    );
    let cleanable = log.cleanable(Some(1), 4, 1000).unwrap().unwrap();
    assert!(cleanable.is_due(&LogConfig { min_cleanable_dirty_ratio: 0.6, ..base.clone() }));
    assert!(!cleanable.is_due(&LogConfig { min_cleanable_dirty_ratio: 0.7, ..base.clone() }));
    let overdue = super::Cleanable { is_overdue: true, ..cleanable };
    assert!(overdue.is_due(&LogConfig { min_cleanable_dirty_ratio: 0.7, ..base }));
}

#[test]
fn retention_never_cuts_a_log_that_is_only_compacted() {
    let fs = disk(0);
    let config = LogConfig { retention_ms: 1, retention_bytes: 1, ..config() };
    let mut log = open(&fs, config.clone(), 0);
    write_segment(&mut log, &[("a", Some("1"), 1)]);
    write_segment(&mut log, &[("b", Some("1"), 1)]);
    assert_eq!((log.retain(2, 1_000_000).unwrap(), records(&log).len()), (0, 2));
    log.update_config(LogConfig { cleanup_delete: true, ..config });
    clean_all(&mut log, 20);
    log.retain(2, 1_000_000).unwrap();
    assert_eq!((log.log_start(), records(&log).len()), (2, 0));
}
