//! The config as the connector uses it: texts read once into enums, patterns and durations.

use std::time::Duration;

use aquifer_connect_api::config::{ConfigMap, ParsedConfig};
use aquifer_connect_api::{ByteString, ConnectError};

use crate::config::{CONFIG, REFUSED_PREFIXES};
use crate::filter::{Filters, Patterns};
use crate::value::BinaryMode;
use crate::value::time::TimeUnit;

/// How far TLS goes, as in libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Where the database is and how to log in.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: String,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ssl_root_cert: Option<String>,
    pub(crate) ssl_cert: Option<String>,
    pub(crate) ssl_key: Option<String>,
    /// Tells this connector's connections from all others.
    pub(crate) application_name: String,
    pub(crate) query_timeout: Duration,
    pub(crate) initial_statements: Vec<String>,
}

/// When to take a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotMode {
    Initial,
    Always,
    InitialOnly,
    Never,
    WhenNeeded,
}

/// What to do about a missing publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Autocreate {
    AllTables,
    Filtered,
    NoTables,
    Disabled,
}

/// Whom to believe when slot and offset do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mismatch {
    Refuse,
    TrustSlot,
}

/// What to do with a value that its schema has no place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnBadValue {
    Fail,
    Warn,
    Skip,
}

/// How decimals are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecimalMode {
    Precise,
    Double,
    Text,
}

/// How dates and times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeMode {
    /// By the column's precision.
    Adaptive,
    /// As adaptive, but times are always microseconds.
    AdaptiveTimeMicros,
    /// Connect's own logical types.
    Connect,
    /// Always that unit.
    Always(TimeUnit),
}

/// How names are made fit for Avro.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adjustment {
    None,
    Avro,
    AvroUnicode,
}

/// How types are written.
#[derive(Debug, Clone)]
pub(crate) struct TypeModes {
    pub(crate) decimal: DecimalMode,
    pub(crate) money_digits: i32,
    pub(crate) time: TimeMode,
    pub(crate) interval_text: bool,
    pub(crate) binary: BinaryMode,
    pub(crate) hstore_map: bool,
    pub(crate) include_unknown: bool,
}

/// Operations that are left out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Skipped {
    pub(crate) creates: bool,
    pub(crate) updates: bool,
    pub(crate) deletes: bool,
    pub(crate) truncates: bool,
}

/// What the events look like.
#[derive(Debug, Clone)]
pub(crate) struct EventSettings {
    pub(crate) prefix: String,
    pub(crate) delimiter: String,
    pub(crate) tombstones: bool,
    pub(crate) context_headers: bool,
    pub(crate) skipped: Skipped,
    pub(crate) skip_unchanged: bool,
    pub(crate) placeholder: ByteString,
    pub(crate) on_bad_value: OnBadValue,
    pub(crate) schema_names: Adjustment,
    pub(crate) field_names: Adjustment,
    pub(crate) types: TypeModes,
    pub(crate) filters: Filters,
}

/// The whole config.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) endpoint: Endpoint,
    pub(crate) events: EventSettings,
    pub(crate) slot: String,
    pub(crate) slot_drop_on_stop: bool,
    pub(crate) slot_failover: bool,
    /// How long to wait for a slot that is in use.
    pub(crate) slot_wait: Duration,
    pub(crate) origin: Option<String>,
    pub(crate) publication: String,
    pub(crate) autocreate: Autocreate,
    pub(crate) via_partition_root: bool,
    pub(crate) status_interval: Duration,
    pub(crate) mismatch: Mismatch,
    pub(crate) snapshot_mode: SnapshotMode,
    pub(crate) snapshot_tables: Patterns,
    pub(crate) batch_records_max: usize,
}

impl Settings {
    /// Reads a config; the error is of kind `Config` and names every key at fault.
    pub(crate) fn read(config: &ConfigMap) -> Result<Settings, ConnectError> {
        let refused = refused_keys(config);
        let parsed = CONFIG.parse(config);
        let errors = parsed.as_ref().err().cloned().unwrap_or_default();
        let texts: Vec<String> = errors.into_iter().chain(refused).map(|(_, text)| text).collect();
        match parsed {
            Ok(parsed) if texts.is_empty() => read(&parsed),
            _ => Err(ConnectError::config(texts.join("; "))),
        }
    }
}

/// Keys with the user's own names in them that are not supported.
pub(crate) fn refused_keys(config: &ConfigMap) -> Vec<(String, String)> {
    let refuse = |key: &String| {
        let (_, why) = REFUSED_PREFIXES.iter().find(|(prefix, _)| key.starts_with(prefix))?;
        Some((key.clone(), format!("Configuration {key} is not supported: {why}")))
    };
    config.keys().filter_map(refuse).collect()
}

