//! Transactions of both versions: their life, fencing, what readers see, and what administrators can ask.

use aquifer_broker_protocol::Uuid;
use aquifer_broker_protocol::message::add_offsets_to_txn::AddOffsetsToTxnRequest;
use aquifer_broker_protocol::message::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use aquifer_broker_protocol::message::describe_producers::{self, DescribeProducersRequest};
use aquifer_broker_protocol::message::describe_transactions::DescribeTransactionsRequest;
use aquifer_broker_protocol::message::end_txn::EndTxnRequest;
use aquifer_broker_protocol::message::fetch::FetchRequest;
use aquifer_broker_protocol::message::init_producer_id::InitProducerIdRequest;
use aquifer_broker_protocol::message::list_offsets::ListOffsetsRequest;
use aquifer_broker_protocol::message::list_transactions::ListTransactionsRequest;
use aquifer_broker_protocol::message::produce::ProduceRequest;
use aquifer_broker_protocol::message::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use aquifer_broker_protocol::message::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};

use super::caller::Caller;
use super::offsets::committed;
use super::requests::{coordinator, fetch, list_offsets, of, produce, s, transactional};

/// Who a producer is for the coordinator.
type Producer = (i64, i16);

fn init(id: &str, timeout_ms: i32, producer: Producer) -> InitProducerIdRequest<'static> {
    InitProducerIdRequest {
        transactional_id: Some(s(id)),
        transaction_timeout_ms: timeout_ms,
        producer_id: producer.0,
        producer_epoch: producer.1,
    }
}

const NEW: Producer = (-1, -1);

fn add(
    version: i16,
    id: &str,
    producer: Producer,
    topic: &str,
    partitions: &[i32],
) -> AddPartitionsToTxnRequest<'static> {
    let topics = vec![AddPartitionsToTxnTopic { name: s(topic), partitions: partitions.to_vec() }];
    if version < 4 {
        return of!(AddPartitionsToTxnRequest<'static> {
            v3_and_below_transactional_id: s(id),
            v3_and_below_producer_id: producer.0,
            v3_and_below_producer_epoch: producer.1,
            v3_and_below_topics: topics,
        });
    }
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: s(id),
        producer_id: producer.0,
        producer_epoch: producer.1,
        verify_only: false,
        topics,
    };
    of!(AddPartitionsToTxnRequest<'static> { transactions: vec![transaction] })
}

fn add_offsets(id: &str, producer: Producer, group: &str) -> AddOffsetsToTxnRequest<'static> {
    AddOffsetsToTxnRequest {
        transactional_id: s(id),
        producer_id: producer.0,
        producer_epoch: producer.1,
        group_id: s(group),
    }
}

fn end(id: &str, producer: Producer, committed: bool) -> EndTxnRequest<'static> {
    EndTxnRequest {
        transactional_id: s(id),
        producer_id: producer.0,
        producer_epoch: producer.1,
        committed,
    }
}

fn offsets(
    id: &str,
    producer: Producer,
    group: &str,
    topic: &str,
    partition_index: i32,
    offset: i64,
) -> TxnOffsetCommitRequest<'static> {
    let partition =
        of!(TxnOffsetCommitRequestPartition<'static> { partition_index, committed_offset: offset });
    of!(TxnOffsetCommitRequest<'static> {
        transactional_id: s(id),
        group_id: s(group),
        producer_id: producer.0,
        producer_epoch: producer.1,
        topics: vec![TxnOffsetCommitRequestTopic { name: s(topic), partitions: vec![partition] }],
    })
}

fn write(
    version: i16,
    id: &str,
    t: (&str, Uuid),
    index: i32,
    producer: Producer,
    sequence: i32,
    value: &str,
) -> ProduceRequest<'static> {
    let records = transactional(producer.0, producer.1, sequence, value);
    ProduceRequest { transactional_id: Some(s(id)), ..produce(version, t, index, records) }
}

