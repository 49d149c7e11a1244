//! A partition over a real directory: order, visibility, waiting and failure.

mod transactions;
mod validation;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aquifer_broker_log::LogConfig;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::batch::{BatchBuilder, BatchOptions, NewRecord, RecordBatch};
use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use futures_util::poll;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::set::Made;
use super::*;
use crate::clock::Clock;

const NOW_MS: i64 = 1_700_000_000_000;
const ALL: AppendHow = AppendHow { acks: Acks::All, origin: Origin::Client };
const LEADER: AppendHow = AppendHow { acks: Acks::Leader, origin: Origin::Client };

struct Fixture {
    directory: TempDir,
    now_ms: Arc<AtomicI64>,
    clock: Clock,
    tail_cache_bytes_max: usize,
    free_bytes_min: u64,
}

impl Fixture {
    fn new() -> Self {
        let (clock, now_ms) = Clock::manual(NOW_MS);
        let directory = tempfile::tempdir().unwrap();
        Self { directory, now_ms, clock, tail_cache_bytes_max: 1 << 20, free_bytes_min: 0 }
    }

    async fn open(&self) -> Arc<Partitions> {
        let settings = PartitionsSettings {
            node_id: 1,
            data_dir: self.directory.path().to_path_buf(),
            flush_mode: FlushMode::Commit,
            writer_threads: 2,
            queue_bytes_max: 1 << 16,
            tail_cache_bytes_max: self.tail_cache_bytes_max,
            free_bytes_min: self.free_bytes_min,
            retention_check_ms: i64::MAX,
            cleaner: CleanerSettings { enabled: false, ..CleanerSettings::default() },
            clock: self.clock.clone(),
        };
        Partitions::open(settings).await.unwrap()
    }
}

fn id(partition: i32) -> TopicPartition {
    TopicPartition { topic: "orders".into(), partition }
}

fn partition(partitions: &Partitions, number: i32) -> Arc<Partition> {
    partitions.get_or_create(id(number), [1; 16], 0, PartitionConfig::default()).unwrap()
}

/// A partition that no thread serves: the test appends and syncs.
fn unserved(partitions: &Partitions) -> Arc<Partition> {
    let (id, config) = (id(0), PartitionConfig::default());
    let lane = Lane::default();
    Made { id, topic_id: [1; 16], leader_epoch: 3, config, lane, log: None, range: (0, 0) }
        .into_partition(&partitions.shared)
}

fn batch(options: BatchOptions, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for value in values {
        let record = NewRecord {
            timestamp_ms: NOW_MS,
            key: Some(b"k"),
            value: Some(value.as_bytes()),
            headers: &[],
        };
        builder.push(record);
    }
    builder.build().unwrap()
}

fn plain(value: &str) -> Bytes {
    batch(BatchOptions::default(), &[value])
}

fn produced(sequence: i32, value: &str) -> Bytes {
    let options = BatchOptions {
        producer_id: 7,
        producer_epoch: 0,
        base_sequence: sequence,
        ..BatchOptions::default()
    };
    batch(options, &[value])
}

fn bytes_of(result: &ReadResult) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut all = Vec::new();
    for slice in &result.slices {
        match slice {
            LogSlice::Bytes(bytes) => all.extend_from_slice(bytes),
            LogSlice::File(range) => {
                let mut part = vec![0; range.length as usize];
                range.file.read_exact_at(&mut part, range.position).unwrap();
                all.extend_from_slice(&part);
            }
        }
    }
    all
}

/// Completes when the high watermark is past `after`, or waiting has no sense.
async fn wait_past(partition: &Partition, after: i64) {
    let notify = Arc::new(Notify::new());
    partition.notify_past(after, ReadBound::HighWatermark, &notify);
    notify.notified().await;
}

