//! Questions to Postgres's catalogue, through sqlx: tables, types, slots, publications, roles.
//!
//! One connection, opened when asked and again after it failed. Every query is bounded by `database.query.timeout.ms`.

use std::future::Future;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

use crate::column::{TypeInfo, Types};
use crate::error::PgError;
use crate::lsn::Lsn;
use crate::pgoutput::ReplicaIdentity;
use crate::relation::{ColumnShape, RelationShape, TableFacts};
use crate::settings::{Endpoint, SslMode};

/// Connecting and logging in take at most this long.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);

/// A table by name.
#[derive(Debug, Clone)]
pub(crate) struct TableName {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// `relkind`: `r` table, `p` partitioned.
    pub(crate) kind: char,
    pub(crate) is_partition: bool,
    pub(crate) has_primary_key: bool,
    pub(crate) may_select: bool,
    pub(crate) owned: bool,
}

/// A replication slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotInfo {
    pub(crate) plugin: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) confirmed: Lsn,
    /// WAL that it needs was removed.
    pub(crate) lost: bool,
    /// Process and application name of the connection that uses it.
    pub(crate) active: Option<(i32, String)>,
}

/// A publication.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publication {
    pub(crate) all_tables: bool,
}

/// A table as it is published.
#[derive(Debug, Clone)]
pub(crate) struct PublishedTable {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// Only these columns; `None` is all.
    pub(crate) columns: Option<Vec<String>>,
    /// Only rows for which this holds.
    pub(crate) row_filter: Option<String>,
}

/// What the server and the role are.
#[derive(Debug, Clone)]
pub(crate) struct ServerInfo {
    pub(crate) version: i32,
    pub(crate) wal_level: String,
    pub(crate) is_superuser: bool,
    pub(crate) may_replicate: bool,
    pub(crate) may_create: bool,
    pub(crate) slots_max: i64,
    pub(crate) slots: i64,
    pub(crate) senders_max: i64,
    pub(crate) senders: i64,
}

/// The catalogue of one database.
pub(crate) struct Catalogue {
    endpoint: Endpoint,
    connection: Option<PgConnection>,
}

