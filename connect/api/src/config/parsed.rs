//! A config whose every value was found valid, read by type.

use super::{ConfigDef, ConfigMap, ConfigType};

/// Typed access to a valid config; asking for a key that the definition lacks is a fault of the caller's code.
#[derive(Debug, Clone)]
pub struct ParsedConfig {
    def: &'static ConfigDef,
    config: ConfigMap,
}

impl ParsedConfig {
    pub(super) fn new(def: &'static ConfigDef, config: &ConfigMap) -> Self {
        Self { def, config: config.clone() }
    }

    /// The text as given or defaulted; `None` is null.
    pub fn get(&self, name: &str) -> Option<&str> {
        let default = || self.def.key(name).and_then(|key| key.default);
        self.config.get(name).map(String::as_str).or_else(default)
    }

    /// A text that is there or has a default; else empty.
    pub fn string(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// True for `true`.
    pub fn bool(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }

    /// A whole number; 0 where it is null.
    pub fn long(&self, name: &str) -> i64 {
        self.get(name).and_then(|text| text.trim().parse().ok()).unwrap_or_default()
    }

    /// A whole number that must not be negative; 0 where it is null or negative.
    pub fn count(&self, name: &str) -> usize {
        usize::try_from(self.long(name)).unwrap_or_default()
    }

    /// A number; 0 where it is null.
    pub fn double(&self, name: &str) -> f64 {
        self.get(name).and_then(|text| text.trim().parse().ok()).unwrap_or_default()
    }

    /// Texts separated by commas, trimmed; an empty text is an empty list.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let text = self.string(name).trim();
        if text.is_empty() { Vec::new() } else { text.split(',').map(str::trim).collect() }
    }

    /// A number of milliseconds.
    pub fn duration_ms(&self, name: &str) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.long(name)).unwrap_or_default())
    }

    /// The config as it was given.
    pub fn map(&self) -> &ConfigMap {
        &self.config
    }
}

/// Whether the text is of the type; the error is Kafka's reason.
pub(super) fn parse(kind: ConfigType, text: &str) -> Result<(), &'static str> {
    let text = text.trim();
    let (ok, reason) = match kind {
        ConfigType::Boolean => {
            let ok = text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
            (ok, "Expected value to be either true or false")
        }
        ConfigType::Int => (text.parse::<i32>().is_ok(), "Not a number of type INT"),
        ConfigType::Short => (text.parse::<i16>().is_ok(), "Not a number of type SHORT"),
        ConfigType::Long => (text.parse::<i64>().is_ok(), "Not a number of type LONG"),
        ConfigType::Double => (text.parse::<f64>().is_ok(), "Not a number of type DOUBLE"),
        ConfigType::String | ConfigType::List | ConfigType::Class | ConfigType::Password => {
            (true, "")
        }
    };
    if ok { Ok(()) } else { Err(reason) }
}
