//! Frames: what is one, what is none, and in which order they are answered.

use std::borrow::Cow;

use aquifer_broker_protocol::message::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use aquifer_broker_protocol::message::metadata::MetadataRequest;
use aquifer_broker_protocol::message::produce::ProduceResponse;
use aquifer_broker_protocol::{ApiKey, ErrorCode};

use super::start_node;
use super::wire::{Wire, batch, fetch_request, frame, produce_request, read, values};

fn api_versions() -> ApiVersionsRequest<'static> {
    ApiVersionsRequest {
        client_software_name: Cow::Borrowed("wire"),
        client_software_version: Cow::Borrowed("1"),
    }
}

#[tokio::test]
async fn bytes_that_are_no_requests_close_their_connection_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut other = Wire::connect(&node).await;
    let unknown_api = b"\0\0\0\x0a\x03\xe7\0\0\0\0\0\x07\xff\xff";
    let unsupported_version = frame(ApiKey::Metadata, 13, 0, &MetadataRequest::default());
    let unsupported_version: Vec<u8> =
        [&unsupported_version[..6], &[0, 99], &unsupported_version[8..]].concat();
    let truncated_body = b"\0\0\0\x0e\0\x01\0\x04\0\0\0\x07\xff\xff\0\0\0\0";
    let cases: [(&str, &[u8]); 9] = [
        ("length -1", b"\xff\xff\xff\xff"),
        ("length of 2 GiB", b"\x7f\xff\xff\xff"),
        ("length 0", b"\0\0\0\0"),
        ("shorter than a header", b"\0\0\0\x02\0\x12"),
        ("unknown api", unknown_api),
        ("unsupported version", &unsupported_version),
        ("body that ends early", truncated_body),
        ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ];
    for (case, bytes) in cases {
        let mut wire = Wire::connect(&node).await;
        wire.send_bytes(bytes).await;
        eprintln!("{case}");
        wire.expect_close().await;
    }
    other.create("still-served").await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.stream.set_nodelay(true).unwrap();
    let frame = frame(ApiKey::ApiVersions, 4, 77, &api_versions());
    for byte in &frame {
        wire.send_bytes(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(wire.receive_id().await, 77);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn replies_leave_in_the_order_of_their_requests() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    // The fetch waits for the produce behind it, and everything behind it waits for the fetch.
    let mut bytes = frame(ApiKey::Fetch, 12, 100, &fetch_request("t", 0));
    for id in 101..150 {
        let value = id.to_string();
        bytes.extend(frame(
            ApiKey::Produce,
            9,
            id,
            &produce_request("t", -1, &batch(&[value.as_bytes()])),
        ));
        bytes.extend(frame(ApiKey::ApiVersions, 3, 1000 + id, &api_versions()));
    }
    wire.send_bytes(&bytes).await;
    assert_eq!(wire.receive_id().await, 100);
    for id in 101..150 {
        assert_eq!(wire.receive_id().await, id);
        assert_eq!(wire.receive_id().await, 1000 + id);
    }
    let all = wire.fetch(&fetch_request("t", 0), |data| values(data, 0)).await;
    let expected: Vec<Vec<u8>> = (101..150).map(|id: i32| id.to_string().into_bytes()).collect();
    assert_eq!(all, expected, "pipelined appends keep their order");
    node.stop().await.unwrap();
}

#[tokio::test]
async fn api_versions_in_an_unknown_version_is_answered_in_v0_with_its_own_range() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.send_bytes(b"\0\0\0\x0b\0\x12\0\x63\0\0\0\x07\xff\xff\0").await;
    let reply = wire.receive().await;
    assert_eq!(&reply[..4], &[0, 0, 0, 7]);
    let response = read::<ApiVersionsResponse<'_>>(&reply[4..], 0);
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
    assert_eq!(response.api_keys.len(), 1);
    let again = wire.ask(ApiKey::ApiVersions, 4, &api_versions(), |body| body[1]).await;
    assert_eq!(again, 0, "the same connection may ask again");
    node.stop().await.unwrap();
}

#[tokio::test]
async fn api_versions_lists_what_is_served_and_refuses_bad_software_names() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.ask(ApiKey::ApiVersions, 4, &api_versions(), |body| {
        let response = read::<ApiVersionsResponse<'_>>(body, 4);
        assert_eq!(response.error_code, 0);
        let produce = response.api_keys.iter().find(|row| row.api_key == 0).unwrap();
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
        for row in &response.api_keys {
            assert!(ApiKey::from_key(row.api_key).is_some());
        }
        let levels = response.finalized_features.iter();
        let levels: Vec<_> = levels.map(|row| (&*row.name, row.max_version_level)).collect();
        let expected = [("group.version", 1), ("metadata.version", 25), ("transaction.version", 2)];
        assert_eq!(levels, expected);
    })
    .await;
    let bad = ApiVersionsRequest { client_software_name: Cow::Borrowed("-x"), ..api_versions() };
    let code = wire
        .ask(ApiKey::ApiVersions, 4, &bad, |body| {
            read::<ApiVersionsResponse<'_>>(body, 4).error_code
        })
        .await;
    assert_eq!(code, ErrorCode::InvalidRequest.code());
    node.stop().await.unwrap();
}

#[tokio::test]
async fn produce_versions_that_are_only_advertised_are_answered_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    for version in 0..3 {
        let code = wire
            .ask(ApiKey::Produce, version, &produce_request("t", 1, &batch(&[b"x"])), |body| {
                read::<ProduceResponse<'_>>(body, version).responses[0].partition_responses[0]
                    .error_code
            })
            .await;
        assert_eq!(code, ErrorCode::UnsupportedVersion.code(), "v{version}");
    }
    node.stop().await.unwrap();
}

#[tokio::test]
async fn acks_0_is_not_answered_and_its_error_closes_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    wire.send(ApiKey::Produce, 9, &produce_request("t", 0, &batch(&[b"unanswered"]))).await;
    let next = wire.send(ApiKey::ApiVersions, 4, &api_versions()).await;
    assert_eq!(wire.receive_id().await, next);
    let stored = wire.fetch(&fetch_request("t", 0), |data| values(data, 0)).await;
    assert_eq!(stored, [b"unanswered"]);
    wire.send(ApiKey::Produce, 9, &produce_request("no-such-topic", 0, &batch(&[b"x"]))).await;
    wire.expect_close().await;
    node.stop().await.unwrap();
}
