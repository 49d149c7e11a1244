//! JsonConverter: JSON, with the schema beside each payload or without schemas.
//!
//! - With `schemas.enable`, a record is `{"schema": …, "payload": …}`; the schema's text is made once, and read once while it stays the same.
//! - Without, a number without a fraction is an int64, any other a double, an object a map.
//!
//! References: Kafka's `org.apache.kafka.connect.json.JsonConverter`.

mod read;
mod schema;
mod write;

use std::sync::{Arc, LazyLock};

use aquifer_connect_api::config::{Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance};
use aquifer_connect_api::{
    ConnectError, Converter, ConverterError, ConverterRole, Decoded, Headers, SchemaCache,
    SchemaRef, Value,
};
use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) fn config_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
        let optional = ConfigKey::optional;
        ConfigDef::new(vec![
            optional(
                "schemas.enable",
                ConfigType::Boolean,
                Some("true"),
                Importance::High,
                "Whether the schema stands beside each payload.",
            ),
            optional(
                "schemas.cache.size",
                ConfigType::Int,
                Some("1000"),
                Importance::High,
                "Schemas kept in memory.",
            )
            .no_op("the cache has a bound of its own"),
            optional(
                "decimal.format",
                ConfigType::String,
                Some("BASE64"),
                Importance::Low,
                "How decimals are written: BASE64 of the unscaled bytes, or NUMERIC.",
            )
            .check(Check::OneOf(&["BASE64", "NUMERIC", "base64", "numeric"])),
            optional(
                "replace.null.with.default",
                ConfigType::Boolean,
                Some("true"),
                Importance::Low,
                "A null field becomes the default of its schema.",
            ),
        ])
    });
    &DEF
}

pub(crate) fn new(
    config: &ConfigMap,
    _: ConverterRole,
) -> Result<Box<dyn Converter>, ConnectError> {
    let config = config_def().parse(config).map_err(|errors| {
        let texts: Vec<String> = errors.into_iter().map(|(_, text)| text).collect();
        ConnectError::config(texts.join("\n"))
    })?;
    Ok(Box::new(JsonConverter {
        schemas: config.bool("schemas.enable"),
        options: Options {
            numeric_decimals: config.string("decimal.format").eq_ignore_ascii_case("NUMERIC"),
            with_default: config.bool("replace.null.with.default"),
        },
        texts: SchemaCache::default(),
        last_read: None,
    }))
}

/// What the config says of values.
#[derive(Debug, Clone, Copy)]
struct Options {
    numeric_decimals: bool,
    with_default: bool,
}

struct JsonConverter {
    schemas: bool,
    options: Options,
    /// Schemas as they are written.
    texts: SchemaCache<String>,
    /// The text of the schema that was read last, and that schema.
    last_read: Option<(Box<str>, SchemaRef)>,
}

/// A record with its schema, neither read yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    schema: &'a RawValue,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[async_trait]
impl Converter for JsonConverter {
    fn encode(
        &mut self,
        _: &str,
        _: &Headers,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<bool, ConverterError> {
        if value.is_null() && (schema.is_none() || !self.schemas) {
            return Ok(false);
        }
        if !self.schemas {
            write::value(schema, value, self.options, out)?;
            return Ok(true);
        }
        out.put_slice(b"{\"schema\":");
        match schema {
            Some(schema) => out.put_slice(
                self.texts
                    .get_or_make(schema, |schema| Ok::<_, ConnectError>(schema::to_text(schema)))?
                    .as_bytes(),
            ),
            None => out.put_slice(b"null"),
        }
        out.put_slice(b",\"payload\":");
        write::value(schema, value, self.options, out)?;
        out.put_u8(b'}');
        Ok(true)
    }

    async fn prepare_encode(&mut self, _: &str, _: Option<&SchemaRef>) -> Result<(), ConnectError> {
        Ok(())
    }

    fn decode(&mut self, topic: &str, bytes: Option<&Bytes>) -> Result<Decoded, ConverterError> {
        let Some(bytes) = bytes else { return Ok(Decoded::default()) };
        let bad = |error: serde_json::Error| {
            ConnectError::record(format!("a record of topic {topic} is no JSON: {error}"))
        };
        // Kafka's converter reads nothing at all as null, where no envelope is expected.
        if !self.schemas && bytes.is_empty() {
            return Ok(Decoded::default());
        }
        if !self.schemas {
            let json: serde_json::Value = serde_json::from_slice(bytes).map_err(bad)?;
            return Ok(Decoded { schema: None, value: read::schemaless(json) });
        }
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(bytes) else {
            // Is it no JSON at all, or JSON of another shape?
            serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(bad)?;
            let text = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain additional fields. \
                If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.";
            return Err(ConnectError::record(text).into());
        };
        let schema = self.schema_of(topic, envelope.schema.get())?;
        let payload: serde_json::Value =
            serde_json::from_str(envelope.payload.get()).map_err(bad)?;
        let value = match &schema {
            None => read::schemaless(payload),
            Some(schema) => read::value(schema, payload, self.options).map_err(|error| {
                ConnectError::record(format!(
                    "a record of topic {topic} does not fit the schema beside it: {error}"
                ))
            })?,
        };
        Ok(Decoded { schema, value })
    }

    async fn prepare_decode(&mut self, _: &str, _: &Bytes) -> Result<(), ConnectError> {
        Ok(())
    }
}

impl JsonConverter {
    fn schema_of(&mut self, topic: &str, text: &str) -> Result<Option<SchemaRef>, ConnectError> {
        if let Some((_, schema)) = self.last_read.as_ref().filter(|(last, _)| **last == *text) {
            return Ok(Some(Arc::clone(schema)));
        }
        let schema = schema::from_text(text).map_err(|error| {
            ConnectError::record(format!(
                "the schema in a record of topic {topic} can't be read: {error}"
            ))
        })?;
        if let Some(schema) = &schema {
            self.last_read = Some((text.into(), SchemaRef::clone(schema)));
        }
        Ok(schema)
    }
}

#[cfg(test)]
mod tests;
