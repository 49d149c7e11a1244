//! TABLE of config keys: those of Debezium 3.3's Postgres connector, each honoured, accepted without effect, or refused.
//!
//! - A key of that connector that is not in this table, or a value that its check refuses, fails validation: nothing is ignored in silence.
//! - Logic stands elsewhere: `settings.rs` reads the values, `validate.rs` asks the database.

use std::sync::LazyLock;

use aquifer_connect_api::config::{Check, ConfigDef, ConfigKey, ConfigType, Importance};

use ConfigType::{Boolean, Class, Int, List, Long, Password, String as Text};
use Importance::{High, Low, Medium};

use crate::filter::check_patterns;

/// Prefixes of keys whose middle is a pattern or a name of the user's; none of them is supported.
pub(crate) const REFUSED_PREFIXES: &[(&str, &str)] = &[
    ("column.truncate.to.", "columns are not truncated here; use a transform"),
    (
        "column.mask.",
        "columns are not masked here; exclude them (column.exclude.list) or use the transform MaskField",
    ),
    ("snapshot.select.statement.overrides.", "snapshots always read whole tables"),
];

/// The definition.
pub(crate) static CONFIG: LazyLock<ConfigDef> = LazyLock::new(|| ConfigDef::new(keys()));

const fn key(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    importance: Importance,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey::optional(name, kind, Some(default), importance, doc)
}

const fn unset(
    name: &'static str,
    kind: ConfigType,
    importance: Importance,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey::optional(name, kind, None, importance, doc)
}

const fn patterns(name: &'static str, importance: Importance, doc: &'static str) -> ConfigKey {
    unset(name, List, importance, doc).check(Check::Custom(check_patterns))
}

fn refused_unless_empty(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Ok(()) } else { Err("This option is not supported".to_owned()) }
}

fn refused_unless_false(text: &str) -> Result<(), String> {
    if text.trim().eq_ignore_ascii_case("true") {
        Err("This option is not supported, leave it at false".to_owned())
    } else {
        Ok(())
    }
}

const REFUSED: Check = Check::Custom(refused_unless_empty);
const REFUSED_TRUE: Check = Check::Custom(refused_unless_false);
const OWN_BUFFERS: &str = "buffers are bounded in bytes by themselves";
const NO_SIGNALS: &str = "incremental snapshots by signal are not there yet: signals are not read";
const NO_HEARTBEAT: &str = "idle WAL is confirmed without heartbeats";
const ONE_READER: &str = "a snapshot is one COPY after the other on one exported snapshot";
const NO_MESSAGES: &str = "messages of pg_logical_emit_message are not captured";

fn keys() -> Vec<ConfigKey> {
    let mut keys = connection();
    keys.extend(replication());
    keys.extend(tables());
    keys.extend(events());
    keys.extend(snapshot());
    keys.extend(running());
    keys
}

