//! Config definitions: what keys there are, of which type, with which default, and every error of a config at once.
//!
//! - The texts of errors are Kafka's (`org.apache.kafka.common.config.ConfigDef`): tools show and match them.
//! - A definition is data; `GET /connector-plugins/{plugin}/config`, validation and the reference pages all come from it.

mod parsed;

pub use parsed::ParsedConfig;

use indexmap::IndexMap;

/// A config as JSON or properties give it: keys and texts, in their order.
pub type ConfigMap = IndexMap<String, String>;

/// The type of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 32-bit integer.
    Int,
    /// 16-bit integer.
    Short,
    /// 64-bit integer.
    Long,
    /// A decimal number.
    Double,
    /// Texts separated by commas.
    List,
    /// A class name.
    Class,
    /// Text that is never shown.
    Password,
}

impl ConfigType {
    /// The name that Connect's REST gives the type.
    pub fn name(self) -> &'static str {
        match self {
            ConfigType::Boolean => "BOOLEAN",
            ConfigType::String => "STRING",
            ConfigType::Int => "INT",
            ConfigType::Short => "SHORT",
            ConfigType::Long => "LONG",
            ConfigType::Double => "DOUBLE",
            ConfigType::List => "LIST",
            ConfigType::Class => "CLASS",
            ConfigType::Password => "PASSWORD",
        }
    }
}

/// How much a user should care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// Most users set it.
    High,
    /// Some do.
    Medium,
    /// Few do.
    Low,
}

impl Importance {
    /// The name that Connect's REST gives it.
    pub fn name(self) -> &'static str {
        match self {
            Importance::High => "HIGH",
            Importance::Medium => "MEDIUM",
            Importance::Low => "LOW",
        }
    }
}

/// What is done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is honoured.
    Honoured,
    /// It is accepted and changes nothing; the text says why.
    NoOp(&'static str),
}

/// What a value must be beyond its type.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// Anything of the type.
    Any,
    /// A number of at least this.
    AtLeast(i64),
    /// A number from the first to the second, both included.
    Between(i64, i64),
    /// One of these texts, in exactly this spelling.
    OneOf(&'static [&'static str]),
    /// Some text.
    NonEmpty,
    /// What the function says; its error is the reason, e.g. `must be a valid regular expression`.
    Custom(fn(&str) -> Result<(), String>),
}

/// The definition of one key.
#[derive(Debug, Clone)]
pub struct ConfigKey {
    /// The key.
    pub name: &'static str,
    /// The type of its value.
    pub kind: ConfigType,
    /// The default as a user would write it; `None` with `required` unset means null.
    pub default: Option<&'static str>,
    /// True when a config without the key is an error.
    pub required: bool,
    /// What a value must be.
    pub check: Check,
    /// How much a user should care.
    pub importance: Importance,
    /// One or two sentences; for options of another product in our own words.
    pub doc: &'static str,
    /// A heading to show it under.
    pub group: &'static str,
    /// A label for people; the key itself where it is empty.
    pub display_name: &'static str,
    /// What is done with it.
    pub effect: Effect,
}

impl ConfigKey {
    /// A key without default that must be given.
    pub const fn required(
        name: &'static str,
        kind: ConfigType,
        importance: Importance,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default: None,
            required: true,
            check: Check::Any,
            importance,
            doc,
            group: "",
            display_name: "",
            effect: Effect::Honoured,
        }
    }

    /// A key with a default; `None` is null.
    pub const fn optional(
        name: &'static str,
        kind: ConfigType,
        default: Option<&'static str>,
        importance: Importance,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default,
            required: false,
            check: Check::Any,
            importance,
            doc,
            group: "",
            display_name: "",
            effect: Effect::Honoured,
        }
    }

    /// With a check.
    pub const fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// Under a heading.
    pub const fn group(mut self, group: &'static str) -> Self {
        self.group = group;
        self
    }

    /// With a label for people.
    pub const fn display(mut self, display_name: &'static str) -> Self {
        self.display_name = display_name;
        self
    }

    /// Accepted without effect, and why.
    pub const fn no_op(mut self, why: &'static str) -> Self {
        self.effect = Effect::NoOp(why);
        self
    }

    /// The errors of one value: of its type and its check.
    pub fn errors(&self, value: Option<&str>) -> Vec<String> {
        let Some(value) = value.or(self.default) else {
            if self.required {
                return vec![format!(
                    "Missing required configuration \"{}\" which has no default value.",
                    self.name
                )];
            }
            return Vec::new();
        };
        if let Err(reason) = parsed::parse(self.kind, value) {
            return vec![invalid(self, value, reason)];
        }
        match check(self.check, value) {
            Ok(()) => Vec::new(),
            Err(reason) => vec![invalid(self, value, &reason)],
        }
    }
}

