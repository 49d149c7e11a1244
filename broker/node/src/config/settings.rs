//! The configuration in effect: typed values of the broker's keys, and of one topic's over them.

use std::collections::BTreeMap;
use std::time::Duration;

use aquifer_broker_coordinator::topic::image::Configs;
use aquifer_broker_log::CleanerLimits;
use aquifer_broker_protocol::batch::Compression;

use super::table::items;
use super::{ConfigKey, ConfigSource, Scope, key};
use crate::partition::{CleanerSettings, FlushMode, Validation};

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No table has the key.
    #[error("Unknown topic config name: {name}")]
    Unknown {
        /// The key as it was given.
        name: String,
    },
    /// No table has the broker key.
    #[error("unknown broker config name: {name}")]
    UnknownBroker {
        /// The key as it was given.
        name: String,
    },
    /// No table has the key of a group.
    #[error("Unknown group config name: {name}")]
    UnknownGroup {
        /// The key as it was given.
        name: String,
    },
    /// A list has an item that is empty.
    #[error("Configuration '{name}' values must not be empty.")]
    EmptyItem {
        /// The key.
        name: String,
    },
    /// Two keys, or a key and what this broker does, do not go together.
    #[error("{0}")]
    Conflict(String),
    /// The value is not of the key's type, or out of its bounds.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Invalid {
        /// The key.
        name: String,
        /// The value as it was given.
        value: String,
        /// What was expected.
        reason: String,
    },
}

/// The number of a node that was given none.
const NODE_ID: i32 = 1;

/// Whose time a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimestampType {
    /// Its producer's.
    CreateTime,
    /// The broker's, at the append.
    LogAppendTime,
}

/// The broker's keys that the node acts on, and every key that was set.
///
/// A field is the key with `.` as `_`.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub(crate) struct BrokerSettings {
    /// What was given at the start.
    set: BTreeMap<String, String>,
    /// What was set at run time for all brokers.
    cluster: Configs,
    /// What was set at run time for this broker.
    own: Configs,
    pub(crate) auto_create_topics_enable: bool,
    pub(crate) broker_rack: Option<String>,
    pub(crate) connections_max_idle_ms: i64,
    pub(crate) default_replication_factor: i32,
    pub(crate) delete_topic_enable: bool,
    pub(crate) dev_lenient_replication: bool,
    pub(crate) fetch_max_bytes: i32,
    pub(crate) group_initial_rebalance_delay_ms: i32,
    pub(crate) group_max_session_timeout_ms: i32,
    pub(crate) group_max_size: i32,
    pub(crate) group_min_session_timeout_ms: i32,
    pub(crate) log_cleaner: CleanerSettings,
    pub(crate) log_flush_mode: FlushMode,
    pub(crate) log_retention_check_interval_ms: i64,
    pub(crate) log_validation: Validation,
    pub(crate) max_connections: i32,
    pub(crate) max_connections_per_ip: i32,
    pub(crate) max_incremental_fetch_session_cache_slots: i32,
    pub(crate) max_request_partition_size_limit: i32,
    pub(crate) node_id: i32,
    pub(crate) num_partitions: i32,
    pub(crate) offset_metadata_max_bytes: i32,
    pub(crate) offsets_retention_check_interval_ms: i64,
    pub(crate) offsets_retention_minutes: i32,
    pub(crate) offsets_topic_num_partitions: i32,
    pub(crate) producer_id_expiration_ms: i32,
    pub(crate) queued_max_request_bytes: i64,
    pub(crate) socket_listen_backlog_size: i32,
    pub(crate) socket_receive_buffer_bytes: Option<i32>,
    pub(crate) socket_send_buffer_bytes: Option<i32>,
    pub(crate) socket_request_max_bytes: i32,
    pub(crate) transaction_max_timeout_ms: i32,
    pub(crate) transaction_state_log_num_partitions: i32,
    pub(crate) transactional_id_expiration_ms: i32,
}

