//! The registry's state: a fold over the records of `_schemas`. PURE.
//!
//! - Applying the topic from its start gives the live state; `apply` can't fail, whatever a record holds.
//! - The text of a schema is held once per context, however many versions have it.
//! - Every spelling of a key that holds a value is remembered, so that deleting leaves none behind.
//! - A soft-deleted version counts for ids, versions and look-ups that ask for it; a tombstone removes it for good.
//!
//! Does not decide what to write (`decide.rs`) and does not parse schemas.

pub(crate) mod record;
pub(crate) mod subject;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aquifer_registry_schema::{CompatibilityLevel, Reference, SchemaIdentity};
use serde_json::{Map, Value};

use record::{Key, SchemaValue};

/// A schema as it is stored, shared by all versions with the same id and content.
#[derive(Debug, PartialEq)]
pub(crate) struct StoredSchema {
    pub(crate) id: i32,
    pub(crate) schema_type: String,
    pub(crate) text: String,
    pub(crate) references: Vec<Reference>,
    pub(crate) metadata: Option<Value>,
    pub(crate) rule_set: Option<Value>,
    pub(crate) identity: SchemaIdentity,
}

/// One version of a subject.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) version: i32,
    pub(crate) schema: Arc<StoredSchema>,
    pub(crate) deleted: bool,
    /// When it was written, in milliseconds since 1970.
    pub(crate) timestamp_ms: Option<i64>,
}

/// Which versions a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Those that are not deleted.
    Live,
    /// Soft-deleted ones too.
    WithDeleted,
    /// Soft-deleted ones alone.
    OnlyDeleted,
}

impl Lookup {
    fn admits(self, deleted: bool) -> bool {
        match self {
            Lookup::Live => !deleted,
            Lookup::WithDeleted => true,
            Lookup::OnlyDeleted => deleted,
        }
    }
}

/// A subject and one of its versions.
pub(crate) type SubjectVersion = (String, i32);

#[derive(Debug, Default)]
struct Context {
    /// The highest id any record has had.
    id_max: i32,
    ids: BTreeMap<i32, IdEntry>,
    identities: HashMap<SchemaIdentity, BTreeSet<i32>>,
}

#[derive(Debug)]
struct IdEntry {
    schema: Arc<StoredSchema>,
    versions: BTreeSet<SubjectVersion>,
}

/// Everything `_schemas` says.
#[derive(Debug, Default)]
pub(crate) struct State {
    subjects: BTreeMap<String, BTreeMap<i32, Version>>,
    contexts: BTreeMap<String, Context>,
    /// Contexts with a record of their own.
    declared_contexts: BTreeSet<String>,
    configs: BTreeMap<Option<String>, Map<String, Value>>,
    modes: BTreeMap<Option<String>, String>,
    referenced_by: BTreeMap<SubjectVersion, BTreeSet<SubjectVersion>>,
    /// Spellings of keys, other than the one we write, that hold a value.
    spellings: HashMap<Key, BTreeSet<Vec<u8>>>,
}

