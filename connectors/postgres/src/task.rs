//! The source task: start, snapshot, stream; batches with the offsets that cover them; confirmation after storage.
//!
//! - Whatever waits for Postgres for long runs in a task of its own, so that a `poll` that is dropped loses nothing.
//! - After any failure the task goes on from the last batch it handed out: what it had read beyond that is read again.
//! - Postgres is told a position only after `committed` said that its offset is stored.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aquifer_connect_api::{
    ConnectError, Record, SourceBatch, SourceContext, SourceOffset, SourcePartition, SourceTask,
};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use crate::catalogue::Catalogue;
use crate::clock;
use crate::envelope::Envelopes;
use crate::error::PgError;
use crate::lsn::Lsn;
use crate::offset::{LastEvent, Origin, Position, Stored, decode, encode};
use crate::relation::{CompiledRelation, RelationShape};
use crate::session::{Outcome, Session};
use crate::settings::Settings;
use crate::slot;
use crate::snapshot::{Snapshot, SnapshotPoint};
use crate::start::{self, Started};
use crate::stream::Stream;

/// An offset alone, because WAL passed that held nothing for us, is stored at most this often.
const IDLE_OFFSET_INTERVAL: Duration = Duration::from_secs(1);
/// Waiting between attempts to start doubles up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
const BACKOFF_MIN: Duration = Duration::from_millis(250);

/// Captures one database.
pub(crate) struct PostgresTask {
    settings: Arc<Settings>,
    context: Arc<dyn SourceContext>,
    partition: SourcePartition,
    phase: Phase,
    /// Where to start from the next time.
    stored: Option<Stored>,
    backoff: Duration,
    records: Vec<Record>,
    next_number: u64,
    /// Batches whose offsets are not known to be stored, with what they allow to confirm.
    unconfirmed: VecDeque<(u64, Lsn)>,
    confirmed: Lsn,
}

enum Phase {
    /// Starts at that time.
    Resting(Instant),
    Starting(JoinHandle<Result<Started, PgError>>),
    Snapshot(Box<SnapshotPhase>),
    /// The snapshot is done, the stream not yet there.
    Connecting(JoinHandle<Result<Stream, PgError>>, Box<Place>),
    Streaming(Box<Streaming>),
    /// The snapshot was all there was to do.
    Done,
}

/// Where in which history.
#[derive(Clone)]
struct Place {
    origin: Origin,
    envelopes: Envelopes,
    /// As of the last batch that was handed out.
    position: Position,
}

struct SnapshotPhase {
    place: Place,
    snapshot: Snapshot,
    point: SnapshotPoint,
    streams: bool,
}

type Loaded = (Catalogue, Result<CompiledRelation, PgError>);

struct Streaming {
    place: Place,
    stream: Stream,
    session: Session,
    piece: Bytes,
    cursor: usize,
    catalogue: Option<Catalogue>,
    /// A relation that is being looked up: its OID, where its message ends, and the look-up.
    loading: Option<(u32, usize, JoinHandle<Loaded>)>,
    last_offset: Instant,
    /// The offset must be stored although no event came: nothing was stored so far.
    announce: bool,
}

impl PostgresTask {
    pub(crate) fn new(settings: Settings, context: Arc<dyn SourceContext>) -> Self {
        let mut partition = serde_json::Map::new();
        partition.insert("server".to_owned(), settings.events.prefix.clone().into());
        PostgresTask {
            settings: Arc::new(settings),
            context,
            partition: Arc::new(partition),
            phase: Phase::Resting(clock::instant()),
            stored: None,
            backoff: Duration::ZERO,
            records: Vec::new(),
            next_number: 1,
            unconfirmed: VecDeque::new(),
            confirmed: Lsn::ZERO,
        }
    }

    async fn next(&mut self) -> Result<SourceBatch, PgError> {
        loop {
            match &mut self.phase {
                Phase::Resting(until) => {
                    tokio::time::sleep_until(*until).await;
                    let stored = match &self.stored {
                        Some(stored) => stored.clone(),
                        None => {
                            let offset = self.context.offset(&self.partition).await;
                            let offset = offset.map_err(|e| PgError::Offsets(e.trace()))?;
                            self.stored.insert(decode(offset.as_ref())).clone()
                        }
                    };
                    let settings = Arc::clone(&self.settings);
                    let run = async move { start::start(&settings, &stored).await };
                    self.phase = Phase::Starting(tokio::spawn(run));
                }
                Phase::Starting(starting) => {
                    let started = starting.await;
                    let started = ended(started)?;
                    self.backoff = Duration::ZERO;
                    self.enter(started);
                }
                Phase::Snapshot(phase) => {
                    let max = self.settings.batch_records_max;
                    let complete = phase.snapshot.read(&mut self.records, max, now_us()).await?;
                    return Ok(self.snapshot_batch(complete));
                }
                Phase::Connecting(connecting, place) => {
                    let stream = connecting.await;
                    let stream = ended(stream)?;
                    let place = Place::clone(place);
                    self.phase = Phase::Streaming(self.streaming(place, stream, false));
                }
                Phase::Streaming(streaming) => {
                    let max = self.settings.batch_records_max;
                    streaming.read(&mut self.records, max).await?;
                    return Ok(self.stream_batch());
                }
                Phase::Done => std::future::pending().await,
            }
        }
    }

