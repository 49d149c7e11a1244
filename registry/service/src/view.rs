//! The state together with parsed schemas: what decisions look at.
//!
//! - Parsing happens outside the state's lock; parsed schemas are kept up to a bound in bytes.
//! - References are resolved to their whole closure, what is needed before what needs it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use aquifer_registry_schema::{
    CompatibilityLevel, ParsedSchema, Previous, Reference, ResolvedReference, SchemaError,
    SchemaIdentity, SchemaType, compatibility,
};
use parking_lot::{Mutex, RwLock};

use crate::error::ApiError;
use crate::marks::Marks;
use crate::state::{Lookup, State, StoredSchema, Version, subject};

/// Text behind the parsed schemas that are kept; a parsed schema takes a few times its text.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many schemas the references of one may bring.
const REFERENCES_MAX: usize = 1_000;

/// What decisions look at.
pub(crate) struct View {
    pub(crate) state: RwLock<State>,
    pub(crate) marks: RwLock<Marks>,
    pub(crate) default_level: CompatibilityLevel,
    cache: Mutex<Cache>,
    /// The offset whose record tells whether a transaction took effect, and whether it was applied.
    watched: AtomicI64,
    seen: AtomicBool,
}

#[derive(Default)]
struct Cache {
    parsed: HashMap<(String, String, SchemaIdentity), Arc<Parsed>>,
    text_bytes: usize,
}

/// A parsed schema and its meaning, computed when first asked for.
pub(crate) struct Parsed {
    pub(crate) schema: ParsedSchema,
    meaning: OnceLock<String>,
}

impl Parsed {
    pub(crate) fn new(schema: ParsedSchema) -> Self {
        Self { schema, meaning: OnceLock::new() }
    }

    pub(crate) fn meaning(&self) -> &str {
        self.meaning.get_or_init(|| self.schema.meaning())
    }
}

impl View {
    pub(crate) fn new(topic: &str, default_level: CompatibilityLevel) -> Self {
        Self {
            state: RwLock::default(),
            marks: RwLock::new(Marks::new(topic)),
            default_level,
            cache: Mutex::default(),
            watched: AtomicI64::new(-1),
            seen: AtomicBool::new(false),
        }
    }

    /// Looks out for the record at an offset from now on: it must not have been applied yet.
    pub(crate) fn watch(&self, offset: i64) {
        self.seen.store(false, Ordering::Release);
        self.watched.store(offset, Ordering::Release);
    }

    /// Notes that the record at an offset is applied.
    pub(crate) fn witness(&self, offset: i64) {
        if self.watched.load(Ordering::Acquire) == offset {
            self.seen.store(true, Ordering::Release);
        }
    }

    /// Whether the record that was looked out for was applied.
    pub(crate) fn witnessed(&self, offset: i64) -> bool {
        self.watched.load(Ordering::Acquire) == offset && self.seen.load(Ordering::Acquire)
    }

    /// The level that holds for a subject.
    pub(crate) fn level(&self, subject: &str) -> CompatibilityLevel {
        self.state.read().level_in_scope(Some(subject)).unwrap_or(self.default_level)
    }

    /// Whether schemas of a subject are normalised without being asked.
    pub(crate) fn normalizes(&self, subject: &str) -> bool {
        let state = self.state.read();
        state.config_in_scope(Some(subject), "normalize").and_then(serde_json::Value::as_bool)
            == Some(true)
    }

    /// Parses a schema that is not stored yet; references to the latest version get its number.
    pub(crate) fn parse_new(
        &self,
        parent: &str,
        schema_type: &str,
        text: &str,
        references: &mut [Reference],
    ) -> Result<Parsed, ApiError> {
        let of_type = |err: &SchemaError| ApiError::of_schema(schema_type, err);
        let format = SchemaType::named(schema_type).map_err(|err| of_type(&err))?;
        let resolved = self.resolve(parent, references, Lookup::WithDeleted)?;
        parse(format, text, &resolved).map(Parsed::new).map_err(|err| of_type(&err))
    }

