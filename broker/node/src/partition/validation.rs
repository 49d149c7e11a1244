//! What a batch must be before it may enter a log.
//!
//! - An uncompressed batch is walked record by record; a compressed one is taken by its header, and opened only where
//!   the topic asks for it.
//! - A batch gets a header of its own, so that it can be stamped; its records are copied only where keeping them would
//!   keep much more than them in memory.
//!
//! Producers' sequences are checked when the batch gets its offset, by the log.

mod opened;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::batch::{
    BatchError, DecodedRecords, RecordBatch, Records, StampedBatch, Survey, TimestampType,
};
use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::{AppendHow, Origin, PartitionConfig, PartitionError, RefusedRecords, TopicPartition};

/// Smaller records are cheaper to copy than to keep the buffer of.
const KEPT_BYTES_MIN: usize = 16 << 10;
/// Records that are less than this part of their buffer are copied out of it.
const KEPT_PART_MIN: usize = 4;
/// How many records are named when a batch is refused: enough to see what is wrong, and no more than fits an answer.
const REFUSED_MAX: usize = 1000;
/// The timestamp of a record without one.
const NO_TIMESTAMP: i64 = -1;

impl From<BatchError> for PartitionError {
    fn from(err: BatchError) -> Self {
        match err {
            BatchError::UnknownCompression { codec } => Self::UnsupportedCompression(codec),
            // The checksum is right: it was made like this.
            BatchError::Record { .. }
            | BatchError::RecordLength { .. }
            | BatchError::TrailingBytes { .. } => Self::InvalidRecord(err.to_string()),
            err if err.code() == ErrorCode::CorruptMessage => Self::CorruptMessage(err.to_string()),
            err => Self::InvalidRecord(err.to_string()),
        }
    }
}

/// The batches of one append: one, unless a machine of the broker made it.
pub(crate) type Batches = SmallVec<[StampedBatch; 1]>;

/// Where records are to go, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Topic<'a> {
    pub(crate) id: &'a TopicPartition,
    pub(crate) config: &'a PartitionConfig,
    /// The broker's time, milliseconds.
    pub(crate) now_ms: i64,
}

impl Topic<'_> {
    /// The earliest and the latest timestamp that a record may have.
    fn time_limits(&self) -> (i64, i64) {
        (
            self.now_ms.saturating_sub(self.config.timestamp_before_max_ms),
            self.now_ms.saturating_add(self.config.timestamp_after_max_ms),
        )
    }

    fn allows(&self, timestamp: i64) -> bool {
        let (earliest, latest) = self.time_limits();
        self.config.log_append_time || (earliest..=latest).contains(&timestamp)
    }

    fn out_of_range(&self, timestamp: i64, offset: i64) -> String {
        let (earliest, latest) = self.time_limits();
        format!(
            "Timestamp {timestamp} of message with offset {offset} is out of range. The timestamp should be within \
             [{earliest}, {latest}]"
        )
    }
}

/// Checks records, batch by batch. `buffer_bytes` is what stays allocated for as long as a part of `records` is kept.
pub(crate) fn validate(
    records: &Bytes,
    buffer_bytes: usize,
    how: AppendHow,
    topic: &Topic<'_>,
) -> Result<Batches, PartitionError> {
    let mut batches: Batches = match how.origin {
        Origin::Client | Origin::ClientV2 => {
            smallvec![client_batch(records, buffer_bytes, topic)?]
        }
        Origin::Coordinator | Origin::Marker(_) => RecordBatch::parse_all(records)
            .map(|batch| {
                let batch = batch?;
                batch.validate_framing()?;
                Ok(StampedBatch::new(&records.slice_ref(batch.bytes()), buffer_bytes)?)
            })
            .collect::<Result<_, PartitionError>>()?,
    };
    if batches.is_empty() {
        return Err(no_bytes());
    }
    for batch in &mut batches {
        if batch.size_bytes() < KEPT_BYTES_MIN
            || batch.size_bytes() < batch.buffer_bytes() / KEPT_PART_MIN
        {
            batch.detach();
        }
        if topic.config.log_append_time && how.origin.is_client() {
            batch.set_log_append_time(topic.now_ms)?;
        }
    }
    Ok(batches)
}

/// The batch of a Produce request, with what the producer may have got wrong put right.
fn client_batch(
    records: &Bytes,
    buffer_bytes: usize,
    topic: &Topic<'_>,
) -> Result<StampedBatch, PartitionError> {
    let (batch, rest) = parse_one(records)?;
    if !rest.is_empty() {
        return Err(PartitionError::NotOneBatch("expected exactly one record batch".to_owned()));
    }
    if batch.base_offset() != 0 {
        return Err(PartitionError::InvalidRecord(format!(
            "base offset of a producer's batch is {}, expected 0",
            batch.base_offset()
        )));
    }
    if batch.size_bytes() > topic.config.message_bytes_max {
        return Err(PartitionError::MessageTooLarge {
            size: batch.size_bytes(),
            max: topic.config.message_bytes_max,
        });
    }
    batch.verify_crc()?;
    if batch.timestamp_type() == TimestampType::LogAppendTime {
        if topic.config.log_append_time {
            return Err(PartitionError::InvalidTimestampType);
        }
        // It comes from another log; here its records have the times that they carry, as in Kafka.
        let records = opened::with_create_times(&batch)?;
        return client_batch(&records, records.len(), topic);
    }
    let opened =
        if opened::is_needed(&batch, topic.config) { Some(opened::open(&batch)?) } else { None };
    let survey = match &opened {
        Some(opened) => Some(opened.validate_produced()?),
        None => batch.validate_produced()?,
    };
    check_header(&batch)?;
    let fixed = check_records(&batch, survey, opened.as_ref(), topic)?;
    let recompressed = match &opened {
        Some(opened) => opened::recompress(&batch, opened, topic.config)?,
        None => None,
    };
    let mut stamped = match recompressed {
        Some(recompressed) => recompressed,
        None => StampedBatch::new(records, buffer_bytes)?,
    };
    if let Some(max_timestamp) = fixed {
        stamped.set_max_timestamp(max_timestamp)?;
    }
    Ok(stamped)
}

