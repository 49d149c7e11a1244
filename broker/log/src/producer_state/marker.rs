//! The control batches that end transactions, as the state of their producers takes them in.

use aquifer_broker_protocol::batch::{BatchHeader, RecordBatch, StampedBatch};
use aquifer_broker_protocol::control::{ControlRecord, read_control};

/// How a transaction ended, and who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) committed: bool,
    pub(crate) coordinator_epoch: i32,
}

/// A control batch holds one small record.
const RECORDS_BYTES_MAX: usize = 64 << 10;

impl Marker {
    /// `of`, for a batch on its way into the log.
    pub(crate) fn of_stamped(header: &BatchHeader, batch: &StampedBatch) -> Option<Self> {
        if !header.is_control() || !header.has_producer_id() {
            return None;
        }
        RecordBatch::parse(&batch.pieces().concat()).ok().and_then(|(batch, _)| Self::of(&batch))
    }

    /// The marker in a control batch; `None` when the batch is of another kind, or compaction emptied it.
    pub(crate) fn of(batch: &RecordBatch<'_>) -> Option<Self> {
        if !batch.is_control() || !batch.header().has_producer_id() {
            return None;
        }
        let records = batch.decode_records(RECORDS_BYTES_MAX).ok()?;
        let record = records.iter().next()?.ok()?;
        match read_control(&record) {
            ControlRecord::EndTransaction(marker) => {
                Some(Self { committed: marker.commit, coordinator_epoch: marker.coordinator_epoch })
            }
            ControlRecord::Other => None,
        }
    }
}