impl State {
    /// Applies one record. What is not understood changes nothing and is the answer.
    pub(crate) fn apply(
        &mut self,
        key_bytes: &[u8],
        value: Option<&[u8]>,
        timestamp_ms: Option<i64>,
    ) -> Applied {
        let Some(key) = Key::read(key_bytes) else { return Applied::NotUnderstood };
        self.note_spelling(&key, key_bytes, value.is_some());
        match (&key, value) {
            (Key::Schema { .. }, Some(value)) => {
                let Some(value) = SchemaValue::read(value) else { return Applied::NotUnderstood };
                return self.put_version(value, timestamp_ms);
            }
            (Key::Schema { subject, version }, None) => self.remove_version(subject, *version),
            (Key::Config { subject }, value) => {
                match value.map(serde_json::from_slice::<Map<String, Value>>) {
                    Some(Ok(config)) => {
                        self.configs.insert(subject.clone(), config);
                    }
                    Some(Err(_)) => return Applied::NotUnderstood,
                    None => {
                        self.configs.remove(subject);
                    }
                }
            }
            (Key::Mode { subject }, value) => {
                let mode = value.and_then(|value| {
                    let value: Value = serde_json::from_slice(value).ok()?;
                    value.get("mode")?.as_str().map(str::to_owned)
                });
                match mode {
                    Some(mode) => self.modes.insert(subject.clone(), mode),
                    None => self.modes.remove(subject),
                };
            }
            (Key::DeleteSubject { subject }, Some(value)) => {
                let value: Option<Value> = serde_json::from_slice(value).ok();
                let until = value.as_ref().and_then(|value| value.get("version")?.as_i64());
                let Some(until) = until else { return Applied::NotUnderstood };
                for version in
                    self.subjects.get_mut(subject).into_iter().flat_map(BTreeMap::values_mut)
                {
                    version.deleted |= i64::from(version.version) <= until;
                }
            }
            (Key::ClearSubject { subject }, Some(_)) => {
                let versions: Vec<i32> = self
                    .subjects
                    .get(subject)
                    .into_iter()
                    .flat_map(BTreeMap::keys)
                    .copied()
                    .collect();
                for version in versions {
                    self.remove_version(subject, version);
                }
            }
            (Key::Context { context, .. }, value) => {
                if value.is_some() {
                    self.declared_contexts.insert(context.clone());
                } else {
                    self.declared_contexts.remove(context);
                }
            }
            (Key::DeleteSubject { .. } | Key::ClearSubject { .. }, None) | (Key::Noop, _) => {}
        }
        Applied::Understood
    }

    fn note_spelling(&mut self, key: &Key, bytes: &[u8], holds_value: bool) {
        if holds_value {
            if key.write() != bytes {
                self.spellings.entry(key.clone()).or_default().insert(bytes.to_vec());
            }
        } else if let Some(spellings) = self.spellings.get_mut(key) {
            spellings.remove(bytes);
            if spellings.is_empty() {
                self.spellings.remove(key);
            }
        }
    }

    fn put_version(&mut self, value: SchemaValue, timestamp_ms: Option<i64>) -> Applied {
        self.remove_version(&value.subject, value.version);
        let place = (value.subject.clone(), value.version);
        for reference in &value.references {
            let target = (subject::within(&value.subject, &reference.subject), reference.version);
            self.referenced_by.entry(target).or_default().insert(place.clone());
        }
        let SchemaValue { subject: name, version, id, deleted, .. } = value;
        let stored = StoredSchema {
            id,
            identity: identity(&value.schema, &value.references, &value.metadata, &value.rule_set),
            schema_type: value.schema_type,
            text: value.schema,
            references: value.references,
            metadata: value.metadata,
            rule_set: value.rule_set,
        };
        let context = self.contexts.entry(subject::context_of(&name).to_owned()).or_default();
        context.id_max = context.id_max.max(id);
        let mut applied = Applied::Understood;
        let schema = match context.ids.get_mut(&id) {
            Some(entry) => {
                entry.versions.insert(place);
                if *entry.schema == stored {
                    entry.schema.clone()
                } else {
                    // Two texts under one id: the id keeps the first, the version shows its own.
                    if entry.schema.text != stored.text {
                        applied = Applied::IdReused { id };
                    }
                    Arc::new(stored)
                }
            }
            None => {
                let schema = Arc::new(stored);
                context.identities.entry(schema.identity).or_default().insert(id);
                let versions = BTreeSet::from([place]);
                context.ids.insert(id, IdEntry { schema: schema.clone(), versions });
                schema
            }
        };
        let entry = Version { version, schema, deleted, timestamp_ms };
        self.subjects.entry(name).or_default().insert(version, entry);
        applied
    }

