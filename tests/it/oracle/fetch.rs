//! Fetch with and without sessions, ListOffsets, OffsetForLeaderEpoch, DeleteRecords.

use aquifer_broker_protocol::Uuid;
use aquifer_broker_protocol::message::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use aquifer_broker_protocol::message::fetch::{
    FetchPartition, FetchRequest, FetchTopic, ForgottenTopic,
};
use aquifer_broker_protocol::message::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use super::caller::Caller;
use super::requests::{fetch, list_offsets, now, of, plain, produce, s};

pub(crate) async fn script(c: &mut Caller) {
    let (name, id) = c.topic("read", 2, &[]).await;
    let t = (name.as_str(), id);
    for value in ["a", "b", "c"] {
        c.new_call("fill", produce(13, t, 0, plain(&[("k", value), ("l", value)]))).await;
    }
    reading(c, t).await;
    sessions(c, t).await;
    places(c, t).await;
    epochs(c, t).await;
    deleting(c, t).await;
}

async fn reading(c: &mut Caller, t: (&str, Uuid)) {
    c.calls("from the start", 4, |v| fetch(v, t, 0, 0)).await;
    c.calls("inside a batch", 4, |v| fetch(v, t, 0, 3)).await;
    c.calls("at the end", 4, |v| fetch(v, t, 0, 6)).await;
    c.calls("past the end", 4, |v| fetch(v, t, 0, 7)).await;
    c.calls("an empty partition", 4, |v| fetch(v, t, 1, 0)).await;
    c.calls("an unknown partition", 4, |v| fetch(v, t, 9, 0)).await;
    let unknown = c.name("unknown");
    c.calls("an unknown topic", 4, |v| fetch(v, (&unknown, Uuid([3; 16])), 0, 0)).await;
    c.calls("read_committed", 4, |v| FetchRequest { isolation_level: 1, ..fetch(v, t, 0, 0) })
        .await;
    c.new_call("below zero", fetch(18, t, 0, -1)).await;
    c.new_call("an id of zeros", fetch(18, (t.0, Uuid::ZERO), 0, 0)).await;
    c.new_call("nothing", FetchRequest { topics: vec![], ..fetch(18, t, 0, 0) }).await;
    c.call("a bad name", 12, fetch(12, ("a b", t.1), 0, 0)).await;
    let small = |of_all: i32, of_one: i32| {
        let mut request = fetch(18, t, 0, 0);
        request.max_bytes = of_all;
        request.topics[0].partitions[0].partition_max_bytes = of_one;
        request
    };
    c.new_call("one byte in all", small(1, 1 << 20)).await;
    c.new_call("one byte of a partition", small(1 << 20, 1)).await;
    c.new_call("no bytes", small(0, 0)).await;
    c.new_call("less than two batches", small(1 << 20, 100)).await;
    let known = |epoch: i32, fetched: i32| {
        let mut request = fetch(18, t, 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        request.topics[0].partitions[0].last_fetched_epoch = fetched;
        request
    };
    c.new_call("the leader's epoch", known(0, -1)).await;
    c.new_call("an epoch to come", known(5, -1)).await;
    c.new_call("the epoch of what was read", known(0, 0)).await;
    c.new_call("an epoch of what was read that is to come", known(-1, 7)).await;
    let mut waits = fetch(18, t, 0, 6);
    (waits.min_bytes, waits.max_wait_ms) = (1, 200);
    c.new_call("waits in vain", waits).await;
    let mut both = fetch(12, t, 0, 2);
    both.topics[0].partitions.push(of!(FetchPartition { partition: 1, partition_max_bytes: 1000 }));
    both.topics.push(of!(FetchTopic<'static> { topic: s(&c.name("unknown")), partitions: vec![of!(FetchPartition { partition_max_bytes: 1000 })] }));
    c.call("two topics", 12, both).await;
    let mut follower = fetch(12, t, 0, 0);
    follower.replica_id = 5;
    c.call("a follower that is none", 12, follower).await;
    let mut asleep = fetch(18, t, 0, 6);
    (asleep.min_bytes, asleep.max_wait_ms) = (1, 15_000);
    let mut other = c.another();
    let (name, id) = (t.0.to_owned(), t.1);
    let waking = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        other
            .new_call("wakes a reader", produce(13, (&name, id), 0, plain(&[("k", "late")])))
            .await;
    };
    tokio::join!(c.new_call("woken", asleep), waking);
}

async fn sessions(c: &mut Caller, t: (&str, Uuid)) {
    let in_session = |version, id, epoch, offset: Option<i64>| {
        let mut request = fetch(version, t, 0, offset.unwrap_or(0));
        (request.session_id, request.session_epoch) = (id, epoch);
        if offset.is_none() {
            request.topics = vec![];
        }
        request
    };
    c.new_call("in a session that is not there", in_session(18, 12345, 1, None)).await;
    c.new_call("closing one that is not there", in_session(18, 12345, -1, None)).await;
    c.new_call("epoch 1 without a session", in_session(18, 0, 1, Some(0))).await;
    for version in [7, 11, 12, 13, 18] {
        let answer = c.call("opens a session", version, in_session(version, 0, 0, Some(0))).await;
        let id = answer.session_id;
        c.call("nothing new", version, in_session(version, id, 1, None)).await;
        c.call("goes on", version, in_session(version, id, 2, Some(6))).await;
        c.call("a wrong epoch", version, in_session(version, id, 9, None)).await;
        c.call("the epoch before", version, in_session(version, id, 2, None)).await;
        let mut more = in_session(version, id, 3, None);
        let partitions = vec![of!(FetchPartition { partition: 1, partition_max_bytes: 1000 })];
        more.topics = fetch(version, t, 1, 0).topics;
        more.topics[0].partitions = partitions;
        c.call("a partition more", version, more).await;
        c.call("nothing new with two", version, in_session(version, id, 4, None)).await;
        let record = plain(&[("k", "new")]);
        c.new_call("something new", produce(13, t, 1, record)).await;
        c.call("what is new", version, in_session(version, id, 5, None)).await;
        let mut less = in_session(version, id, 6, None);
        less.forgotten_topics_data = vec![ForgottenTopic {
            topic: if version < 13 { s(t.0) } else { s("") },
            topic_id: if version < 13 { Uuid::ZERO } else { t.1 },
            partitions: vec![1],
        }];
        c.call("a partition less", version, less).await;
        let mut broken = in_session(version, id, 7, None);
        broken.topics = fetch(version, t, 8, 0).topics;
        c.call("an unknown partition more", version, broken).await;
        c.call("the error stays", version, in_session(version, id, 8, None)).await;
        if version == 12 {
            c.call("ids in a session of names", 13, in_session(13, id, 9, None)).await;
        }
        c.call("closes and reads", version, in_session(version, id, -1, Some(0))).await;
        c.call("after it was closed", version, in_session(version, id, 10, None)).await;
    }
}

async fn places(c: &mut Caller, t: (&str, Uuid)) {
    for time in [-1, -2] {
        c.calls(&format!("time {time}"), 1, |_| list_offsets(t.0, 0, time)).await;
    }
    for time in [-3, -4, -5, -6, -7] {
        c.new_call(&format!("time {time}"), list_offsets(t.0, 0, time)).await;
    }
    c.call("time -3 before it was known", 6, list_offsets(t.0, 0, -3)).await;
    c.new_call("the largest time of nothing", list_offsets(&c.name("read"), 1, -3)).await;
    c.new_call("a time before all", list_offsets(t.0, 0, 0)).await;
    c.new_call("the first time", list_offsets(t.0, 0, now())).await;
    c.new_call("the second time", list_offsets(t.0, 0, now() + 1)).await;
    c.new_call("a time after all", list_offsets(t.0, 0, now() + 100_000)).await;
    c.new_call("an unknown partition", list_offsets(t.0, 9, -1)).await;
    c.new_call("an unknown topic", list_offsets(&c.name("unknown"), 0, -1)).await;
    let mut request = list_offsets(t.0, 0, -1);
    request.isolation_level = 1;
    c.calls("committed", 2, |_| request.clone()).await;
    request.topics[0].partitions[0].current_leader_epoch = 9;
    c.new_call("an epoch to come", request.clone()).await;
    request.topics[0].partitions[0].current_leader_epoch = 0;
    c.new_call("the leader's epoch", request.clone()).await;
    let twice = request.topics[0].partitions[0].clone();
    request.topics[0].partitions.push(twice);
    c.new_call("a partition twice", request).await;
}

async fn epochs(c: &mut Caller, t: (&str, Uuid)) {
    let ask = |name: &str, partition: i32, current_leader_epoch: i32, leader_epoch: i32| {
        let partition = OffsetForLeaderPartition { partition, current_leader_epoch, leader_epoch };
        let topic = OffsetForLeaderTopic { topic: s(name), partitions: vec![partition] };
        OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] }
    };
    c.calls("epoch 0", 2, |_| ask(t.0, 0, -1, 0)).await;
    c.new_call("an epoch to come", ask(t.0, 0, -1, 3)).await;
    c.new_call("no epoch", ask(t.0, 0, -1, -1)).await;
    c.new_call("a leader to come", ask(t.0, 0, 4, 0)).await;
    c.new_call("the leader of now", ask(t.0, 0, 0, 0)).await;
    c.new_call("an unknown partition", ask(t.0, 9, -1, 0)).await;
    c.new_call("an unknown topic", ask(&c.name("unknown"), 0, -1, 0)).await;
    let (empty, _) = c.topic("never-written", 1, &[]).await;
    c.new_call("of nothing", ask(&empty, 0, -1, 0)).await;
}

