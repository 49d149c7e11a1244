//! A Connect schema as Avro text, as Confluent's `AvroData` maps it.

use std::collections::HashMap;

use aquifer_connect_api::{ConnectError, Field, Schema, SchemaKind, Value, logical};
use serde_json::{Map, Value as Json, json};

use super::encode::{null_is_first, plain_string};

/// The namespace and name of a struct that has none, and of the entries of a map.
const DEFAULT_NAMESPACE: &str = "io.confluent.connect.avro";
const DEFAULT_NAME: &str = "ConnectDefault";
const MAP_ENTRY: &str = "MapEntry";
/// Parameters that say what Avro's own documentation of a record and of its fields is.
const RECORD_DOC_PARAMETER: &str = "io.confluent.connect.avro.record.doc";
const FIELD_DOC_PARAMETER: &str = "io.confluent.connect.avro.field.doc.";
/// The precision that a decimal has where none is given.
const DECIMAL_PRECISION: i64 = 64;
const PRECISION_PARAMETER: &str = "connect.decimal.precision";

/// The Avro text; with `meta_data`, Connect's own names and parameters go into it.
pub(super) fn from_connect(schema: &Schema, meta_data: bool) -> Result<String, ConnectError> {
    let mut writer = SchemaText { meta_data, defined: HashMap::new(), unnamed: Vec::new() };
    Ok(writer.schema(schema)?.to_string())
}

struct SchemaText<'a> {
    meta_data: bool,
    /// Full name and the fields that it was defined with.
    defined: HashMap<String, &'a [Field]>,
    /// Structs without a name, in the order in which they got one.
    unnamed: Vec<&'a Schema>,
}

impl<'a> SchemaText<'a> {
    fn schema(&mut self, schema: &'a Schema) -> Result<Json, ConnectError> {
        let base = self.base(schema)?;
        Ok(match (schema.optional, &schema.default) {
            (false, _) => base,
            (true, None) => json!(["null", base]),
            (true, Some(_)) if null_is_first(schema) => json!(["null", base]),
            (true, Some(_)) => json!([base, "null"]),
        })
    }

    /// The schema without regard to null.
    fn base(&mut self, schema: &'a Schema) -> Result<Json, ConnectError> {
        let mut properties = Map::new();
        let mut connect_type = None;
        let base = match &schema.kind {
            SchemaKind::Int8 | SchemaKind::Int16 => {
                connect_type = Some(schema.kind.name());
                "int"
            }
            SchemaKind::Int32 => "int",
            SchemaKind::Int64 => "long",
            SchemaKind::Float32 => "float",
            SchemaKind::Float64 => "double",
            SchemaKind::Boolean => "boolean",
            SchemaKind::String => "string",
            SchemaKind::Bytes => "bytes",
            SchemaKind::Array(items) => {
                properties.insert("type".to_owned(), json!("array"));
                properties.insert("items".to_owned(), self.schema(items)?);
                ""
            }
            SchemaKind::Map(keys, values) if plain_string(keys) => {
                properties.insert("type".to_owned(), json!("map"));
                properties.insert("values".to_owned(), self.schema(values)?);
                ""
            }
            SchemaKind::Map(keys, values) => {
                let entry = self.entry(schema, keys, values)?;
                properties.insert("type".to_owned(), json!("array"));
                properties.insert("items".to_owned(), entry);
                ""
            }
            SchemaKind::Struct(fields) => match self.record(schema, fields)? {
                Json::Object(record) => {
                    properties = record;
                    ""
                }
                reference => return Ok(reference),
            },
        };
        if !base.is_empty() {
            properties.insert("type".to_owned(), json!(base));
        }
        let logical = logical_type(schema, &mut properties);
        if self.meta_data {
            add_meta_data(schema, connect_type, &mut properties);
        }
        if let Some(logical) = logical {
            properties.insert("logicalType".to_owned(), json!(logical));
        }
        // A primitive that nothing is said about is its plain name.
        Ok(if properties.len() == 1 && !base.is_empty() {
            json!(base)
        } else {
            Json::Object(properties)
        })
    }

    fn record(&mut self, schema: &'a Schema, fields: &'a [Field]) -> Result<Json, ConnectError> {
        let full_name = match schema.name() {
            Some(name) => name.to_owned(),
            None => self.name_of_unnamed(schema),
        };
        match self.defined.get(&full_name) {
            Some(known) if *known == fields => return Ok(json!(full_name)),
            Some(_) => {
                return Err(ConnectError::record(format!(
                    "two different structs are named {full_name}, which Avro does not allow"
                )));
            }
            None => self.defined.insert(full_name.clone(), fields),
        };
        let mut record = named("record", &full_name);
        if let Some(doc) = schema.parameter(RECORD_DOC_PARAMETER) {
            record.insert("doc".to_owned(), json!(doc));
        }
        let doc = |name: &str| schema.parameter(&format!("{FIELD_DOC_PARAMETER}{name}"));
        let fields =
            fields.iter().map(|field| self.field(&field.name, &field.schema, doc(&field.name)));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        record.insert("fields".to_owned(), Json::Array(fields));
        Ok(Json::Object(record))
    }

    /// Structs without a name are numbered from the second on; equal ones are one.
    fn name_of_unnamed(&mut self, schema: &'a Schema) -> String {
        let same = |known: &&Schema| known.fields() == schema.fields();
        let index = self.unnamed.iter().position(same).unwrap_or_else(|| {
            self.unnamed.push(schema);
            self.unnamed.len() - 1
        });
        let number = if index == 0 { String::new() } else { (index + 1).to_string() };
        format!("{DEFAULT_NAMESPACE}.{DEFAULT_NAME}{number}")
    }

