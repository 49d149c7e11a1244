//! The snapshot: every captured table by COPY, all under the exported snapshot of one consistent point.
//!
//! - A task of its own runs the COPYs one after the other and hands over what arrives through a bounded channel: memory does
//!   not grow with the table, and a slow consumer slows the COPY.
//! - `SnapshotRows` makes records of it, with the marker that says whether a row is the first or last of its table or of all.
//! - Not resumable: after a failure it starts again from the beginning, at a new consistent point; the stream still starts at
//!   the first one, so rows that were deleted meanwhile get their delete.

use std::collections::VecDeque;
use std::sync::Arc;

use aquifer_connect_api::{ByteString, Record};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::catalogue::{Catalogue, PublishedTable};
use crate::envelope::{Change, Envelopes, Op, sequence, set_snapshot_marker, version};
use crate::error::PgError;
use crate::lsn::Lsn;
use crate::relation::{BadValue, CompiledRelation, RowContext};
use crate::settings::Settings;
use crate::slot::{identifier, literal, table_name};
use crate::transport::{Connection, Purpose, frame};
use crate::value::Raw;

/// Pieces that wait for the consumer, each of about the size of the read buffer.
const PIECES_MAX: usize = 4;

/// A table to read.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotTable {
    pub(crate) relation: Arc<CompiledRelation>,
    copy: String,
}

/// The captured tables of the publication, compiled, with the statement that reads them.
pub(crate) async fn tables(
    catalogue: &mut Catalogue,
    settings: &Settings,
    envelopes: &Envelopes,
) -> Result<Vec<SnapshotTable>, PgError> {
    let names = catalogue.tables().await?;
    let mut tables = Vec::new();
    for published in catalogue.published(&settings.publication).await? {
        let PublishedTable { schema, name, columns, row_filter } = published;
        let wanted = &settings.snapshot_tables;
        let full_name = format!("{schema}.{name}");
        if !settings.events.filters.table(&schema, &name)
            || !wanted.is_empty() && !wanted.matches(&full_name)
        {
            continue;
        }
        let Some(mut shape) = catalogue.shape(&schema, &name).await? else { continue };
        if let Some(columns) = &columns {
            shape.columns.retain(|column| columns.contains(&column.name));
        }
        if !names.iter().any(|t| t.schema == schema && t.name == name && t.has_primary_key) {
            tracing::warn!(table = %full_name, "table has no primary key: its events have no key");
        }
        let facts = catalogue.facts(shape.oid).await?;
        let oids: Vec<u32> = shape.columns.iter().map(|column| column.type_oid).collect();
        let types = catalogue.types(&oids).await?;
        let relation =
            CompiledRelation::compile(&shape, &facts, &types, &settings.events, envelopes);
        let list: Vec<String> = shape.columns.iter().map(|c| identifier(&c.name)).collect();
        if list.is_empty() {
            continue;
        }
        let list = list.join(", ");
        let partitioned =
            names.iter().any(|t| t.schema == schema && t.name == name && t.kind == 'p');
        let from = table_name(&schema, &name);
        let copy = match &row_filter {
            // A table's own rows, without those of tables that inherit from it: these are published by themselves.
            None if !partitioned => format!("COPY {from} ({list}) TO STDOUT"),
            None => format!("COPY (SELECT {list} FROM {from}) TO STDOUT"),
            Some(filter) if partitioned => {
                format!("COPY (SELECT {list} FROM {from} WHERE {filter}) TO STDOUT")
            }
            Some(filter) => {
                format!("COPY (SELECT {list} FROM ONLY {from} WHERE {filter}) TO STDOUT")
            }
        };
        tables.push(SnapshotTable { relation: Arc::new(relation), copy });
    }
    Ok(tables)
}

/// What the reading task hands over.
enum Piece {
    /// Frames of CopyData of the table in front.
    Rows(Bytes),
    /// The table in front is done.
    TableDone,
}

/// What all rows of a snapshot have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SnapshotPoint {
    pub(crate) consistent: Lsn,
    /// Microseconds since the epoch.
    pub(crate) started_us: i64,
    pub(crate) tx_id: Option<i64>,
}

/// A connection whose transaction sees the consistent point; the exporting connection is not needed any more.
pub(crate) struct SnapshotTransaction {
    connection: Connection,
    pub(crate) tx_id: Option<i64>,
}

