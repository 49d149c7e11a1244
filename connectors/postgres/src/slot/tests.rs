//! Slot and stored offset: which fit together and which do not.

use super::*;
use crate::offset::Partial;

fn system() -> System {
    System { identifier: "7".into(), timeline: 1, wal_end: Lsn(1000) }
}

fn slot_at(confirmed: u64) -> SlotInfo {
    SlotInfo {
        plugin: Some("pgoutput".into()),
        database: Some("db".into()),
        confirmed: Lsn(confirmed),
        lost: false,
        active: None,
    }
}

fn stored(flush: u64, snapshot_running: bool) -> Stored {
    let position = Position { flush: Lsn(flush), ..Position::default() };
    let origin = Origin { system: "7".into(), timeline: 1, generation: 0 };
    Stored::Ours { position, origin, snapshot_running }
}

/// `snapshot create stream from 5`, with what applies, or the start of the refusal.
fn decide(
    stored: &Stored,
    slot: Option<&SlotInfo>,
    mode: SnapshotMode,
    mismatch: Mismatch,
) -> String {
    match plan(stored, slot, &system(), mode, mismatch) {
        Err(error) => format!("refused: {}", error.split([';', '(']).next().unwrap().trim()),
        Ok(plan) => {
            let mut words = Vec::new();
            if plan.create_slot {
                words.push("create".to_owned());
            }
            if plan.snapshot {
                words.push("snapshot".to_owned());
            }
            if plan.stream {
                words.push("stream".to_owned());
            }
            if let Some(position) = plan.resume {
                words.push(format!("from {}", position.flush.0));
            }
            if plan.origin.generation > 0 {
                words.push(format!("generation {}", plan.origin.generation));
            }
            words.join(" ")
        }
    }
}

fn check(stored: &Stored, slot: Option<&SlotInfo>, mode: SnapshotMode, expected: &str) {
    assert_eq!(
        decide(stored, slot, mode, Mismatch::Refuse),
        expected,
        "{stored:?} {slot:?} {mode:?}"
    );
}

use SnapshotMode::{Always, Initial, InitialOnly, Never, WhenNeeded};

#[test]
fn a_first_start_takes_a_snapshot_unless_told_otherwise() {
    check(&Stored::Nothing, None, Initial, "create snapshot stream");
    check(&Stored::Nothing, None, Never, "create stream");
    check(&Stored::Nothing, None, InitialOnly, "snapshot");
    check(&Stored::Nothing, Some(&slot_at(5)), Initial, "snapshot stream");
    check(&Stored::Nothing, Some(&slot_at(5)), Never, "stream");
}

#[test]
fn a_restart_goes_on_where_the_offset_is() {
    check(&stored(9, false), Some(&slot_at(9)), Initial, "stream from 9");
    check(&stored(9, false), Some(&slot_at(5)), WhenNeeded, "stream from 9");
    check(&stored(9, false), Some(&slot_at(5)), Always, "snapshot stream from 9");
    check(&stored(9, false), None, InitialOnly, "");
}

#[test]
fn a_snapshot_that_was_interrupted_begins_again_and_keeps_the_streams_place() {
    check(&stored(5, true), Some(&slot_at(5)), Initial, "snapshot stream from 5");
    check(&stored(5, true), None, InitialOnly, "snapshot");
    check(&stored(5, true), Some(&slot_at(5)), Never, "stream from 5");
}

#[test]
fn a_slot_that_does_not_fit_the_offset_is_refused() {
    check(
        &stored(9, false),
        None,
        Initial,
        "refused: the replication slot does not exist any more",
    );
    check(
        &stored(9, false),
        Some(&slot_at(10)),
        Initial,
        "refused: the replication slot is at 0/A, past the stored offset 0/9: it was made anew or advanced by somebody else",
    );
    let lost = SlotInfo { lost: true, ..slot_at(5) };
    check(
        &stored(9, false),
        Some(&lost),
        Initial,
        "refused: Postgres has removed WAL that the replication slot needs",
    );
    check(
        &stored(2000, false),
        Some(&slot_at(5)),
        Initial,
        "refused: the stored offset 0/7D0 is past the end of the WAL 0/3E8: Postgres was restored from an older state",
    );
    check(
        &Stored::Foreign { snapshot_running: false },
        None,
        Initial,
        "refused: the stored offset is Debezium's, but its replication slot does not exist",
    );
}

#[test]
fn another_cluster_or_timeline_is_refused() {
    for (system, timeline, expected) in [
        (
            "8",
            1,
            "refused: the stored offset is of the Postgres cluster 8, but this is the cluster 7",
        ),
        (
            "7",
            2,
            "refused: the stored offset is of timeline 2, but Postgres is on timeline 1: it was restored or failed over, so the same positions may hold other changes",
        ),
    ] {
        let position = Position { flush: Lsn(9), ..Position::default() };
        let origin = Origin { system: system.into(), timeline, generation: 0 };
        let stored = Stored::Ours { position, origin, snapshot_running: false };
        check(&stored, Some(&slot_at(5)), Initial, expected);
    }
}

#[test]
fn a_gap_is_bridged_only_by_choice() {
    check(&stored(9, false), None, WhenNeeded, "create snapshot stream generation 1");
    check(&stored(9, false), Some(&slot_at(10)), WhenNeeded, "snapshot stream generation 1");
    let trusted = decide(&stored(9, false), Some(&slot_at(10)), Initial, Mismatch::TrustSlot);
    assert_eq!(trusted, "stream");
    let missing = decide(&stored(9, false), None, Initial, Mismatch::TrustSlot);
    assert!(missing.starts_with("refused"), "{missing}");
}

#[test]
fn debeziums_offset_goes_on_from_its_slot() {
    let foreign = |snapshot_running| Stored::Foreign { snapshot_running };
    check(&foreign(false), Some(&slot_at(5)), Initial, "stream");
    check(&foreign(true), Some(&slot_at(5)), Initial, "snapshot stream");
}

#[test]
fn a_half_done_transaction_is_asked_for_again() {
    let partial = Partial { commit_lsn: Lsn(20), row_lsn: Lsn(15), row_count: 1, index: 3 };
    let position = Position { flush: Lsn(9), partial: Some(partial), last_commit: None };
    let origin = Origin { system: "7".into(), timeline: 1, generation: 0 };
    let stored = Stored::Ours { position, origin, snapshot_running: false };
    let plan = plan(&stored, Some(&slot_at(9)), &system(), Initial, Mismatch::Refuse).unwrap();
    assert_eq!(plan.resume, Some(position));
}

#[test]
fn names_and_texts_are_quoted() {
    assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
    assert_eq!(literal("a'b"), "'a''b'");
}