fn connection() -> Vec<ConfigKey> {
    let keys = [
        ConfigKey::required("database.hostname", Text, High, "Host name or address of the database server.").check(Check::NonEmpty),
        key("database.port", Int, "5432", High, "Port of the database server.").check(Check::Between(1, 65_535)),
        ConfigKey::required("database.user", Text, High, "Role to log in as; it needs REPLICATION and SELECT on the tables.").check(Check::NonEmpty),
        unset("database.password", Password, High, "Password of the role."),
        ConfigKey::required("database.dbname", Text, High, "Database to capture.").check(Check::NonEmpty),
        key("database.sslmode", Text, "prefer", Medium, "Encryption, as in libpq: from disable to verify-full.")
            .check(Check::OneOf(&["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])),
        unset("database.sslrootcert", Text, Medium, "PEM file of the certificate authorities to trust; without it, the public ones."),
        unset("database.sslcert", Text, Medium, "PEM file of the client's certificate."),
        unset("database.sslkey", Text, Medium, "File of the client's key, PEM or PKCS #8 DER."),
        unset("database.sslpassword", Password, Medium, "Password of the client's key.").check(REFUSED),
        unset("database.sslfactory", Class, Low, "A Java class that makes sockets.").check(REFUSED),
        unset("database.connection.factory.class", Class, Low, "A Java class that makes connections.").check(REFUSED),
        key("database.tcpKeepAlive", Boolean, "true", Low, "Lets TCP probe idle connections.")
            .no_op("status updates are sent at least every status.update.interval.ms, which finds dead connections sooner"),
        unset("database.initial.statements", Text, Low, "SQL to run on each connection but the replication one; several are separated by ';'."),
        key("database.query.timeout.ms", Int, "600000", Low, "How long a query of the catalogue may take, in milliseconds; 0 is no limit.").check(Check::AtLeast(0)),
    ];
    keys.into_iter().map(|key| key.group("Connection")).collect()
}

fn replication() -> Vec<ConfigKey> {
    let keys = [
        key("plugin.name", Text, "pgoutput", Medium, "Output plug-in. Always pgoutput; decoderbufs is accepted and means pgoutput here.")
            .check(Check::OneOf(&["pgoutput", "decoderbufs"])),
        key("slot.name", Text, "debezium", Medium, "Replication slot; it is created when missing.").check(Check::Custom(check_slot_name)),
        key("slot.drop.on.stop", Boolean, "false", Medium, "Drops the slot when the task stops. Changes made until the next start are then lost."),
        key("slot.failover", Boolean, "false", Low, "Creates the slot so that standbys may take it over (Postgres 17 and later)."),
        key("slot.max.retries", Int, "6", Low, "How many times to wait for a slot that another connection uses.").check(Check::AtLeast(0)),
        key("slot.retry.delay.ms", Long, "10000", Low, "How long each of these waits may take, in milliseconds.").check(Check::AtLeast(0)),
        unset("slot.stream.params", Text, Low, "More parameters for the output plug-in, key=value separated by ';'. Only origin is supported (Postgres 16 and later).")
            .check(Check::Custom(check_stream_params)),
        key("publication.name", Text, "dbz_publication", Medium, "Publication to stream from.").check(Check::NonEmpty),
        key("publication.autocreate.mode", Text, "all_tables", Medium, "What to do about a missing publication: make one for all tables (needs a superuser), one for the captured tables, an empty one, or stop.")
            .check(Check::OneOf(&["all_tables", "disabled", "filtered", "no_tables"])),
        key("publish.via.partition.root", Boolean, "false", Low, "Publishes changes of partitions as changes of the partitioned table, when the publication is created here."),
        unset("replica.identity.autoset.values", Text, Low, "Replica identities to set on tables.").check(REFUSED),
        key("status.update.interval.ms", Int, "10000", Medium, "How often Postgres is told the confirmed position at least, in milliseconds.").check(Check::AtLeast(1)),
        key("xmin.fetch.interval.ms", Long, "0", Low, "How often to read the slot's xmin for the source block.").check(Check::Between(0, 0)),
        key("flush.lsn.source", Boolean, "true", Low, "Confirms positions to Postgres.").check(Check::OneOf(&["true"])),
        key("lsn.flush.mode", Text, "connector", Low, "Who confirms positions to Postgres.").check(Check::OneOf(&["connector"])),
        key("lsn.flush.timeout.ms", Long, "30000", Low, "How long a confirmation may take.").no_op("a confirmation is one message that nobody waits for"),
        key("lsn.flush.timeout.action", Text, "fail", Low, "What to do when it takes longer.").no_op("a confirmation is one message that nobody waits for"),
        key("offset.mismatch.strategy", Text, "trust_offset", Medium, "What to do when the slot and the stored offset do not fit together, so that changes may have been lost: trust_offset stops with the reason; trust_slot and trust_greater_lsn go on from the slot.")
            .check(Check::OneOf(&["trust_offset", "trust_slot", "trust_greater_lsn"])),
    ];
    keys.into_iter().map(|key| key.group("Replication")).collect()
}

fn tables() -> Vec<ConfigKey> {
    let keys = [
        patterns(
            "schema.include.list",
            High,
            "Regular expressions of schemas to capture; each must match a whole name.",
        ),
        patterns("schema.exclude.list", Medium, "Regular expressions of schemas to leave out."),
        patterns(
            "table.include.list",
            High,
            "Regular expressions of tables to capture, as schema.table.",
        ),
        patterns(
            "table.exclude.list",
            Medium,
            "Regular expressions of tables to leave out, as schema.table.",
        ),
        patterns(
            "column.include.list",
            Medium,
            "Regular expressions of columns to capture, as schema.table.column. Key columns stay in the key.",
        ),
        patterns(
            "column.exclude.list",
            Medium,
            "Regular expressions of columns to leave out, as schema.table.column. Key columns stay in the key.",
        ),
        unset("message.key.columns", Text, Medium, "Columns that make up the key, by table.")
            .check(REFUSED),
        unset(
            "column.propagate.source.type",
            List,
            Low,
            "Columns whose source type goes into the schema.",
        )
        .check(REFUSED),
        unset(
            "datatype.propagate.source.type",
            List,
            Low,
            "Types whose source type goes into the schema.",
        )
        .check(REFUSED),
        unset("message.prefix.include.list", List, Low, "Prefixes of logical messages to capture.")
            .no_op(NO_MESSAGES),
        unset(
            "message.prefix.exclude.list",
            List,
            Low,
            "Prefixes of logical messages to leave out.",
        )
        .no_op(NO_MESSAGES),
        key("guardrail.collections.max", Int, "0", Low, "Most tables to capture.")
            .check(Check::Between(0, 0)),
        key(
            "guardrail.collections.limit.action",
            Text,
            "warn",
            Low,
            "What to do when there are more.",
        )
        .no_op("guardrail.collections.max is not supported"),
    ];
    keys.into_iter().map(|key| key.group("Tables")).collect()
}

fn events() -> Vec<ConfigKey> {
    let keys = [
        ConfigKey::required("topic.prefix", Text, High, "First part of topic and schema names; it also names the source partition, so it must not change.").check(Check::NonEmpty),
        key("topic.delimiter", Text, ".", Medium, "Stands between prefix, schema and table in topic names."),
        key("topic.naming.strategy", Class, "io.debezium.schema.SchemaTopicNamingStrategy", Medium, "How topics are named.")
            .check(Check::OneOf(&["io.debezium.schema.SchemaTopicNamingStrategy", "io.debezium.schema.DefaultTopicNamingStrategy"])),
        key("topic.cache.size", Int, "10000", Low, "How many topic names to remember.").no_op("a topic's name is kept with its table"),
        key("topic.heartbeat.prefix", Text, "__debezium-heartbeat", Low, "First part of the heartbeat topic's name.").no_op(NO_HEARTBEAT),
        unset("topic.heartbeat.name", Text, Low, "The heartbeat topic's name.").no_op(NO_HEARTBEAT),
        key("topic.transaction", Text, "transaction", Low, "Last part of the transaction topic's name.").no_op("provide.transaction.metadata is not supported"),
        key("provide.transaction.metadata", Boolean, "false", Low, "Adds transaction metadata to events.").check(REFUSED_TRUE),
        key("tombstones.on.delete", Boolean, "true", Medium, "Follows each delete with a tombstone."),
        key("skipped.operations", Text, "t", Low, "Operations to leave out: c, u, d, t separated by commas, or none.").check(Check::Custom(check_skipped)),
        key("skip.messages.without.change", Boolean, "false", Low, "Leaves out updates that change no captured column; needs REPLICA IDENTITY FULL."),
        key("unavailable.value.placeholder", Text, "__debezium_unavailable_value", Medium, "Stands for an unchanged TOASTed value that Postgres did not send; the header __unavailable names such fields."),
        key("decimal.handling.mode", Text, "precise", Medium, "How NUMERIC and MONEY are written.").check(Check::OneOf(&["precise", "double", "string"])),
        key("money.fraction.digits", Int, "2", Low, "Fraction digits of MONEY.").check(Check::Between(0, 30)),
        key("time.precision.mode", Text, "adaptive", Medium, "How dates and times are written.")
            .check(Check::OneOf(&["adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"])),
        key("interval.handling.mode", Text, "numeric", Low, "How INTERVAL is written.").check(Check::OneOf(&["numeric", "string"])),
        key("binary.handling.mode", Text, "bytes", Low, "How BYTEA is written.").check(Check::OneOf(&["bytes", "base64", "base64-url-safe", "hex"])),
        key("hstore.handling.mode", Text, "json", Low, "How HSTORE is written.").check(Check::OneOf(&["json", "map"])),
        key("include.unknown.datatypes", Boolean, "false", Low, "Captures columns of unsupported types as the bytes of their text, instead of leaving them out."),
        key("schema.name.adjustment.mode", Text, "none", Medium, "How schema names are made fit for Avro.").check(Check::OneOf(&["none", "avro", "avro_unicode"])),
        key("field.name.adjustment.mode", Text, "none", Medium, "How field names are made fit for Avro.").check(Check::OneOf(&["none", "avro", "avro_unicode"])),
        key("event.converting.failure.handling.mode", Text, "warn", Medium, "What to do with a column whose value has no place in its schema: fail, or write null with a warning or (skip) without.")
            .check(Check::OneOf(&["fail", "warn", "skip"])),
        key("event.processing.failure.handling.mode", Text, "fail", Medium, "What to do with an event that can't be processed.").check(Check::OneOf(&["fail"])),
        key("schema.refresh.mode", Text, "columns_diff", Low, "When to read a table's schema again.").no_op("each relation message of the stream gives the schema, so it is always the one of the change"),
        unset("converters", Text, Low, "Java converters of columns.").check(REFUSED),
        unset("post.processors", Text, Low, "Java post-processors of events.").check(REFUSED),
        key("extended.headers.enabled", Boolean, "false", Low, "Adds the headers __debezium.context.* that say which connector and task an event is from. Off unless asked for: they are the same on every record."),
        key("sourceinfo.struct.maker", Class, "io.debezium.connector.postgresql.PostgresSourceInfoStructMaker", Low, "The Java class that makes source blocks.")
            .check(Check::OneOf(&["io.debezium.connector.postgresql.PostgresSourceInfoStructMaker"])),
    ];
    keys.into_iter().map(|key| key.group("Events")).collect()
}

fn snapshot() -> Vec<ConfigKey> {
    let keys = [
        key("snapshot.mode", Text, "initial", Medium, "When to read whole tables: at the first start, at each start, at the first start and nothing else, never, or also when the stream was lost.")
            .check(Check::OneOf(&["initial", "always", "initial_only", "no_data", "never", "when_needed"])),
        patterns("snapshot.include.collection.list", Medium, "Regular expressions of the captured tables to read, as schema.table; all where unset."),
        unset("snapshot.select.statement.overrides", List, Medium, "Tables with a SELECT of their own.").check(REFUSED),
        key("snapshot.isolation.mode", Text, "serializable", Low, "Isolation of the snapshot's transaction.").no_op("the exported snapshot of the slot is read, under repeatable read"),
        key("snapshot.locking.mode", Text, "none", Low, "Locks to take for the snapshot.").check(Check::OneOf(&["none"])),
        key("snapshot.lock.timeout.ms", Long, "10000", Low, "How long to wait for them.").no_op("no locks are taken"),
        key("snapshot.fetch.size", Int, "10240", Low, "Rows to fetch at a time.").no_op("COPY streams"),
        key("snapshot.max.threads", Int, "1", Low, "Threads to read with.").no_op(ONE_READER),
        key("legacy.snapshot.max.threads", Boolean, "false", Low, "How threads share tables.").no_op(ONE_READER),
        key("snapshot.delay.ms", Long, "0", Low, "How long to wait before the snapshot.").check(Check::Between(0, 0)),
        key("streaming.delay.ms", Long, "0", Low, "How long to wait between snapshot and stream.").check(Check::Between(0, 0)),
        key("snapshot.query.mode", Text, "select_all", Low, "How tables are read.").check(Check::OneOf(&["select_all"])),
        unset("snapshot.mode.custom.name", Text, Low, "A Java snapshotter.").check(REFUSED),
        unset("snapshot.query.mode.custom.name", Text, Low, "A Java query maker.").check(REFUSED),
        unset("snapshot.locking.mode.custom.name", Text, Low, "A Java locker.").check(REFUSED),
        key("snapshot.mode.configuration.based.snapshot.data", Boolean, "false", Low, "Of the configuration based mode.").check(REFUSED_TRUE),
        key("snapshot.mode.configuration.based.snapshot.schema", Boolean, "false", Low, "Of the configuration based mode.").check(REFUSED_TRUE),
        key("snapshot.mode.configuration.based.start.stream", Boolean, "false", Low, "Of the configuration based mode.").check(REFUSED_TRUE),
        key("snapshot.mode.configuration.based.snapshot.on.schema.error", Boolean, "false", Low, "Of the configuration based mode.").check(REFUSED_TRUE),
        key("snapshot.mode.configuration.based.snapshot.on.data.error", Boolean, "false", Low, "Of the configuration based mode.").check(REFUSED_TRUE),
        unset("signal.data.collection", Text, Low, "The table that signals are written to.").no_op(NO_SIGNALS),
        key("signal.enabled.channels", List, "source", Low, "Where signals come from.").no_op(NO_SIGNALS),
        key("signal.poll.interval.ms", Long, "5000", Low, "How often to look for signals.").no_op(NO_SIGNALS),
        key("incremental.snapshot.chunk.size", Int, "1024", Low, "Rows of a chunk.").no_op(NO_SIGNALS),
        key("incremental.snapshot.watermarking.strategy", Text, "INSERT_INSERT", Low, "How watermarks are set.").no_op(NO_SIGNALS),
        key("incremental.snapshot.allow.schema.changes", Boolean, "false", Low, "Whether tables may change meanwhile.").no_op(NO_SIGNALS),
        key("read.only", Boolean, "false", Low, "Never writes to the database.").no_op("nothing is written but slot and publication"),
    ];
    keys.into_iter().map(|key| key.group("Snapshot")).collect()
}

fn running() -> Vec<ConfigKey> {
    let keys = [
        key("max.batch.size", Int, "2048", Medium, "Most records of a batch.")
            .check(Check::AtLeast(1)),
        key("max.queue.size", Int, "8192", Medium, "Most records waiting.").no_op(OWN_BUFFERS),
        key("max.queue.size.in.bytes", Long, "0", Low, "Most bytes waiting.").no_op(OWN_BUFFERS),
        key("poll.interval.ms", Long, "500", Medium, "How long to wait for records.")
            .no_op("records leave as soon as they are there"),
        key("poll.dispatch.interval.ms", Long, "0", Low, "How long to wait between batches.")
            .no_op("records leave as soon as they are there"),
        key("heartbeat.interval.ms", Int, "0", Medium, "How often to write a heartbeat.")
            .no_op(NO_HEARTBEAT),
        unset("heartbeat.action.query", Text, Low, "SQL to run with each heartbeat.")
            .no_op(NO_HEARTBEAT),
        key("errors.max.retries", Int, "-1", Low, "How often to try again.")
            .no_op("errors.restart.* of the worker decides"),
        key(
            "retriable.restart.connector.wait.ms",
            Long,
            "10000",
            Low,
            "How long to wait before trying again.",
        )
        .no_op("errors.restart.* of the worker decides"),
        unset("notification.enabled.channels", List, Low, "Where notifications go.").check(REFUSED),
        unset("notification.sink.topic.name", Text, Low, "Their topic.")
            .no_op("notifications are not written"),
        unset("custom.metric.tags", Text, Low, "Tags of JMX metrics.")
            .no_op("there are no JMX metrics"),
        unset("custom.sanitize.pattern", Text, Low, "Pattern of secret keys in logs.")
            .no_op("configs are not logged"),
        key("statistics.metrics.enabled", Boolean, "false", Low, "More JMX metrics.")
            .no_op("there are no JMX metrics"),
        unset("queue.provider.type", Text, Low, "A Java queue.").no_op(OWN_BUFFERS),
        key("executor.shutdown.timeout.ms", Long, "4000", Low, "How long a stop may take.")
            .no_op("the worker bounds the stop"),
        key("openlineage.integration.enabled", Boolean, "false", Low, "Reports lineage.")
            .check(REFUSED_TRUE),
    ];
    keys.into_iter().map(|key| key.group("Running")).collect()
}

fn check_slot_name(text: &str) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.is_empty() || text.len() > 63 || !text.chars().all(valid) {
        return Err("Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63".to_owned());
    }
    Ok(())
}

fn check_stream_params(text: &str) -> Result<(), String> {
    match text.split(';').map(str::trim).find(|part| {
        !part.is_empty() && part.split_once('=').is_none_or(|(key, _)| key.trim() != "origin")
    }) {
        Some(part) => Err(format!("'{part}' is not supported, only origin=none or origin=any")),
        None => Ok(()),
    }
}

fn check_skipped(text: &str) -> Result<(), String> {
    match text.split(',').map(str::trim).find(|op| !matches!(*op, "c" | "u" | "d" | "t" | "none")) {
        Some(op) => Err(format!("'{op}' is not one of c, u, d, t, none")),
        None => Ok(()),
    }
}