/// Offsets and values from `from` on, read piece by piece.
fn values(
    partition: &Partition,
    from: i64,
    bytes_max: usize,
    bound: ReadBound,
) -> Vec<(i64, String)> {
    let (mut found, mut from) = (Vec::new(), from);
    loop {
        let bytes = bytes_of(&partition.read(from, bytes_max, bound).unwrap());
        if bytes.is_empty() {
            return found;
        }
        for batch in RecordBatch::parse_all(&bytes) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            from = batch.next_offset();
            for record in batch.records().unwrap() {
                let record = record.unwrap();
                found.push((
                    record.offset,
                    String::from_utf8(record.value.unwrap().to_vec()).unwrap(),
                ));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_get_dense_offsets_and_all_of_them_are_read() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let partition = partition(&partitions, 0);
    let tasks = (0..16).map(|task| {
        let partition = Arc::clone(&partition);
        tokio::spawn(async move {
            let mut got = Vec::new();
            for number in 0..20 {
                let value = format!("{task}-{number}");
                let appended = partition.append(plain(&value), ALL).await.unwrap();
                assert!(partition.offsets().high_watermark > appended.last_offset);
                got.push((appended.base_offset, value));
            }
            got
        })
    });
    let mut expected: Vec<_> = join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
    expected.sort_unstable();
    assert!(expected.iter().map(|(offset, _)| *offset).eq(0..320));
    for bytes_max in [1, 500, 1 << 20] {
        assert_eq!(values(&partition, 0, bytes_max, ReadBound::HighWatermark), expected);
    }
    partitions.close().await.unwrap();
}

#[tokio::test]
async fn consumers_see_records_only_when_they_are_synced() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let partition = unserved(&partitions);
    let leader = partition.enqueue(plain("a"), LEADER).await.unwrap();
    let mut all = partition.enqueue(plain("b"), ALL).await.unwrap();
    partition.append_queued();
    assert_eq!(leader.await.unwrap().base_offset, 0);
    assert!(poll!(&mut all).is_pending());
    assert_eq!(values(&partition, 0, 1 << 20, ReadBound::HighWatermark), []);
    assert_eq!(values(&partition, 0, 1 << 20, ReadBound::LogEnd).len(), 2);
    let mut end = Box::pin(partition.synced_end());
    let mut wait = Box::pin(wait_past(&partition, 1));
    assert!(poll!(&mut end).is_pending() && poll!(&mut wait).is_pending());

    let targets = partition.begin_sync().unwrap().unwrap();
    // What is appended while a sync runs is not in it.
    let mut later = partition.enqueue(plain("c"), ALL).await.unwrap();
    partition.append_queued();
    partition.synced(targets.end);
    assert_eq!(all.await.unwrap().base_offset, 1);
    assert_eq!(end.await.unwrap(), 2);
    wait.await;
    assert!(poll!(&mut later).is_pending());
    assert_eq!(values(&partition, 0, 1 << 20, ReadBound::HighWatermark).len(), 2);
    let offsets = PartitionOffsets { log_start: 0, high_watermark: 2, last_stable: 2, log_end: 3 };
    assert_eq!(partition.offsets(), offsets);
}

#[tokio::test]
async fn a_failed_sync_fails_the_replies_and_raises_the_epoch() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let partition = unserved(&partitions);
    let first = partition.enqueue(produced(0, "a"), ALL).await.unwrap();
    partition.append_queued();
    let end = partition.begin_sync().unwrap().unwrap().end;
    partition.synced(end);
    first.await.unwrap();

    let second = partition.enqueue(produced(1, "b"), ALL).await.unwrap();
    let mut end = Box::pin(partition.synced_end());
    partition.append_queued();
    // The future reads the end when it is first polled, behind the append.
    assert!(poll!(&mut end).is_pending());
    partition.begin_sync().unwrap().unwrap();
    partition.sync_failed("disk is gone");
    assert_eq!(second.await.unwrap_err().code(), ErrorCode::KafkaStorageError);
    assert_eq!(end.await.unwrap(), 1);
    assert_eq!(partition.leader_epoch(), 4);
    assert_eq!(
        partition.offsets(),
        PartitionOffsets { log_start: 0, high_watermark: 1, last_stable: 1, log_end: 1 }
    );

    let again = partition.enqueue(produced(1, "b"), ALL).await.unwrap();
    partition.append_queued();
    let end = partition.begin_sync().unwrap().unwrap().end;
    partition.synced(end);
    assert_eq!(again.await.unwrap().base_offset, 1);
    assert_eq!(partition.offset_for_leader_epoch(3).unwrap(), (3, 1));
}

#[tokio::test]
async fn a_producers_pipelined_batches_keep_their_order_and_duplicates_get_their_first_offset() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let partition = partition(&partitions, 0);
    let mut pending = Vec::new();
    for sequence in 0..5 {
        pending.push(partition.enqueue(produced(sequence, "x"), ALL).await.unwrap());
    }
    let offsets: Vec<i64> =
        join_all(pending).await.into_iter().map(|reply| reply.unwrap().base_offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
    for sequence in [4, 0, 2] {
        let again = partition.append(produced(sequence, "x"), ALL).await.unwrap();
        assert_eq!(again.base_offset, i64::from(sequence));
        assert_eq!(again.log_append_time_ms, NOW_MS, "that of the first time");
    }
    let gap = partition.append(produced(9, "x"), ALL).await.unwrap_err();
    assert_eq!(gap.code(), ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(partition.offsets().log_end, 5);
}

#[tokio::test]
async fn one_notify_waits_on_many_partitions() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let all: Vec<_> = (0..3).map(|number| partition(&partitions, number)).collect();
    let notify = Arc::new(Notify::new());
    all.iter().for_each(|partition| partition.notify_past(0, ReadBound::HighWatermark, &notify));
    let mut woken = Box::pin(notify.notified());
    assert!(poll!(&mut woken).is_pending());
    all[1].append(plain("a"), ALL).await.unwrap();
    woken.await;
    // Data that is already there notifies at once.
    all[1].notify_past(0, ReadBound::HighWatermark, &notify);
    notify.notified().await;
}

