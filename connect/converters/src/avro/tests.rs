//! Avro both ways, and schemas as Confluent's converter maps them.

use super::*;
use aquifer_connect_api::{Schema, logical};
use proptest::prelude::*;

fn write(schema: &Schema, value: &Value) -> Bytes {
    let mut out = BytesMut::new();
    encode::Plan::new(schema).write(value, &mut out).unwrap();
    out.freeze()
}

fn order() -> SchemaRef {
    let row = SchemaBuilder::structure()
        .name("shop.orders.Value")
        .field("id", SchemaBuilder::int32().build())
        .field("price", logical::decimal(2).parameter("connect.decimal.precision", "10").build())
        .field("note", SchemaBuilder::string().optional().build())
        .field(
            "state",
            SchemaBuilder::string().optional().default_value(Value::string("new")).build(),
        )
        .field("small", SchemaBuilder::int16().build())
        .field("tags", SchemaBuilder::array(SchemaBuilder::string().build()).build())
        .field(
            "counts",
            SchemaBuilder::map(SchemaBuilder::string().build(), SchemaBuilder::int64().build())
                .build(),
        )
        .field(
            "by_number",
            SchemaBuilder::map(SchemaBuilder::int32().build(), SchemaBuilder::boolean().build())
                .build(),
        )
        .optional()
        .build();
    SchemaBuilder::structure()
        .name("shop.orders.Envelope")
        .field("before", SchemaRef::clone(&row))
        .field("after", row)
        .build()
}

fn order_value() -> Value {
    let row = Value::Struct(vec![
        Value::Int32(-7),
        Value::Bytes(Bytes::from_static(&[0x30, 0x39])),
        Value::Null,
        Value::string("päid"),
        Value::Int16(300),
        Value::Array(vec![Value::string("a"), Value::string("")]),
        Value::Map(vec![(Value::string("k"), Value::Int64(i64::MIN))]),
        Value::Map(vec![(Value::Int32(1), Value::Bool(true))]),
    ]);
    Value::Struct(vec![Value::Null, row])
}

#[test]
fn a_connect_schema_has_the_avro_text_that_confluent_gives_it() {
    let expected = concat!(
        r#"{"type":"record","name":"Envelope","namespace":"shop.orders","fields":[{"name":"before","type":["null","#,
        r#"{"type":"record","name":"Value","namespace":"shop.orders","fields":[{"name":"id","type":"int"},"#,
        r#"{"name":"price","type":{"type":"bytes","scale":2,"precision":10,"connect.version":1,"#,
        r#""connect.parameters":{"scale":"2","connect.decimal.precision":"10"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}},"#,
        r#"{"name":"note","type":["null","string"],"default":null},"#,
        r#"{"name":"state","type":[{"type":"string","connect.default":"new"},"null"],"default":"new"},"#,
        r#"{"name":"small","type":{"type":"int","connect.type":"int16"}},"#,
        r#"{"name":"tags","type":{"type":"array","items":"string"}},"#,
        r#"{"name":"counts","type":{"type":"map","values":"long"}},"#,
        r#"{"name":"by_number","type":{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","#,
        r#""fields":[{"name":"key","type":"int"},{"name":"value","type":"boolean"}]}}}"#,
        r#"],"connect.name":"shop.orders.Value"}],"default":null},{"name":"after","type":["null","shop.orders.Value"],"default":null}],"#,
        r#""connect.name":"shop.orders.Envelope"}"#,
    );
    assert_eq!(schema_text::from_connect(&order(), true).unwrap(), expected);
}

