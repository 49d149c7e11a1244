//! Header values as text and back, as Kafka Connect's `SimpleHeaderConverter` (and the String and ByteArray converters) do it.
//!
//! - Written: a string as it is, numbers and booleans as they print, bytes as base64, lists and maps as JSON.
//! - Read back by `SimpleHeaderConverter`: `true`, `42`, `1.5`, `[1,2]` and `{"a":1}` become values of the smallest type that holds
//!   them; anything else is a string. Dates, times and timestamps stay strings.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use aquifer_connect_api::{ByteString, Field, SchemaBuilder, SchemaRef, Value};
use bytes::Bytes;
use serde_json::Value as Json;

/// Which header converter a connector uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderConverter {
    /// `org.apache.kafka.connect.storage.SimpleHeaderConverter`.
    Simple,
    /// `org.apache.kafka.connect.storage.StringConverter`.
    String,
    /// `org.apache.kafka.connect.converters.ByteArrayConverter`.
    Bytes,
}

/// The bytes of a header's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderBytes<'a> {
    /// Null.
    Null,
    /// The value's own bytes.
    Borrowed(&'a [u8]),
    /// A part of the scratch text.
    Written(Range<usize>),
}

impl<'a> HeaderBytes<'a> {
    /// The bytes, with the scratch text they may be part of.
    pub(crate) fn bytes(&self, scratch: &'a str) -> Option<&'a [u8]> {
        match self {
            HeaderBytes::Null => None,
            HeaderBytes::Borrowed(bytes) => Some(bytes),
            HeaderBytes::Written(range) => scratch.get(range.clone()).map(str::as_bytes),
        }
    }
}

/// Class names and what they are; the first is the default.
pub(crate) const CLASSES: &[(&str, HeaderConverter)] = &[
    ("org.apache.kafka.connect.storage.SimpleHeaderConverter", HeaderConverter::Simple),
    ("org.apache.kafka.connect.storage.StringConverter", HeaderConverter::String),
    ("org.apache.kafka.connect.converters.ByteArrayConverter", HeaderConverter::Bytes),
];

impl HeaderConverter {
    /// The converter of that class name, in full or its last part.
    pub(crate) fn of_class(class: &str) -> Option<Self> {
        let named = |name: &str| name == class || name.rsplit('.').next() == Some(class);
        CLASSES.iter().find(|(name, _)| named(name)).map(|(_, converter)| *converter)
    }

    /// A value as bytes: borrowed where it is text already, else written behind what `scratch` holds.
    pub(crate) fn encode<'a>(
        self,
        schema: Option<&SchemaRef>,
        value: &'a Value,
        scratch: &mut String,
    ) -> HeaderBytes<'a> {
        match value {
            Value::Null => HeaderBytes::Null,
            Value::String(text) => HeaderBytes::Borrowed(text.as_bytes()),
            Value::Bytes(bytes) if self == HeaderConverter::Bytes => HeaderBytes::Borrowed(bytes),
            Value::Bool(_)
            | Value::Int8(_)
            | Value::Int16(_)
            | Value::Int32(_)
            | Value::Int64(_)
            | Value::Float32(_)
            | Value::Float64(_)
            | Value::Bytes(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Struct(_) => {
                let start = scratch.len();
                write_text(scratch, schema, value, false);
                HeaderBytes::Written(start..scratch.len())
            }
        }
    }

    /// Bytes as a value and its schema.
    pub(crate) fn decode(self, bytes: Option<&Bytes>) -> (Option<SchemaRef>, Value) {
        let Some(bytes) = bytes else { return (None, Value::Null) };
        if self == HeaderConverter::Bytes {
            return (Some(SCHEMAS.bytes.clone()), Value::Bytes(bytes.clone()));
        }
        let Ok(text) = ByteString::try_from(bytes.clone()) else {
            // Text that is no UTF-8 is kept as the bytes it is rather than mangled.
            return (Some(SCHEMAS.bytes.clone()), Value::Bytes(bytes.clone()));
        };
        if self == HeaderConverter::String {
            return (Some(SCHEMAS.string.clone()), Value::String(text));
        }
        parse_text(text)
    }
}

