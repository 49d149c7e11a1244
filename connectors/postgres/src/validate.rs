//! Asks the database whether the config can work, and answers each problem under the key that mends it, with the SQL to run.

use aquifer_connect_api::Validation;
use aquifer_connect_api::config::ConfigMap;

use crate::catalogue::{Catalogue, ServerInfo, TableName};
use crate::config::CONFIG;
use crate::error::PgError;
use crate::filter::split;
use crate::settings::{Autocreate, Settings, SnapshotMode, refused_keys};
use crate::slot::{identifier, literal, table_name};
use crate::transport::{Connection, Purpose};

/// What keys alone can't tell.
pub(crate) async fn validate(config: &ConfigMap, report: &mut Validation) {
    report.errors.extend(refused_keys(config));
    exclusive_pairs(config, report);
    if !report.errors.is_empty() || !CONFIG.errors(config).is_empty() {
        return;
    }
    let settings = match Settings::read(config) {
        Ok(settings) => settings,
        Err(error) => return report.error("database.hostname", error.to_string()),
    };
    let mut catalogue = Catalogue::new(&settings.endpoint);
    if let Err(error) = ask(&mut catalogue, &settings, config, report).await {
        connection_error(&settings, &error, report);
    }
    catalogue.close().await;
}

/// An include list and an exclude list of the same things contradict each other.
fn exclusive_pairs(config: &ConfigMap, report: &mut Validation) {
    for what in ["schema", "table", "column"] {
        let [include, exclude] = ["include", "exclude"].map(|list| format!("{what}.{list}.list"));
        let given = |key: &String| config.get(key).is_some_and(|text| !text.trim().is_empty());
        if given(&include) && given(&exclude) {
            report.error(&exclude, format!("{exclude} can't be set together with {include}"));
        }
    }
}

async fn ask(
    catalogue: &mut Catalogue,
    settings: &Settings,
    config: &ConfigMap,
    report: &mut Validation,
) -> Result<(), PgError> {
    let server = catalogue.server().await?;
    check_server(&server, settings, report);
    if !report.errors.is_empty() {
        return Ok(());
    }
    // Roles pass the check above and may still be kept out by pg_hba.conf.
    Connection::open(&settings.endpoint, Purpose::Replication).await?.close().await;
    check_slot(catalogue, settings, &server, report).await?;
    let tables = catalogue.tables().await?;
    check_tables(&tables, settings, config, report);
    check_publication(catalogue, settings, &server, &tables, report).await
}

fn check_server(server: &ServerInfo, settings: &Settings, report: &mut Validation) {
    if server.version < 100_000 {
        report
            .error("database.hostname", "Postgres 10 or later is needed for the plug-in pgoutput");
    }
    if server.wal_level != "logical" {
        report.error(
            "database.hostname",
            format!("wal_level of the server is {}, but must be logical: ALTER SYSTEM SET wal_level = logical; then restart Postgres", server.wal_level),
        );
    }
    if !server.may_replicate {
        let user = &settings.endpoint.user;
        report.error(
            "database.user",
            format!(
                "role {user} may not replicate: ALTER ROLE {} WITH REPLICATION",
                identifier(user)
            ),
        );
    }
    if settings.slot_failover && server.version < 170_000 {
        report.error("slot.failover", "failover slots need Postgres 17 or later");
    }
    if settings.origin.is_some() && server.version < 160_000 {
        report.error("slot.stream.params", "the parameter origin needs Postgres 16 or later");
    }
    if settings.via_partition_root && server.version < 130_000 {
        report.error("publish.via.partition.root", "this needs Postgres 13 or later");
    }
}

async fn check_slot(
    catalogue: &mut Catalogue,
    settings: &Settings,
    server: &ServerInfo,
    report: &mut Validation,
) -> Result<(), PgError> {
    let name = &settings.slot;
    match catalogue.slot(name).await? {
        Some(slot) => {
            let plugin = slot.plugin.as_deref().unwrap_or("none (a physical slot)");
            let database = slot.database.as_deref().unwrap_or("none");
            let drop_it = format!("SELECT pg_drop_replication_slot({})", literal(name));
            if plugin != "pgoutput" {
                report.error("slot.name", format!("slot {name} has the plug-in {plugin}, not pgoutput; choose another name, or drop it: {drop_it}"));
            } else if database != settings.endpoint.database {
                report.error(
                    "slot.name",
                    format!("slot {name} belongs to the database {database}; choose another name"),
                );
            } else if let Some((pid, application)) = slot.active {
                // Our own connection, when a running connector's config is changed.
                if application != settings.endpoint.application_name {
                    report.error("slot.name", format!("slot {name} is in use by process {pid} ({application}); choose another name, or end that process: SELECT pg_terminate_backend({pid})"));
                }
            }
        }
        None if server.slots >= server.slots_max => {
            report.error("slot.name", format!("slot {name} does not exist and all {} slots are taken; drop one that nobody uses (SELECT slot_name FROM pg_replication_slots WHERE NOT active), or: ALTER SYSTEM SET max_replication_slots = {}; then restart Postgres", server.slots_max, server.slots_max + 10));
        }
        None => {}
    }
    if server.senders >= server.senders_max {
        report.error("database.hostname", format!("all {} replication connections are taken: ALTER SYSTEM SET max_wal_senders = {}; then restart Postgres", server.senders_max, server.senders_max + 10));
    }
    Ok(())
}

