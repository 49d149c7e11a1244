//! Column text to values: what Postgres's output functions print becomes what Debezium's schemas carry.
//!
//! - PURE, and never panics: text that is not of the type is an error that names the type, not the value.
//! - Snapshot and stream both come through here, from text printed under the same session settings, so they agree.
//! - Text that needs no change is a slice of the buffer it arrived in; made text is carved out of one scratch buffer.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

pub mod decimal;
pub mod nested;
pub mod time;

use aquifer_connect_api::{ByteString, Value};
use bytes::{BufMut, Bytes, BytesMut};

use time::TimeUnit;

/// Why a text could not become a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The text is not of that type.
    #[error("text of {length} bytes is not {expected}")]
    Malformed {
        /// What was expected.
        expected: &'static str,
        /// How long the text is.
        length: usize,
    },
    /// A value that the type's schema has no place for.
    #[error("{what} has no place in {schema}; {mend}")]
    Unrepresentable {
        /// Which value.
        what: &'static str,
        /// Of what schema.
        schema: &'static str,
        /// What a user can do.
        mend: &'static str,
    },
}

/// How bytes are written (`binary.handling.mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryMode {
    /// As bytes.
    Bytes,
    /// As base64 text.
    Base64,
    /// As base64 text with the alphabet of URLs.
    Base64UrlSafe,
    /// As hexadecimal text.
    Hex,
}

/// How money is written; follows `decimal.handling.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyMode {
    /// A decimal of that many fraction digits.
    Decimal(i32),
    /// A double.
    Double,
    /// Text.
    Text,
}

/// The text of one column: where it lies, and in which buffer, if it may be sliced from there.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// The text.
    pub text: &'a [u8],
    /// The buffer that holds it; `None` for a text that was put together elsewhere.
    pub buffer: Option<&'a Bytes>,
}

impl Raw<'_> {
    fn share(self, scratch: &mut BytesMut) -> Bytes {
        match self.buffer {
            Some(buffer) => buffer.slice_ref(self.text),
            None => copied(self.text, scratch),
        }
    }
}

/// Turns the text of one type into values of one schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoder {
    /// `t` or `f`.
    Bool,
    /// 16 bits.
    Int16,
    /// 32 bits.
    Int32,
    /// 64 bits; OIDs too.
    Int64,
    /// A 32-bit float.
    Float32,
    /// A 64-bit float.
    Float64,
    /// The text itself.
    Text,
    /// `bytea`.
    Bytes(BinaryMode),
    /// The bytes of the text of a type that is not known.
    Unknown(BinaryMode),
    /// A number of that scale, as unscaled bytes.
    Decimal(i32),
    /// A number with its own scale: struct of scale and unscaled bytes.
    VariableDecimal,
    /// A number as a double.
    DecimalDouble,
    /// A number as text.
    DecimalText,
    /// Money.
    Money(MoneyMode),
    /// Days since the epoch, or ISO text.
    Date(TimeUnit),
    /// Since midnight.
    Time(TimeUnit),
    /// Since the epoch.
    Timestamp(TimeUnit),
    /// ISO text in UTC with that many fraction digits; 0 means as many as needed.
    ZonedTimestamp(u8),
    /// ISO text in UTC.
    ZonedTime,
    /// Microseconds; a month is 365.25 / 12 days.
    DurationMicros,
    /// ISO text.
    DurationText,
    /// One bit as a boolean.
    Bit,
    /// Bits, little-endian.
    Bits,
    /// A point: struct of x, y, wkb and srid.
    Point,
    /// Keys and values as JSON text.
    HstoreJson,
    /// Keys and values as a map.
    HstoreMap,
    /// An array of values.
    Array(Box<Decoder>),
}

