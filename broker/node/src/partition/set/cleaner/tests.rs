//! Compaction and scrubbing of partitions over a real directory.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicI64;

use aquifer_broker_log::LogConfig;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::batch::{BatchBuilder, BatchOptions, NewRecord, RecordBatch};
use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::partition::{
    Acks, AppendHow, FlushMode, LogSlice, Origin, PartitionConfig, PartitionsSettings, ReadBound,
};

const NOW_MS: i64 = 1_700_000_000_000;

struct Fixture {
    directory: TempDir,
    _now_ms: Arc<AtomicI64>,
    clock: Clock,
}

impl Fixture {
    fn new() -> Self {
        let (clock, now_ms) = Clock::manual(NOW_MS);
        Self { directory: tempfile::tempdir().unwrap(), _now_ms: now_ms, clock }
    }

    async fn open(&self, cleaner: CleanerSettings) -> Arc<Partitions> {
        let settings = PartitionsSettings {
            node_id: 1,
            data_dir: self.directory.path().to_path_buf(),
            flush_mode: FlushMode::Commit,
            writer_threads: 1,
            queue_bytes_max: 1 << 16,
            tail_cache_bytes_max: 1 << 20,
            free_bytes_min: 0,
            retention_check_ms: i64::MAX,
            cleaner,
            clock: self.clock.clone(),
        };
        Partitions::open(settings).await.unwrap()
    }

    fn files(&self, partition: i32) -> PathBuf {
        self.directory.path().join(format!("t-{partition}"))
    }
}

fn off() -> CleanerSettings {
    CleanerSettings { enabled: false, ..CleanerSettings::default() }
}

/// A partition that is compacted, and has a segment for each batch.
fn partition(partitions: &Partitions, number: i32) -> Arc<Partition> {
    let log = LogConfig {
        segment_bytes: 1,
        cleanup_delete: false,
        cleanup_compact: true,
        ..LogConfig::default()
    };
    let config = PartitionConfig { log, ..PartitionConfig::default() };
    let id = TopicPartition { topic: "t".into(), partition: number };
    partitions.get_or_create(id, [1; 16], 0, config).unwrap()
}

async fn write(partition: &Arc<Partition>, key: &str, value: &str) {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord {
        timestamp_ms: NOW_MS,
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        headers: &[],
    });
    let how = AppendHow { acks: Acks::All, origin: Origin::Client };
    partition.append(builder.build().unwrap(), how).await.unwrap();
}