impl Catalogue {
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        Catalogue { endpoint: endpoint.clone(), connection: None }
    }

    /// Connects, if that has not happened.
    pub(crate) async fn connect(&mut self) -> Result<&mut PgConnection, PgError> {
        if self.connection.is_none() {
            let mut connection = open(connect_options(&self.endpoint)).await;
            // pg_hba.conf may allow only the other kind of connection; sqlx does not try that by itself.
            let rejected = |error: &PgError| error.code().as_deref() == Some("28000");
            if let Err(error) = connection.as_ref()
                && rejected(error)
            {
                let other = match self.endpoint.ssl_mode {
                    SslMode::Allow => Some(PgSslMode::Require),
                    SslMode::Prefer => Some(PgSslMode::Disable),
                    SslMode::Disable
                    | SslMode::Require
                    | SslMode::VerifyCa
                    | SslMode::VerifyFull => None,
                };
                if let Some(mode) = other
                    && let Ok(second) = open(connect_options(&self.endpoint).ssl_mode(mode)).await
                {
                    connection = Ok(second);
                }
            }
            let mut connection = connection?;
            for statement in &self.endpoint.initial_statements {
                connection.execute(AssertSqlSafe(statement.as_str())).await?;
            }
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or(PgError::Closed)
    }

    /// Closes the connection.
    pub(crate) async fn close(mut self) {
        if let Some(connection) = self.connection.take() {
            // It is going away in any case.
            drop(connection.close().await);
        }
    }

    /// Runs a query, bounded in time; a connection that failed is not used again.
    async fn ask<T, F>(&mut self, query: impl FnOnce(PgConnection) -> F) -> Result<T, PgError>
    where
        F: Future<Output = (PgConnection, Result<T, sqlx::Error>)>,
    {
        self.connect().await?;
        let connection = self.connection.take().ok_or(PgError::Closed)?;
        let limit = self.endpoint.query_timeout;
        let asked = query(connection);
        let (connection, result) = if limit.is_zero() {
            asked.await
        } else {
            let timed = tokio::time::timeout(limit, asked).await;
            timed.map_err(|_| PgError::QueryTimeout(limit.as_millis()))?
        };
        if result.is_ok() || matches!(result, Err(sqlx::Error::Database(_))) {
            self.connection = Some(connection);
        }
        result.map_err(PgError::Query)
    }

    /// Runs a statement that gives nothing.
    pub(crate) async fn execute(&mut self, sql: &str) -> Result<(), PgError> {
        let sql = sql.to_owned();
        self.ask(|mut connection| async move {
            let result = connection.execute(AssertSqlSafe(sql)).await.map(|_| ());
            (connection, result)
        })
        .await
    }

    /// The server and the role.
    pub(crate) async fn server(&mut self) -> Result<ServerInfo, PgError> {
        type Columns = (i32, String, bool, bool, bool, i64, i64, i64, i64);
        let columns: Columns = self
            .ask(|mut c| async move {
                let rows = sqlx::query_as(
                    "SELECT current_setting('server_version_num')::int, current_setting('wal_level'),
                        r.rolsuper, r.rolsuper OR r.rolreplication
                            OR EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                                       WHERE m.member = r.oid AND g.rolname IN ('rds_replication', 'rdsadmin', 'azure_pg_admin', 'cloudsqlsuperuser', 'alloydbsuperuser')),
                        has_database_privilege(current_database(), 'CREATE'),
                        current_setting('max_replication_slots')::int8, (SELECT count(*) FROM pg_replication_slots),
                        current_setting('max_wal_senders')::int8, (SELECT count(*) FROM pg_stat_replication)
                     FROM pg_roles r WHERE r.rolname = current_user",
                );
                let row = rows.fetch_one(&mut c).await;
                (c, row)
            })
            .await?;
        let (version, wal_level, is_superuser, may_replicate, may_create, ..) = columns.clone();
        let (.., slots_max, slots, senders_max, senders) = columns;
        Ok(ServerInfo {
            version,
            wal_level,
            is_superuser,
            may_replicate,
            may_create,
            slots_max,
            slots,
            senders_max,
            senders,
        })
    }

    /// Every table that is not Postgres's own.
    pub(crate) async fn tables(&mut self) -> Result<Vec<TableName>, PgError> {
        type Columns = (String, String, String, bool, bool, bool, bool);
        let rows: Vec<Columns> = self
            .ask(|mut c| async move {
                let rows = sqlx::query_as(
                    "SELECT n.nspname::text, c.relname::text, c.relkind::text, c.relispartition,
                        EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
                        has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), pg_has_role(c.relowner, 'USAGE')
                     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                     WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
                        AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
                     ORDER BY 1, 2",
                );
                let rows = rows.fetch_all(&mut c).await;
                (c, rows)
            })
            .await?;
        let table = |(schema, name, kind, is_partition, key, select, owned): Columns| TableName {
            schema,
            name,
            kind: kind.chars().next().unwrap_or('r'),
            is_partition,
            has_primary_key: key,
            may_select: select,
            owned,
        };
        Ok(rows.into_iter().map(table).collect())
    }

    /// A table as its relation message would describe it, with what only the catalogue knows; `None` if it is gone.
    pub(crate) async fn shape(
        &mut self,
        schema: &str,
        table: &str,
    ) -> Result<Option<RelationShape>, PgError> {
        let (of_schema, of_table) = (schema.to_owned(), table.to_owned());
        type Columns = (i64, String, String, i64, i32, bool);
        let rows: Vec<Columns> = self
            .ask(|mut c| async move {
                let rows = sqlx::query_as(
                    "SELECT c.oid::int8, c.relreplident::text, a.attname::text, a.atttypid::int8, a.atttypmod,
                        COALESCE(a.attnum = ANY (i.indkey), false)
                     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                     JOIN pg_attribute a ON a.attrelid = c.oid
                     LEFT JOIN pg_index i ON i.indrelid = c.oid
                        AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
                     WHERE n.nspname = $1 AND c.relname = $2
                        AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                     ORDER BY a.attnum",
                );
                let rows = rows.bind(of_schema).bind(of_table).fetch_all(&mut c).await;
                (c, rows)
            })
            .await?;
        let Some((oid, identity, ..)) = rows.first() else { return Ok(None) };
        let identity = match identity.as_str() {
            "n" => ReplicaIdentity::Nothing,
            "f" => ReplicaIdentity::Full,
            "i" => ReplicaIdentity::Index,
            _ => ReplicaIdentity::Default,
        };
        let oid = u32::try_from(*oid).unwrap_or(0);
        let column = |(_, _, name, type_oid, modifier, key): Columns| ColumnShape {
            name,
            key: key || identity == ReplicaIdentity::Full,
            type_oid: u32::try_from(type_oid).unwrap_or(0),
            modifier,
        };
        let columns = rows.into_iter().map(column).collect();
        let (schema, table) = (schema.to_owned(), table.to_owned());
        Ok(Some(RelationShape { oid, schema, table, identity, columns }))
    }

    /// Nullability, defaults and primary key of a table; empty if it is gone.
    pub(crate) async fn facts(&mut self, oid: u32) -> Result<TableFacts, PgError> {
        let oid = i64::from(oid);
        let not_null = self
            .ask(|mut c| async move {
                let rows = sqlx::query_as(
                    "SELECT a.attname::text, pg_get_expr(d.adbin, d.adrelid)
                     FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                     WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull
                     ORDER BY a.attnum",
                );
                let rows = rows.bind(oid).fetch_all(&mut c).await;
                (c, rows)
            })
            .await?;
        let key: Vec<(String,)> = self
            .ask(|mut c| async move {
                let rows = sqlx::query_as(
                    "SELECT a.attname::text FROM pg_index i
                     CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
                     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                     WHERE i.indrelid = $1::oid AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place",
                );
                let rows = rows.bind(oid).fetch_all(&mut c).await;
                (c, rows)
            })
            .await?;
        Ok(TableFacts { not_null, primary_key: key.into_iter().map(|(name,)| name).collect() })
    }

    /// Those types, and all that they are made of.
    pub(crate) async fn types(&mut self, oids: &[u32]) -> Result<Types, PgError> {
        type Columns = (i64, String, String, i64, i32, i64, Vec<String>);
        let mut types = Types::new();
        let mut wanted: Vec<i64> = oids.iter().copied().map(i64::from).collect();
        while !wanted.is_empty() {
            let of = std::mem::take(&mut wanted);
            let rows: Vec<Columns> = self
                .ask(|mut c| async move {
                    let rows = sqlx::query_as(
                        "SELECT t.oid::int8, t.typname::text, t.typtype::text, t.typbasetype::int8, t.typtypmod,
                            CASE WHEN t.typcategory = 'A' THEN t.typelem::int8 ELSE 0 END,
                            ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
                         FROM pg_type t WHERE t.oid::int8 = ANY ($1)",
                    );
                    let rows = rows.bind(of).fetch_all(&mut c).await;
                    (c, rows)
                })
                .await?;
            for (oid, name, kind, base, base_modifier, element, labels) in rows {
                let narrow = |oid: i64| u32::try_from(oid).unwrap_or(0);
                let kind = kind.chars().next().unwrap_or('b');
                for part in [base, element] {
                    if part != 0 && !types.contains_key(&narrow(part)) {
                        wanted.push(part);
                    }
                }
                let (base, element) = (narrow(base), narrow(element));
                let info = TypeInfo { name, kind, base, base_modifier, element, labels };
                types.insert(narrow(oid), info);
            }
        }
        Ok(types)
    }

    /// A slot of that name.
    pub(crate) async fn slot(&mut self, name: &str) -> Result<Option<SlotInfo>, PgError> {
        type Columns =
            (Option<String>, Option<String>, Option<String>, Option<String>, Option<i32>, String);
        let name = name.to_owned();
        // `wal_status` came with Postgres 13; asked through JSON, it is null before.
        let row: Option<Columns> = self
            .ask(|mut c| async move {
                let rows = sqlx::query_as(
                    "SELECT s.plugin::text, s.database::text, s.confirmed_flush_lsn::text, to_jsonb(s) ->> 'wal_status',
                        CASE WHEN s.active THEN s.active_pid END, COALESCE(a.application_name, '')
                     FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid
                     WHERE s.slot_name = $1",
                );
                let row = rows.bind(name).fetch_optional(&mut c).await;
                (c, row)
            })
            .await?;
        let slot = |(plugin, database, confirmed, status, pid, application): Columns| SlotInfo {
            plugin,
            database,
            confirmed: confirmed.and_then(|lsn| lsn.parse().ok()).unwrap_or_default(),
            lost: status.as_deref() == Some("lost"),
            active: pid.map(|pid| (pid, application)),
        };
        Ok(row.map(slot))
    }

    /// Ends another connection of the same role.
    pub(crate) async fn terminate(&mut self, pid: i32) -> Result<(), PgError> {
        self.ask(|mut c| async move {
            let query = sqlx::query("SELECT pg_terminate_backend($1)").bind(pid);
            let result = query.execute(&mut c).await.map(|_| ());
            (c, result)
        })
        .await
    }

    /// A publication of that name.
    pub(crate) async fn publication(&mut self, name: &str) -> Result<Option<Publication>, PgError> {
        let name = name.to_owned();
        let row: Option<(bool,)> = self
            .ask(|mut c| async move {
                let query =
                    sqlx::query_as("SELECT puballtables FROM pg_publication WHERE pubname = $1");
                let row = query.bind(name).fetch_optional(&mut c).await;
                (c, row)
            })
            .await?;
        Ok(row.map(|(all_tables,)| Publication { all_tables }))
    }

    /// The tables that a publication names.
    pub(crate) async fn publication_members(
        &mut self,
        name: &str,
    ) -> Result<Vec<(String, String)>, PgError> {
        let name = name.to_owned();
        self.ask(|mut c| async move {
            let query = sqlx::query_as(
                "SELECT n.nspname::text, c.relname::text FROM pg_publication p
                 JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid
                 JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1",
            );
            let rows = query.bind(name).fetch_all(&mut c).await;
            (c, rows)
        })
        .await
    }

    /// The tables whose changes a publication carries, with its column lists and row filters (Postgres 15 and later).
    pub(crate) async fn published(&mut self, name: &str) -> Result<Vec<PublishedTable>, PgError> {
        type Columns = (String, String, Option<String>, Option<String>);
        let name = name.to_owned();
        let rows: Vec<Columns> = self
            .ask(|mut c| async move {
                let query = sqlx::query_as(
                    "SELECT t.schemaname::text, t.tablename::text, to_jsonb(t) ->> 'attnames', to_jsonb(t) ->> 'rowfilter'
                     FROM pg_publication_tables t WHERE t.pubname = $1 ORDER BY 1, 2",
                );
                let rows = query.bind(name).fetch_all(&mut c).await;
                (c, rows)
            })
            .await?;
        let table = |(schema, name, columns, row_filter): Columns| PublishedTable {
            schema,
            name,
            columns: columns.and_then(|json| serde_json::from_str(&json).ok()),
            row_filter,
        };
        Ok(rows.into_iter().map(table).collect())
    }
}