impl BrokerSettings {
    /// Checks every key against the table. A later value of a key replaces an earlier one.
    pub(crate) fn new(pairs: &[(String, String)]) -> Result<Self, ConfigError> {
        let mut set = BTreeMap::new();
        for (name, value) in pairs {
            key(Scope::Broker, name)
                .ok_or_else(|| ConfigError::UnknownBroker { name: name.clone() })?
                .validate(value)?;
            set.insert(name.clone(), value.trim().to_owned());
        }
        Ok(Self::read(set, Configs::new(), Configs::new()))
    }

    /// Notes what a flag gave, so that it is described as it is.
    pub(crate) fn note_given(&mut self, name: &str, value: String) {
        self.set.insert(name.to_owned(), value);
    }

    /// The same start, with what was set at run time for this broker and for all.
    pub(crate) fn at_run_time(&self, own: Option<&Configs>, cluster: Option<&Configs>) -> Self {
        let configs = |configs: Option<&Configs>| configs.cloned().unwrap_or_default();
        Self::read(self.set.clone(), configs(cluster), configs(own))
    }

    fn read(set: BTreeMap<String, String>, cluster: Configs, own: Configs) -> Self {
        let read = Reader { set: &set, cluster: &cluster, own: &own };
        let is_set = |name: &str| set.contains_key(name);
        let node_id_key =
            if is_set("broker.id") && !is_set("node.id") { "broker.id" } else { "node.id" };
        Self {
            auto_create_topics_enable: read.boolean("auto.create.topics.enable"),
            broker_rack: set.get("broker.rack").cloned(),
            connections_max_idle_ms: read.long("connections.max.idle.ms"),
            default_replication_factor: read.int("default.replication.factor"),
            delete_topic_enable: read.boolean("delete.topic.enable"),
            dev_lenient_replication: read.boolean("dev.lenient.replication"),
            fetch_max_bytes: read.int("fetch.max.bytes"),
            group_initial_rebalance_delay_ms: read.int("group.initial.rebalance.delay.ms"),
            group_max_session_timeout_ms: read.int("group.max.session.timeout.ms"),
            group_max_size: read.int("group.max.size"),
            group_min_session_timeout_ms: read.int("group.min.session.timeout.ms"),
            log_cleaner: CleanerSettings {
                enabled: read.boolean("log.cleaner.enable"),
                backoff: Duration::from_millis(
                    u64::try_from(read.long("log.cleaner.backoff.ms")).unwrap_or(0),
                ),
                limits: CleanerLimits {
                    dedupe_buffer_bytes: usize::try_from(
                        read.long("log.cleaner.dedupe.buffer.size"),
                    )
                    .unwrap_or(0),
                    load_factor: read.double("log.cleaner.io.buffer.load.factor"),
                },
                bytes_per_second: read.double("log.cleaner.io.max.bytes.per.second"),
            },
            log_flush_mode: match read.text("log.flush.mode") {
                "os" => FlushMode::Os,
                _ => FlushMode::Commit,
            },
            log_retention_check_interval_ms: read.long("log.retention.check.interval.ms"),
            log_validation: match read.text("log.validation") {
                "strict" => Validation::Strict,
                _ => Validation::Headers,
            },
            max_connections: read.int("max.connections"),
            max_connections_per_ip: read.int("max.connections.per.ip"),
            max_incremental_fetch_session_cache_slots: read
                .int("max.incremental.fetch.session.cache.slots"),
            max_request_partition_size_limit: read.int("max.request.partition.size.limit"),
            node_id: if is_set(node_id_key) { read.int(node_id_key) } else { NODE_ID },
            num_partitions: read.int("num.partitions"),
            offset_metadata_max_bytes: read.int("offset.metadata.max.bytes"),
            offsets_retention_check_interval_ms: read.long("offsets.retention.check.interval.ms"),
            offsets_retention_minutes: read.int("offsets.retention.minutes"),
            offsets_topic_num_partitions: read.int("offsets.topic.num.partitions"),
            producer_id_expiration_ms: read.int("producer.id.expiration.ms"),
            queued_max_request_bytes: read.long("queued.max.request.bytes"),
            socket_listen_backlog_size: read.int("socket.listen.backlog.size"),
            socket_receive_buffer_bytes: is_set("socket.receive.buffer.bytes")
                .then(|| read.int("socket.receive.buffer.bytes")),
            socket_send_buffer_bytes: is_set("socket.send.buffer.bytes")
                .then(|| read.int("socket.send.buffer.bytes")),
            socket_request_max_bytes: read.int("socket.request.max.bytes"),
            transaction_max_timeout_ms: read.int("transaction.max.timeout.ms"),
            transaction_state_log_num_partitions: read.int("transaction.state.log.num.partitions"),
            transactional_id_expiration_ms: read.int("transactional.id.expiration.ms"),
            set,
            cluster,
            own,
        }
    }

