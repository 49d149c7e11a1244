//! Tables to schemas and plans.

#![allow(clippy::wildcard_enum_match_arm)]

use aquifer_connect_api::config::ConfigMap;
use aquifer_connect_api::{Schema, SchemaKind};

use super::*;
use crate::settings::Settings;

fn settings(pairs: &[(&str, &str)]) -> EventSettings {
    let mut config = ConfigMap::new();
    let defaults = [
        ("database.hostname", "h"),
        ("database.user", "u"),
        ("database.dbname", "db"),
        ("topic.prefix", "my-shop"),
    ];
    for (key, value) in defaults.iter().chain(pairs) {
        config.insert((*key).to_owned(), (*value).to_owned());
    }
    Settings::read(&config).unwrap().events
}

fn shape(identity: ReplicaIdentity, columns: &[(&str, bool, u32, i32)]) -> RelationShape {
    let column = |(name, key, type_oid, modifier): &(&str, bool, u32, i32)| ColumnShape {
        name: (*name).to_owned(),
        key: *key,
        type_oid: *type_oid,
        modifier: *modifier,
    };
    RelationShape {
        oid: 1,
        schema: "public".into(),
        table: "t".into(),
        identity,
        columns: columns.iter().map(column).collect(),
    }
}

fn compile(shape: &RelationShape, facts: &TableFacts, pairs: &[(&str, &str)]) -> CompiledRelation {
    let envelopes = Envelopes::new("my-shop", "db", "1-1");
    CompiledRelation::compile(shape, facts, &Types::new(), &settings(pairs), &envelopes)
}

fn names(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| field.name.to_string()).collect()
}

fn after(relation: &CompiledRelation) -> SchemaRef {
    relation.envelope_schema.field("after").unwrap().1.schema.clone()
}

const INT4: u32 = 23;
const TEXT: u32 = 25;

fn two_keys(identity: ReplicaIdentity) -> RelationShape {
    let full = identity == ReplicaIdentity::Full;
    shape(identity, &[("a", true, INT4, -1), ("b", full, TEXT, -1), ("c", true, INT4, -1)])
}

fn primary_key(names: &[&str]) -> TableFacts {
    let not_null = names.iter().map(|name| ((*name).to_owned(), None)).collect();
    TableFacts { not_null, primary_key: names.iter().map(|n| (*n).to_owned()).collect() }
}

#[test]
fn the_key_is_in_the_order_of_the_primary_key() {
    let facts = primary_key(&["c", "a"]);
    for identity in [ReplicaIdentity::Default, ReplicaIdentity::Full] {
        let relation = compile(&two_keys(identity), &facts, &[]);
        assert_eq!(names(relation.key_schema.as_ref().unwrap()), ["c", "a"]);
        let row = vec![Value::Int32(1), Value::Null, Value::Int32(3)];
        assert_eq!(relation.key(&row), Value::Struct(vec![Value::Int32(3), Value::Int32(1)]));
    }
}

#[test]
fn the_flags_of_the_change_win_over_a_primary_key_that_was_altered_since() {
    let relation = compile(&two_keys(ReplicaIdentity::Default), &primary_key(&["b"]), &[]);
    assert_eq!(names(relation.key_schema.as_ref().unwrap()), ["a", "c"]);
}

#[test]
fn a_table_without_a_primary_key_has_no_key() {
    let relation = compile(&two_keys(ReplicaIdentity::Full), &TableFacts::default(), &[]);
    assert_eq!(relation.key_schema, None);
    assert_eq!(relation.key(&vec![Value::Int32(1)]), Value::Null);
}

