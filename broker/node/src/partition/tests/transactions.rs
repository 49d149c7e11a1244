//! What readers of committed records see, wait for and are told, before and after a stop.

use aquifer_broker_log::MarkerEpoch;
use aquifer_broker_protocol::control::EndTransactionMarker;

use super::*;

const MARKER: AppendHow =
    AppendHow { acks: Acks::Leader, origin: Origin::Marker(MarkerEpoch::Same) };

fn transactional(producer_id: i64, sequence: i32, value: &str) -> Bytes {
    let options = BatchOptions {
        producer_id,
        producer_epoch: 0,
        base_sequence: sequence,
        transactional: true,
        ..BatchOptions::default()
    };
    batch(options, &[value])
}

fn marker(producer_id: i64, commit: bool) -> Bytes {
    EndTransactionMarker { commit, coordinator_epoch: 0 }.batch(producer_id, 0, NOW_MS).freeze()
}

fn sync(partition: &Arc<Partition>) {
    let end = partition.begin_sync().unwrap().unwrap().end;
    partition.synced(end);
}

async fn append_unsynced(partition: &Arc<Partition>, records: Bytes, how: AppendHow) {
    let pending = partition.enqueue(records, how).await.unwrap();
    partition.append_queued();
    pending.await.unwrap();
}

/// The offset behind what a committed read from `from` finds, and the aborted transactions that it is told of.
async fn committed(
    partition: &Arc<Partition>,
    from: i64,
    bytes_max: usize,
) -> (i64, Vec<(i64, i64)>) {
    let found = partition.fetch(from, bytes_max, ReadBound::LastStable).await.unwrap();
    let bytes = bytes_of(&found);
    let last = RecordBatch::parse_all(&bytes).last();
    let end = last.map_or(from, |batch| batch.unwrap().next_offset());
    let aborted = found.aborted.iter().map(|one| (one.producer_id, one.first_offset)).collect();
    (end, aborted)
}

fn is_past(partition: &Partition, after: i64, bound: ReadBound) -> impl Future<Output = ()> {
    let notify = Arc::new(Notify::new());
    partition.notify_past(after, bound, &notify);
    async move { notify.notified().await }
}

#[tokio::test]
async fn a_newer_transaction_whose_first_batch_is_missing_is_refused() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let partition = partition(&partitions, 0);
    let v2 = AppendHow { acks: Acks::All, origin: Origin::ClientV2 };
    let refused = partition.append(transactional(7, 1, "b"), v2).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::OutOfOrderSequenceNumber);
    for sequence in 0..2 {
        partition.append(transactional(7, sequence, "a"), v2).await.unwrap();
    }
    // An older client's state may have expired.
    partition.append(transactional(8, 1, "b"), ALL).await.unwrap();
    assert_eq!(partition.offsets().log_end, 3);
}

#[tokio::test]
async fn committed_reads_wait_until_transactions_are_durably_decided() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let partition = unserved(&partitions);
    append_unsynced(&partition, transactional(7, 0, "a"), LEADER).await;
    append_unsynced(&partition, plain("b"), LEADER).await;
    sync(&partition);
    let stable = |partition: &Partition| {
        let offsets = partition.offsets();
        (offsets.last_stable, offsets.high_watermark)
    };
    assert_eq!(stable(&partition), (0, 2));
    assert_eq!(committed(&partition, 0, 1 << 20).await, (0, vec![]));
    // Between the last stable offset and the high watermark there is nothing yet, but it is no error.
    assert_eq!(committed(&partition, 1, 1 << 20).await, (1, vec![]));
    let mut decided = Box::pin(is_past(&partition, 0, ReadBound::LastStable));
    let mut durable = Box::pin(is_past(&partition, 2, ReadBound::HighWatermark));
    assert!(poll!(&mut decided).is_pending() && poll!(&mut durable).is_pending());

    append_unsynced(&partition, plain("c"), LEADER).await;
    sync(&partition);
    durable.await;
    assert!(poll!(&mut decided).is_pending(), "the high watermark alone decides nothing");
    append_unsynced(&partition, marker(7, false), MARKER).await;
    assert!(poll!(&mut decided).is_pending(), "the marker is not durable");
    assert_eq!(stable(&partition), (0, 3));
    sync(&partition);
    decided.await;
    assert_eq!(stable(&partition), (4, 4));
    assert_eq!(committed(&partition, 0, 1 << 20).await, (4, vec![(7, 0)]));
    assert_eq!(committed(&partition, 3, 1 << 20).await, (4, vec![(7, 0)]));
    let uncommitted = partition.fetch(0, 1 << 20, ReadBound::HighWatermark).await.unwrap();
    assert!(uncommitted.aborted.is_empty() && !uncommitted.slices.is_empty());
}

