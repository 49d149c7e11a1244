//! InsertField: adds the topic, partition, offset, timestamp or a fixed text to the key or value.
//!
//! A field name may end in `?` (optional, the default) or `!` (required), as in Kafka.

use std::sync::LazyLock;

use aquifer_connect_api::config::{ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance};
use aquifer_connect_api::{
    ByteString, ConnectError, Field, Record, Schema, SchemaBuilder, SchemaCache, SchemaKind,
    SchemaRef, Transform, Value, logical,
};

use crate::part::{Part, parse, requires};

const PURPOSE: &str = "field insertion";

pub(crate) fn config_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
        let field = |name, doc| {
            ConfigKey::optional(name, ConfigType::String, None, Importance::Medium, doc)
        };
        ConfigDef::new(vec![
            field("topic.field", "Field for the topic."),
            field("partition.field", "Field for the partition."),
            field("offset.field", "Field for the offset; sinks only."),
            field("timestamp.field", "Field for the record's timestamp."),
            field("static.field", "Field for a fixed text."),
            field("static.value", "The fixed text."),
            ConfigKey::optional(
                "replace.null.with.default",
                ConfigType::Boolean,
                Some("true"),
                Importance::Medium,
                "A null field becomes the default of its schema.",
            ),
        ])
    });
    &DEF
}

pub(crate) fn new(config: &ConfigMap, part: Part) -> Result<Box<dyn Transform>, ConnectError> {
    let config = parse(config_def(), config)?;
    let text = ByteString::from(config.string("static.value"));
    let sources = [
        ("topic.field", Source::Topic),
        ("partition.field", Source::Partition),
        ("offset.field", Source::Offset),
        ("timestamp.field", Source::Timestamp),
        ("static.field", Source::Static(text)),
    ];
    let insertion = |(key, source)| config.get(key).map(|name| Insertion::new(name, source));
    let insertions: Vec<Insertion> = sources.into_iter().filter_map(insertion).collect();
    if insertions.is_empty() {
        return Err(ConnectError::config("No field insertion configured"));
    }
    if config.get("static.field").is_some() && config.get("static.value").is_none() {
        return Err(ConnectError::config(
            "Invalid value null for configuration static.value: No value specified for static field",
        ));
    }
    let with_default = config.bool("replace.null.with.default");
    Ok(Box::new(InsertField { part, insertions, with_default, schemas: SchemaCache::default() }))
}

enum Source {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static(ByteString),
}

struct Insertion {
    field: Field,
    source: Source,
}

impl Insertion {
    fn new(name: &str, source: Source) -> Self {
        let (name, optional) = match name.strip_suffix('!') {
            Some(name) => (name, false),
            None => (name.strip_suffix('?').unwrap_or(name), true),
        };
        let builder = match source {
            Source::Topic | Source::Static(_) => SchemaBuilder::string(),
            Source::Partition => SchemaBuilder::int32(),
            Source::Offset => SchemaBuilder::int64(),
            Source::Timestamp => SchemaBuilder::int64().name(logical::TIMESTAMP).version(1),
        };
        let schema = if optional { builder.optional() } else { builder }.build();
        Insertion { field: Field { name: name.into(), schema }, source }
    }

    fn value(&self, record: &Record) -> Result<Value, ConnectError> {
        let value = match &self.source {
            Source::Topic => Value::String(record.topic.clone()),
            Source::Partition => record.partition.map(Value::Int32).unwrap_or_default(),
            Source::Offset => record.offset.map(Value::Int64).unwrap_or_default(),
            Source::Timestamp => record.timestamp_ms.map(Value::Int64).unwrap_or_default(),
            Source::Static(text) => Value::String(text.clone()),
        };
        if value.is_null() && !self.field.schema.optional {
            return Err(ConnectError::record(format!(
                "the required field {} has no value in this record",
                self.field.name
            )));
        }
        Ok(value)
    }
}

struct InsertField {
    part: Part,
    insertions: Vec<Insertion>,
    with_default: bool,
    schemas: SchemaCache<SchemaRef>,
}

fn with_fields(schema: &Schema, insertions: &[Insertion]) -> SchemaRef {
    let fields = schema
        .fields()
        .iter()
        .cloned()
        .chain(insertions.iter().map(|insertion| insertion.field.clone()));
    SchemaRef::new(Schema { kind: SchemaKind::Struct(fields.collect()), ..schema.clone() })
}

impl Transform for InsertField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConnectError> {
        if self.part.is_null(&record) {
            return Ok(Some(record));
        }
        let inserted = self
            .insertions
            .iter()
            .map(|insertion| insertion.value(&record))
            .collect::<Result<Vec<_>, _>>()?;
        let (schema, value) = self.part.take(&mut record);
        let Some(schema) = schema else {
            let Value::Map(mut entries) = value else {
                return Err(requires("Map", PURPOSE, &value));
            };
            let names =
                self.insertions.iter().map(|insertion| Value::String(insertion.field.name.clone()));
            entries.extend(names.zip(inserted));
            self.part.put(&mut record, None, Value::Map(entries));
            return Ok(Some(record));
        };
        let Value::Struct(mut values) = value else {
            return Err(requires("Struct", PURPOSE, &value));
        };
        if self.with_default {
            for (value, field) in
                values.iter_mut().zip(schema.fields()).filter(|(value, _)| value.is_null())
            {
                *value = field.schema.default.clone().unwrap_or_default();
            }
        }
        values.extend(inserted);
        let schema = self.schemas.get_or_make(&schema, |schema| {
            Ok::<_, ConnectError>(with_fields(schema, &self.insertions))
        })?;
        self.part.put(&mut record, Some(SchemaRef::clone(&schema)), Value::Struct(values));
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{apply, config, field_names, map, record, row};

    fn insert(entries: &[(&str, &str)], record: Record) -> Result<Record, ConnectError> {
        apply(|config| new(config, Part::Value), entries, record)
    }

    #[test]
    fn fields_are_added_behind_those_that_were_there() {
        let inserted = insert(
            &[
                ("static.field", "origin!"),
                ("static.value", "shop"),
                ("topic.field", "t"),
                ("timestamp.field", "ts"),
            ],
            row(),
        )
        .unwrap();
        assert_eq!(
            field_names(inserted.value_schema.as_ref().unwrap()),
            ["id", "name", "t", "ts", "origin"]
        );
        let values = inserted.value.as_struct().unwrap();
        assert_eq!(values[2..], [Value::string("rows"), Value::Int64(7), Value::string("shop")]);
        assert!(!inserted.value_schema.unwrap().field("origin").unwrap().1.schema.optional);
        assert_eq!(
            insert(&[("topic.field", "t")], map()).unwrap().value.get("t"),
            Some(&Value::string("rows"))
        );
    }

    #[test]
    fn a_tombstone_passes_and_a_required_offset_must_be_there() {
        assert_eq!(insert(&[("topic.field", "t")], record("t")).unwrap(), record("t"));
        assert!(
            insert(&[("offset.field", "o!")], row())
                .unwrap_err()
                .to_string()
                .contains("required field o")
        );
    }

    #[test]
    fn a_config_that_inserts_nothing_is_refused() {
        let error = new(&config(&[]), Part::Value).err().unwrap();
        assert_eq!(error.to_string(), "No field insertion configured");
    }
}
