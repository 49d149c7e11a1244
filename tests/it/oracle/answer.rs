//! An answer as a tree of named values, read from what `Debug` prints, so that a field that a message gains is compared
//! without a line here.
//!
//! - Ids and times that no two brokers share are replaced: an id by its kind and the order in which it was seen (so that
//!   it is still seen which ids are the same), a time by a word.
//! - Lists are compared without regard to order; an element is named by what identifies it.

use std::collections::{BTreeMap, HashMap};

use aquifer_broker_protocol::batch::RecordBatch;

/// A value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A number, a text, a word.
    Leaf(String),
    /// A list.
    List(Vec<Value>),
    /// A structure's fields.
    Fields(Vec<(String, Value)>),
}

/// Fields whose values are ids, and of which kind.
const IDS: &[(&str, &str)] = &[
    ("topic_id", "topic-id"),
    ("member_id", "member"),
    ("leader", "member"),
    ("producer_id", "producer"),
    ("session_id", "session"),
    ("cluster_id", "cluster"),
    ("host", "host"),
    ("port", "port"),
    ("log_dir", "dir"),
    ("replica_directory_id", "directory"),
];

/// Fields that hold a time of the broker's own, or an epoch that rises with its restarts.
const TIMES: &[&str] = &[
    "log_append_time_ms",
    "transaction_start_time_ms",
    "last_timestamp",
    "last_fetch_timestamp",
    "last_caught_up_timestamp",
    "finalized_features_epoch",
    "coordinator_epoch",
];

/// What tells an element of a list from its neighbours, the first that it has.
const KEYS: &[&str] = &[
    "name",
    "topic",
    "topic_name",
    "group_id",
    "transactional_id",
    "api_key",
    "partition_index",
    "partition",
    "index",
    "partition_id",
    "key",
    "resource_name",
    "feature",
    "base_offset",
    "first_offset",
];

/// Fields whose lists are bytes: their order means something.
const BYTES: &[&str] = &["metadata", "assignment", "member_metadata", "member_assignment"];

/// Ids that were replaced so far.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<(&'static str, String), usize>);

/// Reads what `Debug` prints for an answer.
pub(crate) fn parse(text: &str) -> Value {
    let mut rest = text;
    value(&mut rest)
}

/// Every leaf by its path, with ids and times replaced.
pub(crate) fn flatten(tree: &Value, seen: &mut Seen) -> BTreeMap<String, String> {
    let mut tree = tree.clone();
    sort(&mut tree, "");
    replace(&mut tree, "", seen);
    // Elements that differ in nothing but ids.
    sort_plainly(&mut tree, "");
    let mut leaves = BTreeMap::new();
    walk(&tree, String::new(), &mut leaves);
    leaves
}

fn value(rest: &mut &str) -> Value {
    let text = rest.trim_start();
    if let Some(after) = text.strip_prefix('[') {
        *rest = after;
        return list(rest, ']');
    }
    if text.starts_with('"') || text.starts_with("b\"") {
        return Value::Leaf(quoted(rest));
    }
    let end =
        text.find(|c: char| !(c.is_alphanumeric() || "_-.+:".contains(c))).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let after = after.trim_start();
    if let Some(inside) = after.strip_prefix('(') {
        *rest = inside;
        return match list(rest, ')') {
            Value::List(items) if word == "Uuid" => Value::Leaf(hex(&items)),
            Value::List(mut items) if items.len() == 1 => records(items.remove(0), word),
            other => other,
        };
    }
    if let Some(inside) = after.strip_prefix('{') {
        *rest = inside;
        return fields(rest);
    }
    *rest = after;
    Value::Leaf(if word == "None" { "null".to_owned() } else { word.to_owned() })
}

fn list(rest: &mut &str, close: char) -> Value {
    let mut items = Vec::new();
    loop {
        let text = rest.trim_start().trim_start_matches(',').trim_start();
        if let Some(after) = text.strip_prefix(close) {
            *rest = after;
            return Value::List(items);
        }
        assert!(!text.is_empty(), "a list without an end");
        *rest = text;
        items.push(value(rest));
    }
}

fn fields(rest: &mut &str) -> Value {
    let mut fields = Vec::new();
    loop {
        let text = rest.trim_start().trim_start_matches(',').trim_start();
        if let Some(after) = text.strip_prefix('}') {
            *rest = after;
            return Value::Fields(fields);
        }
        let (name, after) = text.split_once(": ").unwrap_or((text, ""));
        *rest = after;
        fields.push((name.to_owned(), value(rest)));
    }
}

