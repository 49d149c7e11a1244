//! PURE: a record's value as the JSON bytes of a document.
//!
//! - A schema is compiled once to a plan; writing a value is a walk without look-ups. The plan knows the index's mapping where that
//!   was made by others: a date that is mapped as a number there is written as its number.
//! - Text of JSON columns stays text: its shape is nobody's promise.
//! - What is not a number (NaN, infinity) becomes null, since Elasticsearch takes none of them.

use aquifer_connect_api::{ByteString, Schema, Value};
use serde_json::{Map as JsonMap, Value as Json};

use crate::field::{Meaning, Unit, meaning};

mod decimal;
mod json;
mod time;

pub(crate) use decimal::write_decimal;
pub(crate) use json::write_string;

/// How maps with string keys are written (`compact.map.entries`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapEntries {
    /// As an object.
    Compact,
    /// As a list of objects with `key` and `value`.
    Pairs,
}

/// Why a value has no document.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{expected} was expected{}, but {found} came", at(path))]
pub(crate) struct DocumentError {
    path: Vec<ByteString>,
    expected: &'static str,
    found: &'static str,
}

fn at(path: &[ByteString]) -> String {
    if path.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = path.iter().rev().map(|name| &**name).collect();
    format!(" in field {}", names.join("."))
}

/// How deep a value without a schema may be; Elasticsearch itself refuses what is deeper by default.
const DEPTH_MAX: usize = 100;

#[derive(Debug)]
enum Node {
    Boolean,
    Integer,
    Float,
    Text,
    Bytes,
    Moment(Unit),
    MomentText,
    EpochMillis(Unit),
    TimeOfDay(Unit),
    Decimal(i32),
    VariableDecimal { scale: usize, unscaled: usize },
    Array(Box<Node>),
    Entries(Box<Node>),
    Pairs(Box<Node>, Box<Node>),
    Struct(Vec<Member>),
    Any,
}

#[derive(Debug)]
struct Member {
    name: ByteString,
    /// The name in quotes, escaped, with its colon.
    key: Vec<u8>,
    node: Node,
}

/// The compiled form of a schema.
#[derive(Debug)]
pub(crate) struct Plan(Node);

impl Plan {
    /// Compiles a schema against the properties that the index has; no schema means values that describe themselves.
    pub(crate) fn compile(
        schema: Option<&Schema>,
        properties: &JsonMap<String, Json>,
        entries: MapEntries,
    ) -> Self {
        let Some(schema) = schema else { return Plan(Node::Any) };
        if let Meaning::Struct(fields) = meaning(schema) {
            return Plan(Node::Struct(
                fields.iter().map(|field| member(field, properties, entries)).collect(),
            ));
        }
        Plan(compile(schema, None, entries))
    }

    /// Appends the document; `omit` names top-level fields to leave out.
    pub(crate) fn write(
        &self,
        value: &Value,
        omit: &[&str],
        out: &mut Vec<u8>,
    ) -> Result<(), DocumentError> {
        let is_object = matches!(
            (&self.0, value),
            (Node::Struct(_), Value::Struct(_)) | (Node::Entries(_) | Node::Any, Value::Map(_))
        );
        if !is_object {
            return Err(mismatch("a struct or a map with string keys", value));
        }
        match (&self.0, value) {
            (Node::Struct(members), Value::Struct(values)) => {
                write_struct(members, values, omit, out)
            }
            (Node::Any, Value::Map(entries)) => {
                let kept: Vec<_> = entries
                    .iter()
                    .filter(|(key, _)| !omit.iter().any(|name| key.as_str() == Some(name)))
                    .collect();
                write_entries(kept.into_iter(), out, |value, out| write_any(value, 1, out))
            }
            (node, value) => node.write(value, out),
        }
    }
}

fn mismatch(expected: &'static str, value: &Value) -> DocumentError {
    DocumentError { path: Vec::new(), expected, found: value.type_name() }
}

fn member(
    field: &aquifer_connect_api::Field,
    properties: &JsonMap<String, Json>,
    entries: MapEntries,
) -> Member {
    let mut key = Vec::with_capacity(field.name.len() + 3);
    write_string(&mut key, &field.name);
    key.push(b':');
    let node = compile(&field.schema, properties.get(&*field.name), entries);
    Member { name: field.name.clone(), key, node }
}

