//! librdkafka against a node.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

use super::start_node;
use crate::Node;

const PATIENCE: Duration = Duration::from_secs(30);

fn config(node: &Node) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", node.address().to_string());
    config
}

fn producer(node: &Node, settings: &[(&str, &str)]) -> FutureProducer {
    let mut config = config(node);
    config.set("enable.idempotence", "true").set("linger.ms", "5");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

/// Reads `count` records of one partition from its start.
async fn read(node: &Node, topic: &str, count: usize) -> Vec<(i64, Vec<u8>, Option<Vec<u8>>)> {
    let consumer: StreamConsumer =
        config(node).set("group.id", "unused").set("enable.auto.commit", "false").create().unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    let mut records = Vec::new();
    while records.len() < count {
        let message =
            tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("records come").unwrap();
        let header = message.headers().map(|headers| headers.get(0).value.unwrap().to_vec());
        records.push((message.offset(), message.payload().unwrap().to_vec(), header));
    }
    records
}

async fn send(producer: &FutureProducer, topic: &str, value: &str) {
    let header = Header { key: "h", value: Some(value) };
    let record: FutureRecord<'_, str, str> = FutureRecord::to(topic)
        .partition(0)
        .payload(value)
        .headers(OwnedHeaders::new().insert(header));
    producer.send(record, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotent_records_of_every_codec_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("with-{codec}");
        let producer = producer(&node, &[("compression.codec", codec)]);
        // Equal bytes compress, so that the codec is really used.
        let values: Vec<String> =
            (0..50).map(|number| format!("{number}{}", "abc".repeat(300))).collect();
        futures_util::future::join_all(values.iter().map(|value| send(&producer, &topic, value)))
            .await;
        let records = read(&node, &topic, values.len()).await;
        for (index, (offset, value, header)) in records.iter().enumerate() {
            assert_eq!(*offset, i64::try_from(index).unwrap(), "{codec}");
            assert_eq!(header.as_ref(), Some(value), "{codec}");
        }
        let mut read: Vec<_> = records.into_iter().map(|(_, value, _)| value).collect();
        let mut sent: Vec<_> = values.into_iter().map(String::into_bytes).collect();
        read.sort();
        sent.sort();
        assert_eq!(read, sent, "{codec}");
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_goes_on_over_a_restart_of_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let address = node.address();
    let producer = producer(&node, &[]);
    for number in 0..10 {
        send(&producer, "t", &number.to_string()).await;
    }
    node.stop().await.unwrap();
    let config = crate::NodeConfig {
        data_dir: dir.path().to_owned(),
        listen: address,
        advertised: None,
        settings: Vec::new(),
    };
    let node = crate::start(config).await.unwrap();
    for number in 10..20 {
        send(&producer, "t", &number.to_string()).await;
    }
    let records = read(&node, "t", 20).await;
    let values: Vec<_> =
        records.into_iter().map(|(_, value, _)| String::from_utf8(value).unwrap()).collect();
    let expected: Vec<_> = (0..20).map(|number: i32| number.to_string()).collect();
    assert_eq!(values, expected);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_on_where_it_committed() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let producer = producer(&node, &[]);
    for number in 0..6 {
        send(&producer, "t", &number.to_string()).await;
    }
    let mut seen = Vec::new();
    for _ in 0..2 {
        let consumer: StreamConsumer = config(&node)
            .set("group.id", "g")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&["t"]).unwrap();
        for _ in 0..3 {
            let message = tokio::time::timeout(PATIENCE, consumer.recv())
                .await
                .expect("records come")
                .unwrap();
            seen.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
            consumer.commit_message(&message, CommitMode::Sync).unwrap();
        }
        tokio::task::spawn_blocking(move || drop(consumer)).await.unwrap();
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5"]);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_described_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[("num.partitions", "3")]).await;
    let admin: AdminClient<DefaultClientContext> = config(&node).create().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let topic = NewTopic::new("t", 2, TopicReplication::Fixed(1)).set("retention.ms", "1000");
    for result in admin.create_topics([&topic], &options).await.unwrap() {
        assert_eq!(result, Ok("t".to_owned()));
    }
    let described = admin
        .describe_configs([&ResourceSpecifier::Topic("t")], &options)
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    let entry = |name: &str| described.get(name).unwrap();
    assert_eq!(entry("retention.ms").value.as_deref(), Some("1000"));
    assert!(!entry("retention.ms").is_default);
    assert_eq!(entry("segment.bytes").value.as_deref(), Some("1073741824"));
    assert!(entry("segment.bytes").is_default);
    assert!(described.entries.len() > 30);
    let broker = admin
        .describe_configs([&ResourceSpecifier::Broker(1)], &options)
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(broker.get("num.partitions").unwrap().value.as_deref(), Some("3"));
    for result in admin.delete_topics(&["t"], &options).await.unwrap() {
        assert_eq!(result, Ok("t".to_owned()));
    }
    node.stop().await.unwrap();
}