/// A text in quotes; inside, `\"` is the one escape that matters for finding the end.
fn quoted(rest: &mut &str) -> String {
    let text = rest.trim_start().trim_start_matches('b');
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => {
                *rest = &text[at + 1..];
                return text[..=at].to_owned();
            }
            _ => escaped = false,
        }
    }
    *rest = "";
    text.to_owned()
}

fn bytes(items: &[Value]) -> Option<Vec<u8>> {
    items
        .iter()
        .map(|item| match item {
            Value::Leaf(number) => number.parse().ok(),
            Value::List(_) | Value::Fields(_) => None,
        })
        .collect()
}

fn hex(items: &[Value]) -> String {
    let items = match items {
        [Value::List(inner)] => inner,
        other => other,
    };
    bytes(items).unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fetched records as batches and records; anything else in one pair of brackets as it is.
fn records(inside: Value, word: &str) -> Value {
    let raw = match (&inside, word) {
        (Value::List(items), "Borrowed") => bytes(items),
        (Value::Leaf(_) | Value::List(_) | Value::Fields(_), _) => return inside,
    };
    let Some(raw) = raw else { return inside };
    let mut batches = Vec::new();
    for batch in RecordBatch::parse_all(&raw) {
        let Ok(batch) = batch else { break };
        let mut about = vec![
            ("base_offset", batch.base_offset().to_string()),
            ("last_offset", batch.last_offset().to_string()),
            ("partition_leader_epoch", batch.partition_leader_epoch().to_string()),
            ("attributes", batch.attributes().to_string()),
            ("producer_id", batch.producer_id().to_string()),
            ("producer_epoch", batch.producer_epoch().to_string()),
            ("base_sequence", batch.base_sequence().to_string()),
            ("record_count", batch.record_count().to_string()),
            ("crc_holds", batch.verify_crc().is_ok().to_string()),
        ];
        if !batch.is_control() {
            about.push(("max_timestamp", batch.max_timestamp().to_string()));
        }
        for (number, record) in batch.records().into_iter().flatten().flatten().enumerate() {
            let name: &str = ["record_0", "record_1", "record_2", "record_3"]
                .get(number)
                .copied()
                .unwrap_or("record_n");
            // The value of a marker is the coordinator's epoch.
            let value = if batch.is_control() { None } else { record.value };
            about.push((name, format!("{:?} = {value:?}", record.key)));
        }
        batches.push(Value::Fields(
            about.into_iter().map(|(name, text)| (name.to_owned(), Value::Leaf(text))).collect(),
        ));
    }
    Value::List(batches)
}

/// Whether a value says "none".
fn is_none(text: &str) -> bool {
    matches!(text, "" | "\"\"" | "null" | "-1" | "0" | "00000000000000000000000000000000")
}

fn kind(field: &str) -> Option<&'static str> {
    IDS.iter().find(|(name, _)| *name == field).map(|(_, kind)| *kind)
}

