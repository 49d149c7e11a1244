//! The replication slot and the publication: what there is, making them, and whether slot and offset still fit together.

use std::time::Duration;

use crate::catalogue::{Catalogue, SlotInfo};
use crate::clock;
use crate::error::PgError;
use crate::lsn::Lsn;
use crate::offset::{Origin, Position, Stored};
use crate::settings::{Autocreate, Endpoint, Mismatch, Settings, SnapshotMode};
use crate::transport::{Connection, Purpose};

/// A name in SQL.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Which cluster it is and how far its WAL goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct System {
    pub(crate) identifier: String,
    pub(crate) timeline: u32,
    pub(crate) wal_end: Lsn,
}

/// Asks a replication connection which cluster it is.
pub(crate) async fn identify(connection: &mut Connection) -> Result<System, PgError> {
    let rows = connection.query("IDENTIFY_SYSTEM").await?;
    let cell = |index: usize| rows.first().and_then(|row| row.get(index)).cloned().flatten();
    let parse = || {
        Some(System {
            identifier: cell(0)?,
            timeline: cell(1)?.parse().ok()?,
            wal_end: cell(2)?.parse().ok()?,
        })
    };
    parse().ok_or_else(|| PgError::Protocol("an answer to IDENTIFY_SYSTEM".to_owned()))
}

/// A slot that was just made, and the snapshot of its consistent point; the snapshot lives as long as the connection is idle.
#[derive(Debug, Clone)]
pub(crate) struct NewSlot {
    pub(crate) consistent: Lsn,
    pub(crate) snapshot: Option<String>,
}

/// What kind of slot to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotKind {
    /// Stays, and lets standbys take it over if asked to.
    Permanent { failover: bool },
    /// Ends with its connection.
    Temporary,
}

/// Makes a slot and exports the snapshot of its consistent point.
pub(crate) async fn create(
    connection: &mut Connection,
    name: &str,
    kind: SlotKind,
) -> Result<NewSlot, PgError> {
    let name = identifier(name);
    let command = match kind {
        SlotKind::Temporary => {
            format!("CREATE_REPLICATION_SLOT {name} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT")
        }
        SlotKind::Permanent { failover: false } => {
            format!("CREATE_REPLICATION_SLOT {name} LOGICAL pgoutput EXPORT_SNAPSHOT")
        }
        SlotKind::Permanent { failover: true } => format!(
            "CREATE_REPLICATION_SLOT {name} LOGICAL pgoutput (SNAPSHOT 'export', FAILOVER true)"
        ),
    };
    let rows = connection.query(&command).await.map_err(|error| match error.code().as_deref() {
        Some("53400") => PgError::Setup(format!(
            "{error}; raise the limit: ALTER SYSTEM SET max_replication_slots = 20; then restart Postgres, or drop a slot that nobody uses: SELECT pg_drop_replication_slot('…')"
        )),
        _ => error,
    })?;
    let cell = |index: usize| rows.first().and_then(|row| row.get(index)).cloned().flatten();
    let consistent = cell(1).and_then(|lsn| lsn.parse().ok());
    let consistent = consistent
        .ok_or_else(|| PgError::Protocol("an answer to CREATE_REPLICATION_SLOT".to_owned()))?;
    Ok(NewSlot { consistent, snapshot: cell(2) })
}

/// Drops the slot, once nothing uses it any more.
pub(crate) async fn drop_slot(endpoint: &Endpoint, name: &str) -> Result<(), PgError> {
    let mut connection = Connection::open(endpoint, Purpose::Replication).await?;
    connection.query(&format!("DROP_REPLICATION_SLOT {} WAIT", identifier(name))).await?;
    connection.close().await;
    Ok(())
}

