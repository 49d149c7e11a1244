//! Sequences that follow, repeat or do not fit, and what a snapshot keeps of them.

use aquifer_broker_protocol::batch::RecordBatch;

use super::*;
use crate::test_support::{End, batch, header, marker, transactional};

/// Applies `first:last` batches of a producer (epoch 0), then checks one more: epoch, base sequence, count.
fn check(written: &[(i16, i32, usize)], next: (i16, i32, usize), expected: &str) {
    let mut state = ProducerState::default();
    let mut offset = 0;
    let make = |(epoch, sequence, count): (i16, i32, usize)| {
        header(&batch(Some((9, epoch, sequence)), &vec![0; count], 1))
    };
    for &one in written {
        let mut header = make(one);
        header.base_offset = offset;
        offset = header.next_offset();
        state.apply(&header, 0);
    }
    let found = match state.check(&make(next)) {
        Ok(SequenceCheck::Next) => "next".to_owned(),
        Ok(SequenceCheck::Duplicate(found)) => {
            format!("duplicate of {}-{}", found.base_offset(), found.last_offset)
        }
        Err(SequenceError::OutOfOrder { last_sequence, .. }) => {
            format!("out of order after {last_sequence}")
        }
        Err(SequenceError::OldEpoch { current, .. }) => format!("older than epoch {current}"),
        Err(other) => other.to_string(),
    };
    assert_eq!(found, expected, "{written:?} then {next:?}");
}

#[test]
fn sequences_follow_kafkas_rules() {
    let six = [(0, 0, 2), (0, 2, 1), (0, 3, 1), (0, 4, 1), (0, 5, 1), (0, 6, 1)];
    check(&[], (0, 17, 1), "next");
    check(&[(0, 0, 3)], (0, 3, 1), "next");
    check(&[(0, 0, 3)], (0, 0, 3), "duplicate of 0-2");
    check(&[(0, 0, 3)], (0, 0, 2), "out of order after 2");
    check(&[(0, 0, 3)], (0, 4, 1), "out of order after 2");
    check(&six, (0, 2, 1), "duplicate of 2-2");
    check(&six, (0, 0, 2), "out of order after 6");
    check(&[(1, 0, 1)], (0, 1, 1), "older than epoch 1");
    check(&[(0, 0, 3)], (1, 0, 1), "next");
    check(&[(0, 0, 3)], (1, 3, 1), "out of order after -1");
    check(&[(0, 0, 3), (1, 0, 1)], (1, 1, 1), "next");
    check(&[(0, i32::MAX - 1, 2)], (0, 0, 1), "next");
    check(&[(0, i32::MAX, 3)], (0, 2, 1), "next");
    check(&[(0, i32::MAX, 3)], (0, i32::MAX, 3), "duplicate of 0-2");
}

#[test]
fn what_is_staged_counts_for_the_next_check_and_is_forgotten_on_failure() {
    let mut state = ProducerState::default();
    let first = header(&batch(Some((9, 0, 0)), &[0], 1));
    let second = header(&batch(Some((9, 0, 1)), &[0], 1));
    state.apply(&header(&batch(Some((8, 0, 5)), &[0], 1)), 0);
    state.stage(&first, 0);
    assert_eq!(state.check(&second), Ok(SequenceCheck::Next));
    assert!(matches!(state.check(&first), Ok(SequenceCheck::Duplicate(_))));
    state.clear_staged();
    assert_eq!(state.check(&first), Ok(SequenceCheck::Next));
    assert_eq!(state.len(), 1);
}

#[test]
fn a_snapshot_keeps_the_last_batch_of_each_producer_and_a_torn_one_is_refused() {
    let mut state = ProducerState::default();
    for sequence in 0..3 {
        let mut header = header(&batch(Some((9, 4, sequence)), &[0], 1));
        header.base_offset = i64::from(sequence);
        state.apply(&header, 77);
    }
    let file = state.encode();
    assert_eq!(file.len(), 2 + 4 + 4 + 46);
    let read = ProducerState::decode(&file).unwrap();
    let producer = &read.producers[&9];
    assert_eq!((producer.epoch, producer.batches.len(), producer.last_seen_ms), (4, 1, 77));
    assert_eq!(
        producer.batches[0],
        ProducedBatch { last_sequence: 2, last_offset: 2, offset_delta: 0, max_timestamp_ms: 77 }
    );
    for length in 0..file.len() {
        assert!(ProducerState::decode(&file[..length]).is_none(), "cut at {length}");
    }
    let mut flipped = file.clone();
    flipped[20] ^= 1;
    assert!(ProducerState::decode(&flipped).is_none());
}

#[test]
fn idle_producers_expire_unless_their_transaction_is_open() {
    let mut state = ProducerState::default();
    state.apply(&header(&batch(Some((1, 0, 0)), &[0], 1)), 100);
    state.apply(&header(&batch(Some((2, 0, 0)), &[0], 1)), 200);
    state.apply(&header(&transactional((3, 0, 0), &[0], 1)), 100);
    let known = |state: &ProducerState| {
        let mut ids: Vec<_> = state.producers.keys().copied().collect();
        ids.sort_unstable();
        ids
    };
    state.expire(250, 100);
    assert_eq!(known(&state), [2, 3]);
    let end = marker(3, 0, End::Commit, 0);
    let (end, _) = RecordBatch::parse(&end).unwrap();
    state.apply_marker(end.header(), &Marker::of(&end).unwrap(), 250);
    state.expire(350, 100);
    assert_eq!(known(&state), []);
}
