//! RegexRouter: a record whose topic matches `regex` as a whole goes to the topic that `replacement` makes of it.

use std::collections::HashMap;
use std::sync::LazyLock;

use aquifer_connect_api::config::{Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance};
use aquifer_connect_api::{ByteString, ConnectError, Record, Transform};
use regex::Regex;

use crate::java_regex;
use crate::part::parse;

/// Topics remembered at a time; past this the memory starts over.
const TOPICS_MAX: usize = 4096;

pub(crate) fn config_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
        ConfigDef::new(vec![
            ConfigKey::required(
                "regex",
                ConfigType::String,
                Importance::High,
                "Regular expression that a topic's whole name must match.",
            )
            .check(Check::Custom(|text| java_regex::whole(text).map(|_| ()))),
            ConfigKey::required(
                "replacement",
                ConfigType::String,
                Importance::High,
                "The new name; `$1` is what the first group matched.",
            ),
        ])
    });
    &DEF
}

pub(crate) fn new(config: &ConfigMap) -> Result<Box<dyn Transform>, ConnectError> {
    let config = parse(config_def(), config)?;
    let regex = java_regex::whole(config.string("regex")).map_err(ConnectError::config)?;
    let text = config.string("replacement");
    let replacement = java_regex::replacement(text, &regex).map_err(|why| {
        ConnectError::config(format!("Invalid value {text} for configuration replacement: {why}"))
    })?;
    Ok(Box::new(RegexRouter { regex, replacement, routes: HashMap::new() }))
}

struct RegexRouter {
    regex: Regex,
    replacement: String,
    routes: HashMap<ByteString, ByteString>,
}

impl Transform for RegexRouter {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConnectError> {
        if let Some(route) = self.routes.get(&record.topic) {
            record.topic = route.clone();
            return Ok(Some(record));
        }
        let route = ByteString::from(
            self.regex.replace(&record.topic, self.replacement.as_str()).into_owned(),
        );
        if self.routes.len() >= TOPICS_MAX {
            self.routes.clear();
        }
        self.routes.insert(record.topic.clone(), route.clone());
        record.topic = route;
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{apply, record};

    #[test]
    fn only_a_topic_that_matches_as_a_whole_is_routed() {
        let config = &[("regex", "shop\\.public\\.(.*)"), ("replacement", "$1")];
        let route = |topic: &str| apply(super::new, config, record(topic)).unwrap().topic;
        assert_eq!(route("shop.public.orders"), "orders");
        assert_eq!(route("xshop.public.orders"), "xshop.public.orders");
    }
}