fn compile(schema: &Schema, mapped: Option<&Json>, entries: MapEntries) -> Node {
    match meaning(schema) {
        Meaning::Boolean => Node::Boolean,
        Meaning::Integer => Node::Integer,
        Meaning::Float => Node::Float,
        Meaning::Text | Meaning::Keyword => Node::Text,
        Meaning::DateText if mapped.is_none() || mapped_type(mapped) == "date" => Node::MomentText,
        Meaning::DateText => Node::Text,
        Meaning::Bytes => Node::Bytes,
        Meaning::Date(unit) => moment(unit, mapped),
        // An index that Confluent's sink made has a time of day as a date.
        Meaning::TimeOfDay(unit) => match mapped_type(mapped) {
            number if is_number(number) => Node::Integer,
            "date" => Node::EpochMillis(unit),
            _ => Node::TimeOfDay(unit),
        },
        Meaning::Decimal { scale, .. } => Node::Decimal(scale),
        Meaning::VariableDecimal => match (schema.field("scale"), schema.field("value")) {
            (Some((scale, _)), Some((unscaled, _))) => Node::VariableDecimal { scale, unscaled },
            _ => Node::Any,
        },
        Meaning::Array(items) => Node::Array(Box::new(compile(items, mapped, entries))),
        Meaning::Map(keys, values) => {
            let is_text = matches!(meaning(keys), Meaning::Text | Meaning::Keyword);
            if is_text && entries == MapEntries::Compact {
                Node::Entries(Box::new(compile(values, None, entries)))
            } else {
                Node::Pairs(
                    Box::new(compile(keys, None, entries)),
                    Box::new(compile(values, None, entries)),
                )
            }
        }
        Meaning::Struct(fields) => {
            let none = JsonMap::new();
            let properties = mapped
                .and_then(|mapped| mapped.get("properties"))
                .and_then(Json::as_object)
                .unwrap_or(&none);
            Node::Struct(fields.iter().map(|f| member(f, properties, entries)).collect())
        }
    }
}

fn mapped_type(mapped: Option<&Json>) -> &str {
    mapped.and_then(|mapped| mapped.get("type")).and_then(Json::as_str).unwrap_or_default()
}

fn is_number(mapped: &str) -> bool {
    matches!(mapped, "long" | "integer" | "short" | "byte" | "double" | "float" | "unsigned_long")
}

fn moment(unit: Unit, mapped: Option<&Json>) -> Node {
    let format = mapped.and_then(|mapped| mapped.get("format")).and_then(Json::as_str);
    match (mapped_type(mapped), format) {
        (number, _) if is_number(number) => Node::Integer,
        ("date" | "date_nanos", Some("epoch_millis")) => Node::EpochMillis(unit),
        _ => Node::Moment(unit),
    }
}

