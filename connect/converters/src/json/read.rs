//! JSON as a value.

use aquifer_connect_api::{Schema, SchemaKind, Value, logical};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value as Json;

use super::{Options, write};

/// JSON without a schema.
pub(super) fn schemaless(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(v) => Value::Bool(v),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Int64(integer),
            None => Value::Float64(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::string(text),
        Json::Array(values) => Value::Array(values.into_iter().map(schemaless).collect()),
        Json::Object(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| (Value::string(key), schemaless(value)))
                .collect(),
        ),
    }
}

/// JSON of a schema; the error names what was expected, what came and where.
pub(super) fn value(schema: &Schema, json: Json, options: Options) -> Result<Value, String> {
    if json.is_null() {
        return match &schema.default {
            Some(default) if options.with_default => Ok(default.clone()),
            _ if schema.optional => Ok(Value::Null),
            Some(default) => Ok(default.clone()),
            None => Err(format!("null where {} is required", schema.kind.name())),
        };
    }
    let wrong = |json: &Json| {
        let text: String = json.to_string().chars().take(80).collect();
        Err(format!("{text} where {} is expected", schema.kind.name()))
    };
    let integer = || json.as_i64();
    let number = match (&schema.kind, &json) {
        (SchemaKind::Int8, _) => integer().and_then(|v| i8::try_from(v).ok()).map(Value::Int8),
        (SchemaKind::Int16, _) => integer().and_then(|v| i16::try_from(v).ok()).map(Value::Int16),
        (SchemaKind::Int32, _) => integer().and_then(|v| i32::try_from(v).ok()).map(Value::Int32),
        (SchemaKind::Int64, _) => integer().map(Value::Int64),
        #[allow(clippy::cast_possible_truncation, reason = "a float is what the schema says")]
        (SchemaKind::Float32, _) => {
            json.as_f64().or_else(|| not_finite(&json)).map(|v| Value::Float32(v as f32))
        }
        (SchemaKind::Float64, _) => json.as_f64().or_else(|| not_finite(&json)).map(Value::Float64),
        (SchemaKind::Boolean, _) => json.as_bool().map(Value::Bool),
        (SchemaKind::Bytes, Json::String(text)) => {
            STANDARD.decode(text).ok().map(|bytes| Value::Bytes(Bytes::from(bytes)))
        }
        (SchemaKind::Bytes, Json::Number(number)) if schema.name() == Some(logical::DECIMAL) => {
            let scale = schema.parameter("scale").and_then(|text| text.parse().ok());
            scale
                .and_then(|scale| write::decimal_bytes(&number.to_string(), scale))
                .map(|bytes| Value::Bytes(Bytes::from(bytes)))
        }
        _ => None,
    };
    if let Some(number) = number {
        return Ok(number);
    }
    match (&schema.kind, json) {
        (SchemaKind::String, Json::String(text)) => Ok(Value::string(text)),
        (SchemaKind::Array(items), Json::Array(values)) => Ok(Value::Array(
            values.into_iter().map(|json| value(items, json, options)).collect::<Result<_, _>>()?,
        )),
        (SchemaKind::Map(_, values), Json::Object(entries)) => {
            let entry =
                |(key, json)| Ok::<_, String>((Value::string(key), value(values, json, options)?));
            Ok(Value::Map(entries.into_iter().map(entry).collect::<Result<_, _>>()?))
        }
        (SchemaKind::Map(keys, values), Json::Array(pairs)) => {
            let pair = |json| match json {
                Json::Array(pair) => match <[Json; 2]>::try_from(pair) {
                    Ok([key, json]) => {
                        Ok((value(keys, key, options)?, value(values, json, options)?))
                    }
                    Err(pair) => Err(format!("an entry of a map has {} parts, not 2", pair.len())),
                },
                other => Err(format!("{other} where an entry of a map is expected")),
            };
            Ok(Value::Map(pairs.into_iter().map(pair).collect::<Result<_, _>>()?))
        }
        (SchemaKind::Struct(fields), Json::Object(mut entries)) => {
            let mut values = Vec::with_capacity(fields.len());
            for field in fields {
                let json = entries.get_mut(&*field.name).map(Json::take).unwrap_or_default();
                values.push(
                    value(&field.schema, json, options)
                        .map_err(|error| format!("field {}: {error}", field.name))?,
                );
            }
            Ok(Value::Struct(values))
        }
        (_, json) => wrong(&json),
    }
}

fn not_finite(json: &Json) -> Option<f64> {
    match json.as_str()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}
