//! TABLE of group keys: what one group sets over the broker's keys of the same meaning.

use super::table::{Bounds, ConfigKey, Effect, KeyType, config_table};

const NO_SHARE: &str = "share groups are not part of this version";
const NO_STREAMS: &str = "streams groups are not part of this version";

/// A number of a group must lie between these keys of the broker.
pub(super) struct Range {
    /// The group's key.
    pub(super) name: &'static str,
    /// The broker's key that it may not be below.
    pub(super) least: Option<&'static str>,
    /// The broker's key that it may not be above.
    pub(super) most: &'static str,
}

/// What bounds the numbers of a group.
pub(super) const RANGES: &[Range] = &[
    Range {
        name: "consumer.heartbeat.interval.ms",
        least: Some("group.consumer.min.heartbeat.interval.ms"),
        most: "group.consumer.max.heartbeat.interval.ms",
    },
    Range {
        name: "consumer.session.timeout.ms",
        least: Some("group.consumer.min.session.timeout.ms"),
        most: "group.consumer.max.session.timeout.ms",
    },
    Range {
        name: "consumer.assignment.interval.ms",
        least: Some("group.consumer.min.assignment.interval.ms"),
        most: "group.consumer.max.assignment.interval.ms",
    },
    Range {
        name: "share.heartbeat.interval.ms",
        least: Some("group.share.min.heartbeat.interval.ms"),
        most: "group.share.max.heartbeat.interval.ms",
    },
    Range {
        name: "share.session.timeout.ms",
        least: Some("group.share.min.session.timeout.ms"),
        most: "group.share.max.session.timeout.ms",
    },
    Range {
        name: "share.assignment.interval.ms",
        least: Some("group.share.min.assignment.interval.ms"),
        most: "group.share.max.assignment.interval.ms",
    },
    Range {
        name: "share.record.lock.duration.ms",
        least: Some("group.share.min.record.lock.duration.ms"),
        most: "group.share.max.record.lock.duration.ms",
    },
    Range {
        name: "share.delivery.count.limit",
        least: Some("group.share.min.delivery.count.limit"),
        most: "group.share.max.delivery.count.limit",
    },
    Range {
        name: "share.partition.max.record.locks",
        least: Some("group.share.min.partition.max.record.locks"),
        most: "group.share.max.partition.max.record.locks",
    },
    Range {
        name: "streams.heartbeat.interval.ms",
        least: Some("group.streams.min.heartbeat.interval.ms"),
        most: "group.streams.max.heartbeat.interval.ms",
    },
    Range {
        name: "streams.session.timeout.ms",
        least: Some("group.streams.min.session.timeout.ms"),
        most: "group.streams.max.session.timeout.ms",
    },
    Range {
        name: "streams.assignment.interval.ms",
        least: Some("group.streams.min.assignment.interval.ms"),
        most: "group.streams.max.assignment.interval.ms",
    },
    Range {
        name: "streams.num.standby.replicas",
        least: None,
        most: "group.streams.max.standby.replicas",
    },
];

config_table! {
    "consumer.assignment.interval.ms" Int "1000" (0..) honoured ["group.consumer.assignment.interval.ms"] "The least time between two assignments of a consumer group, in milliseconds.";
    "consumer.heartbeat.interval.ms" Int "5000" (1..) honoured ["group.consumer.heartbeat.interval.ms"] "How often the members of a consumer group send heartbeats, in milliseconds.";
    "consumer.session.timeout.ms" Int "45000" (1..) honoured ["group.consumer.session.timeout.ms"] "How long a member of a consumer group may be silent, in milliseconds.";
    "share.assignment.interval.ms" Int "1000" (0..) NO_SHARE ["group.share.assignment.interval.ms"] "The least time between two assignments of a share group, in milliseconds.";
    "share.auto.offset.reset" String "latest" offset_reset NO_SHARE [] "Where a share group begins.";
    "share.delivery.count.limit" Int "5" (2..) NO_SHARE ["group.share.delivery.count.limit"] "How often a record is delivered to a share group.";
    "share.heartbeat.interval.ms" Int "5000" (1..) NO_SHARE ["group.share.heartbeat.interval.ms"] "How often the members of a share group send heartbeats, in milliseconds.";
    "share.isolation.level" String "read_uncommitted" ("read_committed", "read_uncommitted") NO_SHARE [] "What of transactions a share group sees.";
    "share.partition.max.record.locks" Int "2000" (100..) NO_SHARE ["group.share.partition.max.record.locks"] "The most records of a partition that a share group holds.";
    "share.record.lock.duration.ms" Int "30000" (1000..) NO_SHARE ["group.share.record.lock.duration.ms"] "How long a share group holds a record, in milliseconds.";
    "share.renew.acknowledge.enable" Boolean "true" any NO_SHARE [] "Whether a member of a share group may hold a record longer.";
    "share.session.timeout.ms" Int "45000" (1..) NO_SHARE ["group.share.session.timeout.ms"] "How long a member of a share group may be silent, in milliseconds.";
    "streams.assignment.interval.ms" Int "1000" (0..) NO_STREAMS ["group.streams.assignment.interval.ms"] "The least time between two assignments of a streams group, in milliseconds.";
    "streams.heartbeat.interval.ms" Int "5000" (1..) NO_STREAMS ["group.streams.heartbeat.interval.ms"] "How often the members of a streams group send heartbeats, in milliseconds.";
    "streams.initial.rebalance.delay.ms" Int "3000" (0..) NO_STREAMS ["group.streams.initial.rebalance.delay.ms"] "How long a new streams group waits for members, in milliseconds.";
    "streams.num.standby.replicas" Int "0" (0..) NO_STREAMS ["group.streams.num.standby.replicas"] "How many standby tasks a streams group has.";
    "streams.session.timeout.ms" Int "45000" (1..) NO_STREAMS ["group.streams.session.timeout.ms"] "How long a member of a streams group may be silent, in milliseconds.";
}
