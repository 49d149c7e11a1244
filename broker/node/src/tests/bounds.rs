//! Bounds: of memory, of connections, of patience.

use std::borrow::Cow;

use aquifer_broker_protocol::ApiKey;
use aquifer_broker_protocol::message::api_versions::ApiVersionsRequest;
use aquifer_broker_protocol::message::fetch::FetchRequest;
use tokio::io::AsyncWriteExt;

use super::start_node;
use super::wire::{Wire, batch, fetch_request, frame, produce_request};
use crate::{NodeConfig, NodeError, start};

fn api_versions() -> ApiVersionsRequest<'static> {
    ApiVersionsRequest {
        client_software_name: Cow::Borrowed("w"),
        client_software_version: Cow::Borrowed("1"),
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_up_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut writer = Wire::connect(&node).await;
    writer.create("t").await;
    let large = vec![b'x'; 900_000];
    for _ in 0..8 {
        writer.produce("t", -1, &batch(&[&large])).await;
    }
    let mut slow = Wire::connect(&node).await;
    // 64 times 7 MB that nobody takes; the node stops reading this connection, and keeps serving the others.
    let request = frame(ApiKey::Fetch, 12, 0, &{
        let mut fetch = fetch_request("t", 0);
        fetch.topics[0].partitions[0].partition_max_bytes = 8 << 20;
        fetch
    });
    for _ in 0..64 {
        slow.send_bytes(&request).await;
    }
    for offset in 8..16 {
        assert_eq!(writer.produce("t", -1, &batch(&[b"y"])).await, (0, offset));
    }
    node.stop().await.unwrap();
}

#[tokio::test]
async fn large_requests_wait_for_their_turn_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[("queued.max.request.bytes", "1000000")]).await;
    let mut first = Wire::connect(&node).await;
    first.create("t").await;
    let value = vec![b'x'; 700_000];
    let large = frame(ApiKey::Produce, 9, 1, &produce_request("t", -1, &batch(&[&value])));
    let whole = large.clone();
    let (head, tail) = large.split_at(600_000);
    first.send_bytes(head).await;
    // The second does not fit beside the first; a small one does.
    let second = Wire::connect(&node).await;
    let (mut reading, mut writing) = second.stream.into_split();
    let sending = tokio::spawn(async move {
        writing.write_all(&whole).await.unwrap();
        writing
    });
    let mut small = Wire::connect(&node).await;
    small.send(ApiKey::ApiVersions, 4, &api_versions()).await;
    small.receive().await;
    first.send_bytes(tail).await;
    assert_eq!(first.receive_id().await, 1);
    let _writing = sending.await.unwrap();
    let mut reply = [0; 8];
    tokio::io::AsyncReadExt::read_exact(&mut reading, &mut reply).await.unwrap();
    assert_eq!(reply[4..], [0, 0, 0, 1]);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_large_request_that_never_comes_takes_no_memory_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[("queued.max.request.bytes", "1000000")]).await;
    let mut writer = Wire::connect(&node).await;
    writer.create("t").await;
    let mut announcing = Wire::connect(&node).await;
    // In one piece with a small request, so that the reply to that says that both have come.
    let small = frame(ApiKey::ApiVersions, 4, 1, &api_versions());
    announcing.send_bytes(&[&small[..], &[0, 13, 0, 0, 0, 0, 0, 9]].concat()).await;
    assert_eq!(announcing.receive_id().await, 1);
    let value = vec![b'x'; 700_000];
    assert_eq!(writer.produce("t", -1, &batch(&[&value])).await, (0, 0));
    drop(announcing);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_a_waiting_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[("connections.max.idle.ms", "100")]).await;
    let mut writer = Wire::connect(&node).await;
    writer.create("t").await;
    let mut waiting = Wire::connect(&node).await;
    let sent = waiting.send(ApiKey::Fetch, 12, &fetch_request("t", 0)).await;
    let mut silent = Wire::connect(&node).await;
    silent.expect_close().await;
    let mut writer = Wire::connect(&node).await;
    writer.produce("t", -1, &batch(&[b"x"])).await;
    assert_eq!(waiting.receive_id().await, sent);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn one_connection_too_many_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[("max.connections", "2")]).await;
    let mut open = [Wire::connect(&node).await, Wire::connect(&node).await];
    for wire in &mut open {
        wire.send(ApiKey::ApiVersions, 4, &api_versions()).await;
        wire.receive().await;
    }
    Wire::connect(&node).await.expect_close().await;
    for wire in &mut open {
        wire.send(ApiKey::ApiVersions, 4, &api_versions()).await;
        wire.receive().await;
    }
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_node_on_the_same_directory_or_port_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let config = NodeConfig {
        data_dir: dir.path().to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        advertised: None,
        settings: Vec::new(),
    };
    let error = start(config.clone()).await.err().expect("the directory is in use");
    assert!(matches!(error, NodeError::Storage(_)), "{error}");
    assert!(error.to_string().contains("in use") || error.to_string().contains("lock"), "{error}");
    let config = NodeConfig { data_dir: other.path().to_owned(), listen: node.address(), ..config };
    let error = start(config.clone()).await.err().expect("the port is taken");
    assert!(matches!(error, NodeError::Listen { .. }), "{error}");
    node.stop().await.unwrap();
    let settings = vec![("node.id".to_owned(), "2".to_owned())];
    let config = NodeConfig { data_dir: dir.path().to_owned(), settings, ..config };
    let error = start(config).await.err().expect("the directory is of another node");
    assert!(error.to_string().contains("node.id=1"), "{error}");
}

#[tokio::test]
async fn a_stop_answers_waiting_fetches_and_ends_all_connections() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let fetch = FetchRequest { max_wait_ms: 60_000, ..fetch_request("t", 0) };
    // In one piece, so that the first reply says that all three have come.
    let requests = [
        frame(ApiKey::ApiVersions, 4, 10, &api_versions()),
        frame(ApiKey::Fetch, 12, 11, &fetch),
        frame(ApiKey::Produce, 9, 12, &produce_request("none", -1, &batch(&[b"x"]))),
    ];
    wire.send_bytes(&requests.concat()).await;
    assert_eq!(wire.receive_id().await, 10);
    let other = Wire::connect(&node).await;
    let stopping = tokio::spawn(node.stop());
    assert_eq!(wire.receive_id().await, 11);
    assert_eq!(wire.receive_id().await, 12);
    wire.expect_close().await;
    drop(other);
    stopping.await.unwrap().unwrap();
}
