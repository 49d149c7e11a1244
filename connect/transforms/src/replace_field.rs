//! ReplaceField: keeps, leaves out and renames fields of the key or value.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use aquifer_connect_api::config::{Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance};
use aquifer_connect_api::{
    ByteString, ConnectError, Field, Record, Schema, SchemaCache, SchemaKind, SchemaRef, Transform,
    Value,
};

use crate::part::{Part, parse, requires};

const PURPOSE: &str = "field replacement";

pub(crate) fn config_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
        ConfigDef::new(vec![
            ConfigKey::optional(
                "exclude",
                ConfigType::List,
                Some(""),
                Importance::Medium,
                "Fields to leave out; stronger than include.",
            ),
            ConfigKey::optional(
                "include",
                ConfigType::List,
                Some(""),
                Importance::Medium,
                "Fields to keep; all when empty.",
            ),
            ConfigKey::optional(
                "renames",
                ConfigType::List,
                Some(""),
                Importance::Medium,
                "Renames as old:new.",
            )
            .check(Check::Custom(|text| renames(text).map(|_| ()))),
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

fn renames(text: &str) -> Result<HashMap<ByteString, ByteString>, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let split = |pair: &str| match pair.split_once(':') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.into(), new.into())),
        _ => Err(format!("Invalid rename mapping: {pair}; expected old:new")),
    };
    pairs.map(split).collect()
}

pub(crate) fn new(config: &ConfigMap, part: Part) -> Result<Box<dyn Transform>, ConnectError> {
    let config = parse(config_def(), config)?;
    let set = |key: &str| config.list(key).into_iter().map(ByteString::from).collect();
    let names = Names {
        include: set("include"),
        exclude: set("exclude"),
        renames: renames(config.string("renames")).map_err(ConnectError::config)?,
    };
    Ok(Box::new(ReplaceField {
        part,
        names,
        with_default: config.bool("replace.null.with.default"),
        plans: SchemaCache::default(),
    }))
}

struct Names {
    include: HashSet<ByteString>,
    exclude: HashSet<ByteString>,
    renames: HashMap<ByteString, ByteString>,
}

impl Names {
    /// The name that a field goes on under, if it goes on.
    fn kept<'a>(&'a self, name: &'a ByteString) -> Option<&'a ByteString> {
        let keep = !self.exclude.contains(name)
            && (self.include.is_empty() || self.include.contains(name));
        keep.then(|| self.renames.get(name).unwrap_or(name))
    }
}

struct Plan {
    schema: SchemaRef,
    /// Position in the old struct, and the default that replaces null.
    sources: Vec<(usize, Option<Value>)>,
}

struct ReplaceField {
    part: Part,
    names: Names,
    with_default: bool,
    plans: SchemaCache<Plan>,
}

fn plan(names: &Names, with_default: bool, schema: &Schema) -> Plan {
    let mut fields = Vec::new();
    let mut sources = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        if let Some(name) = names.kept(&field.name) {
            fields.push(Field { name: name.clone(), schema: SchemaRef::clone(&field.schema) });
            sources.push((index, field.schema.default.clone().filter(|_| with_default)));
        }
    }
    Plan {
        schema: SchemaRef::new(Schema { kind: SchemaKind::Struct(fields), ..schema.clone() }),
        sources,
    }
}

impl Transform for ReplaceField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConnectError> {
        if self.part.is_null(&record) {
            return Ok(Some(record));
        }
        let (schema, value) = self.part.take(&mut record);
        let Some(schema) = schema else {
            let Value::Map(entries) = value else { return Err(requires("Map", PURPOSE, &value)) };
            let rename = |(key, value): (Value, Value)| {
                let Value::String(name) = &key else { return Some((key, value)) };
                self.names.kept(name).map(|name| (Value::String(name.clone()), value))
            };
            let kept = entries.into_iter().filter_map(rename).collect();
            self.part.put(&mut record, None, Value::Map(kept));
            return Ok(Some(record));
        };
        let Value::Struct(mut values) = value else {
            return Err(requires("Struct", PURPOSE, &value));
        };
        let plan = self.plans.get_or_make(&schema, |schema| {
            Ok::<_, ConnectError>(plan(&self.names, self.with_default, schema))
        })?;
        let source = |(index, default): &(usize, Option<Value>)| {
            let value = values.get_mut(*index).map(std::mem::take).unwrap_or_default();
            if value.is_null() { default.clone().unwrap_or_default() } else { value }
        };
        let replaced = plan.sources.iter().map(source).collect();
        self.part.put(&mut record, Some(SchemaRef::clone(&plan.schema)), Value::Struct(replaced));
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{apply, field_names, map, record, row};

    #[track_caller]
    fn check(config: &[(&str, &str)], expected: &[&str], values: &[Value]) {
        let replaced = apply(|config| new(config, Part::Value), config, row()).unwrap();
        assert_eq!(field_names(replaced.value_schema.as_ref().unwrap()), expected);
        assert_eq!(replaced.value, Value::Struct(values.to_vec()));
        let schemaless = apply(|config| new(config, Part::Value), config, map()).unwrap();
        let entries = expected.iter().map(|name| Value::string(*name)).zip(values.iter().cloned());
        assert_eq!(schemaless.value, Value::Map(entries.collect()));
    }

    #[test]
    fn fields_are_kept_left_out_and_renamed() {
        check(&[("include", "id")], &["id"], &[Value::Int64(1)]);
        check(&[("exclude", "id")], &["name"], &[Value::string("a")]);
        check(&[("renames", "id:key")], &["key", "name"], &[Value::Int64(1), Value::string("a")]);
    }

    #[test]
    fn a_tombstone_passes_and_a_wrong_rename_is_refused() {
        assert_eq!(
            apply(|config| new(config, Part::Value), &[("include", "id")], record("t")).unwrap(),
            record("t")
        );
        let error =
            apply(|config| new(config, Part::Value), &[("renames", "id")], row()).unwrap_err();
        assert!(
            error.to_string().ends_with("Invalid rename mapping: id; expected old:new"),
            "{error}"
        );
    }
}
