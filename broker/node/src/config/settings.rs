//! The configuration in effect: typed values of the broker's keys, and of one topic's over them.

use std::collections::BTreeMap;

use super::table::items;
use super::{ConfigKey, Scope, key};
use crate::partition::FlushMode;

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
    set: BTreeMap<String, String>,
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
    pub(crate) log_flush_mode: FlushMode,
    pub(crate) log_retention_check_interval_ms: i64,
    pub(crate) max_connections: i32,
    pub(crate) max_connections_per_ip: i32,
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
        let read = Reader { set: &set };
        let is_set = |name: &str| set.contains_key(name);
        let node_id_key =
            if is_set("broker.id") && !is_set("node.id") { "broker.id" } else { "node.id" };
        Ok(Self {
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
            log_flush_mode: match read.text("log.flush.mode") {
                "os" => FlushMode::Os,
                _ => FlushMode::Commit,
            },
            log_retention_check_interval_ms: read.long("log.retention.check.interval.ms"),
            max_connections: read.int("max.connections"),
            max_connections_per_ip: read.int("max.connections.per.ip"),
            node_id: read.int(node_id_key),
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
            set,
        })
    }

    /// The value that was set for a broker key, if one was.
    pub(crate) fn set_value(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    /// The value of a topic key where the topic itself sets none: the broker's key of the same meaning, or the table's default.
    pub(crate) fn topic_default(&self, topic_key: &ConfigKey) -> Option<String> {
        for synonym in topic_key.synonyms {
            let Some(value) = self.set_value(synonym.broker_key) else { continue };
            return Some(convert(value, synonym.factor));
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
}

impl Reader<'_> {
    fn text(&self, name: &str) -> &str {
        match self.set.get(name) {
            Some(value) => value,
            None => key(Scope::Broker, name).and_then(|key| key.default).unwrap_or_default(),
        }
    }

    fn int(&self, name: &str) -> i32 {
        self.text(name).parse().unwrap_or_default()
    }

    fn long(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn boolean(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }
}

/// The keys of one topic that the node acts on, in effect: the topic's own value, the broker's, or the default.
///
/// A field is the key with `.` as `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) struct TopicSettings {
    pub(crate) cleanup_compact: bool,
    pub(crate) cleanup_delete: bool,
    pub(crate) file_delete_delay_ms: i64,
    pub(crate) index_interval_bytes: i32,
    pub(crate) max_message_bytes: i32,
    pub(crate) message_timestamp_after_max_ms: i64,
    pub(crate) message_timestamp_before_max_ms: i64,
    pub(crate) message_timestamp_type: TimestampType,
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
            file_delete_delay_ms: long("file.delete.delay.ms"),
            index_interval_bytes: int("index.interval.bytes"),
            max_message_bytes: int("max.message.bytes"),
            message_timestamp_after_max_ms: long("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: long("message.timestamp.before.max.ms"),
            message_timestamp_type: match text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
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