/// Key and value of every record, as a consumer reads them.
async fn read(partition: &Arc<Partition>) -> Result<Vec<(String, String)>, PartitionError> {
    let (mut found, mut from) = (Vec::new(), partition.offsets().log_start);
    while from < partition.offsets().high_watermark {
        let slices = partition.fetch(from, 1 << 20, ReadBound::HighWatermark).await?.slices;
        for slice in slices {
            let bytes = match slice {
                LogSlice::Bytes(bytes) => bytes,
                LogSlice::File(range) => {
                    let mut bytes = vec![0; range.length as usize];
                    std::os::unix::fs::FileExt::read_exact_at(
                        &*range.file,
                        &mut bytes,
                        range.position,
                    )
                    .unwrap();
                    Bytes::from(bytes)
                }
            };
            for batch in RecordBatch::parse_all(&bytes) {
                let batch = batch.unwrap();
                from = batch.next_offset();
                for record in batch.records().unwrap() {
                    let record = record.unwrap();
                    let text = |bytes: Option<&[u8]>| {
                        String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap()
                    };
                    found.push((text(record.key), text(record.value)));
                }
            }
        }
    }
    Ok(found)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn readers_get_what_compaction_left_and_appends_go_on() {
    let fixture = Fixture::new();
    let partitions = fixture.open(off()).await;
    let open = partition(&partitions, 0);
    for (key, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("a", "3"), ("c", "1")] {
        write(&open, key, value).await;
    }
    assert_eq!(partitions.clean(), 1);
    let left = pairs(&[("b", "1"), ("a", "3"), ("c", "1")]);
    assert_eq!(
        read(&open).await.unwrap(),
        left,
        "nothing comes from memory that is not in the log"
    );
    assert_eq!(partitions.clean(), 0, "nothing is left to do");
    write(&open, "b", "2").await;
    assert_eq!(open.offsets().log_end, 6);
    let checkpoint = fixture.directory.path().join("cleaner-offset-checkpoint");
    assert_eq!(std::fs::read_to_string(checkpoint).unwrap(), "0\n1\nt 0 4\n");
    partitions.close().await.unwrap();
    drop((open, partitions));
    let partitions = fixture.open(off()).await;
    let open = partition(&partitions, 0);
    let left = [&left[..], &pairs(&[("b", "2")])[..]].concat();
    assert_eq!(read(&open).await.unwrap(), left);
    // What a clean stop closed is opened to look, and let go of when there is nothing to do.
    partitions.close().await.unwrap();
}

fn spoil(directory: &Path, base_offset: i64) {
    let path = directory.join(format!("{base_offset:020}.log"));
    let mut bytes = std::fs::read(&path).unwrap();
    // The value's last byte; behind it is the count of headers.
    let at = bytes.len() - 2;
    bytes[at] ^= 1;
    // In place: the broker has the file open.
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
}

#[tokio::test]
async fn a_partition_that_cannot_be_compacted_is_left_alone_and_the_others_are_not() {
    let fixture = Fixture::new();
    let partitions = fixture.open(off()).await;
    let (bad, good) = (partition(&partitions, 0), partition(&partitions, 1));
    for open in [&bad, &good] {
        for value in ["1", "2", "3"] {
            write(open, "a", value).await;
        }
    }
    spoil(&fixture.files(0), 1);
    let mut memory = Memory::default();
    assert_eq!(partitions.clean_due(&mut memory), 1);
    assert_eq!(read(&good).await.unwrap(), pairs(&[("a", "2"), ("a", "3")]));
    assert!(memory.is_waiting(&bad.id, NOW_MS) && !memory.is_waiting(&good.id, NOW_MS));
    assert!(!memory.is_waiting(&bad.id, NOW_MS + 15_000));
    assert_eq!(partitions.clean_due(&mut memory), 0, "it waits for its time");
    memory.failed.get_mut(&bad.id).unwrap().retry_at_ms = NOW_MS;
    partitions.clean_due(&mut memory);
    assert!(memory.is_waiting(&bad.id, NOW_MS + 29_999), "longer each time");
    assert_eq!(bad.offsets().log_end, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_deleted_while_it_is_compacted() {
    let fixture = Fixture::new();
    // So slow that the round would take hours.
    let cleaner = CleanerSettings {
        backoff: Duration::from_millis(1),
        bytes_per_second: 1.0,
        ..CleanerSettings::default()
    };
    let partitions = fixture.open(cleaner).await;
    let open = partition(&partitions, 0);
    for value in ["1", "2", "3"] {
        write(&open, "a", value).await;
    }
    while partitions.shared.cleaner.busy.lock().is_none() {
        tokio::task::yield_now().await;
    }
    partitions.delete("t", 0).await.unwrap();
    assert!(!fixture.files(0).exists());
    assert!(partitions.shared.cleaner.busy.lock().is_none());
    let again = partition(&partitions, 0);
    write(&again, "a", "new").await;
    assert_eq!(read(&again).await.unwrap(), pairs(&[("a", "new")]));
    partitions.close().await.unwrap();
}

#[tokio::test]
async fn the_thread_compacts_by_itself_and_settings_count_at_once() {
    let fixture = Fixture::new();
    let cleaner =
        CleanerSettings { backoff: Duration::from_secs(3600), ..CleanerSettings::default() };
    let partitions = fixture.open(cleaner.clone()).await;
    let open = partition(&partitions, 0);
    for value in ["1", "2", "3"] {
        write(&open, "a", value).await;
    }
    partitions.update_cleaner(CleanerSettings { backoff: Duration::from_millis(1), ..cleaner });
    while open.cleaned_to() != Some(2) {
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&open).await.unwrap(), pairs(&[("a", "2"), ("a", "3")]));
    partitions.close().await.unwrap();
}

#[tokio::test]
async fn what_the_disk_spoilt_is_found_and_readers_are_told() {
    let fixture = Fixture::new();
    let partitions = fixture.open(off()).await;
    let open = partition(&partitions, 0);
    for value in ["1", "2", "3", "4"] {
        write(&open, "a", value).await;
    }
    tail::clear(&open.tail, &open.shared.tails);
    assert_eq!(read(&open).await.unwrap().len(), 4);
    spoil(&fixture.files(0), 1);
    assert_eq!(read(&open).await.unwrap().len(), 4, "what was compared once is not compared again");
    let scrubbed = open.scrub(&partitions.shared.scrubber).unwrap();
    assert_eq!(scrubbed.corrupt_ranges, 1);
    let told = open.fetch(1, 1, ReadBound::HighWatermark).await.unwrap_err();
    assert_eq!(told.code(), ErrorCode::CorruptMessage);
    assert_eq!(open.fetch(2, 1, ReadBound::HighWatermark).await.unwrap().slices.len(), 1);
    // A header that leads nowhere costs the rest of its segment, and no more.
    let path = fixture.files(0).join(format!("{:020}.log", 2));
    let length = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 16], 8).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), length);
    let scrubbed = open.scrub(&partitions.shared.scrubber).unwrap();
    assert_eq!(scrubbed.corrupt_ranges, 2);
    assert_eq!(open.offsets().log_end, 4, "nothing is deleted");
}
