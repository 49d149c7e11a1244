//! The configuration keys of a broker and of a topic: names, types and defaults as Kafka 4.3 documents them.
//!
//! - The two tables (`config/topic.rs`, `config/broker.rs`) are the only list of keys: `DescribeConfigs`, validation and
//!   `known_key` all read them, so what is described and what is accepted cannot differ.
//! - A key is honoured, or it is a no-op that says why. A key in neither table is unknown and refused by those who ask.
//! - This file holds no key that a table does not.

mod broker;
mod described;
mod dynamic;
mod group;
mod settings;
mod table;
mod topic;

pub(crate) use described::{
    Described, described_broker, described_cluster, described_group, described_topic,
};
pub(crate) use dynamic::{DynamicRefusal, Level, check_change};
pub use settings::ConfigError;
pub(crate) use settings::{BrokerSettings, TimestampType, TopicSettings};
pub(crate) use table::{ConfigKey, Effect, KeyType};

use aquifer_broker_coordinator::topic::image::Configs;

/// Whose configuration a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One broker (`--set`, `server.properties`).
    Broker,
    /// One topic, over the broker's key of the same meaning.
    Topic,
    /// One group, over the broker's key of the same meaning.
    Group,
}

/// Where a value comes from, as `DescribeConfigs` numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigSource {
    /// The topic's own.
    Topic = 1,
    /// Set for this broker at run time.
    Broker = 2,
    /// Set for all brokers at run time.
    Cluster = 3,
    /// Given at the start.
    Static = 4,
    /// Nobody set it.
    Default = 5,
    /// The level of a logger.
    Logger = 6,
    /// The group's own.
    Group = 8,
}

/// What the node does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySupport {
    /// The key changes what the node does.
    Honoured,
    /// Kafka knows the key, this node accepts it and does nothing with it, for this reason.
    NoOp(&'static str),
    /// Neither Kafka nor this node knows the key.
    Unknown,
}

/// Every key of a scope, sorted by name.
pub(crate) fn keys(scope: Scope) -> &'static [ConfigKey] {
    match scope {
        Scope::Broker => broker::TABLE,
        Scope::Topic => topic::TABLE,
        Scope::Group => group::TABLE,
    }
}

/// The row of one key.
pub(crate) fn key(scope: Scope, name: &str) -> Option<&'static ConfigKey> {
    let keys = keys(scope);
    keys.binary_search_by_key(&name, |key| key.name).ok().map(|place| &keys[place])
}

/// What the node does with the broker key `name`.
pub fn known_key(name: &str) -> KeySupport {
    match key(Scope::Broker, name) {
        None => KeySupport::Unknown,
        Some(key) => match key.effect {
            Effect::Honoured => KeySupport::Honoured,
            Effect::NoOp(why) => KeySupport::NoOp(why),
        },
    }
}

/// Every broker key, for "did you mean" and for reference pages.
pub fn broker_key_names() -> impl Iterator<Item = &'static str> {
    broker::TABLE.iter().map(|key| key.name)
}

