//! Produce and InitProducerId without transactions: batches of all kinds, sequences, epochs.

use aquifer_broker_protocol::Uuid;
use aquifer_broker_protocol::batch::{BatchOptions, TimestampType};
use aquifer_broker_protocol::message::init_producer_id::InitProducerIdRequest;
use aquifer_broker_protocol::message::produce::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};

use super::caller::Caller;
use super::requests::{batch, fetch, list_offsets, numbered, of, plain, produce, s, transactional};

/// The checksum of a batch that was changed.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// CRC-32C, bit by bit: the batches here are small.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}

/// A batch with some bytes replaced, and its checksum made right again.
fn patched(at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = plain(&[("k", "one"), ("k", "two")]);
    bytes[at..at + with.len()].copy_from_slice(with);
    sealed(bytes)
}

pub(crate) async fn script(c: &mut Caller) {
    plain_batches(c).await;
    bad_batches(c).await;
    sequences(c).await;
    timestamps(c).await;
}

async fn plain_batches(c: &mut Caller) {
    let (name, id) = c.topic("plain", 2, &[]).await;
    let t = (name.as_str(), id);
    c.calls("a batch", 3, |v| produce(v, t, 0, plain(&[("k", "v")]))).await;
    for version in [3, 7, 9, 12, 13] {
        c.call("an unknown partition", version, produce(version, t, 9, plain(&[("k", "v")]))).await;
        let unknown = c.name("unknown");
        let nobody = (unknown.as_str(), Uuid([5; 16]));
        c.call("an unknown topic", version, produce(version, nobody, 0, plain(&[("k", "v")])))
            .await;
        for acks in [0, 1, 2, -2] {
            let request = ProduceRequest { acks, ..produce(version, t, 1, plain(&[("k", "v")])) };
            if acks == 0 {
                let _ = c.send(version, &request).await;
            } else {
                c.call(&format!("acks {acks}"), version, request).await;
            }
        }
    }
    c.call("an id of zeros", 13, produce(13, (&name, Uuid::ZERO), 0, plain(&[("k", "v")]))).await;
    c.call("a bad name", 9, produce(9, ("a b", id), 0, plain(&[("k", "v")]))).await;
    c.call("an empty name", 9, produce(9, ("", id), 0, plain(&[("k", "v")]))).await;
    let data =
        |index, records: Vec<u8>| PartitionProduceData { index, records: Some(records.leak()) };
    let several = |partition_data| {
        let topic = of!(TopicProduceData<'static> { name: s(&name), partition_data });
        of!(ProduceRequest<'static> { acks: -1, timeout_ms: 20_000, topic_data: vec![topic] })
    };
    c.call(
        "two partitions",
        9,
        several(vec![data(0, plain(&[("k", "v")])), data(1, plain(&[("k", "w")]))]),
    )
    .await;
    c.call(
        "a good and a bad one",
        9,
        several(vec![data(0, plain(&[("k", "v")])), data(7, plain(&[("k", "w")]))]),
    )
    .await;
    c.call("nothing", 9, several(vec![])).await;
    c.call("no topics", 9, of!(ProduceRequest<'static> { acks: -1, timeout_ms: 1000 })).await;
    let internal = ("__consumer_offsets", Uuid::ZERO);
    let _ = c.group("makes the topic of offsets").await;
    c.call("an internal topic", 9, produce(9, internal, 0, plain(&[("k", "v")]))).await;
    c.call("what is there", 12, fetch(12, t, 0, 0)).await;
    c.call(
        "a partition twice",
        9,
        several(vec![data(0, plain(&[("k", "a")])), data(0, plain(&[("k", "b")]))]),
    )
    .await;
}

async fn bad_batches(c: &mut Caller) {
    let (name, id) = c.topic("bad", 1, &[("max.message.bytes", "1000")]).await;
    let t = (name.as_str(), id);
    let good = plain(&[("k", "one"), ("k", "two")]);
    let mut wrong_crc = good.clone();
    wrong_crc[18] ^= 1;
    let mut two = good.clone();
    two.extend_from_slice(&good);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no bytes", vec![]),
        ("too few bytes", good[..40].to_vec()),
        ("cut in its records", good[..good.len() - 3].to_vec()),
        ("a wrong checksum", wrong_crc),
        ("two batches", two),
        ("magic 1", patched(16, &[1])),
        ("magic 3", patched(16, &[3])),
        ("a count above", patched(57, &5_i32.to_be_bytes())),
        ("a count below", patched(57, &1_i32.to_be_bytes())),
        ("a count of none", patched(57, &0_i32.to_be_bytes())),
        ("a last offset above", patched(23, &9_i32.to_be_bytes())),
        ("a last offset below zero", patched(23, &(-1_i32).to_be_bytes())),
        ("an unknown codec", patched(21, &7_i16.to_be_bytes())),
        ("transactional without an id", transactional(-1, -1, -1, "v")),
        (
            "a control batch",
            batch(
                BatchOptions { control: true, ..BatchOptions::default() },
                &[("\0\0\0\u{1}", "v")],
            ),
        ),
        (
            "a producer without a sequence",
            batch(
                BatchOptions { producer_id: 5, producer_epoch: 0, ..BatchOptions::default() },
                &[("k", "v")],
            ),
        ),
        ("too large", plain(&[("k", &"x".repeat(1000))])),
        ("just small enough", plain(&[("k", &"x".repeat(900))])),
        ("a record without key and value", plain(&[("", "")])),
    ];
    for (step, records) in cases {
        c.call(step, 9, produce(9, t, 0, records.clone())).await;
        c.new_call(step, produce(13, t, 0, records)).await;
    }
    // What ours takes and Kafka does not has a topic of its own: offsets that follow differ too.
    let (looked_into, looked_into_id) = c.topic("looked-into", 1, &[]).await;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("gzip that is none", patched(21, &1_i16.to_be_bytes())),
        ("snappy that is none", patched(21, &2_i16.to_be_bytes())),
        ("lz4 that is none", patched(21, &3_i16.to_be_bytes())),
        ("zstd that is none", patched(21, &4_i16.to_be_bytes())),
        ("a base offset that is not zero", {
            let mut b = good.clone();
            b[7] = 9;
            b
        }),
        (
            "a time of the log",
            batch(
                BatchOptions {
                    timestamp_type: TimestampType::LogAppendTime,
                    ..BatchOptions::default()
                },
                &[("k", "v")],
            ),
        ),
    ];
    for (step, records) in cases {
        c.new_call(step, produce(13, (&looked_into, looked_into_id), 0, records)).await;
    }
    c.new_call("the end after all that", list_offsets(&name, 0, -1)).await;
    let (compacted, id) = c.topic("compacted", 1, &[("cleanup.policy", "compact")]).await;
    let t = (compacted.as_str(), id);
    c.calls("no key on a compacted topic", 7, |v| {
        produce(v, t, 0, plain(&[("", "v"), ("k", "v"), ("", "w")]))
    })
    .await;
    c.new_call("a tombstone", produce(13, t, 0, plain(&[("k", "")]))).await;
}

async fn sequences(c: &mut Caller) {
    let (name, id) = c.topic("numbered", 1, &[]).await;
    let t = (name.as_str(), id);
    let mut first = -1;
    for version in 0..=5 {
        let request = of!(InitProducerIdRequest<'static> { transaction_timeout_ms: 60_000 });
        first = c.call("a producer", version, request).await.producer_id;
    }
    let with = |producer_id, producer_epoch| of!(InitProducerIdRequest<'static> { transaction_timeout_ms: 60_000, producer_id, producer_epoch });
    c.new_call("an id of one's own", with(first, 0)).await;
    c.new_call("an epoch without an id", with(-1, 3)).await;
    c.new_call("an id without an epoch", with(first, -1)).await;
    for (step, epoch, sequence, records) in [
        ("the first", 0, 0, 2),
        ("the first again", 0, 0, 2),
        ("the second", 0, 2, 3),
        ("the first once more", 0, 0, 2),
        ("part of the second", 0, 2, 1),
        ("a gap", 0, 9, 1),
        ("behind", 0, 1, 1),
        ("the third", 0, 5, 1),
        ("the fourth", 0, 6, 1),
        ("the fifth", 0, 7, 1),
        ("the sixth", 0, 8, 1),
        ("the second, forgotten", 0, 2, 3),
        ("a new epoch from its middle", 1, 9, 1),
        ("a new epoch", 1, 0, 1),
        ("the old epoch", 0, 9, 1),
        ("the new epoch goes on", 1, 1, 1),
        ("an epoch below zero", -1, 0, 1),
    ] {
        let records = numbered(first, epoch, sequence, records);
        c.call(step, 9, produce(9, t, 0, records.clone())).await;
    }
    let unknown = numbered(first + 1_000_000, 0, 5, 1);
    c.call("a producer that nobody knows, from its middle", 9, produce(9, t, 0, unknown)).await;
    let near_the_end = first + 1_000_001;
    c.call("at the last sequence", 9, produce(9, t, 0, numbered(near_the_end, 0, i32::MAX - 1, 2)))
        .await;
    c.call("after the last sequence comes 0", 9, produce(9, t, 0, numbered(near_the_end, 0, 0, 1)))
        .await;
    let around = first + 1_000_002;
    c.call("around the last sequence", 9, produce(9, t, 0, numbered(around, 0, i32::MAX, 3))).await;
    c.call("after it went around", 9, produce(9, t, 0, numbered(around, 0, 2, 1))).await;
    c.call(
        "two batches of a producer",
        9,
        produce(9, t, 0, [numbered(first, 1, 2, 1), numbered(first, 1, 3, 1)].concat()),
    )
    .await;
    c.call("what is there", 12, fetch(12, t, 0, 0)).await;
}

async fn timestamps(c: &mut Caller) {
    let (appended, id) =
        c.topic("appended", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    c.calls("the log's time", 7, |v| {
        produce(v, (&appended, id), 0, plain(&[("k", "v"), ("k", "w")]))
    })
    .await;
    let (strict, id) = c.topic("strict", 1, &[("message.timestamp.before.max.ms", "1000")]).await;
    c.calls("too old", 7, |v| produce(v, (&strict, id), 0, plain(&[("k", "v"), ("k", "w")]))).await;
    let (strict, id) = c.topic("early", 1, &[("message.timestamp.after.max.ms", "1000")]).await;
    let mut early = plain(&[("k", "v")]);
    let later = (super::requests::now() + 3_600_000_000).to_be_bytes();
    early[27..35].copy_from_slice(&later);
    early[35..43].copy_from_slice(&later);
    let early = sealed(early);
    c.calls("too early", 7, |v| produce(v, (&strict, id), 0, early.clone())).await;
    let mut timeless = plain(&[("k", "v")]);
    timeless[27..43].copy_from_slice(&[255; 16]);
    let (open, id) = c.topic("timeless", 1, &[]).await;
    c.new_call("no time", produce(13, (&open, id), 0, sealed(timeless))).await;
    let (snappy, id) = c.topic("recompressed", 1, &[("compression.type", "gzip")]).await;
    c.new_call(
        "another codec than the topic's",
        produce(13, (&snappy, id), 0, plain(&[("k", "v")])),
    )
    .await;
    c.new_call("its end", list_offsets(&snappy, 0, -1)).await;
}