    fn remove_version(&mut self, name: &str, version: i32) {
        let Some(versions) = self.subjects.get_mut(name) else { return };
        let Some(removed) = versions.remove(&version) else { return };
        if versions.is_empty() {
            self.subjects.remove(name);
        }
        let place = (name.to_owned(), version);
        for reference in &removed.schema.references {
            let target = (subject::within(name, &reference.subject), reference.version);
            if let Some(referring) = self.referenced_by.get_mut(&target) {
                referring.remove(&place);
                if referring.is_empty() {
                    self.referenced_by.remove(&target);
                }
            }
        }
        let Some(context) = self.contexts.get_mut(subject::context_of(name)) else { return };
        let id = removed.schema.id;
        let Some(entry) = context.ids.get_mut(&id) else { return };
        entry.versions.remove(&place);
        if entry.versions.is_empty() {
            let identity = entry.schema.identity;
            context.ids.remove(&id);
            if let Some(ids) = context.identities.get_mut(&identity) {
                ids.remove(&id);
                if ids.is_empty() {
                    context.identities.remove(&identity);
                }
            }
        }
    }

    /// The other spellings under which a key holds a value.
    pub(crate) fn spellings(&self, key: &Key) -> Vec<Vec<u8>> {
        self.spellings.get(key).into_iter().flatten().cloned().collect()
    }