struct Schemas {
    boolean: SchemaRef,
    int8: SchemaRef,
    int16: SchemaRef,
    int32: SchemaRef,
    int64: SchemaRef,
    float32: SchemaRef,
    float64: SchemaRef,
    string: SchemaRef,
    bytes: SchemaRef,
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas {
    boolean: SchemaBuilder::boolean().build(),
    int8: SchemaBuilder::int8().build(),
    int16: SchemaBuilder::int16().build(),
    int32: SchemaBuilder::int32().build(),
    int64: SchemaBuilder::int64().build(),
    float32: SchemaBuilder::float32().build(),
    float64: SchemaBuilder::float64().build(),
    string: SchemaBuilder::string().build(),
    bytes: SchemaBuilder::bytes().build(),
});

/// Longer texts are never parsed as JSON: a header is small, and the work per record stays bounded.
const PARSED_BYTES_MAX: usize = 64 * 1024;

fn parse_text(text: ByteString) -> (Option<SchemaRef>, Value) {
    let trimmed = text.trim();
    if trimmed == "null" {
        return (None, Value::Null);
    }
    let scalar = parse_boolean(trimmed).or_else(|| parse_number(trimmed));
    if let Some((schema, value)) = scalar {
        return (Some(schema), value);
    }
    let structured = trimmed.starts_with(['[', '{']) && trimmed.len() <= PARSED_BYTES_MAX;
    if structured && let Ok(json) = serde_json::from_str::<Json>(trimmed) {
        // Element types of a list may differ, so it goes without a schema.
        return (None, json_value(json));
    }
    (Some(SCHEMAS.string.clone()), Value::String(text))
}

fn parse_boolean(text: &str) -> Option<(SchemaRef, Value)> {
    let value = match text {
        "true" => true,
        "false" => false,
        _ => return None,
    };
    Some((SCHEMAS.boolean.clone(), Value::Bool(value)))
}

fn parse_number(text: &str) -> Option<(SchemaRef, Value)> {
    let first = text.as_bytes().first()?;
    if !(first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.')) {
        return None;
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(if let Ok(number) = i8::try_from(number) {
            (SCHEMAS.int8.clone(), Value::Int8(number))
        } else if let Ok(number) = i16::try_from(number) {
            (SCHEMAS.int16.clone(), Value::Int16(number))
        } else if let Ok(number) = i32::try_from(number) {
            (SCHEMAS.int32.clone(), Value::Int32(number))
        } else {
            (SCHEMAS.int64.clone(), Value::Int64(number))
        });
    }
    let plain =
        text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'));
    if !plain {
        return None;
    }
    // Connect prefers the smaller type whenever the number is within its range, even where digits are lost.
    if let Some(number) = text.parse::<f32>().ok().filter(|number| number.is_finite()) {
        return Some((SCHEMAS.float32.clone(), Value::Float32(number)));
    }
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
    Some((SCHEMAS.float64.clone(), Value::Float64(number)))
}

fn json_value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Int64(number),
            None => Value::Float64(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::string(text),
        Json::Array(items) => Value::Array(items.into_iter().map(json_value).collect()),
        Json::Object(fields) => Value::Map(
            fields
                .into_iter()
                .map(|(key, value)| (Value::string(key), json_value(value)))
                .collect(),
        ),
    }
}

/// Appends a value's text; `embedded` strings are quoted.
fn write_text(out: &mut String, schema: Option<&SchemaRef>, value: &Value, embedded: bool) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int8(value) => write_number(out, value),
        Value::Int16(value) => write_number(out, value),
        Value::Int32(value) => write_number(out, value),
        Value::Int64(value) => write_number(out, value),
        Value::Float32(value) => out.push_str(&float_text(f64::from(*value), value.to_string())),
        Value::Float64(value) => out.push_str(&float_text(*value, value.to_string())),
        Value::String(text) if embedded => {
            out.push('"');
            out.push_str(&text.replace('\\', "\\\\").replace('"', "\\\""));
            out.push('"');
        }
        Value::String(text) => out.push_str(text),
        Value::Bytes(bytes) => write_base64(out, bytes),
        Value::Array(items) => {
            out.push('[');
            write_joined(out, items.iter(), |out, item| write_text(out, None, item, true));
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            write_joined(out, entries.iter(), |out, (key, value)| {
                write_text(out, None, key, true);
                out.push(':');
                write_text(out, None, value, true);
            });
            out.push('}');
        }
        Value::Struct(values) => {
            let fields: &[Field] = schema.map_or(&[], |schema| schema.fields());
            out.push('{');
            write_joined(out, fields.iter().zip(values), |out, (field, value)| {
                write_text(out, None, &Value::String(field.name.clone()), true);
                out.push(':');
                write_text(out, Some(&Arc::clone(&field.schema)), value, true);
            });
            out.push('}');
        }
    }
}

