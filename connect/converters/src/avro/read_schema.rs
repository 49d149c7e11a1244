//! Avro text as a Connect schema, and the plan that reads its values.

use std::collections::HashMap;
use std::sync::Arc;

use aquifer_connect_api::{
    ByteString, Field, Schema, SchemaBuilder, SchemaKind, SchemaRef, Value, logical,
};
use bytes::Bytes;
use serde_json::{Map, Value as Json};

use super::decode::Plan;

/// A schema nested deeper is refused.
const DEPTH_MAX: usize = 128;
/// A schema with more types, each counted as often as it is used, is refused.
const TYPES_MAX: usize = 100_000;
const UNION_NAME: &str = "io.confluent.connect.avro.Union";

type Read = (SchemaRef, Arc<Plan>);

/// The Connect schema of an Avro schema whose references are given, each behind those that it refers to.
pub(super) fn to_connect(text: &str, references: &[(String, String)]) -> Result<Read, String> {
    let mut parser = Parser { named: HashMap::new(), types: 0, deepest: DEPTH_MAX };
    for (_, text) in references {
        parser.text(text)?;
    }
    parser.text(text)
}

/// What is left of a depth.
fn nested(depth: usize, by: usize) -> Result<usize, String> {
    depth.checked_sub(by).ok_or_else(|| format!("it is nested deeper than {DEPTH_MAX}"))
}

struct Parser {
    /// By full name; `None` while the type is being read, so that a recursion is met as such.
    named: HashMap<String, Option<Named>>,
    /// Types so far, each counted as often as it is used: whoever walks the schema meets it that often.
    types: usize,
    /// The least depth that was left since the innermost named type began.
    deepest: usize,
}

#[derive(Clone)]
struct Named {
    read: Read,
    types: usize,
    depth: usize,
}

