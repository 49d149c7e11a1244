//! Requests in one line each, for the scripts.

use std::borrow::Cow;

use aquifer_broker_protocol::Uuid;
use aquifer_broker_protocol::batch::{BatchBuilder, BatchOptions, NewRecord};
use aquifer_broker_protocol::message::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use aquifer_broker_protocol::message::fetch::{FetchPartition, FetchRequest, FetchTopic};
use aquifer_broker_protocol::message::find_coordinator::FindCoordinatorRequest;
use aquifer_broker_protocol::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use aquifer_broker_protocol::message::metadata::{MetadataRequest, MetadataRequestTopic};
use aquifer_broker_protocol::message::produce::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};

use super::caller::Caller;

/// A time that both brokers are told, so that it can be compared; 2026-06-15.
pub(crate) fn now() -> i64 {
    static START: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    *START.get_or_init(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0)) - 60_000
    })
}

/// A text of a request.
pub(crate) fn s(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

/// A structure with the rest at its defaults.
macro_rules! of {
    ($type:ident $(<$a:lifetime>)? { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        // Where all fields are given there is nothing left for the default.
        #[allow(clippy::needless_update)]
        let value = $type $(::<$a>)? { $($field $(: $value)?,)* ..Default::default() };
        value
    }};
}
pub(crate) use of;

pub(crate) fn topic(
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> CreatableTopic<'static> {
    let configs = configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig { name: s(name), value: Some(s(value)) })
        .collect();
    of!(CreatableTopic<'static> { name: s(name), num_partitions: partitions, replication_factor: 1, configs })
}

pub(crate) fn create(topics: Vec<CreatableTopic<'static>>) -> CreateTopicsRequest<'static> {
    of!(CreateTopicsRequest<'static> { topics, timeout_ms: 20_000 })
}

/// Metadata of topics by name, without creating any.
pub(crate) fn metadata(names: &[&str]) -> MetadataRequest<'static> {
    let topics = names
        .iter()
        .map(|name| of!(MetadataRequestTopic<'static> { name: Some(s(name)) }))
        .collect();
    of!(MetadataRequest<'static> { topics: Some(topics), allow_auto_topic_creation: false })
}

/// Records with keys and values; an empty text is null.
pub(crate) fn batch(options: BatchOptions, records: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(options);
    for (number, (key, value)) in (0..).zip(records) {
        let some =
            |text: &&str| if text.is_empty() { None } else { Some(text.as_bytes().to_vec()) };
        let (key, value) = (some(key), some(value));
        builder.push(NewRecord {
            timestamp_ms: now() + number,
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &[],
        });
    }
    builder.build().unwrap().to_vec()
}

/// A plain batch.
pub(crate) fn plain(records: &[(&str, &str)]) -> Vec<u8> {
    batch(BatchOptions::default(), records)
}

/// A batch of an idempotent producer; `records` records from that sequence on.
pub(crate) fn numbered(
    producer_id: i64,
    producer_epoch: i16,
    sequence: i32,
    records: usize,
) -> Vec<u8> {
    let options = BatchOptions {
        producer_id,
        producer_epoch,
        base_sequence: sequence,
        ..BatchOptions::default()
    };
    batch(options, &vec![("k", "v"); records])
}

/// A batch of a transaction.
pub(crate) fn transactional(
    producer_id: i64,
    producer_epoch: i16,
    sequence: i32,
    value: &str,
) -> Vec<u8> {
    let options = BatchOptions {
        producer_id,
        producer_epoch,
        base_sequence: sequence,
        transactional: true,
        ..BatchOptions::default()
    };
    batch(options, &[("k", value)])
}

/// Produce of one batch to one partition, by name or (from v13 on) by id.
pub(crate) fn produce(
    version: i16,
    (name, id): (&str, Uuid),
    index: i32,
    records: Vec<u8>,
) -> ProduceRequest<'static> {
    let data = PartitionProduceData { index, records: Some(records.leak()) };
    let mut topic = of!(TopicProduceData<'static> { partition_data: vec![data] });
    if version >= 13 {
        topic.topic_id = id;
    } else {
        topic.name = s(name);
    }
    of!(ProduceRequest<'static> { acks: -1, timeout_ms: 20_000, topic_data: vec![topic] })
}

/// Fetch of one partition from an offset on, by name or (from v13 on) by id.
pub(crate) fn fetch(
    version: i16,
    (name, id): (&str, Uuid),
    partition: i32,
    fetch_offset: i64,
) -> FetchRequest<'static> {
    let partition = of!(FetchPartition { partition, fetch_offset, partition_max_bytes: 1 << 20 });
    let mut topic = of!(FetchTopic<'static> { partitions: vec![partition] });
    if version >= 13 {
        topic.topic_id = id;
    } else {
        topic.topic = s(name);
    }
    of!(FetchRequest<'static> { max_wait_ms: 100, min_bytes: 0, max_bytes: 1 << 20, topics: vec![topic] })
}

pub(crate) fn list_offsets(
    name: &str,
    partition_index: i32,
    timestamp: i64,
) -> ListOffsetsRequest<'static> {
    let partition = of!(ListOffsetsPartition { partition_index, timestamp });
    let topic = ListOffsetsTopic { name: s(name), partitions: vec![partition] };
    of!(ListOffsetsRequest<'static> { replica_id: -1, topics: vec![topic], timeout_ms: 10_000 })
}

/// Who coordinates; `key_type` 0 for a group and 1 for a transactional id.
pub(crate) fn coordinator(
    version: i16,
    key_type: i8,
    key: &str,
) -> FindCoordinatorRequest<'static> {
    if version >= 4 {
        of!(FindCoordinatorRequest<'static> { key_type, coordinator_keys: vec![s(key)] })
    } else {
        of!(FindCoordinatorRequest<'static> { key_type, key: s(key) })
    }
}

impl Caller {
    /// Makes a topic and waits until its leaders are known; nothing is noted. Its name and id.
    pub(crate) async fn topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> (String, Uuid) {
        let name = self.name(name);
        self.settle(
            7,
            || create(vec![topic(&name, partitions, configs)]),
            |answer| matches!(answer.topics.first().map(|topic| topic.error_code), Some(0 | 36)),
        )
        .await;
        let wanted = usize::try_from(partitions).unwrap_or(0);
        let answer = self
            .settle(
                12,
                || metadata(&[&name]),
                |answer| {
                    answer.topics.first().is_some_and(|topic| {
                        topic.error_code == 0
                            && topic.partitions.len() == wanted
                            && topic.partitions.iter().all(|partition| partition.leader_id >= 0)
                    })
                },
            )
            .await;
        let id = answer.topics.first().map(|topic| topic.topic_id).unwrap_or_default();
        // The leader takes a moment longer than the metadata.
        for partition in 0..partitions {
            self.settle(
                7,
                || list_offsets(&name, partition, -1),
                |answer| {
                    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
                    partitions.all(|partition| partition.error_code == 0)
                },
            )
            .await;
        }
        (name, id)
    }

    /// A group's name, once its coordinator answers.
    pub(crate) async fn group(&mut self, name: &str) -> String {
        use aquifer_broker_protocol::message::describe_groups::DescribeGroupsRequest;
        let name = self.name(name);
        let found = |code: i16| code == 0;
        self.settle(3, || coordinator(3, 0, &name), |answer| found(answer.error_code)).await;
        self.settle(
            5,
            || of!(DescribeGroupsRequest<'static> { groups: vec![s(&name)] }),
            |answer| answer.groups.iter().all(|group| ![14, 15, 16].contains(&group.error_code)),
        )
        .await;
        name
    }

    /// A transactional id, once its coordinator answers.
    pub(crate) async fn transactional_id(&mut self, name: &str) -> String {
        use aquifer_broker_protocol::message::describe_transactions::DescribeTransactionsRequest;
        let name = self.name(name);
        self.settle(3, || coordinator(3, 1, &name), |answer| answer.error_code == 0).await;
        self.settle(
            0,
            || of!(DescribeTransactionsRequest<'static> { transactional_ids: vec![s(&name)] }),
            |answer| {
                answer
                    .transaction_states
                    .iter()
                    .all(|state| ![14, 15, 16].contains(&state.error_code))
            },
        )
        .await;
        name
    }
}
