//! The options of a group consumer.

use rdkafka::ClientConfig;

use crate::settings::{ClientSettings, Isolation};

/// What a consumer subscribes to.
#[derive(Debug, Clone)]
pub enum Subscription {
    /// Topics by name.
    Topics(Vec<String>),
    /// Every topic whose whole name matches; new topics are found within seconds.
    Pattern(String),
}

/// How the group's leader spreads partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Assignor {
    /// Ranges per topic; a rebalance revokes everything first.
    Range,
    /// One by one; a rebalance revokes everything first.
    RoundRobin,
    /// As few moves as possible, and only what moves is revoked.
    #[default]
    CooperativeSticky,
}

/// Where to start a partition without a committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OffsetReset {
    /// At the log start.
    #[default]
    Earliest,
    /// At the log end.
    Latest,
    /// Nowhere: the consumer reports an error.
    Error,
}

/// The options of a group consumer; see [`GroupConsumerSettings::new`] for defaults.
#[derive(Debug, Clone)]
pub struct GroupConsumerSettings {
    /// The group.
    pub group_id: String,
    /// A static member's id: it keeps its partitions over a restart within the session timeout.
    pub group_instance_id: Option<String>,
    /// What to read.
    pub subscription: Subscription,
    /// How partitions are spread.
    pub assignor: Assignor,
    /// Which transactional records are seen.
    pub isolation: Isolation,
    /// Where to start without a commit.
    pub offset_reset: OffsetReset,
    /// A member that is silent this long is out, in milliseconds.
    pub session_timeout_ms: u32,
    /// A member that does not poll this long is out, in milliseconds.
    pub max_poll_interval_ms: u32,
    /// Records read ahead per partition.
    pub prefetch_records_max: u32,
    /// Bytes read ahead in all, in KiB.
    pub prefetch_kib_max: u32,
    /// Records in one [`ConsumerEvent::Records`](crate::ConsumerEvent::Records).
    pub poll_records_max: usize,
    /// Bytes of keys and values after which one such event is full.
    pub poll_bytes_max: usize,
    /// More options by librdkafka's names; they win.
    pub overrides: Vec<(String, String)>,
}

impl GroupConsumerSettings {
    /// Kafka's defaults, with bounds that keep a consumer under some tens of megabytes.
    #[must_use]
    pub fn new(group_id: impl Into<String>, subscription: Subscription) -> Self {
        Self {
            group_id: group_id.into(),
            group_instance_id: None,
            subscription,
            assignor: Assignor::default(),
            isolation: Isolation::Committed,
            offset_reset: OffsetReset::Earliest,
            session_timeout_ms: 45_000,
            max_poll_interval_ms: 300_000,
            prefetch_records_max: 20_000,
            prefetch_kib_max: 16 * 1024,
            poll_records_max: 2_000,
            poll_bytes_max: 4 * 1024 * 1024,
            overrides: Vec::new(),
        }
    }

    pub(super) fn native(&self, client: &ClientSettings) -> ClientConfig {
        let assignor = match self.assignor {
            Assignor::Range => "range",
            Assignor::RoundRobin => "roundrobin",
            Assignor::CooperativeSticky => "cooperative-sticky",
        };
        let reset = match self.offset_reset {
            OffsetReset::Earliest => "earliest",
            OffsetReset::Latest => "latest",
            OffsetReset::Error => "error",
        };
        let session = self.session_timeout_ms.to_string();
        // The library insists that a poll interval is no shorter than the session.
        let interval = self.max_poll_interval_ms.max(self.session_timeout_ms).to_string();
        let (records, kib) = (
            self.prefetch_records_max.max(1).to_string(),
            self.prefetch_kib_max.max(1).to_string(),
        );
        let heartbeat = (self.session_timeout_ms / 3).clamp(1, 3_000).to_string();
        let mut own: Vec<(&str, &str)> = vec![
            ("group.id", &self.group_id),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("partition.assignment.strategy", assignor),
            ("isolation.level", self.isolation.name()),
            ("auto.offset.reset", reset),
            ("session.timeout.ms", &session),
            ("max.poll.interval.ms", &interval),
            ("heartbeat.interval.ms", &heartbeat),
            ("queued.min.messages", &records),
            ("queued.max.messages.kbytes", &kib),
            ("allow.auto.create.topics", "false"),
            // The defaults pause a partition for a second (half a second) whenever its read-ahead is full (a fetch failed).
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.error.backoff.ms", "100"),
        ];
        if let Some(instance) = &self.group_instance_id {
            own.push(("group.instance.id", instance));
        }
        client.config(&own, &self.overrides)
    }
}