#[tokio::test]
async fn everything_is_there_after_a_clean_stop_and_after_an_unclean_one() {
    let fixture = Fixture::new();
    for (round, clean) in [(0, true), (1, false), (2, false), (3, true)] {
        let partitions = fixture.open().await;
        let partition = partition(&partitions, 0);
        assert_eq!(partition.offsets().high_watermark, i64::from(round) * 2);
        if round > 0 {
            let duplicate = partition.append(produced(round * 2 - 1, "2"), ALL).await.unwrap();
            assert_eq!(duplicate.base_offset, i64::from(round) * 2 - 1);
        }
        partition.append(produced(round * 2, "1"), ALL).await.unwrap();
        partition.append(produced(round * 2 + 1, "2"), ALL).await.unwrap();
        assert_eq!(
            values(&partition, 0, 100, ReadBound::HighWatermark).len(),
            round as usize * 2 + 2
        );
        if clean {
            partitions.close().await.unwrap();
            assert!(partition.append(plain("late"), ALL).await.is_err());
        }
        drop((partition, partitions));
        let next = fixture.open().await;
        assert_eq!((next.was_clean(), next.on_disk()), (clean, vec![id(0)]));
        // An unclean stop follows, or a clean one in which nothing was opened.
        if clean {
            next.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_directory_is_used_by_one_broker_at_a_time() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let settings = PartitionsSettings {
        node_id: 1,
        data_dir: fixture.directory.path().to_path_buf(),
        flush_mode: FlushMode::Os,
        writer_threads: 1,
        queue_bytes_max: 1,
        tail_cache_bytes_max: 0,
        free_bytes_min: 0,
        retention_check_ms: 1,
        cleaner: CleanerSettings::default(),
        clock: fixture.clock.clone(),
    };
    let second = Partitions::open(settings).await.unwrap_err();
    assert!(second.to_string().contains("in use"), "{second}");
    let cluster_id = partitions.cluster_id().to_owned();
    drop(partitions);
    assert_eq!(fixture.open().await.cluster_id(), cluster_id);
}

#[tokio::test]
async fn a_corrupt_batch_is_refused_and_its_neighbours_are_read() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let open = partition(&partitions, 0);
    let size = plain("0").len();
    for number in 0..100 {
        open.append(plain(&(number % 10).to_string()), ALL).await.unwrap();
    }
    partitions.close().await.unwrap();
    drop((open, partitions));
    let path = fixture.directory.path().join("orders-0/00000000000000000000.log");
    let mut contents = std::fs::read(&path).unwrap();
    contents[size * 10 + 65] ^= 1;
    std::fs::write(&path, contents).unwrap();

    let partitions = fixture.open().await;
    let open = partition(&partitions, 0);
    let refused = open.fetch(10, 1, ReadBound::HighWatermark).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::CorruptMessage);
    assert!(open.fetch(0, size * 20, ReadBound::HighWatermark).await.is_err());
    for from in [0, 9, 11] {
        let read = open.fetch(from, size, ReadBound::HighWatermark).await.unwrap();
        assert_eq!(bytes_of(&read).len(), size, "from {from}");
    }
    assert_eq!(open.offsets().high_watermark, 100);
}

#[tokio::test]
async fn reads_without_a_tail_cache_come_from_the_file() {
    let mut fixture = Fixture::new();
    fixture.tail_cache_bytes_max = 200;
    let partitions = fixture.open().await;
    let open = partition(&partitions, 0);
    for number in 0..50 {
        open.append(plain(&number.to_string()), ALL).await.unwrap();
    }
    let read = open.fetch(0, 1 << 20, ReadBound::HighWatermark).await.unwrap();
    assert!(matches!(read.slices[..], [LogSlice::File(_)]));
    let last = open.fetch(49, 1 << 20, ReadBound::HighWatermark).await.unwrap();
    assert!(matches!(last.slices[..], [LogSlice::Bytes(_)]));
    assert!(
        values(&open, 0, 300, ReadBound::HighWatermark).iter().map(|(offset, _)| *offset).eq(0..50)
    );
}