/// Waits until the slot is free. A connection of this connector that still holds it is an orphan of an earlier run, and ended.
pub(crate) async fn wait_until_free(
    catalogue: &mut Catalogue,
    settings: &Settings,
) -> Result<(), PgError> {
    let deadline = clock::instant() + settings.slot_wait;
    let mut delay = Duration::from_millis(50);
    loop {
        let slot = catalogue.slot(&settings.slot).await?;
        let Some((pid, application)) = slot.and_then(|slot| slot.active) else { return Ok(()) };
        if application == settings.endpoint.application_name {
            tracing::info!(slot = %settings.slot, pid, "ending the replication connection of an earlier run");
            catalogue.terminate(pid).await?;
        } else if clock::instant() >= deadline {
            return Err(PgError::SlotInUse { slot: settings.slot.clone(), pid });
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(Duration::from_secs(2));
    }
}

/// Makes the publication if the config says so, before the slot: decoding looks it up as of the change.
pub(crate) async fn ensure_publication(
    catalogue: &mut Catalogue,
    settings: &Settings,
) -> Result<(), PgError> {
    let name = identifier(&settings.publication);
    let exists = catalogue.publication(&settings.publication).await?;
    let options =
        if settings.via_partition_root { " WITH (publish_via_partition_root = true)" } else { "" };
    let sql = match (settings.autocreate, exists) {
        (Autocreate::Disabled, None) => {
            return Err(PgError::Setup(format!(
                "publication {0} does not exist and publication.autocreate.mode is disabled; create it: CREATE PUBLICATION {name} FOR ALL TABLES",
                settings.publication
            )));
        }
        (Autocreate::AllTables, None) => {
            format!("CREATE PUBLICATION {name} FOR ALL TABLES{options}")
        }
        (Autocreate::NoTables, None) => format!("CREATE PUBLICATION {name}{options}"),
        (Autocreate::Filtered, exists) => {
            let all_tables = exists.is_some_and(|publication| publication.all_tables);
            let wanted = filtered_tables(catalogue, settings).await?;
            if wanted.is_empty() && exists.is_some() {
                tracing::warn!(
                    "no table passes the include and exclude lists; the publication is left as it is"
                );
                return Ok(());
            }
            if wanted.is_empty() {
                return Err(PgError::Setup(
                    "no table passes the include and exclude lists, so there is nothing to publish"
                        .to_owned(),
                ));
            }
            let published = match exists {
                Some(_) => catalogue.publication_members(&settings.publication).await?,
                None => Vec::new(),
            };
            let missing = wanted.iter().any(|table| !published.contains(table));
            let surplus = published.iter().any(|table| !wanted.contains(table));
            if all_tables || exists.is_some() && !missing && !surplus {
                return Ok(());
            }
            let list: Vec<String> = wanted.iter().map(|(s, t)| table_name(s, t)).collect();
            let list = list.join(", ");
            match exists {
                Some(_) => format!("ALTER PUBLICATION {name} SET TABLE {list}"),
                None => format!("CREATE PUBLICATION {name} FOR TABLE {list}{options}"),
            }
        }
        (Autocreate::AllTables | Autocreate::NoTables | Autocreate::Disabled, Some(_)) => {
            return Ok(());
        }
    };
    tracing::info!(publication = %settings.publication, "creating or altering the publication");
    catalogue.execute(&sql).await.map_err(|error| match error.code().as_deref() {
        // Somebody was faster.
        Some("42710") => PgError::Setup(format!("publication {name} appeared meanwhile, start again")),
        Some("42501") => PgError::Setup(format!(
            "role {} may not do it: {sql}; let a superuser run that, or grant: GRANT CREATE ON DATABASE {} TO {}, make the role owner of the tables and set publication.autocreate.mode to filtered",
            settings.endpoint.user,
            identifier(&settings.endpoint.database),
            identifier(&settings.endpoint.user),
        )),
        _ => error,
    })
}

/// `"schema"."table"`.
pub(crate) fn table_name(schema: &str, table: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(table))
}

/// The captured tables as a publication names them: partitioned tables stand for their partitions.
async fn filtered_tables(
    catalogue: &mut Catalogue,
    settings: &Settings,
) -> Result<Vec<(String, String)>, PgError> {
    let tables = catalogue.tables().await?;
    let wanted = tables.into_iter().filter(|table| {
        settings.events.filters.table(&table.schema, &table.name)
            && (table.kind == 'r' || settings.via_partition_root)
            && !(table.is_partition && settings.via_partition_root)
    });
    Ok(wanted.map(|table| (table.schema, table.name)).collect())
}

/// What to do at a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) snapshot: bool,
    /// Stream afterwards.
    pub(crate) stream: bool,
    /// The slot is missing.
    pub(crate) create_slot: bool,
    /// From where to stream; `None`: from the slot's position, or the new slot's.
    pub(crate) resume: Option<Position>,
    pub(crate) origin: Origin,
}