fn write_number(out: &mut String, value: &impl std::fmt::Display) {
    // Writing to a string can't fail.
    let _ = write!(out, "{value}");
}

/// Whole numbers keep their `.0`, as Java prints them.
fn float_text(value: f64, text: String) -> String {
    if value.is_finite() && !text.contains(['.', 'e', 'E']) { format!("{text}.0") } else { text }
}

fn write_joined<T>(
    out: &mut String,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
}

fn write_base64(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            let shown = usize::try_from(index).ok().and_then(|index| DIGITS.get(index));
            out.push(if digit > chunk.len() { '=' } else { char::from(*shown.unwrap_or(&b'=')) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_written(value: Value, expected: Option<&str>) {
        let mut scratch = "before".to_owned();
        let bytes = HeaderConverter::Simple.encode(None, &value, &mut scratch);
        assert_eq!(bytes.bytes(&scratch), expected.map(str::as_bytes), "{value:?}");
    }

    fn check_read(text: &str, expected: Value) {
        let (_, value) =
            HeaderConverter::Simple.decode(Some(&Bytes::copy_from_slice(text.as_bytes())));
        assert_eq!(value, expected, "{text:?}");
    }

    #[test]
    fn values_are_written_as_they_print() {
        check_written(Value::Int64(9_007_199_254_740_993), Some("9007199254740993"));
        check_written(Value::Bool(true), Some("true"));
        check_written(Value::string("a \"b\""), Some("a \"b\""));
        check_written(Value::Float64(2.0), Some("2.0"));
        check_written(Value::Null, None);
        check_written(Value::Bytes(Bytes::from_static(b"hello")), Some("aGVsbG8="));
        check_written(Value::Bytes(Bytes::from_static(b"hell")), Some("aGVsbA=="));
        let list = Value::Array(vec![Value::Int32(1), Value::string("a\"")]);
        check_written(list, Some("[1,\"a\\\"\"]"));
        let map = Value::Map(vec![(Value::string("k"), Value::Null)]);
        check_written(map, Some("{\"k\":null}"));
    }

    #[test]
    fn text_is_read_as_the_smallest_type_that_holds_it() {
        check_read("1", Value::Int8(1));
        check_read("-200", Value::Int16(-200));
        check_read("70000", Value::Int32(70_000));
        check_read("9007199254740993", Value::Int64(9_007_199_254_740_993));
        check_read("1.5", Value::Float32(1.5));
        check_read("1e300", Value::Float64(1e300));
        check_read("true", Value::Bool(true));
        check_read("null", Value::Null);
        check_read("", Value::string(""));
        check_read("7f1c:1", Value::string("7f1c:1"));
        check_read("infinity", Value::string("infinity"));
        check_read("2024-01-01", Value::string("2024-01-01"));
        check_read("[1, \"a\"]", Value::Array(vec![Value::Int64(1), Value::string("a")]));
        check_read("{broken", Value::string("{broken"));
    }

    #[test]
    fn bytes_that_are_no_text_stay_bytes() {
        let bytes = Bytes::from_static(&[0xff, 0xfe]);
        let (_, value) = HeaderConverter::Simple.decode(Some(&bytes));
        assert_eq!(value, Value::Bytes(bytes));
    }

    #[test]
    fn class_is_found_by_its_full_and_its_short_name() {
        let short = HeaderConverter::of_class("SimpleHeaderConverter");
        assert_eq!(short, Some(HeaderConverter::Simple));
        assert_eq!(HeaderConverter::of_class("org.x.Other"), None);
    }
}
