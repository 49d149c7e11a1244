//! What the configs of a resource come to, key by key, and where each value comes from: what `DescribeConfigs` and
//! `CreateTopics` answer.

use std::borrow::Cow;

use aquifer_broker_coordinator::topic::image::Configs;

use super::settings::BrokerSettings;
use super::{ConfigKey, ConfigSource, KeyType, Scope, dynamic, key, keys};

/// One key of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    /// The key.
    pub(crate) name: Cow<'static, str>,
    /// The value in effect; never that of a password.
    pub(crate) value: Option<String>,
    /// Where it comes from.
    pub(crate) source: ConfigSource,
    /// Whether a request may change it.
    pub(crate) read_only: bool,
    /// Whether it is a password.
    pub(crate) is_sensitive: bool,
    /// Every value that the key and its synonyms have, the strongest first.
    pub(crate) synonyms: Synonyms,
    /// The number of its type.
    pub(crate) kind: i8,
    /// What it means.
    pub(crate) doc: &'static str,
}

/// Keys with their values and where those come from.
pub(crate) type Synonyms = Vec<(Cow<'static, str>, Option<String>, ConfigSource)>;

/// Keys of the same meaning in several units, the strongest first.
const FAMILIES: &[&[&str]] = &[
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
    &["log.roll.ms", "log.roll.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
];

/// Every key of a topic that sets these of its own.
pub(crate) fn described_topic<'a>(
    settings: &'a BrokerSettings,
    own: &'a Configs,
) -> impl Iterator<Item = Described> {
    keys(Scope::Topic).iter().map(move |key| over_broker(settings, key, own, ConfigSource::Topic))
}

/// Every key of a group that sets these of its own.
pub(crate) fn described_group<'a>(
    settings: &'a BrokerSettings,
    own: &'a Configs,
) -> impl Iterator<Item = Described> {
    keys(Scope::Group).iter().map(move |key| {
        let mut described = over_broker(settings, key, own, ConfigSource::Group);
        if key.synonyms.is_empty() {
            let default = key.default.map(str::to_owned);
            described.synonyms.push((key.name.into(), default, ConfigSource::Default));
        }
        described
    })
}

/// Every key of this broker.
pub(crate) fn described_broker(settings: &BrokerSettings) -> impl Iterator<Item = Described> {
    let known = keys(Scope::Broker).iter().map(|key| {
        let value = settings.value(key.name).map(|value| key.normal(value));
        of_broker(key, value, broker_values(settings, key.name))
    });
    known.chain(unlisted(settings, settings.own())).chain(unlisted(settings, settings.cluster()))
}

/// What was set for all brokers at run time.
pub(crate) fn described_cluster(settings: &BrokerSettings) -> impl Iterator<Item = Described> {
    settings.cluster().iter().filter_map(|(name, value)| {
        let synonym = (name.to_string().into(), Some(value.to_string()), ConfigSource::Cluster);
        match key(Scope::Broker, name) {
            Some(key) => Some(of_broker(key, Some(key.normal(value)), vec![synonym])),
            None => {
                unlisted(settings, settings.cluster()).find(|described| *described.name == **name)
            }
        }
    })
}

/// Keys that exist only while they are set.
fn unlisted<'a>(
    settings: &'a BrokerSettings,
    set: &'a Configs,
) -> impl Iterator<Item = Described> + 'a {
    let names = set.keys().filter(|name| key(Scope::Broker, name).is_none());
    names.filter_map(|name| {
        let values = settings.values(name);
        let synonyms: Synonyms = values
            .map(|(source, value)| (name.to_string().into(), Some(value.to_owned()), source))
            .collect();
        let (_, value, source) = synonyms.first().cloned()?;
        Some(Described {
            name: name.to_string().into(),
            value,
            source,
            read_only: false,
            is_sensitive: false,
            synonyms,
            kind: KeyType::Long.wire(),
            doc: "A limit on replication; this node replicates nothing.",
        })
    })
}

/// A key of a topic or group: its own value over the broker's.
fn over_broker(
    settings: &BrokerSettings,
    key: &'static ConfigKey,
    own: &Configs,
    source: ConfigSource,
) -> Described {
    let own = own.get(key.name).map(|value| key.normal(value));
    let mut synonyms = Synonyms::new();
    if let Some(own) = &own {
        synonyms.push((key.name.into(), Some(own.clone()), source));
    }
    if let Some(first) = key.synonyms.first() {
        synonyms.extend(broker_values(settings, first.broker_key));
    }
    let value = own.or_else(|| settings.topic_default(key).map(|value| key.normal(&value)));
    described(key, value, synonyms, false)
}

fn of_broker(key: &'static ConfigKey, value: Option<String>, synonyms: Synonyms) -> Described {
    described(key, value, synonyms, !dynamic::is_changeable(key.name))
}

