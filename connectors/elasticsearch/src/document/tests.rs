//! Documents of schemas and values, as text.

use super::*;
use aquifer_connect_api::{SchemaBuilder, SchemaRef, logical};
use bytes::Bytes;
use serde_json::json;

fn none() -> JsonMap<String, Json> {
    JsonMap::new()
}

fn row(fields: Vec<(&'static str, SchemaBuilder)>) -> SchemaRef {
    let add = |row: SchemaBuilder, (name, field): (&'static str, SchemaBuilder)| {
        row.field(name, field.optional().build())
    };
    fields.into_iter().fold(SchemaBuilder::structure(), add).build()
}

fn write(plan: &Plan, value: &Value, omit: &[&str]) -> Result<String, String> {
    let mut out = Vec::new();
    plan.write(value, omit, &mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

fn check_field(field: SchemaBuilder, value: Value, expected: &str) {
    let schema = row(vec![("f", field)]);
    let plan = Plan::compile(Some(&schema), &none(), MapEntries::Compact);
    let written = write(&plan, &Value::Struct(vec![value.clone()]), &[]);
    assert_eq!(written, Ok(format!("{{\"f\":{expected}}}")), "{value:?}");
}

#[test]
fn every_type_has_its_json() {
    use SchemaBuilder as S;
    check_field(S::int8(), Value::Int8(-1), "-1");
    check_field(S::int64(), Value::Int64(i64::MIN), "-9223372036854775808");
    check_field(S::float32(), Value::Float32(0.1), "0.1");
    check_field(S::float64(), Value::Float64(1e300), "1e300");
    check_field(S::float64(), Value::Float64(f64::NAN), "null");
    check_field(S::boolean(), Value::Bool(true), "true");
    check_field(S::string(), Value::string("a\"\n\u{1}é"), r#""a\"\n\u0001é""#);
    check_field(S::string(), Value::Null, "null");
    check_field(S::bytes(), Value::Bytes(Bytes::from_static(&[0xff, 0])), "\"/wA=\"");
    check_field(logical::decimal(2), Value::Bytes(Bytes::from_static(&[1, 0])), "2.56");
    let variable = S::structure()
        .name(logical::DEBEZIUM_VARIABLE_SCALE_DECIMAL)
        .field("scale", S::int32().build())
        .field("value", S::bytes().build());
    let value = Value::Struct(vec![Value::Int32(1), Value::Bytes(Bytes::from_static(&[15]))]);
    check_field(variable, value, "1.5");
    check_field(S::int32().name(logical::DEBEZIUM_DATE), Value::Int32(1), "\"1970-01-02\"");
    let moment = S::int64().name(logical::DEBEZIUM_MICRO_TIMESTAMP);
    check_field(moment, Value::Int64(1), "\"1970-01-01T00:00:00.000001Z\"");
    let zoned = || S::string().name(logical::DEBEZIUM_ZONED_TIMESTAMP);
    check_field(zoned(), Value::string("2024-05-17T12:00:00Z"), "\"2024-05-17T12:00:00Z\"");
    check_field(zoned(), Value::string("infinity"), "9223372036825200");
    let time = S::int64().name(logical::DEBEZIUM_MICRO_TIME);
    check_field(time, Value::Int64(1_500_000), "\"00:00:01.500000\"");
    let list = Value::Array(vec![Value::Int32(1), Value::Null]);
    check_field(S::array(S::int32().build()), list, "[1,null]");
    let map = Value::Map(vec![(Value::string("k"), Value::Int32(1))]);
    check_field(S::map(S::string().build(), S::int32().build()), map, "{\"k\":1}");
    let numbered = Value::Map(vec![(Value::Int32(5), Value::Int32(1))]);
    check_field(
        S::map(S::int32().build(), S::int32().build()),
        numbered,
        "[{\"key\":5,\"value\":1}]",
    );
    let inner = S::structure().field("a", S::int32().build());
    check_field(inner, Value::Struct(vec![Value::Int32(1)]), "{\"a\":1}");
}

#[test]
fn a_date_is_written_as_the_index_has_it_mapped() {
    let schema = row(vec![("t", SchemaBuilder::int64().name(logical::DEBEZIUM_MICRO_TIMESTAMP))]);
    let check = |mapped: Json, expected: &str| {
        let properties = json!({"t": mapped}).as_object().cloned().unwrap();
        let plan = Plan::compile(Some(&schema), &properties, MapEntries::Compact);
        let written = write(&plan, &Value::Struct(vec![Value::Int64(2_500)]), &[]);
        assert_eq!(written.unwrap(), expected);
    };
    check(json!({"type": "long"}), "{\"t\":2500}");
    check(json!({"type": "date", "format": "epoch_millis"}), "{\"t\":2}");
    check(json!({"type": "date"}), "{\"t\":\"1970-01-01T00:00:00.002500Z\"}");
}

#[test]
fn fields_that_the_source_could_not_give_are_left_out() {
    let schema = row(vec![("a", SchemaBuilder::int32()), ("b", SchemaBuilder::string())]);
    let plan = Plan::compile(Some(&schema), &none(), MapEntries::Compact);
    let value = Value::Struct(vec![Value::Int32(1), Value::string("placeholder")]);
    assert_eq!(write(&plan, &value, &["b"]).unwrap(), "{\"a\":1}");
    assert_eq!(write(&plan, &value, &["a"]).unwrap(), "{\"b\":\"placeholder\"}");
    assert_eq!(write(&plan, &value, &["a", "b", "c"]).unwrap(), "{}");
    let free =
        Value::Map(vec![(Value::string("a"), Value::Int64(1)), (Value::string("b"), Value::Null)]);
    let plan = Plan::compile(None, &none(), MapEntries::Compact);
    assert_eq!(write(&plan, &free, &["b"]).unwrap(), "{\"a\":1}");
}

#[test]
fn what_is_no_document_says_where() {
    let inner = SchemaBuilder::structure().field("x", SchemaBuilder::int32().build());
    let schema = row(vec![("a", inner)]);
    let plan = Plan::compile(Some(&schema), &none(), MapEntries::Compact);
    let wrong = Value::Struct(vec![Value::Struct(vec![Value::string("no")])]);
    let error = write(&plan, &wrong, &[]).unwrap_err();
    assert_eq!(error, "an integer was expected in field a.x, but string came");
    assert!(write(&plan, &Value::Struct(Vec::new()), &[]).is_err());
    let free = Plan::compile(None, &none(), MapEntries::Compact);
    let error = write(&free, &Value::string("text"), &[]).unwrap_err();
    assert_eq!(error, "a struct or a map with string keys was expected, but string came");
    let mut deep = Value::Null;
    for _ in 0..1000 {
        deep = Value::Array(vec![deep]);
    }
    assert!(write(&free, &Value::Map(vec![(Value::string("d"), deep)]), &[]).is_err());
}