fn no_bytes() -> PartitionError {
    PartitionError::NotOneBatch("expected a record batch, got no bytes".to_owned())
}

fn parse_one(records: &[u8]) -> Result<(RecordBatch<'_>, &[u8]), PartitionError> {
    if records.is_empty() {
        return Err(no_bytes());
    }
    RecordBatch::parse(records).map_err(|err| match err {
        // To Kafka bytes that end inside a batch are no batch, and a format that never was is damage.
        BatchError::Incomplete { .. } | BatchError::UnsupportedMagic { magic: 0 | 1 } => {
            PartitionError::NotOneBatch(err.to_string())
        }
        BatchError::UnsupportedMagic { .. } => PartitionError::CorruptMessage(err.to_string()),
        err => err.into(),
    })
}

fn check_header(batch: &RecordBatch<'_>) -> Result<(), PartitionError> {
    if batch.is_control() {
        return Err(PartitionError::InvalidRecord(
            "clients may not write control batches".to_owned(),
        ));
    }
    if batch.header().has_producer_id() {
        let producer_id = batch.producer_id();
        if batch.base_sequence() < 0 {
            return Err(PartitionError::InvalidRecord(format!(
                "base sequence of producer {producer_id} is {}, expected at least 0",
                batch.base_sequence()
            )));
        }
        if batch.producer_epoch() < 0 {
            let epoch = batch.producer_epoch();
            return Err(PartitionError::NegativeEpoch { producer_id, epoch });
        }
    }
    Ok(())
}

/// Returns the largest timestamp when the header has another one.
fn check_records(
    batch: &RecordBatch<'_>,
    survey: Option<Survey>,
    opened: Option<&DecodedRecords<'_>>,
    topic: &Topic<'_>,
) -> Result<Option<i64>, PartitionError> {
    // Of a compressed batch that was not opened only the header can be believed.
    let Some(Survey { timestamps, first_keyless }) = survey else {
        let timestamp = batch.max_timestamp();
        if timestamp != NO_TIMESTAMP && !topic.allows(timestamp) {
            let message = topic.out_of_range(timestamp, batch.last_offset());
            return Err(refused(ErrorCode::InvalidTimestamp, vec![(0, message)]));
        }
        return Ok(None);
    };
    let is_keyless = topic.config.log.cleanup_compact && first_keyless.is_some();
    let is_out_of_range = timestamps
        .is_some_and(|(smallest, largest)| !topic.allows(smallest) || !topic.allows(largest));
    if is_keyless || is_out_of_range {
        return Err(match opened {
            Some(opened) => refuse_records(opened.iter(), topic),
            None => refuse_records(batch.records()?, topic),
        });
    }
    let max_timestamp = timestamps.map_or(NO_TIMESTAMP, |(_, largest)| largest);
    // Look-ups by time trust the header, so that a producer's wrong one is put right, as Kafka does.
    Ok((max_timestamp != batch.max_timestamp()).then_some(max_timestamp))
}

/// Says what is wrong with each record.
fn refuse_records(records: Records<'_>, topic: &Topic<'_>) -> PartitionError {
    let mut code = None;
    let mut found = Vec::new();
    for record in records.flatten() {
        let (error, message) = if topic.config.log.cleanup_compact && record.key.is_none() {
            let message = format!(
                "Compacted topic cannot accept message without key in topic partition {}-{}",
                topic.id.topic, topic.id.partition
            );
            (ErrorCode::InvalidRecord, message)
        } else if record.timestamp_ms != NO_TIMESTAMP && !topic.allows(record.timestamp_ms) {
            let message = topic.out_of_range(record.timestamp_ms, record.offset);
            (ErrorCode::InvalidTimestamp, message)
        } else {
            continue;
        };
        code.get_or_insert(error);
        found.push((record.offset_delta, message));
        if found.len() == REFUSED_MAX {
            break;
        }
    }
    refused(code.unwrap_or(ErrorCode::InvalidRecord), found)
}

fn refused(code: ErrorCode, records: Vec<(i32, String)>) -> PartitionError {
    let message = if code == ErrorCode::InvalidTimestamp {
        "One or more records have been rejected due to invalid timestamp".to_owned()
    } else {
        let first: Vec<String> = records
            .iter()
            .take(3)
            .map(|(index, message)| format!("RecordError(batchIndex={index}, message='{message}')"))
            .collect();
        format!(
            "One or more records have been rejected due to {} record errors in total, and only showing the first \
             three errors at most: [{}]",
            records.len(),
            first.join(", ")
        )
    };
    PartitionError::RefusedRecords(Box::new(RefusedRecords { code, message, records }))
}