async fn open(options: PgConnectOptions) -> Result<PgConnection, PgError> {
    let timed = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    let opened = timed.map_err(|_| PgError::Connection {
        address: format!("{}:{}", options.get_host(), options.get_port()),
        source: std::io::ErrorKind::TimedOut.into(),
    })?;
    opened.map_err(PgError::Query)
}

fn connect_options(endpoint: &Endpoint) -> PgConnectOptions {
    let mode = match endpoint.ssl_mode {
        SslMode::Disable => PgSslMode::Disable,
        SslMode::Allow => PgSslMode::Allow,
        SslMode::Prefer => PgSslMode::Prefer,
        SslMode::Require => PgSslMode::Require,
        SslMode::VerifyCa => PgSslMode::VerifyCa,
        SslMode::VerifyFull => PgSslMode::VerifyFull,
    };
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&endpoint.host)
        .port(endpoint.port)
        .username(&endpoint.user)
        .database(&endpoint.database)
        .application_name(&endpoint.application_name)
        .ssl_mode(mode);
    if let Some(password) = &endpoint.password {
        options = options.password(password);
    }
    if let Some(path) = &endpoint.ssl_root_cert {
        options = options.ssl_root_cert(path);
    }
    if let (Some(cert), Some(key)) = (&endpoint.ssl_cert, &endpoint.ssl_key) {
        options = options.ssl_client_cert(cert).ssl_client_key(key);
    }
    options
}