fn describe(ids: &[&str]) -> DescribeTransactionsRequest<'static> {
    DescribeTransactionsRequest { transactional_ids: ids.iter().map(|id| s(id)).collect() }
}

fn producers(topic: &str, partition: i32) -> DescribeProducersRequest<'static> {
    let topic =
        describe_producers::TopicRequest { name: s(topic), partition_indexes: vec![partition] };
    DescribeProducersRequest { topics: vec![topic] }
}

fn committed_only(t: (&str, Uuid), partition: i32, offset: i64) -> FetchRequest<'static> {
    FetchRequest { isolation_level: 1, ..fetch(18, t, partition, offset) }
}

/// Ends a transaction, and waits until its markers are everywhere: Kafka answers before they are.
async fn finish(
    c: &mut Caller,
    step: &str,
    version: i16,
    id: &str,
    producer: Producer,
    committed: bool,
) -> Producer {
    let answer = c.call(step, version, end(id, producer, committed)).await;
    c.settle(
        0,
        || describe(&[id]),
        |answer| {
            answer
                .transaction_states
                .iter()
                .all(|state| !state.transaction_state.starts_with("Prepare"))
        },
    )
    .await;
    (answer.producer_id, answer.producer_epoch)
}

pub(crate) async fn script(c: &mut Caller) {
    let (name, id) = c.topic("t", 3, &[]).await;
    let t = (name.as_str(), id);
    starting(c).await;
    old_clients(c, t).await;
    new_clients(c, t).await;
    with_offsets(c, t).await;
    fencing(c, t).await;
    several_at_once(c).await;
    markers(c).await;
    listing(c, t).await;
}

async fn starting(c: &mut Caller) {
    let id = c.transactional_id("starting").await;
    c.calls("a transactional id", 0, |v| coordinator(v.max(1), 1, &id)).await;
    c.new_call("an empty id", coordinator(6, 1, "")).await;
    for version in 0..=5 {
        c.call("starts", version, init(&id, 60_000, NEW)).await;
    }
    c.new_call("an empty id", init("", 60_000, NEW)).await;
    c.new_call("no time", init(&id, 0, NEW)).await;
    c.new_call("a time below zero", init(&id, -1, NEW)).await;
    c.new_call("too much time", init(&id, 900_001, NEW)).await;
    c.new_call("just enough time", init(&id, 900_000, NEW)).await;
    let now = c.new_call("starts again", init(&id, 60_000, NEW)).await;
    c.new_call("goes on", init(&id, 60_000, (now.producer_id, now.producer_epoch))).await;
    c.new_call("goes on as it was", init(&id, 60_000, (now.producer_id, now.producer_epoch))).await;
    c.new_call(
        "goes on as it was long ago",
        init(&id, 60_000, (now.producer_id, now.producer_epoch - 2)),
    )
    .await;
    c.new_call("as somebody else", init(&id, 60_000, (now.producer_id + 1000, 0))).await;
    c.call("as somebody else", 3, init(&id, 60_000, (now.producer_id + 1000, 0))).await;
    c.call("described", 0, describe(&[&id, &c.name("nobody")])).await;
    c.call("described, empty", 0, describe(&[""])).await;
}

