//! Fetch sessions over the wire: changes only, errors of sequence, and a fair order when an answer is full.

use std::borrow::Cow;

use aquifer_broker_protocol::message::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic,
};
use aquifer_broker_protocol::{ApiKey, ErrorCode, Uuid};

use super::start_node;
use super::wire::{Wire, batch, produce_request, read};

/// What an answer says: error, session, and for each partition its number, error, high watermark and bytes.
type Told = (ErrorCode, i32, Vec<(i32, i16, i64, usize)>);

async fn fetch(wire: &mut Wire, version: i16, request: &FetchRequest<'_>) -> Told {
    wire.ask(ApiKey::Fetch, version, request, |body| {
        let response = read::<FetchResponse<'_>>(body, version);
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        let partitions = partitions.map(|data| {
            let bytes = data.records.as_ref().and_then(|records| records.as_bytes());
            (
                data.partition_index,
                data.error_code,
                data.high_watermark,
                bytes.map_or(0, <[u8]>::len),
            )
        });
        (
            ErrorCode::from_code(response.error_code).unwrap(),
            response.session_id,
            partitions.collect(),
        )
    })
    .await
}

fn partition(partition: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    }
}

/// A request that waits for nothing.
fn request(
    session_id: i32,
    session_epoch: i32,
    partitions: Vec<FetchPartition>,
) -> FetchRequest<'static> {
    let topic = FetchTopic { topic: Cow::Borrowed("t"), partitions, ..FetchTopic::default() };
    let topics = if topic.partitions.is_empty() { Vec::new() } else { vec![topic] };
    FetchRequest {
        session_id,
        session_epoch,
        max_bytes: 1 << 20,
        topics,
        ..FetchRequest::default()
    }
}

async fn produce(wire: &mut Wire, partition: i32, bytes: &[u8]) {
    let mut request = produce_request("t", -1, bytes);
    request.topic_data[0].partition_data[0].index = partition;
    wire.ask(ApiKey::Produce, 9, &request, |_| ()).await;
}

#[tokio::test]
async fn a_session_carries_changes_only_and_refuses_what_is_out_of_turn() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[("num.partitions", "2")]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let both = vec![partition(0, 0), partition(1, 0)];
    let (error, id, partitions) = fetch(&mut wire, 12, &request(0, 0, both)).await;
    assert_eq!((error, partitions), (ErrorCode::None, vec![(0, 0, 0, 0), (1, 0, 0, 0)]));
    assert_ne!(id, 0);
    assert_eq!(
        fetch(&mut wire, 12, &request(id, 1, Vec::new())).await,
        (ErrorCode::None, id, vec![])
    );
    let records = batch(&[b"x"]);
    produce(&mut wire, 1, &records).await;
    let told = fetch(&mut wire, 12, &request(id, 2, Vec::new())).await;
    assert_eq!(told, (ErrorCode::None, id, vec![(1, 0, 1, records.len())]));
    // The client asks for what follows; nothing is new.
    let told = fetch(&mut wire, 12, &request(id, 3, vec![partition(1, 1)])).await;
    assert_eq!(told, (ErrorCode::None, id, vec![]));
    // A partition that is not there is told each time.
    for (epoch, partitions) in [(4, vec![partition(7, 0)]), (5, Vec::new())] {
        let told = fetch(&mut wire, 12, &request(id, epoch, partitions)).await;
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        assert_eq!(told, (ErrorCode::None, id, vec![(7, unknown, -1, 0)]));
    }
    let forgotten =
        ForgottenTopic { topic: Cow::Borrowed("t"), partitions: vec![7], ..Default::default() };
    let forget =
        FetchRequest { forgotten_topics_data: vec![forgotten], ..request(id, 6, Vec::new()) };
    assert_eq!(fetch(&mut wire, 12, &forget).await, (ErrorCode::None, id, vec![]));
    let refused = async |wire: &mut Wire, version, id, epoch| {
        fetch(wire, version, &request(id, epoch, Vec::new())).await
    };
    let nothing = |error| (error, 0, vec![]);
    assert_eq!(refused(&mut wire, 12, id, 6).await, nothing(ErrorCode::InvalidFetchSessionEpoch));
    assert_eq!(refused(&mut wire, 13, id, 7).await, nothing(ErrorCode::FetchSessionTopicIdError));
    assert_eq!(refused(&mut wire, 12, id ^ 1, 7).await, nothing(ErrorCode::FetchSessionIdNotFound));
    // Another connection may go on, and close it.
    let mut other = Wire::connect(&node).await;
    assert_eq!(refused(&mut other, 12, id, 7).await, (ErrorCode::None, id, vec![]));
    let told = fetch(&mut other, 12, &request(id, -1, vec![partition(0, 0)])).await;
    assert_eq!(told, (ErrorCode::None, 0, vec![(0, 0, 0, 0)]));
    assert_eq!(refused(&mut wire, 12, id, 8).await, nothing(ErrorCode::FetchSessionIdNotFound));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_full_answer_leaves_the_rest_unread_and_the_next_begins_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[("num.partitions", "3")]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let records = batch(&[&[7; 1000]]);
    for index in 0..3 {
        produce(&mut wire, index, &records).await;
    }
    let all = (0..3).map(|index| partition(index, 0)).collect();
    let first = FetchRequest { max_bytes: 10, ..request(0, 0, all) };
    let (_, id, partitions) = fetch(&mut wire, 12, &first).await;
    assert_eq!(partitions, [(0, 0, 1, records.len()), (1, 0, 1, 0), (2, 0, 1, 0)]);
    // All of them have records still; each in its turn.
    let mut served = Vec::new();
    for epoch in 1..=5 {
        let next = FetchRequest { max_bytes: 10, ..request(id, epoch, Vec::new()) };
        let (_, _, partitions) = fetch(&mut wire, 12, &next).await;
        assert_eq!(partitions.len(), 1, "only one has changed: {partitions:?}");
        served.push(partitions[0].0);
    }
    assert_eq!(served, [0, 1, 2, 0, 1]);
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_session_by_ids_notices_that_its_topic_is_another() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    let (topic_id, _) = wire.create("t").await;
    let mut full = request(0, 0, vec![partition(0, 0)]);
    full.topics[0].topic = Cow::Borrowed("");
    full.topics[0].topic_id = topic_id;
    let (_, id, partitions) = fetch(&mut wire, 13, &full).await;
    assert_eq!(partitions, [(0, 0, 0, 0)]);
    wire.delete("t").await;
    wire.create("t").await;
    let (error, _, partitions) = fetch(&mut wire, 13, &request(id, 1, Vec::new())).await;
    let unknown = ErrorCode::UnknownTopicId.code();
    assert_eq!((error, partitions), (ErrorCode::None, vec![(0, unknown, -1, 0)]));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn without_slots_every_request_is_a_full_one() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[("max.incremental.fetch.session.cache.slots", "0")]).await;
    let mut wire = Wire::connect(&node).await;
    wire.create("t").await;
    let (error, id, partitions) = fetch(&mut wire, 12, &request(0, 0, vec![partition(0, 0)])).await;
    assert_eq!((error, id, partitions), (ErrorCode::None, 0, vec![(0, 0, 0, 0)]));
    assert_ne!(Uuid::ZERO, wire.create("t").await.0);
    node.stop().await.unwrap();
}
