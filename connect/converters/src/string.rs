//! StringConverter: UTF-8 text. Numbers and booleans are written as they print; what is read is always an optional string.

use std::fmt::Write as _;
use std::sync::LazyLock;

use aquifer_connect_api::config::{Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance};
use aquifer_connect_api::{
    ByteString, ConnectError, Converter, ConverterError, ConverterRole, Decoded, Headers,
    SchemaBuilder, SchemaRef, Value,
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

pub(crate) fn config_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
        let utf8 = Check::OneOf(&["UTF-8", "UTF8", "utf-8", "utf8"]);
        ConfigDef::new(vec![
            ConfigKey::optional(
                "converter.encoding",
                ConfigType::String,
                Some("UTF-8"),
                Importance::High,
                "Only UTF-8 is served.",
            )
            .check(utf8),
        ])
    });
    &DEF
}

pub(crate) fn new(
    config: &ConfigMap,
    _: ConverterRole,
) -> Result<Box<dyn Converter>, ConnectError> {
    let errors = config_def().errors(config);
    if let Some((_, error)) = errors.into_iter().next() {
        return Err(ConnectError::config(error));
    }
    Ok(Box::new(StringConverter { schema: SchemaBuilder::string().optional().build() }))
}

struct StringConverter {
    schema: SchemaRef,
}

#[async_trait]
impl Converter for StringConverter {
    fn encode(
        &mut self,
        _: &str,
        _: &Headers,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<bool, ConverterError> {
        // Writing to a buffer that grows can't fail.
        let _ = match value {
            Value::Null => return Ok(false),
            Value::String(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            }
            Value::Bool(v) => write!(out, "{v}"),
            Value::Int8(v) => write!(out, "{v}"),
            Value::Int16(v) => write!(out, "{v}"),
            Value::Int32(v) => write!(out, "{v}"),
            Value::Int64(v) => write!(out, "{v}"),
            Value::Float32(v) => write!(out, "{v:?}"),
            Value::Float64(v) => write!(out, "{v:?}"),
            Value::Bytes(_) | Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
                let mut text = String::new();
                display(schema, value, &mut text);
                out.write_str(&text)
            }
        };
        Ok(true)
    }

    async fn prepare_encode(&mut self, _: &str, _: Option<&SchemaRef>) -> Result<(), ConnectError> {
        Ok(())
    }

    fn decode(&mut self, topic: &str, bytes: Option<&Bytes>) -> Result<Decoded, ConverterError> {
        let value = match bytes {
            None => Value::Null,
            Some(bytes) => Value::String(text(topic, bytes)?),
        };
        Ok(Decoded { schema: Some(SchemaRef::clone(&self.schema)), value })
    }

    async fn prepare_decode(&mut self, _: &str, _: &Bytes) -> Result<(), ConnectError> {
        Ok(())
    }
}

fn text(topic: &str, bytes: &Bytes) -> Result<ByteString, ConnectError> {
    ByteString::try_from(bytes.clone()).map_err(|_| {
        ConnectError::record(format!(
            "Failed to deserialize string for topic {topic}: the bytes are not UTF-8"
        ))
    })
}

/// Kafka prints a struct as `Struct{a=1,b=x}`, a list as `[1, 2]` and a map as `{a=1}`.
fn display(schema: Option<&SchemaRef>, value: &Value, out: &mut String) {
    match value {
        Value::Struct(values) => {
            let fields = schema.map(|schema| schema.fields()).unwrap_or_default();
            let shown = values.iter().zip(fields).filter(|(value, _)| !value.is_null());
            out.push_str("Struct{");
            for (index, (value, field)) in shown.enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(&field.name);
                out.push('=');
                display(Some(&field.schema), value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                display(None, value, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                display(None, key, out);
                out.push('=');
                display(None, value, out);
            }
            out.push('}');
        }
        Value::Null => out.push_str("null"),
        Value::String(text) => out.push_str(text),
        Value::Bool(v) => out.push_str(&v.to_string()),
        Value::Int8(v) => out.push_str(&v.to_string()),
        Value::Int16(v) => out.push_str(&v.to_string()),
        Value::Int32(v) => out.push_str(&v.to_string()),
        Value::Int64(v) => out.push_str(&v.to_string()),
        Value::Float32(v) => out.push_str(&format!("{v:?}")),
        Value::Float64(v) => out.push_str(&format!("{v:?}")),
        Value::Bytes(bytes) => {
            out.push_str(&base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: Option<&SchemaRef>, value: Value, expected: Option<&str>) {
        let mut out = BytesMut::new();
        let some = new(&ConfigMap::default(), ConverterRole::Value)
            .unwrap()
            .encode("t", &Headers::default(), schema, &value, &mut out)
            .unwrap();
        assert_eq!(some.then_some(&*out), expected.map(str::as_bytes));
    }

    #[test]
    fn values_are_written_as_they_print() {
        check(None, Value::Null, None);
        check(None, Value::string("añb"), Some("añb"));
        check(None, Value::Int64(-5), Some("-5"));
        check(None, Value::Float64(1.0), Some("1.0"));
        let schema = SchemaBuilder::structure().field("a", SchemaBuilder::int32().build()).build();
        check(Some(&schema), Value::Struct(vec![Value::Int32(1)]), Some("Struct{a=1}"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        let mut converter = new(&ConfigMap::default(), ConverterRole::Value).unwrap();
        assert!(matches!(
            converter.decode("t", Some(&Bytes::from_static(b"\xff"))),
            Err(ConverterError::Failed(_))
        ));
        assert_eq!(
            converter.decode("t", Some(&Bytes::from_static(b"x"))).unwrap().value,
            Value::string("x")
        );
    }
}
