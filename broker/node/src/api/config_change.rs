//! Changing the configs of a resource: what AlterConfigs and IncrementalAlterConfigs have in common.
//!
//! - What a resource would set in the end is checked as a whole, then the change is decided by the metadata machine.
//! - Topics and groups take effect at once, and so do the broker keys that may be changed at run time.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use aquifer_broker_coordinator::group::id::TopicName;
use aquifer_broker_coordinator::topic::command::{AlterConfigs, ConfigChange, RunMode};
use aquifer_broker_coordinator::topic::image::{ConfigResource, Configs};
use aquifer_broker_coordinator::topic::validate_topic_name;
use aquifer_broker_protocol::ErrorCode;

use super::resource::{BROKER, BROKER_LOGGER, GROUP, TOPIC, own_broker_id};
use crate::config::{
    self, BrokerSettings, ConfigError, DynamicRefusal, KeyType, Level, Scope, check_change,
};
use crate::context::RequestContext;
use crate::hosting::TopicRefusal;

/// What is done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// It gets this value.
    Set,
    /// It goes back to its default.
    Delete,
    /// These items are added to its list.
    Append,
    /// These items are taken from its list.
    Subtract,
    /// What the protocol does not know.
    Unknown(i8),
}

impl Operation {
    /// The operation with this number.
    pub(super) fn from_number(number: i8) -> Self {
        match number {
            0 => Self::Set,
            1 => Self::Delete,
            2 => Self::Append,
            3 => Self::Subtract,
            other => Self::Unknown(other),
        }
    }
}

/// The change of one key.
#[derive(Debug, Clone)]
pub(super) struct Change<'a> {
    /// The key.
    pub(super) name: Cow<'a, str>,
    /// What is done with it.
    pub(super) operation: Operation,
    /// The value that it is done with.
    pub(super) value: Option<Cow<'a, str>>,
}

/// What happens to keys that are not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// They stay.
    Stay,
    /// They go back to their defaults.
    Reset,
}

/// The resources that a request names more than once: all of them are refused.
pub(super) fn named_twice<'n>(
    resources: impl Iterator<Item = (i8, &'n str)>,
) -> BTreeSet<(i8, String)> {
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for (kind, name) in resources {
        if !seen.insert((kind, name)) {
            twice.insert((kind, name.to_owned()));
        }
    }
    twice
}

/// The refusal of a resource that was named more than once.
pub(super) fn refuse_twice() -> TopicRefusal {
    refusal(ErrorCode::InvalidRequest, "Each resource must appear at most once.")
}

/// Changes the configs of one resource, or only checks that it could.
pub(super) async fn change_configs(
    ctx: &RequestContext,
    (kind, name): (i8, &str),
    changes: &[Change<'_>],
    unnamed: Unnamed,
    mode: RunMode,
) -> Result<(), TopicRefusal> {
    let keys: BTreeSet<&str> = changes.iter().map(|change| &*change.name).collect();
    if keys.len() != changes.len() {
        return Err(refusal(ErrorCode::InvalidRequest, "Error due to duplicate config keys"));
    }
    let is_null =
        |change: &&Change<'_>| change.operation != Operation::Delete && change.value.is_none();
    let nulls: Vec<&str> = changes.iter().filter(is_null).map(|change| &*change.name).collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for : {}", nulls.join(","));
        return Err(refusal(ErrorCode::InvalidRequest, message));
    }
    let resource = resource(ctx, kind, name)?;
    let settings = ctx.node.hosting.live_settings();
    let changes = changes.iter().map(|change| checked(&settings, &resource, change));
    let changes = changes.collect::<Result<Vec<_>, _>>()?;
    let image = ctx.node.hosting.image();
    let current = image.configs(&resource).cloned().unwrap_or_default();
    let wanted = in_the_end(&current, &changes, unnamed);
    match &resource {
        ConfigResource::Topic(_) => config::validate_topic(&settings, &wanted)?,
        ConfigResource::Group(_) => config::validate_group(&settings, &wanted)?,
        ConfigResource::Broker(id) => {
            let level = if id.is_empty() { Level::Cluster } else { Level::Broker };
            let named =
                changes.iter().filter_map(|(name, _)| Some((&**name, &**wanted.get(name)?)));
            check_change(&settings, level, named)?;
        }
    }
    if mode == RunMode::Apply {
        tell_no_ops(&resource, &changes);
    }
    let replaces_all = unnamed == Unnamed::Reset;
    ctx.node.hosting.alter_configs(AlterConfigs { resource, changes, replaces_all, mode }).await
}

