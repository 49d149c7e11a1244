//! A client made of bytes.

use std::borrow::Cow;
use std::time::Duration;

use aquifer_broker_protocol::batch::{BatchBuilder, BatchOptions, NewRecord, RecordBatch};
use aquifer_broker_protocol::message::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use aquifer_broker_protocol::message::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};
use aquifer_broker_protocol::message::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse,
};
use aquifer_broker_protocol::message::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use aquifer_broker_protocol::request_header::{RequestHeader, encode_request};
use aquifer_broker_protocol::response_header::read_response_header;
use aquifer_broker_protocol::{ApiKey, Decode, Message, Segment, Uuid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Node;
use crate::clock::Clock;

/// Longer than anything here takes, so that a reply that does not come fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a node.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    next_correlation_id: i32,
}

impl Wire {
    pub(super) async fn connect(node: &Node) -> Self {
        Self { stream: TcpStream::connect(node.address()).await.unwrap(), next_correlation_id: 0 }
    }

    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(super) async fn send(
        &mut self,
        api_key: ApiKey,
        api_version: i16,
        request: &impl Message,
    ) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let frame = frame(api_key, api_version, correlation_id, request);
        self.send_bytes(&frame).await;
        correlation_id
    }

    /// The next reply, without its length.
    pub(super) async fn receive(&mut self) -> Vec<u8> {
        let receive = async {
            let length = self.stream.read_i32().await.unwrap();
            let mut frame = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut frame).await.unwrap();
            frame
        };
        tokio::time::timeout(PATIENCE, receive).await.expect("a reply comes")
    }

    /// The correlation id of the next reply.
    pub(super) async fn receive_id(&mut self) -> i32 {
        let frame = self.receive().await;
        i32::from_be_bytes(frame[..4].try_into().unwrap())
    }

    /// Completes when the node has closed the connection, and fails if anything comes instead.
    pub(super) async fn expect_close(&mut self) {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest))
            .await
            .expect("the node closes");
        // A reset says the same as an end: the node closed with bytes of ours unread.
        assert!(read.is_err() || rest.is_empty(), "{rest:?}");
    }

    /// Sends a request and gives the reply's body to `check`.
    pub(super) async fn ask<R>(
        &mut self,
        api_key: ApiKey,
        api_version: i16,
        request: &impl Message,
        check: impl FnOnce(&[u8]) -> R,
    ) -> R {
        let sent = self.send(api_key, api_version, request).await;
        let frame = self.receive().await;
        let (id, body) = read_response_header(&frame, api_key, api_version).unwrap();
        assert_eq!(id, sent);
        check(body)
    }

    /// Creates a topic by asking for it, and gives its id and its partitions' leader epoch.
    pub(super) async fn create(&mut self, topic: &str) -> (Uuid, i32) {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(Cow::Borrowed(topic)),
                ..MetadataRequestTopic::default()
            }]),
            ..MetadataRequest::default()
        };
        self.ask(ApiKey::Metadata, 13, &request, |body| {
            let response = read::<MetadataResponse<'_>>(body, 13);
            let topic = &response.topics[0];
            assert_eq!(topic.error_code, 0);
            (topic.topic_id, topic.partitions[0].leader_epoch)
        })
        .await
    }

    /// Deletes a topic.
    pub(super) async fn delete(&mut self, topic: &str) {
        let request = DeleteTopicsRequest {
            topic_names: vec![Cow::Borrowed(topic)],
            ..DeleteTopicsRequest::default()
        };
        self.ask(ApiKey::DeleteTopics, 5, &request, |body| {
            let response = read::<DeleteTopicsResponse<'_>>(body, 5);
            assert_eq!(response.responses[0].error_code, 0);
        })
        .await;
    }

    /// Produces to partition 0 and gives the error and the base offset.
    pub(super) async fn produce(&mut self, topic: &str, acks: i16, batch: &[u8]) -> (i16, i64) {
        let request = produce_request(topic, acks, batch);
        self.ask(ApiKey::Produce, 9, &request, |body| {
            let response = read::<ProduceResponse<'_>>(body, 9);
            let partition = &response.responses[0].partition_responses[0];
            (partition.error_code, partition.base_offset)
        })
        .await
    }

    /// Fetches partition 0 by name.
    pub(super) async fn fetch<R>(
        &mut self,
        fetch: &FetchRequest<'_>,
        check: impl FnOnce(&PartitionData<'_>) -> R,
    ) -> R {
        self.ask(ApiKey::Fetch, 12, fetch, |body| {
            let response = read::<FetchResponse<'_>>(body, 12);
            assert_eq!(response.error_code, 0);
            check(&response.responses[0].partitions[0])
        })
        .await
    }
}

pub(super) fn frame(
    api_key: ApiKey,
    api_version: i16,
    correlation_id: i32,
    request: &impl Message,
) -> Vec<u8> {
    let header = RequestHeader {
        api_key,
        api_version,
        correlation_id,
        client_id: Some(Cow::Borrowed("wire")),
    };
    let mut frame = Vec::new();
    for segment in encode_request(&header, request).unwrap() {
        let Segment::Bytes(bytes) = segment else { panic!("requests lie in memory") };
        frame.extend_from_slice(&bytes);
    }
    frame
}

pub(super) fn read<'a, M: Message + Decode<'a>>(body: &'a [u8], version: i16) -> M {
    M::read_exact(body, version).unwrap()
}

pub(super) fn produce_request<'a>(
    topic: &'a str,
    acks: i16,
    batch: &'a [u8],
) -> ProduceRequest<'a> {
    ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: Cow::Borrowed(topic),
            partition_data: vec![PartitionProduceData { index: 0, records: Some(batch) }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

pub(super) fn fetch_request(topic: &str, fetch_offset: i64) -> FetchRequest<'_> {
    FetchRequest {
        max_wait_ms: 10_000,
        min_bytes: 1,
        max_bytes: 50 << 20,
        topics: vec![FetchTopic {
            topic: Cow::Borrowed(topic),
            partitions: vec![FetchPartition {
                fetch_offset,
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

/// A batch of records with the time of now.
pub(super) fn batch(values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let timestamp_ms = Clock::system().now_ms();
    for value in values {
        builder.push(NewRecord { timestamp_ms, value: Some(value), ..NewRecord::default() });
    }
    builder.build().unwrap().to_vec()
}

/// The values of the records from `offset` on.
pub(super) fn values(data: &PartitionData<'_>, offset: i64) -> Vec<Vec<u8>> {
    let bytes = data.records.as_ref().unwrap().as_bytes().unwrap();
    let mut values = Vec::new();
    for batch in RecordBatch::parse_all(bytes) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        for record in batch.records().unwrap() {
            let record = record.unwrap();
            if batch.header().base_offset + i64::from(record.offset_delta) >= offset {
                values.push(record.value.unwrap().to_vec());
            }
        }
    }
    values
}
