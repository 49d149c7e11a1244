//! Decisions, applied to the state they were made from: each test is a short history of a registry.

use aquifer_registry_schema::CompatibilityLevel;
use serde_json::json;

use super::*;

/// A registry without brokers: what is decided is applied at once.
struct Registry {
    view: View,
}

impl Registry {
    fn new() -> Self {
        Self { view: View::new("_schemas", CompatibilityLevel::Backward) }
    }

    fn write<T>(&self, decision: Result<Decision<T>, ApiError>) -> Result<T, i32> {
        let Decision { records, mark, reply } = decision.map_err(|err| err.code().1)?;
        if let Some((context, id)) = mark {
            let (key, value) = crate::marks::Marks::record("_schemas", &context, id);
            self.view.marks.write().apply(&key, Some(&value));
        }
        for (key, value) in records {
            self.view.state.write().apply(&key, value.as_deref(), None);
        }
        Ok(reply)
    }

    /// Registers; answers version and id, or the error code.
    fn register(&self, subject: &str, text: &str) -> Result<(i32, i32), i32> {
        self.register_new(&new(subject, text))
    }

    fn register_new(&self, new: &NewSchema) -> Result<(i32, i32), i32> {
        let decision = register(&self.view, new, &mut Ahead::default());
        self.write(decision).map(|found| (found.version, found.schema.id))
    }

    fn delete_version(&self, subject: &str, version: i32, deletion: Deletion) -> Result<i32, i32> {
        self.write(delete_version(&self.view, subject, Some(version), deletion))
    }

    fn delete_subject(&self, subject: &str, deletion: Deletion) -> Result<Vec<i32>, i32> {
        self.write(delete_subject(&self.view, subject, deletion))
    }

    /// The log after compaction and a restart: only what every key holds last, and no memory of ids.
    fn apply(&self, key: &str, value: Option<&str>) {
        self.view.state.write().apply(key.as_bytes(), value.map(str::as_bytes), None);
    }
}

fn new(subject: &str, text: &str) -> NewSchema {
    NewSchema {
        subject: subject.to_owned(),
        schema_type: "AVRO".to_owned(),
        text: text.to_owned(),
        references: Vec::new(),
        metadata: None,
        version: None,
        id: None,
        normalize: false,
    }
}

fn record_of(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"n.R","fields":[{fields}]}}"#)
}

const A: &str = r#"{"name":"a","type":"int"}"#;
const B: &str = r#"{"name":"b","type":"int","default":0}"#;
const C: &str = r#"{"name":"c","type":"int"}"#;

#[test]
fn same_schema_has_one_id_in_every_subject() {
    let registry = Registry::new();
    assert_eq!(registry.register("s", &record_of(A)), Ok((1, 1)));
    assert_eq!(registry.register("s", &record_of(A)), Ok((1, 1)));
    assert_eq!(registry.register("t", &record_of(&A.replace(':', " : "))), Ok((1, 1)));
    assert_eq!(registry.register("s", &record_of(&format!("{A},{B}"))), Ok((2, 2)));
    assert_eq!(registry.register("t", "\"string\""), Err(409));
}

#[test]
fn incompatible_schema_is_refused_by_the_level_in_force() {
    let registry = Registry::new();
    registry.register("s", &record_of(A)).unwrap();
    assert_eq!(registry.register("s", &record_of(&format!("{A},{C}"))), Err(409));
    let level = |level: &str| {
        let members = json!({"compatibilityLevel": level}).as_object().cloned().unwrap();
        registry.write(set_config(&registry.view, Some("s"), &members)).unwrap();
    };
    level("FORWARD");
    assert_eq!(registry.register("s", &record_of(&format!("{A},{C}"))), Ok((2, 2)));
    level("NONE");
    assert_eq!(registry.register("s", "\"string\""), Ok((3, 3)));
}

#[test]
fn soft_deleted_version_keeps_its_id_and_gives_way_when_registered_again() {
    let registry = Registry::new();
    registry.register("s", &record_of(A)).unwrap();
    assert_eq!(registry.delete_version("s", 1, Deletion::Hard), Err(40407));
    assert_eq!(registry.delete_version("s", 1, Deletion::Soft), Ok(1));
    assert_eq!(registry.delete_version("s", 1, Deletion::Soft), Err(40406));
    assert_eq!(registry.delete_subject("s", Deletion::Soft), Err(40404));
    assert_eq!(registry.register("s", &record_of(A)), Ok((2, 1)));
    let state = registry.view.state.read();
    let versions = state.versions("s", Lookup::WithDeleted);
    assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [2]);
}

#[test]
fn hard_deleted_id_is_never_given_out_again() {
    let registry = Registry::new();
    registry.register("s", "\"int\"").unwrap();
    assert_eq!(registry.delete_subject("s", Deletion::Hard), Err(40405));
    assert_eq!(registry.delete_subject("s", Deletion::Soft), Ok(vec![1]));
    assert_eq!(registry.delete_subject("s", Deletion::Hard), Ok(vec![1]));
    assert_eq!(registry.delete_subject("s", Deletion::Hard), Err(40401));
    // Compaction has removed every trace from the topic; only the mark is left.
    *registry.view.state.write() = State::default();
    assert_eq!(registry.register("s", "\"int\""), Ok((1, 2)));
}