    fn field(
        &mut self,
        name: &str,
        schema: &'a Schema,
        doc: Option<&str>,
    ) -> Result<Json, ConnectError> {
        let mut properties = Map::new();
        properties.insert("name".to_owned(), json!(name));
        properties.insert("type".to_owned(), self.schema(schema)?);
        if let Some(doc) = doc {
            properties.insert("doc".to_owned(), json!(doc));
        }
        match &schema.default {
            // A default that is no value of the first branch is none in Avro.
            Some(default) if !default.is_null() && null_is_first(schema) => {}
            Some(default) => {
                properties.insert("default".to_owned(), default_json(schema, default));
            }
            None if schema.optional => {
                properties.insert("default".to_owned(), Json::Null);
            }
            None => {}
        }
        Ok(Json::Object(properties))
    }

    fn entry(
        &mut self,
        schema: &'a Schema,
        keys: &'a Schema,
        values: &'a Schema,
    ) -> Result<Json, ConnectError> {
        let full_name =
            schema.name().map_or_else(|| format!("{DEFAULT_NAMESPACE}.{MAP_ENTRY}"), str::to_owned);
        let mut record = named("record", &full_name);
        let fields = vec![self.field("key", keys, None)?, self.field("value", values, None)?];
        record.insert("fields".to_owned(), Json::Array(fields));
        // The default name says it already.
        if schema.name().is_some() {
            record.insert("connect.internal.type".to_owned(), json!(MAP_ENTRY));
        }
        Ok(Json::Object(record))
    }
}

fn named(kind: &str, full_name: &str) -> Map<String, Json> {
    let mut record = Map::new();
    record.insert("type".to_owned(), json!(kind));
    match full_name.rsplit_once('.') {
        Some((namespace, name)) => {
            record.insert("name".to_owned(), json!(name));
            record.insert("namespace".to_owned(), json!(namespace));
        }
        None => {
            record.insert("name".to_owned(), json!(full_name));
        }
    }
    record
}

/// Avro's own logical type of Kafka Connect's four; a decimal's scale and precision are added at once.
fn logical_type(schema: &Schema, properties: &mut Map<String, Json>) -> Option<&'static str> {
    match schema.name()? {
        logical::DECIMAL => {
            let number =
                |key: &str| schema.parameter(key).and_then(|text| text.parse::<i64>().ok());
            let scale = number("scale").unwrap_or(0);
            let precision = number(PRECISION_PARAMETER).unwrap_or(DECIMAL_PRECISION);
            properties.insert("scale".to_owned(), json!(scale));
            properties.insert("precision".to_owned(), json!(precision));
            // A scale that Avro does not know stays Connect's alone.
            (0..=precision).contains(&scale).then_some("decimal")
        }
        logical::DATE => Some("date"),
        logical::TIME => Some("time-millis"),
        logical::TIMESTAMP => Some("timestamp-millis"),
        _ => None,
    }
}

fn add_meta_data(schema: &Schema, connect_type: Option<&str>, properties: &mut Map<String, Json>) {
    if let Some(doc) = &schema.doc {
        properties.insert("connect.doc".to_owned(), json!(&**doc));
    }
    if let Some(version) = schema.version {
        properties.insert("connect.version".to_owned(), json!(version));
    }
    if !schema.parameters.is_empty() {
        let parameters: Map<String, Json> = schema
            .parameters
            .iter()
            .map(|(key, value)| (key.to_string(), json!(&**value)))
            .collect();
        properties.insert("connect.parameters".to_owned(), Json::Object(parameters));
    }
    if let Some(default) = &schema.default {
        properties.insert("connect.default".to_owned(), default_json(schema, default));
    }
    if let Some(name) = schema.name() {
        properties.insert("connect.name".to_owned(), json!(name));
    }
    if let Some(connect_type) = connect_type {
        properties.insert("connect.type".to_owned(), json!(connect_type));
    }
}

/// A default as Avro writes it: bytes as text of the same code points.
fn default_json(schema: &Schema, value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(v) => json!(v),
        Value::Int8(v) => json!(v),
        Value::Int16(v) => json!(v),
        Value::Int32(v) => json!(v),
        Value::Int64(v) => json!(v),
        Value::Float32(v) => json!(v),
        Value::Float64(v) => json!(v),
        Value::String(text) => json!(&**text),
        Value::Bytes(bytes) => Json::String(bytes.iter().copied().map(char::from).collect()),
        Value::Array(values) => {
            let items = if let SchemaKind::Array(items) = &schema.kind { items } else { schema };
            values.iter().map(|value| default_json(items, value)).collect()
        }
        Value::Map(entries) if matches!(&schema.kind, SchemaKind::Map(keys, _) if !plain_string(keys)) =>
        {
            let SchemaKind::Map(keys, values) = &schema.kind else { return Json::Null };
            let entry = |(key, value): &(Value, Value)| {
                json!([default_json(keys, key), default_json(values, value)])
            };
            entries.iter().map(entry).collect()
        }
        Value::Map(entries) => {
            let values =
                if let SchemaKind::Map(_, values) = &schema.kind { values } else { schema };
            let entry = |(key, value): &(Value, Value)| {
                (key.as_str().unwrap_or_default().to_owned(), default_json(values, value))
            };
            Json::Object(entries.iter().map(entry).collect())
        }
        Value::Struct(values) => {
            let entry = |(field, value): (&Field, &Value)| {
                (field.name.to_string(), default_json(&field.schema, value))
            };
            Json::Object(schema.fields().iter().zip(values).map(entry).collect())
        }
    }
}