    /// Where a broker key has values: the strongest first, the default last.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = (ConfigSource, &str)> {
        let layers = [
            (ConfigSource::Broker, self.own.get(name).map(|value| &**value)),
            (ConfigSource::Cluster, self.cluster.get(name).map(|value| &**value)),
            (ConfigSource::Static, self.set.get(name).map(String::as_str)),
            (ConfigSource::Default, key(Scope::Broker, name).and_then(|key| key.default)),
        ];
        layers.into_iter().filter_map(|(source, value)| Some((source, value?)))
    }

    /// The value of a broker key that somebody set, or its default.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next().map(|(_, value)| value)
    }

    /// What was set at run time for this broker.
    pub(crate) fn own(&self) -> &Configs {
        &self.own
    }

    /// What was set at run time for all brokers.
    pub(crate) fn cluster(&self) -> &Configs {
        &self.cluster
    }

    /// The value that was given for a broker key at the start, if one was.
    pub(crate) fn set_value(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    /// The value of a topic key where the topic itself sets none: the broker's key of the same meaning, or the table's default.
    pub(crate) fn topic_default(&self, topic_key: &ConfigKey) -> Option<String> {
        for synonym in topic_key.synonyms {
            let mut values = self.values(synonym.broker_key);
            let Some((_, value)) = values.find(|(source, _)| *source != ConfigSource::Default)
            else {
                continue;
            };
            return Some(convert(value.trim(), synonym.factor));
        }
        topic_key.default.map(str::to_owned)
    }
}

/// A broker's value in the unit of the topic's key; a negative number means "none" in every unit.
pub(crate) fn convert(value: &str, factor: i64) -> String {
    match value.parse::<i64>() {
        Ok(number) if factor != 1 && number > 0 => number.saturating_mul(factor).to_string(),
        _ => value.to_owned(),
    }
}

/// Reads values that the table has already checked.
struct Reader<'a> {
    set: &'a BTreeMap<String, String>,
    cluster: &'a Configs,
    own: &'a Configs,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> &str {
        let at_run_time = self.own.get(name).or_else(|| self.cluster.get(name));
        match (at_run_time, self.set.get(name)) {
            (Some(value), _) => value.trim(),
            (None, Some(value)) => value,
            (None, None) => {
                key(Scope::Broker, name).and_then(|key| key.default).unwrap_or_default()
            }
        }
    }

    fn int(&self, name: &str) -> i32 {
        self.text(name).parse().unwrap_or_default()
    }

    fn long(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn double(&self, name: &str) -> f64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn boolean(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }
}

/// The keys of one topic that the node acts on, in effect: the topic's own value, the broker's, or the default.
///
/// A field is the key with `.` as `_`.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub(crate) struct TopicSettings {
    pub(crate) cleanup_compact: bool,
    pub(crate) cleanup_delete: bool,
    /// The codec that batches are stored in, and its level; `None` keeps the producer's.
    pub(crate) compression: Option<(Compression, Option<i32>)>,
    pub(crate) delete_retention_ms: i64,
    pub(crate) file_delete_delay_ms: i64,
    pub(crate) index_interval_bytes: i32,
    pub(crate) max_compaction_lag_ms: i64,
    pub(crate) max_message_bytes: i32,
    pub(crate) message_timestamp_after_max_ms: i64,
    pub(crate) message_timestamp_before_max_ms: i64,
    pub(crate) message_timestamp_type: TimestampType,
    pub(crate) min_cleanable_dirty_ratio: f64,
    pub(crate) min_compaction_lag_ms: i64,
    pub(crate) retention_bytes: i64,
    pub(crate) retention_ms: i64,
    pub(crate) segment_bytes: i32,
    pub(crate) segment_index_bytes: i32,
    pub(crate) segment_ms: i64,
}

