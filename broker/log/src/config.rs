//! What a topic's configuration means to its logs.

/// The settings of one log. Names and defaults are Kafka's topic configs.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it grows past this, bytes.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is rolled when its first record is older than this, milliseconds.
    pub segment_ms: i64,
    /// `segment.index.bytes`: a segment is rolled when an index would grow past this, bytes.
    pub segment_index_bytes: u64,
    /// `index.interval.bytes`: one index entry per so many bytes of records.
    pub index_interval_bytes: u64,
    /// `retention.ms`: closed segments whose newest record is older are deleted; -1 keeps for ever.
    pub retention_ms: i64,
    /// `retention.bytes`: the oldest segments go while the log is larger; -1 is no limit.
    pub retention_bytes: i64,
    /// Whether `cleanup.policy` names `delete`. Without it retention never cuts the log.
    pub cleanup_delete: bool,
    /// Whether `cleanup.policy` names `compact`.
    pub cleanup_compact: bool,
    /// `min.cleanable.dirty.ratio`: a log is compacted when more of it than this is not; 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: how long a record stays as it was written, milliseconds.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a log with an older record that was never compacted is due, milliseconds.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone outlives its first compaction, milliseconds.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`: how long a file stays as `.deleted` before it is removed, milliseconds.
    pub file_delete_delay_ms: i64,
    /// `producer.id.expiration.ms`: an idle producer's sequence is forgotten after this, milliseconds.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * 24 * 3_600_000,
            retention_bytes: -1,
            cleanup_delete: true,
            cleanup_compact: false,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 3_600_000,
            file_delete_delay_ms: 60_000,
            producer_id_expiration_ms: 24 * 3_600_000,
        }
    }
}
