//! Logs with keys, and a round over them, for the tests of compaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_broker_protocol::batch::{BatchBuilder, BatchOptions, NewRecord, RecordBatch};
use bytes::BytesMut;

use super::{CleanerLimits, CleaningStats};
use crate::fs::FileSystem;
use crate::fs::simulated::Simulated;
use crate::log::Log;
use crate::test_support::{append, read_all};
use crate::{LogConfig, LogError};

/// A key, a value or a tombstone, and a timestamp.
pub(super) type Written<'a> = (&'a str, Option<&'a str>, i64);

/// A record as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) offset: i64,
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
    pub(super) timestamp_ms: i64,
}

/// A log that is compacted, with small segments.
pub(super) fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 400,
        index_interval_bytes: 100,
        cleanup_delete: false,
        cleanup_compact: true,
        delete_retention_ms: 1000,
        ..LogConfig::default()
    }
}

/// An empty file system with a data directory.
pub(super) fn disk(seed: u64) -> Simulated {
    let fs = Simulated::new(seed);
    fs.create_directory("/data".as_ref()).unwrap();
    fs.sync_directory("/data".as_ref()).unwrap();
    fs
}

/// Opens the log on it.
pub(super) fn open(fs: &Simulated, config: LogConfig, recovery_point: i64) -> Log {
    crate::test_support::open(Arc::new(fs.clone()), config, recovery_point).unwrap().0
}

/// A batch of records.
pub(super) fn keyed(options: BatchOptions, records: &[Written<'_>]) -> BytesMut {
    let mut builder = BatchBuilder::new(options);
    for (key, value, timestamp_ms) in records {
        builder.push(NewRecord {
            timestamp_ms: *timestamp_ms,
            key: Some(key.as_bytes()),
            value: value.map(str::as_bytes),
            headers: &[(b"h", Some(b"1"))],
        });
    }
    BytesMut::from(&builder.build().unwrap()[..])
}

/// Appends one batch of records without a producer.
pub(super) fn write(log: &mut Log, records: &[Written<'_>]) {
    append(log, keyed(BatchOptions::default(), records), 0).unwrap();
}

/// Appends one batch and begins a new segment.
pub(super) fn write_segment(log: &mut Log, records: &[Written<'_>]) {
    write(log, records);
    log.roll(0).unwrap();
}

/// One round over everything that can be compacted, whether it is worth it or not. Returns where it ended.
pub(super) fn clean(
    log: &mut Log,
    cleaned_to: Option<i64>,
    limits: CleanerLimits,
    now_ms: i64,
) -> Result<Option<(i64, CleaningStats)>, LogError> {
    let stable = log.last_stable_offset(log.log_end());
    let Some(cleanable) = log.cleanable(cleaned_to, stable, now_ms)? else { return Ok(None) };
    let mut round = log.begin_cleaning(&cleanable, limits, now_ms)?;
    let pace = &mut |_| true;
    round.index(pace)?;
    while let Some(cleaned) = round.next_segment(pace)? {
        assert!(log.swap_in(&cleaned)?);
        cleaned.settle()?;
    }
    Ok(Some((round.end(), round.stats())))
}

/// `clean` with room for everything.
pub(super) fn clean_all(log: &mut Log, now_ms: i64) -> i64 {
    clean(log, None, CleanerLimits::default(), now_ms).unwrap().unwrap().0
}

/// All data records of the log, aborted ones included.
pub(super) fn records(log: &Log) -> Vec<Found> {
    let mut found = Vec::new();
    for bytes in read_all(log).unwrap() {
        let batch = RecordBatch::parse(&bytes).unwrap().0;
        if batch.is_control() {
            continue;
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let opened = super::rewrite::OpenBatch::open(batch).unwrap();
        for raw in opened.records().unwrap() {
            assert_eq!(raw.record.headers.len(), 1, "headers stay");
            found.push(Found {
                offset: raw.record.offset,
                key: raw.record.key.map(text),
                value: raw.record.value.map(text),
                timestamp_ms: raw.record.timestamp_ms,
            });
        }
    }
    found
}

/// Offset, key and value of all records, for comparing.
pub(super) fn listed(log: &Log) -> Vec<(i64, String, Option<String>)> {
    records(log)
        .into_iter()
        .map(|found| (found.offset, found.key.unwrap_or_default(), found.value))
        .collect()
}

/// What somebody knows who read all of it: the last value of each key.
pub(super) fn last_values(records: &[Found]) -> BTreeMap<String, String> {
    let mut last = BTreeMap::new();
    for found in records {
        match (&found.key, &found.value) {
            (Some(key), Some(value)) => {
                last.insert(key.clone(), value.clone());
            }
            (Some(key), None) => {
                last.remove(key);
            }
            (None, _) => {}
        }
    }
    last
}

/// The marker that ends a producer's transaction.
pub(super) fn marker(producer_id: i64, commit: bool) -> BytesMut {
    let options = BatchOptions {
        producer_id,
        producer_epoch: 0,
        base_sequence: -1,
        transactional: true,
        control: true,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options);
    builder.push(NewRecord {
        timestamp_ms: 1,
        key: Some(&[0, 0, 0, u8::from(commit)]),
        value: Some(&[0, 0, 0, 0, 0, 1]),
        headers: &[],
    });
    BytesMut::from(&builder.build().unwrap()[..])
}

/// The records that a reader of committed ones sees, as a client finds them out.
pub(super) fn committed_records(log: &Log) -> Vec<Found> {
    let aborted = log.aborted_transactions(log.log_start(), log.log_end()).unwrap();
    let mut ahead: Vec<(i64, i64)> =
        aborted.iter().map(|aborted| (aborted.first_offset, aborted.producer_id)).collect();
    ahead.sort_unstable();
    let mut skipped = std::collections::BTreeSet::new();
    let mut gone = Vec::new();
    for bytes in read_all(log).unwrap() {
        let batch = RecordBatch::parse(&bytes).unwrap().0;
        ahead.retain(|(first, producer)| {
            let begins = *first <= batch.last_offset();
            if begins {
                skipped.insert(*producer);
            }
            !begins
        });
        if batch.is_control() {
            let kind = crate::producer_state::Marker::of(&batch);
            if kind.is_some_and(|marker| !marker.committed) {
                skipped.remove(&batch.producer_id());
            }
        } else if batch.is_transactional() && skipped.contains(&batch.producer_id()) {
            gone.push(batch.base_offset()..batch.next_offset());
        }
    }
    let is_gone = |offset: i64| gone.iter().any(|range| range.contains(&offset));
    records(log).into_iter().filter(|found| !is_gone(found.offset)).collect()
}
