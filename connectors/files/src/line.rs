//! PURE: cuts lines out of a buffer, and prints a value as a line.
//!
//! - A line ends with `\n`, `\r\n` or `\r`, as Kafka's `FileStreamSource` has it; what has no end yet is not a line.
//! - Text that is not UTF-8 gets U+FFFD where it is broken, as Java decodes it.

use aquifer_connect_api::{ByteString, SchemaRef, Value};
use bytes::{Buf, Bytes, BytesMut};

/// Removes the first line from the buffer: its text, without its end. `None` leaves the buffer as it was.
pub(crate) fn take(buffer: &mut BytesMut) -> Option<ByteString> {
    let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    let terminator = match (buffer.get(end), buffer.get(end + 1)) {
        (Some(b'\r'), Some(b'\n')) => 2,
        // Whether a \n follows decides where the next line starts.
        (Some(b'\r'), None) => return None,
        _ => 1,
    };
    let line = buffer.split_to(end).freeze();
    buffer.advance(terminator);
    Some(text(line))
}

fn text(line: Bytes) -> ByteString {
    ByteString::try_from(line.clone())
        .unwrap_or_else(|_| String::from_utf8_lossy(&line).into_owned().into())
}

/// Appends the value as Java prints it: a string as it is, `Struct{id=1,name=x}`, `{k=v, …}`, `[a, b]`; bytes in hex.
pub(crate) fn print(schema: Option<&SchemaRef>, value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(v) => out.push_str(&v.to_string()),
        Value::Int8(v) => out.push_str(&v.to_string()),
        Value::Int16(v) => out.push_str(&v.to_string()),
        Value::Int32(v) => out.push_str(&v.to_string()),
        Value::Int64(v) => out.push_str(&v.to_string()),
        Value::Float32(v) => out.push_str(&format!("{v:?}")),
        Value::Float64(v) => out.push_str(&format!("{v:?}")),
        Value::String(v) => out.push_str(v),
        Value::Bytes(v) => v.iter().for_each(|byte| out.push_str(&format!("{byte:02x}"))),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                print(None, item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                print(None, key, out);
                out.push('=');
                print(None, item, out);
            }
            out.push('}');
        }
        Value::Struct(values) => print_struct(schema, values, out),
    }
}

// Java leaves out the fields that are null.
fn print_struct(schema: Option<&SchemaRef>, values: &[Value], out: &mut String) {
    let fields = schema.map(|schema| schema.fields()).unwrap_or_default();
    out.push_str("Struct{");
    let mut separator = "";
    for (field, value) in fields.iter().zip(values).filter(|(_, value)| !value.is_null()) {
        out.push_str(separator);
        out.push_str(&field.name);
        out.push('=');
        print(Some(&field.schema), value, out);
        separator = ",";
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use aquifer_connect_api::SchemaBuilder;

    fn check_take(text: &[u8], lines: &[&str], rest: &[u8]) {
        let mut buffer = BytesMut::from(text);
        let taken: Vec<ByteString> = std::iter::from_fn(|| take(&mut buffer)).collect();
        assert_eq!((taken, &buffer[..]), (lines.iter().map(|l| (*l).into()).collect(), rest));
    }

    #[test]
    fn a_line_is_taken_once_its_end_is_there() {
        check_take(b"", &[], b"");
        check_take(b"half", &[], b"half");
        check_take(b"a\nb\r\n\nc", &["a", "b", ""], b"c");
        check_take(b"a\rb\r", &["a"], b"b\r");
        check_take(b"\xff\xc3\xa9\n", &["\u{fffd}é"], b"");
    }

    #[test]
    fn values_print_as_java_prints_them() {
        let schema = SchemaBuilder::structure()
            .field("id", SchemaBuilder::int64().build())
            .field("gone", SchemaBuilder::string().optional().build())
            .field("tags", SchemaBuilder::array(SchemaBuilder::string().build()).build())
            .build();
        let tags = Value::Array(vec![Value::string("x"), Value::string("y")]);
        let row = Value::Struct(vec![Value::Int64(7), Value::Null, tags]);
        let mut out = String::new();
        print(Some(&schema), &row, &mut out);
        print(None, &Value::Map(vec![(Value::string("k"), Value::Float64(1.0))]), &mut out);
        assert_eq!(out, "Struct{id=7,tags=[x, y]}{k=1.0}");
    }
}