/// Decides it from what was stored and what is there. PURE. The error says what does not fit together, and the choices.
pub(crate) fn plan(
    stored: &Stored,
    slot: Option<&SlotInfo>,
    system: &System,
    mode: SnapshotMode,
    mismatch: Mismatch,
) -> Result<Plan, String> {
    let origin = |generation| Origin {
        system: system.identifier.clone(),
        timeline: system.timeline,
        generation,
    };
    let snapshots = mode != SnapshotMode::Never;
    let stream = mode != SnapshotMode::InitialOnly;
    let create_slot = slot.is_none() && stream;
    let fresh = |generation| Plan {
        snapshot: snapshots,
        stream,
        create_slot,
        resume: None,
        origin: origin(generation),
    };
    match stored {
        Stored::Nothing => Ok(fresh(0)),
        Stored::Foreign { snapshot_running: true } => Ok(fresh(0)),
        Stored::Foreign { snapshot_running: false } if slot.is_none() => match mode {
            SnapshotMode::WhenNeeded | SnapshotMode::Always => Ok(fresh(1)),
            SnapshotMode::Initial | SnapshotMode::InitialOnly | SnapshotMode::Never => Err(lost(
                "the stored offset is Debezium's, but its replication slot does not exist",
            )),
        },
        Stored::Foreign { snapshot_running: false } => {
            Ok(Plan { snapshot: mode == SnapshotMode::Always, ..fresh(0) })
        }
        Stored::Ours { position, origin: before, snapshot_running } => {
            let same = origin(before.generation);
            if *snapshot_running && !stream {
                return Ok(fresh(before.generation));
            }
            if !stream && !snapshot_running {
                return Ok(Plan { snapshot: false, ..fresh(before.generation) });
            }
            let Some(broken) = discontinuity(position, before, slot, system) else {
                return Ok(Plan {
                    snapshot: *snapshot_running && snapshots || mode == SnapshotMode::Always,
                    stream,
                    create_slot: false,
                    resume: Some(*position),
                    origin: same,
                });
            };
            match mode {
                // A new generation, so that rows deleted in the gap don't live on in the sinks.
                SnapshotMode::WhenNeeded => Ok(fresh(before.generation + 1)),
                _ if mismatch == Mismatch::TrustSlot && slot.is_some() => {
                    let snapshot = *snapshot_running && snapshots || mode == SnapshotMode::Always;
                    Ok(Plan { snapshot, ..fresh(before.generation) })
                }
                _ => Err(lost(&broken)),
            }
        }
    }
}

/// Why the slot can't give every change after the position, if so.
fn discontinuity(
    position: &Position,
    before: &Origin,
    slot: Option<&SlotInfo>,
    system: &System,
) -> Option<String> {
    if before.system != system.identifier {
        return Some(format!(
            "the stored offset is of the Postgres cluster {}, but this is the cluster {}",
            before.system, system.identifier
        ));
    }
    if before.timeline != system.timeline {
        return Some(format!(
            "the stored offset is of timeline {}, but Postgres is on timeline {}: it was restored or failed over, so the same positions may hold other changes",
            before.timeline, system.timeline
        ));
    }
    let Some(slot) = slot else {
        return Some("the replication slot does not exist any more".to_owned());
    };
    if slot.lost {
        return Some(
            "Postgres has removed WAL that the replication slot needs (max_slot_wal_keep_size)"
                .to_owned(),
        );
    }
    if slot.confirmed > position.flush {
        return Some(format!(
            "the replication slot is at {}, past the stored offset {}: it was made anew or advanced by somebody else",
            slot.confirmed, position.flush
        ));
    }
    if position.flush > system.wal_end {
        return Some(format!(
            "the stored offset {} is past the end of the WAL {}: Postgres was restored from an older state",
            position.flush, system.wal_end
        ));
    }
    None
}

fn lost(what: &str) -> String {
    format!(
        "{what}; changes may have been lost, so the connector does not go on by itself. Choose: delete the connector's offsets (DELETE /connectors/NAME/offsets while it is stopped) to take a new snapshot, or set snapshot.mode to when_needed to have that done whenever it is needed, or set offset.mismatch.strategy to trust_slot to go on from the slot and accept the gap"
    )
}

#[cfg(test)]
mod tests;