/// Checks all that a topic sets, key by key and together; the message is for the client.
pub(crate) fn validate_topic(settings: &BrokerSettings, own: &Configs) -> Result<(), ConfigError> {
    let keys = own.iter().map(|(name, value)| {
        let unknown = || ConfigError::Unknown { name: name.to_string() };
        Ok((key(Scope::Topic, name).ok_or_else(unknown)?, value))
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    keys.iter().try_for_each(|(key, value)| key.validate(value))?;
    let in_effect = TopicSettings::new(settings, |name| own.get(name).map(|value| &**value));
    let (least, most) = (in_effect.min_compaction_lag_ms, in_effect.max_compaction_lag_ms);
    if least > most {
        return Err(ConfigError::Conflict(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        )));
    }
    if own
        .get("remote.storage.enable")
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
    {
        return Err(ConfigError::Conflict(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
                .to_owned(),
        ));
    }
    Ok(())
}

/// Checks all that a group sets, key by key and against the broker's bounds; the message is for the client.
pub(crate) fn validate_group(settings: &BrokerSettings, own: &Configs) -> Result<(), ConfigError> {
    for (name, value) in own {
        let unknown = || ConfigError::UnknownGroup { name: name.to_string() };
        key(Scope::Group, name).ok_or_else(unknown)?.validate(value)?;
    }
    let bound =
        |name: &str| settings.value(name).and_then(|value| value.trim().parse::<i64>().ok());
    for range in group::RANGES {
        let value = own.get(range.name).and_then(|value| value.trim().parse::<i64>().ok());
        let Some(value) = value else { continue };
        if let Some(least) = range.least
            && bound(least).is_some_and(|least| value < least)
        {
            let message = format!("{} must be greater than or equal to {least}", range.name);
            return Err(ConfigError::Conflict(message));
        }
        if bound(range.most).is_some_and(|most| value > most) {
            let message = format!("{} must be less than or equal to {}", range.name, range.most);
            return Err(ConfigError::Conflict(message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate_topic_value(name: &str, value: &str) -> Result<(), ConfigError> {
        let own = Configs::from([(name.into(), value.into())]);
        validate_topic(&BrokerSettings::new(&[]).unwrap(), &own)
    }

    #[test]
    fn tables_are_sorted_and_their_defaults_are_valid() {
        for scope in [Scope::Broker, Scope::Topic, Scope::Group] {
            for pair in keys(scope).windows(2) {
                assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
            }
            for key in keys(scope) {
                if let Some(default) = key.default {
                    assert_eq!(key.validate(default), Ok(()), "default of {}", key.name);
                }
                assert!(!key.doc.is_empty(), "{} has no text", key.name);
            }
        }
    }

    #[test]
    fn broker_synonyms_of_topic_keys_are_broker_keys() {
        for topic_key in keys(Scope::Topic).iter().chain(keys(Scope::Group)) {
            for synonym in topic_key.synonyms {
                assert!(key(Scope::Broker, synonym.broker_key).is_some(), "{}", synonym.broker_key);
            }
        }
    }

    #[test]
    fn unknown_and_ill_typed_topic_values_are_refused_with_the_reason() {
        let check = |name: &str, value: &str, expected: &str| {
            assert_eq!(validate_topic_value(name, value).unwrap_err().to_string(), expected);
        };
        check("retention.mss", "1", "Unknown topic config name: retention.mss");
        check(
            "retention.ms",
            "x",
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        );
        check(
            "segment.bytes",
            "1",
            "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576",
        );
        check(
            "cleanup.policy",
            "compact,drop",
            "Invalid value drop for configuration cleanup.policy: String must be one of: compact, delete",
        );
        check(
            "preallocate",
            "yes",
            "Invalid value yes for configuration preallocate: Expected value to be either true or false",
        );
        check(
            "min.cleanable.dirty.ratio",
            "2",
            "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        );
        check(
            "min.cleanable.dirty.ratio",
            "99999999999",
            "Invalid value 9.9999999999E10 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        );
        check("cleanup.policy", ",", "Configuration 'cleanup.policy' values must not be empty.");
        check(
            "compression.gzip.level",
            " 0",
            "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        );
        check(
            "leader.replication.throttled.replicas",
            " 1 , *",
            "Invalid value [1, *] for configuration leader.replication.throttled.replicas: \
             leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],...",
        );
        for good in ["", "*", "0:1", "0:1, 1:2"] {
            let name = "leader.replication.throttled.replicas";
            assert_eq!(validate_topic_value(name, good), Ok(()), "{good}");
        }
        assert_eq!(validate_topic_value("retention.ms", "-1"), Ok(()));
        assert_eq!(validate_topic_value("cleanup.policy", "compact, delete"), Ok(()));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let own = |pairs: &[(&str, &str)]| -> Configs {
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        let settings = BrokerSettings::new(&[]).unwrap();
        let lags = own(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]);
        assert_eq!(
            validate_topic(&settings, &lags).unwrap_err().to_string(),
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
        );
        assert!(validate_topic(&settings, &own(&[("remote.storage.enable", "TRUE")])).is_err());
        let group = |name: &str, value: &str| {
            validate_group(&settings, &own(&[(name, value)])).map_err(|error| error.to_string())
        };
        assert_eq!(group("consumer.session.timeout.ms", "50000"), Ok(()));
        assert_eq!(
            group("consumer.session.timeout.ms", "1").unwrap_err(),
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"
        );
        assert_eq!(
            group("consumer.heartbeat.interval.ms", "20000").unwrap_err(),
            "consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms"
        );
        assert_eq!(group("foo", "1").unwrap_err(), "Unknown group config name: foo");
    }

    #[test]
    fn known_key_tells_the_three_answers_apart() {
        assert_eq!(known_key("num.partitions"), KeySupport::Honoured);
        assert!(matches!(known_key("num.io.threads"), KeySupport::NoOp(_)));
        assert_eq!(known_key("num.partition"), KeySupport::Unknown);
    }
}
