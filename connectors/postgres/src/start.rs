//! Everything between "start" and the first event: cluster, slot, publication, offset, and the snapshot's consistent point.

use crate::catalogue::Catalogue;
use crate::clock;
use crate::envelope::Envelopes;
use crate::error::PgError;
use crate::lsn::Lsn;
use crate::offset::{Origin, Position, Stored};
use crate::settings::{Settings, SnapshotMode};
use crate::slot::{self, NewSlot, Plan, SlotKind};
use crate::snapshot::{self, Snapshot, SnapshotPoint, SnapshotTransaction};
use crate::stream::{Stream, StreamOptions};
use crate::transport::{Connection, Purpose};

/// What was found and begun.
pub(crate) struct Started {
    pub(crate) origin: Origin,
    pub(crate) envelopes: Envelopes,
    /// Where the stream goes on.
    pub(crate) position: Position,
    /// What Postgres has as confirmed.
    pub(crate) confirmed: Lsn,
    pub(crate) snapshot: Option<(Snapshot, SnapshotPoint)>,
    /// Already running, unless a snapshot comes first.
    pub(crate) stream: Option<Stream>,
    /// Whether a stream follows the snapshot.
    pub(crate) streams: bool,
}

/// Starts from what was stored.
pub(crate) async fn start(settings: &Settings, stored: &Stored) -> Result<Started, PgError> {
    let mut catalogue = Catalogue::new(&settings.endpoint);
    let result = start_with(&mut catalogue, settings, stored).await;
    catalogue.close().await;
    result
}

async fn start_with(
    catalogue: &mut Catalogue,
    settings: &Settings,
    stored: &Stored,
) -> Result<Started, PgError> {
    let mut connection = Connection::open(&settings.endpoint, Purpose::Replication).await?;
    let system = slot::identify(&mut connection).await?;
    let mode = settings.snapshot_mode;
    if mode != SnapshotMode::InitialOnly {
        slot::wait_until_free(catalogue, settings).await?;
    }
    let found = catalogue.slot(&settings.slot).await?;
    if let Some(found) = &found {
        let plugin = found.plugin.as_deref().unwrap_or("none");
        let database = found.database.as_deref().unwrap_or("none");
        if plugin != "pgoutput" || database != settings.endpoint.database {
            return Err(PgError::Setup(format!(
                "replication slot {} is of plug-in {plugin} and database {database}; choose another slot.name, or drop it: SELECT pg_drop_replication_slot({})",
                settings.slot,
                slot::literal(&settings.slot)
            )));
        }
    }
    let plan = slot::plan(stored, found.as_ref(), &system, mode, settings.mismatch)
        .map_err(PgError::Discontinuity)?;
    let prefix = &settings.events.prefix;
    let mut envelopes = Envelopes::new(prefix, &settings.endpoint.database, &plan.origin.epoch());
    if settings.events.context_headers {
        envelopes = envelopes.with_context_headers();
    }
    if plan.snapshot || plan.stream {
        slot::ensure_publication(catalogue, settings).await?;
    }
    let new_slot = make_slot(&mut connection, settings, &plan).await?;
    let confirmed = match (&found, &new_slot) {
        (Some(found), _) => found.confirmed,
        (None, Some(new)) => new.consistent,
        (None, None) => Lsn::ZERO,
    };
    let fresh = Position { flush: confirmed, partial: None, last_commit: None };
    let position = plan.resume.unwrap_or(fresh);
    let snapshot = match new_slot {
        Some(new) if plan.snapshot => {
            Some(start_snapshot(catalogue, settings, &envelopes, new).await?)
        }
        _ => None,
    };
    let stream = if plan.stream && snapshot.is_none() {
        let options = stream_options(settings, position.flush, confirmed);
        Some(Stream::start(connection, &options).await?)
    } else {
        // Nothing needs the exported snapshot any more; a temporary slot ends here.
        connection.close().await;
        None
    };
    let (origin, streams) = (plan.origin, plan.stream);
    Ok(Started { origin, envelopes, position, confirmed, snapshot, stream, streams })
}

/// The slot that is missing, or a temporary one for the sake of its snapshot.
async fn make_slot(
    connection: &mut Connection,
    settings: &Settings,
    plan: &Plan,
) -> Result<Option<NewSlot>, PgError> {
    if plan.create_slot {
        let kind = SlotKind::Permanent { failover: settings.slot_failover };
        tracing::info!(slot = %settings.slot, "creating the replication slot");
        return slot::create(connection, &settings.slot, kind).await.map(Some);
    }
    if !plan.snapshot {
        return Ok(None);
    }
    // The stream keeps its place in the slot that exists, so that deletes since then are not missed.
    let suffix = clock::since_epoch().as_millis();
    let kept: String = settings.slot.chars().take(40).collect();
    let name = format!("{kept}_snapshot_{suffix}");
    slot::create(connection, &name, SlotKind::Temporary).await.map(Some)
}

async fn start_snapshot(
    catalogue: &mut Catalogue,
    settings: &Settings,
    envelopes: &Envelopes,
    slot: NewSlot,
) -> Result<(Snapshot, SnapshotPoint), PgError> {
    let NewSlot { consistent, snapshot } = slot;
    let exported = snapshot
        .ok_or_else(|| PgError::Protocol("the new slot exported no snapshot".to_owned()))?;
    let transaction = SnapshotTransaction::begin(settings, &exported).await?;
    let tables = snapshot::tables(catalogue, settings, envelopes).await?;
    let started_us = i64::try_from(clock::since_epoch().as_micros()).unwrap_or(i64::MAX);
    let point = SnapshotPoint { consistent, started_us, tx_id: transaction.tx_id };
    tracing::info!(tables = tables.len(), consistent_point = %consistent, "snapshot begins");
    Ok((Snapshot::start(transaction, tables, envelopes.clone(), point), point))
}

/// Starts the stream once the snapshot is done.
pub(crate) async fn connect(
    settings: &Settings,
    start: Lsn,
    confirmed: Lsn,
) -> Result<Stream, PgError> {
    let connection = Connection::open(&settings.endpoint, Purpose::Replication).await?;
    Stream::start(connection, &stream_options(settings, start, confirmed)).await
}

fn stream_options(settings: &Settings, start: Lsn, confirmed: Lsn) -> StreamOptions {
    StreamOptions {
        slot: settings.slot.clone(),
        publication: settings.publication.clone(),
        origin: settings.origin.clone(),
        start,
        confirmed,
        status_interval: settings.status_interval,
    }
}
