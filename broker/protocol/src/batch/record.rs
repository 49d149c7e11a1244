//! The records inside an uncompressed batch, borrowed.
//!
//! A record is walked to its end, headers included, before it is handed out: what the iterator yields is well formed.

use super::{BatchError, BatchHeader, TimestampType};
use crate::error::ProtocolError;
use crate::primitive::Reader;

/// The timestamp of a record without one.
const NO_TIMESTAMP: i64 = -1;

/// One record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record<'a> {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its offset minus the batch's base offset.
    pub offset_delta: i32,
    /// Its timestamp in milliseconds: its own, or the batch's if the broker sets them.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; null is a tombstone on a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order; names may repeat.
    pub headers: Headers<'a>,
}

/// One header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name, UTF-8 by convention.
    pub key: &'a [u8],
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record, walked when asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    count: u32,
}

impl<'a> Headers<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each header in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + 'a {
        let mut reader = Reader::new(self.bytes);
        // The bytes were walked when the record was read, so that no read here fails.
        (0..self.count).map_while(move |_| read_header(&mut reader).ok())
    }
}

/// The records of a batch. After an error there are no more.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    base_offset: i64,
    base_timestamp: i64,
    /// The timestamp of every record, if the broker set it.
    log_append_time_ms: Option<i64>,
    reader: Reader<'a>,
    index: u32,
    count: u32,
}

impl<'a> Records<'a> {
    pub(super) fn new(header: &BatchHeader, bytes: &'a [u8]) -> Self {
        Self {
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            log_append_time_ms: match header.timestamp_type() {
                TimestampType::CreateTime => None,
                TimestampType::LogAppendTime => Some(header.max_timestamp),
            },
            reader: Reader::new(bytes),
            index: 0,
            count: u32::try_from(header.record_count).unwrap_or(0),
        }
    }

    /// Records of `header`'s batch from bytes that were decompressed elsewhere.
    #[must_use]
    pub fn from_decompressed(header: &BatchHeader, bytes: &'a [u8]) -> Self {
        Self::new(header, bytes)
    }

    fn read(&mut self) -> Result<Record<'a>, BatchError> {
        let index = self.index;
        let at = |source: ProtocolError| BatchError::Record { index, source };
        let length = self.reader.read_varint("record length").map_err(at)?;
        let Ok(length) = usize::try_from(length) else {
            let declared = i64::from(length);
            return Err(at(ProtocolError::NegativeLength { field: "record length", declared }));
        };
        let mut fields = Reader::new(self.reader.take("record", length).map_err(at)?);
        let (timestamp_delta, offset_delta, key, value, headers) =
            read_fields(&mut fields).map_err(at)?;
        if fields.remaining() != 0 {
            return Err(BatchError::RecordLength {
                index,
                declared: length as u64,
                used: length.saturating_sub(fields.remaining()) as u64,
            });
        }
        Ok(Record {
            offset: self.base_offset.wrapping_add(i64::from(offset_delta)),
            offset_delta,
            timestamp_ms: self
                .log_append_time_ms
                .unwrap_or_else(|| self.base_timestamp.wrapping_add(timestamp_delta)),
            key,
            value,
            headers,
        })
    }

    fn check_end(&self) -> Result<(), BatchError> {
        match self.reader.remaining() {
            0 => Ok(()),
            remaining => {
                Err(BatchError::TrailingBytes { records: self.count, remaining: remaining as u64 })
            }
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            return None;
        }
        let record = self.read();
        self.index = if record.is_ok() { self.index + 1 } else { self.count };
        Some(record)
    }
}

type Fields<'a> = (i64, i32, Option<&'a [u8]>, Option<&'a [u8]>, Headers<'a>);

fn read_fields<'a>(reader: &mut Reader<'a>) -> Result<Fields<'a>, ProtocolError> {
    reader.read_i8("record attributes")?;
    let timestamp_delta = reader.read_varlong("timestamp delta")?;
    let offset_delta = reader.read_varint("offset delta")?;
    let key = reader.read_varint_bytes("record key")?;
    let value = reader.read_varint_bytes("record value")?;
    let headers = read_headers(reader)?;
    Ok((timestamp_delta, offset_delta, key, value, headers))
}

fn read_headers<'a>(reader: &mut Reader<'a>) -> Result<Headers<'a>, ProtocolError> {
    let field = "header count";
    let declared = reader.read_varint(field)?;
    let Ok(count) = u32::try_from(declared) else {
        return Err(ProtocolError::NegativeLength { field, declared: i64::from(declared) });
    };
    let bytes = reader.rest();
    if u64::from(count) * 2 > bytes.len() as u64 {
        return Err(ProtocolError::CountOverrun {
            field,
            declared: u64::from(count),
            element_bytes: 2,
            remaining: bytes.len() as u64,
        });
    }
    for _ in 0..count {
        read_header(reader)?;
    }
    let used = bytes.len().saturating_sub(reader.remaining());
    Ok(Headers { bytes: bytes.get(..used).unwrap_or_default(), count })
}

fn read_header<'a>(reader: &mut Reader<'a>) -> Result<Header<'a>, ProtocolError> {
    let field = "header key";
    let Some(key) = reader.read_varint_bytes(field)? else {
        return Err(ProtocolError::NullNotAllowed { field, version: 2 });
    };
    Ok(Header { key, value: reader.read_varint_bytes("header value")? })
}

/// What offset deltas must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deltas {
    /// 0, 1, 2 …: a producer's batch.
    Dense,
    /// Each above the one before: compaction leaves gaps.
    Rising,
}

/// What a walk over the records of a batch saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    /// The smallest and the largest timestamp of records that have one (which is not -1), in milliseconds.
    pub timestamps: Option<(i64, i64)>,
    /// The offset delta of the first record without a key.
    pub first_keyless: Option<i32>,
}

/// Reads all records and checks what stands around them.
pub(super) fn walk(
    header: &BatchHeader,
    bytes: &[u8],
    deltas: Deltas,
) -> Result<Survey, BatchError> {
    let mut records = Records::new(header, bytes);
    let mut previous: i32 = -1;
    let (mut first_keyless, mut smallest, mut largest) = (None, i64::MAX, i64::MIN);
    for (index, record) in (0_u32..).zip(records.by_ref()) {
        let Record { offset_delta: delta, timestamp_ms, key, .. } = record?;
        if timestamp_ms != NO_TIMESTAMP {
            (smallest, largest) = (smallest.min(timestamp_ms), largest.max(timestamp_ms));
        }
        if key.is_none() && first_keyless.is_none() {
            first_keyless = Some(delta);
        }
        let wrong = |expected| BatchError::OffsetDelta { index, delta, expected };
        match deltas {
            Deltas::Dense if i64::from(delta) != i64::from(index) => {
                return Err(wrong("one more than the record before"));
            }
            Deltas::Rising if delta <= previous => {
                return Err(wrong("more than the record before"));
            }
            Deltas::Dense | Deltas::Rising => {}
        }
        if delta > header.last_offset_delta {
            return Err(wrong("at most the batch's last offset delta"));
        }
        previous = delta;
    }
    records.check_end()?;
    let timestamps = (smallest <= largest).then_some((smallest, largest));
    Ok(Survey { timestamps, first_keyless })
}
