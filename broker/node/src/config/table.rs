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
    pub(crate) fn validate(&self, value: &str) -> Result<(), ConfigError> {
        self.check(value.trim()).map_err(|reason| ConfigError::Invalid {
            name: self.name.to_owned(),
            value: value.to_owned(),
            reason,
        })
    }

    fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            KeyType::Boolean => match value.to_ascii_lowercase().as_str() {
                "true" | "false" => Ok(()),
                _ => Err("Expected value to be either true or false".to_owned()),
            },
            KeyType::Short => self.check_number(value.parse::<i16>().ok().map(i64::from)),
            KeyType::Int => self.check_number(value.parse::<i32>().ok().map(i64::from)),
            KeyType::Long => self.check_number(value.parse::<i64>().ok()),
            KeyType::Double => self.check_double(value),
            KeyType::List => items(value).try_for_each(|item| self.check_word(item)),
            KeyType::String | KeyType::Class | KeyType::Password => self.check_word(value),
        }
    }

    fn check_number(&self, value: Option<i64>) -> Result<(), String> {
        let value = value.ok_or_else(|| format!("Not a number of type {}", self.kind.name()))?;
        match self.bounds {
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

    fn check_double(&self, value: &str) -> Result<(), String> {
        let value: f64 = value.parse().map_err(|_| "Not a number of type DOUBLE".to_owned())?;
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
            _ => Ok(()),
        }
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
    (@bounds ($least:literal ..)) => { Bounds::AtLeast($least) };
    (@bounds ($least:literal to $most:literal)) => { Bounds::Between($least, $most) };
    (@bounds ($($word:literal),+)) => { Bounds::OneOf(&[$($word),+]) };
    (@effect honoured) => { Effect::Honoured };
    (@effect $why:ident) => { Effect::NoOp($why) };
    (@factor) => { 1 };
    (@factor $factor:literal) => { $factor };
}
pub(super) use config_table;
