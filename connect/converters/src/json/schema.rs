//! A Connect schema as JSON, and back.

use aquifer_connect_api::{Schema, SchemaBuilder, SchemaKind, SchemaRef};
use bytes::BytesMut;
use serde_json::{Map, Value as Json, json};

use super::{Options, read, write};

/// A schema nested deeper is refused.
const DEPTH_MAX: usize = 100;
const AS_IT_IS: Options = Options { numeric_decimals: false, with_default: false };

pub(super) fn to_text(schema: &Schema) -> String {
    Json::Object(to_json(schema)).to_string()
}

fn to_json(schema: &Schema) -> Map<String, Json> {
    let mut json = Map::new();
    json.insert("type".to_owned(), json!(schema.kind.name()));
    match &schema.kind {
        SchemaKind::Array(items) => {
            json.insert("items".to_owned(), Json::Object(to_json(items)));
        }
        SchemaKind::Map(keys, values) => {
            json.insert("keys".to_owned(), Json::Object(to_json(keys)));
            json.insert("values".to_owned(), Json::Object(to_json(values)));
        }
        SchemaKind::Struct(fields) => {
            let field = |field: &aquifer_connect_api::Field| {
                let mut json = to_json(&field.schema);
                json.insert("field".to_owned(), json!(&*field.name));
                Json::Object(json)
            };
            json.insert("fields".to_owned(), fields.iter().map(field).collect());
        }
        SchemaKind::Int8
        | SchemaKind::Int16
        | SchemaKind::Int32
        | SchemaKind::Int64
        | SchemaKind::Float32
        | SchemaKind::Float64
        | SchemaKind::Boolean
        | SchemaKind::String
        | SchemaKind::Bytes => {}
    }
    json.insert("optional".to_owned(), json!(schema.optional));
    if let Some(name) = &schema.name {
        json.insert("name".to_owned(), json!(&**name));
    }
    if let Some(version) = schema.version {
        json.insert("version".to_owned(), json!(version));
    }
    if let Some(doc) = &schema.doc {
        json.insert("doc".to_owned(), json!(&**doc));
    }
    if !schema.parameters.is_empty() {
        let parameters: Map<String, Json> = schema
            .parameters
            .iter()
            .map(|(key, value)| (key.to_string(), json!(&**value)))
            .collect();
        json.insert("parameters".to_owned(), Json::Object(parameters));
    }
    if let Some(default) = &schema.default {
        let mut text = BytesMut::new();
        let written = write::raw(schema, default, &mut text).ok();
        if let Some(default) = written.and_then(|()| serde_json::from_slice(&text).ok()) {
            json.insert("default".to_owned(), default);
        }
    }
    json
}

/// The schema; `None` for JSON's null.
pub(super) fn from_text(text: &str) -> Result<Option<SchemaRef>, String> {
    match serde_json::from_str(text).map_err(|error| error.to_string())? {
        Json::Null => Ok(None),
        json => from_json(&json, DEPTH_MAX).map(Some),
    }
}

fn from_json(json: &Json, depth: usize) -> Result<SchemaRef, String> {
    let depth =
        depth.checked_sub(1).ok_or_else(|| format!("it is nested deeper than {DEPTH_MAX}"))?;
    let part = |key: &str| json.get(key).ok_or_else(|| format!("{json} has no {key}"));
    let kind = part("type")?.as_str().ok_or("the type of a schema is a text")?;
    let mut builder = match kind {
        "int8" => SchemaBuilder::int8(),
        "int16" => SchemaBuilder::int16(),
        "int32" => SchemaBuilder::int32(),
        "int64" => SchemaBuilder::int64(),
        "float" => SchemaBuilder::float32(),
        "double" => SchemaBuilder::float64(),
        "boolean" => SchemaBuilder::boolean(),
        "string" => SchemaBuilder::string(),
        "bytes" => SchemaBuilder::bytes(),
        "array" => SchemaBuilder::array(from_json(part("items")?, depth)?),
        "map" => {
            SchemaBuilder::map(from_json(part("keys")?, depth)?, from_json(part("values")?, depth)?)
        }
        "struct" => {
            let mut builder = SchemaBuilder::structure();
            for field in part("fields")?.as_array().ok_or("the fields of a struct are an array")? {
                let name = field
                    .get("field")
                    .and_then(Json::as_str)
                    .ok_or("a field of a struct has no name in \"field\"")?;
                builder = builder.field(name, from_json(field, depth)?);
            }
            builder
        }
        other => return Err(format!("Unknown schema type: {other}")),
    };
    if json.get("optional").and_then(Json::as_bool) == Some(true) {
        builder = builder.optional();
    }
    if let Some(name) = json.get("name").and_then(Json::as_str) {
        builder = builder.name(name);
    }
    if let Some(version) =
        json.get("version").and_then(Json::as_i64).and_then(|version| i32::try_from(version).ok())
    {
        builder = builder.version(version);
    }
    if let Some(doc) = json.get("doc").and_then(Json::as_str) {
        builder = builder.doc(doc);
    }
    for (key, value) in json.get("parameters").and_then(Json::as_object).into_iter().flatten() {
        builder = builder.parameter(
            key.as_str(),
            value.as_str().ok_or_else(|| format!("the parameter {key} is no text"))?,
        );
    }
    let schema = builder.build();
    let Some(default) = json.get("default").filter(|default| !default.is_null()) else {
        return Ok(schema);
    };
    let default = read::value(&schema, default.clone(), AS_IT_IS)?;
    Ok(SchemaBuilder::from_schema(&schema).default_value(default).build())
}
