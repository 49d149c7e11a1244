//! Bodies, replies and verdicts as tables.

use super::*;
use proptest::prelude::*;

fn item(operation: Operation, id: Option<&str>, version: Option<i64>, doc: &str) -> String {
    let mut out = Vec::new();
    write_action(&mut out, operation, "i", id, version);
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(doc.as_bytes());
        Ok::<(), ()>(())
    };
    write_source(&mut out, operation, write).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn items_are_lines() {
    assert_eq!(
        item(Operation::Index, Some("a\"b"), Some(7), "{}"),
        "{\"index\":{\"_index\":\"i\",\"_id\":\"a\\\"b\",\"version\":7,\"version_type\":\"external_gte\"}}\n{}\n"
    );
    assert_eq!(item(Operation::Index, None, None, "{}"), "{\"index\":{\"_index\":\"i\"}}\n{}\n");
    assert_eq!(
        item(Operation::Delete, Some("1"), Some(7), "unused"),
        "{\"delete\":{\"_index\":\"i\",\"_id\":\"1\",\"version\":7,\"version_type\":\"external_gte\"}}\n"
    );
    assert_eq!(
        item(Operation::Upsert, Some("1"), None, "{\"a\":1}"),
        "{\"update\":{\"_index\":\"i\",\"_id\":\"1\",\"retry_on_conflict\":5}}\n{\"doc\":{\"a\":1},\"doc_as_upsert\":true}\n"
    );
}

#[test]
fn stored_fields_are_added_to_a_document() {
    let check = |doc: &str, fields: &[(&str, &str)], expected: &str| {
        let mut payload = format!("{{\"index\":{{}}}}\n{doc}\n").into_bytes();
        append_fields(&mut payload, fields.iter().copied());
        assert_eq!(
            String::from_utf8(payload).unwrap(),
            format!("{{\"index\":{{}}}}\n{expected}\n")
        );
    };
    check("{\"a\":1}", &[], "{\"a\":1}");
    check("{\"a\":1}", &[("b", "[2,\n3]"), ("c", "\"x\"")], "{\"a\":1,\"b\":[2, 3],\"c\":\"x\"}");
    check("{}", &[("b", "2")], "{\"b\":2}");
}

#[test]
fn a_multi_get_names_the_fields_and_is_read_back() {
    let fields = ["a".into(), "b".into()];
    let body = write_multi_get([("i", "1", fields.as_slice()), ("i", "2", &fields[..1])]);
    assert_eq!(
        String::from_utf8(body).unwrap(),
        r#"{"docs":[{"_index":"i","_id":"1","_source":["a","b"]},{"_index":"i","_id":"2","_source":["a"]}]}"#
    );
    let reply = br#"{"docs":[{"found":true,"_source":{"a":{"x": 1}}},{"found":false},
        {"error":{"type":"index_not_found_exception"}},{"error":{"type":"x","reason":"y"}}]}"#;
    let docs = read_multi_get(reply, 4).unwrap();
    let texts: Vec<_> =
        docs.into_iter().map(|doc| doc.map(|d| d.map(|d| d["a"].to_string()))).collect();
    let expected =
        vec![Ok(Some("{\"x\": 1}".to_owned())), Ok(None), Ok(None), Err("x: y".to_owned())];
    assert_eq!(texts, expected);
    assert!(read_multi_get(reply, 3).is_err());
}

fn check_verdict(operation: Operation, item: &str, expected: Verdict) {
    let reply = format!(r#"{{"took":3,"errors":true,"items":[{{"index":{item}}}]}}"#);
    let mut items = read_bulk(reply.as_bytes(), 1).unwrap();
    let versioned = operation != Operation::Upsert;
    assert_eq!(verdict(operation, versioned, items.remove(0)), expected, "{item}");
}

#[test]
fn each_item_has_its_verdict() {
    use Operation::{Delete, Index, Upsert};
    let error = |status: u16, kind: &str| {
        format!(
            r#"{{"_id":"1","status":{status},"error":{{"type":"{kind}","reason":"r","caused_by":{{"reason":"c"}}}}}}"#
        )
    };
    let text = |kind: &str| format!("{kind}: r (c)");
    check_verdict(Index, r#"{"status":201,"_shards":{"total":2}}"#, Verdict::Done);
    check_verdict(Delete, r#"{"status":404}"#, Verdict::Done);
    check_verdict(Index, r#"{"status":404}"#, Verdict::Retry("status 404 without a reason".into()));
    let conflict = "version_conflict_engine_exception";
    check_verdict(Index, &error(409, conflict), Verdict::Stale);
    check_verdict(Upsert, &error(409, conflict), Verdict::Retry(text(conflict)));
    let rejected = "es_rejected_execution_exception";
    check_verdict(Index, &error(429, rejected), Verdict::Rejected(text(rejected)));
    check_verdict(
        Index,
        &error(503, "unavailable_shards_exception"),
        Verdict::Retry(text("unavailable_shards_exception")),
    );
    check_verdict(
        Index,
        &error(403, "cluster_block_exception"),
        Verdict::Retry(text("cluster_block_exception")),
    );
    check_verdict(
        Index,
        &error(403, "security_exception"),
        Verdict::Denied(text("security_exception")),
    );
    let parsing = "document_parsing_exception";
    check_verdict(Index, &error(400, parsing), Verdict::Malformed(text(parsing)));
    let name = "invalid_index_name_exception";
    check_verdict(Index, &error(400, name), Verdict::Refused(text(name)));
    check_verdict(Delete, &error(404, "index_not_found_exception"), Verdict::Done);
    check_verdict(
        Index,
        r#"{"status":400,"error":"old text"}"#,
        Verdict::Refused(": old text".into()),
    );
}

#[test]
fn a_hostile_reply_is_an_error() {
    let deep = format!("{{\"items\":{}", "[".repeat(100_000));
    let deep_error = format!(
        r#"{{"items":[{{"index":{{"status":400,"error":{}}}}}]}}"#,
        r#"{"caused_by":"#.repeat(100_000)
    );
    for reply in [
        "",
        "null",
        "<html>502</html>",
        "{}",
        r#"{"items":{}}"#,
        r#"{"items":[]}"#,
        r#"{"items":[{}]}"#,
        r#"{"items":[{"index":{}}]}"#,
        r#"{"items":[{"index":{"status":99999}}]}"#,
        r#"{"items":[{"index":{"status":-1}}]}"#,
        r#"{"items":[{"index":{"status":200}},{"index":{"status":200}}]}"#,
        &deep,
        &deep_error,
    ] {
        assert!(read_bulk(reply.as_bytes(), 1).is_err(), "{:.80}", reply);
    }
}

proptest! {
    #[test]
    fn prop_no_reply_panics(bytes: Vec<u8>, expected in 0..3_usize) {
        let _ = read_bulk(&bytes, expected);
        let _ = read_multi_get(&bytes, expected);
    }

    #[test]
    fn prop_a_cut_reply_is_an_error(at in 0..100_usize) {
        let reply = br#"{"errors":true,"items":[{"index":{"status":400,"error":{"type":"x","reason":"y"}}},{"delete":{"status":200}}]}"#;
        prop_assume!(at < reply.len());
        prop_assert!(read_bulk(&reply[..at], 2).is_err());
    }
}
