//! Batches and logs for this crate's tests.

use std::path::PathBuf;
use std::sync::Arc;

use aquifer_broker_protocol::batch::{
    BatchBuilder, BatchHeader, BatchOptions, NewRecord, RecordBatch, StampedBatch,
};
use aquifer_broker_protocol::control::EndTransactionMarker;
use bytes::BytesMut;

use crate::file_cache::FileCache;
use crate::fs::FileSystem;
use crate::log::Log;
use crate::recovery::Checkpointed;
use crate::{LogConfig, LogError, RecoveryReport, Staged};

/// A producer's id, epoch and first sequence.
pub(crate) type Sequence = (i64, i16, i32);

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Commit,
    Abort,
}

/// A batch of records with these timestamps and values of `value_bytes` bytes.
pub(crate) fn batch(
    sequence: Option<Sequence>,
    timestamps: &[i64],
    value_bytes: usize,
) -> BytesMut {
    build(sequence, BatchOptions::default(), timestamps, value_bytes)
}

/// A batch of a transaction.
pub(crate) fn transactional(
    sequence: Sequence,
    timestamps: &[i64],
    value_bytes: usize,
) -> BytesMut {
    let options = BatchOptions { transactional: true, ..BatchOptions::default() };
    build(Some(sequence), options, timestamps, value_bytes)
}

/// The marker that ends a transaction of the producer with this id and epoch.
pub(crate) fn marker(id: i64, epoch: i16, end: End, coordinator_epoch: i32) -> BytesMut {
    EndTransactionMarker { commit: end == End::Commit, coordinator_epoch }.batch(id, epoch, 1000)
}

fn build(
    sequence: Option<Sequence>,
    mut options: BatchOptions,
    timestamps: &[i64],
    value_bytes: usize,
) -> BytesMut {
    if let Some((id, epoch, base_sequence)) = sequence {
        (options.producer_id, options.producer_epoch, options.base_sequence) =
            (id, epoch, base_sequence);
    }
    let mut builder = BatchBuilder::new(options);
    let value = vec![b'v'; value_bytes];
    for &timestamp_ms in timestamps {
        builder.push(NewRecord {
            timestamp_ms,
            key: Some(b"k"),
            value: Some(&value),
            headers: &[],
        });
    }
    BytesMut::from(&builder.build().unwrap()[..])
}

/// `count` records at time 1000 without a producer.
pub(crate) fn plain(count: usize) -> BytesMut {
    batch(None, &vec![1000; count], 20)
}

/// The header of a batch.
pub(crate) fn header(batch: &[u8]) -> BatchHeader {
    *RecordBatch::parse(batch).unwrap().0.header()
}

/// Opens the log `t-0` below `/data`.
pub(crate) fn open(
    fs: Arc<dyn FileSystem>,
    config: LogConfig,
    recovery_point: i64,
) -> Result<(Log, RecoveryReport), LogError> {
    let files = Arc::new(FileCache::new(fs, 16));
    let known = Checkpointed { recovery_point, ..Checkpointed::default() };
    Log::open(files, PathBuf::from("/data/t-0"), [7; 16], config, known, 1000)
}

/// The batch as a log takes it.
pub(crate) fn stamped(batch: BytesMut) -> StampedBatch {
    StampedBatch::new(&batch.freeze(), 0).unwrap()
}

/// Appends one batch and returns what it got.
pub(crate) fn append(log: &mut Log, batch: BytesMut, epoch: i32) -> Result<Staged, LogError> {
    let staged = log.stage(stamped(batch), epoch, 1000)?;
    log.write_staged(1000)?;
    Ok(staged)
}

/// Syncs what is dirty.
pub(crate) fn sync(log: &mut Log, fs: &dyn FileSystem) -> Result<(), LogError> {
    if let Some(targets) = log.take_unsynced()? {
        for file in &targets.files {
            file.sync().map_err(LogError::io("sync", log.directory()))?;
        }
        for directory in &targets.directories {
            fs.sync_directory(directory).map_err(LogError::io("sync", directory))?;
        }
    }
    Ok(())
}

/// All bytes of the log, batch by batch, after their checksums were compared.
pub(crate) fn read_all(log: &Log) -> Result<Vec<Vec<u8>>, LogError> {
    let (mut batches, mut from) = (Vec::new(), log.log_start());
    while let Some(range) = log.read(from, 1000, log.log_end())? {
        range.check()?;
        let bytes = range.read()?;
        for batch in RecordBatch::parse_all(&bytes) {
            let batch = batch.unwrap();
            from = batch.next_offset();
            batches.push(batch.bytes().to_vec());
        }
    }
    Ok(batches)
}
