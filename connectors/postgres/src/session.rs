//! The stream as a state machine: frames in, records out, and the position after each change. PURE.
//!
//! - Transactions come whole and in the order of their commits; a row belongs to the transaction whose Begin came last.
//! - A change that was handed over before a restart is recognised by its place (commit LSN, row LSN, how many of that LSN),
//!   never by counting events alone, and the place is counted over all changes, captured or not: filters may change in between.
//! - Needs the catalogue once per relation message; it stops there and goes on when the relation is installed.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;

use aquifer_connect_api::{ByteString, Record, Value};
use bytes::{Bytes, BytesMut};

use crate::envelope::{Change, Envelopes, Op, sequence, unix_us, version};
use crate::error::PgError;
use crate::lsn::Lsn;
use crate::offset::{LastEvent, Partial, Position};
use crate::pgoutput::{Message, OldTuple, Tuple};
use crate::relation::{BadValue, CompiledRelation, RelationShape, RowContext};
use crate::settings::EventSettings;
use crate::transport::frame;

/// Made text is carved out of pieces of this size.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Why `run` returned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The piece is used up.
    Drained,
    /// The batch is full.
    Full,
    /// This relation must be installed first; the message ends at that offset of the piece.
    Relation(Box<RelationShape>, usize),
}

struct Transaction {
    commit_lsn: Lsn,
    commit_us: i64,
    xid: u32,
    /// Changes so far.
    index: u32,
    row_lsn: Lsn,
    row_count: u32,
    /// Everything up to here was handed over before.
    skip: Skip,
}

enum Skip {
    Nothing,
    All,
    UpTo(Partial),
}

/// The state of one stream.
pub(crate) struct Session {
    settings: EventSettings,
    envelopes: Envelopes,
    /// `None`: known and not captured.
    relations: HashMap<u32, Option<Arc<CompiledRelation>>>,
    transaction: Option<Transaction>,
    /// What was handed over; always between two changes.
    pub(crate) position: Position,
    pub(crate) last_event: LastEvent,
    scratch: BytesMut,
    unavailable: Vec<ByteString>,
    sequence: Option<(Lsn, ByteString)>,
}

impl Session {
    /// A stream that goes on from a position.
    pub(crate) fn new(settings: EventSettings, envelopes: Envelopes, position: Position) -> Self {
        Session {
            settings,
            envelopes,
            relations: HashMap::new(),
            transaction: None,
            position,
            last_event: LastEvent::default(),
            scratch: BytesMut::with_capacity(SCRATCH_BYTES),
            unavailable: Vec::new(),
            sequence: None,
        }
    }

    /// Whether a table is captured, so that its relation needs the catalogue.
    pub(crate) fn captures(&self, shape: &RelationShape) -> bool {
        self.settings.filters.table(&shape.schema, &shape.table)
    }

    /// Makes a relation known; `None` for one that is not captured.
    pub(crate) fn install(&mut self, oid: u32, relation: Option<Arc<CompiledRelation>>) {
        self.relations.insert(oid, relation);
    }

    /// What compiling a relation needs.
    pub(crate) fn parts(&self) -> (&EventSettings, &Envelopes) {
        (&self.settings, &self.envelopes)
    }

    /// Works through the frames of a piece from `cursor` on, until it is used up or there are `records_max` records.
    pub(crate) fn run(
        &mut self,
        piece: &Bytes,
        cursor: &mut usize,
        records: &mut Vec<Record>,
        records_max: usize,
        now_us: i64,
    ) -> Result<Outcome, PgError> {
        while records.len() < records_max {
            let rest = piece.get(*cursor..).unwrap_or_default();
            let Some(length) = frame(rest)? else { return Ok(Outcome::Drained) };
            let body = rest.get(5..length).unwrap_or_default();
            let end = *cursor + length;
            match body.split_first() {
                Some((b'w', body)) => {
                    let (lsn, message) = xlog_data(body)?;
                    let parsed = Message::parse(message)
                        .map_err(|source| PgError::Message { lsn, source })?;
                    if let Message::Relation(relation) = &parsed {
                        let shape = RelationShape::of(relation);
                        if self.captures(&shape) {
                            return Ok(Outcome::Relation(Box::new(shape), end));
                        }
                        self.install(shape.oid, None);
                    } else {
                        self.message(lsn, parsed, piece, records, now_us)?;
                    }
                }
                Some((b'k', body)) => self.keepalive(body),
                other => {
                    let tag = other.map(|(tag, _)| *tag);
                    return Err(PgError::Protocol(format!("replication message {tag:?}")));
                }
            }
            *cursor = end;
        }
        Ok(Outcome::Full)
    }

    /// Between transactions, all WAL before a keepalive was looked at: nothing in it is for us.
    fn keepalive(&mut self, body: &[u8]) {
        let Some((wal_end, _)) = body.split_first_chunk::<8>() else { return };
        let wal_end = Lsn(u64::from_be_bytes(*wal_end));
        if self.transaction.is_none() && self.position.partial.is_none() {
            self.position.flush = self.position.flush.max(wal_end);
        }
    }