fn resource(ctx: &RequestContext, kind: i8, name: &str) -> Result<ConfigResource, TopicRefusal> {
    let invalid = |message: &str| Err(refusal(ErrorCode::InvalidRequest, message));
    match kind {
        TOPIC if name.is_empty() => invalid("Default topic resources are not allowed."),
        TOPIC => {
            validate_topic_name(name)?;
            Ok(ConfigResource::Topic(TopicName::from(name)))
        }
        BROKER if name.is_empty() => Ok(ConfigResource::Broker(Arc::from(""))),
        BROKER => {
            own_broker_id(ctx, name, "")?;
            Ok(ConfigResource::Broker(Arc::from(ctx.node.settings.node_id.to_string())))
        }
        BROKER_LOGGER => {
            own_broker_id(ctx, name, "")?;
            invalid("The levels of the loggers of this broker are given at its start.")
        }
        GROUP if name.is_empty() => invalid("Default group resources are not allowed."),
        GROUP => Ok(ConfigResource::Group(Arc::from(name))),
        other => Err(refusal(ErrorCode::InvalidRequest, format!("Unknown resource type {other}"))),
    }
}

/// The change as the machine takes it; only lists can be extended and shortened.
fn checked(
    settings: &BrokerSettings,
    resource: &ConfigResource,
    change: &Change<'_>,
) -> Result<(Arc<str>, ConfigChange), TopicRefusal> {
    let name = &*change.name;
    let value = || Arc::<str>::from(change.value.as_deref().unwrap_or_default());
    let scope = match resource {
        ConfigResource::Topic(_) => Scope::Topic,
        ConfigResource::Broker(_) => Scope::Broker,
        ConfigResource::Group(_) => Scope::Group,
    };
    let key = config::key(scope, name);
    let list_default = |operation: &str| match key {
        Some(key) if key.kind == KeyType::List => {
            let default = match scope {
                Scope::Broker => settings.value(name).map(str::to_owned),
                Scope::Topic | Scope::Group => settings.topic_default(key),
            };
            Ok(Arc::<str>::from(default.unwrap_or_default()))
        }
        _ => {
            let upper = operation.to_ascii_uppercase();
            let message = match scope {
                Scope::Broker => {
                    format!("Config value {operation} is not allowed for config key: {name}")
                }
                Scope::Topic | Scope::Group => {
                    format!("Can't {upper} to key {name} because its type is not LIST.")
                }
            };
            Err(refusal(ErrorCode::InvalidConfig, message))
        }
    };
    let change = match change.operation {
        Operation::Set => ConfigChange::Set(value()),
        Operation::Delete => ConfigChange::Delete,
        Operation::Append => {
            ConfigChange::Append { default: list_default("append")?, value: value() }
        }
        Operation::Subtract => {
            ConfigChange::Subtract { default: list_default("subtract")?, value: value() }
        }
        Operation::Unknown(number) => {
            let message = format!("Unknown operation type {number} for key {name}");
            return Err(refusal(ErrorCode::InvalidRequest, message));
        }
    };
    Ok((Arc::from(name), change))
}

/// What the resource sets when the changes are made.
fn in_the_end(
    current: &Configs,
    changes: &[(Arc<str>, ConfigChange)],
    unnamed: Unnamed,
) -> Configs {
    let mut configs = match unnamed {
        Unnamed::Stay => current.clone(),
        Unnamed::Reset => Configs::new(),
    };
    for (name, change) in changes {
        match change.result(current.get(name).map(|value| &**value)) {
            Some(value) => configs.insert(Arc::clone(name), value),
            None => configs.remove(name),
        };
    }
    configs
}

/// Says which of the broker keys that were set change nothing here.
fn tell_no_ops(resource: &ConfigResource, changes: &[(Arc<str>, ConfigChange)]) {
    if !matches!(resource, ConfigResource::Broker(_)) {
        return;
    }
    for (name, change) in changes {
        if let config::KeySupport::NoOp(why) = config::known_key(name)
            && *change != ConfigChange::Delete
        {
            tracing::info!(key = %name, why, "the key is accepted and changes nothing");
        }
    }
}

fn refusal(code: ErrorCode, message: impl Into<String>) -> TopicRefusal {
    TopicRefusal { code, message: message.into() }
}

impl From<ConfigError> for TopicRefusal {
    fn from(error: ConfigError) -> Self {
        refusal(ErrorCode::InvalidConfig, error.to_string())
    }
}

impl From<DynamicRefusal> for TopicRefusal {
    fn from(error: DynamicRefusal) -> Self {
        refusal(ErrorCode::InvalidRequest, error.to_string())
    }
}
