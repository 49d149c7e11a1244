//! Which half of a record a transform works on, and the errors that name it.

use aquifer_connect_api::config::{ConfigDef, ConfigMap, ParsedConfig};
use aquifer_connect_api::{ConnectError, Record, SchemaRef, Value};

/// The half of a record that a transform reads and replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

impl Part {
    /// Schema and value of this half, taken out of the record.
    pub(crate) fn take(self, record: &mut Record) -> (Option<SchemaRef>, Value) {
        match self {
            Part::Key => (record.key_schema.take(), std::mem::take(&mut record.key)),
            Part::Value => (record.value_schema.take(), std::mem::take(&mut record.value)),
        }
    }

    /// Puts schema and value back.
    pub(crate) fn put(self, record: &mut Record, schema: Option<SchemaRef>, value: Value) {
        match self {
            Part::Key => (record.key_schema, record.key) = (schema, value),
            Part::Value => (record.value_schema, record.value) = (schema, value),
        }
    }

    /// Whether this half is null.
    pub(crate) fn is_null(self, record: &Record) -> bool {
        match self {
            Part::Key => record.key.is_null(),
            Part::Value => record.value.is_null(),
        }
    }
}

/// Kafka's words for a record that a transform can't work on.
pub(crate) fn requires(what: &str, purpose: &str, found: &Value) -> ConnectError {
    ConnectError::record(format!(
        "Only {what} objects supported for [{purpose}], found: {}",
        found.type_name()
    ))
}

/// The typed config, or one error that lists all that is wrong.
pub(crate) fn parse(
    def: &'static ConfigDef,
    config: &ConfigMap,
) -> Result<ParsedConfig, ConnectError> {
    def.parse(config).map_err(|errors| {
        let texts: Vec<String> = errors.into_iter().map(|(_, text)| text).collect();
        ConnectError::config(texts.join("\n"))
    })
}