/// Clients of before KIP-890: partitions are added by name, epochs stay.
async fn old_clients(c: &mut Caller, t: (&str, Uuid)) {
    for version in [0, 2, 3, 4] {
        let id = c.transactional_id(&format!("old-{version}")).await;
        let started = c.call("starts", version.min(4), init(&id, 60_000, NEW)).await;
        let p = (started.producer_id, started.producer_epoch);
        let (add_v, produce_v) = (version.min(3), if version < 3 { 7 } else { 11 });
        finish(c, "ends nothing", version, &id, p, true).await;
        c.call("writes what was not added", produce_v, write(produce_v, &id, t, 0, p, 0, "stray"))
            .await;
        c.call("adds", add_v, add(add_v, &id, p, t.0, &[0, 1])).await;
        c.call("adds again", add_v, add(add_v, &id, p, t.0, &[0])).await;
        c.call("adds an unknown partition", add_v, add(add_v, &id, p, t.0, &[2, 9])).await;
        c.call("adds an unknown topic", add_v, add(add_v, &id, p, &c.name("unknown"), &[0])).await;
        c.call("adds in another epoch", add_v, add(add_v, &id, (p.0, p.1 + 3), t.0, &[2])).await;
        c.call("adds as another", add_v, add(add_v, &id, (p.0 + 1000, p.1), t.0, &[2])).await;
        c.call("adds for another", add_v, add(add_v, &c.name("nobody"), p, t.0, &[2])).await;
        c.call("writes", produce_v, write(produce_v, &id, t, 0, p, 0, "kept")).await;
        c.call("writes again what it wrote", produce_v, write(produce_v, &id, t, 0, p, 0, "kept"))
            .await;
        c.call("writes to another", produce_v, write(produce_v, &id, t, 1, p, 0, "kept too")).await;
        c.call("open", 0, describe(&[&id])).await;
        c.call("open", 0, producers(t.0, 0)).await;
        c.new_call(
            "uncommitted, for all",
            ListOffsetsRequest { isolation_level: 0, ..list_offsets(t.0, 0, -1) },
        )
        .await;
        c.new_call(
            "uncommitted, for readers of the committed",
            ListOffsetsRequest { isolation_level: 1, ..list_offsets(t.0, 0, -1) },
        )
        .await;
        c.new_call("reads the committed while open", committed_only(t, 0, 0)).await;
        finish(c, "ends in another epoch", version, &id, (p.0, p.1 + 3), true).await;
        finish(c, "ends as another", version, &id, (p.0 + 1000, p.1), true).await;
        finish(c, "commits", version, &id, p, true).await;
        finish(c, "commits again", version, &id, p, true).await;
        finish(c, "aborts what was committed", version, &id, p, false).await;
        c.call("committed", 0, describe(&[&id])).await;
        c.call("committed", 0, producers(t.0, 0)).await;
        c.call("adds to the next", add_v, add(add_v, &id, p, t.0, &[0])).await;
        c.call("writes in the next", produce_v, write(produce_v, &id, t, 0, p, 1, "dropped")).await;
        finish(c, "aborts", version, &id, p, false).await;
        finish(c, "aborts again", version, &id, p, false).await;
        finish(c, "commits what was aborted", version, &id, p, true).await;
        c.new_call("reads the committed", committed_only(t, 0, 0)).await;
        c.calls("reads all", 12, |v| fetch(v, t, 0, 0)).await;
        c.new_call(
            "the end of the committed",
            ListOffsetsRequest { isolation_level: 1, ..list_offsets(t.0, 0, -1) },
        )
        .await;
    }
}

