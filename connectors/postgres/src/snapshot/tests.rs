//! Rows of a snapshot, and the marks of first and last ones.

use bytes::BufMut;

use super::*;
use crate::column::Types;
use crate::pgoutput::ReplicaIdentity;
use crate::relation::{ColumnShape, RelationShape, TableFacts};

fn settings() -> Settings {
    let mut config = aquifer_connect_api::config::ConfigMap::new();
    for key in ["database.hostname", "database.user", "database.dbname", "topic.prefix"] {
        config.insert(key.to_owned(), "x".to_owned());
    }
    Settings::read(&config).unwrap()
}

fn relation() -> CompiledRelation {
    let column =
        |name: &str, key, type_oid| ColumnShape { name: name.into(), key, type_oid, modifier: -1 };
    let shape = RelationShape {
        oid: 1,
        schema: "public".into(),
        table: "t".into(),
        identity: ReplicaIdentity::Default,
        columns: vec![column("id", true, 23), column("v", false, 25)],
    };
    let envelopes = Envelopes::new("x", "x", "1-1");
    let events = settings().events;
    CompiledRelation::compile(&shape, &TableFacts::default(), &Types::new(), &events, &envelopes)
}

fn rows() -> SnapshotRows {
    let point = SnapshotPoint { consistent: Lsn(64), started_us: 0, tx_id: Some(1) };
    SnapshotRows::new(Envelopes::new("x", "x", "1-1"), point)
}

fn piece(lines: &[&str]) -> Bytes {
    let mut out = BytesMut::new();
    for line in lines {
        out.put_u8(b'd');
        out.put_u32(u32::try_from(line.len() + 5).unwrap());
        out.put_slice(line.as_bytes());
        out.put_u8(b'\n');
    }
    out.freeze()
}

/// Reads tables of so many rows each and gives the markers of the records.
fn markers(tables: &[usize]) -> Vec<String> {
    let (mut rows, relation, mut records) = (rows(), relation(), Vec::new());
    for count in tables {
        let lines: Vec<String> = (0..*count).map(|id| format!("{id}\tv")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        rows.take(&relation, &piece(&lines), &mut 0, &mut records, usize::MAX, 0).unwrap();
        rows.end_table();
    }
    rows.finish(&mut records);
    let marker = |record: &Record| {
        let source = record.value.as_struct().unwrap()[2].as_struct().unwrap();
        source[4].as_str().unwrap().to_owned()
    };
    records.iter().map(marker).collect()
}

#[test]
fn first_and_last_rows_are_marked_even_beside_empty_tables() {
    assert_eq!(markers(&[3]), ["first", "true", "last"]);
    assert_eq!(markers(&[1]), ["last"]);
    assert_eq!(markers(&[0, 2, 0]), ["first", "last"]);
    assert_eq!(
        markers(&[2, 2, 1, 0]),
        [
            "first",
            "last_in_data_collection",
            "first_in_data_collection",
            "last_in_data_collection",
            "last"
        ]
    );
    assert_eq!(markers(&[]), Vec::<String>::new());
}

#[test]
fn escapes_of_copy_are_undone() {
    let (mut rows, relation, mut records) = (rows(), relation(), Vec::new());
    let lines =
        piece(&["1\tplain", r"2\t\ta\\b\nc".replacen(r"\t", "\t", 1).as_str(), "3\t\\N", "4\t"]);
    rows.take(&relation, &lines, &mut 0, &mut records, usize::MAX, 0).unwrap();
    rows.finish(&mut records);
    let value = |record: &Record| {
        record.value.as_struct().unwrap()[1].as_struct().unwrap()[1].as_str().map(str::to_owned)
    };
    let found: Vec<Option<String>> = records.iter().map(value).collect();
    let texts = [Some("plain"), Some("\ta\\b\nc"), None, Some("")];
    assert_eq!(found, texts.map(|text| text.map(str::to_owned)));
}

#[test]
fn a_full_batch_leaves_the_rest_of_the_piece_for_the_next() {
    let (mut rows, relation) = (rows(), relation());
    let piece = piece(&["1\ta", "2\tb", "3\tc", "4\td"]);
    let (mut cursor, mut count) = (0, 0);
    for _ in 0..3 {
        let mut records = Vec::new();
        rows.take(&relation, &piece, &mut cursor, &mut records, 2, 0).unwrap();
        count += records.len();
    }
    let mut records = Vec::new();
    rows.finish(&mut records);
    assert_eq!(count + records.len(), 4);
}
