//! The config keys of both connectors, and how a config becomes typed.

use std::sync::LazyLock;

use aquifer_connect_api::ConnectError;
use aquifer_connect_api::config::{
    Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance, ParsedConfig,
};

/// The file to read or to append to.
pub(crate) const FILE: &str = "file";
/// The topic that lines go to.
pub(crate) const TOPIC: &str = "topic";
/// How many records a poll returns at most.
pub(crate) const BATCH_SIZE: &str = "batch.size";

/// The keys of the source.
pub(crate) static SOURCE: LazyLock<ConfigDef> = LazyLock::new(|| {
    ConfigDef::new(vec![
        ConfigKey::required(
            FILE,
            ConfigType::String,
            Importance::High,
            "The file to read; it may appear later. Standard input is not supported.",
        )
        .check(Check::NonEmpty),
        ConfigKey::required(
            TOPIC,
            ConfigType::String,
            Importance::High,
            "The topic that lines go to.",
        )
        .check(Check::NonEmpty),
        ConfigKey::optional(
            BATCH_SIZE,
            ConfigType::Int,
            Some("2000"),
            Importance::Low,
            "How many records the task hands over at once at most.",
        )
        .check(Check::AtLeast(1)),
    ])
});

/// The keys of the sink.
pub(crate) static SINK: LazyLock<ConfigDef> = LazyLock::new(|| {
    ConfigDef::new(vec![
        ConfigKey::required(
            FILE,
            ConfigType::String,
            Importance::High,
            "The file to append to; it is created. Standard output is not supported.",
        )
        .check(Check::NonEmpty),
    ])
});

/// The typed config, or one error that names every fault.
pub(crate) fn parse(
    def: &'static ConfigDef,
    config: &ConfigMap,
) -> Result<ParsedConfig, ConnectError> {
    def.parse(config).map_err(|errors| {
        let texts: Vec<String> = errors.into_iter().map(|(_, text)| text).collect();
        ConnectError::config(texts.join("\n"))
    })
}
