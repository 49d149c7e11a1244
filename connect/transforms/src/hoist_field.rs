//! HoistField: wraps the key or value in a struct, or without a schema in a map, of one field.

use std::sync::LazyLock;

use aquifer_connect_api::config::{ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance};
use aquifer_connect_api::{
    ByteString, ConnectError, Record, SchemaBuilder, SchemaCache, SchemaRef, Transform, Value,
};

use crate::part::{Part, parse};

pub(crate) fn config_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
        ConfigDef::new(vec![ConfigKey::required(
            "field",
            ConfigType::String,
            Importance::Medium,
            "Name of the single field of the resulting struct or map.",
        )])
    });
    &DEF
}

pub(crate) fn new(config: &ConfigMap, part: Part) -> Result<Box<dyn Transform>, ConnectError> {
    let field = parse(config_def(), config)?.string("field").into();
    Ok(Box::new(HoistField { part, field, schemas: SchemaCache::default() }))
}

struct HoistField {
    part: Part,
    field: ByteString,
    schemas: SchemaCache<SchemaRef>,
}

impl Transform for HoistField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConnectError> {
        let (schema, value) = self.part.take(&mut record);
        let Some(schema) = schema else {
            let map = Value::Map(vec![(Value::String(self.field.clone()), value)]);
            self.part.put(&mut record, None, map);
            return Ok(Some(record));
        };
        let field = &self.field;
        let hoisted = self.schemas.get_or_make(&schema, |schema| {
            Ok::<_, ConnectError>(
                SchemaBuilder::structure().field(field.clone(), SchemaRef::clone(schema)).build(),
            )
        })?;
        self.part.put(&mut record, Some(SchemaRef::clone(&hoisted)), Value::Struct(vec![value]));
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{apply, field_names, map, row};

    #[test]
    fn a_value_becomes_the_only_field() {
        let hoist = |record| {
            apply(|config| new(config, Part::Value), &[("field", "line")], record).unwrap()
        };
        let hoisted = hoist(row());
        assert_eq!(field_names(&hoisted.value_schema.unwrap()), ["line"]);
        assert_eq!(hoisted.value, Value::Struct(vec![row().value]));
        assert_eq!(hoist(map()).value, Value::Map(vec![(Value::string("line"), map().value)]));
    }
}
