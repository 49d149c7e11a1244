//! TABLE of the broker keys that a request may change while the node runs, and what such a change must satisfy.
//!
//! - A change is stored in the metadata log, for this broker or for all of them, and counts over what was given at the start.
//! - A key that is a no-op at the start is one here. Listeners, their security and Java classes cannot be changed.
//!
//! References: KIP-226.

use super::settings::{BrokerSettings, ConfigError};
use super::{Scope, key};

/// Keys that a request may change.
const CHANGEABLE: &[&str] = &[
    "background.threads",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "follower.fetch.last.tiered.offset.enable",
    "group.consumer.assignment.interval.ms",
    "group.coordinator.cached.buffer.max.bytes",
    "group.share.assignment.interval.ms",
    "group.streams.assignment.interval.ms",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleaner.threads",
    "log.cleanup.policy",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.index.interval.bytes",
    "log.index.size.max.bytes",
    "log.local.retention.bytes",
    "log.local.retention.ms",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.type",
    "log.preallocate",
    "log.retention.bytes",
    "log.retention.ms",
    "log.roll.jitter.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "log.segment.delete.delay.ms",
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "message.max.bytes",
    "min.insync.replicas",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "producer.id.expiration.ms",
    "remote.fetch.max.wait.ms",
    "remote.list.offsets.request.timeout.ms",
    "remote.log.index.file.cache.total.size.bytes",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.copy.max.bytes.per.second",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.fetch.max.bytes.per.second",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
    "share.coordinator.cached.buffer.max.bytes",
    "transaction.partition.verification.enable",
    "unclean.leader.election.enable",
];