#[test]
fn names_docs_and_entries_are_those_of_confluents_converter() {
    let text = |schema: &Schema| schema_text::from_connect(schema, true).unwrap();
    let inner = |field: &str| {
        SchemaBuilder::structure().field(field, SchemaBuilder::int32().build()).build()
    };
    let outer = SchemaBuilder::structure()
        .field("a", inner("x"))
        .field("b", inner("y"))
        .field("c", inner("x"))
        .build();
    let name =
        |n: &str| format!(r#""name":"ConnectDefault{n}","namespace":"io.confluent.connect.avro""#);
    assert_eq!(
        text(&outer),
        format!(
            r#"{{"type":"record",{},"fields":[{{"name":"a","type":{{"type":"record",{},"fields":[{{"name":"x","type":"int"}}]}}}},{{"name":"b","type":{{"type":"record",{},"fields":[{{"name":"y","type":"int"}}]}}}},{{"name":"c","type":"io.confluent.connect.avro.ConnectDefault2"}}]}}"#,
            name(""),
            name("2"),
            name("3")
        )
    );
    let documented = SchemaBuilder::structure()
        .name("R")
        .doc("connect")
        .parameter("io.confluent.connect.avro.record.doc", "avro")
        .parameter("io.confluent.connect.avro.field.doc.f", "field")
        .field("f", SchemaBuilder::int32().doc("inner").build())
        .build();
    let documented = text(&documented);
    assert!(
        documented.starts_with(
            r#"{"type":"record","name":"R","doc":"avro","fields":[{"name":"f","type":{"type":"int","connect.doc":"inner"},"doc":"field"}],"connect.doc":"connect""#
        ),
        "{documented}"
    );
    let named = SchemaBuilder::map(
        SchemaBuilder::string().optional().build(),
        SchemaBuilder::int32().build(),
    )
    .name("a.E")
    .build();
    assert_eq!(
        text(&named),
        r#"{"type":"array","items":{"type":"record","name":"E","namespace":"a","fields":[{"name":"key","type":["null","string"],"default":null},{"name":"value","type":"int"}],"connect.internal.type":"MapEntry"},"connect.name":"a.E"}"#
    );
}

#[test]
fn default_of_an_optional_struct_is_none_in_avro() {
    let inner = SchemaBuilder::structure()
        .name("I")
        .field("x", SchemaBuilder::int32().build())
        .optional()
        .default_value(Value::Struct(vec![Value::Int32(1)]))
        .build();
    let schema = SchemaBuilder::structure().name("O").field("i", inner).build();
    let text = schema_text::from_connect(&schema, false).unwrap();
    assert_eq!(
        text,
        r#"{"type":"record","name":"O","fields":[{"name":"i","type":["null",{"type":"record","name":"I","fields":[{"name":"x","type":"int"}]}]}]}"#
    );
    let value = Value::Struct(vec![Value::Struct(vec![Value::Int32(5)])]);
    let (_, plan) = read_schema::to_connect(&text, &[]).unwrap();
    assert_eq!(plan.read(&write(&schema, &value)).unwrap(), value);
}

#[test]
fn schema_that_unfolds_without_end_is_refused() {
    let mut types =
        vec![r#"{"type":"record","name":"D0","fields":[{"name":"x","type":"int"}]}"#.to_owned()];
    for index in 1..60 {
        let below = index - 1;
        types.push(format!(
            r#"{{"type":"record","name":"D{index}","fields":[{{"name":"a","type":"D{below}"}},{{"name":"b","type":"D{below}"}},{{"name":"c","type":["null","D{below}"]}}]}}"#
        ));
    }
    let error = read_schema::to_connect(&format!("[{}]", types.join(",")), &[]).unwrap_err();
    assert!(error.contains("counted as often as used"), "{error}");
    let chain = |index: usize| {
        let inner = if index == 0 { "int".to_owned() } else { format!("C{}", index - 1) };
        let text = format!(
            r#"{{"type":"record","name":"C{index}","fields":[{{"name":"f","type":"{inner}"}}]}}"#
        );
        (format!("C{index}"), text)
    };
    let references: Vec<(String, String)> = (0..200).map(chain).collect();
    let error = read_schema::to_connect(&chain(200).1, &references).unwrap_err();
    assert!(error.contains("nested deeper"), "{error}");
    assert!(read_schema::to_connect(&chain(50).1, &references[..50]).is_ok());
}

#[test]
fn what_is_written_is_read_again_with_its_schema() {
    let text = schema_text::from_connect(&order(), true).unwrap();
    let (schema, plan) = read_schema::to_connect(&text, &[]).unwrap();
    assert_eq!(schema, order());
    assert_eq!(plan.read(&write(&order(), &order_value())).unwrap(), order_value());
}

#[test]
fn an_implementation_not_ours_reads_what_is_written() {
    let text = schema_text::from_connect(&order(), true).unwrap();
    let schema = apache_avro::Schema::parse_str(&text).unwrap();
    let bytes = write(&order(), &order_value());
    let mut rest = &bytes[..];
    let read = apache_avro::reader::datum::GenericDatumReader::builder(&schema)
        .build()
        .unwrap()
        .read_value(&mut rest)
        .unwrap();
    assert!(rest.is_empty());
    let written = apache_avro::writer::datum::GenericDatumWriter::builder(&schema)
        .build()
        .unwrap()
        .write_value_to_vec(read)
        .unwrap();
    assert_eq!(written, bytes);
}

#[test]
fn a_value_that_does_not_fit_is_named_with_its_path() {
    let value = Value::Struct(vec![Value::Null, Value::Struct(vec![Value::string("x"); 8])]);
    let error = encode::Plan::new(&order()).write(&value, &mut BytesMut::new()).unwrap_err();
    assert_eq!(error.to_string(), "field after.id should be int32, found string");
}

#[test]
fn two_structs_of_one_name_are_refused() {
    let one = |field: &str| {
        SchemaBuilder::structure().name("a.B").field(field, SchemaBuilder::int32().build()).build()
    };
    let schema =
        SchemaBuilder::structure().name("a.A").field("x", one("i")).field("y", one("j")).build();
    assert!(
        schema_text::from_connect(&schema, true).unwrap_err().to_string().contains("named a.B")
    );
}

#[test]
fn unions_references_enums_and_logical_types_are_read() {
    let reference = (
        "x.Color".to_owned(),
        r#"{"type":"enum","name":"Color","namespace":"x","symbols":["RED","BLUE"]}"#.to_owned(),
    );
    let text = r#"{"type":"record","name":"R","namespace":"x","fields":[{"name":"c","type":"Color"},
        {"name":"u","type":["null","int","string"]},{"name":"d","type":{"type":"int","logicalType":"date"}},{"name":"f","type":{"type":"fixed","name":"F","size":2}}]}"#;
    let (schema, plan) = read_schema::to_connect(text, &[reference]).unwrap();
    assert_eq!(schema.field("d").unwrap().1.schema.name(), Some(logical::DATE));
    let payload = Bytes::from_static(&[2, 4, 2, b'z', 6, 9, 9]);
    let expected = vec![
        Value::string("BLUE"),
        Value::Struct(vec![Value::Null, Value::string("z")]),
        Value::Int32(3),
        Value::Bytes(Bytes::from_static(&[9, 9])),
    ];
    assert_eq!(plan.read(&payload).unwrap(), Value::Struct(expected));
}