impl Decoder {
    /// The value of a text.
    pub fn decode(&self, raw: Raw<'_>, scratch: &mut BytesMut) -> Result<Value, ValueError> {
        let text = raw.text;
        Ok(match self {
            Decoder::Bool => match text {
                b"t" => Value::Bool(true),
                b"f" => Value::Bool(false),
                _ => return Err(malformed("a boolean", text)),
            },
            Decoder::Int16 => Value::Int16(narrow(text, "a 16-bit integer")?),
            Decoder::Int32 => Value::Int32(narrow(text, "a 32-bit integer")?),
            Decoder::Int64 => Value::Int64(narrow(text, "a 64-bit integer")?),
            Decoder::Float32 => Value::Float32(float(text)?),
            Decoder::Float64 => Value::Float64(float(text)?),
            Decoder::Text => Value::String(utf8(raw.share(scratch))?),
            Decoder::Bytes(mode) => binary(*mode, nested::bytea(text, scratch)?, scratch),
            Decoder::Unknown(mode) => binary(*mode, raw.share(scratch), scratch),
            Decoder::Decimal(scale) => decimal::scaled(text, *scale, scratch)?,
            Decoder::VariableDecimal => decimal::variable(text, scratch)?,
            Decoder::DecimalDouble => Value::Float64(float(text)?),
            Decoder::DecimalText => match decimal::special_name(text) {
                Some(name) => Value::String(ByteString::from_static(name)),
                None => Value::String(utf8(raw.share(scratch))?),
            },
            Decoder::Money(mode) => decimal::money(text, *mode, scratch)?,
            Decoder::Date(unit) => time::date(text, *unit, scratch)?,
            Decoder::Time(unit) => time::time(text, *unit, scratch)?,
            Decoder::Timestamp(unit) => time::timestamp(text, *unit, scratch)?,
            Decoder::ZonedTimestamp(fraction) => time::zoned_timestamp(text, *fraction, scratch)?,
            Decoder::ZonedTime => time::zoned_time(text, scratch)?,
            Decoder::DurationMicros => Value::Int64(time::interval(text)?.micros(text)?),
            Decoder::DurationText => time::interval(text)?.iso(scratch),
            Decoder::Bit => Value::Bool(text == b"1"),
            Decoder::Bits => nested::bits(text, scratch)?,
            Decoder::Point => nested::point(text, scratch)?,
            Decoder::HstoreJson => nested::hstore_json(text, scratch)?,
            Decoder::HstoreMap => nested::hstore_map(text, scratch)?,
            Decoder::Array(items) => nested::array(text, items, scratch)?,
        })
    }

    /// What stands for "no value" where null is not allowed, as Debezium has it: zero, empty, the epoch.
    pub fn zero(&self) -> Value {
        match self {
            Decoder::Bool | Decoder::Bit => Value::Bool(false),
            Decoder::Int16 => Value::Int16(0),
            Decoder::Int32 => Value::Int32(0),
            Decoder::Int64 | Decoder::DurationMicros => Value::Int64(0),
            Decoder::Float32 => Value::Float32(0.0),
            Decoder::Float64 | Decoder::DecimalDouble => Value::Float64(0.0),
            Decoder::Text => Value::String(ByteString::new()),
            Decoder::Bytes(BinaryMode::Bytes) | Decoder::Unknown(BinaryMode::Bytes) => {
                Value::Bytes(Bytes::new())
            }
            Decoder::Bytes(_) | Decoder::Unknown(_) => Value::String(ByteString::new()),
            Decoder::Decimal(_) => Value::Bytes(Bytes::from_static(&[0])),
            Decoder::VariableDecimal => {
                Value::Struct(vec![Value::Int32(0), Value::Bytes(Bytes::from_static(&[0]))])
            }
            Decoder::DecimalText => Value::String(ByteString::from_static("0")),
            Decoder::Money(MoneyMode::Decimal(_)) => Value::Bytes(Bytes::from_static(&[0])),
            Decoder::Money(MoneyMode::Double) => Value::Float64(0.0),
            Decoder::Money(MoneyMode::Text) => Value::String(ByteString::from_static("0")),
            Decoder::Date(TimeUnit::Iso) => Value::String(ByteString::from_static("1970-01-01Z")),
            Decoder::Date(_) => Value::Int32(0),
            Decoder::Time(TimeUnit::Iso) => Value::String(ByteString::from_static("00:00:00Z")),
            Decoder::Time(TimeUnit::Millis) => Value::Int32(0),
            Decoder::Time(_) => Value::Int64(0),
            Decoder::Timestamp(TimeUnit::Iso) => {
                Value::String(ByteString::from_static("1970-01-01T00:00:00Z"))
            }
            Decoder::ZonedTimestamp(fraction) => time::zoned_epoch(*fraction),
            Decoder::Timestamp(_) => Value::Int64(0),
            Decoder::ZonedTime => Value::String(ByteString::from_static("00:00:00Z")),
            Decoder::DurationText => Value::String(ByteString::from_static("P0Y0M0DT0H0M0S")),
            Decoder::Bits => Value::Bytes(Bytes::new()),
            Decoder::Point => Value::Struct(vec![
                Value::Float64(0.0),
                Value::Float64(0.0),
                Value::Null,
                Value::Null,
            ]),
            Decoder::HstoreJson => Value::String(ByteString::from_static("{}")),
            Decoder::HstoreMap => Value::Map(Vec::new()),
            Decoder::Array(_) => Value::Array(Vec::new()),
        }
    }

