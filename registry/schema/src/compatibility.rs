//! Which earlier schemas a new one is held against, and what is said when it does not fit: Confluent's seven levels and words.

pub mod avro;

use crate::error::SchemaError;
use crate::parsed::ParsedSchema;

/// Old schemas longer than this are cut when quoted.
const QUOTED_BYTES_MAX: usize = 10 * 1024;

/// A compatibility level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CompatibilityLevel {
    /// Nothing is checked.
    None,
    /// The new schema reads what the last wrote.
    #[default]
    Backward,
    /// The new schema reads what any wrote.
    BackwardTransitive,
    /// The last schema reads what the new writes.
    Forward,
    /// Every schema reads what the new writes.
    ForwardTransitive,
    /// Both, against the last.
    Full,
    /// Both, against all.
    FullTransitive,
}

impl CompatibilityLevel {
    /// All levels.
    pub const ALL: [CompatibilityLevel; 7] = [
        CompatibilityLevel::None,
        CompatibilityLevel::Backward,
        CompatibilityLevel::BackwardTransitive,
        CompatibilityLevel::Forward,
        CompatibilityLevel::ForwardTransitive,
        CompatibilityLevel::Full,
        CompatibilityLevel::FullTransitive,
    ];

    /// The name in requests and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CompatibilityLevel::None => "NONE",
            CompatibilityLevel::Backward => "BACKWARD",
            CompatibilityLevel::BackwardTransitive => "BACKWARD_TRANSITIVE",
            CompatibilityLevel::Forward => "FORWARD",
            CompatibilityLevel::ForwardTransitive => "FORWARD_TRANSITIVE",
            CompatibilityLevel::Full => "FULL",
            CompatibilityLevel::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// The level of this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        CompatibilityLevel::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// Whether every earlier version counts, not only the last.
    #[must_use]
    pub fn is_transitive(self) -> bool {
        match self {
            CompatibilityLevel::BackwardTransitive
            | CompatibilityLevel::ForwardTransitive
            | CompatibilityLevel::FullTransitive => true,
            CompatibilityLevel::None
            | CompatibilityLevel::Backward
            | CompatibilityLevel::Forward
            | CompatibilityLevel::Full => false,
        }
    }

    fn new_reads_old(self) -> bool {
        match self {
            CompatibilityLevel::Backward
            | CompatibilityLevel::BackwardTransitive
            | CompatibilityLevel::Full
            | CompatibilityLevel::FullTransitive => true,
            CompatibilityLevel::None
            | CompatibilityLevel::Forward
            | CompatibilityLevel::ForwardTransitive => false,
        }
    }

    fn old_reads_new(self) -> bool {
        match self {
            CompatibilityLevel::Forward
            | CompatibilityLevel::ForwardTransitive
            | CompatibilityLevel::Full
            | CompatibilityLevel::FullTransitive => true,
            CompatibilityLevel::None
            | CompatibilityLevel::Backward
            | CompatibilityLevel::BackwardTransitive => false,
        }
    }
}

/// An earlier version.
#[derive(Debug, Clone, Copy)]
pub struct Previous<'a> {
    /// Its version.
    pub version: i32,
    /// The schema.
    pub schema: &'a ParsedSchema,
}

/// The messages of the newest earlier version that the new schema does not fit; none if it fits all that count.
/// `previous` is newest first.
///
/// # Errors
/// When two schemas are too intricate to be compared.
pub fn check(
    level: CompatibilityLevel,
    new: &ParsedSchema,
    previous: &[Previous<'_>],
) -> Result<Vec<String>, SchemaError> {
    let count = match (level, level.is_transitive()) {
        (CompatibilityLevel::None, _) => 0,
        (_, true) => previous.len(),
        (_, false) => 1,
    };
    for old in previous.iter().take(count) {
        let mut messages = Vec::new();
        if level.old_reads_new() {
            messages.extend(messages_between(old.schema, new, "old", "new")?);
        }
        if level.new_reads_old() {
            messages.extend(messages_between(new, old.schema, "new", "old")?);
        }
        if !messages.is_empty() {
            messages.push(format!("{{oldSchemaVersion: {}}}", old.version));
            messages.push(quoted(&old.schema.canonical_text()));
            messages
                .push(format!("{{validateFields: 'false', compatibility: '{}'}}", level.name()));
            return Ok(messages);
        }
    }
    Ok(Vec::new())
}

/// What `reader` can't read of what `writer` writes.
fn messages_between(
    reader: &ParsedSchema,
    writer: &ParsedSchema,
    reader_word: &str,
    writer_word: &str,
) -> Result<Vec<String>, SchemaError> {
    match (reader, writer) {
        (ParsedSchema::Avro(reader), ParsedSchema::Avro(writer)) => {
            Ok(avro::differences(reader, writer)?
                .iter()
                .filter(|difference| !difference.is_allowed())
                .map(|difference| difference.message(reader_word, writer_word))
                .collect())
        }
    }
}

fn quoted(text: &str) -> String {
    if text.len() <= QUOTED_BYTES_MAX {
        return format!("{{oldSchema: '{text}'}}");
    }
    let mut end = QUOTED_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{{oldSchema: <truncated> '{}...'}}", text.get(..end).unwrap_or_default())
}
