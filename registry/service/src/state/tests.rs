//! The fold, record by record.

use super::*;

/// Applies records, one per line, `key => value`; no value is a tombstone.
fn fold(records: &str) -> State {
    let mut state = State::default();
    for line in records.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once(" => ").unwrap_or((line, ""));
        let value = Some(value.as_bytes()).filter(|value| !value.is_empty());
        state.apply(key.trim().as_bytes(), value, Some(1));
    }
    state
}

fn schema(subject: &str, version: i32, id: i32, text: &str) -> String {
    let key = Key::Schema { subject: subject.into(), version }.write();
    let value =
        serde_json::json!({"subject": subject, "version": version, "id": id, "schema": text});
    format!("{} => {value}\n", String::from_utf8(key).unwrap())
}

fn live(state: &State, subject: &str) -> Vec<i32> {
    state.versions(subject, Lookup::Live).iter().map(|version| version.version).collect()
}

#[test]
fn versions_and_ids_follow_the_records() {
    let state = fold(&(schema("a", 1, 1, "x") + &schema("a", 2, 2, "y") + &schema("b", 1, 1, "x")));
    assert_eq!(live(&state, "a"), [1, 2]);
    assert_eq!(state.version("a", None, Lookup::Live).unwrap().schema.id, 2);
    let of_one = state.versions_of_id(".", 1, Lookup::Live).unwrap();
    assert_eq!(of_one, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    assert_eq!((state.id_max("."), state.id_max(".other")), (2, 0));
    let first = state.version("a", Some(1), Lookup::Live).unwrap().schema;
    let second = state.version("b", Some(1), Lookup::Live).unwrap().schema;
    assert!(Arc::ptr_eq(&first, &second), "text is held once");
}

#[test]
fn schema_is_found_by_its_identity_in_any_context() {
    let state = fold(&(schema(":.c:a", 1, 1, "x") + &schema("a", 1, 7, "x")));
    let identity = state.by_id(".c", 1).unwrap().identity;
    let (context, found) = state.by_identity(&identity).unwrap();
    assert_eq!((context.as_str(), found.id), (".", 7));
    let tombstone = r#"{"keytype":"SCHEMA","subject":"a","version":1,"magic":1}"#;
    let state = fold(&(schema(":.c:a", 1, 1, "x") + &schema("a", 1, 7, "x") + tombstone));
    assert_eq!(state.by_identity(&identity).unwrap().0, ".c");
}

#[test]
fn soft_deleted_subject_goes_on_counting_versions() {
    let deleted =
        r#"{"keytype":"DELETE_SUBJECT","subject":"a","magic":0} => {"subject":"a","version":2}"#;
    let state = fold(&format!(
        "{}{}{deleted}\n{}",
        schema("a", 1, 1, "x"),
        schema("a", 2, 2, "y"),
        schema("a", 3, 1, "x")
    ));
    assert_eq!(live(&state, "a"), [3]);
    assert_eq!(state.versions("a", Lookup::WithDeleted).len(), 3);
    assert_eq!(state.versions("a", Lookup::OnlyDeleted).len(), 2);
}

#[test]
fn tombstone_removes_for_good_and_keeps_the_highest_id() {
    let tombstone = r#"{"keytype":"SCHEMA","subject":"a","version":2,"magic":1}"#;
    let state = fold(&format!("{}{}{tombstone}", schema("a", 1, 1, "x"), schema("a", 2, 2, "y")));
    assert_eq!(live(&state, "a"), [1]);
    assert!(state.by_id(".", 2).is_none());
    assert_eq!(state.id_max("."), 2);
}

#[test]
fn every_spelling_that_holds_a_value_is_known() {
    let odd = r#"{"subject":"a","version":1,"magic":1,"keytype":"SCHEMA"}"#;
    let key = Key::Schema { subject: "a".into(), version: 1 };
    let value = r#"{"subject":"a","version":1,"id":1,"schema":"x"}"#;
    let state = fold(&format!("{odd} => {value}\n{}", schema("a", 1, 1, "x")));
    assert_eq!(state.spellings(&key), [odd.as_bytes()]);
    let state = fold(&format!("{odd} => {value}\n{odd}"));
    assert!(state.spellings(&key).is_empty() && live(&state, "a").is_empty());
}

#[test]
fn contexts_have_ids_of_their_own() {
    let state = fold(&(schema("a", 1, 5, "x") + &schema(":.c:a", 1, 1, "y")));
    assert_eq!((state.id_max("."), state.id_max(".c")), (5, 1));
    assert_eq!(state.by_id(".c", 1).unwrap().text, "y");
    assert_eq!(state.subject_names(":*:", Lookup::Live), [":.c:a", "a"]);
    assert_eq!(state.subject_names("", Lookup::Live), ["a"]);
    assert_eq!(state.subject_names(":.c:", Lookup::Live), [":.c:a"]);
    assert_eq!(state.subject_names(":*:b", Lookup::Live), [""; 0]);
    assert_eq!(state.context_names().into_iter().collect::<Vec<_>>(), [".", ".c"]);
}

#[test]
fn second_text_under_an_id_is_reported_and_the_first_stays() {
    let mut state = fold(&schema("a", 1, 1, "x"));
    let key = Key::Schema { subject: "b".into(), version: 1 }.write();
    let value = br#"{"subject":"b","version":1,"id":1,"schema":"y"}"#;
    assert_eq!(state.apply(&key, Some(value), None), Applied::IdReused { id: 1 });
    assert_eq!(state.by_id(".", 1).unwrap().text, "x");
    assert_eq!(state.version("b", None, Lookup::Live).unwrap().schema.text, "y");
}

#[test]
fn config_and_mode_are_found_in_the_nearest_scope() {
    let state = fold(
        r#"{"keytype":"CONFIG","subject":null,"magic":0} => {"compatibilityLevel":"FULL"}
        {"keytype":"CONFIG","subject":"a","magic":0} => {"subject":"a","compatibilityLevel":"NONE"}
        {"keytype":"CONFIG","subject":"n","magic":0} => {"normalize":true}
        {"keytype":"MODE","subject":":.c:","magic":0} => {"subject":":.c:","mode":"READONLY"}"#,
    );
    assert_eq!(state.level_in_scope(Some("a")), Some(CompatibilityLevel::None));
    assert_eq!(state.level_in_scope(Some("n")), Some(CompatibilityLevel::Full));
    assert_eq!(state.level_in_scope(None), Some(CompatibilityLevel::Full));
    assert_eq!(state.level_in_scope(Some(":.c:a")), None);
    assert_eq!(state.mode_in_scope(Some(":.c:a")), "READONLY");
    assert_eq!(state.mode_in_scope(Some("a")), "READWRITE");
}

#[test]
fn junk_changes_nothing() {
    let mut state = fold(&schema("a", 1, 1, "x"));
    let key = Key::Schema { subject: "a".into(), version: 1 }.write();
    for (key, value) in [
        (&b"junk"[..], Some(&b"junk"[..])),
        (&key, Some(b"junk")),
        (&key, Some(b"{}")),
        (br#"{"keytype":"ASSOC","magic":0}"#, Some(b"{}")),
        (br#"{"keytype":"DELETE_SUBJECT","subject":"a","magic":0}"#, Some(b"{}")),
    ] {
        assert_eq!(state.apply(key, value, None), Applied::NotUnderstood);
    }
    assert_eq!(live(&state, "a"), [1]);
}