    fn enter(&mut self, started: Started) {
        let Started { origin, envelopes, position, confirmed, snapshot, stream, streams } = started;
        // What was durable before a reconnection stays so.
        self.confirmed = self.confirmed.max(confirmed);
        let known = matches!(self.stored, Some(Stored::Ours { .. }));
        let place = Place { origin, envelopes, position };
        self.phase = match (snapshot, stream) {
            (Some((snapshot, point)), _) => {
                Phase::Snapshot(Box::new(SnapshotPhase { place, snapshot, point, streams }))
            }
            (None, Some(stream)) => {
                tracing::info!(start = %place.position.flush, "streaming begins");
                Phase::Streaming(self.streaming(place, stream, !known))
            }
            (None, None) => Phase::Done,
        };
    }

    fn streaming(&self, place: Place, stream: Stream, announce: bool) -> Box<Streaming> {
        stream.confirm(self.confirmed);
        let events = self.settings.events.clone();
        let session = Session::new(events, place.envelopes.clone(), place.position);
        Box::new(Streaming {
            place,
            stream,
            session,
            piece: Bytes::new(),
            cursor: 0,
            catalogue: Some(Catalogue::new(&self.settings.endpoint)),
            loading: None,
            last_offset: clock::instant(),
            announce,
        })
    }

    fn snapshot_batch(&mut self, complete: bool) -> SourceBatch {
        let Phase::Snapshot(phase) = &self.phase else { return SourceBatch::default() };
        let SnapshotPhase { place, point, streams, .. } = &**phase;
        let event =
            LastEvent { lsn: point.consistent, tx_id: point.tx_id, ts_us: point.started_us };
        let offset = encode(&place.position, &place.origin, event, !complete);
        self.stored = Some(Stored::Ours {
            position: place.position,
            origin: place.origin.clone(),
            snapshot_running: !complete,
        });
        let (place, streams) = (place.clone(), *streams);
        if complete {
            tracing::info!("snapshot is complete");
            self.phase = if streams {
                let settings = Arc::clone(&self.settings);
                let (start, confirmed) = (place.position.flush, self.confirmed);
                let run = async move { start::connect(&settings, start, confirmed).await };
                Phase::Connecting(tokio::spawn(run), Box::new(place.clone()))
            } else {
                Phase::Done
            };
        }
        self.batch(offset, place.position.flush)
    }

    fn stream_batch(&mut self) -> SourceBatch {
        let Phase::Streaming(streaming) = &mut self.phase else { return SourceBatch::default() };
        let position = streaming.session.position;
        streaming.place.position = position;
        streaming.last_offset = clock::instant();
        streaming.announce = false;
        let origin = &streaming.place.origin;
        let offset = encode(&position, origin, streaming.session.last_event, false);
        self.stored =
            Some(Stored::Ours { position, origin: origin.clone(), snapshot_running: false });
        self.batch(offset, position.flush)
    }

    fn batch(&mut self, offset: SourceOffset, flush: Lsn) -> SourceBatch {
        let position = self.next_number;
        self.next_number += 1;
        self.unconfirmed.push_back((position, flush));
        SourceBatch {
            records: std::mem::take(&mut self.records),
            offsets: vec![(Arc::clone(&self.partition), offset)],
            position,
        }
    }