#[test]
fn names_are_those_of_debezium() {
    let relation = compile(&two_keys(ReplicaIdentity::Default), &primary_key(&["a", "c"]), &[]);
    assert_eq!(relation.topic, "my-shop.public.t");
    assert_eq!(relation.envelope_schema.name(), Some("my-shop.public.t.Envelope"));
    assert_eq!(after(&relation).name(), Some("my-shop.public.t.Value"));
    assert_eq!(relation.key_schema.as_ref().unwrap().name(), Some("my-shop.public.t.Key"));
    let fields = ["before", "after", "source", "transaction", "op", "ts_ms", "ts_us", "ts_ns"];
    assert_eq!(names(&relation.envelope_schema), fields);
    let source = &relation.envelope_schema.field("source").unwrap().1.schema;
    let fields = [
        "version",
        "connector",
        "name",
        "ts_ms",
        "snapshot",
        "db",
        "sequence",
        "ts_us",
        "ts_ns",
        "schema",
        "table",
        "txId",
        "lsn",
        "xmin",
    ];
    assert_eq!(names(source), fields);
    assert_eq!(source.name(), Some("io.debezium.connector.postgresql.Source"));
}

#[test]
fn names_are_made_fit_for_avro_when_asked_for() {
    let modes =
        [("schema.name.adjustment.mode", "avro"), ("field.name.adjustment.mode", "avro_unicode")];
    let shape =
        shape(ReplicaIdentity::Default, &[("a-b", true, INT4, -1), ("1_c", false, INT4, -1)]);
    let relation = compile(&shape, &primary_key(&["a-b"]), &modes);
    assert_eq!(relation.envelope_schema.name(), Some("my_shop.public.t.Envelope"));
    assert_eq!(names(&after(&relation)), ["a_u002db", "_u0031_u005fc"]);
    assert_eq!(relation.topic, "my-shop.public.t");
}

#[test]
fn excluded_key_columns_stay_in_the_key() {
    let list = [("column.exclude.list", "public.t.(a|b)")];
    let relation = compile(&two_keys(ReplicaIdentity::Default), &primary_key(&["a", "c"]), &list);
    assert_eq!(names(relation.key_schema.as_ref().unwrap()), ["a", "c"]);
    assert_eq!(names(&after(&relation)), ["c"]);
    let row = vec![Value::Int32(1), Value::Null, Value::Int32(3)];
    assert_eq!(relation.value(row), Value::Struct(vec![Value::Int32(3)]));
}

/// `int32`, `string?`, `string(io.debezium.data.Json)?=default`
fn describe(schema: &Schema) -> String {
    let name = schema.name().map(|name| format!("({name})")).unwrap_or_default();
    let optional = if schema.optional { "?" } else { "" };
    let default = schema.default.as_ref().map(|d| format!("={d:?}")).unwrap_or_default();
    let parameters: Vec<String> =
        schema.parameters.iter().map(|(k, v)| format!("{k}:{v}")).collect();
    let items = match &schema.kind {
        SchemaKind::Array(items) => format!("<{}>", describe(items)),
        _ => String::new(),
    };
    format!("{}{items}{name}{}{optional}{default}", schema.kind.name(), parameters.join(","))
}

fn check_type(type_oid: u32, modifier: i32, pairs: &[(&str, &str)], expected: &str) {
    let shape = shape(ReplicaIdentity::Default, &[("c", false, type_oid, modifier)]);
    let relation = compile(&shape, &TableFacts::default(), pairs);
    let after = after(&relation);
    let found = after.field("c").map(|(_, field)| describe(&field.schema));
    assert_eq!(found.as_deref().unwrap_or("left out"), expected, "type {type_oid} {pairs:?}");
}