#[tokio::test]
async fn a_lost_marker_leaves_the_transaction_open() {
    let fixture = Fixture::new();
    let partitions = fixture.open().await;
    let partition = unserved(&partitions);
    append_unsynced(&partition, transactional(7, 0, "a"), LEADER).await;
    sync(&partition);
    append_unsynced(&partition, marker(7, false), MARKER).await;
    partition.begin_sync().unwrap().unwrap();
    partition.sync_failed("disk is gone");
    assert_eq!(partition.offsets().last_stable, 0);
    append_unsynced(&partition, marker(7, true), MARKER).await;
    sync(&partition);
    assert_eq!(partition.offsets().last_stable, 2);
    assert_eq!(committed(&partition, 1, 1 << 20).await, (2, vec![]));
}

/// Many aborted transactions, each a batch and a marker, and one that is open.
async fn write_many(partition: &Arc<Partition>, count: i32) {
    for number in 0..count {
        let id = i64::from(number % 3);
        partition.append(transactional(id, number / 3, "x"), LEADER).await.unwrap();
        partition.append(marker(id, false), MARKER).await.unwrap();
    }
    let all = AppendHow { acks: Acks::All, ..MARKER };
    partition.append(transactional(9, 0, "open"), ALL).await.unwrap();
    partition.append(marker(8, true), all).await.unwrap();
}

#[tokio::test]
async fn a_client_is_told_of_the_aborted_transactions_that_concern_it_wherever_they_are_known() {
    for tail_cache_bytes_max in [0, 1 << 20] {
        let fixture = Fixture { tail_cache_bytes_max, ..Fixture::new() };
        let mut partitions = fixture.open().await;
        let mut partition = partition(&partitions, 0);
        write_many(&partition, 400).await;
        let size = transactional(0, 0, "x").len() + marker(0, false).len();
        for stop in ["none", "clean", "unclean"] {
            if stop != "none" {
                if stop == "clean" {
                    partitions.close().await.unwrap();
                }
                drop((partition, partitions));
                partitions = fixture.open().await;
                partition = super::partition(&partitions, 0);
            }
            for from in [0, 2, 700, 790] {
                let (end, aborted) = committed(&partition, from, 2 * size).await;
                assert_eq!(end, from + 4, "from {from} after stop: {stop}");
                let expected: Vec<_> =
                    [from, from + 2].map(|first| (first / 2 % 3, first)).into_iter().collect();
                // Of a file, a little more may be told than concerns the client.
                assert!(aborted.starts_with(&expected) && aborted.len() <= 4, "{aborted:?}");
            }
            let (_, all) = committed(&partition, 0, 1 << 20).await;
            assert_eq!(all.len(), 400, "stop: {stop}");
            assert_eq!(committed(&partition, 800, 1 << 20).await, (800, vec![]));
        }
    }
}

#[tokio::test]
async fn ends_and_look_ups_by_time_stop_at_the_last_stable_offset_also_after_a_clean_stop() {
    let fixture = Fixture::new();
    let (committed, all) = (ReadBound::LastStable, ReadBound::HighWatermark);
    let at = |offset| Some(TimestampOffset { timestamp_ms: NOW_MS, offset });
    let partitions = fixture.open().await;
    write_many(&partition(&partitions, 0), 1).await;
    partitions.close().await.unwrap();
    drop(partitions);

    let partitions = fixture.open().await;
    let partition = partition(&partitions, 0);
    assert_eq!(partition.visible_end(all).await.unwrap(), 4);
    assert_eq!(partition.visible_end(committed).await.unwrap(), 2);
    assert_eq!(partition.offset_for_timestamp(NOW_MS, committed).await.unwrap(), at(0));
    assert_eq!(partition.max_timestamp(all).await.unwrap(), at(0));
    let producers = partition.producers().await.unwrap();
    let found: Vec<_> = producers.iter().map(|one| (one.id, one.open_transaction)).collect();
    assert_eq!(found, [(0, None), (8, None), (9, Some(2))]);

    assert_eq!(partition.delete_records(2).await.unwrap(), 2);
    assert_eq!(partition.offset_for_timestamp(NOW_MS, committed).await.unwrap(), None);
    assert_eq!(partition.max_timestamp(committed).await.unwrap(), None);
    assert_eq!(partition.offset_for_timestamp(NOW_MS, all).await.unwrap(), at(2));
    // What was deleted on request holds nobody up.
    assert_eq!(partition.delete_records(3).await.unwrap(), 3);
    assert_eq!(partition.offsets().last_stable, 3);
}