impl Parser {
    fn text(&mut self, text: &str) -> Result<Read, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        self.schema(&json, "", DEPTH_MAX)
    }

    fn schema(&mut self, json: &Json, namespace: &str, depth: usize) -> Result<Read, String> {
        let depth = nested(depth, 1)?;
        self.deepest = self.deepest.min(depth);
        self.count(1)?;
        match json {
            Json::String(name) => match primitive(name) {
                Some((kind, plan)) => Ok((SchemaBuilder::of(kind).build(), Arc::new(plan))),
                None => self.reference(name, namespace, depth),
            },
            Json::Array(branches) => self.union(branches, namespace, depth),
            Json::Object(properties) => self.object(properties, namespace, depth),
            Json::Null | Json::Bool(_) | Json::Number(_) => Err(format!("{json} is no schema")),
        }
    }

    fn count(&mut self, types: usize) -> Result<(), String> {
        self.types += types;
        if self.types > TYPES_MAX {
            return Err(format!("it has more than {TYPES_MAX} types, counted as often as used"));
        }
        Ok(())
    }

    /// Remembers a named type that began with so many types behind it and so much depth left.
    fn define(&mut self, name: String, read: &Read, types: usize, depth: usize) {
        let named = Named {
            read: read.clone(),
            types: self.types - types,
            depth: depth.saturating_sub(self.deepest),
        };
        self.named.insert(name, Some(named));
    }

    fn reference(&mut self, name: &str, namespace: &str, depth: usize) -> Result<Read, String> {
        let qualified = if name.contains('.') || namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}.{name}")
        };
        let found = self.named.get(&qualified).or_else(|| self.named.get(name)).cloned();
        match found {
            Some(Some(named)) => {
                self.deepest = self.deepest.min(nested(depth, named.depth)?);
                self.count(named.types)?;
                Ok(named.read)
            }
            Some(None) => {
                Err(format!("{qualified} contains itself, which Connect's data model can't hold"))
            }
            None => Err(format!("{qualified} is not defined")),
        }
    }

    fn object(
        &mut self,
        properties: &Map<String, Json>,
        namespace: &str,
        depth: usize,
    ) -> Result<Read, String> {
        let kind = properties.get("type").ok_or("a schema has no type")?;
        let Json::String(kind) = kind else { return self.schema(kind, namespace, depth) };
        let (builder, plan) = match kind.as_str() {
            "record" | "error" => return self.record(properties, namespace, depth),
            "enum" => return self.enumeration(properties, namespace),
            "fixed" => {
                let size = properties
                    .get("size")
                    .and_then(Json::as_u64)
                    .and_then(|size| usize::try_from(size).ok())
                    .ok_or("a fixed has no size")?;
                let full_name = full_name(properties, namespace)?.0;
                let read = finish(SchemaBuilder::bytes(), Plan::Fixed(size), properties);
                self.define(full_name, &read, self.types, self.deepest);
                return Ok(read);
            }
            "array" => {
                let items = properties.get("items").ok_or("an array has no items")?;
                let entries = is_map_entry(items, namespace);
                let (schema, plan) = self.schema(items, namespace, depth)?;
                match (entries, schema.fields(), &*plan) {
                    (true, [key, value], Plan::Record(fields)) => {
                        let [keys, values] = fields.as_slice() else {
                            return Err("a map entry has two fields".to_owned());
                        };
                        let plan = Plan::Entries(Arc::clone(keys), Arc::clone(values));
                        (
                            SchemaBuilder::map(
                                SchemaRef::clone(&key.schema),
                                SchemaRef::clone(&value.schema),
                            ),
                            plan,
                        )
                    }
                    _ => (SchemaBuilder::array(schema), Plan::Array(plan)),
                }
            }
            "map" => {
                let (schema, plan) = self.schema(
                    properties.get("values").ok_or("a map has no values")?,
                    namespace,
                    depth,
                )?;
                (SchemaBuilder::map(SchemaBuilder::string().build(), schema), Plan::Map(plan))
            }
            "int" => match properties.get("connect.type").and_then(Json::as_str) {
                Some("int8") => (SchemaBuilder::int8(), Plan::Int8),
                Some("int16") => (SchemaBuilder::int16(), Plan::Int16),
                _ => (SchemaBuilder::int32(), Plan::Int32),
            },
            name => match primitive(name) {
                Some((kind, plan)) => (SchemaBuilder::of(kind), plan),
                None => return self.reference(name, namespace, depth),
            },
        };
        Ok(finish(builder, plan, properties))
    }

    fn record(
        &mut self,
        properties: &Map<String, Json>,
        namespace: &str,
        depth: usize,
    ) -> Result<Read, String> {
        let (full_name, namespace) = full_name(properties, namespace)?;
        self.named.insert(full_name.clone(), None);
        let types = self.types;
        let outer_deepest = std::mem::replace(&mut self.deepest, depth);
        let fields = properties
            .get("fields")
            .and_then(Json::as_array)
            .ok_or_else(|| format!("the record {full_name} has no fields"))?;
        let mut builder = SchemaBuilder::structure().name(full_name.as_str());
        let mut plans = Vec::with_capacity(fields.len());
        for field in fields {
            let name = field
                .get("name")
                .and_then(Json::as_str)
                .ok_or_else(|| format!("a field of {full_name} has no name"))?;
            let kind = field
                .get("type")
                .ok_or_else(|| format!("the field {name} of {full_name} has no type"))?;
            let (mut schema, plan) = self.schema(kind, &namespace, depth)?;
            if let Some(default) =
                field.get("default").and_then(|json| default_value(&schema, json))
            {
                schema = SchemaBuilder::from_schema(&schema).default_value(default).build();
            }
            builder = builder.field(name, schema);
            plans.push(plan);
        }
        let read = finish(builder, Plan::Record(plans), properties);
        self.define(full_name, &read, types, depth);
        self.deepest = self.deepest.min(outer_deepest);
        Ok(read)
    }

    fn enumeration(
        &mut self,
        properties: &Map<String, Json>,
        namespace: &str,
    ) -> Result<Read, String> {
        let (full_name, _) = full_name(properties, namespace)?;
        let symbols = properties
            .get("symbols")
            .and_then(Json::as_array)
            .ok_or_else(|| format!("the enum {full_name} has no symbols"))?;
        let symbols: Vec<ByteString> =
            symbols.iter().filter_map(Json::as_str).map(ByteString::from).collect();
        let mut builder =
            SchemaBuilder::string().parameter("io.confluent.connect.avro.Enum", full_name.as_str());
        for symbol in &symbols {
            builder = builder
                .parameter(format!("io.confluent.connect.avro.Enum.{symbol}"), symbol.clone());
        }
        let read = finish(builder, Plan::Enum(symbols), properties);
        self.define(full_name, &read, self.types, self.deepest);
        Ok(read)
    }

    fn union(&mut self, branches: &[Json], namespace: &str, depth: usize) -> Result<Read, String> {
        let null = branches.iter().position(|branch| branch == "null");
        if let ([first, second], Some(null)) = (branches, null) {
            let (schema, other) =
                self.schema(if null == 0 { second } else { first }, namespace, depth)?;
            let schema = SchemaBuilder::from_schema(&schema).optional().build();
            return Ok((schema, Arc::new(Plan::Optional { null, other })));
        }
        let mut builder = SchemaBuilder::structure().name(UNION_NAME);
        let mut plans = Vec::with_capacity(branches.len());
        let mut fields = 0;
        for (index, branch) in branches.iter().enumerate() {
            if Some(index) == null {
                plans.push(None);
                continue;
            }
            let (schema, plan) = self.schema(branch, namespace, depth)?;
            builder = builder
                .field(branch_name(branch), SchemaBuilder::from_schema(&schema).optional().build());
            plans.push(Some((fields, plan)));
            fields += 1;
        }
        let builder = if null.is_some() { builder.optional() } else { builder };
        Ok((builder.build(), Arc::new(Plan::Union { branches: plans, fields })))
    }
}