#[test]
fn a_schema_that_contains_itself_is_refused() {
    let text =
        r#"{"type":"record","name":"Node","fields":[{"name":"next","type":["null","Node"]}]}"#;
    assert!(read_schema::to_connect(text, &[]).unwrap_err().contains("contains itself"));
    let deep =
        format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(100_000), "}".repeat(100_000));
    assert!(read_schema::to_connect(&deep, &[]).is_err());
}

#[test]
fn a_payload_without_magic_byte_is_refused_with_what_came() {
    let refused =
        |bytes: &'static [u8]| split("t", &Bytes::from_static(bytes)).unwrap_err().to_string();
    assert_eq!(
        refused(b"{\"a\":1}"),
        "the first byte of a record of topic t is 123, but Avro with a schema id starts with 0"
    );
    assert_eq!(
        refused(b"\0\0"),
        "a record of topic t has 2 bytes, but Avro with a schema id has at least 5"
    );
}

proptest! {
    #[test]
    fn prop_any_payload_is_read_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
        let text = schema_text::from_connect(&order(), true).unwrap();
        let (_, plan) = read_schema::to_connect(&text, &[]).unwrap();
        let _ = plan.read(&Bytes::from(payload));
    }

    #[test]
    fn prop_numbers_come_back(long in any::<i64>(), int in any::<i32>(), double in any::<f64>()) {
        let schema = SchemaBuilder::structure()
            .name("N")
            .field("l", SchemaBuilder::int64().build())
            .field("i", SchemaBuilder::int32().build())
            .field("d", SchemaBuilder::float64().build())
            .build();
        let value = Value::Struct(vec![Value::Int64(long), Value::Int32(int), Value::Float64(double)]);
        let (_, plan) = read_schema::to_connect(&schema_text::from_connect(&schema, true).unwrap(), &[]).unwrap();
        let read = plan.read(&write(&schema, &value)).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{value:?}"));
    }
}