impl SnapshotTransaction {
    /// Imports the exported snapshot.
    pub(crate) async fn begin(settings: &Settings, snapshot: &str) -> Result<Self, PgError> {
        let mut connection = Connection::open(&settings.endpoint, Purpose::Queries).await?;
        for statement in &settings.endpoint.initial_statements {
            connection.query(statement).await?;
        }
        connection.query("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        connection.query(&format!("SET TRANSACTION SNAPSHOT {}", literal(snapshot))).await?;
        let rows = connection.query("SELECT txid_snapshot_xmax(txid_current_snapshot())").await?;
        let tx_id = rows.first().and_then(|row| row.first()).cloned().flatten();
        let tx_id = tx_id.and_then(|text| text.parse().ok());
        Ok(SnapshotTransaction { connection, tx_id })
    }

    async fn copy(mut self, statements: Vec<String>, pieces: mpsc::Sender<Result<Piece, PgError>>) {
        for statement in statements {
            if let Err(error) = self.copy_table(&statement, &pieces).await {
                // Nobody listens: the snapshot was given up, and with it the error.
                drop(pieces.send(Err(error)).await);
                return;
            }
            if pieces.send(Ok(Piece::TableDone)).await.is_err() {
                return;
            }
        }
        self.connection.close().await;
    }

    async fn copy_table(
        &mut self,
        statement: &str,
        pieces: &mpsc::Sender<Result<Piece, PgError>>,
    ) -> Result<(), PgError> {
        self.connection.start_copy(statement).await?;
        while let Some(rows) = self.connection.copy_frames().await? {
            if pieces.send(Ok(Piece::Rows(rows))).await.is_err() {
                return Err(PgError::Closed);
            }
        }
        self.connection.finish().await
    }
}

/// A running snapshot.
pub(crate) struct Snapshot {
    pieces: mpsc::Receiver<Result<Piece, PgError>>,
    reader: JoinHandle<()>,
    rows: SnapshotRows,
    piece: Bytes,
    cursor: usize,
    /// Tables that are not done, the one in front being read.
    tables: VecDeque<Arc<CompiledRelation>>,
}

impl Snapshot {
    /// Starts reading.
    pub(crate) fn start(
        transaction: SnapshotTransaction,
        tables: Vec<SnapshotTable>,
        envelopes: Envelopes,
        point: SnapshotPoint,
    ) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let statements = tables.iter().map(|table| table.copy.clone()).collect();
        let reader = tokio::spawn(transaction.copy(statements, sender));
        Snapshot {
            pieces,
            reader,
            rows: SnapshotRows::new(envelopes, point),
            piece: Bytes::new(),
            cursor: 0,
            tables: tables.into_iter().map(|table| table.relation).collect(),
        }
    }

