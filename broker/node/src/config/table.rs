//! The shape of a configuration row, and how one value is checked against it.

use super::ConfigError;

/// One configuration key.
#[derive(Debug)]
pub(crate) struct ConfigKey {
    /// The key as Kafka spells it.
    pub(crate) name: &'static str,
    /// The type of its value.
    pub(crate) kind: KeyType,
    /// The value where nobody set one; none where the key has no value by default.
    pub(crate) default: Option<&'static str>,
    /// What a value must satisfy beyond its type.
    pub(crate) bounds: Bounds,
    /// Whether the node acts on it.
    pub(crate) effect: Effect,
    /// For a topic key, the broker keys that give its default, the strongest first.
    pub(crate) synonyms: &'static [Synonym],
    /// What the key means, for `DescribeConfigs` and the reference pages.
    pub(crate) doc: &'static str,
}

/// A broker key that sets the default of a topic key.
#[derive(Debug)]
pub(crate) struct Synonym {
    /// The broker's key.
    pub(crate) broker_key: &'static str,
    /// What one unit of the broker's key is in units of the topic's key: hours to milliseconds, say.
    pub(crate) factor: i64,
}

/// The types of Kafka's configuration values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 16 bits.
    Short,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// A floating point number.
    Double,
    /// Items separated by commas.
    List,
    /// The name of a Java class.
    Class,
    /// Text that is never shown.
    Password,
}

impl KeyType {
    /// The number of this type in a `DescribeConfigs` response.
    pub(crate) const fn wire(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Short => "SHORT",
            Self::Int => "INT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// What a value must satisfy beyond its type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bounds {
    /// Nothing more.
    Any,
    /// A number not below this.
    AtLeast(i64),
    /// A number between these, both included.
    Between(i64, i64),
    /// A level of gzip: 1 to 9, or -1.
    GzipLevel,
    /// `*`, or partitions and brokers as `0:1,1:1`.
    ThrottledReplicas,
    /// `earliest`, `latest` or `by_duration:` and a duration.
    OffsetReset,
    /// One of these words; for a list, each item.
    OneOf(&'static [&'static str]),
}

/// Whether the node acts on a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    /// It does.
    Honoured,
    /// It accepts the key and does nothing with it, for this reason.
    NoOp(&'static str),
}

impl ConfigKey {
    /// Checks a value against the type and bounds of this key.
    pub(crate) fn validate(&self, given: &str) -> Result<(), ConfigError> {
        let value = given.trim();
        // A value that is not of its type is told as it was given, one out of bounds as it was read.
        let (told, checked) = match self.kind {
            KeyType::Boolean => (given.to_owned(), check_boolean(value)),
            KeyType::Short | KeyType::Int | KeyType::Long => match self.number(value) {
                Some(number) => (number.to_string(), self.check_number(number)),
                None => (given.to_owned(), Err(self.not_a_number())),
            },
            KeyType::Double => match value.parse::<f64>() {
                Ok(number) => (print_double(number), self.check_double(number)),
                Err(_) => (given.to_owned(), Err(self.not_a_number())),
            },
            KeyType::List => return self.check_list(value),
            KeyType::String | KeyType::Class | KeyType::Password => {
                (value.to_owned(), self.check_word(value))
            }
        };
        checked.map_err(|reason| self.invalid(told, reason))
    }

    fn invalid(&self, value: String, reason: String) -> ConfigError {
        ConfigError::Invalid { name: self.name.to_owned(), value, reason }
    }

    fn not_a_number(&self) -> String {
        format!("Not a number of type {}", self.kind.name())
    }

    fn number(&self, value: &str) -> Option<i64> {
        match self.kind {
            KeyType::Short => value.parse::<i16>().ok().map(i64::from),
            KeyType::Int => value.parse::<i32>().ok().map(i64::from),
            _ => value.parse().ok(),
        }
    }

    /// A valid value as Kafka writes it: what is described, whatever the spelling that was set.
    pub(crate) fn normal(&self, value: &str) -> String {
        let value = value.trim();
        match self.kind {
            KeyType::Boolean => value.to_ascii_lowercase(),
            KeyType::Short | KeyType::Int | KeyType::Long => {
                self.number(value).map_or_else(|| value.to_owned(), |number| number.to_string())
            }
            KeyType::Double => value.parse().map_or_else(|_| value.to_owned(), print_double),
            KeyType::List => {
                let mut kept: Vec<&str> = Vec::new();
                for item in items(value) {
                    if !kept.contains(&item) {
                        kept.push(item);
                    }
                }
                kept.join(",")
            }
            KeyType::String | KeyType::Class | KeyType::Password => value.to_owned(),
        }
    }

