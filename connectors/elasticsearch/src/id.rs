//! PURE: the id of a document, from any key.
//!
//! - A primitive as it prints (a decimal as its number); a struct of one field, that field; of several, their values joined by `:`,
//!   where `:` and `\` in a value are escaped by `\` and a null is `\N`. Without a schema a map is what a struct is with one.
//! - Over 512 bytes, Elasticsearch's limit, its SHA-256 in hex.

use aquifer_connect_api::{Schema, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::document::write_decimal;
use crate::field::{Meaning, meaning};

/// Elasticsearch's limit.
const ID_BYTES_MAX: usize = 512;

/// Why a key is no id.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(crate) enum IdError {
    #[error(
        "the key is the document's id and can't be null (key.ignore=true makes ids of topic, partition and offset)"
    )]
    Null,
    #[error("the key is the document's id and can't be empty")]
    Empty,
    #[error(
        "a {found} inside the key can't be a part of the document's id: primitives and decimals can"
    )]
    Nested { found: &'static str },
}

/// The id of a key.
pub(crate) fn document_id(schema: Option<&Schema>, key: &Value) -> Result<String, IdError> {
    let parts: Vec<(Option<&Schema>, &Value)> = match (schema.map(meaning), key) {
        (Some(Meaning::Struct(fields)), Value::Struct(values)) => {
            fields.iter().zip(values).map(|(field, value)| (Some(&*field.schema), value)).collect()
        }
        (_, Value::Map(entries)) => entries.iter().map(|(_, value)| (None, value)).collect(),
        _ => vec![(schema, key)],
    };
    let id = match parts.as_slice() {
        [] => return Err(IdError::Empty),
        [(_, Value::Null)] => return Err(IdError::Null),
        [(schema, value)] => part(*schema, value)?,
        several => {
            let mut id = String::new();
            for (index, (schema, value)) in several.iter().enumerate() {
                if index > 0 {
                    id.push(':');
                }
                if value.is_null() {
                    id.push_str("\\N");
                } else {
                    escape(&part(*schema, value)?, &mut id);
                }
            }
            id
        }
    };
    match id.len() {
        0 => Err(IdError::Empty),
        1..=ID_BYTES_MAX => Ok(id),
        _ => Ok(Sha256::digest(id).iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

/// The id where keys are ignored: where the record lay.
pub(crate) fn offset_id(topic: &str, partition: i32, offset: i64) -> String {
    format!("{topic}+{partition}+{offset}")
}

fn escape(text: &str, out: &mut String) {
    for char in text.chars() {
        if matches!(char, ':' | '\\') {
            out.push('\\');
        }
        out.push(char);
    }
}

fn part(schema: Option<&Schema>, value: &Value) -> Result<String, IdError> {
    match (schema.map(meaning), value) {
        (Some(Meaning::Decimal { scale, .. }), Value::Bytes(unscaled)) => {
            return Ok(decimal(unscaled, scale));
        }
        (Some(Meaning::VariableDecimal), Value::Struct(values)) => {
            if let [scale, Value::Bytes(unscaled)] = values.as_slice() {
                let scale = scale.as_i64().and_then(|scale| i32::try_from(scale).ok());
                return Ok(decimal(unscaled, scale.unwrap_or(0)));
            }
        }
        _ => {}
    }
    Ok(match value {
        Value::Bool(v) => v.to_string(),
        Value::Int8(v) => v.to_string(),
        Value::Int16(v) => v.to_string(),
        Value::Int32(v) => v.to_string(),
        Value::Int64(v) => v.to_string(),
        Value::Float32(v) => format!("{v:?}"),
        Value::Float64(v) => format!("{v:?}"),
        Value::String(v) => v.to_string(),
        Value::Bytes(v) => STANDARD.encode(v),
        Value::Null | Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            return Err(IdError::Nested { found: value.type_name() });
        }
    })
}

fn decimal(unscaled: &[u8], scale: i32) -> String {
    let mut out = Vec::new();
    write_decimal(&mut out, unscaled, scale);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aquifer_connect_api::{SchemaBuilder, logical};
    use proptest::prelude::*;

    fn key(values: &[Value]) -> Result<String, IdError> {
        let builder = (0..values.len()).fold(SchemaBuilder::structure(), |builder, index| {
            builder.field(format!("k{index}"), SchemaBuilder::string().build())
        });
        document_id(Some(&builder.build()), &Value::Struct(values.to_vec()))
    }

    #[test]
    fn any_key_is_an_id() {
        let check =
            |value, expected: &str| assert_eq!(document_id(None, &value).unwrap(), expected);
        check(Value::Int64(-7), "-7");
        check(Value::string("a:b\\"), "a:b\\");
        check(Value::Bool(true), "true");
        check(Value::Map(vec![(Value::string("id"), Value::Int64(7))]), "7");
        check(Value::Bytes(vec![1, 2].into()), "AQI=");
        assert_eq!(key(&[Value::string("a:b")]).unwrap(), "a:b");
        let several = [Value::string("a:b\\"), Value::Int32(1), Value::Null, Value::string("")];
        assert_eq!(key(&several).unwrap(), "a\\:b\\\\:1:\\N:");
        let decimal = logical::decimal(2).build();
        assert_eq!(document_id(Some(&decimal), &Value::Bytes(vec![123].into())).unwrap(), "1.23");
        let long = document_id(None, &Value::string("x".repeat(513))).unwrap();
        assert_eq!(long.len(), 64);
        assert_eq!(document_id(None, &Value::string("é".repeat(256))).unwrap().len(), 512);
        assert_eq!(offset_id("t", 1, 2), "t+1+2");
    }

    #[test]
    fn what_names_no_row_is_refused() {
        assert_eq!(document_id(None, &Value::Null), Err(IdError::Null));
        assert_eq!(document_id(None, &Value::string("")), Err(IdError::Empty));
        assert_eq!(key(&[]), Err(IdError::Empty));
        assert_eq!(key(&[Value::Null]), Err(IdError::Null));
        let nested = document_id(None, &Value::Array(Vec::new()));
        assert_eq!(nested, Err(IdError::Nested { found: "array" }));
    }

    proptest! {
        #[test]
        fn prop_different_keys_have_different_ids(
            a in proptest::collection::vec("[:\\\\Na]{0,3}", 2..4),
            b in proptest::collection::vec("[:\\\\Na]{0,3}", 2..4),
        ) {
            prop_assume!(a != b);
            let id = |parts: &[String]| {
                key(&parts.iter().map(|part| Value::string(part.clone())).collect::<Vec<_>>()).unwrap()
            };
            prop_assert_ne!(id(&a), id(&b));
        }
    }
}