/// Clients of KIP-890: writing adds, and each end gives a new epoch.
async fn new_clients(c: &mut Caller, t: (&str, Uuid)) {
    let id = c.transactional_id("new").await;
    let started = c.call("starts", 5, init(&id, 60_000, NEW)).await;
    let mut p = (started.producer_id, started.producer_epoch);
    for version in [12, 13] {
        c.call("writes", version, write(version, &id, t, 2, p, 0, "kept")).await;
        c.call("goes on", version, write(version, &id, t, 2, p, 1, "kept as well")).await;
        c.call("open", 0, describe(&[&id])).await;
        let ended = finish(c, "commits", 5, &id, p, true).await;
        finish(c, "commits again", 5, &id, p, true).await;
        finish(c, "aborts what was committed", 5, &id, p, false).await;
        c.call("writes in the epoch that ended", version, write(version, &id, t, 2, p, 2, "late"))
            .await;
        p = ended;
        c.call("writes in the next", version, write(version, &id, t, 2, p, 0, "dropped")).await;
        let ended = finish(c, "aborts", 5, &id, p, false).await;
        finish(c, "aborts again", 5, &id, p, false).await;
        p = ended;
        let ended = finish(c, "aborts nothing", 5, &id, p, false).await;
        p = (ended.0.max(p.0), ended.1.max(p.1));
        finish(c, "commits nothing", 5, &id, p, true).await;
        c.call("described", 0, describe(&[&id])).await;
        c.call("producers", 0, producers(t.0, 2)).await;
    }
    c.call("writes to an unknown partition", 12, write(12, &id, t, 9, p, 0, "x")).await;
    c.call(
        "writes without its name",
        12,
        ProduceRequest { transactional_id: None, ..write(12, &id, t, 2, p, 0, "x") },
    )
    .await;
    c.call("writes with another's name", 12, write(12, &c.name("nobody"), t, 2, p, 0, "x")).await;
    c.call("writes in an epoch to come", 12, write(12, &id, t, 2, (p.0, p.1 + 4), 0, "x")).await;
    c.call("writes in an old epoch", 12, write(12, &id, t, 2, (p.0, p.1 - 2), 0, "x")).await;
    c.call("writes from the middle", 12, write(12, &id, t, 1, p, 7, "x")).await;
    c.call("adds as one of many", 5, add(5, &id, p, t.0, &[2])).await;
    let mut verify = add(4, &id, p, t.0, &[0, 2]);
    verify.transactions[0].verify_only = true;
    c.call("is verified", 4, verify).await;
    c.new_call("reads the committed", committed_only(t, 2, 0)).await;
    c.new_call("reads from the middle of the aborted", committed_only(t, 2, 4)).await;
    c.new_call("reads all", fetch(18, t, 2, 0)).await;
}

async fn with_offsets(c: &mut Caller, t: (&str, Uuid)) {
    let g = c.group("of-offsets").await;
    let id = c.transactional_id("offsets").await;
    for version in [0, 3, 4] {
        let started = c.call("starts", 4, init(&id, 60_000, NEW)).await;
        let p = (started.producer_id, started.producer_epoch);
        c.call("offsets that were not added", version, offsets(&id, p, &g, t.0, 0, 3)).await;
        c.call("adds", version, add_offsets(&id, p, &g)).await;
        c.call("adds in another epoch", version, add_offsets(&id, (p.0, p.1 + 2), &g)).await;
        c.call("adds an empty group", version, add_offsets(&id, p, "")).await;
        c.call("offsets", version, offsets(&id, p, &g, t.0, 0, 3)).await;
        c.call("offsets of an unknown partition", version, offsets(&id, p, &g, t.0, 9, 3)).await;
        c.call("offsets in another epoch", version, offsets(&id, (p.0, p.1 + 2), &g, t.0, 0, 4))
            .await;
        if version >= 3 {
            let stranger = TxnOffsetCommitRequest {
                member_id: s("nobody"),
                generation_id: 4,
                ..offsets(&id, p, &g, t.0, 0, 4)
            };
            c.call("offsets of a member that is not there", version, stranger).await;
        }
        c.call("pending", 9, committed(9, &g, t, Some(&[0]))).await;
        let mut stable = committed(9, &g, t, Some(&[0, 1]));
        stable.require_stable = true;
        c.call("pending, stable", 9, stable.clone()).await;
        finish(c, "commits", version, &id, p, version != 3).await;
        c.settle(
            9,
            || stable.clone(),
            |answer| {
                answer.groups.iter().all(|group| {
                    group.topics.iter().all(|topic| {
                        topic.partitions.iter().all(|partition| partition.error_code == 0)
                    })
                })
            },
        )
        .await;
        c.call("after the end", 9, stable).await;
    }
    let started = c.call("starts", 5, init(&id, 60_000, NEW)).await;
    let p = (started.producer_id, started.producer_epoch);
    c.call("offsets that add themselves", 5, offsets(&id, p, &g, t.0, 1, 9)).await;
    c.call("open", 0, describe(&[&id])).await;
    c.call("pending", 9, committed(9, &g, t, Some(&[1]))).await;
    finish(c, "commits", 5, &id, p, true).await;
    let mut stable = committed(9, &g, t, Some(&[0, 1]));
    stable.require_stable = true;
    c.settle(
        9,
        || stable.clone(),
        |answer| {
            answer.groups.iter().all(|group| {
                group
                    .topics
                    .iter()
                    .all(|topic| topic.partitions.iter().all(|partition| partition.error_code == 0))
            })
        },
    )
    .await;
    c.call("after the end", 9, stable).await;
    c.call("offsets in the epoch that ended", 5, offsets(&id, p, &g, t.0, 1, 10)).await;
}

