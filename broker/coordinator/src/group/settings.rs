//! What a broker's configuration says about groups.

use std::sync::Arc;

use super::consumer::migration::MigrationPolicy;
use crate::assignor::ASSIGNORS;

/// What a broker's configuration says about groups.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: i32,
    /// `group.max.size`, in members.
    pub group_size_max: usize,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i64,
    /// How long the first JoinGroup of a member may wait, in milliseconds. Not configurable in Kafka either.
    pub new_member_join_timeout_ms: i64,
    /// `offset.metadata.max.bytes`; Kafka counts characters.
    pub offset_metadata_chars_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// Of consumer groups alone.
    pub consumer: ConsumerSettings,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            group_size_max: usize::try_from(i32::MAX).unwrap_or(usize::MAX),
            // Kafka waits 3 s, which every first consumer of a small installation would feel.
            initial_rebalance_delay_ms: 0,
            new_member_join_timeout_ms: 300_000,
            offset_metadata_chars_max: 4_096,
            offsets_retention_ms: 7 * 24 * 3_600_000,
            offsets_retention_check_interval_ms: 600_000,
            consumer: ConsumerSettings::default(),
        }
    }
}

/// What a broker's configuration says about consumer groups (KIP-848).
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerSettings {
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: i32,
    /// `group.consumer.max.size`, in members.
    pub size_max: usize,
    /// `group.consumer.assignment.interval.ms`.
    pub assignment_interval_ms: i64,
    /// `group.consumer.assignors`; the first is what a group gets whose members ask for none.
    pub assignors: Vec<Arc<str>>,
    /// `group.consumer.migration.policy`.
    pub migration: MigrationPolicy,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            size_max: usize::try_from(i32::MAX).unwrap_or(usize::MAX),
            assignment_interval_ms: 1_000,
            assignors: ASSIGNORS.iter().map(|(name, _)| Arc::from(*name)).collect(),
            migration: MigrationPolicy::Bidirectional,
        }
    }
}