/// Whether the items of an array are the entries of a map: by Confluent's mark, or by its name for them.
fn is_map_entry(items: &Json, namespace: &str) -> bool {
    let Json::Object(properties) = items else { return false };
    properties.get("type").and_then(Json::as_str) == Some("record")
        && (properties.get("connect.internal.type").and_then(Json::as_str) == Some("MapEntry")
            || full_name(properties, namespace)
                .is_ok_and(|(name, _)| name == "io.confluent.connect.avro.MapEntry"))
}

/// The field that a branch of a union of several gets: the type's name, without the namespace.
fn branch_name(branch: &Json) -> ByteString {
    let name = match branch {
        Json::String(name) => name.as_str(),
        other => match other.get("name").or_else(|| other.get("type")) {
            Some(Json::String(name)) => name.as_str(),
            _ => "value",
        },
    };
    ByteString::from(name.rsplit('.').next().unwrap_or(name))
}

fn primitive(name: &str) -> Option<(SchemaKind, Plan)> {
    Some(match name {
        "boolean" => (SchemaKind::Boolean, Plan::Boolean),
        "int" => (SchemaKind::Int32, Plan::Int32),
        "long" => (SchemaKind::Int64, Plan::Long),
        "float" => (SchemaKind::Float32, Plan::Float),
        "double" => (SchemaKind::Float64, Plan::Double),
        "bytes" => (SchemaKind::Bytes, Plan::Bytes),
        "string" => (SchemaKind::String, Plan::String),
        "null" => (SchemaKind::String, Plan::Null),
        _ => return None,
    })
}

/// The full name of a named type, and the namespace that holds inside it.
fn full_name(properties: &Map<String, Json>, namespace: &str) -> Result<(String, String), String> {
    let name = properties.get("name").and_then(Json::as_str).ok_or("a named type has no name")?;
    if let Some((namespace, _)) = name.rsplit_once('.') {
        return Ok((name.to_owned(), namespace.to_owned()));
    }
    let namespace = properties.get("namespace").and_then(Json::as_str).unwrap_or(namespace);
    let full = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") };
    Ok((full, namespace.to_owned()))
}

