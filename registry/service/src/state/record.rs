//! The records of `_schemas`: keys and values as Confluent's registry writes them, and as others have written them.
//!
//! - A key is written in exactly one spelling: compaction compares bytes.
//! - Read is what any registry wrote: other orders of members, `"subject":null`, magic 0, extra members.
//! - What is not understood is kept out of the state and never written.

use aquifer_registry_schema::json::write_string;
use aquifer_registry_schema::{Metadata, Reference};
use serde_json::{Map, Value};

/// What a key stands for, whatever its spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A version of a subject.
    Schema { subject: String, version: i32 },
    /// The configuration of a subject, or of everything.
    Config { subject: Option<String> },
    /// The mode of a subject, or of everything.
    Mode { subject: Option<String> },
    /// Versions of a subject were soft-deleted.
    DeleteSubject { subject: String },
    /// A subject was emptied.
    ClearSubject { subject: String },
    /// A context exists.
    Context { tenant: String, context: String },
    /// Nothing; it marks a position in the log.
    Noop,
}

impl Key {
    /// Reads a key of any spelling; nothing if it is not one of ours to understand.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let key: Value = serde_json::from_slice(bytes).ok()?;
        let subject = || key.get("subject").and_then(Value::as_str).map(str::to_owned);
        let text = |name: &str| key.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(match key.get("keytype")?.as_str()? {
            "SCHEMA" => {
                let version = i32::try_from(key.get("version")?.as_i64()?).ok()?;
                Key::Schema { subject: subject()?, version }
            }
            "CONFIG" => Key::Config { subject: subject() },
            "MODE" => Key::Mode { subject: subject() },
            "DELETE_SUBJECT" => Key::DeleteSubject { subject: subject()? },
            "CLEAR_SUBJECT" => Key::ClearSubject { subject: subject()? },
            "CONTEXT" => Key::Context {
                tenant: text("tenant").unwrap_or_else(|| "default".to_owned()),
                context: text("context")?,
            },
            "NOOP" => Key::Noop,
            _ => return None,
        })
    }

    /// The one spelling that is written.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = String::from("{\"keytype\":");
        let (kind, magic) = match self {
            Key::Schema { .. } => ("SCHEMA", 1),
            Key::Config { .. } => ("CONFIG", 0),
            Key::Mode { .. } => ("MODE", 0),
            Key::DeleteSubject { .. } => ("DELETE_SUBJECT", 0),
            Key::ClearSubject { .. } => ("CLEAR_SUBJECT", 0),
            Key::Context { .. } => ("CONTEXT", 0),
            Key::Noop => ("NOOP", 0),
        };
        write_string(kind, &mut out);
        let mut member = |name: &str, value: &str| {
            out.push_str(&format!(",\"{name}\":"));
            write_string(value, &mut out);
        };
        match self {
            Key::Schema { subject, version } => {
                member("subject", subject);
                out.push_str(&format!(",\"version\":{version}"));
            }
            Key::Config { subject: Some(subject) }
            | Key::Mode { subject: Some(subject) }
            | Key::DeleteSubject { subject }
            | Key::ClearSubject { subject } => member("subject", subject),
            Key::Config { subject: None } | Key::Mode { subject: None } | Key::Noop => {}
            Key::Context { tenant, context } => {
                member("tenant", tenant);
                member("context", context);
            }
        }
        out.push_str(&format!(",\"magic\":{magic}}}"));
        out.into_bytes()
    }
}

/// The value of a version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SchemaValue {
    pub(crate) subject: String,
    pub(crate) version: i32,
    pub(crate) id: i32,
    pub(crate) schema_type: String,
    pub(crate) references: Vec<Reference>,
    /// As it was written: members we do not know included.
    pub(crate) metadata: Option<Value>,
    /// As it was written.
    pub(crate) rule_set: Option<Value>,
    pub(crate) schema: String,
    pub(crate) deleted: bool,
}