    /// The subjects whose name starts with `prefix`, sorted. `:*:` stands for all contexts.
    pub(crate) fn subject_names(&self, prefix: &str, lookup: Lookup) -> Vec<String> {
        let (all_contexts, prefix) = match prefix.strip_prefix(subject::ALL_CONTEXTS) {
            Some(rest) => (true, rest.to_owned()),
            None => (false, subject::normalize(prefix)),
        };
        let (context, name_prefix) = subject::split(&prefix);
        self.subjects
            .iter()
            .filter(|(name, _)| {
                let (of, name) = subject::split(name);
                if all_contexts {
                    name.starts_with(&prefix)
                } else {
                    of == context && name.starts_with(name_prefix)
                }
            })
            .filter(|(_, versions)| versions.values().any(|version| lookup.admits(version.deleted)))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// A subject's versions, oldest first.
    pub(crate) fn versions(&self, subject: &str, lookup: Lookup) -> Vec<Version> {
        let versions = self.subjects.get(subject).into_iter().flat_map(BTreeMap::values);
        versions.filter(|version| lookup.admits(version.deleted)).cloned().collect()
    }

    /// Whether a subject has any such version.
    pub(crate) fn has_subject(&self, subject: &str, lookup: Lookup) -> bool {
        let mut versions = self.subjects.get(subject).into_iter().flat_map(BTreeMap::values);
        versions.any(|version| lookup.admits(version.deleted))
    }

    /// One version; none stands for the latest that is not deleted.
    pub(crate) fn version(
        &self,
        subject: &str,
        version: Option<i32>,
        lookup: Lookup,
    ) -> Option<Version> {
        let versions = self.subjects.get(subject)?;
        match version {
            Some(version) => versions.get(&version).filter(|found| lookup.admits(found.deleted)),
            None => versions.values().rev().find(|version| !version.deleted),
        }
        .cloned()
    }

    /// The schema of an id in a context.
    pub(crate) fn by_id(&self, context: &str, id: i32) -> Option<Arc<StoredSchema>> {
        Some(self.contexts.get(context)?.ids.get(&id)?.schema.clone())
    }

    /// A schema by its identity, with a context it is in: the default one before others.
    pub(crate) fn by_identity(
        &self,
        identity: &SchemaIdentity,
    ) -> Option<(String, Arc<StoredSchema>)> {
        self.contexts.iter().find_map(|(name, context)| {
            let id = context.identities.get(identity)?.first()?;
            Some((name.clone(), context.ids.get(id)?.schema.clone()))
        })
    }

    /// The versions of an id in a context; nothing if the id does not exist.
    pub(crate) fn versions_of_id(
        &self,
        context: &str,
        id: i32,
        lookup: Lookup,
    ) -> Option<Vec<SubjectVersion>> {
        let entry = self.contexts.get(context)?.ids.get(&id)?;
        let admitted = entry
            .versions
            .iter()
            .filter(|(subject, version)| self.version(subject, Some(*version), lookup).is_some());
        Some(admitted.cloned().collect())
    }

    /// The id a schema has in a context, if it was ever registered there.
    pub(crate) fn id_of(&self, context: &str, identity: &SchemaIdentity) -> Option<i32> {
        self.contexts.get(context)?.identities.get(identity)?.first().copied()
    }

    /// The highest id that any record of a context has had, as far as the topic still tells.
    pub(crate) fn id_max(&self, context: &str) -> i32 {
        self.contexts.get(context).map_or(0, |context| context.id_max)
    }

    /// The versions that refer to a version.
    pub(crate) fn referring(&self, subject: &str, version: i32, lookup: Lookup) -> Vec<Version> {
        let place = (subject.to_owned(), version);
        let referring = self.referenced_by.get(&place).into_iter().flatten();
        referring
            .filter_map(|(subject, version)| self.version(subject, Some(*version), lookup))
            .collect()
    }

    /// The subjects that refer to a version.
    pub(crate) fn referring_subjects(
        &self,
        subject: &str,
        version: i32,
        lookup: Lookup,
    ) -> BTreeSet<String> {
        let place = (subject.to_owned(), version);
        let referring = self.referenced_by.get(&place).into_iter().flatten();
        referring
            .filter(|(subject, version)| self.version(subject, Some(*version), lookup).is_some())
            .map(|(subject, _)| subject.clone())
            .collect()
    }

    /// The contexts that exist, the default one always.
    pub(crate) fn context_names(&self) -> BTreeSet<String> {
        let used = self.subjects.keys().map(|name| subject::context_of(name).to_owned());
        let declared = self.declared_contexts.iter().cloned();
        used.chain(declared).chain([subject::DEFAULT_CONTEXT.to_owned()]).collect()
    }

    /// Whether a context has a record of its own.
    pub(crate) fn declares_context(&self, context: &str) -> bool {
        self.declared_contexts.contains(context)
    }

    /// The configuration that was set exactly here.
    pub(crate) fn config(&self, subject: Option<&str>) -> Option<&Map<String, Value>> {
        self.configs.get(&subject.map(str::to_owned))
    }

    /// The places where a subject's configuration or mode may be set, nearest first.
    fn scopes(subject: Option<&str>) -> Vec<Option<String>> {
        let mut scopes = Vec::new();
        if let Some(subject) = subject {
            scopes.push(Some(subject.to_owned()));
            scopes.push(subject::context_subject(subject));
        } else {
            scopes.push(None);
        }
        scopes.push(Some(subject::GLOBAL_CONTEXT.to_owned()));
        scopes
    }

    /// A member of the configuration, from the nearest place that sets it.
    pub(crate) fn config_in_scope(&self, subject: Option<&str>, member: &str) -> Option<&Value> {
        Self::scopes(subject)
            .iter()
            .find_map(|scope| self.configs.get(scope)?.get(member).filter(|value| !value.is_null()))
    }

    /// The compatibility level that holds for a subject, if one was set.
    pub(crate) fn level_in_scope(&self, subject: Option<&str>) -> Option<CompatibilityLevel> {
        let level = self.config_in_scope(subject, "compatibilityLevel")?.as_str()?;
        CompatibilityLevel::named(level)
    }

    /// The mode that was set exactly here.
    pub(crate) fn mode(&self, subject: Option<&str>) -> Option<&str> {
        self.modes.get(&subject.map(str::to_owned)).map(String::as_str)
    }

    /// The mode that holds for a subject.
    pub(crate) fn mode_in_scope(&self, subject: Option<&str>) -> &str {
        let mode = Self::scopes(subject).into_iter().find_map(|scope| self.modes.get(&scope));
        mode.map_or("READWRITE", String::as_str)
    }
}

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It is in the state, or says nothing.
    Understood,
    /// Its key or value makes no sense to us; it was left out.
    NotUnderstood,
    /// It gives another text to an id that has one.
    IdReused { id: i32 },
}

/// Identity as the registry that wrote the record computed it; a rule set, which we only pass on, counts by its text.
pub(crate) fn identity(
    text: &str,
    references: &[Reference],
    metadata: &Option<Value>,
    rule_set: &Option<Value>,
) -> SchemaIdentity {
    let metadata = metadata.as_ref().map(record::metadata);
    match rule_set {
        None => SchemaIdentity::of(text, references, metadata.as_ref()),
        Some(rules) => SchemaIdentity::of(&format!("{text}{rules}"), references, metadata.as_ref()),
    }
}

#[cfg(test)]
mod tests;
