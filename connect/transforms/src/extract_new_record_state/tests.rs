//! Change events to rows, deletes and tombstones in every mode.

use super::*;
use crate::testing::{config, field_names, record, row, row_schema};
use aquifer_connect_api::SchemaBuilder;

fn envelope() -> SchemaRef {
    let row = SchemaBuilder::from_schema(&row_schema()).optional().build();
    let source = SchemaBuilder::structure()
        .field("lsn", SchemaBuilder::int64().build())
        .field("table", SchemaBuilder::string().build())
        .build();
    SchemaBuilder::structure()
        .name("shop.public.rows.Envelope")
        .field("before", SchemaRef::clone(&row))
        .field("after", row)
        .field("source", source)
        .field("op", SchemaBuilder::string().build())
        .build()
}

fn event(op: &str, before: Value, after: Value) -> Record {
    let source = Value::Struct(vec![Value::Int64(42), Value::string("rows")]);
    Record {
        value_schema: Some(envelope()),
        value: Value::Struct(vec![before, after, source, Value::string(op)]),
        ..record("shop.public.rows")
    }
}

fn update() -> Record {
    event("u", Value::Null, row().value)
}

fn delete() -> Record {
    event("d", row().value, Value::Null)
}

fn extract(entries: &[(&str, &str)], record: Record) -> Option<Record> {
    new(&config(entries)).unwrap().apply(record).unwrap()
}

#[track_caller]
fn check_deletes(entries: &[(&str, &str)], event: &str, tombstone: bool) {
    let shown = match extract(entries, delete()) {
        None => "gone".to_owned(),
        Some(record) if record.value.is_null() => "tombstone".to_owned(),
        Some(record) => format!("{:?}", record.value.as_struct().unwrap().last().unwrap().as_str()),
    };
    assert_eq!(
        (shown.as_str(), extract(entries, record("t")).is_some()),
        (event, tombstone),
        "{entries:?}"
    );
}

#[test]
fn an_update_becomes_the_row_after_it() {
    let extracted = extract(&[], update()).unwrap();
    assert_eq!(extracted.value, row().value);
    assert_eq!(field_names(&extracted.value_schema.unwrap()), ["id", "name"]);
}

#[test]
fn deletes_and_tombstones_are_handled_as_the_mode_says() {
    let mode = "delete.tombstone.handling.mode";
    check_deletes(&[], "gone", true);
    check_deletes(&[(mode, "tombstone")], "gone", true);
    check_deletes(&[(mode, "drop")], "gone", false);
    check_deletes(&[(mode, "rewrite")], "Some(\"true\")", false);
    check_deletes(&[(mode, "rewrite-with-tombstone")], "Some(\"true\")", true);
    check_deletes(&[(mode, "delete-to-tombstone")], "tombstone", false);
}

#[test]
fn the_two_older_keys_mean_the_same_modes() {
    check_deletes(&[("drop.tombstones", "false")], "gone", true);
    check_deletes(&[("drop.tombstones", "true")], "gone", false);
    check_deletes(&[("delete.handling.mode", "rewrite")], "Some(\"true\")", false);
    check_deletes(
        &[("delete.handling.mode", "rewrite"), ("drop.tombstones", "false")],
        "Some(\"true\")",
        true,
    );
    check_deletes(
        &[("delete.handling.mode", "none"), ("drop.tombstones", "true")],
        "tombstone",
        false,
    );
}

#[test]
fn fields_and_headers_of_the_event_go_along() {
    let extracted =
        extract(&[("add.fields", "op,source.lsn,table:tab"), ("add.headers", "lsn")], update())
            .unwrap();
    assert_eq!(
        field_names(extracted.value_schema.as_ref().unwrap()),
        ["id", "name", "__op", "__source_lsn", "__tab"]
    );
    assert_eq!(
        extracted.value.as_struct().unwrap()[2..],
        [Value::string("u"), Value::Int64(42), Value::string("rows")]
    );
    assert_eq!(extracted.headers.last("__lsn").unwrap().value, Value::Int64(42));
}

#[test]
fn a_rewritten_update_says_that_it_is_no_delete() {
    let extracted = extract(&[("delete.tombstone.handling.mode", "rewrite")], update()).unwrap();
    assert_eq!(extracted.value.as_struct().unwrap().last(), Some(&Value::string("false")));
}

#[test]
fn the_row_can_name_its_topic() {
    assert_eq!(extract(&[("route.by.field", "name")], update()).unwrap().topic, "a");
}

#[test]
fn what_is_no_change_event_passes_as_it_is() {
    assert_eq!(extract(&[], row()), Some(row()));
    let plain = Record { value: Value::string("x"), ..record("t") };
    assert_eq!(extract(&[], plain.clone()), Some(plain));
}

#[test]
fn a_schemaless_event_is_extracted_too() {
    let entry = |key: &str, value| (Value::string(key), value);
    let map = |entries| Value::Map(entries);
    let row = || map(vec![entry("id", Value::Int64(1))]);
    let event = |op: &str| Record {
        value: map(vec![
            entry("before", row()),
            entry("after", row()),
            entry("source", map(vec![entry("lsn", Value::Int64(9))])),
            entry("op", Value::string(op)),
        ]),
        ..record("t")
    };
    let extracted = extract(&[("add.fields", "lsn")], event("c")).unwrap();
    assert_eq!(
        extracted.value,
        map(vec![entry("id", Value::Int64(1)), entry("__lsn", Value::Int64(9))])
    );
    assert_eq!(extract(&[], event("d")), None);
}

#[test]
fn an_added_field_that_is_not_there_is_named() {
    let error = new(&config(&[("add.fields", "nope")])).unwrap().apply(update()).unwrap_err();
    assert!(error.to_string().contains("__nope"), "{error}");
}