    /// After a failure: back to the last batch that was handed out, at once the first time, then with growing pauses.
    fn rest(&mut self, error: PgError) -> Result<(), ConnectError> {
        self.records.clear();
        let was_running =
            matches!(self.phase, Phase::Streaming(_) | Phase::Snapshot(_) | Phase::Connecting(..));
        self.abort();
        self.phase = Phase::Resting(clock::instant() + self.backoff);
        self.backoff = (self.backoff * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
        if was_running && error.is_retriable() {
            tracing::warn!(error = %ConnectError::from(error).trace(), "connection to Postgres lost, connecting again");
            return Ok(());
        }
        Err(error.into())
    }

    fn abort(&self) {
        match &self.phase {
            Phase::Starting(handle) => handle.abort(),
            Phase::Connecting(handle, _) => handle.abort(),
            Phase::Streaming(streaming) => streaming.abort_loading(),
            Phase::Resting(_) | Phase::Snapshot(_) | Phase::Done => {}
        }
    }
}

impl Streaming {
    /// Adds records, or returns without any when an offset alone is due. Cancel-safe.
    async fn read(&mut self, records: &mut Vec<Record>, max: usize) -> Result<(), PgError> {
        loop {
            if let Some((oid, end, loading)) = &mut self.loading {
                let loaded = loading.await;
                let (catalogue, relation) = loaded.map_err(PgError::from)?;
                self.session.install(*oid, Some(Arc::new(relation?)));
                self.cursor = *end;
                self.catalogue = Some(catalogue);
                self.loading = None;
            }
            let outcome =
                self.session.run(&self.piece, &mut self.cursor, records, max, now_us())?;
            match outcome {
                Outcome::Relation(shape, end) => {
                    self.load(*shape, end);
                    continue;
                }
                Outcome::Full => return Ok(()),
                Outcome::Drained => {}
            }
            if let Some(piece) = self.stream.piece_at_hand() {
                (self.piece, self.cursor) = (piece?, 0);
                continue;
            }
            let moved = self.session.position.flush > self.place.position.flush;
            if !records.is_empty() || self.announce {
                return Ok(());
            }
            let due = self.last_offset + IDLE_OFFSET_INTERVAL;
            tokio::select! {
                piece = self.stream.piece() => (self.piece, self.cursor) = (piece?, 0),
                () = tokio::time::sleep_until(due), if moved => return Ok(()),
            }
        }
    }

    /// Looks a relation up and compiles it, apart from `poll`.
    fn load(&mut self, shape: RelationShape, end: usize) {
        let (settings, envelopes) = self.session.parts();
        let (settings, envelopes) = (settings.clone(), envelopes.clone());
        let catalogue = self.catalogue.take();
        let Some(mut catalogue) = catalogue else { return };
        let oid = shape.oid;
        let load = async move {
            let relation = async {
                let facts = catalogue.facts(oid).await?;
                let oids: Vec<u32> = shape.columns.iter().map(|c| c.type_oid).collect();
                let types = catalogue.types(&oids).await?;
                Ok(CompiledRelation::compile(&shape, &facts, &types, &settings, &envelopes))
            };
            let relation = relation.await;
            (catalogue, relation)
        };
        self.loading = Some((oid, end, tokio::spawn(load)));
    }

    fn abort_loading(&self) {
        if let Some((_, _, handle)) = &self.loading {
            handle.abort();
        }
    }
}

impl Drop for PostgresTask {
    fn drop(&mut self) {
        self.abort();
    }
}

#[async_trait]
impl SourceTask for PostgresTask {
    async fn poll(&mut self) -> Result<SourceBatch, ConnectError> {
        loop {
            match self.next().await {
                Ok(batch) => return Ok(batch),
                Err(error) => self.rest(error)?,
            }
        }
    }

    fn committed(&mut self, position: u64) {
        while let Some((_, flush)) =
            self.unconfirmed.front().filter(|(number, _)| *number <= position)
        {
            self.confirmed = self.confirmed.max(*flush);
            self.unconfirmed.pop_front();
        }
        if let Phase::Streaming(streaming) = &self.phase {
            streaming.stream.confirm(self.confirmed);
        }
    }

    async fn stop(&mut self) {
        self.abort();
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        if let Phase::Streaming(streaming) = phase {
            streaming.stream.stop().await;
            if let Some(catalogue) = streaming.catalogue {
                catalogue.close().await;
            }
        }
        if self.settings.slot_drop_on_stop {
            let dropped = slot::drop_slot(&self.settings.endpoint, &self.settings.slot).await;
            if let Err(error) = dropped {
                tracing::warn!(slot = %self.settings.slot, %error, "replication slot was not dropped");
            }
        }
    }
}

/// A task that was aborted or that panicked is as good as a lost connection.
fn ended<T>(result: Result<Result<T, PgError>, JoinError>) -> Result<T, PgError> {
    result.map_err(PgError::from)?
}

fn now_us() -> i64 {
    i64::try_from(clock::since_epoch().as_micros()).unwrap_or(i64::MAX)
}
