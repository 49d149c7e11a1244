//! Records for the tests of this crate.

use aquifer_connect_api::config::ConfigMap;
use aquifer_connect_api::{
    ConnectError, Headers, Record, SchemaBuilder, SchemaRef, Transform, Value,
};

/// A record of that topic with neither key nor value.
pub(crate) fn record(topic: &str) -> Record {
    Record {
        topic: topic.into(),
        partition: None,
        key_schema: None,
        key: Value::Null,
        value_schema: None,
        value: Value::Null,
        offset: None,
        timestamp_ms: Some(7),
        headers: Headers::default(),
    }
}

/// `{id: int64, name: optional string}`.
pub(crate) fn row_schema() -> SchemaRef {
    SchemaBuilder::structure()
        .name("Row")
        .field("id", SchemaBuilder::int64().build())
        .field("name", SchemaBuilder::string().optional().build())
        .build()
}

/// A record whose value is `{id: 1, name: "a"}`.
pub(crate) fn row() -> Record {
    Record {
        value_schema: Some(row_schema()),
        value: Value::Struct(vec![Value::Int64(1), Value::string("a")]),
        ..record("rows")
    }
}

/// A record whose value is the schemaless `{"id": 1, "name": "a"}`.
pub(crate) fn map() -> Record {
    Record {
        value: Value::Map(vec![
            (Value::string("id"), Value::Int64(1)),
            (Value::string("name"), Value::string("a")),
        ]),
        ..record("rows")
    }
}

pub(crate) fn config(entries: &[(&str, &str)]) -> ConfigMap {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Makes the transform and applies it to one record that it must keep.
pub(crate) fn apply(
    new: impl Fn(&ConfigMap) -> Result<Box<dyn Transform>, ConnectError>,
    entries: &[(&str, &str)],
    record: Record,
) -> Result<Record, ConnectError> {
    let mut transform = new(&config(entries))?;
    let once = transform.apply(record.clone())?.expect("the transform keeps the record");
    // What was remembered for the schema must give the same again.
    assert_eq!(transform.apply(record)?.as_ref(), Some(&once));
    Ok(once)
}

/// Names of the fields of a struct schema.
pub(crate) fn field_names(schema: &SchemaRef) -> Vec<&str> {
    schema.fields().iter().map(|field| &*field.name).collect()
}