async fn fencing(c: &mut Caller, t: (&str, Uuid)) {
    for version in [4, 5] {
        let id = c.transactional_id(&format!("fenced-{version}")).await;
        let started = c.call("starts", version, init(&id, 60_000, NEW)).await;
        let p = (started.producer_id, started.producer_epoch);
        let v = if version == 4 { 11 } else { 12 };
        if version == 4 {
            c.call("adds", 3, add(3, &id, p, t.0, &[0])).await;
        }
        c.call("writes", v, write(v, &id, t, 0, p, 0, "of the first")).await;
        c.settle(version, || init(&id, 60_000, NEW), |answer| answer.error_code != 51).await;
        c.call("the second", 0, describe(&[&id])).await;
        c.call("the first writes", v, write(v, &id, t, 0, p, 1, "too late")).await;
        finish(c, "the first ends", version, &id, p, true).await;
        c.call("the first adds", 3, add(3, &id, p, t.0, &[1])).await;
        c.call("the first goes on", version, init(&id, 60_000, p)).await;
        c.new_call(
            "what is seen of it",
            ListOffsetsRequest { isolation_level: 1, ..list_offsets(t.0, 0, -1) },
        )
        .await;
    }
    // Time runs out: the coordinator aborts.
    let id = c.transactional_id("late").await;
    let started = c.call("starts", 4, init(&id, 1000, NEW)).await;
    let p = (started.producer_id, started.producer_epoch);
    c.call("adds", 3, add(3, &id, p, t.0, &[0])).await;
    c.call("writes", 11, write(11, &id, t, 0, p, 0, "in time")).await;
    c.settle(
        0,
        || describe(&[&id]),
        |answer| {
            answer.transaction_states.iter().all(|state| {
                state.transaction_state != "Ongoing"
                    && !state.transaction_state.starts_with("Prepare")
            })
        },
    )
    .await;
    c.call("after its time", 0, describe(&[&id])).await;
    c.call("writes after its time", 11, write(11, &id, t, 0, p, 1, "late")).await;
    finish(c, "ends after its time", 4, &id, p, true).await;
    c.call("goes on after its time", 4, init(&id, 60_000, p)).await;
}

/// Two transactions whose records lie between each other's.
async fn several_at_once(c: &mut Caller) {
    let (name, topic_id) = c.topic("between", 1, &[]).await;
    let t = (name.as_str(), topic_id);
    let (a, b) = (c.transactional_id("a").await, c.transactional_id("b").await);
    let first = c.call("a starts", 5, init(&a, 60_000, NEW)).await;
    let second = c.call("b starts", 5, init(&b, 60_000, NEW)).await;
    let (pa, pb) =
        ((first.producer_id, first.producer_epoch), (second.producer_id, second.producer_epoch));
    c.call("a writes", 12, write(12, &a, t, 0, pa, 0, "a1")).await;
    c.call("b writes", 12, write(12, &b, t, 0, pb, 0, "b1")).await;
    c.call("a writes more", 12, write(12, &a, t, 0, pa, 1, "a2")).await;
    c.call("somebody writes", 12, produce(12, t, 0, super::requests::plain(&[("k", "plain")])))
        .await;
    finish(c, "b aborts", 5, &b, pb, false).await;
    c.new_call("reads the committed while a is open", committed_only(t, 0, 0)).await;
    finish(c, "a commits", 5, &a, pa, true).await;
    for offset in 0..=6 {
        c.new_call(&format!("reads the committed from {offset}"), committed_only(t, 0, offset))
            .await;
    }
    c.call("reads the committed", 4, FetchRequest { isolation_level: 1, ..fetch(4, t, 0, 0) })
        .await;
    c.call("producers", 0, producers(t.0, 0)).await;
    c.call("producers of an unknown partition", 0, producers(t.0, 9)).await;
    c.call("producers of an unknown topic", 0, producers(&c.name("unknown"), 0)).await;
    c.call("producers of a bad name", 0, producers("a b", 0)).await;
}