fn described(
    key: &'static ConfigKey,
    value: Option<String>,
    mut synonyms: Synonyms,
    read_only: bool,
) -> Described {
    let is_sensitive = key.kind == KeyType::Password;
    if is_sensitive {
        synonyms.iter_mut().for_each(|(_, value, _)| *value = None);
    }
    Described {
        name: key.name.into(),
        value: value.filter(|_| !is_sensitive),
        source: synonyms.first().map_or(ConfigSource::Default, |(_, _, source)| *source),
        read_only,
        is_sensitive,
        synonyms,
        kind: key.kind.wire(),
        doc: key.doc,
    }
}

/// The values of a broker key and of those in its family: by where they come from, then in the order of the family, from the
/// first value of the key itself on.
fn broker_values(settings: &BrokerSettings, name: &'static str) -> Synonyms {
    let alone = [name];
    let family = FAMILIES.iter().find(|family| family.contains(&name));
    let family: &[&'static str] = match (family, name) {
        (Some(family), _) => family,
        (None, "log.flush.interval.ms") => {
            &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"]
        }
        (None, _) => &alone,
    };
    let mut values: Vec<_> = family
        .iter()
        .flat_map(|name| settings.values(name).map(|(source, value)| (*name, value, source)))
        .collect();
    values.sort_by_key(|(_, _, source)| *source as i8);
    let own = values.into_iter().skip_while(|(known, _, _)| *known != name);
    own.map(|(name, value, source)| (name.into(), Some(value.to_owned()), source)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(
        given: &[(&str, &str)],
        own: &[(&str, &str)],
        cluster: &[(&str, &str)],
    ) -> BrokerSettings {
        let given: Vec<_> =
            given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        BrokerSettings::new(&given)
            .unwrap()
            .at_run_time(Some(&configs(own)), Some(&configs(cluster)))
    }

    fn configs(pairs: &[(&str, &str)]) -> Configs {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    /// The value, its source and the synonyms as text.
    fn told(described: impl Iterator<Item = Described>, name: &str) -> String {
        let mut described = described;
        let found = described.find(|described| described.name == name).unwrap();
        let synonyms = found.synonyms.iter().map(|(name, value, source)| {
            format!(" {name}={}@{source:?}", value.as_deref().unwrap_or("null"))
        });
        let value = found.value.as_deref().unwrap_or("null");
        format!("{value} {:?}{}", found.source, synonyms.collect::<String>())
    }

    #[test]
    fn a_topic_tells_its_own_value_and_those_of_the_broker() {
        let broker = settings(
            &[("log.retention.hours", "2")],
            &[("log.retention.ms", "500000")],
            &[("log.retention.ms", "600000")],
        );
        let own = configs(&[("cleanup.policy", " compact, delete ")]);
        let check = |name: &str, expected: &str| {
            assert_eq!(told(described_topic(&broker, &own), name), expected);
        };
        check(
            "retention.ms",
            "500000 Broker log.retention.ms=500000@Broker log.retention.ms=600000@Cluster \
             log.retention.hours=2@Static log.retention.hours=168@Default",
        );
        check(
            "cleanup.policy",
            "compact,delete Topic cleanup.policy=compact,delete@Topic log.cleanup.policy=delete@Default",
        );
        check("segment.ms", "604800000 Default");
        check("flush.ms", "9223372036854775807 Default");
        check("remote.storage.enable", "false Default");
    }

    #[test]
    fn a_broker_tells_every_value_and_keeps_passwords() {
        let broker = settings(
            &[("ssl.key.password", "secret"), ("node.id", "4")],
            &[("log.preallocate", "TRUE"), ("leader.replication.throttled.rate", "7")],
            &[("log.preallocate", "false")],
        );
        let check = |name: &str, expected: &str| {
            assert_eq!(told(described_broker(&broker), name), expected);
        };
        check("ssl.key.password", "null Static ssl.key.password=null@Static");
        check("node.id", "4 Static node.id=4@Static");
        check(
            "log.preallocate",
            "true Broker log.preallocate=TRUE@Broker log.preallocate=false@Cluster log.preallocate=false@Default",
        );
        check(
            "leader.replication.throttled.rate",
            "7 Broker leader.replication.throttled.rate=7@Broker",
        );
        check("log.retention.ms", "null Default");
        let cluster: Vec<_> = described_cluster(&broker).collect();
        assert_eq!(cluster.len(), 1);
        assert_eq!(
            told(cluster.into_iter(), "log.preallocate"),
            "false Cluster log.preallocate=false@Cluster"
        );
    }

    #[test]
    fn a_group_falls_back_on_the_broker() {
        let broker = settings(&[("group.consumer.session.timeout.ms", "46000")], &[], &[]);
        let own = configs(&[("consumer.heartbeat.interval.ms", "6000")]);
        let check = |name: &str, expected: &str| {
            assert_eq!(told(described_group(&broker, &own), name), expected);
        };
        check(
            "consumer.session.timeout.ms",
            "46000 Static group.consumer.session.timeout.ms=46000@Static group.consumer.session.timeout.ms=45000@Default",
        );
        check(
            "consumer.heartbeat.interval.ms",
            "6000 Group consumer.heartbeat.interval.ms=6000@Group group.consumer.heartbeat.interval.ms=5000@Default",
        );
        check("share.auto.offset.reset", "latest Default share.auto.offset.reset=latest@Default");
    }
}