fn replace(tree: &mut Value, field: &str, seen: &mut Seen) {
    match tree {
        // No words are no words.
        Value::Leaf(text) if text == "\"\"" && field.ends_with("error_message") => {
            "null".clone_into(text);
        }
        Value::Leaf(text) if TIMES.contains(&field) && text != "-1" => "<own>".clone_into(text),
        Value::Leaf(text) if is_none(text) && field != "producer_id" => {}
        Value::Leaf(text) if field.ends_with("error_message") => "<text>".clone_into(text),
        Value::Leaf(text) => {
            if let Some(kind) = kind(field)
                && text != "-1"
            {
                let next = seen.0.keys().filter(|(other, _)| *other == kind).count();
                let number = *seen.0.entry((kind, text.clone())).or_insert(next);
                *text = format!("<{kind} {number}>");
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| replace(item, field, seen)),
        Value::Fields(fields) => {
            fields.iter_mut().for_each(|(name, value)| replace(value, name, seen));
        }
    }
}

/// Sorts every list by what its elements say apart from ids.
fn sort(tree: &mut Value, field: &str) {
    sort_by(tree, field, &|item| {
        let mut masked = item.clone();
        mask(&mut masked, "");
        masked
    });
}

fn sort_plainly(tree: &mut Value, field: &str) {
    sort_by(tree, field, &Value::clone);
}

fn sort_by(tree: &mut Value, field: &str, by: &impl Fn(&Value) -> Value) {
    match tree {
        Value::Leaf(_) => {}
        Value::List(items) if is_bytes(items, field) => {}
        Value::List(items) => {
            items.iter_mut().for_each(|item| sort_by(item, field, by));
            items.sort_by_cached_key(|item| (key(item), format!("{:?}", by(item))));
        }
        Value::Fields(fields) => {
            fields.iter_mut().for_each(|(name, value)| sort_by(value, name, by));
        }
    }
}

fn is_bytes(items: &[Value], field: &str) -> bool {
    BYTES.contains(&field) && items.iter().all(|item| matches!(item, Value::Leaf(_)))
}

fn mask(tree: &mut Value, field: &str) {
    match tree {
        Value::Leaf(text) if kind(field).is_some() => "?".clone_into(text),
        Value::Leaf(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| mask(item, field)),
        Value::Fields(fields) => fields.iter_mut().for_each(|(name, value)| mask(value, name)),
    }
}

fn key(item: &Value) -> Option<String> {
    let Value::Fields(fields) = item else { return None };
    KEYS.iter().find_map(|wanted| {
        fields.iter().find_map(|(name, value)| match value {
            Value::Leaf(text) if name == wanted => Some(format!("{text:0>6}")),
            Value::Leaf(_) | Value::List(_) | Value::Fields(_) => None,
        })
    })
}

fn walk(tree: &Value, path: String, leaves: &mut BTreeMap<String, String>) {
    match tree {
        Value::Leaf(text) => {
            leaves.insert(path, text.clone());
        }
        Value::List(items) if items.iter().all(|item| matches!(item, Value::Leaf(_))) => {
            let words = items.iter().filter_map(|item| match item {
                Value::Leaf(text) => Some(text.as_str()),
                Value::List(_) | Value::Fields(_) => None,
            });
            leaves.insert(path, format!("[{}]", words.collect::<Vec<_>>().join(", ")));
        }
        Value::List(items) => {
            leaves.insert(format!("{path}.length"), items.len().to_string());
            for (index, item) in items.iter().enumerate() {
                let name = key(item).map(|key| key.trim_start_matches('0').replace('"', ""));
                let name = match name.as_deref() {
                    Some("") => "0".to_owned(),
                    Some(name) => name.to_owned(),
                    None => format!("#{index}"),
                };
                let mut place = format!("{path}[{name}]");
                while leaves.keys().any(|other| other.starts_with(&format!("{place}."))) {
                    place.push('\'');
                }
                walk(item, place, leaves);
            }
        }
        Value::Fields(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                walk(value, format!("{path}{dot}{name}"), leaves);
            }
        }
    }
}

#[test]
fn an_answer_becomes_a_flat_list_of_fields() {
    let text = r#"Answer { throttle_time_ms: 0, topics: [Topic { name: "b", topic_id: Uuid([1, 2]), partitions: [] }, Topic { name: "a", error_message: Some("said \"so\""), partitions: [1, 2] }], leader: None }"#;
    let leaves = flatten(&parse(text), &mut Seen::default());
    let expected = [
        ("leader", "null"),
        ("throttle_time_ms", "0"),
        ("topics.length", "2"),
        ("topics[a].error_message", "<text>"),
        ("topics[a].name", "\"a\""),
        ("topics[a].partitions", "[1, 2]"),
        ("topics[b].name", "\"b\""),
        ("topics[b].partitions", "[]"),
        ("topics[b].topic_id", "<topic-id 0>"),
    ];
    let expected = expected.map(|(path, value)| (path.to_owned(), value.to_owned()));
    assert_eq!(leaves, BTreeMap::from(expected));
}

#[test]
fn equal_ids_stay_equal_and_others_stay_apart() {
    let mut seen = Seen::default();
    let first =
        parse(r#"A { leader: "x-1", members: [M { member_id: "x-1" }, M { member_id: "y-2" }] }"#);
    let leaves = flatten(&first, &mut seen);
    assert_eq!(leaves["leader"], "<member 0>");
    let mut members: Vec<&str> =
        ["members[#0].member_id", "members[#1].member_id"].map(|path| leaves[path].as_str()).into();
    members.sort_unstable();
    assert_eq!(members, ["<member 0>", "<member 1>"]);
    assert_eq!(flatten(&parse(r#"A { member_id: "" }"#), &mut seen)["member_id"], "\"\"");
}