#[test]
fn types_have_debeziums_schemas() {
    let numeric_10_2 = (10 << 16 | 2) + 4;
    let numeric_3_minus_2 = (3 << 16 | 0x7fe) + 4;
    check_type(
        1700,
        numeric_10_2,
        &[],
        "bytes(org.apache.kafka.connect.data.Decimal)scale:2,connect.decimal.precision:10?",
    );
    check_type(
        1700,
        numeric_3_minus_2,
        &[],
        "bytes(org.apache.kafka.connect.data.Decimal)scale:-2,connect.decimal.precision:3?",
    );
    check_type(1700, -1, &[], "struct(io.debezium.data.VariableScaleDecimal)?");
    check_type(1700, -1, &[("decimal.handling.mode", "double")], "double?");
    check_type(790, -1, &[], "bytes(org.apache.kafka.connect.data.Decimal)scale:2?");
    check_type(1114, -1, &[], "int64(io.debezium.time.MicroTimestamp)?");
    check_type(1114, 3, &[], "int64(io.debezium.time.Timestamp)?");
    check_type(
        1114,
        3,
        &[("time.precision.mode", "connect")],
        "int64(org.apache.kafka.connect.data.Timestamp)?",
    );
    check_type(1083, 0, &[], "int32(io.debezium.time.Time)?");
    check_type(
        1083,
        0,
        &[("time.precision.mode", "adaptive_time_microseconds")],
        "int64(io.debezium.time.MicroTime)?",
    );
    check_type(
        1082,
        -1,
        &[("time.precision.mode", "connect")],
        "int32(org.apache.kafka.connect.data.Date)?",
    );
    check_type(1184, -1, &[], "string(io.debezium.time.ZonedTimestamp)?");
    check_type(1560, 1, &[], "boolean?");
    check_type(1560, 5, &[], "bytes(io.debezium.data.Bits)length:5?");
    check_type(1562, -1, &[], "bytes(io.debezium.data.Bits)length:2147483647?");
    check_type(3802, -1, &[], "string(io.debezium.data.Json)?");
    check_type(17, -1, &[("binary.handling.mode", "hex")], "string?");
    check_type(1186, -1, &[], "int64(io.debezium.time.MicroDuration)?");
    check_type(604, -1, &[], "left out");
    check_type(604, -1, &[("include.unknown.datatypes", "true")], "bytes?");
}

fn check_default(type_oid: u32, modifier: i32, expression: &str, expected: Option<Value>) {
    let shape = shape(ReplicaIdentity::Default, &[("c", false, type_oid, modifier)]);
    let facts = TableFacts {
        not_null: vec![("c".to_owned(), Some(expression.to_owned()))],
        primary_key: Vec::new(),
    };
    let relation = compile(&shape, &facts, &[]);
    let found = after(&relation).field("c").unwrap().1.schema.default.clone();
    assert_eq!(found, expected, "{expression}");
}

#[test]
fn defaults_of_required_columns_are_in_the_schema_when_they_are_literals() {
    check_default(INT4, -1, "7", Some(Value::Int32(7)));
    check_default(INT4, -1, "'-7'::integer", Some(Value::Int32(-7)));
    check_default(INT4, -1, "(-1)", Some(Value::Int32(-1)));
    check_default(INT4, -1, "nextval('t_id_seq'::regclass)", Some(Value::Int32(0)));
    check_default(TEXT, -1, "'it''s'::text", Some(Value::string("it's")));
    check_default(TEXT, -1, "('a'::text || 'b'::text)", None);
    check_default(16, -1, "true", Some(Value::Bool(true)));
    check_default(1114, -1, "now()", Some(Value::Int64(0)));
    check_default(
        1114,
        -1,
        "'2020-01-01 00:00:00'::timestamp without time zone",
        Some(Value::Int64(1_577_836_800_000_000)),
    );
    check_default(1700, (10 << 16 | 2) + 4, "1.5", Some(Value::Bytes(vec![0, 150].into())));
    check_default(INT4, -1, "(1 + 2)", None);
}

#[test]
fn a_nullable_columns_default_stays_out_of_the_schema() {
    let shape = shape(ReplicaIdentity::Default, &[("c", false, INT4, -1)]);
    let relation = compile(&shape, &TableFacts::default(), &[]);
    assert_eq!(after(&relation).field("c").unwrap().1.schema.default, None);
}