async fn markers(c: &mut Caller) {
    let (name, topic_id) = c.topic("marked", 1, &[]).await;
    let t = (name.as_str(), topic_id);
    let id = c.transactional_id("marked").await;
    let started = c.call("starts", 4, init(&id, 60_000, NEW)).await;
    let p = (started.producer_id, started.producer_epoch);
    c.call("adds", 3, add(3, &id, p, t.0, &[0])).await;
    c.call("writes", 11, write(11, &id, t, 0, p, 0, "v")).await;
    let ask = |producer: Producer, partition: i32, coordinator_epoch: i32| {
        let topics =
            vec![WritableTxnMarkerTopic { name: s(&name), partition_indexes: vec![partition] }];
        let marker = of!(WritableTxnMarker<'static> {
            producer_id: producer.0,
            producer_epoch: producer.1,
            transaction_result: false,
            topics,
            coordinator_epoch,
        });
        WriteTxnMarkersRequest { markers: vec![marker] }
    };
    c.call("a marker for an unknown partition", 1, ask(p, 9, 0)).await;
    c.call("a marker of an old epoch", 1, ask((p.0, p.1 - 1), 0, 0)).await;
    c.call("a marker", 1, ask(p, 0, 0)).await;
    c.call("a marker again", 2, ask(p, 0, 0)).await;
    c.call("producers", 0, producers(t.0, 0)).await;
    c.new_call("reads the committed", committed_only(t, 0, 0)).await;
}

async fn listing(c: &mut Caller, t: (&str, Uuid)) {
    let id = c.transactional_id("listed").await;
    let started = c.call("starts", 5, init(&id, 60_000, NEW)).await;
    let p = (started.producer_id, started.producer_epoch);
    c.call("writes", 12, write(12, &id, t, 1, p, 0, "v")).await;
    let prefix = c.name("");
    let ask = |states: &[&str], ids: &[i64], duration_filter: i64, pattern: Option<&str>| {
        ListTransactionsRequest {
            state_filters: states.iter().map(|state| s(state)).collect(),
            producer_id_filters: ids.to_vec(),
            duration_filter,
            transactional_id_pattern: pattern.map(s),
        }
    };
    let pattern = format!("{prefix}l.*");
    for (step, version, request) in [
        ("all", 0, ask(&[], &[], -1, None)),
        ("open ones", 0, ask(&["Ongoing"], &[], -1, None)),
        ("an unknown state", 0, ask(&["Sleeping"], &[], -1, None)),
        ("an unknown state and a known", 0, ask(&["Sleeping", "Ongoing"], &[], -1, None)),
        ("by producer", 0, ask(&[], &[p.0], -1, None)),
        ("by a producer that is not there", 0, ask(&[], &[99_999_999], -1, None)),
        ("long ones", 1, ask(&[], &[], 3_600_000, None)),
        ("by a pattern", 2, ask(&[], &[], -1, Some(&pattern))),
        ("by a pattern that fits nothing", 2, ask(&[], &[], -1, Some("nothing"))),
        ("by a pattern that is none", 2, ask(&[], &[], -1, Some("("))),
        ("by an empty pattern", 2, ask(&[], &[], -1, Some(""))),
    ] {
        c.call_then(step, version, request, |answer| {
            answer.transaction_states.retain(|state| state.transactional_id.starts_with(&prefix));
        })
        .await;
    }
    finish(c, "aborts", 5, &id, p, false).await;
}