fn read(config: &ParsedConfig) -> Result<Settings, ConnectError> {
    let owned = |key: &str| config.get(key).filter(|text| !text.is_empty()).map(str::to_owned);
    let name = owned("name").or_else(|| config.map().get("name").cloned());
    let statements = config.string("database.initial.statements").split(';').map(str::trim);
    let endpoint = Endpoint {
        host: config.string("database.hostname").trim().to_owned(),
        port: u16::try_from(config.long("database.port")).unwrap_or(5432),
        user: config.string("database.user").to_owned(),
        password: owned("database.password"),
        database: config.string("database.dbname").to_owned(),
        ssl_mode: ssl_mode(config.string("database.sslmode")),
        ssl_root_cert: owned("database.sslrootcert"),
        ssl_cert: owned("database.sslcert"),
        ssl_key: owned("database.sslkey"),
        application_name: application_name(name.as_deref().unwrap_or_default()),
        query_timeout: config.duration_ms("database.query.timeout.ms"),
        initial_statements: statements.filter(|s| !s.is_empty()).map(str::to_owned).collect(),
    };
    let retries = u32::try_from(config.long("slot.max.retries")).unwrap_or(0);
    Ok(Settings {
        events: events(config)?,
        slot: config.string("slot.name").to_owned(),
        slot_drop_on_stop: config.bool("slot.drop.on.stop"),
        slot_failover: config.bool("slot.failover"),
        slot_wait: config.duration_ms("slot.retry.delay.ms").saturating_mul(retries),
        origin: origin(config.string("slot.stream.params")),
        publication: config.string("publication.name").to_owned(),
        autocreate: match config.string("publication.autocreate.mode") {
            "disabled" => Autocreate::Disabled,
            "filtered" => Autocreate::Filtered,
            "no_tables" => Autocreate::NoTables,
            _ => Autocreate::AllTables,
        },
        via_partition_root: config.bool("publish.via.partition.root"),
        status_interval: config.duration_ms("status.update.interval.ms"),
        mismatch: match config.string("offset.mismatch.strategy") {
            "trust_slot" | "trust_greater_lsn" => Mismatch::TrustSlot,
            _ => Mismatch::Refuse,
        },
        snapshot_mode: match config.string("snapshot.mode") {
            "always" => SnapshotMode::Always,
            "initial_only" => SnapshotMode::InitialOnly,
            "no_data" | "never" => SnapshotMode::Never,
            "when_needed" => SnapshotMode::WhenNeeded,
            _ => SnapshotMode::Initial,
        },
        snapshot_tables: patterns(config, "snapshot.include.collection.list")?,
        batch_records_max: config.count("max.batch.size"),
        endpoint,
    })
}

fn events(config: &ParsedConfig) -> Result<EventSettings, ConnectError> {
    let skipped = config.list("skipped.operations");
    Ok(EventSettings {
        prefix: config.string("topic.prefix").to_owned(),
        delimiter: config.string("topic.delimiter").to_owned(),
        tombstones: config.bool("tombstones.on.delete"),
        context_headers: config.bool("extended.headers.enabled"),
        skipped: Skipped {
            creates: skipped.contains(&"c"),
            updates: skipped.contains(&"u"),
            deletes: skipped.contains(&"d"),
            truncates: skipped.contains(&"t"),
        },
        skip_unchanged: config.bool("skip.messages.without.change"),
        placeholder: ByteString::from(config.string("unavailable.value.placeholder")),
        on_bad_value: match config.string("event.converting.failure.handling.mode") {
            "fail" => OnBadValue::Fail,
            "skip" => OnBadValue::Skip,
            _ => OnBadValue::Warn,
        },
        schema_names: adjustment(config.string("schema.name.adjustment.mode")),
        field_names: adjustment(config.string("field.name.adjustment.mode")),
        types: types(config),
        filters: Filters {
            schema_include: patterns(config, "schema.include.list")?,
            schema_exclude: patterns(config, "schema.exclude.list")?,
            table_include: patterns(config, "table.include.list")?,
            table_exclude: patterns(config, "table.exclude.list")?,
            column_include: patterns(config, "column.include.list")?,
            column_exclude: patterns(config, "column.exclude.list")?,
        },
    })
}

fn types(config: &ParsedConfig) -> TypeModes {
    TypeModes {
        decimal: match config.string("decimal.handling.mode") {
            "double" => DecimalMode::Double,
            "string" => DecimalMode::Text,
            _ => DecimalMode::Precise,
        },
        money_digits: i32::try_from(config.long("money.fraction.digits")).unwrap_or(2),
        time: match config.string("time.precision.mode") {
            "adaptive_time_microseconds" => TimeMode::AdaptiveTimeMicros,
            "connect" => TimeMode::Connect,
            "isostring" => TimeMode::Always(TimeUnit::Iso),
            "microseconds" => TimeMode::Always(TimeUnit::Micros),
            "nanoseconds" => TimeMode::Always(TimeUnit::Nanos),
            _ => TimeMode::Adaptive,
        },
        interval_text: config.string("interval.handling.mode") == "string",
        binary: match config.string("binary.handling.mode") {
            "base64" => BinaryMode::Base64,
            "base64-url-safe" => BinaryMode::Base64UrlSafe,
            "hex" => BinaryMode::Hex,
            _ => BinaryMode::Bytes,
        },
        hstore_map: config.string("hstore.handling.mode") == "map",
        include_unknown: config.bool("include.unknown.datatypes"),
    }
}

fn patterns(config: &ParsedConfig, key: &str) -> Result<Patterns, ConnectError> {
    let parsed = Patterns::parse(config.string(key));
    parsed.map_err(|error| ConnectError::config(format!("{key}: {error}")))
}

fn adjustment(text: &str) -> Adjustment {
    match text {
        "avro" => Adjustment::Avro,
        "avro_unicode" => Adjustment::AvroUnicode,
        _ => Adjustment::None,
    }
}

fn ssl_mode(text: &str) -> SslMode {
    match text {
        "disable" => SslMode::Disable,
        "allow" => SslMode::Allow,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => SslMode::Prefer,
    }
}

fn origin(params: &str) -> Option<String> {
    let pairs = params.split(';').filter_map(|part| part.split_once('='));
    let mut found = pairs.filter(|(key, _)| key.trim() == "origin").map(|(_, value)| value.trim());
    found.next_back().map(str::to_owned)
}

/// Postgres cuts names at 63 bytes; so do we, to find them again.
fn application_name(connector: &str) -> String {
    let name = format!("aquifer {connector}");
    let printable = name.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
    printable.take(63).collect()
}