    fn message(
        &mut self,
        lsn: Lsn,
        message: Message<'_>,
        piece: &Bytes,
        records: &mut Vec<Record>,
        now_us: i64,
    ) -> Result<(), PgError> {
        match message {
            Message::Begin { commit_lsn, commit_time, xid } => {
                let skip = self.skip(commit_lsn);
                self.transaction = Some(Transaction {
                    commit_lsn,
                    commit_us: unix_us(commit_time),
                    xid,
                    index: 0,
                    row_lsn: Lsn::ZERO,
                    row_count: 0,
                    skip,
                });
            }
            Message::Commit { end_lsn, commit_time, .. } => {
                self.transaction = None;
                self.sequence = None;
                if end_lsn > self.position.flush {
                    self.position =
                        Position { flush: end_lsn, partial: None, last_commit: Some(end_lsn) };
                    self.last_event.lsn = end_lsn;
                    self.last_event.ts_us = unix_us(commit_time);
                }
            }
            Message::Insert { relation, new } => {
                let Some((relation, change)) = self.change(lsn, relation, now_us)? else {
                    return Ok(());
                };
                if !self.settings.skipped.creates {
                    self.insert(&relation, new, piece, &change, records)?;
                }
            }
            Message::Update { relation, old, new } => {
                let Some((relation, change)) = self.change(lsn, relation, now_us)? else {
                    return Ok(());
                };
                self.update(&relation, old, new, piece, &change, records)?;
            }
            Message::Delete { relation, old } => {
                let Some((relation, change)) = self.change(lsn, relation, now_us)? else {
                    return Ok(());
                };
                if !self.settings.skipped.deletes {
                    let old = self.row(&relation, old.tuple(), None, piece, change.lsn)?;
                    let key = relation.key(&old);
                    self.delete(&relation, key, old, &change, records);
                }
            }
            Message::Truncate { relations, .. } => {
                let mut of_any = None;
                for relation in &relations {
                    let known = self.relations.get(relation).cloned().flatten();
                    // All tables of one TRUNCATE are one change.
                    let change = match &of_any {
                        Some(change) => Some(change),
                        None => {
                            of_any = Some(self.place(lsn, now_us)?);
                            of_any.as_ref()
                        }
                    };
                    if let (Some(relation), Some(Some(change)), false) =
                        (known, change, self.settings.skipped.truncates)
                    {
                        let record = self.envelopes.record(
                            &relation,
                            Op::Truncate,
                            Value::Null,
                            None,
                            None,
                            change,
                        );
                        records.push(record);
                    }
                }
            }
            Message::Origin { .. } | Message::Type { .. } | Message::Logical { .. } => {}
            // `run` has handled it.
            Message::Relation(_) => {}
        }
        Ok(())
    }

    fn skip(&mut self, commit_lsn: Lsn) -> Skip {
        if commit_lsn < self.position.flush {
            return Skip::All;
        }
        match self.position.partial {
            Some(partial) if partial.commit_lsn == commit_lsn => Skip::UpTo(partial),
            Some(partial) if partial.commit_lsn > commit_lsn => Skip::Nothing,
            // That transaction has no changes for us any more: its tables left the publication.
            Some(_) => {
                self.position.partial = None;
                Skip::Nothing
            }
            None => Skip::Nothing,
        }
    }

    /// Counts a change and gives what its records have in common; `None` if it was handed over before.
    fn place(&mut self, lsn: Lsn, now_us: i64) -> Result<Option<Change>, PgError> {
        let Some(transaction) = &mut self.transaction else {
            return Err(PgError::Protocol(format!("a change at {lsn} outside of a transaction")));
        };
        let index = transaction.index;
        transaction.index = index.saturating_add(1);
        transaction.row_count =
            if transaction.row_lsn == lsn { transaction.row_count.saturating_add(1) } else { 1 };
        transaction.row_lsn = lsn;
        let done = match &transaction.skip {
            Skip::Nothing => false,
            Skip::All => true,
            Skip::UpTo(partial) => {
                (lsn, transaction.row_count) <= (partial.row_lsn, partial.row_count)
            }
        };
        if done {
            return Ok(None);
        }
        self.position.partial = Some(Partial {
            commit_lsn: transaction.commit_lsn,
            row_lsn: lsn,
            row_count: transaction.row_count,
            index: transaction.index,
        });
        let last_commit = self.position.last_commit;
        let sequence = match &self.sequence {
            Some((of, sequence)) if *of == lsn => sequence.clone(),
            _ => {
                let text = sequence(last_commit, lsn, &mut self.scratch);
                self.sequence = Some((lsn, text.clone()));
                text
            }
        };
        let tx_id = Some(i64::from(transaction.xid));
        self.last_event = LastEvent { lsn, tx_id, ts_us: transaction.commit_us };
        Ok(Some(Change {
            lsn,
            sequence,
            tx_id,
            source_us: transaction.commit_us,
            now_us,
            snapshot: "false",
            version: version(transaction.commit_lsn, index),
        }))
    }