impl Node {
    fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), DocumentError> {
        match (self, value) {
            (_, Value::Null) => out.extend_from_slice(b"null"),
            (Node::Boolean, Value::Bool(v)) => json::write_boolean(out, *v),
            (Node::Integer, value) => json::write_integer(out, integer(value)?),
            (Node::Float, Value::Float32(v)) => json::write_float(out, *v),
            (Node::Float, Value::Float64(v)) => json::write_double(out, *v),
            (Node::Text, Value::String(v)) => write_string(out, v),
            (Node::MomentText, Value::String(v)) => time::write_moment_text(out, v),
            (Node::Bytes, value) => json::write_bytes(out, bytes(value)?),
            (Node::Moment(unit), value) => {
                time::write_moment(out, *unit, integer(value)?);
            }
            (Node::EpochMillis(unit), value) => {
                json::write_integer(out, time::to_millis(*unit, integer(value)?));
            }
            (Node::TimeOfDay(unit), value) => {
                let value = integer(value)?;
                out.push(b'"');
                time::write_time_of_day(out, *unit, value);
                out.push(b'"');
            }
            (Node::Decimal(scale), value) => write_decimal(out, bytes(value)?, *scale),
            (Node::VariableDecimal { scale, unscaled }, Value::Struct(values)) => {
                let null = Value::Null;
                let scale = values.get(*scale).unwrap_or(&null);
                let unscaled = bytes(values.get(*unscaled).unwrap_or(&null))?;
                let digits = i32::try_from(integer(scale)?);
                let digits = digits.map_err(|_| mismatch("a scale of 32 bits", scale))?;
                write_decimal(out, unscaled, digits);
            }
            (Node::Array(items), Value::Array(values)) => {
                write_list(values, out, |v, out| items.write(v, out))?;
            }
            (Node::Entries(values), Value::Map(entries)) => {
                write_entries(entries.iter(), out, |v, out| values.write(v, out))?;
            }
            (Node::Pairs(keys, values), Value::Map(entries)) => {
                write_list(entries, out, |(key, value), out| {
                    out.extend_from_slice(b"{\"key\":");
                    keys.write(key, out)?;
                    out.extend_from_slice(b",\"value\":");
                    values.write(value, out)?;
                    out.push(b'}');
                    Ok(())
                })?;
            }
            (Node::Struct(members), Value::Struct(values)) => {
                write_struct(members, values, &[], out)?;
            }
            (Node::Any, value) => write_any(value, 0, out)?,
            (node, value) => return Err(mismatch(node.expected(), value)),
        }
        Ok(())
    }

    /// What the plan wants, in words for an error.
    fn expected(&self) -> &'static str {
        match self {
            Node::Boolean => "a boolean",
            Node::Integer | Node::Moment(_) | Node::EpochMillis(_) | Node::TimeOfDay(_) => {
                "an integer"
            }
            Node::Float => "a float",
            Node::Text | Node::MomentText => "a string",
            Node::Bytes | Node::Decimal(_) => "bytes",
            Node::VariableDecimal { .. } => "a struct of scale and value",
            Node::Array(_) => "an array",
            Node::Entries(_) | Node::Pairs(..) => "a map",
            Node::Struct(_) => "a struct",
            Node::Any => "a value",
        }
    }
}

fn integer(value: &Value) -> Result<i64, DocumentError> {
    value.as_i64().ok_or_else(|| mismatch("an integer", value))
}

fn bytes(value: &Value) -> Result<&[u8], DocumentError> {
    if let Value::Bytes(bytes) = value { Ok(bytes) } else { Err(mismatch("bytes", value)) }
}

fn write_list<T>(
    items: &[T],
    out: &mut Vec<u8>,
    mut write: impl FnMut(&T, &mut Vec<u8>) -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_entries<'a>(
    entries: impl Iterator<Item = &'a (Value, Value)>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(&Value, &mut Vec<u8>) -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    out.push(b'{');
    for (index, (key, value)) in entries.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let Value::String(key) = key else { return Err(mismatch("a string as the key", key)) };
        write_string(out, key);
        out.push(b':');
        write(value, out).map_err(|error| within(error, key))?;
    }
    out.push(b'}');
    Ok(())
}

fn within(mut error: DocumentError, name: &ByteString) -> DocumentError {
    error.path.push(name.clone());
    error
}

fn write_struct(
    members: &[Member],
    values: &[Value],
    omit: &[&str],
    out: &mut Vec<u8>,
) -> Result<(), DocumentError> {
    if members.len() != values.len() {
        return Err(DocumentError {
            path: Vec::new(),
            expected: "a value for each field",
            found: "a struct of another length",
        });
    }
    out.push(b'{');
    let mut first = true;
    for (member, value) in members.iter().zip(values) {
        if !omit.is_empty() && omit.contains(&&*member.name) {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(&member.key);
        member.node.write(value, out).map_err(|error| within(error, &member.name))?;
    }
    out.push(b'}');
    Ok(())
}

fn write_any(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), DocumentError> {
    if depth > DEPTH_MAX {
        return Err(mismatch("nesting of at most 100", value));
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(v) => json::write_boolean(out, *v),
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            json::write_integer(out, integer(value)?);
        }
        Value::Float32(v) => json::write_float(out, *v),
        Value::Float64(v) => json::write_double(out, *v),
        Value::String(v) => write_string(out, v),
        Value::Bytes(v) => json::write_bytes(out, v),
        Value::Array(values) | Value::Struct(values) => {
            write_list(values, out, |v, out| write_any(v, depth + 1, out))?;
        }
        Value::Map(entries) => {
            write_entries(entries.iter(), out, |v, out| write_any(v, depth + 1, out))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