    /// What stands for an unchanged TOASTed value that was not sent; `None` where the type has no placeholder.
    pub fn placeholder(&self, placeholder: &ByteString) -> Option<Value> {
        match self {
            Decoder::Text | Decoder::DecimalText => Some(Value::String(placeholder.clone())),
            Decoder::Bytes(BinaryMode::Bytes) | Decoder::Unknown(BinaryMode::Bytes) => {
                Some(Value::Bytes(placeholder.as_bytes().clone()))
            }
            Decoder::Bytes(mode) | Decoder::Unknown(mode) => {
                let mut scratch = BytesMut::new();
                Some(binary(*mode, placeholder.as_bytes().clone(), &mut scratch))
            }
            Decoder::HstoreJson => {
                let entry = serde_json::json!({ &**placeholder: &**placeholder });
                Some(Value::string(entry.to_string()))
            }
            Decoder::HstoreMap => {
                let text = Value::String(placeholder.clone());
                Some(Value::Map(vec![(text.clone(), text)]))
            }
            // Debezium's stand-in for numbers: the bytes of the text.
            Decoder::Array(items) if **items == Decoder::Int32 => {
                let items = placeholder.bytes().map(|byte| Value::Int32(byte.into()));
                Some(Value::Array(items.collect()))
            }
            Decoder::Array(items) if **items == Decoder::Int64 => {
                let items = placeholder.bytes().map(|byte| Value::Int64(byte.into()));
                Some(Value::Array(items.collect()))
            }
            Decoder::Array(items) => {
                items.placeholder(placeholder).map(|item| Value::Array(vec![item]))
            }
            Decoder::Bool
            | Decoder::Int16
            | Decoder::Int32
            | Decoder::Int64
            | Decoder::Float32
            | Decoder::Float64
            | Decoder::Decimal(_)
            | Decoder::VariableDecimal
            | Decoder::DecimalDouble
            | Decoder::Money(_)
            | Decoder::Date(_)
            | Decoder::Time(_)
            | Decoder::Timestamp(_)
            | Decoder::ZonedTimestamp(_)
            | Decoder::ZonedTime
            | Decoder::DurationMicros
            | Decoder::DurationText
            | Decoder::Bit
            | Decoder::Bits
            | Decoder::Point => None,
        }
    }
}

fn malformed(expected: &'static str, text: &[u8]) -> ValueError {
    ValueError::Malformed { expected, length: text.len() }
}

/// Bytes of its own, carved out of the scratch buffer.
fn copied(bytes: &[u8], scratch: &mut BytesMut) -> Bytes {
    scratch.put_slice(bytes);
    scratch.split().freeze()
}

/// The text that `write` puts at the end of the scratch buffer.
fn written(scratch: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) -> Value {
    write(scratch);
    let text = ByteString::try_from(scratch.split().freeze());
    text.map_or(Value::Null, Value::String)
}

fn utf8(bytes: Bytes) -> Result<ByteString, ValueError> {
    let length = bytes.len();
    let expected = "valid UTF-8";
    ByteString::try_from(bytes).map_err(|_| ValueError::Malformed { expected, length })
}

fn narrow<T: TryFrom<i64>>(text: &[u8], expected: &'static str) -> Result<T, ValueError> {
    integer(text).and_then(|value| T::try_from(value).ok()).ok_or_else(|| malformed(expected, text))
}

/// A decimal integer with an optional sign.
fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Counted downwards, because the smallest number has no positive twin.
        value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

fn float<T: std::str::FromStr>(text: &[u8]) -> Result<T, ValueError> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| malformed("a number", text))
}

fn binary(mode: BinaryMode, bytes: Bytes, scratch: &mut BytesMut) -> Value {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    match mode {
        BinaryMode::Bytes => Value::Bytes(bytes),
        BinaryMode::Base64 => Value::string(STANDARD.encode(&bytes)),
        BinaryMode::Base64UrlSafe => Value::string(URL_SAFE.encode(&bytes)),
        BinaryMode::Hex => written(scratch, |out| {
            for byte in &bytes {
                for nibble in [byte >> 4, byte & 15] {
                    out.put_u8(nibble + if nibble < 10 { b'0' } else { b'a' - 10 });
                }
            }
        }),
    }
}

#[cfg(test)]
mod tests;
