//! JSON both ways, with schemas and without.

use super::*;
use aquifer_connect_api::{SchemaBuilder, logical};

fn converter(entries: &[(&str, &str)]) -> Box<dyn Converter> {
    let config: ConfigMap =
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    new(&config, ConverterRole::Value).unwrap()
}

fn encode(entries: &[(&str, &str)], schema: Option<&SchemaRef>, value: &Value) -> String {
    let mut out = BytesMut::new();
    assert!(converter(entries).encode("t", &Headers::default(), schema, value, &mut out).unwrap());
    String::from_utf8(out.to_vec()).unwrap()
}

fn decode(entries: &[(&str, &str)], text: &str) -> Result<Decoded, String> {
    converter(entries).decode("t", Some(&Bytes::copy_from_slice(text.as_bytes()))).map_err(
        |error| match error {
            ConverterError::Failed(error) => error.to_string(),
            ConverterError::Unprepared => "unprepared".to_owned(),
        },
    )
}

fn schema() -> SchemaRef {
    SchemaBuilder::structure()
        .name("shop.Row")
        .version(2)
        .field("id", SchemaBuilder::int32().build())
        .field("price", logical::decimal(2).build())
        .field(
            "state",
            SchemaBuilder::string().optional().default_value(Value::string("new")).build(),
        )
        .field("tags", SchemaBuilder::array(SchemaBuilder::string().build()).build())
        .field(
            "by_number",
            SchemaBuilder::map(SchemaBuilder::int32().build(), SchemaBuilder::boolean().build())
                .build(),
        )
        .build()
}

fn value(state: Value) -> Value {
    let price = Value::Bytes(Bytes::from_static(&[0xcf, 0xc7]));
    let by_number = Value::Map(vec![(Value::Int32(1), Value::Bool(true))]);
    Value::Struct(vec![
        Value::Int32(1),
        price,
        state,
        Value::Array(vec![Value::string("a\"b")]),
        by_number,
    ])
}

const SCHEMALESS: &[(&str, &str)] = &[("schemas.enable", "false")];

#[test]
fn a_record_with_its_schema_has_the_shape_of_kafka() {
    let expected = concat!(
        r#"{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},"#,
        r#"{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"price"},"#,
        r#"{"type":"string","optional":true,"default":"new","field":"state"},"#,
        r#"{"type":"array","items":{"type":"string","optional":false},"optional":false,"field":"tags"},"#,
        r#"{"type":"map","keys":{"type":"int32","optional":false},"values":{"type":"boolean","optional":false},"optional":false,"field":"by_number"}"#,
        r#"],"optional":false,"name":"shop.Row","version":2},"payload":{"id":1,"price":"z8c=","state":"paid","tags":["a\"b"],"by_number":[[1,true]]}}"#,
    );
    let text = encode(&[], Some(&schema()), &value(Value::string("paid")));
    assert_eq!(text, expected);
    let decoded = decode(&[], &text).unwrap();
    assert_eq!((decoded.schema, decoded.value), (Some(schema()), value(Value::string("paid"))));
}

#[test]
fn without_schemas_only_the_payload_is_written() {
    let text = encode(
        &[("schemas.enable", "false"), ("decimal.format", "NUMERIC")],
        Some(&schema()),
        &value(Value::Null),
    );
    assert_eq!(
        text,
        r#"{"id":1,"price":-123.45,"state":"new","tags":["a\"b"],"by_number":[[1,true]]}"#
    );
    assert_eq!(decode(SCHEMALESS, "[1,1.5,\"x\",null,{\"a\":true}]").unwrap().value, {
        let map = Value::Map(vec![(Value::string("a"), Value::Bool(true))]);
        Value::Array(vec![
            Value::Int64(1),
            Value::Float64(1.5),
            Value::string("x"),
            Value::Null,
            map,
        ])
    });
}