fn check_tables(
    tables: &[TableName],
    settings: &Settings,
    config: &ConfigMap,
    report: &mut Validation,
) {
    let filters = &settings.events.filters;
    let captured = tables.iter().filter(|t| filters.table(&t.schema, &t.name));
    let captured: Vec<&TableName> = captured.collect();
    let include = config.get("table.include.list").map(String::as_str).unwrap_or_default();
    for pattern in split(include) {
        // A plain name that does not exist is a slip, or a table that a publication of given tables would miss. Other names may
        // wait for their tables, and so may patterns.
        let plain = pattern.replace(r"\.", ".");
        let found = |t: &TableName| format!("{}.{}", t.schema, t.name).eq_ignore_ascii_case(&plain);
        if !is_table_name(&plain) || tables.iter().any(found) {
            continue;
        }
        let missing =
            format!("table {plain} does not exist in database {}", settings.endpoint.database);
        match nearest(&plain, tables) {
            Some(near) => {
                report.error("table.include.list", format!("{missing}; is {near} meant?"));
            }
            None if settings.autocreate == Autocreate::Filtered => {
                report.error("table.include.list", missing);
            }
            None => tracing::warn!("{missing}"),
        }
    }
    if captured.is_empty()
        && report.errors.is_empty()
        && settings.autocreate == Autocreate::Filtered
    {
        report.error(
            "table.include.list",
            "no table passes the include and exclude lists, so there is nothing to publish",
        );
    }
    for table in &captured {
        if !table.has_primary_key {
            tracing::warn!(table = %format!("{}.{}", table.schema, table.name),
                "table has no primary key: its events have no key, and Postgres refuses its updates and deletes while it is published without REPLICA IDENTITY FULL");
        }
        if !table.may_select && settings.snapshot_mode != SnapshotMode::Never {
            let user = &settings.endpoint.user;
            report.error(
                "database.user",
                format!(
                    "role {user} may not read {0}.{1}: GRANT USAGE ON SCHEMA {4} TO {3}; GRANT SELECT ON {2} TO {3}",
                    table.schema,
                    table.name,
                    table_name(&table.schema, &table.name),
                    identifier(user),
                    identifier(&table.schema)
                ),
            );
        }
    }
}

/// Whether a pattern is just `schema.table`.
fn is_table_name(pattern: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
    };
    pattern.split_once('.').is_some_and(|(schema, table)| is_name(schema) && is_name(table))
}

/// The existing name that differs least, if it is near.
fn nearest(name: &str, tables: &[TableName]) -> Option<String> {
    let (_, table) = name.rsplit_once('.').unwrap_or(("", name));
    let names = tables.iter().map(|t| (t, distance(table, &t.name)));
    let (near, difference) = names.min_by_key(|(_, difference)| *difference)?;
    (difference <= 2).then(|| format!("{}.{}", near.schema, near.name))
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut previous = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (cb, above) in b.iter().zip(row.iter().skip(1)) {
            let replaced = previous + usize::from(*cb != ca);
            left = replaced.min(left + 1).min(above + 1);
            next.push(left);
            previous = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

async fn check_publication(
    catalogue: &mut Catalogue,
    settings: &Settings,
    server: &ServerInfo,
    tables: &[TableName],
    report: &mut Validation,
) -> Result<(), PgError> {
    let name = &settings.publication;
    let exists = catalogue.publication(name).await?;
    let (user, database) = (&settings.endpoint.user, &settings.endpoint.database);
    match (settings.autocreate, exists) {
        (Autocreate::Disabled, None) => report.error(
            "publication.name",
            format!("publication {name} does not exist and publication.autocreate.mode is disabled: CREATE PUBLICATION {} FOR ALL TABLES, or FOR TABLE …", identifier(name)),
        ),
        (Autocreate::AllTables, None) if !server.is_superuser => report.error(
            "publication.autocreate.mode",
            format!("publication {name} does not exist and only a superuser can make one for all tables; let one run: CREATE PUBLICATION {} FOR ALL TABLES, or set publication.autocreate.mode to filtered", identifier(name)),
        ),
        (Autocreate::Filtered | Autocreate::NoTables, None) if !server.may_create => report.error(
            "publication.autocreate.mode",
            format!("role {user} may not create the publication {name}: GRANT CREATE ON DATABASE {} TO {}", identifier(database), identifier(user)),
        ),
        (Autocreate::Filtered, None) if !server.is_superuser => {
            let filters = &settings.events.filters;
            for table in tables.iter().filter(|t| filters.table(&t.schema, &t.name) && !t.owned) {
                report.error("publication.autocreate.mode", format!("role {user} does not own {0}.{1}, so it can't publish it: ALTER TABLE {2} OWNER TO {3}, or let its owner create the publication", table.schema, table.name, table_name(&table.schema, &table.name), identifier(user)));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Finds the key at fault for an error of connecting or asking.
fn connection_error(settings: &Settings, error: &PgError, report: &mut Validation) {
    let endpoint = &settings.endpoint;
    let trace = aquifer_connect_api::ConnectError::fatal(error.to_string());
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let text = format!("{trace}{}", cause.unwrap_or_default());
    match error.code().as_deref() {
        Some("28P01") => report.error("database.password", format!("login of role {} failed: {text}", endpoint.user)),
        Some("28000") => report.error("database.user", format!("role {0} may not log in: {text}; allow it: ALTER ROLE {1} WITH LOGIN REPLICATION, and check pg_hba.conf", endpoint.user, identifier(&endpoint.user))),
        Some("3D000") => report.error("database.dbname", format!("database {0} does not exist: CREATE DATABASE {1}", endpoint.database, identifier(&endpoint.database))),
        Some("42501") => report.error("database.user", text),
        Some("53300") => report.error("database.hostname", format!("{text}; raise max_connections or max_wal_senders")),
        _ if matches!(error, PgError::Tls(_)) || matches!(error, PgError::Query(sqlx::Error::Tls(_))) => {
            report.error("database.sslmode", text);
        }
        _ => report.error("database.hostname", format!("Postgres at {}:{} can't be asked: {text}", endpoint.host, endpoint.port)),
    }
}
