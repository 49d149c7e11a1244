//! Messages of the stream, whole and broken.

#![allow(clippy::wildcard_enum_match_arm)]

use proptest::prelude::*;

use super::*;

/// LSN and bytes of each message that Postgres sent, recorded as the file's first line says.
pub(crate) fn recorded() -> Vec<(Lsn, Vec<u8>)> {
    let text = include_str!("../../test_data/pgoutput/shop.txt");
    let line = |line: &str| {
        let (lsn, hex) = line.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (lsn.parse().unwrap(), (0..hex.len()).step_by(2).map(byte).collect())
    };
    text.lines().skip(1).map(line).collect()
}

fn describe(message: &Message<'_>) -> String {
    let tuple = |tuple: &Tuple<'_>| {
        let value = |value| match value {
            TupleValue::Null => "null".to_owned(),
            TupleValue::Unchanged => "unchanged".to_owned(),
            TupleValue::Text(text) if text.len() > 20 => format!("{} bytes", text.len()),
            TupleValue::Text(text) => String::from_utf8_lossy(text).into_owned(),
        };
        tuple.values().map(value).collect::<Vec<_>>().join(",")
    };
    let old = |old: &OldTuple<'_>| match old {
        OldTuple::Key(t) => format!("key({})", tuple(t)),
        OldTuple::Full(t) => format!("full({})", tuple(t)),
    };
    match message {
        Message::Insert { relation, new } => format!("insert {relation} ({})", tuple(new)),
        Message::Update { relation, old: before, new } => {
            format!(
                "update {relation} {} ({})",
                before.as_ref().map_or("-".into(), old),
                tuple(new)
            )
        }
        Message::Delete { relation, old: before } => format!("delete {relation} {}", old(before)),
        other => format!("{other:?}"),
    }
}

#[test]
fn recorded_messages_are_read_as_what_was_done() {
    let messages = recorded();
    let lines = messages.iter().map(|(_, bytes)| describe(&Message::parse(bytes).unwrap()));
    let found: String = lines.map(|line| line + "\n").collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/test_data/pgoutput/shop.expected.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(path).unwrap());
}

#[test]
fn a_message_that_is_cut_off_anywhere_is_an_error() {
    for (_, bytes) in recorded() {
        for end in 0..bytes.len() {
            assert!(Message::parse(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn bytes_after_a_message_are_an_error() {
    let (_, mut bytes) = recorded().swap_remove(0);
    bytes.push(0);
    assert_eq!(Message::parse(&bytes), Err(PgOutputError::Trailing { remaining: 1 }));
}

proptest! {
    #[test]
    fn prop_any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Message::Insert { new, .. }) = Message::parse(&bytes) {
            prop_assert_eq!(new.values().count(), new.count());
        }
    }

    #[test]
    fn prop_changed_bytes_never_panic(which in 0usize..36, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut messages = recorded();
        let (_, bytes) = &mut messages[which];
        let at = at.index(bytes.len());
        bytes[at] = byte;
        drop(Message::parse(bytes));
    }
}