    fn check_list(&self, value: &str) -> Result<(), ConfigError> {
        if value.is_empty() {
            return Ok(());
        }
        let items: Vec<&str> = value.split(',').map(str::trim).collect();
        match self.bounds {
            Bounds::ThrottledReplicas => {
                let is_pair = |item: &&str| {
                    let is_number = |text: &str| {
                        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
                    };
                    item.split_once(':').is_some_and(|(partition, broker)| {
                        is_number(partition) && is_number(broker)
                    })
                };
                if value == "*" || items.iter().all(is_pair) {
                    return Ok(());
                }
                let reason = format!(
                    "{} must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    self.name
                );
                Err(self.invalid(format!("[{}]", items.join(", ")), reason))
            }
            Bounds::OneOf(_) => items.iter().try_for_each(|item| {
                if item.is_empty() {
                    return Err(ConfigError::EmptyItem { name: self.name.to_owned() });
                }
                self.check_word(item).map_err(|reason| self.invalid((*item).to_owned(), reason))
            }),
            _ => Ok(()),
        }
    }

    fn check_number(&self, value: i64) -> Result<(), String> {
        match self.bounds {
            Bounds::GzipLevel if value != -1 && !(1..=9).contains(&value) => {
                Err("Value must be between 1 and 9 or equal to -1".to_owned())
            }
            Bounds::AtLeast(least) if value < least => {
                Err(format!("Value must be at least {least}"))
            }
            Bounds::Between(least, _) if value < least => {
                Err(format!("Value must be at least {least}"))
            }
            Bounds::Between(_, most) if value > most => {
                Err(format!("Value must be no more than {most}"))
            }
            _ => Ok(()),
        }
    }

    fn check_double(&self, value: f64) -> Result<(), String> {
        #[allow(clippy::cast_precision_loss)]
        match self.bounds {
            Bounds::AtLeast(least) if value < least as f64 => {
                Err(format!("Value must be at least {least}"))
            }
            Bounds::Between(least, _) if value < least as f64 => {
                Err(format!("Value must be at least {least}"))
            }
            Bounds::Between(_, most) if value > most as f64 => {
                Err(format!("Value must be no more than {most}"))
            }
            _ => Ok(()),
        }
    }

    fn check_word(&self, value: &str) -> Result<(), String> {
        match self.bounds {
            Bounds::OneOf(words) if !words.contains(&value) => {
                Err(format!("String must be one of: {}", words.join(", ")))
            }
            Bounds::OffsetReset
                if !matches!(value, "earliest" | "latest")
                    && !value.starts_with("by_duration:P") =>
            {
                Err(format!(
                    "Invalid value `{value}` for configuration {}. The value must be either 'earliest', 'latest' or of \
                     the format 'by_duration:<PnDTnHnMn.nS>'.",
                    self.name
                ))
            }
            _ => Ok(()),
        }
    }
}

fn check_boolean(value: &str) -> Result<(), String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "false" => Ok(()),
        _ => Err("Expected value to be either true or false".to_owned()),
    }
}

/// A number as Java prints it.
fn print_double(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&size) || !value.is_finite() {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => format!("{digits}E{exponent}"),
        Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
        None => text,
    }
}

/// The items of a list value; blanks around items and empty items do not count.
pub(crate) fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Declares a table of keys: `"name" Type default bounds effect [synonyms] "doc";`, one key a line.
macro_rules! config_table {
    ($($name:literal $kind:ident $default:tt $bounds:tt $effect:tt [$($synonym:literal $(* $factor:literal)?),*] $doc:literal;)*) => {
        pub(super) const TABLE: &[ConfigKey] = &[$(ConfigKey {
            name: $name,
            kind: KeyType::$kind,
            default: config_table!(@default $default),
            bounds: config_table!(@bounds $bounds),
            effect: config_table!(@effect $effect),
            synonyms: &[$($crate::config::table::Synonym { broker_key: $synonym, factor: config_table!(@factor $($factor)?) }),*],
            doc: $doc,
        }),*];
    };
    (@default none) => { None };
    (@default $value:literal) => { Some($value) };
    (@bounds any) => { Bounds::Any };
    (@bounds gzip_level) => { Bounds::GzipLevel };
    (@bounds throttled_replicas) => { Bounds::ThrottledReplicas };
    (@bounds offset_reset) => { Bounds::OffsetReset };
    (@bounds ($least:literal ..)) => { Bounds::AtLeast($least) };
    (@bounds ($least:literal to $most:literal)) => { Bounds::Between($least, $most) };
    (@bounds ($($word:literal),+)) => { Bounds::OneOf(&[$($word),+]) };
    (@effect honoured) => { Effect::Honoured };
    (@effect $why:ident) => { Effect::NoOp($why) };
    (@factor) => { 1 };
    (@factor $factor:literal) => { $factor };
}
pub(super) use config_table;