/// Keys that Kafka changes for one listener alone.
const PER_LISTENER: &[&str] = &[
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Keys that Kafka changes for one broker alone.
const PER_BROKER: &[&str] = &[
    "cordoned.log.dirs",
    "listener.security.protocol.map",
    "listeners",
    "sasl.enabled.mechanisms",
    "sasl.jaas.config",
    "sasl.kerberos.kinit.cmd",
    "sasl.kerberos.min.time.before.relogin",
    "sasl.kerberos.principal.to.local.rules",
    "sasl.kerberos.service.name",
    "sasl.kerberos.ticket.renew.jitter",
    "sasl.kerberos.ticket.renew.window.factor",
    "sasl.login.refresh.buffer.seconds",
    "sasl.login.refresh.min.period.seconds",
    "sasl.login.refresh.window.factor",
    "sasl.login.refresh.window.jitter",
    "sasl.mechanism.inter.broker.protocol",
    "ssl.cipher.suites",
    "ssl.enabled.protocols",
    "ssl.endpoint.identification.algorithm",
    "ssl.keymanager.algorithm",
    "ssl.protocol",
    "ssl.provider",
    "ssl.secure.random.implementation",
    "ssl.trustmanager.algorithm",
];

/// Numbers of threads: Kafka doubles or halves them at most.
const THREADS: &[&str] = &[
    "background.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
];

/// Limits on replication that exist only while they are set; there is nothing here that they could limit.
const THROTTLES: &[&str] = &[
    "follower.replication.throttled.rate",
    "leader.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
];

/// For whom a key is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// For this broker.
    Broker,
    /// For all brokers.
    Cluster,
}

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DynamicRefusal {
    /// These keys are read at the start.
    #[error("Cannot update these configs dynamically: [{}]", .0.join(", "))]
    ReadOnly(Vec<String>),
    /// These keys can only be changed for a listener.
    #[error("These security configs can be dynamically updated only per-listener using the listener prefix: [{}]", .0.join(", "))]
    PerListener(Vec<String>),
    /// These keys can only be changed for one broker.
    #[error("Cannot update these configs at default cluster level, broker id must be specified: [{}]", .0.join(", "))]
    PerBroker(Vec<String>),
    /// A value is wrong.
    #[error(transparent)]
    Value(#[from] ConfigError),
    /// A value does not go with another one.
    #[error("{0}")]
    Conflict(String),
}

/// Whether a request may change a broker key.
pub(super) fn is_changeable(name: &str) -> bool {
    CHANGEABLE.contains(&name) || THROTTLES.contains(&name)
}

/// Checks what is to be set at run time, given what is in effect.
pub(crate) fn check_change<'a>(
    settings: &BrokerSettings,
    level: Level,
    wanted: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> Result<(), DynamicRefusal> {
    let named = |matches: &dyn Fn(&str) -> bool| -> Vec<String> {
        wanted.clone().filter(|(name, _)| matches(name)).map(|(name, _)| name.to_owned()).collect()
    };
    let is_special = |name: &str| PER_LISTENER.contains(&name) || PER_BROKER.contains(&name);
    let read_only = named(&|name| !is_changeable(name) && !is_special(name));
    if !read_only.is_empty() {
        return Err(DynamicRefusal::ReadOnly(read_only));
    }
    let per_listener = named(&|name| PER_LISTENER.contains(&name));
    if !per_listener.is_empty() {
        return Err(DynamicRefusal::PerListener(per_listener));
    }
    let per_broker = named(&|name| PER_BROKER.contains(&name));
    if !per_broker.is_empty() {
        return Err(match level {
            Level::Cluster => DynamicRefusal::PerBroker(per_broker),
            Level::Broker => DynamicRefusal::ReadOnly(per_broker),
        });
    }
    for (name, value) in wanted.clone() {
        check_value(settings, name, value)?;
    }
    Ok(())
}

fn check_value(settings: &BrokerSettings, name: &str, value: &str) -> Result<(), DynamicRefusal> {
    if THROTTLES.contains(&name) {
        return match value.trim().parse::<i64>() {
            Ok(_) => Ok(()),
            Err(_) => Err(DynamicRefusal::Value(ConfigError::Invalid {
                name: name.to_owned(),
                value: value.to_owned(),
                reason: "Not a number of type LONG".to_owned(),
            })),
        };
    }
    if let Some(key) = key(Scope::Broker, name) {
        key.validate(value)?;
    }
    let conflict = |text: String| Err(DynamicRefusal::Conflict(text));
    let invalid = |text: String| {
        conflict(format!(
            "Invalid value org.apache.kafka.common.config.ConfigException: {text} for configuration Invalid dynamic configuration"
        ))
    };
    let Ok(number) = value.trim().parse::<i64>() else { return Ok(()) };
    let in_effect = |name: &str| settings.value(name).and_then(|value| value.parse::<i64>().ok());
    if THREADS.contains(&name)
        && let Some(current) = in_effect(name)
    {
        let failed = format!(
            "Dynamic thread count update validation failed for {name}={number}, value should"
        );
        if number < current / 2 {
            return invalid(format!("{failed} be at least half the current value {current}"));
        }
        if number > current * 2 {
            return invalid(format!(
                "{failed} not be greater than double the current value {current}"
            ));
        }
    }
    match name {
        "log.retention.ms" if number == 0 => conflict(
            "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1".to_owned(),
        ),
        "log.cleaner.dedupe.buffer.size" if number < 1 << 20 => conflict(
            "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."
                .to_owned(),
        ),
        "log.roll.ms" if number < 1 => {
            conflict("requirement failed: log.roll.ms must be greater than or equal to 1".to_owned())
        }
        "log.roll.jitter.ms" if number < 0 => {
            conflict("requirement failed: log.roll.jitter.ms must be greater than or equal to 0".to_owned())
        }
        "max.connections" if number < 1 => invalid(format!("Invalid max.connections {number}")),
        "max.connection.creation.rate" if number < 1 => {
            invalid(format!("Invalid max.connection.creation.rate {number}"))
        }
        "max.connections.per.ip" if number < 1 => conflict(
            "requirement failed: max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set."
                .to_owned(),
        ),
        "group.consumer.assignment.interval.ms"
        | "group.share.assignment.interval.ms"
        | "group.streams.assignment.interval.ms" => {
            let most = name.replace(".assignment.", ".max.assignment.");
            let least = name.replace(".assignment.", ".min.assignment.");
            if in_effect(&most).is_some_and(|most| number > most) {
                return conflict(format!("{name} must be less than or equal to {most}"));
            }
            if in_effect(&least).is_some_and(|least| number < least) {
                return conflict(format!("{name} must be greater than or equal to {least}"));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changeable_key_is_a_broker_key() {
        for name in CHANGEABLE.iter().chain(PER_LISTENER).chain(PER_BROKER).chain(THREADS) {
            assert!(key(Scope::Broker, name).is_some(), "{name}");
        }
        assert!(THREADS.iter().all(|name| is_changeable(name)));
    }

    #[test]
    fn a_change_is_refused_in_kafkas_words() {
        let settings = BrokerSettings::new(&[]).unwrap();
        let check = |level, wanted: &[(&str, &str)], expected: Option<&str>| {
            let refused = check_change(&settings, level, wanted.iter().copied()).err();
            assert_eq!(refused.map(|error| error.to_string()).as_deref(), expected, "{wanted:?}");
        };
        check(Level::Broker, &[("log.retention.ms", "5")], None);
        check(Level::Cluster, &[("leader.replication.throttled.rate", "5")], None);
        check(
            Level::Broker,
            &[("num.partitions", "3"), ("log.retention.ms", "5"), ("broker.id", "3")],
            Some("Cannot update these configs dynamically: [num.partitions, broker.id]"),
        );
        check(
            Level::Cluster,
            &[("listeners", "x")],
            Some(
                "Cannot update these configs at default cluster level, broker id must be specified: [listeners]",
            ),
        );
        check(
            Level::Broker,
            &[("log.segment.bytes", "1")],
            Some(
                "Invalid value 1 for configuration log.segment.bytes: Value must be at least 1048576",
            ),
        );
        check(
            Level::Broker,
            &[("num.io.threads", "100")],
            Some(
                "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation \
                 failed for num.io.threads=100, value should not be greater than double the current value 8 for configuration \
                 Invalid dynamic configuration",
            ),
        );
    }
}
