//! Schemas that mean harm, and schemas at random: the answer is a value or an error, soon.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use aquifer_registry_schema::{ParsedSchema, SchemaType, avro::AvroSchema, compatibility};
use proptest::prelude::*;

fn parse(text: &str) -> Result<AvroSchema, String> {
    AvroSchema::parse(text, &[]).map_err(|err| err.to_string())
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in
        [(r#"{"type":"array","items":"#, "}"), (r#"{"type":"map","values":"#, "}"), ("[", "]")]
    {
        let text = format!("{}\"int\"{}", open.repeat(50_000), close.repeat(50_000));
        let err = parse(&text).unwrap_err();
        assert!(err.starts_with("schema is too large"), "{err}");
    }
}

#[test]
fn nesting_up_to_the_bound_is_accepted() {
    let text = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(127), "}".repeat(127));
    let schema = parse(&text).unwrap();
    assert_eq!(schema.canonical_text(), text);
    assert_eq!(compatibility::avro::differences(&schema, &schema), Ok(Vec::new()));
}

#[test]
fn deep_properties_are_read_and_printed() {
    let text = format!(r#"{{"type":"string","p":{}{}}}"#, "[".repeat(490), "]".repeat(490));
    assert_eq!(parse(&text).unwrap().canonical_text(), text);
}

#[test]
fn records_nested_up_to_the_bound_are_read_printed_and_compared() {
    let schema = parse(&nested(127)).unwrap();
    assert_eq!(parse(&schema.canonical_text()).unwrap().canonical_text(), schema.canonical_text());
    assert_eq!(compatibility::avro::differences(&schema, &schema), Ok(Vec::new()));
}

/// Texts that each nest `nesting` deep and hold the one before them at the innermost place.
fn referring(count: usize, nesting: usize) -> Vec<String> {
    let text = |index: usize| {
        let inner = if index == 0 { "int".to_owned() } else { format!("T{}", index - 1) };
        let (open, close) = (r#"{"type":"array","items":"#.repeat(nesting), "}".repeat(nesting));
        format!(
            r#"{{"type":"record","name":"T{index}","fields":[{{"name":"self","type":["null","T{index}"]}},{{"name":"f","type":{open}"{inner}"{close}}}]}}"#
        )
    };
    (0..count).map(text).collect()
}

#[test]
fn nesting_through_references_is_bounded() {
    let parse = |texts: &[String]| {
        let (last, before) = texts.split_last().unwrap();
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        AvroSchema::parse(last, &before)
    };
    let deepest = parse(&referring(3, 120)).unwrap();
    assert!(deepest.resolved_text().contains("T0") && deepest.meaning().contains("T0"));
    assert_eq!(compatibility::avro::differences(&deepest, &deepest), Ok(Vec::new()));
    let err = parse(&referring(100, 120)).unwrap_err();
    assert!(err.to_string().contains("depth of types"), "{err}");
}

/// `count` records, each with the one before it as its field: deep by reference, not by nesting.
fn chain(count: usize) -> AvroSchema {
    let mut types = vec![r#"{"type":"record","name":"R0","fields":[]}"#.to_owned()];
    for index in 1..count {
        let before = index - 1;
        types.push(format!(
            r#"{{"type":"record","name":"R{index}","fields":[{{"name":"f","type":"R{before}"}}]}}"#
        ));
    }
    let (last, types) = (count - 1, types.join(","));
    parse(&format!(
        r#"{{"type":"record","name":"All","fields":[{{"name":"unused","type":[{types}],"default":null}},{{"name":"top","type":"R{last}"}}]}}"#
    ))
    .unwrap()
}

#[test]
fn long_chain_of_types_is_compared_or_refused() {
    let top_only = |schema: &AvroSchema| {
        // Without the list of types in its way, the chain is walked from its far end.
        let text = schema.canonical_text().replace("\"unused\"", "\"other\"");
        parse(&text).unwrap()
    };
    let short = chain(300);
    assert_eq!(compatibility::avro::differences(&short, &top_only(&short)), Ok(Vec::new()));
    let long = chain(20_000);
    let err = compatibility::avro::differences(&long, &top_only(&long)).unwrap_err();
    assert!(err.to_string().contains("depth"), "{err}");
}

fn nested(depth: usize) -> String {
    (0..depth).fold("\"int\"".to_owned(), |inner, level| {
        format!(r#"{{"type":"record","name":"N{level}","fields":[{{"name":"f","type":{inner}}}]}}"#)
    })
}

#[test]
fn diamonds_are_walked_once() {
    let diamond = |leaf: &str| {
        let mut types = vec![format!(
            r#"{{"type":"record","name":"D0","fields":[{{"name":"x","type":"{leaf}"}}]}}"#
        )];
        for index in 1..60 {
            let below = index - 1;
            types.push(format!(
                r#"{{"type":"record","name":"D{index}","fields":[{{"name":"a","type":"D{below}"}},{{"name":"b","type":"D{below}"}},{{"name":"c","type":["null","D{below}"]}}]}}"#
            ));
        }
        parse(&format!("[{}]", types.join(","))).unwrap()
    };
    let found = compatibility::avro::differences(&diamond("int"), &diamond("string")).unwrap();
    assert!(!found.is_empty());
}

#[test]
fn wide_unions_are_compared_or_refused() {
    let union = |from: usize| {
        let types: Vec<String> = (from..from + 1_500)
            .map(|index| format!(r#"{{"type":"fixed","name":"F{index}","size":1}}"#))
            .collect();
        parse(&format!("[{}]", types.join(","))).unwrap()
    };
    let err = compatibility::avro::differences(&union(0), &union(10_000)).unwrap_err();
    assert!(err.to_string().contains("comparisons"), "{err}");
}

#[test]
fn many_fields_symbols_and_aliases_are_compared() {
    let wide = |kind: &str| {
        let fields: Vec<String> = (0..20_000)
            .map(|index| {
                format!(
                    r#"{{"name":"f{index}","aliases":["g{index}"],"type":"{kind}","default":0}}"#
                )
            })
            .collect();
        let symbols: Vec<String> = (0..20_000).map(|index| format!("\"S{index}\"")).collect();
        parse(&format!(
            r#"[{{"type":"record","name":"R","fields":[{}]}},{{"type":"enum","name":"E","aliases":[{1}],"symbols":[{1}]}}]"#,
            fields.join(","),
            symbols.join(",")
        ))
        .unwrap()
    };
    let found = compatibility::avro::differences(&wide("int"), &wide("string")).unwrap();
    assert_eq!(found.len(), 1, "the branch of the record");
    assert_eq!(compatibility::avro::differences(&wide("long"), &wide("int")), Ok(Vec::new()));
}

/// Schemas at random, with names that collide now and then.
fn schema() -> impl Strategy<Value = String> {
    let primitive = prop::sample::select(vec![
        "\"null\"",
        "\"int\"",
        "\"long\"",
        "\"string\"",
        "\"bytes\"",
        "\"double\"",
        r#"{"type":"long","logicalType":"timestamp-millis"}"#,
    ]);
    let leaf = primitive.prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|of| format!(r#"{{"type":"array","items":{of}}}"#)),
            inner.clone().prop_map(|of| format!(r#"{{"type":"map","values":{of},"p":[1,{{"b":2,"a":1.5}}]}}"#)),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|of| format!("[{}]", of.join(","))),
            ("[A-C]", "[a-b.]{0,3}", prop::collection::vec(("[a-d]", inner, any::<bool>()), 0..4))
                .prop_map(|(name, namespace, fields)| {
                    let fields: Vec<String> = fields
                        .into_iter()
                        .map(|(name, of, default)| {
                            let default = if default { ",\"default\":0" } else { "" };
                            format!(r#"{{"name":"{name}","type":{of}{default}}}"#)
                        })
                        .collect();
                    let fields = fields.join(",");
                    format!(r#"{{"type":"record","name":"{name}","namespace":"{namespace}","fields":[{fields}]}}"#)
                }),
        ]
    })
}

proptest! {
    #[test]
    fn prop_printing_is_stable_and_reads_itself(text in schema()) {
        if let Ok(schema) = parse(&text) {
            let canonical = schema.canonical_text();
            let again = parse(&canonical).unwrap();
            prop_assert_eq!(&again.canonical_text(), &canonical);
            prop_assert_eq!(again.meaning(), schema.meaning());
            prop_assert_eq!(compatibility::avro::differences(&schema, &again), Ok(Vec::new()));
        }
    }

    #[test]
    fn prop_damaged_text_never_panics(text in schema(), at in any::<prop::sample::Index>(), with in any::<char>()) {
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        chars[at] = with;
        let text: String = chars.into_iter().collect();
        ParsedSchema::parse(SchemaType::Avro, &text, &[]).ok();
    }

    #[test]
    fn prop_any_pair_is_compared(one in schema(), other in schema()) {
        if let (Ok(one), Ok(other)) = (parse(&one), parse(&other)) {
            prop_assert!(compatibility::avro::differences(&one, &other).is_ok());
        }
    }
}