    /// Adds records up to `records_max`; `true` when the snapshot is complete. Cancel-safe: records that were added stay.
    pub(crate) async fn read(
        &mut self,
        records: &mut Vec<Record>,
        records_max: usize,
        now_us: i64,
    ) -> Result<bool, PgError> {
        loop {
            if let Some(relation) = self.tables.front() {
                let piece = &self.piece;
                self.rows.take(relation, piece, &mut self.cursor, records, records_max, now_us)?;
            } else {
                self.rows.finish(records);
                return Ok(true);
            }
            if records.len() >= records_max {
                return Ok(false);
            }
            // What there is leaves before waiting for more.
            let next = if records.is_empty() {
                self.pieces.recv().await
            } else {
                match self.pieces.try_recv() {
                    Ok(next) => Some(next),
                    Err(mpsc::error::TryRecvError::Empty) => return Ok(false),
                    Err(mpsc::error::TryRecvError::Disconnected) => None,
                }
            };
            match next.unwrap_or(Err(PgError::Closed))? {
                Piece::Rows(piece) => (self.piece, self.cursor) = (piece, 0),
                Piece::TableDone => {
                    if let Some(relation) = self.tables.pop_front() {
                        let rows = self.rows.end_table();
                        let table = format!("{}.{}", relation.schema, relation.table);
                        tracing::info!(%table, rows, left = self.tables.len(), "table read");
                    }
                }
            }
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Makes records of COPY rows. The last row is held back until it is known whether another follows. PURE.
pub(crate) struct SnapshotRows {
    envelopes: Envelopes,
    point: SnapshotPoint,
    sequence: ByteString,
    scratch: BytesMut,
    unescaped: BytesMut,
    held: Option<Held>,
    any_before: bool,
    table_rows: u64,
}

struct Held {
    record: Record,
    first_of_all: bool,
    first_of_table: bool,
    last_of_table: bool,
}

impl SnapshotRows {
    fn new(envelopes: Envelopes, point: SnapshotPoint) -> Self {
        let mut scratch = BytesMut::with_capacity(64 * 1024);
        let sequence = sequence(None, point.consistent, &mut scratch);
        SnapshotRows {
            envelopes,
            point,
            sequence,
            scratch,
            unescaped: BytesMut::new(),
            held: None,
            any_before: false,
            table_rows: 0,
        }
    }

    /// Works through the rows of a piece.
    fn take(
        &mut self,
        relation: &CompiledRelation,
        piece: &Bytes,
        cursor: &mut usize,
        records: &mut Vec<Record>,
        records_max: usize,
        now_us: i64,
    ) -> Result<(), PgError> {
        while records.len() < records_max {
            let rest = piece.get(*cursor..).unwrap_or_default();
            let Some(length) = frame(rest)? else { return Ok(()) };
            let line = rest.get(5..length).unwrap_or_default();
            *cursor += length;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let record = self.record(relation, piece, line, now_us)?;
            let first_of_table = self.table_rows == 0;
            self.table_rows += 1;
            let first_of_all = !self.any_before;
            self.any_before = true;
            self.release(false, records);
            self.held = Some(Held { record, first_of_all, first_of_table, last_of_table: false });
        }
        Ok(())
    }

    fn record(
        &mut self,
        relation: &CompiledRelation,
        piece: &Bytes,
        line: &[u8],
        now_us: i64,
    ) -> Result<Record, PgError> {
        let mut unavailable = Vec::new();
        let lsn = self.point.consistent;
        let mut context =
            RowContext { scratch: &mut self.scratch, unavailable: &mut unavailable, lsn };
        let row = if line.contains(&b'\\') {
            let cells = unescape(line, &mut self.unescaped);
            let raws = cells
                .iter()
                .map(|cell| cell.as_ref().map(|cell| Raw { text: cell, buffer: Some(cell) }));
            relation.texts(raws, &mut context)
        } else {
            let cells = line.split(|byte| *byte == b'\t');
            let raws = cells.map(|text| Some(Raw { text, buffer: Some(piece) }));
            relation.texts(raws, &mut context)
        };
        let row = row.map_err(|BadValue { table, column, reason }| PgError::BadValue {
            table,
            column,
            lsn,
            reason,
        })?;
        let change = Change {
            lsn,
            sequence: self.sequence.clone(),
            tx_id: self.point.tx_id,
            source_us: self.point.started_us,
            now_us,
            snapshot: "true",
            version: version(lsn, 0),
        };
        let key = relation.key(&row);
        Ok(self.envelopes.record(relation, Op::Read, key, None, Some(row), &change))
    }

    /// Lets the held row go, now that it is known what follows.
    fn release(&mut self, last_of_all: bool, records: &mut Vec<Record>) {
        let Some(Held { mut record, first_of_all, first_of_table, last_of_table }) =
            self.held.take()
        else {
            return;
        };
        let marker = if last_of_all {
            "last"
        } else if first_of_all {
            "first"
        } else if last_of_table {
            "last_in_data_collection"
        } else if first_of_table {
            "first_in_data_collection"
        } else {
            "true"
        };
        set_snapshot_marker(&mut record, marker);
        records.push(record);
    }

    fn end_table(&mut self) -> u64 {
        if let Some(held) = &mut self.held {
            held.last_of_table = true;
        }
        std::mem::take(&mut self.table_rows)
    }

    fn finish(&mut self, records: &mut Vec<Record>) {
        self.release(true, records);
    }
}

/// The cells of a line of COPY's text format; `\N` is null.
fn unescape(line: &[u8], out: &mut BytesMut) -> Vec<Option<Bytes>> {
    let cell = |cell: &[u8], out: &mut BytesMut| {
        if cell == b"\\N" {
            return None;
        }
        let mut rest = cell;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
            out.extend_from_slice(rest.get(..at).unwrap_or_default());
            let escaped = rest.get(at + 1).copied().unwrap_or(b'\\');
            out.extend_from_slice(&[match escaped {
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                other => other,
            }]);
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        Some(out.split().freeze())
    };
    line.split(|byte| *byte == b'\t').map(|text| cell(text, out)).collect()
}

#[cfg(test)]
mod tests;