/// Puts Connect's properties and Avro's logical types on a schema.
fn finish(mut builder: SchemaBuilder, plan: Plan, properties: &Map<String, Json>) -> Read {
    let text = |key: &str| properties.get(key).and_then(Json::as_str);
    let mut parameters = Vec::new();
    if let Some(Json::Object(given)) = properties.get("connect.parameters") {
        parameters.extend(
            given.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))),
        );
    }
    match (text("logicalType"), &plan) {
        (Some("decimal"), Plan::Bytes | Plan::Fixed(_)) => {
            let number =
                |key: &str, default| properties.get(key).and_then(Json::as_i64).unwrap_or(default);
            builder = builder.name(logical::DECIMAL).version(1);
            if !parameters.iter().any(|(key, _)| key == "scale") {
                parameters.push(("scale".to_owned(), number("scale", 0).to_string()));
            }
            let precision = number("precision", 64);
            if precision != 64
                && !parameters.iter().any(|(key, _)| key == "connect.decimal.precision")
            {
                parameters.push(("connect.decimal.precision".to_owned(), precision.to_string()));
            }
        }
        (Some("date"), Plan::Int32) => builder = builder.name(logical::DATE).version(1),
        (Some("time-millis"), Plan::Int32) => builder = builder.name(logical::TIME).version(1),
        (Some("timestamp-millis"), Plan::Long) => {
            builder = builder.name(logical::TIMESTAMP).version(1)
        }
        _ => {}
    }
    for (key, value) in parameters {
        builder = builder.parameter(key, value);
    }
    if let Some(name) = text("connect.name") {
        builder = builder.name(name);
    }
    if let Some(version) = properties
        .get("connect.version")
        .and_then(Json::as_i64)
        .and_then(|version| i32::try_from(version).ok())
    {
        builder = builder.version(version);
    }
    if let Some(doc) = text("connect.doc").or_else(|| text("doc")) {
        builder = builder.doc(doc);
    }
    let mut schema = builder.build();
    if let Some(default) =
        properties.get("connect.default").and_then(|json| default_value(&schema, json))
    {
        schema = SchemaBuilder::from_schema(&schema).default_value(default).build();
    }
    (schema, Arc::new(plan))
}

/// A default in the data model; `None` where it is null or does not fit, which Avro's lenient parsers let pass.
fn default_value(schema: &Schema, json: &Json) -> Option<Value> {
    let integer = || json.as_i64();
    Some(match (&schema.kind, json) {
        (SchemaKind::Int8, _) => Value::Int8(i8::try_from(integer()?).ok()?),
        (SchemaKind::Int16, _) => Value::Int16(i16::try_from(integer()?).ok()?),
        (SchemaKind::Int32, _) => Value::Int32(i32::try_from(integer()?).ok()?),
        (SchemaKind::Int64, _) => Value::Int64(integer()?),
        #[allow(clippy::cast_possible_truncation, reason = "the default of a float is a float")]
        (SchemaKind::Float32, _) => Value::Float32(json.as_f64()? as f32),
        (SchemaKind::Float64, _) => Value::Float64(json.as_f64()?),
        (SchemaKind::Boolean, _) => Value::Bool(json.as_bool()?),
        (SchemaKind::String, Json::String(text)) => Value::string(text.as_str()),
        (SchemaKind::Bytes, Json::String(text)) => {
            let bytes = text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).ok())
                .collect::<Option<Vec<u8>>>()?;
            Value::Bytes(Bytes::from(bytes))
        }
        (SchemaKind::Array(items), Json::Array(values)) => Value::Array(
            values.iter().map(|json| default_value(items, json)).collect::<Option<_>>()?,
        ),
        (SchemaKind::Map(_, values), Json::Object(entries)) => {
            let entry = |(key, json): (&String, &Json)| {
                Some((Value::string(key.as_str()), default_value(values, json)?))
            };
            Value::Map(entries.iter().map(entry).collect::<Option<_>>()?)
        }
        (SchemaKind::Struct(fields), Json::Object(entries)) => {
            let value = |field: &Field| match entries.get(&*field.name) {
                Some(json) if !json.is_null() => default_value(&field.schema, json),
                _ => field.schema.default.clone().or(field.schema.optional.then_some(Value::Null)),
            };
            Value::Struct(fields.iter().map(value).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
