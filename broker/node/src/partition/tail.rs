//! Recent appends in memory: what consumers at the end of a partition read.
//!
//! - One budget for all partitions; past it the oldest append goes, wherever it is.
//! - Chunks of a partition follow each other without a gap, and hold whole batches.

use std::collections::VecDeque;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};

use aquifer_broker_log::WrittenBatch;
use aquifer_broker_protocol::batch::BatchHeader;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

use super::{LogSlice, Partition};

/// What a chunk costs besides its bytes.
const CHUNK_OVERHEAD_BYTES: usize = 96;
/// Batches below this are put together into one chunk.
const SMALL_BATCH_BYTES: usize = 4 << 10;
/// Chunks of small batches end here.
const JOINED_CHUNK_BYTES_MAX: usize = 64 << 10;
/// A read of more slices than this, small on average, is copied into one.
const SLICES_MAX: usize = 16;

/// Bytes that all tails may hold, and who added them.
#[derive(Debug)]
pub(crate) struct TailBudget {
    bytes_max: usize,
    used: AtomicUsize,
    order: Mutex<VecDeque<Weak<Partition>>>,
}

impl TailBudget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, used: AtomicUsize::new(0), order: Mutex::new(VecDeque::new()) }
    }

    fn charge(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes a chunk that `partition` was charged for, and lets the oldest go until everything fits.
    fn settle(&self, partition: &Weak<Partition>) {
        self.order.lock().push_back(Weak::clone(partition));
        while self.used.load(Ordering::Relaxed) > self.bytes_max {
            let Some(oldest) = self.order.lock().pop_front() else { break };
            if let Some(partition) = oldest.upgrade() {
                self.release(partition.tail.lock().drop_first());
            }
        }
    }

    fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Chunk {
    base_offset: i64,
    next_offset: i64,
    bytes: Bytes,
}

impl Chunk {
    fn cost(&self) -> usize {
        self.bytes.len() + CHUNK_OVERHEAD_BYTES
    }
}

/// The recent appends of one partition.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    chunks: VecDeque<Chunk>,
}

/// Adds what was just written.
pub(crate) fn push(
    partition: &Weak<Partition>,
    tail: &Mutex<Tail>,
    budget: &TailBudget,
    written: Vec<WrittenBatch>,
) {
    for chunk in join_small(written) {
        let cost = chunk.cost();
        if cost > budget.bytes_max {
            continue;
        }
        budget.charge(cost);
        {
            let mut tail = tail.lock();
            if tail.chunks.back().is_some_and(|last| last.next_offset != chunk.base_offset) {
                budget.release(tail.clear());
            }
            tail.chunks.push_back(chunk);
        }
        budget.settle(partition);
    }
}

fn join_small(written: Vec<WrittenBatch>) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::with_capacity(written.len().min(16));
    let mut small: Vec<WrittenBatch> = Vec::new();
    let mut small_bytes = 0;
    let flush = |small: &mut Vec<WrittenBatch>, chunks: &mut Vec<Chunk>| {
        let (Some(first), Some(last)) = (small.first(), small.last()) else { return };
        let (base_offset, next_offset) = (first.base_offset, last.next_offset);
        let bytes = if small.len() == 1 {
            first.bytes.clone()
        } else {
            let mut joined =
                BytesMut::with_capacity(small.iter().map(|batch| batch.bytes.len()).sum());
            small.iter().for_each(|batch| joined.extend_from_slice(&batch.bytes));
            joined.freeze()
        };
        chunks.push(Chunk { base_offset, next_offset, bytes });
        small.clear();
    };
    for batch in written {
        if batch.bytes.len() >= SMALL_BATCH_BYTES
            || small_bytes + batch.bytes.len() > JOINED_CHUNK_BYTES_MAX
        {
            flush(&mut small, &mut chunks);
            small_bytes = 0;
        }
        small_bytes += batch.bytes.len();
        let alone = batch.bytes.len() >= SMALL_BATCH_BYTES;
        small.push(batch);
        if alone {
            flush(&mut small, &mut chunks);
            small_bytes = 0;
        }
    }
    flush(&mut small, &mut chunks);
    chunks
}

impl Tail {
    /// Drops the oldest chunk and returns what it cost.
    fn drop_first(&mut self) -> usize {
        self.chunks.pop_front().map_or(0, |chunk| chunk.cost())
    }

    fn clear(&mut self) -> usize {
        self.chunks.drain(..).map(|chunk| chunk.cost()).sum()
    }

    /// Whole batches from the one with `from`, with offsets below `limit`; `None` when `from` is not in memory.
    pub(crate) fn read(&self, from: i64, bytes_max: usize, limit: i64) -> Option<Vec<LogSlice>> {
        let first = self.chunks.partition_point(|chunk| chunk.next_offset <= from);
        let chunk = self.chunks.get(first).filter(|chunk| chunk.base_offset <= from)?;
        let start = batch_start(&chunk.bytes, from)?;
        let mut slices: Vec<Bytes> = Vec::new();
        let mut total = 0;
        for (at, chunk) in self.chunks.iter().enumerate().skip(first) {
            if chunk.base_offset >= limit || (total >= bytes_max && total > 0) {
                break;
            }
            let rest = if at == first { chunk.bytes.slice(start..) } else { chunk.bytes.clone() };
            let room = bytes_max.saturating_sub(total);
            let whole = rest.len() <= room && chunk.next_offset <= limit;
            let end = if whole { rest.len() } else { batches_end(&rest, room, limit, total == 0) };
            if end == 0 {
                break;
            }
            total += end;
            slices.push(rest.slice(..end));
            if end < rest.len() {
                break;
            }
        }
        Some(joined(slices, total))
    }
}

fn joined(slices: Vec<Bytes>, total: usize) -> Vec<LogSlice> {
    if slices.len() > SLICES_MAX && total / slices.len() < SMALL_BATCH_BYTES {
        let mut joined = BytesMut::with_capacity(total);
        slices.iter().for_each(|slice| joined.extend_from_slice(slice));
        return vec![LogSlice::Bytes(joined.freeze())];
    }
    slices.into_iter().map(LogSlice::Bytes).collect()
}

/// Where the batch starts that holds `offset` or a later one.
fn batch_start(bytes: &[u8], offset: i64) -> Option<usize> {
    let mut at = 0;
    while let Ok(header) = BatchHeader::parse(bytes.get(at..)?) {
        if header.next_offset() > offset {
            return Some(at);
        }
        at += header.size_bytes();
    }
    None
}

/// Where batches end that fit into `room` and lie below `limit`; the first always fits when `first_always`.
fn batches_end(bytes: &[u8], room: usize, limit: i64, first_always: bool) -> usize {
    let mut end = 0;
    while let Some(rest) = bytes.get(end..)
        && let Ok(header) = BatchHeader::parse(rest)
    {
        let fits = end + header.size_bytes() <= room || (end == 0 && first_always);
        if !fits || header.base_offset >= limit {
            break;
        }
        end += header.size_bytes();
    }
    end
}

/// Forgets everything, because the log was cut.
pub(crate) fn clear(tail: &Mutex<Tail>, budget: &TailBudget) {
    let released = tail.lock().clear();
    budget.release(released);
}
