//! ValueToKey: the key becomes a struct, or without a schema a map, of fields of the value.

use std::sync::LazyLock;

use aquifer_connect_api::config::{Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance};
use aquifer_connect_api::{
    ByteString, ConnectError, Record, SchemaBuilder, SchemaCache, SchemaRef, Transform, Value,
};

use crate::part::{parse, requires};

const PURPOSE: &str = "copying fields from value to key";

pub(crate) fn config_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
        ConfigDef::new(vec![
            ConfigKey::required(
                "fields",
                ConfigType::List,
                Importance::High,
                "Names of the value's fields that make the key, in order.",
            )
            .check(Check::NonEmpty),
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

pub(crate) fn new(config: &ConfigMap) -> Result<Box<dyn Transform>, ConnectError> {
    let config = parse(config_def(), config)?;
    let fields = config.list("fields").into_iter().map(ByteString::from).collect();
    Ok(Box::new(ValueToKey {
        fields,
        with_default: config.bool("replace.null.with.default"),
        plans: SchemaCache::default(),
    }))
}

struct Plan {
    key_schema: SchemaRef,
    /// For each field of the key: its position in the value, and the default that replaces null.
    sources: Vec<(usize, Option<Value>)>,
}

struct ValueToKey {
    fields: Vec<ByteString>,
    with_default: bool,
    plans: SchemaCache<Plan>,
}

fn plan(
    fields: &[ByteString],
    with_default: bool,
    schema: &SchemaRef,
) -> Result<Plan, ConnectError> {
    let mut builder = SchemaBuilder::structure();
    let mut sources = Vec::with_capacity(fields.len());
    for name in fields {
        let (index, field) = schema
            .field(name)
            .ok_or_else(|| ConnectError::record(format!("Field does not exist: {name}")))?;
        builder = builder.field(name.clone(), SchemaRef::clone(&field.schema));
        sources.push((index, field.schema.default.clone().filter(|_| with_default)));
    }
    Ok(Plan { key_schema: builder.build(), sources })
}

impl Transform for ValueToKey {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConnectError> {
        let Some(schema) = &record.value_schema else {
            let Value::Map(_) = &record.value else {
                return Err(requires("Map", PURPOSE, &record.value));
            };
            let entry = |name: &ByteString| {
                (Value::String(name.clone()), record.value.get(name).cloned().unwrap_or_default())
            };
            record.key = Value::Map(self.fields.iter().map(entry).collect());
            record.key_schema = None;
            return Ok(Some(record));
        };
        let plan = self
            .plans
            .get_or_make(schema, |schema| plan(&self.fields, self.with_default, schema))?;
        let Value::Struct(values) = &record.value else {
            return Err(requires("Struct", PURPOSE, &record.value));
        };
        let source = |(index, default): &(usize, Option<Value>)| match values.get(*index) {
            Some(Value::Null) | None => default.clone().unwrap_or_default(),
            Some(value) => value.clone(),
        };
        record.key = Value::Struct(plan.sources.iter().map(source).collect());
        record.key_schema = Some(SchemaRef::clone(&plan.key_schema));
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{apply, field_names, map, record, row};

    #[test]
    fn the_key_is_made_of_fields_of_the_value() {
        let keyed = apply(new, &[("fields", "name, id")], row()).unwrap();
        assert_eq!(field_names(&keyed.key_schema.unwrap()), ["name", "id"]);
        assert_eq!(keyed.key, Value::Struct(vec![Value::string("a"), Value::Int64(1)]));
        assert_eq!(keyed.value, row().value);
        assert_eq!(
            apply(new, &[("fields", "id")], map()).unwrap().key,
            Value::Map(vec![(Value::string("id"), Value::Int64(1))])
        );
    }

    #[test]
    fn a_missing_field_or_value_is_named() {
        assert_eq!(
            apply(new, &[("fields", "nope")], row()).unwrap_err().to_string(),
            "Field does not exist: nope"
        );
        let error = apply(new, &[("fields", "id")], record("t")).unwrap_err().to_string();
        assert_eq!(
            error,
            "Only Map objects supported for [copying fields from value to key], found: null"
        );
    }
}