#[test]
fn a_null_without_schema_is_a_tombstone() {
    let mut out = BytesMut::new();
    assert!(
        !converter(&[]).encode("t", &Headers::default(), None, &Value::Null, &mut out).unwrap()
    );
    assert_eq!(decode(&[], r#"{"schema":null,"payload":null}"#).unwrap(), Decoded::default());
    assert_eq!(decode(SCHEMALESS, "").unwrap(), Decoded::default());
    assert!(decode(&[], "").is_err());
}

#[test]
fn strings_are_escaped_as_kafka_escapes_them() {
    let text = encode(SCHEMALESS, None, &Value::string("é\u{2028}\u{7f}/\u{1f600}\u{1b}\t\"\\"));
    assert_eq!(text, "\"é\u{2028}\u{7f}/\\uD83D\\uDE00\\u001B\\t\\\"\\\\\"");
    assert_eq!(
        decode(SCHEMALESS, &text).unwrap().value,
        Value::string("é\u{2028}\u{7f}/\u{1f600}\u{1b}\t\"\\")
    );
}

#[test]
fn floats_are_printed_as_java_prints_them() {
    // As Double.toString and Float.toString of JDK 21 answer.
    for (number, expected) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (-1.5, "-1.5"),
        (123.456, "123.456"),
        (1_234_567.0, "1234567.0"),
        (9_999_999.5, "9999999.5"),
        (10_000_000.0, "1.0E7"),
        (1.5e10, "1.5E10"),
        (0.001, "0.001"),
        (0.012, "0.012"),
        (0.000_9, "9.0E-4"),
        (-1.25e-7, "-1.25E-7"),
        (f64::MAX, "1.7976931348623157E308"),
        (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
    ] {
        assert_eq!(encode(SCHEMALESS, None, &Value::Float64(number)), expected);
    }
    assert_eq!(encode(SCHEMALESS, None, &Value::Float32(0.1)), "0.1");
    assert_eq!(encode(SCHEMALESS, None, &Value::Float32(1.0e10)), "1.0E10");
}

#[test]
fn decimals_of_any_length_and_scale_are_numbers() {
    let text = |scale: i32, bytes: &[u8]| {
        let schema = SchemaBuilder::bytes()
            .name(logical::DECIMAL)
            .parameter("scale", scale.to_string())
            .build();
        encode(
            &[("schemas.enable", "false"), ("decimal.format", "NUMERIC")],
            Some(&schema),
            &Value::Bytes(Bytes::copy_from_slice(bytes)),
        )
    };
    // (2^160 - 1) / 10^3, and its negative.
    let mut bytes = vec![0xff; 20];
    bytes.insert(0, 0);
    assert_eq!(text(3, &bytes), "1461501637330902918203684832716283019655932542.975");
    let mut negative = vec![0; 20];
    negative.insert(0, 0xff);
    *negative.last_mut().unwrap() = 1;
    assert_eq!(text(3, &negative), "-1461501637330902918203684832716283019655932542.975");
    assert_eq!(text(-2, &[0x0c]), "12E2");
    assert_eq!(text(4, &[0xff]), "-0.0001");
    assert_eq!(text(0, &[]), "0");
}

#[test]
fn numeric_decimals_come_back() {
    let numeric: &[(&str, &str)] = &[("decimal.format", "NUMERIC")];
    for bytes in
        [&[0_u8][..], &[0x7f], &[0x80], &[0, 0x80], &[0xff, 0x7f], &[1, 2, 3, 4, 5, 6, 7, 8, 9]]
    {
        let decimal = Value::Bytes(Bytes::copy_from_slice(bytes));
        let schema = logical::decimal(3).build();
        let text = encode(numeric, Some(&schema), &decimal);
        assert_eq!(decode(numeric, &text).unwrap().value, decimal, "{text}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    assert!(
        decode(&[], r#"{"id":1}"#)
            .unwrap_err()
            .starts_with("JsonConverter with schemas.enable requires")
    );
    assert!(decode(SCHEMALESS, "{").unwrap_err().starts_with("a record of topic t is no JSON"));
    let wrong = r#"{"schema":{"type":"struct","fields":[{"type":"int32","field":"id"}]},"payload":{"id":"x"}}"#;
    assert!(decode(&[], wrong).unwrap_err().ends_with("field id: \"x\" where int32 is expected"));
    let missing =
        r#"{"schema":{"type":"struct","fields":[{"type":"int32","field":"id"}]},"payload":{}}"#;
    assert!(decode(&[], missing).unwrap_err().ends_with("field id: null where int32 is required"));
}
