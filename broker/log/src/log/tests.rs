//! Appending, reading, rolling, cutting and recovering a log, on a real and a simulated disk.

use std::sync::Arc;

use aquifer_broker_protocol::batch::{
    BatchBuilder, BatchOptions, Compression, NewRecord, RecordBatch,
};
use bytes::BytesMut;

use super::{Log, Staged, TimestampOffset};
use crate::fs::simulated::Simulated;
use crate::fs::{FileSystem, OpenHow};
use crate::test_support::{append, batch, header, open, plain, read_all, stamped, sync};
use crate::{LogConfig, LogError};

fn fs() -> Simulated {
    let fs = Simulated::new(0);
    fs.create_directory("/data".as_ref()).unwrap();
    fs
}

fn log_with(fs: &Simulated, config: LogConfig) -> Log {
    open(Arc::new(fs.clone()), config, 0).unwrap().0
}

fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 400, index_interval_bytes: 100, ..LogConfig::default() }
}

fn bases(log: &Log) -> Vec<i64> {
    log.segments.iter().map(|segment| segment.base_offset).collect()
}

#[test]
fn the_directory_appears_with_the_first_append() {
    let fs = fs();
    let mut log = log_with(&fs, LogConfig::default());
    assert!(fs.list("/data/t-0".as_ref()).is_err());
    append(&mut log, plain(2), 5).unwrap();
    let mut names = fs.list_names("/data/t-0".as_ref()).unwrap();
    names.sort_unstable();
    assert_eq!(names, ["00000000000000000000.log", "partition.metadata"]);
    assert_eq!(
        fs.read("/data/t-0/partition.metadata".as_ref()).unwrap(),
        b"version: 0\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw"
    );
}

