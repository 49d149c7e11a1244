//! The table of mappings, growth, and what a mapping's reply says.

use super::*;
use aquifer_connect_api::{SchemaBuilder, SchemaRef, logical};

fn check(schema: SchemaRef, expected: Value) {
    assert_eq!(property(&schema, MapEntries::Compact), expected, "{schema:?}");
}

#[test]
fn every_schema_has_its_mapping() {
    let exact = json!({"keyword": {"type": "keyword", "ignore_above": 256}});
    let date = json!({"type": "date", "format": "strict_date_optional_time||epoch_millis"});
    let named = |builder: SchemaBuilder, name: &'static str| builder.name(name).build();
    check(SchemaBuilder::int8().build(), json!({"type": "long"}));
    check(SchemaBuilder::int64().build(), json!({"type": "long"}));
    check(SchemaBuilder::float32().build(), json!({"type": "double"}));
    check(SchemaBuilder::boolean().build(), json!({"type": "boolean"}));
    check(SchemaBuilder::bytes().build(), json!({"type": "binary"}));
    check(SchemaBuilder::string().build(), json!({"type": "text", "fields": exact}));
    check(named(SchemaBuilder::string(), logical::DEBEZIUM_UUID), json!({"type": "keyword"}));
    check(named(SchemaBuilder::string(), logical::DEBEZIUM_ZONED_TIMESTAMP), date.clone());
    check(named(SchemaBuilder::int32(), logical::DEBEZIUM_DATE), date.clone());
    check(named(SchemaBuilder::int64(), logical::DEBEZIUM_MICRO_TIMESTAMP), date.clone());
    check(named(SchemaBuilder::int64(), logical::DEBEZIUM_MICRO_TIME), json!({"type": "keyword"}));
    let precise = |digits: &'static str| {
        logical::decimal(2).parameter("connect.decimal.precision", digits).build()
    };
    check(precise("10"), json!({"type": "double"}));
    check(precise("38"), json!({"type": "double", "fields": exact}));
    check(logical::decimal(2).build(), json!({"type": "double", "fields": exact}));
    check(SchemaBuilder::array(SchemaBuilder::int32().build()).build(), json!({"type": "long"}));
    let text = SchemaBuilder::string().build();
    let map = SchemaBuilder::map(text, SchemaBuilder::int32().build()).build();
    check(map.clone(), json!({"type": "object"}));
    let pairs = json!({"properties": {"key": {"type": "text", "fields": exact}, "value": {"type": "long"}}});
    assert_eq!(property(&map, MapEntries::Pairs), pairs);
    let inner = SchemaBuilder::structure().field("a", SchemaBuilder::int64().build()).build();
    check(inner, json!({"properties": {"a": {"type": "long"}}}));
}

#[test]
fn a_mapping_grows_by_what_is_missing() {
    let object = |value: Value| value.as_object().cloned().unwrap();
    let wanted = object(json!({
        "a": {"type": "long"},
        "b": {"properties": {"c": {"type": "long"}, "d": {"type": "date"}}},
    }));
    let mut existing =
        object(json!({"a": {"type": "text"}, "b": {"properties": {"c": {"type": "text"}}}}));
    let added = missing(&wanted, &existing).unwrap();
    assert_eq!(Value::from(added.clone()), json!({"b": {"properties": {"d": {"type": "date"}}}}));
    merge(&mut existing, &added);
    let grown = json!({"a": {"type": "text"}, "b": {"properties": {"c": {"type": "text"}, "d": {"type": "date"}}}});
    assert_eq!(Value::from(existing.clone()), grown);
    assert_eq!(missing(&wanted, &existing), None);
}

#[test]
fn an_index_tells_how_its_versions_were_decided() {
    let reply = json!({
        "old": {"mappings": {}},
        "places-2": {"mappings": {"_meta": {"team": "x"}, "properties": {"a": {"type": "long"}}}},
    });
    let mapped = Mapped::from_reply(&reply).unwrap();
    assert_eq!((mapped.index.as_str(), mapped.versions()), ("places-2", None));
    let body = mapped.decide_body(&Versions::Offset);
    assert_eq!(body, json!({"_meta": {"team": "x", "aquifer": {"versions": "offset"}}}));
    let created = json!({"i": create_body(&Map::new(), &Versions::Offset)});
    assert_eq!(created["i"]["settings"]["index"]["gc_deletes"], "1h");
    assert_eq!(Mapped::from_reply(&created).unwrap().versions(), Some(Ok(Versions::Offset)));
    for reply in [json!(null), json!({}), json!([]), json!({"i": 3})] {
        assert_eq!(Mapped::from_reply(&reply), None, "{reply}");
    }
}
