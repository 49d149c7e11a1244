//! Recent appends in memory: what consumers at the end of a partition read.
//!
//! - One budget for all partitions; past it the oldest append goes, wherever it is.
//! - Chunks of a partition follow each other without a gap, and hold whole batches: one large one, whose records lie in
//!   the buffer they were received in, or several small ones, put together.

use std::collections::VecDeque;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};

use aquifer_broker_log::WrittenBatch;
use aquifer_broker_protocol::batch::BatchHeader;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use smallvec::{SmallVec, smallvec};

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
    /// The header of a chunk that is one batch; empty where `bytes` are whole batches.
    head: Bytes,
    bytes: Bytes,
    /// What `bytes` keep allocated.
    held_bytes: usize,
}

impl Chunk {
    fn single(batch: WrittenBatch) -> Self {
        let WrittenBatch { base_offset, next_offset, batch } = batch;
        let held_bytes = batch.buffer_bytes();
        let [head, bytes] = batch.into_pieces();
        Self { base_offset, next_offset, head, bytes, held_bytes }
    }

    fn joined(batches: &[WrittenBatch]) -> Option<Self> {
        let (first, last) = (batches.first()?, batches.last()?);
        let held_bytes = batches.iter().map(|written| written.batch.size_bytes()).sum();
        let mut joined = BytesMut::with_capacity(held_bytes);
        let pieces = batches.iter().flat_map(|written| written.batch.pieces());
        pieces.for_each(|piece| joined.extend_from_slice(piece));
        Some(Self {
            base_offset: first.base_offset,
            next_offset: last.next_offset,
            head: Bytes::new(),
            bytes: joined.freeze(),
            held_bytes,
        })
    }

    fn len(&self) -> usize {
        self.head.len() + self.bytes.len()
    }

    fn cost(&self) -> usize {
        self.head.len() + self.held_bytes + CHUNK_OVERHEAD_BYTES
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
    for chunk in chunks(written) {
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

fn chunks(written: Vec<WrittenBatch>) -> impl Iterator<Item = Chunk> {
    let mut written = written.into_iter().peekable();
    let is_small = |written: &WrittenBatch| written.batch.size_bytes() < SMALL_BATCH_BYTES;
    std::iter::from_fn(move || {
        let first = written.next()?;
        if !is_small(&first) {
            return Some(Chunk::single(first));
        }
        let mut bytes = first.batch.size_bytes();
        let mut small: SmallVec<[WrittenBatch; 8]> = smallvec![first];
        while let Some(next) = written.next_if(|next| {
            is_small(next) && bytes + next.batch.size_bytes() <= JOINED_CHUNK_BYTES_MAX
        }) {
            bytes += next.batch.size_bytes();
            small.push(next);
        }
        Chunk::joined(&small)
    })
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
        let start = if chunk.head.is_empty() { batch_start(&chunk.bytes, from)? } else { 0 };
        let mut slices: SmallVec<[Bytes; 8]> = SmallVec::new();
        let mut total = 0;
        for (at, chunk) in self.chunks.iter().enumerate().skip(first) {
            if chunk.base_offset >= limit || (total >= bytes_max && total > 0) {
                break;
            }
            let start = if at == first { start } else { 0 };
            let room = bytes_max.saturating_sub(total);
            if chunk.next_offset <= limit && chunk.len() - start <= room
                || (!chunk.head.is_empty() && total == 0)
            {
                total += chunk.len() - start;
                if !chunk.head.is_empty() {
                    slices.push(chunk.head.clone());
                }
                slices.push(chunk.bytes.slice(start..));
                continue;
            }
            if chunk.head.is_empty() {
                let rest = chunk.bytes.slice(start..);
                let end = batches_end(&rest, room, limit, total == 0);
                total += end;
                if end > 0 {
                    slices.push(rest.slice(..end));
                }
            }
            break;
        }
        Some(joined(slices, total))
    }
}

fn joined(slices: SmallVec<[Bytes; 8]>, total: usize) -> Vec<LogSlice> {
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

/// Forgets what begins below `offset`, because compaction wrote it anew.
pub(crate) fn clear_below(tail: &Mutex<Tail>, budget: &TailBudget, offset: i64) {
    let mut released = 0;
    let mut tail = tail.lock();
    while tail.chunks.front().is_some_and(|chunk| chunk.base_offset < offset) {
        released += tail.drop_first();
    }
    drop(tail);
    budget.release(released);
}

/// Forgets everything, because the log was cut.
pub(crate) fn clear(tail: &Mutex<Tail>, budget: &TailBudget) {
    let released = tail.lock().clear();
    budget.release(released);
}
