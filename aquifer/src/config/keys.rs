//! Which role knows a key, and what it does with it.

use aquifer_broker_node as broker;
use aquifer_connect_runtime as connect;
use aquifer_registry_service as registry;

use super::nearest;
use crate::role::Role;

/// What a role does with a key, in one vocabulary for all roles.
enum Support {
    Honoured,
    NoOp(&'static str),
    Unknown,
}

const ROLES: [Role; 3] = [Role::Broker, Role::Registry, Role::Connect];

fn support(role: Role, key: &str) -> Support {
    match role {
        Role::Broker => match broker::known_key(key) {
            broker::KeySupport::Honoured => Support::Honoured,
            broker::KeySupport::NoOp(why) => Support::NoOp(why),
            broker::KeySupport::Unknown => Support::Unknown,
        },
        Role::Registry => match registry::known_key(key) {
            registry::KeySupport::Honoured => Support::Honoured,
            registry::KeySupport::NoOp(why) => Support::NoOp(why),
            registry::KeySupport::Unknown => Support::Unknown,
        },
        Role::Connect => match connect::known_key(key) {
            connect::KeySupport::Honoured => Support::Honoured,
            connect::KeySupport::NoOp(why) => Support::NoOp(why),
            connect::KeySupport::Unknown => Support::Unknown,
        },
        Role::Console => Support::Unknown,
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    broker::broker_key_names().chain(registry::known_keys()).chain(connect::known_keys())
}

/// The role that a key is for, its name there, and why it has no effect if it has none. The error is the whole fault.
pub(super) fn find(key: &str) -> Result<(Role, &str, Option<&'static str>), String> {
    let known = |role: Role, name: &str| match support(role, name) {
        Support::Honoured => Some(None),
        Support::NoOp(why) => Some(Some(why)),
        Support::Unknown => None,
    };
    // `broker.rack` is a key of Kafka's, so the whole name goes first.
    let mut roles = ROLES.into_iter().filter_map(|role| Some((role, known(role, key)?)));
    match (roles.next(), roles.next()) {
        (Some((role, effect)), None) => return Ok((role, key, effect)),
        (Some((first, _)), Some((second, _))) => {
            return Err(format!(
                "the key {key} is known to {first} and {second}: write {first}.{key} or {second}.{key}"
            ));
        }
        (None, _) => {}
    }
    if let Some((prefix, name)) = key.split_once('.')
        && let Some(role) = ROLES.into_iter().find(|role| role.name() == prefix)
    {
        return match known(role, name) {
            Some(effect) => Ok((role, name, effect)),
            None => Err(format!("the {role} knows no key {name}{}", nearest::hint(name, names()))),
        };
    }
    Err(format!("no role knows the key {key}{}", nearest::hint(key, names())))
}

/// The key that an environment variable, without its prefix, names: `NUM_PARTITIONS` is `num.partitions`.
pub(super) fn of_variable(name: &str) -> Option<String> {
    let exact = names().find(|key| variable(key) == name).map(str::to_owned);
    exact.or_else(|| {
        let (role, rest) = name.split_once('_')?;
        let role = ROLES.into_iter().find(|known| known.name().to_uppercase() == role)?;
        let key = names()
            .find(|key| variable(key) == rest && !matches!(support(role, key), Support::Unknown))?;
        Some(format!("{role}.{key}"))
    })
}

/// Every key as an environment variable spells it.
pub(super) fn variables() -> impl Iterator<Item = String> {
    names().map(variable)
}

fn variable(key: &str) -> String {
    key.replace(['.', '-'], "_").to_uppercase()
}