fn invalid(key: &ConfigKey, value: &str, reason: &str) -> String {
    let shown = if key.kind == ConfigType::Password { "[hidden]" } else { value };
    format!("Invalid value {shown} for configuration {}: {reason}", key.name)
}

fn check(check: Check, value: &str) -> Result<(), String> {
    let number = || value.trim().parse::<f64>().unwrap_or(0.0);
    #[allow(clippy::cast_precision_loss, reason = "bounds are small numbers")]
    match check {
        Check::Any => Ok(()),
        Check::AtLeast(min) | Check::Between(min, _) if number() < min as f64 => {
            Err(format!("Value must be at least {min}"))
        }
        Check::Between(_, max) if number() > max as f64 => {
            Err(format!("Value must be no more than {max}"))
        }
        Check::AtLeast(_) | Check::Between(..) => Ok(()),
        Check::OneOf(allowed) if allowed.contains(&value) => Ok(()),
        Check::OneOf(allowed) => Err(format!("String must be one of: {}", allowed.join(", "))),
        Check::NonEmpty if value.trim().is_empty() => Err("String must be non-empty".to_owned()),
        Check::NonEmpty => Ok(()),
        Check::Custom(function) => function(value),
    }
}

/// The keys of a connector, converter, transform or worker, in the order they are shown.
#[derive(Debug, Clone, Default)]
pub struct ConfigDef {
    /// The keys.
    pub keys: Vec<ConfigKey>,
}

impl ConfigDef {
    /// A definition of those keys.
    pub fn new(keys: Vec<ConfigKey>) -> Self {
        Self { keys }
    }

    /// The definition of a key.
    pub fn key(&self, name: &str) -> Option<&ConfigKey> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Every error of a config: key and text.
    pub fn errors(&self, config: &ConfigMap) -> Vec<(String, String)> {
        let of_key = |key: &ConfigKey| {
            let errors = key.errors(config.get(key.name).map(String::as_str));
            errors.into_iter().map(|error| (key.name.to_owned(), error)).collect::<Vec<_>>()
        };
        self.keys.iter().flat_map(of_key).collect()
    }

    /// The typed values, or every error.
    pub fn parse(&'static self, config: &ConfigMap) -> Result<ParsedConfig, Vec<(String, String)>> {
        let errors = self.errors(config);
        if errors.is_empty() { Ok(ParsedConfig::new(self, config)) } else { Err(errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_errors(key: ConfigKey, value: Option<&str>, expected: &[&str]) {
        assert_eq!(key.errors(value), expected, "{value:?}");
    }

    #[test]
    fn errors_have_the_words_of_kafka() {
        let tasks = || {
            ConfigKey::optional("tasks.max", ConfigType::Int, Some("1"), Importance::High, "")
                .check(Check::AtLeast(1))
        };
        check_errors(
            tasks(),
            Some("0"),
            &["Invalid value 0 for configuration tasks.max: Value must be at least 1"],
        );
        check_errors(
            tasks(),
            Some("x"),
            &["Invalid value x for configuration tasks.max: Not a number of type INT"],
        );
        check_errors(tasks(), None, &[]);
        let file = || ConfigKey::required("file", ConfigType::String, Importance::High, "");
        check_errors(
            file(),
            None,
            &["Missing required configuration \"file\" which has no default value."],
        );
        let mode = || {
            ConfigKey::optional("mode", ConfigType::String, Some("a"), Importance::Low, "")
                .check(Check::OneOf(&["a", "b"]))
        };
        check_errors(
            mode(),
            Some("c"),
            &["Invalid value c for configuration mode: String must be one of: a, b"],
        );
        let secret = || {
            ConfigKey::optional("secret", ConfigType::Password, None, Importance::Low, "")
                .check(Check::NonEmpty)
        };
        check_errors(
            secret(),
            Some(" "),
            &["Invalid value [hidden] for configuration secret: String must be non-empty"],
        );
    }
}
