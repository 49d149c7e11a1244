//! Streams to records and positions, over restarts too.

#![allow(clippy::wildcard_enum_match_arm)]

use std::collections::HashMap;

use aquifer_connect_api::VERSION_HEADER;
use bytes::BufMut;
use proptest::prelude::*;

use super::*;
use crate::column::{TypeInfo, Types};
use crate::config::CONFIG;
use crate::pgoutput::tests::recorded;
use crate::relation::TableFacts;
use crate::settings::Settings;

/// The recorded messages as the walsender frames them, a keepalive after the last.
fn frames() -> Bytes {
    let mut out = BytesMut::new();
    let mut frame = |tag: u8, head: &[u64], body: &[u8]| {
        let length = 4 + 1 + head.len() * 8 + body.len();
        out.put_u8(b'd');
        out.put_u32(u32::try_from(length).unwrap());
        out.put_u8(tag);
        head.iter().for_each(|word| out.put_u64(*word));
        out.put_slice(body);
    };
    let mut last = Lsn::ZERO;
    for (lsn, message) in recorded() {
        last = lsn;
        frame(b'w', &[lsn.0, lsn.0, 0], &message);
    }
    frame(b'k', &[last.0 + 800, 0], &[0]);
    out.freeze()
}

fn settings(pairs: &[(&str, &str)]) -> EventSettings {
    let mut config = aquifer_connect_api::config::ConfigMap::new();
    let defaults = [
        ("database.hostname", "h"),
        ("database.user", "u"),
        ("database.dbname", "db"),
        ("topic.prefix", "shop"),
    ];
    for (key, value) in defaults.iter().chain(pairs) {
        config.insert((*key).to_owned(), (*value).to_owned());
    }
    assert_eq!(CONFIG.errors(&config), []);
    Settings::read(&config).unwrap().events
}

fn session(settings: EventSettings, position: Position) -> Session {
    let envelopes = Envelopes::new("shop", "db", "1-1");
    Session::new(settings, envelopes, position)
}

/// What the catalogue would say of the recorded tables.
fn install(session: &mut Session, shape: &RelationShape) {
    let not_null = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), None)).collect();
    let facts = match shape.table.as_str() {
        "item" => {
            TableFacts { not_null: not_null(&["id", "name"]), primary_key: vec!["id".into()] }
        }
        "other" => TableFacts { not_null: not_null(&["x"]), primary_key: vec!["x".into()] },
        _ => TableFacts::default(),
    };
    let mood = TypeInfo {
        name: "mood".into(),
        kind: 'e',
        labels: vec!["sad".into(), "ok".into()],
        ..TypeInfo::default()
    };
    let enums: Vec<u32> =
        shape.columns.iter().filter(|c| c.name == "mood").map(|c| c.type_oid).collect();
    let types: Types = enums.into_iter().map(|oid| (oid, mood.clone())).collect();
    let (settings, envelopes) = session.parts();
    let compiled = CompiledRelation::compile(shape, &facts, &types, settings, envelopes);
    session.install(shape.oid, Some(Arc::new(compiled)));
}

/// Runs over all frames in batches; gives each batch with the position after it.
fn run(session: &mut Session, batch: usize) -> Vec<(Vec<Record>, Position)> {
    let frames = frames();
    let (mut cursor, mut batches) = (0, Vec::new());
    let mut records = Vec::new();
    loop {
        match session.run(&frames, &mut cursor, &mut records, batch, 0).unwrap() {
            Outcome::Relation(shape, end) => {
                install(session, &shape);
                cursor = end;
            }
            outcome => {
                batches.push((std::mem::take(&mut records), session.position));
                if outcome == Outcome::Drained {
                    return batches;
                }
            }
        }
    }
}

fn all(settings: EventSettings) -> Vec<Record> {
    let mut session = session(settings, Position::default());
    run(&mut session, usize::MAX).pop().unwrap().0
}

/// `item c [5] 3` for table, operation, key, version's index; tombstones have `-`.
fn describe(record: &Record) -> String {
    let table = record.topic.rsplit('.').next().unwrap();
    let op = record.value.as_struct().and_then(|v| v.get(4)).and_then(Value::as_str);
    let key = record
        .key
        .as_struct()
        .map(|key| key.iter().map(|v| v.as_i64().unwrap()).collect::<Vec<_>>());
    let version = record.headers.last(VERSION_HEADER).unwrap().value.as_i64().unwrap();
    let mut text = format!("{table} {} {key:?} {}", op.unwrap_or("-"), version & 4095);
    for header in &record.headers.0 {
        if let Some(name) = header.key.strip_prefix("__debezium.") {
            text.push_str(&format!(" {name}={:?}", header.value.as_struct().unwrap()));
        }
        if header.key == "__unavailable" {
            text.push_str(&format!(" unavailable={}", header.value.as_str().unwrap()));
        }
    }
    text
}

