//! ExtractField: the key or value becomes one of its own fields. A null stays null; a missing field is an error, as in Kafka.

use std::sync::LazyLock;

use aquifer_connect_api::config::{Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance};
use aquifer_connect_api::{
    ByteString, ConnectError, Record, SchemaCache, SchemaRef, Transform, Value,
};

use crate::part::{Part, parse, requires};

const PURPOSE: &str = "field extraction";

pub(crate) fn config_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
        ConfigDef::new(vec![
            ConfigKey::required(
                "field",
                ConfigType::String,
                Importance::Medium,
                "Name of the field to extract.",
            ),
            ConfigKey::optional(
                "field.syntax.version",
                ConfigType::String,
                Some("V1"),
                Importance::High,
                "V1 takes the name as it is; paths (V2) are not served.",
            )
            .check(Check::OneOf(&["V1"])),
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
    let with_default = config.bool("replace.null.with.default");
    Ok(Box::new(ExtractField {
        part,
        field: config.string("field").into(),
        with_default,
        plans: SchemaCache::default(),
    }))
}

struct ExtractField {
    part: Part,
    field: ByteString,
    with_default: bool,
    /// Position and schema of the field.
    plans: SchemaCache<(usize, SchemaRef)>,
}

impl ExtractField {
    fn unknown(&self) -> ConnectError {
        ConnectError::record(format!("Unknown field: {}", self.field))
    }
}

impl Transform for ExtractField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConnectError> {
        let (schema, value) = self.part.take(&mut record);
        if value.is_null() {
            return Ok(Some(record));
        }
        let Some(schema) = schema else {
            let Value::Map(entries) = value else { return Err(requires("Map", PURPOSE, &value)) };
            // Kafka's map look-up answers null for a key that is not there.
            let found = entries.into_iter().find(|(key, _)| key.as_str() == Some(&self.field));
            self.part.put(&mut record, None, found.map(|(_, value)| value).unwrap_or_default());
            return Ok(Some(record));
        };
        let plan = match self.plans.get(&schema) {
            Some(plan) => std::sync::Arc::clone(plan),
            None => {
                let (index, field) = schema.field(&self.field).ok_or_else(|| self.unknown())?;
                let plan = std::sync::Arc::new((index, SchemaRef::clone(&field.schema)));
                self.plans.insert(&schema, std::sync::Arc::clone(&plan));
                plan
            }
        };
        let Value::Struct(mut values) = value else {
            return Err(requires("Struct", PURPOSE, &value));
        };
        let mut extracted = values.get_mut(plan.0).map(std::mem::take).unwrap_or_default();
        if extracted.is_null() && self.with_default {
            extracted = plan.1.default.clone().unwrap_or_default();
        }
        self.part.put(&mut record, Some(SchemaRef::clone(&plan.1)), extracted);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{apply, map, record, row};

    fn extract(field: &str, record: Record) -> Result<Record, ConnectError> {
        apply(|config| new(config, Part::Value), &[("field", field)], record)
    }

    #[test]
    fn a_field_takes_the_place_of_its_struct() {
        let extracted = extract("id", row()).unwrap();
        assert_eq!(
            (extracted.value_schema.unwrap().kind.name(), extracted.value),
            ("int64", Value::Int64(1))
        );
        assert_eq!(extract("name", map()).unwrap().value, Value::string("a"));
    }

    #[test]
    fn a_null_stays_and_an_unknown_field_is_named() {
        assert_eq!(extract("id", record("t")).unwrap().value, Value::Null);
        assert_eq!(extract("nope", row()).unwrap_err().to_string(), "Unknown field: nope");
        assert_eq!(extract("nope", map()).unwrap().value, Value::Null);
    }
}
