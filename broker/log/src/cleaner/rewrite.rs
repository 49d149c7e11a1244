//! A batch with some of its records left out.
//!
//! - Offsets, sequences, producer and leader epoch stay: the base offset and the last offset delta are not touched.
//! - What stays is copied as it lies, unless the delete horizon takes the place of the base timestamp: then the deltas
//!   of the timestamps are written anew.
//! - The checksum of a rewritten batch is made from bytes whose own checksum was compared before.

use std::borrow::Cow;

use aquifer_broker_protocol::ProtocolError;
use aquifer_broker_protocol::batch::{
    BatchError, Compression, HEADER_BYTES, LENGTH_PREFIX_BYTES, Record, RecordBatch, Records,
    TimestampType,
};
use aquifer_broker_protocol::compression::compress;
use aquifer_broker_protocol::primitive::{Reader, Varint};

/// The bits of a batch's attributes that name its codec.
const CODEC_BITS: i16 = 0x07;
/// The bit that says that the base timestamp is the delete horizon.
const HORIZON_BIT: i16 = 0x40;
/// Where the bytes start that the checksum covers.
const CRC_START: usize = 21;
/// A batch may not decompress to more than this: it has to fit into memory beside everything else.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// A batch whose records can be looked at.
pub(super) struct OpenBatch<'a> {
    batch: RecordBatch<'a>,
    records: Cow<'a, [u8]>,
}

/// A record and the bytes that it takes, its length included.
pub(super) struct RawRecord<'a> {
    pub(super) record: Record<'a>,
    bytes: &'a [u8],
}

impl<'a> OpenBatch<'a> {
    /// Decompresses the records if need be.
    pub(super) fn open(batch: RecordBatch<'a>) -> Result<Self, BatchError> {
        let records = batch.decode_records(RECORD_BYTES_MAX)?.into_bytes();
        Ok(Self { batch, records })
    }

    /// The records in order.
    pub(super) fn records(&self) -> Result<Vec<RawRecord<'_>>, BatchError> {
        let mut reader = Reader::new(&self.records);
        let mut raw = Vec::new();
        for record in Records::from_decompressed(self.batch.header(), &self.records) {
            let record = record?;
            let rest = reader.rest();
            skip_record(&mut reader).map_err(|source| BatchError::Record {
                index: u32::try_from(raw.len()).unwrap_or(u32::MAX),
                source,
            })?;
            let bytes = rest.get(..rest.len() - reader.remaining()).unwrap_or_default();
            raw.push(RawRecord { record, bytes });
        }
        Ok(raw)
    }

    /// The batch with the given records of its own only. `horizon_ms` is set as the delete horizon if it is given.
    pub(super) fn with_records(
        &self,
        kept: &[RawRecord<'_>],
        horizon_ms: Option<i64>,
    ) -> Result<Vec<u8>, BatchError> {
        let header = self.batch.header();
        let mut records =
            Vec::with_capacity(kept.iter().map(|raw| raw.bytes.len() + 4).sum::<usize>());
        for (index, raw) in (0..).zip(kept) {
            match horizon_ms {
                Some(base) => put_with_base(&mut records, raw, base)
                    .map_err(|source| BatchError::Record { index, source })?,
                None => records.extend_from_slice(raw.bytes),
            }
        }
        let newest = kept.iter().map(|raw| raw.record.timestamp_ms).max();
        let max_timestamp = match header.timestamp_type() {
            TimestampType::LogAppendTime => header.max_timestamp,
            TimestampType::CreateTime => newest.unwrap_or(header.max_timestamp),
        };
        let records = match header.compression() {
            Compression::None => records,
            codec @ (Compression::Gzip
            | Compression::Snappy
            | Compression::Lz4
            | Compression::Zstd) => {
                compress(codec, &records).map_err(|source| BatchError::Compression { source })?
            }
        };
        self.encode(Fields {
            attributes: header.attributes | if horizon_ms.is_some() { HORIZON_BIT } else { 0 },
            base_timestamp: horizon_ms.unwrap_or(header.base_timestamp),
            max_timestamp,
            record_count: i32::try_from(kept.len()).unwrap_or(i32::MAX),
            records: &records,
        })
    }

    /// The batch without any record: what it says of its producer and its offsets stays.
    pub(super) fn emptied(&self) -> Result<Vec<u8>, BatchError> {
        let header = self.batch.header();
        self.encode(Fields {
            attributes: header.attributes & !(CODEC_BITS | HORIZON_BIT),
            base_timestamp: -1,
            max_timestamp: header.max_timestamp,
            record_count: 0,
            records: &[],
        })
    }

    fn encode(&self, fields: Fields<'_>) -> Result<Vec<u8>, BatchError> {
        let header = self.batch.header();
        let size = HEADER_BYTES + fields.records.len();
        let Ok(batch_length) = i32::try_from(size - LENGTH_PREFIX_BYTES) else {
            return Err(BatchError::TooLarge { bytes: size as u64 });
        };
        let mut batch = Vec::with_capacity(size);
        batch.extend_from_slice(&header.base_offset.to_be_bytes());
        batch.extend_from_slice(&batch_length.to_be_bytes());
        batch.extend_from_slice(&header.partition_leader_epoch.to_be_bytes());
        batch.extend_from_slice(&header.magic.to_be_bytes());
        batch.extend_from_slice(&[0; 4]);
        batch.extend_from_slice(&fields.attributes.to_be_bytes());
        batch.extend_from_slice(&header.last_offset_delta.to_be_bytes());
        batch.extend_from_slice(&fields.base_timestamp.to_be_bytes());
        batch.extend_from_slice(&fields.max_timestamp.to_be_bytes());
        batch.extend_from_slice(&header.producer_id.to_be_bytes());
        batch.extend_from_slice(&header.producer_epoch.to_be_bytes());
        batch.extend_from_slice(&header.base_sequence.to_be_bytes());
        batch.extend_from_slice(&fields.record_count.to_be_bytes());
        batch.extend_from_slice(fields.records);
        let crc = crc32c::crc32c(&batch[CRC_START..]);
        batch[CRC_START - 4..CRC_START].copy_from_slice(&crc.to_be_bytes());
        Ok(batch)
    }
}

/// What a rewritten batch has of its own.
struct Fields<'a> {
    attributes: i16,
    base_timestamp: i64,
    max_timestamp: i64,
    record_count: i32,
    records: &'a [u8],
}

fn skip_record(reader: &mut Reader<'_>) -> Result<(), ProtocolError> {
    let declared = reader.read_varint("record length")?;
    let length = usize::try_from(declared).map_err(|_| ProtocolError::NegativeLength {
        field: "record length",
        declared: i64::from(declared),
    })?;
    reader.take("record", length).map(|_| ())
}

/// Writes a record with its timestamp counted from another base.
fn put_with_base(
    into: &mut Vec<u8>,
    raw: &RawRecord<'_>,
    base_timestamp: i64,
) -> Result<(), ProtocolError> {
    let mut reader = Reader::new(raw.bytes);
    reader.read_varint("record length")?;
    let attributes = reader.read_i8("record attributes")?;
    reader.read_varlong("timestamp delta")?;
    let rest = reader.rest();
    let delta = Varint::signed(raw.record.timestamp_ms.wrapping_sub(base_timestamp));
    let length = 1 + delta.size() + rest.len();
    into.extend_from_slice(Varint::signed(i64::try_from(length).unwrap_or(i64::MAX)).as_bytes());
    into.extend_from_slice(&attributes.to_be_bytes());
    into.extend_from_slice(delta.as_bytes());
    into.extend_from_slice(rest);
    Ok(())
}