#[test]
fn deleting_takes_every_spelling_of_a_key() {
    let registry = Registry::new();
    let odd = r#"{"subject":"s","version":1,"magic":1,"keytype":"SCHEMA"}"#;
    let value = r#"{"subject":"s","version":1,"id":1,"schema":"\"int\"","deleted":true}"#;
    registry.apply(odd, Some(value));
    let decision = delete_version(&registry.view, "s", Some(1), Deletion::Hard).unwrap();
    let keys: Vec<_> = decision
        .records
        .iter()
        .map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), value.is_none()))
        .collect();
    let ours = r#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#;
    assert_eq!(keys, [(odd.to_owned(), true), (ours.to_owned(), true)]);
}

#[test]
fn referenced_version_stays_as_long_as_it_is_referenced() {
    let registry = Registry::new();
    registry.register("base", &record_of(A)).unwrap();
    let mut user = new("user", r#"{"type":"array","items":"n.R"}"#);
    assert_eq!(registry.register_new(&user), Err(42201));
    user.references = vec![Reference { name: "n.R".into(), subject: "base".into(), version: -1 }];
    assert_eq!(registry.register_new(&user), Ok((1, 2)));
    let stored = registry.view.state.read().version("user", None, Lookup::Live).unwrap();
    assert_eq!(stored.schema.references[0].version, 1, "the latest version is written by number");
    assert_eq!(registry.delete_version("base", 1, Deletion::Soft), Err(42206));
    assert_eq!(registry.delete_subject("base", Deletion::Soft), Err(42206));
    registry.delete_subject("user", Deletion::Soft).unwrap();
    assert_eq!(registry.delete_subject("base", Deletion::Soft), Ok(vec![1]));
    assert_eq!(registry.delete_subject("base", Deletion::Hard), Err(42206));
    registry.delete_subject("user", Deletion::Hard).unwrap();
    assert_eq!(registry.delete_subject("base", Deletion::Hard), Ok(vec![1]));
}

#[test]
fn reformatted_or_inlined_schema_is_found() {
    let registry = Registry::new();
    // As another registry stored it: members sorted, so that the text's hash is another.
    registry.apply(
        r#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#,
        Some(r#"{"subject":"s","version":1,"id":9,"schema":"{\"fields\":[{\"name\":\"a\",\"type\":\"int\"}],\"name\":\"R\",\"namespace\":\"n\",\"type\":\"record\"}"}"#),
    );
    assert_eq!(registry.register("s", &record_of(A)), Ok((1, 9)));
    let found = look_up(&registry.view, &new("s", &record_of(A)), Lookup::Live).unwrap();
    assert_eq!(found.version, 1);
    let missing = look_up(&registry.view, &new("s", "\"int\""), Lookup::Live).unwrap_err();
    assert_eq!(missing.code().1, 40403);
}

#[test]
fn modes_of_other_registries_are_obeyed() {
    let registry = Registry::new();
    registry.register("s", "\"int\"").unwrap();
    registry.apply(
        r#"{"keytype":"MODE","subject":"s","magic":0}"#,
        Some(r#"{"subject":"s","mode":"READONLY"}"#),
    );
    assert_eq!(registry.register("s", "\"long\""), Err(42205));
    assert_eq!(registry.delete_subject("s", Deletion::Soft), Err(42205));
    assert_eq!(registry.register("t", "\"long\""), Ok((1, 2)));
    let mut with_id = new("t", "\"int\"");
    with_id.id = Some(5);
    assert_eq!(registry.register_new(&with_id), Err(42205));
}

#[test]
fn config_is_merged_and_deleted() {
    let registry = Registry::new();
    let set = |members: Value| {
        let members = members.as_object().cloned().unwrap();
        registry.write(set_config(&registry.view, Some("s"), &members)).unwrap();
    };
    set(json!({"compatibilityLevel": "FULL"}));
    set(json!({"normalize": true}));
    let config = registry.view.state.read().config(Some("s")).cloned();
    assert_eq!(
        Value::from(config.unwrap()),
        json!({"subject": "s", "compatibilityLevel": "FULL", "normalize": true})
    );
    registry.write(delete_config(&registry.view, Some("s"))).unwrap();
    let again = registry.write(delete_config(&registry.view, Some("s")));
    assert_eq!(again.unwrap_err(), 40401);
}

#[test]
fn other_contexts_count_ids_from_one_and_are_declared() {
    let registry = Registry::new();
    registry.register("s", "\"int\"").unwrap();
    assert_eq!(registry.register(":.c:s", "\"int\""), Ok((1, 1)));
    assert_eq!(registry.register(":.c:t", "\"long\""), Ok((1, 2)));
    assert!(registry.view.state.read().declares_context(".c"));
}

#[test]
fn other_types_are_refused_by_name() {
    let registry = Registry::new();
    let mut json_schema = new("s", "{}");
    json_schema.schema_type = "JSON".to_owned();
    let err = register(&registry.view, &json_schema, &mut Ahead::default()).unwrap_err();
    assert_eq!(err.code(), (422, 42201));
    assert!(err.to_string().contains("JSON"), "{err}");
}

#[test]
fn registrations_of_one_transaction_share_ids_of_the_same_schema_and_no_others() {
    let registry = Registry::new();
    registry.register("s", &record_of(A)).unwrap();
    let mut ahead = Ahead::default();
    let ids: Vec<i32> = [("a", A), ("b", B), ("c", B), ("d", C)]
        .iter()
        .map(|(subject, fields)| {
            let new = new(subject, &record_of(fields));
            register(&registry.view, &new, &mut ahead).unwrap().reply.schema.id
        })
        .collect();
    assert_eq!(ids, [1, 2, 2, 3]);
}