#[tokio::test]
async fn a_deleted_partition_is_gone_and_a_new_one_starts_empty() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let old = partition(&partitions, 0);
    old.append(plain("a"), ALL).await.unwrap();
    partitions.checkpoint().unwrap();
    let mut wait = Box::pin(wait_past(&old, 5));
    assert!(poll!(&mut wait).is_pending());
    partitions.delete("orders", 0).await.unwrap();
    wait.await;
    assert_eq!(
        old.append(plain("b"), ALL).await.unwrap_err().code(),
        ErrorCode::NotLeaderOrFollower
    );
    assert!(old.read(0, 1, ReadBound::HighWatermark).is_err());
    assert!(partitions.get("orders", 0).is_none());
    let names: Vec<_> = std::fs::read_dir(fixture.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("orders"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
    let new = partition(&partitions, 0);
    assert_eq!(new.append(plain("c"), ALL).await.unwrap().base_offset, 0);
    partitions.close().await.unwrap();
}

#[tokio::test]
async fn deleted_records_stay_deleted_after_an_unclean_stop() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let open = partition(&partitions, 0);
    for _ in 0..5 {
        open.append(plain("a"), ALL).await.unwrap();
    }
    assert_eq!(open.delete_records(6).await.unwrap_err().code(), ErrorCode::OffsetOutOfRange);
    assert_eq!(open.delete_records(3).await.unwrap(), 3);
    drop((open, partitions));
    let partitions = fixture.open().await;
    let open = partition(&partitions, 0);
    assert_eq!(
        open.offsets(),
        PartitionOffsets { log_start: 3, high_watermark: 5, last_stable: 5, log_end: 5 }
    );
    let early = open.read(2, 1, ReadBound::HighWatermark).unwrap_err();
    assert_eq!(early.code(), ErrorCode::OffsetOutOfRange);
    assert_eq!(open.delete_records(-1).await.unwrap(), 5);
}

#[tokio::test]
async fn retention_moves_the_log_start() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let log = LogConfig { retention_ms: 1000, ..LogConfig::default() };
    let config = PartitionConfig { log, ..PartitionConfig::default() };
    let open = partitions.get_or_create(id(0), [1; 16], 0, config).unwrap();
    open.append(plain("a"), ALL).await.unwrap();
    partitions.retain();
    assert_eq!(open.offsets().log_start, 0);
    fixture.now_ms.store(NOW_MS + 1001, Ordering::Release);
    partitions.retain();
    assert_eq!(
        open.offsets(),
        PartitionOffsets { log_start: 1, high_watermark: 1, last_stable: 1, log_end: 1 }
    );
}

#[tokio::test]
async fn a_low_disk_refuses_clients_and_not_coordinators() {
    let mut fixture = Fixture::new();
    fixture.free_bytes_min = u64::MAX;
    let partitions = fixture.open().await;
    let open = partition(&partitions, 0);
    partitions.shared.note_disk_full();
    assert_eq!(
        open.append(plain("a"), ALL).await.unwrap_err().code(),
        ErrorCode::KafkaStorageError
    );
    let coordinator = AppendHow { acks: Acks::All, origin: Origin::Coordinator };
    let two = [plain("a"), plain("b")].concat();
    let appended = open.append(Bytes::from(two), coordinator).await.unwrap();
    assert_eq!((appended.base_offset, appended.last_offset), (0, 1));
}

#[tokio::test]
async fn offsets_are_found_by_time_and_epoch() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let open = partition(&partitions, 0);
    assert_eq!(open.max_timestamp(ReadBound::HighWatermark).await.unwrap(), None);
    open.append(batch(BatchOptions::default(), &["a", "b"]), ALL).await.unwrap();
    let first = TimestampOffset { timestamp_ms: NOW_MS, offset: 0 };
    assert_eq!(
        open.offset_for_timestamp(NOW_MS, ReadBound::HighWatermark).await.unwrap(),
        Some(first)
    );
    assert_eq!(
        open.offset_for_timestamp(NOW_MS + 1, ReadBound::HighWatermark).await.unwrap(),
        None
    );
    assert_eq!(open.max_timestamp(ReadBound::HighWatermark).await.unwrap(), Some(first));
    assert_eq!(open.offset_for_leader_epoch(0).unwrap(), (0, 2));
    assert_eq!(open.offset_for_leader_epoch(1).unwrap(), (-1, -1));
}
