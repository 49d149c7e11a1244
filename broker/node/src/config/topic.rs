//! TABLE of topic keys.

use super::table::{Bounds, ConfigKey, Effect, KeyType, config_table};

const ONE_LEVEL: &str = "lz4 has one level here";
const ONE_REPLICA: &str = "there is one replica of each partition, on this node";
const GROUP_COMMIT: &str = "log.flush.mode decides when appends are synced";
const NO_TIER: &str = "there is no remote tier";
const NOT_PREALLOCATED: &str = "segments and indexes grow as they are written";

config_table! {
    "cleanup.policy" List "delete" ("compact", "delete") honoured ["log.cleanup.policy"] "What happens to old segments: delete drops them by age and size, compact keeps them. A topic that is compacted is never cut by retention unless delete is named too.";
    "compression.gzip.level" Int "-1" gzip_level honoured ["compression.gzip.level"] "Level for recompression with gzip.";
    "compression.lz4.level" Int "9" (1 to 17) ONE_LEVEL ["compression.lz4.level"] "Level for recompression with lz4.";
    "compression.type" String "producer" ("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer") honoured ["compression.type"] "The codec batches are stored in; producer keeps what the producer chose.";
    "compression.zstd.level" Int "3" (-131072 to 22) honoured ["compression.zstd.level"] "Level for recompression with zstd.";
    "delete.retention.ms" Long "86400000" (0..) honoured ["log.cleaner.delete.retention.ms"] "How long tombstones, and the markers of transactions, stay in a compacted topic after what they end is gone, in milliseconds.";
    "file.delete.delay.ms" Long "60000" (0..) honoured ["log.segment.delete.delay.ms"] "How long a segment's file outlives its removal from the log, in milliseconds.";
    "flush.messages" Long "9223372036854775807" (1..) GROUP_COMMIT ["log.flush.interval.messages"] "Records between two syncs.";
    "flush.ms" Long "9223372036854775807" (0..) GROUP_COMMIT ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"] "Milliseconds between two syncs.";
    "follower.replication.throttled.replicas" List "" throttled_replicas ONE_REPLICA [] "Replicas whose following is throttled.";
    "index.interval.bytes" Int "4096" (0..) honoured ["log.index.interval.bytes"] "Bytes of records between two entries of the offset index.";
    "leader.replication.throttled.replicas" List "" throttled_replicas ONE_REPLICA [] "Replicas whose serving of followers is throttled.";
    "local.retention.bytes" Long "-2" (-2..) NO_TIER ["log.local.retention.bytes"] "Bytes kept on the local disk beside a remote tier.";
    "local.retention.ms" Long "-2" (-2..) NO_TIER ["log.local.retention.ms"] "Milliseconds segments stay on the local disk beside a remote tier.";
    "max.compaction.lag.ms" Long "9223372036854775807" (1..) honoured ["log.cleaner.max.compaction.lag.ms"] "The longest a record may stay uncompacted, in milliseconds; the active segment is closed after it.";
    "max.message.bytes" Int "1048588" (0..) honoured ["message.max.bytes"] "The largest record batch that is accepted, in bytes as sent.";
    "message.timestamp.after.max.ms" Long "3600000" (0..) honoured ["log.message.timestamp.after.max.ms"] "How far a record's timestamp may lie ahead of the broker's clock, in milliseconds.";
    "message.timestamp.before.max.ms" Long "9223372036854775807" (0..) honoured ["log.message.timestamp.before.max.ms"] "How far a record's timestamp may lie behind the broker's clock, in milliseconds.";
    "message.timestamp.type" String "CreateTime" ("CreateTime", "LogAppendTime") honoured ["log.message.timestamp.type"] "Whether a record keeps its producer's timestamp or gets the time of its append.";
    "min.cleanable.dirty.ratio" Double "0.5" (0 to 1) honoured ["log.cleaner.min.cleanable.ratio"] "The share of uncompacted bytes from which a log is compacted.";
    "min.compaction.lag.ms" Long "0" (0..) honoured ["log.cleaner.min.compaction.lag.ms"] "The shortest time a record stays uncompacted, in milliseconds.";
    "min.insync.replicas" Int "1" (1..) ONE_REPLICA ["min.insync.replicas"] "In-sync replicas an acks=all append needs.";
    "preallocate" Boolean "false" any NOT_PREALLOCATED ["log.preallocate"] "Whether a new segment's file is preallocated.";
    "remote.log.copy.disable" Boolean "false" any NO_TIER [] "Whether copying to the remote tier stops.";
    "remote.log.delete.on.disable" Boolean "false" any NO_TIER [] "Whether remote segments go when the remote tier is switched off.";
    "remote.storage.enable" Boolean "false" any NO_TIER [] "Whether the topic has a remote tier.";
    "retention.bytes" Long "-1" any honoured ["log.retention.bytes"] "Bytes kept per partition before old segments are deleted; -1 for no bound.";
    "retention.ms" Long "604800000" (-1..) honoured ["log.retention.ms", "log.retention.minutes" * 60000, "log.retention.hours" * 3600000] "Milliseconds a record is kept before its segment is deleted; -1 for no bound.";
    "segment.bytes" Int "1073741824" (1048576..) honoured ["log.segment.bytes"] "The size at which a new segment is begun.";
    "segment.index.bytes" Int "10485760" (4..) honoured ["log.index.size.max.bytes"] "The size of an offset index at which a new segment is begun.";
    "segment.jitter.ms" Long "0" (0..) NO_JITTER ["log.roll.jitter.ms", "log.roll.jitter.hours" * 3600000] "The most that is subtracted at random from segment.ms.";
    "segment.ms" Long "604800000" (1..) honoured ["log.roll.ms", "log.roll.hours" * 3600000] "Milliseconds after which a new segment is begun even if the current one is not full.";
    "unclean.leader.election.enable" Boolean "false" any ONE_REPLICA ["unclean.leader.election.enable"] "Whether a replica that lags behind may lead.";
}

const NO_JITTER: &str = "segments of one node are rolled by one writer; there is no herd to spread";