async fn deleting(c: &mut Caller, t: (&str, Uuid)) {
    let ask = |name: &str, partitions: &[(i32, i64)]| {
        let partitions = partitions
            .iter()
            .map(|(partition_index, offset)| DeleteRecordsPartition {
                partition_index: *partition_index,
                offset: *offset,
            })
            .collect();
        let topics = vec![DeleteRecordsTopic { name: s(name), partitions }];
        DeleteRecordsRequest { topics, timeout_ms: 10_000 }
    };
    c.calls("before 2", 0, |_| ask(t.0, &[(0, 2)])).await;
    c.new_call("before less", ask(t.0, &[(0, 1)])).await;
    c.new_call("before 3, inside a batch", ask(t.0, &[(0, 3)])).await;
    c.new_call("reading what is gone", fetch(18, t, 0, 1)).await;
    c.new_call("reading what is left", fetch(18, t, 0, 3)).await;
    c.new_call("the first that is left", list_offsets(t.0, 0, -2)).await;
    c.new_call("past the end", ask(t.0, &[(0, 100)])).await;
    c.new_call("below zero", ask(t.0, &[(0, -2)])).await;
    c.new_call("an unknown partition", ask(t.0, &[(9, 1)])).await;
    c.new_call("an unknown topic", ask(&c.name("unknown"), &[(0, 1)])).await;
    c.new_call("all", ask(t.0, &[(0, -1)])).await;
    c.new_call("reading after all is gone", fetch(18, t, 0, 3)).await;
    c.new_call("writing after all is gone", produce(13, t, 0, plain(&[("k", "again")]))).await;
    c.new_call("all of an empty one", ask(t.0, &[(1, -1), (0, 7)])).await;
    let (compacted, _) = c.topic("compacted", 1, &[("cleanup.policy", "compact")]).await;
    c.new_call("of a compacted topic", ask(&compacted, &[(0, 0)])).await;
    c.new_call("of an internal topic", ask("__consumer_offsets", &[(0, 0)])).await;
}