    /// Parses a stored schema, or finds it parsed.
    pub(crate) fn parse_stored(
        &self,
        parent: &str,
        stored: &StoredSchema,
    ) -> Result<Arc<Parsed>, ApiError> {
        let context = subject::context_of(parent).to_owned();
        let key = (context, stored.schema_type.clone(), stored.identity);
        if let Some(parsed) = self.cache.lock().parsed.get(&key) {
            return Ok(parsed.clone());
        }
        let mut references = stored.references.clone();
        let parsed =
            Arc::new(self.parse_new(parent, &stored.schema_type, &stored.text, &mut references)?);
        let mut cache = self.cache.lock();
        if cache.text_bytes + stored.text.len() > CACHE_BYTES_MAX {
            *cache = Cache::default();
        }
        cache.text_bytes += stored.text.len();
        cache.parsed.insert(key, parsed.clone());
        Ok(parsed)
    }

    /// The schemas behind references, those they need themselves before them.
    fn resolve(
        &self,
        parent: &str,
        references: &mut [Reference],
        lookup: Lookup,
    ) -> Result<Vec<(String, Arc<StoredSchema>)>, ApiError> {
        let state = self.state.read();
        let mut closure =
            Closure { state: &state, lookup, seen: HashSet::new(), found: Vec::new(), depth: 0 };
        closure.add(parent, references)?;
        Ok(closure.found)
    }

    /// What keeps a schema from following these versions, newest first; nothing if it may.
    pub(crate) fn incompatibilities(
        &self,
        subject: &str,
        new: &ParsedSchema,
        previous: &[Version],
    ) -> Result<Vec<String>, ApiError> {
        let level = self.level(subject);
        let count = match (level, level.is_transitive()) {
            (CompatibilityLevel::None, _) => 0,
            (_, true) => previous.len(),
            (_, false) => 1,
        };
        for old in previous.iter().take(count) {
            let messages = if old.schema.schema_type == new.schema_type().name() {
                let parsed = self.parse_stored(subject, &old.schema)?;
                let old = Previous { version: old.version, schema: &parsed.schema };
                compatibility::check(level, new, &[old]).map_err(|err| {
                    ApiError::InvalidSchema(format!("Schemas can't be compared, details: {err}"))
                })?
            } else {
                vec![
                    "Incompatible because of different schema type".to_owned(),
                    format!("{{validateFields: 'false', compatibility: '{}'}}", level.name()),
                ]
            };
            if !messages.is_empty() {
                return Ok(messages);
            }
        }
        Ok(Vec::new())
    }
}

fn parse(
    format: SchemaType,
    text: &str,
    resolved: &[(String, Arc<StoredSchema>)],
) -> Result<ParsedSchema, SchemaError> {
    let references: Vec<ResolvedReference<'_>> = resolved
        .iter()
        .map(|(name, stored)| ResolvedReference { name, text: &stored.text })
        .collect();
    ParsedSchema::parse(format, text, &references)
}

/// Collects what references lead to.
struct Closure<'a> {
    state: &'a State,
    lookup: Lookup,
    seen: HashSet<String>,
    found: Vec<(String, Arc<StoredSchema>)>,
    depth: usize,
}

impl Closure<'_> {
    fn add(&mut self, parent: &str, references: &mut [Reference]) -> Result<(), ApiError> {
        if self.depth + self.found.len() > REFERENCES_MAX {
            return Err(ApiError::InvalidSchema(format!(
                "Schema has more than {REFERENCES_MAX} references"
            )));
        }
        for reference in references {
            let target = subject::within(parent, &reference.subject);
            let wanted = Some(reference.version).filter(|version| *version != -1);
            let Some(version) = self.state.version(&target, wanted, self.lookup) else {
                return Err(ApiError::InvalidSchema(format!(
                    "No schema reference found for subject \"{target}\" and version {}",
                    reference.version
                )));
            };
            reference.version = version.version;
            if !self.seen.insert(reference.name.clone()) {
                continue;
            }
            self.depth += 1;
            self.add(&target, &mut version.schema.references.clone())?;
            self.depth -= 1;
            self.found.push((reference.name.clone(), version.schema));
        }
        Ok(())
    }
}