#[test]
fn recorded_changes_become_events_in_their_order() {
    let found: Vec<String> = all(settings(&[])).iter().map(describe).collect();
    let expected = [
        "item c Some([1]) 0",
        "item c Some([2]) 1",
        "item c Some([3]) 2",
        "item c Some([4]) 3",
        "item c Some([5]) 4",
        "other c Some([1]) 0",
        "item c Some([6]) 1",
        "other c Some([2]) 2",
        "other c Some([3]) 3",
        "other c Some([4]) 4",
        "item u Some([6]) 5 unavailable=big",
        "item d Some([6]) 6 newkey=[Int32(60)]",
        "item - Some([6]) 6 newkey=[Int32(60)]",
        "item c Some([60]) 6 oldkey=[Int32(6)] unavailable=big",
        "whole c None 7",
        "whole c None 8",
        "whole u None 9",
        "whole d None 10",
        "item d Some([2]) 11",
        "item - Some([2]) 11",
        "item d Some([5]) 0 newkey=[Int32(6)]",
        "item - Some([5]) 0 newkey=[Int32(6)]",
        "item c Some([6]) 0 oldkey=[Int32(5)]",
        "item d Some([4]) 1 newkey=[Int32(5)]",
        "item - Some([4]) 1 newkey=[Int32(5)]",
        "item c Some([5]) 1 oldkey=[Int32(4)]",
    ];
    assert_eq!(found, expected);
}

#[test]
fn truncates_are_events_only_when_they_are_not_skipped() {
    let records = all(settings(&[("skipped.operations", "none")]));
    let found: Vec<String> = records.iter().rev().take(2).map(describe).collect();
    assert_eq!(found, ["whole t None 0", "item t None 0"]);
    let records =
        all(settings(&[("skipped.operations", "c,u,d,t"), ("tombstones.on.delete", "false")]));
    // What is left is the two parts of each changed key, which is neither an update nor a delete of its own.
    assert_eq!(records.len(), 6);
}

#[test]
fn tables_that_are_left_out_give_no_events_but_count() {
    let records = all(settings(&[("table.include.list", "public.item")]));
    let found: Vec<String> = records.iter().map(describe).collect();
    assert!(found.contains(&"item u Some([6]) 5 unavailable=big".to_owned()), "{found:?}");
    assert!(found.iter().all(|line| line.starts_with("item")), "{found:?}");
}

#[test]
fn unchanged_toast_is_filled_in_where_the_whole_old_row_is_known() {
    let records = all(settings(&[]));
    let placeholder = |record: &Record| {
        let after = record.value.as_struct().unwrap()[1].as_struct().unwrap();
        after.last().unwrap().as_str() == Some("__debezium_unavailable_value")
    };
    assert!(placeholder(&records[10]));
    assert!(!placeholder(&records[16]), "replica identity full has every value");
}

#[test]
fn a_delete_has_defaults_where_its_old_row_has_only_the_key() {
    let records = all(settings(&[]));
    let before = records[18].value.as_struct().unwrap()[0].as_struct().unwrap().to_vec();
    let expected = [Value::Int32(2), Value::string(""), Value::Null, Value::Null, Value::Null];
    assert_eq!(before, expected);
}

#[test]
fn wal_after_the_last_transaction_is_done_once_a_keepalive_says_so() {
    let mut session = session(settings(&[]), Position::default());
    run(&mut session, usize::MAX);
    let (last, _) = recorded().pop().unwrap();
    assert_eq!(session.position.flush, Lsn(last.0 + 800));
    assert_eq!(session.position.partial, None);
}

#[test]
fn a_change_outside_of_a_transaction_is_an_error() {
    let mut session = session(settings(&[]), Position::default());
    let mut records = Vec::new();
    let (lsn, insert) = &recorded()[3];
    let message = Message::parse(insert).unwrap();
    let result = session.message(*lsn, message, &Bytes::new(), &mut records, 0);
    assert!(result.is_err());
}

/// Without the version of the batch's making, which a resumed session repeats exactly.
fn rest(settings: EventSettings, position: Position) -> Vec<Record> {
    let mut session = session(settings, position);
    run(&mut session, usize::MAX).pop().unwrap().0
}

proptest! {
    /// The acceptance test of resuming: whatever the batches are, what follows a stored position is exactly what came after it.
    #[test]
    fn prop_resuming_anywhere_repeats_and_loses_nothing(batch in 1usize..12, cut in any::<prop::sample::Index>()) {
        let mut whole = session(settings(&[]), Position::default());
        let batches = run(&mut whole, batch);
        let cut = cut.index(batches.len());
        let (_, position) = batches[cut];
        let expected: Vec<String> =
            batches[cut + 1..].iter().flat_map(|(records, _)| records.iter().map(describe)).collect();
        let found: Vec<String> = rest(settings(&[]), position).iter().map(describe).collect();
        prop_assert_eq!(found, expected);
    }

    /// Positions count changes of all tables, so another list of tables resumes at the same place.
    #[test]
    fn prop_resuming_with_other_filters_keeps_the_place(batch in 1usize..12, cut in any::<prop::sample::Index>()) {
        let mut whole = session(settings(&[]), Position::default());
        let batches = run(&mut whole, batch);
        let cut = cut.index(batches.len());
        let (_, position) = batches[cut];
        let after = batches[cut + 1..].iter().flat_map(|(records, _)| records.iter().map(describe));
        let expected: Vec<String> = after.filter(|line| line.starts_with("item")).collect();
        let found = rest(settings(&[("table.include.list", "public.item")]), position);
        prop_assert_eq!(found.iter().map(describe).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn versions_rise_with_the_order_of_changes_to_a_key() {
    let mut last: HashMap<String, i64> = HashMap::new();
    for record in all(settings(&[])).iter().filter(|record| !record.key.is_null()) {
        let version = record.headers.last(VERSION_HEADER).unwrap().value.as_i64().unwrap();
        let key = format!("{} {:?}", record.topic, record.key);
        let before = last.insert(key.clone(), version);
        assert!(before.is_none_or(|before| before <= version), "{key}");
    }
}
