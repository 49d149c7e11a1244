//! The position in the stream, and its form in `connect-offsets`. PURE.
//!
//! - A position says which changes were handed over: every transaction whose commit record starts before `flush`, and of one
//!   more, the changes up to a row. Rows of a multi-row insert or a COPY share an LSN, so the row is counted among those of its LSN.
//! - `flush` is what may be confirmed to Postgres once the offset is stored: never ahead of it.
//! - Beside our keys (`aquifer_…`) stand Debezium's, so that tools can read them and a user can move out again.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

use aquifer_connect_api::SourceOffset;

use crate::lsn::Lsn;

/// Which changes were handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// Every transaction whose commit record starts below this is done.
    pub(crate) flush: Lsn,
    /// The transaction after these, as far as it is done.
    pub(crate) partial: Option<Partial>,
    /// Where the last complete transaction's commit ended.
    pub(crate) last_commit: Option<Lsn>,
}

/// How far a transaction is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partial {
    pub(crate) commit_lsn: Lsn,
    /// The LSN of the last change that was handed over.
    pub(crate) row_lsn: Lsn,
    /// How many changes of that LSN were handed over.
    pub(crate) row_count: u32,
    /// How many changes of the transaction were handed over.
    pub(crate) index: u32,
}

/// Of which history a position is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Origin {
    /// Postgres's system identifier.
    pub(crate) system: String,
    pub(crate) timeline: u32,
    /// How often the stream was lost and begun anew with a snapshot.
    pub(crate) generation: u32,
}

impl Origin {
    /// The space in which versions compare.
    pub(crate) fn epoch(&self) -> String {
        match self.generation {
            0 => format!("{}-{}", self.system, self.timeline),
            generation => format!("{}-{}-{generation}", self.system, self.timeline),
        }
    }
}

/// What the last event says for Debezium's keys.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LastEvent {
    pub(crate) lsn: Lsn,
    pub(crate) tx_id: Option<i64>,
    pub(crate) ts_us: i64,
}

/// An offset as it was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stored {
    /// None: the connector never ran, or its offsets were deleted.
    Nothing,
    /// Ours.
    Ours { position: Position, origin: Origin, snapshot_running: bool },
    /// Debezium's.
    Foreign { snapshot_running: bool },
}

/// Writes an offset.
pub(crate) fn encode(
    position: &Position,
    origin: &Origin,
    event: LastEvent,
    snapshot_running: bool,
) -> SourceOffset {
    let mut offset = SourceOffset::new();
    let mut put = |key: &str, value: serde_json::Value| {
        offset.insert(key.to_owned(), value);
    };
    let lsn = if event.lsn == Lsn::ZERO { position.flush } else { event.lsn };
    if event.ts_us > 0 {
        put("ts_usec", event.ts_us.into());
    }
    if let Some(tx_id) = event.tx_id {
        put("txId", tx_id.into());
    }
    put("lsn", lsn.as_i64().into());
    put("lsn_proc", lsn.as_i64().into());
    if let Some(commit) = position.last_commit {
        put("lsn_commit", commit.as_i64().into());
    }
    if snapshot_running {
        put("snapshot", "INITIAL".into());
        put("last_snapshot_record", false.into());
        put("snapshot_completed", false.into());
    }
    put("aquifer_flush_lsn", position.flush.as_i64().into());
    put("aquifer_system_id", origin.system.clone().into());
    put("aquifer_timeline", origin.timeline.into());
    if origin.generation > 0 {
        put("aquifer_generation", origin.generation.into());
    }
    if let Some(partial) = position.partial {
        put("aquifer_commit_lsn", partial.commit_lsn.as_i64().into());
        put("aquifer_row_lsn", partial.row_lsn.as_i64().into());
        put("aquifer_row_count", partial.row_count.into());
        put("aquifer_index", partial.index.into());
    }
    offset
}

/// Reads an offset.
pub(crate) fn decode(offset: Option<&SourceOffset>) -> Stored {
    let Some(offset) = offset.filter(|offset| !offset.is_empty()) else { return Stored::Nothing };
    let number = |key: &str| offset.get(key).and_then(serde_json::Value::as_i64);
    let lsn = |key: &str| number(key).and_then(Lsn::from_i64);
    let count = |key: &str| number(key).and_then(|value| u32::try_from(value).ok());
    // Debezium before 3 wrote a boolean, since then a word.
    let flag = |key: &str| offset.get(key) == Some(&serde_json::Value::Bool(true));
    let in_snapshot = offset.get("snapshot").is_some_and(|v| v.is_string()) || flag("snapshot");
    let snapshot_running =
        in_snapshot && !flag("last_snapshot_record") && !flag("snapshot_completed");
    let (Some(flush), Some(system)) =
        (lsn("aquifer_flush_lsn"), offset.get("aquifer_system_id").and_then(|v| v.as_str()))
    else {
        return Stored::Foreign { snapshot_running };
    };
    let partial = || {
        Some(Partial {
            commit_lsn: lsn("aquifer_commit_lsn")?,
            row_lsn: lsn("aquifer_row_lsn")?,
            row_count: count("aquifer_row_count")?,
            index: count("aquifer_index")?,
        })
    };
    Stored::Ours {
        position: Position { flush, partial: partial(), last_commit: lsn("lsn_commit") },
        origin: Origin {
            system: system.to_owned(),
            timeline: count("aquifer_timeline").unwrap_or(0),
            generation: count("aquifer_generation").unwrap_or(0),
        },
        snapshot_running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_read_back_as_it_was_written() {
        let origin = Origin { system: "7301".to_owned(), timeline: 3, generation: 1 };
        let partial = Partial { commit_lsn: Lsn(90), row_lsn: Lsn(80), row_count: 2, index: 5 };
        for partial in [None, Some(partial)] {
            for snapshot_running in [true, false] {
                let position = Position { flush: Lsn(64), partial, last_commit: Some(Lsn(56)) };
                let offset = encode(&position, &origin, LastEvent::default(), snapshot_running);
                let origin = origin.clone();
                assert_eq!(
                    decode(Some(&offset)),
                    Stored::Ours { position, origin, snapshot_running }
                );
            }
        }
    }

    #[test]
    fn offsets_of_debezium_are_known_for_what_they_are() {
        let offset = |text: &str| serde_json::from_str::<SourceOffset>(text).unwrap();
        let streaming = offset(r#"{"lsn":23,"lsn_proc":23,"lsn_commit":20,"txId":5,"ts_usec":1}"#);
        assert_eq!(decode(Some(&streaming)), Stored::Foreign { snapshot_running: false });
        let running = offset(r#"{"lsn":23,"snapshot":"INITIAL","last_snapshot_record":false}"#);
        assert_eq!(decode(Some(&running)), Stored::Foreign { snapshot_running: true });
        let last = offset(r#"{"lsn":23,"snapshot":"INITIAL","last_snapshot_record":true}"#);
        assert_eq!(decode(Some(&last)), Stored::Foreign { snapshot_running: false });
        assert_eq!(decode(None), Stored::Nothing);
    }
}