impl SchemaValue {
    /// Reads a value; nothing if what every version must have is missing.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let int = |name: &str| i32::try_from(value.get(name)?.as_i64()?).ok();
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let member = |name: &str| value.get(name).filter(|value| !value.is_null()).cloned();
        Some(Self {
            subject: text("subject")?,
            version: int("version")?,
            id: int("id")?,
            // Older registries leave out what is Avro.
            schema_type: text("schemaType").unwrap_or_else(|| "AVRO".to_owned()),
            references: value.get("references").map(references).unwrap_or_default(),
            metadata: member("metadata"),
            rule_set: member("ruleSet"),
            schema: text("schema")?,
            deleted: value.get("deleted").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut value = Map::new();
        value.insert("subject".into(), self.subject.clone().into());
        value.insert("version".into(), self.version.into());
        value.insert("id".into(), self.id.into());
        value.insert("schemaType".into(), self.schema_type.clone().into());
        if !self.references.is_empty() {
            let references = self.references.iter().map(reference_value).collect();
            value.insert("references".into(), Value::Array(references));
        }
        if let Some(metadata) = &self.metadata {
            value.insert("metadata".into(), metadata.clone());
        }
        if let Some(rule_set) = &self.rule_set {
            value.insert("ruleSet".into(), rule_set.clone());
        }
        value.insert("schema".into(), self.schema.clone().into());
        value.insert("deleted".into(), self.deleted.into());
        Value::Object(value).to_string().into_bytes()
    }
}

/// A reference as it stands in requests, answers and records.
pub(crate) fn reference_value(reference: &Reference) -> Value {
    serde_json::json!({
        "name": reference.name, "subject": reference.subject, "version": reference.version
    })
}

fn references(value: &Value) -> Vec<Reference> {
    let read = |value: &Value| {
        Some(Reference {
            name: value.get("name")?.as_str()?.to_owned(),
            subject: value.get("subject")?.as_str()?.to_owned(),
            version: i32::try_from(value.get("version")?.as_i64()?).ok()?,
        })
    };
    value.as_array().map(|all| all.iter().filter_map(read).collect()).unwrap_or_default()
}

/// The parts of metadata that count for identity.
pub(crate) fn metadata(value: &Value) -> Metadata {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let texts = |value: &Value| value.as_array().into_iter().flatten().filter_map(text).collect();
    let object = |name: &str| value.get(name).and_then(Value::as_object);
    Metadata {
        tags: object("tags")
            .map(|tags| tags.iter().map(|(path, tags)| (path.clone(), texts(tags))).collect()),
        properties: object("properties").map(|properties| {
            properties
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
                .collect()
        }),
        sensitive: value.get("sensitive").filter(|value| value.is_array()).map(texts),
    }
}

/// The value of a soft-deleted subject.
pub(crate) fn write_delete_subject(subject: &str, version: i32) -> Vec<u8> {
    serde_json::json!({"subject": subject, "version": version}).to_string().into_bytes()
}

/// The value of a context.
pub(crate) fn write_context(context: &str) -> Vec<u8> {
    serde_json::json!({"tenant": "default", "context": context}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &Key, expected: &str) {
        assert_eq!(String::from_utf8(key.write()).unwrap(), expected);
        assert_eq!(Key::read(expected.as_bytes()).as_ref(), Some(key));
    }

    #[test]
    fn keys_have_confluents_exact_bytes() {
        let subject = || "é\"-value".to_owned();
        check(
            &Key::Schema { subject: subject(), version: 3 },
            r#"{"keytype":"SCHEMA","subject":"é\"-value","version":3,"magic":1}"#,
        );
        check(&Key::Config { subject: None }, r#"{"keytype":"CONFIG","magic":0}"#);
        check(
            &Key::Config { subject: Some("s".into()) },
            r#"{"keytype":"CONFIG","subject":"s","magic":0}"#,
        );
        check(
            &Key::Mode { subject: Some("s".into()) },
            r#"{"keytype":"MODE","subject":"s","magic":0}"#,
        );
        check(
            &Key::DeleteSubject { subject: "s".into() },
            r#"{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}"#,
        );
        check(
            &Key::Context { tenant: "default".into(), context: ".c".into() },
            r#"{"keytype":"CONTEXT","tenant":"default","context":".c","magic":0}"#,
        );
        check(&Key::Noop, r#"{"keytype":"NOOP","magic":0}"#);
    }

    #[test]
    fn other_spellings_mean_the_same_key() {
        let expected = Key::Schema { subject: "é".into(), version: 1 };
        for spelling in [
            r#"{"subject":"\u00e9","version":1,"magic":1,"keytype":"SCHEMA"}"#,
            r#"{"keytype": "SCHEMA", "subject": "é", "version": 1, "magic": 0}"#,
            r#"{"keytype":"SCHEMA","subject":"é","version":1,"magic":1,"seq":4,"node":1}"#,
        ] {
            assert_eq!(Key::read(spelling.as_bytes()), Some(expected.clone()), "{spelling}");
        }
        let global = Key::read(br#"{"keytype":"CONFIG","subject":null,"magic":0}"#);
        assert_eq!(global, Some(Key::Config { subject: None }));
    }

    #[test]
    fn unknown_keys_are_not_understood_and_harmless() {
        for bytes in [&br#"{"keytype":"ASSOC","subject":"s","magic":0}"#[..], b"\xff", b"{}", b"1"]
        {
            assert_eq!(Key::read(bytes), None);
        }
    }

    #[test]
    fn values_have_confluents_members_in_order() {
        let value = SchemaValue {
            subject: "s".into(),
            version: 2,
            id: 7,
            schema_type: "AVRO".into(),
            references: vec![Reference { name: "a.B".into(), subject: "r".into(), version: 1 }],
            metadata: None,
            rule_set: None,
            schema: "\"string\"".into(),
            deleted: false,
        };
        let text = r#"{"subject":"s","version":2,"id":7,"schemaType":"AVRO","references":[{"name":"a.B","subject":"r","version":1}],"schema":"\"string\"","deleted":false}"#;
        assert_eq!(String::from_utf8(value.write()).unwrap(), text);
        assert_eq!(SchemaValue::read(text.as_bytes()), Some(value));
        let old = SchemaValue::read(br#"{"subject":"s","version":1,"id":1,"schema":"x"}"#).unwrap();
        assert_eq!((old.schema_type.as_str(), old.deleted), ("AVRO", false));
    }
}