#[test]
fn batches_get_offsets_and_the_leader_epoch() {
    let mut log = log_with(&fs(), LogConfig::default());
    assert_eq!(
        append(&mut log, plain(2), 5).unwrap(),
        Staged::New { base_offset: 0, last_offset: 1 }
    );
    assert_eq!(
        append(&mut log, plain(3), 6).unwrap(),
        Staged::New { base_offset: 2, last_offset: 4 }
    );
    let batches = read_all(&log).unwrap();
    assert_eq!(batches.iter().map(|batch| header(batch).base_offset).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(header(&batches[1]).partition_leader_epoch, 6);
    assert_eq!((log.end_offset_for_epoch(5), log.latest_epoch()), ((5, 2), Some(6)));
}

#[test]
fn a_duplicate_is_not_written_again() {
    let mut log = log_with(&fs(), LogConfig::default());
    append(&mut log, plain(1), 0).unwrap();
    let produced = batch(Some((1, 0, 0)), &[1, 1], 5);
    assert_eq!(
        append(&mut log, produced.clone(), 0).unwrap(),
        Staged::New { base_offset: 1, last_offset: 2 }
    );
    assert_eq!(
        append(&mut log, produced, 0).unwrap(),
        Staged::Duplicate { base_offset: 1, last_offset: 2, max_timestamp_ms: 1 }
    );
    assert_eq!(log.log_end(), 3);
    let gap = append(&mut log, batch(Some((1, 0, 5)), &[1], 5), 0);
    assert!(matches!(gap, Err(LogError::Sequence(_))));
}

#[test]
fn reads_return_whole_batches_from_the_one_that_contains_the_offset() {
    let mut log = log_with(&fs(), LogConfig::default());
    for _ in 0..10 {
        append(&mut log, plain(3), 0).unwrap();
    }
    let size = plain(3).len() as u64;
    // from, bytes_max, bound -> position and length in batches
    for (from, bytes_max, bound, expected) in [
        (0, 1, 30, Some((0, 1))),
        (4, 1, 30, Some((1, 1))),
        (4, 2 * size, 30, Some((1, 2))),
        (5, 2 * size + 1, 30, Some((1, 2))),
        (0, 1 << 20, 30, Some((0, 10))),
        (0, 1 << 20, 6, Some((0, 2))),
        (6, 1 << 20, 6, None),
        (29, 1 << 20, 30, Some((9, 1))),
        (30, 1 << 20, 30, None),
    ] {
        let range = log.read(from, bytes_max, bound).unwrap();
        let found = range.map(|range| (range.position / size, range.length / size));
        assert_eq!(found, expected, "from {from}, {bytes_max} bytes, below {bound}");
    }
    assert!(matches!(log.read(31, 1, 30), Err(LogError::OffsetOutOfRange { .. })));
}

#[test]
fn segments_roll_by_size_and_reads_go_on_in_the_next() {
    let mut log = log_with(&fs(), small_segments());
    for _ in 0..20 {
        append(&mut log, plain(1), 0).unwrap();
    }
    let per_segment = 400 / plain(1).len() as i64;
    assert_eq!(bases(&log)[..3], [0, per_segment, 2 * per_segment]);
    assert_eq!(read_all(&log).unwrap().len(), 20);
    // One write of many batches rolls as it goes.
    for _ in 0..20 {
        log.stage(stamped(plain(1)), 0, 1000).unwrap();
    }
    log.write_staged(1000).unwrap();
    assert_eq!(read_all(&log).unwrap().len(), 40);
    assert!(bases(&log).windows(2).all(|pair| pair[1] - pair[0] == per_segment));
}

#[test]
fn segments_roll_by_the_records_time() {
    let mut log = log_with(&fs(), LogConfig { segment_ms: 100, ..LogConfig::default() });
    for timestamp in [1000, 1050, 1101, 1150, 1300] {
        append(&mut log, batch(None, &[timestamp], 1), 0).unwrap();
    }
    assert_eq!(bases(&log), [0, 2, 4]);
    log.retain(5, 1401).unwrap();
    assert_eq!(bases(&log), [0, 2, 4, 5]);
}

#[test]
fn offsets_are_found_by_time_across_segments() {
    let mut log = log_with(&fs(), small_segments());
    for at in 0..30_i64 {
        append(&mut log, batch(None, &[at * 10, at * 10 + 5], 20), 0).unwrap();
    }
    assert!(log.segments.len() > 5);
    for (timestamp, expected) in [
        (0, Some((0, 0))),
        (1, Some((5, 1))),
        (5, Some((5, 1))),
        (6, Some((10, 2))),
        (155, Some((155, 31))),
        (295, Some((295, 59))),
        (296, None),
    ] {
        let expected =
            expected.map(|(timestamp_ms, offset)| TimestampOffset { timestamp_ms, offset });
        assert_eq!(log.offset_for_timestamp(timestamp, 60).unwrap(), expected, "at {timestamp}");
    }
    assert_eq!(log.offset_for_timestamp(295, 59).unwrap(), None);
    assert_eq!(
        log.max_timestamp().unwrap(),
        Some(TimestampOffset { timestamp_ms: 295, offset: 59 })
    );
}

#[test]
fn indexes_are_rebuilt_as_they_were() {
    let fs = fs();
    let config = LogConfig { segment_bytes: 1500, ..small_segments() };
    let mut log = log_with(&fs, config.clone());
    for at in 0..40_i64 {
        append(&mut log, batch(None, &[at], 30), 0).unwrap();
    }
    log.write_derived().unwrap();
    let entries = |log: &Log| -> Vec<_> {
        log.segments
            .iter()
            .map(|segment| (segment.offset_index.entries(), segment.time_index.entries()))
            .collect()
    };
    let before = entries(&log);
    assert!(before.iter().any(|(index, _)| index.len() > 1));
    drop(log);
    for name in fs.list_names("/data/t-0".as_ref()).unwrap() {
        if name.ends_with("index") {
            fs.remove_file(&std::path::Path::new("/data/t-0").join(name)).unwrap();
        }
    }
    let (log, report) = open(Arc::new(fs.clone()), config.clone(), 40).unwrap();
    assert_eq!((entries(&log), log.log_end()), (before, 40));
    assert!(report.truncated.is_none());
    // Entries that lead nowhere are noticed.
    let last = format!("/data/t-0/{:020}.index", bases(&log).last().unwrap());
    drop(log);
    let file = fs.open(last.as_ref(), OpenHow::Create).unwrap();
    file.write_all_at(&mut [std::io::IoSlice::new(&[0, 0, 0, 1, 0, 0, 0, 9])], 0).unwrap();
    let (log, _) = open(Arc::new(fs), config, 40).unwrap();
    assert_eq!((log.log_end(), read_all(&log).unwrap().len()), (40, 40));
}

#[test]
fn truncation_forgets_records_producers_and_epochs() {
    let mut log = log_with(&fs(), small_segments());
    for sequence in 0..12 {
        append(&mut log, batch(Some((3, 0, sequence)), &[1], 40), sequence / 6).unwrap();
    }
    log.truncate(5, 1000).unwrap();
    assert_eq!((log.log_end(), log.latest_epoch()), (5, Some(0)));
    assert_eq!(read_all(&log).unwrap().len(), 5);
    let next = append(&mut log, batch(Some((3, 0, 5)), &[1], 40), 2).unwrap();
    assert_eq!(next, Staged::New { base_offset: 5, last_offset: 5 });
    assert_eq!(read_all(&log).unwrap().len(), 6);
}

#[test]
fn retention_takes_old_segments_and_then_their_files() {
    let fs = fs();
    let config = LogConfig { retention_ms: 1000, file_delete_delay_ms: 500, ..small_segments() };
    let mut log = log_with(&fs, config);
    for at in 0..12_i64 {
        append(&mut log, batch(None, &[at * 100], 40), 0).unwrap();
    }
    let before = bases(&log);
    assert_eq!(log.retain(12, 1000).unwrap(), 0);
    // Nothing that is not durable goes.
    assert_eq!(log.retain(0, 1_000_000).unwrap(), 0);
    let mut log = reopened(log, &fs);
    let removed = log.retain(12, 1650).unwrap();
    assert!(removed > 0 && removed < before.len());
    assert_eq!(log.log_start(), before[removed]);
    assert!(matches!(log.read(0, 1, 12), Err(LogError::OffsetOutOfRange { .. })));
    let deleted = |fs: &Simulated| {
        fs.list_names("/data/t-0".as_ref())
            .unwrap()
            .iter()
            .filter(|name| name.ends_with(".deleted"))
            .count()
    };
    assert!(deleted(&fs) > 0);
    // In the end the active segment is rolled and goes too.
    log.retain(12, 1_000_000).unwrap();
    assert_eq!((log.log_start(), log.log_end(), bases(&log)), (12, 12, vec![12]));
    log.retain(12, 2_000_000).unwrap();
    assert_eq!(deleted(&fs), 0);
    assert_eq!(
        append(&mut log, plain(1), 0).unwrap(),
        Staged::New { base_offset: 12, last_offset: 12 }
    );
}

fn reopened(mut log: Log, fs: &Simulated) -> Log {
    let config = log.config.clone();
    let point = log.write_derived().unwrap();
    drop(log);
    open(Arc::new(fs.clone()), config, point).unwrap().0
}

#[test]
fn retention_by_size_keeps_at_least_the_limit() {
    let mut log = log_with(&fs(), LogConfig { retention_bytes: 900, ..small_segments() });
    for _ in 0..20 {
        append(&mut log, plain(1), 0).unwrap();
    }
    assert!(log.retain(20, 1000).unwrap() > 0);
    assert!(log.size_bytes() >= 900 && log.size_bytes() < 1400, "{}", log.size_bytes());
}

#[test]
fn a_compacted_topic_is_not_cut_by_retention() {
    let compact = LogConfig { cleanup_delete: false, cleanup_compact: true, ..small_segments() };
    let mut log = log_with(&fs(), LogConfig { retention_ms: 1, retention_bytes: 1, ..compact });
    for _ in 0..20 {
        append(&mut log, plain(1), 0).unwrap();
    }
    assert_eq!(log.retain(20, 1_000_000).unwrap(), 0);
}

#[test]
fn deleted_records_are_gone_and_their_segments_follow() {
    let mut log = log_with(&fs(), small_segments());
    for _ in 0..12 {
        append(&mut log, plain(1), 0).unwrap();
    }
    assert_eq!(log.delete_records(7).unwrap(), 7);
    assert!(matches!(log.read(6, 1, 12), Err(LogError::OffsetOutOfRange { .. })));
    log.retain(12, 1000).unwrap();
    assert!(bases(&log)[0] <= 7 && bases(&log)[1] > 7);
    assert_eq!(log.log_start(), 7);
    assert!(log.delete_records(13).is_err());
}

#[test]
fn a_clean_start_reads_little_and_knows_everything() {
    let fs = fs();
    let mut log = log_with(&fs, LogConfig { index_interval_bytes: 100, ..LogConfig::default() });
    for sequence in 0..200 {
        append(&mut log, batch(Some((3, 0, sequence)), &[1000], 40), 4).unwrap();
    }
    sync(&mut log, &fs).unwrap();
    let mut log = reopened(log, &fs);
    assert!(!log.is_derived_dirty() && log.take_unsynced().unwrap().is_none());
    assert_eq!((log.log_end(), log.latest_epoch()), (200, Some(4)));
    let duplicate = append(&mut log, batch(Some((3, 0, 199)), &[1000], 40), 4).unwrap();
    assert!(
        matches!(duplicate, Staged::Duplicate { base_offset: 199, last_offset: 199, .. }),
        "{duplicate:?}"
    );
    // Ranges behind the few batches that were looked at are not checked yet.
    let range = log.read(0, 1000, 200).unwrap().unwrap();
    assert!(!range.checked);
    range.check().unwrap();
    log.mark_checked(&range);
    assert!(log.read(0, 1000, 200).unwrap().unwrap().checked);
}

#[test]
fn look_ups_by_time_find_the_record_within_a_compressed_batch() {
    for compression in Compression::ALL {
        let mut log = log_with(&fs(), LogConfig::default());
        append(&mut log, plain(2), 0).unwrap();
        let mut builder =
            BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
        for timestamp_ms in [2010, 2030, 2020, 2030] {
            builder.push(NewRecord { timestamp_ms, value: Some(b"v"), ..NewRecord::default() });
        }
        append(&mut log, BytesMut::from(&builder.build().unwrap()[..]), 0).unwrap();
        for (timestamp_ms, expected) in [
            (1000, Some((1000, 0))),
            (1001, Some((2010, 2))),
            (2015, Some((2030, 3))),
            (2030, Some((2030, 3))),
            (2031, None),
        ] {
            let found = log.offset_for_timestamp(timestamp_ms, 6).unwrap();
            let found = found.map(|found| (found.timestamp_ms, found.offset));
            assert_eq!(found, expected, "{timestamp_ms} with {}", compression.name());
        }
        let newest = log.max_timestamp().unwrap();
        assert_eq!(newest, Some(TimestampOffset { timestamp_ms: 2030, offset: 3 }));
    }
}

#[test]
fn a_compressed_batch_that_cannot_be_opened_answers_as_a_whole() {
    let mut log = log_with(&fs(), LogConfig::default());
    let mut bytes = plain(3);
    bytes[22] |= 2;
    append(&mut log, bytes, 0).unwrap();
    let found = log.offset_for_timestamp(900, 3).unwrap();
    assert_eq!(found, Some(TimestampOffset { timestamp_ms: 1000, offset: 0 }));
}

#[test]
fn a_read_says_behind_which_offset_nothing_of_it_lies() {
    for config in [LogConfig::default(), small_segments()] {
        let mut log = log_with(&fs(), config);
        for _ in 0..20 {
            append(&mut log, plain(2), 0).unwrap();
        }
        for (from, bytes_max, bound) in [(0, 1, 40), (3, 500, 40), (3, 500, 8), (0, 1 << 20, 40)] {
            let range = log.read(from, bytes_max, bound).unwrap().unwrap();
            let bytes = range.read().unwrap();
            let last = RecordBatch::parse_all(&bytes).last().unwrap().unwrap();
            let (end, said) = (last.next_offset(), range.next_offset_max);
            assert!((end..=end + 2).contains(&said), "{end} and {said} from {from}");
        }
    }
}
