//! The configuration keys of a broker and of a topic: names, types and defaults as Kafka 4.3 documents them.
//!
//! - The two tables (`config/topic.rs`, `config/broker.rs`) are the only list of keys: `DescribeConfigs`, validation and
//!   `known_key` all read them, so what is described and what is accepted cannot differ.
//! - A key is honoured, or it is a no-op that says why. A key in neither table is unknown and refused by those who ask.
//! - This file holds no key that a table does not.

mod broker;
mod settings;
mod table;
mod topic;

pub use settings::ConfigError;
pub(crate) use settings::convert;
pub(crate) use settings::{BrokerSettings, TimestampType, TopicSettings};
pub(crate) use table::{ConfigKey, Effect, KeyType};

/// Whose configuration a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One broker (`--set`, `server.properties`).
    Broker,
    /// One topic, over the broker's key of the same meaning.
    Topic,
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
    }
}

/// The row of one key.
pub(crate) fn key(scope: Scope, name: &str) -> Option<&'static ConfigKey> {
    keys(scope).iter().find(|key| key.name == name)
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

/// Checks the value of a topic key as `CreateTopics` and the alter requests need it; the message is for the client.
pub(crate) fn validate_topic_value(name: &str, value: &str) -> Result<(), ConfigError> {
    key(Scope::Topic, name)
        .ok_or_else(|| ConfigError::Unknown { name: name.to_owned() })?
        .validate(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_their_defaults_are_valid() {
        for scope in [Scope::Broker, Scope::Topic] {
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
        for topic_key in keys(Scope::Topic) {
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
            "Invalid value compact,drop for configuration cleanup.policy: String must be one of: compact, delete",
        );
        check(
            "preallocate",
            "yes",
            "Invalid value yes for configuration preallocate: Expected value to be either true or false",
        );
        check(
            "min.cleanable.dirty.ratio",
            "2",
            "Invalid value 2 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        );
        assert_eq!(validate_topic_value("retention.ms", "-1"), Ok(()));
        assert_eq!(validate_topic_value("cleanup.policy", "compact, delete"), Ok(()));
    }

    #[test]
    fn known_key_tells_the_three_answers_apart() {
        assert_eq!(known_key("num.partitions"), KeySupport::Honoured);
        assert!(matches!(known_key("num.io.threads"), KeySupport::NoOp(_)));
        assert_eq!(known_key("num.partition"), KeySupport::Unknown);
    }
}
