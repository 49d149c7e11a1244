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
            Value::Float32(v) if v.is_finite() => self.fraction(&format!("{v:e}")),
            Value::Float64(v) if v.is_finite() => self.fraction(&format!("{v:e}")),
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

    /// A number in the notation of Java's `Double.toString`, from its shortest digits and exponent.
    fn fraction(&mut self, scientific: &str) {
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
        let (sign, mantissa) = match mantissa.strip_prefix('-') {
            Some(mantissa) => ("-", mantissa),
            None => ("", mantissa),
        };
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let digits = mantissa.replace('.', "");
        let (whole, fraction, exponent) = match usize::try_from(exponent) {
            Ok(places) if places < 7 => {
                let digits = format!("{digits:0<width$}", width = places + 1);
                let (whole, fraction) = digits.split_at(places + 1);
                (whole.to_owned(), fraction.to_owned(), String::new())
            }
            Err(_) if exponent >= -3 => {
                let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or_default());
                ("0".to_owned(), format!("{zeros}{digits}"), String::new())
            }
            Ok(_) | Err(_) => {
                let (whole, fraction) = digits.split_at(1);
                (whole.to_owned(), fraction.to_owned(), format!("E{exponent}"))
            }
        };
        let fraction = if fraction.is_empty() { "0" } else { &fraction };
        self.out.put_slice(format!("{sign}{whole}.{fraction}{exponent}").as_bytes());
    }

    /// A string with the escapes that Kafka's converter uses: a key's bytes decide its partition.
    fn text(&mut self, text: &str) {
        self.out.put_u8(b'"');
        let mut rest = text;
        while let Some(plain) = rest.find(escaped) {
            let (before, from) = rest.split_at(plain);
            self.out.put_slice(before.as_bytes());
            let mut chars = from.chars();
            match chars.next() {
                Some('"') => self.out.put_slice(b"\\\""),
                Some('\\') => self.out.put_slice(b"\\\\"),
                Some('\u{8}') => self.out.put_slice(b"\\b"),
                Some('\t') => self.out.put_slice(b"\\t"),
                Some('\n') => self.out.put_slice(b"\\n"),
                Some('\u{c}') => self.out.put_slice(b"\\f"),
                Some('\r') => self.out.put_slice(b"\\r"),
                Some(other) => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        self.out.put_slice(format!("\\u{unit:04X}").as_bytes());
                    }
                }
                None => {}
            }
            rest = chars.as_str();
        }
        self.out.put_slice(rest.as_bytes());
        self.out.put_u8(b'"');
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

/// Whether a character is not written as it is: control characters, quotes, and what UTF-16 takes two units for.
fn escaped(c: char) -> bool {
    c < ' ' || c == '"' || c == '\\' || c > '\u{ffff}'
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

/// The number that unscaled big-endian bytes are at the schema's scale; `None` where the schema has no scale.
fn decimal_text(schema: &Schema, bytes: &[u8]) -> Option<String> {
    let scale: i32 = schema.parameter("scale")?.parse().ok()?;
    let (negative, digits) = decimal_digits(bytes);
    let sign = if negative { "-" } else { "" };
    let Ok(scale) = usize::try_from(scale) else {
        return Some(format!("{sign}{digits}E{}", i64::from(scale).unsigned_abs()));
    };
    if scale == 0 {
        return Some(format!("{sign}{digits}"));
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    Some(format!("{sign}{whole}.{fraction}"))
}

/// Whether a number in two's complement, big-endian and of any length, is negative; and its decimal digits.
fn decimal_digits(bytes: &[u8]) -> (bool, String) {
    /// What one group of digits counts to.
    const GROUP: u64 = 1_000_000_000;
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    // Nine digits each, the lowest group first.
    let mut groups = vec![0_u64];
    for byte in magnitude {
        let mut carry = u64::from(byte);
        for group in &mut groups {
            let value = *group * 256 + carry;
            *group = value % GROUP;
            carry = value / GROUP;
        }
        if carry > 0 {
            groups.push(carry);
        }
    }
    let mut digits = groups.pop().unwrap_or_default().to_string();
    for group in groups.iter().rev() {
        digits.push_str(&format!("{group:09}"));
    }
    (negative, digits)
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
