//! A Connect schema compiled to steps, and the walk that writes a value by them.

use aquifer_connect_api::{ByteString, ConnectError, Schema, SchemaKind, Value};
use bytes::{BufMut, BytesMut};

/// How values of one schema are written.
pub(crate) struct Plan(Node);

struct Node {
    step: Step,
    /// Where null is allowed: the index of the null branch and of the other one.
    union: Option<(u8, u8)>,
    /// Written in place of a null that is not allowed.
    default: Option<Value>,
}

enum Step {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Box<Node>),
    Map(Box<Node>),
    /// A map whose keys are no plain strings: an array of entries.
    Entries(Box<(Node, Node)>),
    Struct(Vec<(ByteString, Node)>),
}

/// What did not fit, found at the bottom and given its path on the way up.
struct Misfit {
    path: Vec<ByteString>,
    expected: &'static str,
    found: &'static str,
}

impl Plan {
    /// The plan for that schema.
    pub(crate) fn new(schema: &Schema) -> Plan {
        Plan(node(schema))
    }

    /// Appends the value.
    pub(crate) fn write(&self, value: &Value, out: &mut BytesMut) -> Result<(), ConnectError> {
        write(&self.0, value, out).map_err(|mut misfit| {
            misfit.path.reverse();
            let path: Vec<&str> = misfit.path.iter().map(|name| &**name).collect();
            let place = if path.is_empty() {
                "the record".to_owned()
            } else {
                format!("field {}", path.join("."))
            };
            ConnectError::record(format!(
                "{place} should be {}, found {}",
                misfit.expected, misfit.found
            ))
        })
    }
}

fn node(schema: &Schema) -> Node {
    let step = match &schema.kind {
        SchemaKind::Boolean => Step::Boolean,
        SchemaKind::Int8 | SchemaKind::Int16 | SchemaKind::Int32 => Step::Int,
        SchemaKind::Int64 => Step::Long,
        SchemaKind::Float32 => Step::Float,
        SchemaKind::Float64 => Step::Double,
        SchemaKind::Bytes => Step::Bytes,
        SchemaKind::String => Step::String,
        SchemaKind::Array(items) => Step::Array(Box::new(node(items))),
        SchemaKind::Map(keys, values) if plain_string(keys) => Step::Map(Box::new(node(values))),
        SchemaKind::Map(keys, values) => Step::Entries(Box::new((node(keys), node(values)))),
        SchemaKind::Struct(fields) => Step::Struct(
            fields.iter().map(|field| (field.name.clone(), node(&field.schema))).collect(),
        ),
    };
    let union = schema.optional.then_some(if null_is_first(schema) { (0, 1) } else { (1, 0) });
    Node { step, union, default: schema.default.clone() }
}

/// Whether null is the first branch of an optional schema's union. A default must fit the first branch, but that of a
/// struct counts for nothing.
pub(super) fn null_is_first(schema: &Schema) -> bool {
    schema.default.as_ref().is_none_or(Value::is_null)
        || matches!(schema.kind, SchemaKind::Struct(_))
}

/// Whether a map with such keys is an Avro map.
pub(super) fn plain_string(keys: &Schema) -> bool {
    keys.kind == SchemaKind::String && !keys.optional
}

fn write(node: &Node, value: &Value, out: &mut BytesMut) -> Result<(), Misfit> {
    let mut value = value;
    match (node.union, value.is_null()) {
        (Some((null, _)), true) => {
            out.put_u8(null << 1);
            return Ok(());
        }
        (Some((_, other)), false) => out.put_u8(other << 1),
        (None, true) => match &node.default {
            Some(default) if !default.is_null() => value = default,
            _ => return Err(misfit(node, value)),
        },
        (None, false) => {}
    }
    match (&node.step, value) {
        (Step::Boolean, Value::Bool(v)) => out.put_u8(u8::from(*v)),
        (Step::Int, Value::Int8(v)) => put_long(i64::from(*v), out),
        (Step::Int, Value::Int16(v)) => put_long(i64::from(*v), out),
        (Step::Int | Step::Long, Value::Int32(v)) => put_long(i64::from(*v), out),
        (Step::Long, _) if value.as_i64().is_some() => {
            put_long(value.as_i64().unwrap_or_default(), out)
        }
        (Step::Float, Value::Float32(v)) => out.put_f32_le(*v),
        (Step::Double, Value::Float64(v)) => out.put_f64_le(*v),
        (Step::Double, Value::Float32(v)) => out.put_f64_le(f64::from(*v)),
        (Step::Bytes, Value::Bytes(v)) => put_bytes(v, out),
        (Step::String, Value::String(v)) => put_bytes(v.as_bytes(), out),
        (Step::Array(items), Value::Array(values)) => write_array(items, values, out)?,
        (Step::Map(values), Value::Map(entries)) => write_map(values, entries, out)?,
        (Step::Entries(nodes), Value::Map(entries)) => write_entries(nodes, entries, out)?,
        (Step::Struct(fields), Value::Struct(values)) if fields.len() == values.len() => {
            for ((name, field), value) in fields.iter().zip(values) {
                if let Err(mut error) = write(field, value, out) {
                    error.path.push(name.clone());
                    return Err(error);
                }
            }
        }
        _ => return Err(misfit(node, value)),
    }
    Ok(())
}

fn misfit(node: &Node, value: &Value) -> Misfit {
    let expected = match node.step {
        Step::Boolean => "boolean",
        Step::Int => "int32",
        Step::Long => "int64",
        Step::Float => "float",
        Step::Double => "double",
        Step::Bytes => "bytes",
        Step::String => "string",
        Step::Array(_) => "array",
        Step::Map(_) | Step::Entries(_) => "map",
        Step::Struct(_) => "struct",
    };
    Misfit { path: Vec::new(), expected, found: value.type_name() }
}

fn write_array(items: &Node, values: &[Value], out: &mut BytesMut) -> Result<(), Misfit> {
    put_block(values.len(), out);
    for value in values {
        write(items, value, out)?;
    }
    out.put_u8(0);
    Ok(())
}

fn write_map(values: &Node, entries: &[(Value, Value)], out: &mut BytesMut) -> Result<(), Misfit> {
    put_block(entries.len(), out);
    for (key, value) in entries {
        let Value::String(key) = key else {
            return Err(Misfit {
                path: Vec::new(),
                expected: "a string as key",
                found: key.type_name(),
            });
        };
        put_bytes(key.as_bytes(), out);
        write(values, value, out)?;
    }
    out.put_u8(0);
    Ok(())
}

fn write_entries(
    nodes: &(Node, Node),
    entries: &[(Value, Value)],
    out: &mut BytesMut,
) -> Result<(), Misfit> {
    put_block(entries.len(), out);
    for (key, value) in entries {
        write(&nodes.0, key, out)?;
        write(&nodes.1, value, out)?;
    }
    out.put_u8(0);
    Ok(())
}

/// The count in front of the only block; an empty array or map has none.
fn put_block(count: usize, out: &mut BytesMut) {
    if count > 0 {
        put_long(i64::try_from(count).unwrap_or(i64::MAX), out);
    }
}

fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    put_long(i64::try_from(bytes.len()).unwrap_or(i64::MAX), out);
    out.extend_from_slice(bytes);
}

/// Zigzag, then seven bits a byte, the lowest first.
#[allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "the bits are what is written"
)]
fn put_long(value: i64, out: &mut BytesMut) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}