    fn change(
        &mut self,
        lsn: Lsn,
        relation: u32,
        now_us: i64,
    ) -> Result<Option<(Arc<CompiledRelation>, Change)>, PgError> {
        let change = self.place(lsn, now_us)?;
        let Some(known) = self.relations.get(&relation) else {
            return Err(PgError::Protocol(format!(
                "a change at {lsn} of relation {relation} that was not described"
            )));
        };
        Ok(known.clone().zip(change))
    }

    fn row(
        &mut self,
        relation: &CompiledRelation,
        tuple: Tuple<'_>,
        old: Option<&Vec<Value>>,
        piece: &Bytes,
        lsn: Lsn,
    ) -> Result<Vec<Value>, PgError> {
        self.unavailable.clear();
        let mut context =
            RowContext { scratch: &mut self.scratch, unavailable: &mut self.unavailable, lsn };
        let row = relation.tuple(tuple, piece, old, &mut context);
        row.map_err(|BadValue { table, column, reason }| PgError::BadValue {
            table,
            column,
            lsn,
            reason,
        })
    }

    fn insert(
        &mut self,
        relation: &CompiledRelation,
        new: Tuple<'_>,
        piece: &Bytes,
        change: &Change,
        records: &mut Vec<Record>,
    ) -> Result<(), PgError> {
        let row = self.row(relation, new, None, piece, change.lsn)?;
        let key = relation.key(&row);
        let record = self.envelopes.record(relation, Op::Create, key, None, Some(row), change);
        self.push(relation, record, records);
        Ok(())
    }

    fn update(
        &mut self,
        relation: &CompiledRelation,
        old: Option<OldTuple<'_>>,
        new: Tuple<'_>,
        piece: &Bytes,
        change: &Change,
        records: &mut Vec<Record>,
    ) -> Result<(), PgError> {
        let before = match old {
            Some(old) => Some(self.row(relation, old.tuple(), None, piece, change.lsn)?),
            None => None,
        };
        let full = matches!(old, Some(OldTuple::Full(_)));
        let known = before.as_ref().filter(|_| full);
        let after = self.row(relation, new, known, piece, change.lsn)?;
        let key = relation.key(&after);
        let old_key = before.as_ref().map(|before| relation.key(before));
        match (old_key, before) {
            (Some(old_key), Some(before)) if old_key != key => {
                self.change_key(relation, old_key, before, key, after, change, records);
            }
            (_, before) => {
                let unchanged =
                    full && self.settings.skip_unchanged && before.as_ref() == Some(&after);
                if !self.settings.skipped.updates && !unchanged {
                    let record = self.envelopes.record(
                        relation,
                        Op::Update,
                        key,
                        before,
                        Some(after),
                        change,
                    );
                    self.push(relation, record, records);
                }
            }
        }
        Ok(())
    }

    /// A changed key is a delete of the old one and a create of the new one, each naming the other.
    #[allow(
        clippy::too_many_arguments,
        reason = "two rows with their keys, and what they are part of"
    )]
    fn change_key(
        &mut self,
        relation: &CompiledRelation,
        old_key: Value,
        before: Vec<Value>,
        key: Value,
        after: Vec<Value>,
        change: &Change,
        records: &mut Vec<Record>,
    ) {
        let header = ByteString::from_static("__debezium.newkey");
        let at = records.len();
        self.delete(relation, old_key.clone(), before, change, records);
        for record in records.iter_mut().skip(at) {
            record.headers.add(header.clone(), relation.key_schema.clone(), key.clone());
        }
        let mut record =
            self.envelopes.record(relation, Op::Create, key, None, Some(after), change);
        let header = ByteString::from_static("__debezium.oldkey");
        record.headers.add(header, relation.key_schema.clone(), old_key);
        self.push(relation, record, records);
    }

    fn delete(
        &mut self,
        relation: &CompiledRelation,
        key: Value,
        before: Vec<Value>,
        change: &Change,
        records: &mut Vec<Record>,
    ) {
        let record =
            self.envelopes.record(relation, Op::Delete, key.clone(), Some(before), None, change);
        records.push(record);
        if self.settings.tombstones && !key.is_null() {
            records.push(self.envelopes.tombstone(relation, key, change));
        }
    }

    fn push(&mut self, relation: &CompiledRelation, mut record: Record, records: &mut Vec<Record>) {
        self.unavailable.retain(|name| relation.captures(name));
        if !self.unavailable.is_empty() {
            self.envelopes.mark_unavailable(&mut record, &self.unavailable, &mut self.scratch);
        }
        records.push(record);
    }
}

/// The LSN and the message of an XLogData body: LSN, end of WAL, time, message.
fn xlog_data(body: &[u8]) -> Result<(Lsn, &[u8]), PgError> {
    let parts = || {
        let (lsn, rest) = body.split_first_chunk::<8>()?;
        Some((Lsn(u64::from_be_bytes(*lsn)), rest.get(16..)?))
    };
    parts().ok_or_else(|| PgError::Protocol("replication data that ends too early".to_owned()))
}

#[cfg(test)]
mod tests;
