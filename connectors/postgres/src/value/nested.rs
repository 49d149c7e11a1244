//! Texts with a grammar of their own: arrays, hstore, bytes, bits, points.

use aquifer_connect_api::{ByteString, Value};
use bytes::{BufMut, Bytes, BytesMut};

use super::{Decoder, Raw, ValueError, copied, malformed, utf8, written};

/// `{1,NULL,"a b"}`, with or without bounds in front (`[0:2]={…}`). Connect's arrays have one dimension, so nested ones are refused.
pub(super) fn array(
    text: &[u8],
    items: &Decoder,
    scratch: &mut BytesMut,
) -> Result<Value, ValueError> {
    let wrong = || malformed("an array", text);
    let mut rest = text;
    if rest.first() == Some(&b'[') {
        let equals = rest.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
        rest = rest.get(equals + 1..).unwrap_or_default();
    }
    let mut rest = rest.strip_prefix(b"{").ok_or_else(wrong)?;
    let mut values = Vec::new();
    if rest == b"}" {
        return Ok(Value::Array(values));
    }
    let mut unescaped = Vec::new();
    loop {
        let quoted = match rest.first() {
            Some(b'"') => true,
            Some(b'{') => {
                return Err(ValueError::Unrepresentable {
                    what: "an array of more than one dimension",
                    schema: "an array schema",
                    mend: "exclude the column",
                });
            }
            _ => false,
        };
        unescaped.clear();
        rest = if quoted {
            read_quoted(rest, &mut unescaped).ok_or_else(wrong)?
        } else {
            let end = rest.iter().position(|byte| matches!(byte, b',' | b'}')).ok_or_else(wrong)?;
            let (item, after) = rest.split_at_checked(end).ok_or_else(wrong)?;
            unescaped.extend_from_slice(item);
            after
        };
        if !quoted && unescaped == b"NULL" {
            values.push(Value::Null);
        } else {
            values.push(items.decode(Raw { text: &unescaped, buffer: None }, scratch)?);
        }
        match rest {
            [b',', after @ ..] => rest = after,
            b"}" => return Ok(Value::Array(values)),
            _ => return Err(wrong()),
        }
    }
}

/// Reads `"…"` with backslash escapes; gives what follows.
fn read_quoted<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', byte, after @ ..] => {
                out.push(*byte);
                rest = after;
            }
            [byte, after @ ..] => {
                out.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

/// A key and its value, null or not.
type Entry = (ByteString, Option<ByteString>);

fn hstore(text: &[u8], scratch: &mut BytesMut) -> Result<Vec<Entry>, ValueError> {
    let wrong = || malformed("an hstore", text);
    let mut entries = Vec::new();
    let mut rest = text;
    let mut part = Vec::new();
    while !rest.is_empty() {
        part.clear();
        rest = read_quoted(rest, &mut part).ok_or_else(wrong)?;
        let key = utf8(copied(&part, scratch))?;
        rest = rest.strip_prefix(b"=>").ok_or_else(wrong)?;
        let value = if let Some(after) = rest.strip_prefix(b"NULL") {
            rest = after;
            None
        } else {
            part.clear();
            rest = read_quoted(rest, &mut part).ok_or_else(wrong)?;
            Some(utf8(copied(&part, scratch))?)
        };
        entries.push((key, value));
        if !rest.is_empty() {
            rest = rest.strip_prefix(b", ").ok_or_else(wrong)?;
        }
    }
    Ok(entries)
}

pub(super) fn hstore_json(text: &[u8], scratch: &mut BytesMut) -> Result<Value, ValueError> {
    let entries = hstore(text, scratch)?;
    let object: serde_json::Map<String, serde_json::Value> =
        entries.into_iter().map(|(k, v)| (k.to_string(), v.as_deref().into())).collect();
    Ok(Value::string(serde_json::Value::Object(object).to_string()))
}

pub(super) fn hstore_map(text: &[u8], scratch: &mut BytesMut) -> Result<Value, ValueError> {
    let entry =
        |(key, value): Entry| (Value::String(key), value.map_or(Value::Null, Value::String));
    Ok(Value::Map(hstore(text, scratch)?.into_iter().map(entry).collect()))
}

/// `\x0aff`, as printed under `bytea_output=hex`.
pub(super) fn bytea(text: &[u8], scratch: &mut BytesMut) -> Result<Bytes, ValueError> {
    let wrong = || malformed("bytes in hexadecimal", text);
    let digits = text.strip_prefix(b"\\x").ok_or_else(wrong)?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    scratch.reserve(pairs.len());
    let mut invalid = 0;
    for [high, low] in pairs {
        let (high, low) = (nibble(*high), nibble(*low));
        invalid |= (high | low) & 0xf0;
        scratch.put_u8(high << 4 | low & 15);
    }
    let bytes = scratch.split().freeze();
    if invalid == 0 { Ok(bytes) } else { Err(wrong()) }
}

/// 0 to 15, or more for what is no digit.
fn nibble(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => 0xff,
    }
}

/// Bits printed most significant first, as little-endian bytes without leading zeros, as Java's `BitSet` gives them.
pub(super) fn bits(text: &[u8], scratch: &mut BytesMut) -> Result<Value, ValueError> {
    if text.iter().any(|byte| !matches!(byte, b'0' | b'1')) {
        return Err(malformed("a string of bits", text));
    }
    let mut bytes = vec![0u8; text.len().div_ceil(8)];
    for (index, byte) in text.iter().rev().enumerate() {
        if let (b'1', Some(target)) = (byte, bytes.get_mut(index / 8)) {
            *target |= 1 << (index % 8);
        }
    }
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(Value::Bytes(copied(&bytes, scratch)))
}

/// `(1.5,-2)` as x, y, well-known binary and no reference system.
pub(super) fn point(text: &[u8], scratch: &mut BytesMut) -> Result<Value, ValueError> {
    let parse = || {
        let inner = text.strip_prefix(b"(")?.strip_suffix(b")")?;
        let (x, y) = std::str::from_utf8(inner).ok()?.split_once(',')?;
        Some((x.parse::<f64>().ok()?, y.parse::<f64>().ok()?))
    };
    let (x, y) = parse().ok_or_else(|| malformed("a point", text))?;
    scratch.put_u8(1);
    scratch.put_u32_le(1);
    scratch.put_f64_le(x);
    scratch.put_f64_le(y);
    let wkb = scratch.split().freeze();
    Ok(Value::Struct(vec![Value::Float64(x), Value::Float64(y), Value::Bytes(wkb), Value::Null]))
}

/// Joins names with commas.
pub(crate) fn joined(names: &[ByteString], scratch: &mut BytesMut) -> Value {
    written(scratch, |out| {
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                out.put_u8(b',');
            }
            out.put_slice(name.as_ref());
        }
    })
}