impl TopicSettings {
    /// The settings of a topic whose own values `own` looks up.
    pub(crate) fn new<'a>(broker: &BrokerSettings, own: impl Fn(&str) -> Option<&'a str>) -> Self {
        let text = |name: &str| -> String {
            match own(name) {
                Some(value) => value.trim().to_owned(),
                None => key(Scope::Topic, name)
                    .and_then(|key| broker.topic_default(key))
                    .unwrap_or_default(),
            }
        };
        let int = |name: &str| text(name).parse::<i32>().unwrap_or_default();
        let long = |name: &str| text(name).parse::<i64>().unwrap_or_default();
        let policy = text("cleanup.policy");
        Self {
            cleanup_compact: items(&policy).any(|item| item == "compact"),
            cleanup_delete: items(&policy).any(|item| item == "delete"),
            compression: match text("compression.type").as_str() {
                "gzip" => Some((Compression::Gzip, Some(int("compression.gzip.level")))),
                "snappy" => Some((Compression::Snappy, None)),
                "lz4" => Some((Compression::Lz4, None)),
                "zstd" => Some((Compression::Zstd, Some(int("compression.zstd.level")))),
                "uncompressed" => Some((Compression::None, None)),
                _ => None,
            },
            delete_retention_ms: long("delete.retention.ms"),
            file_delete_delay_ms: long("file.delete.delay.ms"),
            index_interval_bytes: int("index.interval.bytes"),
            max_compaction_lag_ms: long("max.compaction.lag.ms"),
            max_message_bytes: int("max.message.bytes"),
            message_timestamp_after_max_ms: long("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: long("message.timestamp.before.max.ms"),
            message_timestamp_type: match text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio")
                .parse()
                .unwrap_or_default(),
            min_compaction_lag_ms: long("min.compaction.lag.ms"),
            retention_bytes: long("retention.bytes"),
            retention_ms: long("retention.ms"),
            segment_bytes: int("segment.bytes"),
            segment_index_bytes: int("segment.index.bytes"),
            segment_ms: long("segment.ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> BrokerSettings {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        BrokerSettings::new(&pairs).unwrap()
    }

    #[test]
    fn topic_value_beats_broker_value_beats_default() {
        let retention = |pairs: &[(&str, &str)], own: Option<&'static str>| {
            TopicSettings::new(&settings(pairs), |name| own.filter(|_| name == "retention.ms"))
                .retention_ms
        };
        assert_eq!(retention(&[], None), 604_800_000);
        assert_eq!(retention(&[("log.retention.hours", "2")], None), 7_200_000);
        assert_eq!(
            retention(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")], None),
            180_000
        );
        assert_eq!(retention(&[("log.retention.hours", "-1")], None), -1);
        assert_eq!(retention(&[("log.retention.ms", "5")], Some("7")), 7);
    }

    #[test]
    fn every_typed_field_has_its_default() {
        let broker = settings(&[]);
        assert_eq!(broker.node_id, 1);
        assert_eq!(broker.socket_request_max_bytes, 104_857_600);
        assert_eq!(broker.log_flush_mode, FlushMode::Commit);
        assert!(broker.auto_create_topics_enable);
        let topic = TopicSettings::new(&broker, |_| None);
        assert_eq!(topic.max_message_bytes, 1_048_588);
        assert!(topic.cleanup_delete && !topic.cleanup_compact);
    }

    #[test]
    fn wrong_broker_values_are_refused() {
        let check = |name: &str, value: &str, expected: &str| {
            let error = BrokerSettings::new(&[(name.to_owned(), value.to_owned())]).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check("num.partition", "1", "unknown broker config name: num.partition");
        check(
            "num.partitions",
            "0",
            "Invalid value 0 for configuration num.partitions: Value must be at least 1",
        );
        check(
            "log.flush.mode",
            "never",
            "Invalid value never for configuration log.flush.mode: String must be one of: commit, os",
        );
    }
}
