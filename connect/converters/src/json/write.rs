//! A value as JSON.

use aquifer_connect_api::{
    ByteString, ConnectError, Schema, SchemaKind, SchemaRef, Value, logical,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};

use super::Options;

/// Writes a value with its schema, or as it is without one.
pub(super) fn value(
    schema: Option<&SchemaRef>,
    value: &Value,
    options: Options,
    out: &mut BytesMut,
) -> Result<(), ConnectError> {
    Writer { options, out }.value(schema.map(|schema| &**schema), value)
}

/// Writes a default: nothing replaced, decimals as their bytes.
pub(super) fn raw(schema: &Schema, value: &Value, out: &mut BytesMut) -> Result<(), ConnectError> {
    Writer { options: Options { numeric_decimals: false, with_default: false }, out }
        .value(Some(schema), value)
}

struct Writer<'a> {
    options: Options,
    out: &'a mut BytesMut,
}

impl Writer<'_> {
    fn value(&mut self, schema: Option<&Schema>, value: &Value) -> Result<(), ConnectError> {
        let default = schema
            .and_then(|schema| schema.default.as_ref())
            .filter(|default| self.options.with_default && value.is_null() && !default.is_null());
        match default.unwrap_or(value) {
            Value::Null => match schema {
                Some(schema) if !schema.optional && schema.default.is_none() => {
                    return Err(ConnectError::record(
                        "Conversion error: null value for field that is required and has no default value",
                    ));
                }
                _ => self.out.put_slice(b"null"),
            },
            Value::Bool(v) => self.out.put_slice(if *v { b"true" } else { b"false" }),
            Value::Int8(v) => self.number(v),
            Value::Int16(v) => self.number(v),
            Value::Int32(v) => self.number(v),
            Value::Int64(v) => self.number(v),
            Value::Float32(v) if v.is_finite() => self.number(v),
            Value::Float64(v) if v.is_finite() => self.number(v),
            Value::Float32(v) => self.text(&not_finite(f64::from(*v))),
            Value::Float64(v) => self.text(&not_finite(*v)),
            Value::String(text) => self.text(text),
            Value::Bytes(bytes) => self.bytes(schema, bytes),
            Value::Array(values) => self.array(schema, values)?,
            Value::Map(entries) => self.map(schema, entries)?,
            Value::Struct(values) => self.structure(schema, values)?,
        }
        Ok(())
    }

    fn number<T: serde::Serialize>(&mut self, number: &T) {
        // A number and a buffer that grows: this can't fail.
        let _ = serde_json::to_writer((&mut *self.out).writer(), number);
    }

    fn text(&mut self, text: &str) {
        let _ = serde_json::to_writer((&mut *self.out).writer(), text);
    }

    fn bytes(&mut self, schema: Option<&Schema>, bytes: &[u8]) {
        let decimal = schema.filter(|schema| {
            self.options.numeric_decimals && schema.name() == Some(logical::DECIMAL)
        });
        match decimal.and_then(|schema| decimal_text(schema, bytes)) {
            Some(number) => self.out.put_slice(number.as_bytes()),
            None => self.text(&STANDARD.encode(bytes)),
        }
    }

    fn array(&mut self, schema: Option<&Schema>, values: &[Value]) -> Result<(), ConnectError> {
        let items = schema.and_then(|schema| {
            if let SchemaKind::Array(items) = &schema.kind { Some(&**items) } else { None }
        });
        self.out.put_u8(b'[');
        for (index, value) in values.iter().enumerate() {
            self.comma(index);
            self.value(items, value)?;
        }
        self.out.put_u8(b']');
        Ok(())
    }

    fn map(
        &mut self,
        schema: Option<&Schema>,
        entries: &[(Value, Value)],
    ) -> Result<(), ConnectError> {
        let schemas = schema.and_then(|schema| {
            if let SchemaKind::Map(keys, values) = &schema.kind {
                Some((&**keys, &**values))
            } else {
                None
            }
        });
        let object = match schemas {
            Some((keys, _)) => keys.kind == SchemaKind::String && !keys.optional,
            None => entries.iter().all(|(key, _)| matches!(key, Value::String(_))),
        };
        self.out.put_u8(if object { b'{' } else { b'[' });
        for (index, (key, value)) in entries.iter().enumerate() {
            self.comma(index);
            match key {
                Value::String(key) if object => {
                    self.text(key);
                    self.out.put_u8(b':');
                    self.value(schemas.map(|(_, values)| values), value)?;
                }
                // Keys that are no texts: an array of pairs.
                key => {
                    self.out.put_u8(b'[');
                    self.value(schemas.map(|(keys, _)| keys), key)?;
                    self.out.put_u8(b',');
                    self.value(schemas.map(|(_, values)| values), value)?;
                    self.out.put_u8(b']');
                }
            }
        }
        self.out.put_u8(if object { b'}' } else { b']' });
        Ok(())
    }

    fn structure(&mut self, schema: Option<&Schema>, values: &[Value]) -> Result<(), ConnectError> {
        let fields = schema.map(Schema::fields).unwrap_or_default();
        if fields.len() != values.len() {
            return Err(ConnectError::record(format!(
                "a struct of {} fields has {} values",
                fields.len(),
                values.len()
            )));
        }
        self.out.put_u8(b'{');
        for (index, (field, value)) in fields.iter().zip(values).enumerate() {
            self.comma(index);
            self.text(&field.name);
            self.out.put_u8(b':');
            self.value(Some(&field.schema), value).map_err(|error| in_field(&field.name, error))?;
        }
        self.out.put_u8(b'}');
        Ok(())
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.out.put_u8(b',');
        }
    }
}

fn in_field(name: &ByteString, error: ConnectError) -> ConnectError {
    ConnectError::record(format!("field {name}: {error}"))
}

fn not_finite(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else {
        format!("{}Infinity", if value < 0.0 { "-" } else { "" })
    }
}

/// The number that unscaled big-endian bytes are at the schema's scale; `None` where it has more than 38 digits or an odd scale.
fn decimal_text(schema: &Schema, bytes: &[u8]) -> Option<String> {
    let scale: usize = schema.parameter("scale")?.parse().ok()?;
    let unscaled = unscaled(bytes)?;
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len().checked_sub(scale)?);
    let sign = if unscaled < 0 { "-" } else { "" };
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// Two's complement, big-endian, of at most 16 bytes.
fn unscaled(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    let mut all = if first >= 0x80 { [0xff; 16] } else { [0; 16] };
    let start = 16_usize.checked_sub(bytes.len())?;
    all.get_mut(start..)?.copy_from_slice(bytes);
    Some(i128::from_be_bytes(all))
}

/// The unscaled bytes of a number in plain notation at that scale; `None` where it does not fit.
pub(super) fn decimal_bytes(text: &str, scale: usize) -> Option<Vec<u8>> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let padding = scale.checked_sub(fraction.len())?;
    let value: i128 = format!("{sign}{whole}{fraction}{}", "0".repeat(padding)).parse().ok()?;
    let all = value.to_be_bytes();
    // The fewest bytes that keep the sign, as BigInteger.toByteArray gives them.
    let redundant = |(index, byte): (usize, &u8)| {
        let next = all.get(index + 1).copied().unwrap_or_default();
        (*byte == 0 && next < 0x80) || (*byte == 0xff && next >= 0x80)
    };
    let skip = all.iter().enumerate().take(15).take_while(|entry| redundant(*entry)).count();
    all.get(skip..).map(<[u8]>::to_vec)
}
