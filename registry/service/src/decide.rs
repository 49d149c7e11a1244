//! Decisions of the writer: what to append to `_schemas` for a request, and what to answer when that is durable.
//!
//! - A decision changes nothing; it may refuse.
//! - Records of one decision are appended in order. What replaces something comes before the tombstone of what it replaces.
//! - A key that was written in several spellings is written or deleted in all of them, ours last.

mod ahead;

use std::sync::Arc;

use aquifer_registry_schema::{Reference, SchemaIdentity};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::state::record::{self, Key, SchemaValue};
use crate::state::{Lookup, State, StoredSchema, Version, identity, subject};
use crate::view::{Parsed, View};
pub(crate) use ahead::{Ahead, Scope};

/// A record to append: a key, and a value or a tombstone.
pub(crate) type Record = (Vec<u8>, Option<Vec<u8>>);

/// What to write, and what to say once it is written.
#[derive(Debug)]
pub(crate) struct Decision<T> {
    pub(crate) records: Vec<Record>,
    /// A context and the highest id in it, to be marked before the records are appended.
    pub(crate) mark: Option<(String, i32)>,
    pub(crate) reply: T,
}

impl<T> Decision<T> {
    fn nothing(reply: T) -> Self {
        Self { records: Vec::new(), mark: None, reply }
    }
}

/// A schema as a request brings it.
#[derive(Debug, Clone)]
pub(crate) struct NewSchema {
    pub(crate) subject: String,
    pub(crate) schema_type: String,
    pub(crate) text: String,
    pub(crate) references: Vec<Reference>,
    pub(crate) metadata: Option<Value>,
    /// The version it must become, if that was said.
    pub(crate) version: Option<i32>,
    /// The id it must get, if that was said.
    pub(crate) id: Option<i32>,
    pub(crate) normalize: bool,
}

/// A request's schema in the form in which schemas are stored.
struct Canonical {
    parsed: Parsed,
    text: String,
    references: Vec<Reference>,
    identity: SchemaIdentity,
}

fn canonical(view: &View, new: &NewSchema) -> Result<Canonical, ApiError> {
    if new.text.trim().is_empty() {
        return Err(ApiError::InvalidSchema("Empty schema".to_owned()));
    }
    let mut references = new.references.clone();
    let mut parsed = view.parse_new(&new.subject, &new.schema_type, &new.text, &mut references)?;
    let mut text = parsed.schema.canonical_text();
    if new.normalize || view.normalizes(&new.subject) {
        references.sort();
        references.dedup();
        text = parsed.schema.normalized_text();
        parsed = view.parse_new(&new.subject, &new.schema_type, &text, &mut references)?;
    }
    let identity = identity(&text, &references, &new.metadata, &None);
    Ok(Canonical { parsed, text, references, identity })
}

/// Whether a stored schema is the same as a new one but for formatting or for references written out.
fn same_meaning(
    view: &View,
    subject: &str,
    new: &NewSchema,
    canonical: &Canonical,
    old: &Version,
) -> bool {
    let references_fit =
        old.schema.references == canonical.references || canonical.references.is_empty();
    references_fit
        && old.schema.schema_type == new.schema_type
        && old.schema.metadata == new.metadata
        && view
            .parse_stored(subject, &old.schema)
            .is_ok_and(|parsed| parsed.meaning() == canonical.parsed.meaning())
}

/// Finds a schema among a subject's versions.
pub(crate) fn look_up(view: &View, new: &NewSchema, lookup: Lookup) -> Result<Version, ApiError> {
    let canonical = canonical(view, new)?;
    let versions = view.state.read().versions(&new.subject, lookup);
    if versions.is_empty() {
        return Err(ApiError::SubjectNotFound(new.subject.clone()));
    }
    versions
        .iter()
        .rev()
        .find(|version| version.schema.identity == canonical.identity)
        .or_else(|| {
            let mut newest_first = versions.iter().rev();
            newest_first.find(|old| same_meaning(view, &new.subject, new, &canonical, old))
        })
        .cloned()
        .ok_or(ApiError::SchemaNotFound)
}

/// What keeps a schema from following these versions, oldest first.
pub(crate) fn test_compatibility(
    view: &View,
    new: &NewSchema,
    mut previous: Vec<Version>,
) -> Result<Vec<String>, ApiError> {
    let canonical = canonical(view, new)?;
    previous.reverse();
    view.incompatibilities(&new.subject, &canonical.parsed.schema, &previous)
}

/// Registers a schema, or finds that it is registered.
pub(crate) fn register(
    view: &View,
    new: &NewSchema,
    ahead: &mut Ahead,
) -> Result<Decision<Version>, ApiError> {
    check_mode(&view.state.read(), new)?;
    let canonical = canonical(view, new)?;
    let context = subject::context_of(&new.subject);
    let all = view.state.read().versions(&new.subject, Lookup::WithDeleted);
    let mut live: Vec<Version> = all.iter().filter(|version| !version.deleted).cloned().collect();
    live.reverse();
    let id = view.state.read().id_of(context, &canonical.identity);
    let id = id.or_else(|| ahead.id_of(context, &canonical.identity));
    if new.version.is_none() {
        let same = |version: &&Version| version.schema.identity == canonical.identity;
        let found = live.iter().find(same).or_else(|| {
            live.iter().find(|old| {
                id.is_none_or(|id| id == old.schema.id)
                    && same_meaning(view, &new.subject, new, &canonical, old)
            })
        });
        if let Some(found) = found {
            return Ok(Decision::nothing(found.clone()));
        }
    }
    let messages = view.incompatibilities(&new.subject, &canonical.parsed.schema, &live)?;
    if !messages.is_empty() {
        return Err(ApiError::Incompatible { subject: new.subject.clone(), messages });
    }
    let version = all.last().map_or(1, |last| last.version.saturating_add(1));
    if new.version.is_some_and(|wanted| wanted != version) {
        let reason = "Version is not one more than previous version";
        return Err(ApiError::InvalidSchema(reason.to_owned()));
    }
    let state = view.state.read();
    let id = id.unwrap_or_else(|| {
        let highest = state.id_max(context).max(view.marks.read().highest(context));
        highest.max(ahead.highest(context)).saturating_add(1)
    });
    ahead.take(context, canonical.identity, id);
    let stored = StoredSchema {
        id,
        schema_type: new.schema_type.clone(),
        text: canonical.text,
        references: canonical.references,
        metadata: new.metadata.clone(),
        rule_set: None,
        identity: canonical.identity,
    };
    let mut records = Vec::new();
    if context != subject::DEFAULT_CONTEXT && !state.declares_context(context) {
        let key = Key::Context { tenant: "default".to_owned(), context: context.to_owned() };
        records.push((key.write(), Some(record::write_context(context))));
    }
    let value = schema_value(&new.subject, version, &stored, false);
    put(&state, &Key::Schema { subject: new.subject.clone(), version }, value, &mut records);
    // Older, deleted versions with this id give way to the new one, unless something still refers to them.
    for old in all.iter().filter(|old| old.deleted && old.schema.id == id) {
        if state.referring(&new.subject, old.version, Lookup::WithDeleted).is_empty() {
            let key = Key::Schema { subject: new.subject.clone(), version: old.version };
            delete(&state, &key, &mut records);
        }
    }
    let reply = Version { version, schema: Arc::new(stored), deleted: false, timestamp_ms: None };
    Ok(Decision { records, mark: None, reply })
}

fn check_mode(state: &State, new: &NewSchema) -> Result<(), ApiError> {
    check_writable(state, Some(&new.subject))?;
    let context = subject::context_of(&new.subject);
    let importing = state.mode_in_scope(Some(&new.subject)) == "IMPORT";
    let refused = |not: &str| {
        let subject = &new.subject;
        ApiError::NotPermitted(format!(
            "Subject {subject} in context {context} is {not}in import mode"
        ))
    };
    match (importing, new.id) {
        (false, Some(_)) => Err(refused("not ")),
        // Importing with ids is not supported, and without one the mode forbids it.
        (true, _) => Err(refused("")),
        (false, None) => Ok(()),
    }
}

fn check_writable(state: &State, name: Option<&str>) -> Result<(), ApiError> {
    let mode = state.mode_in_scope(name);
    if mode.starts_with("READONLY") || mode == "FORWARD" {
        let subject = name.unwrap_or("null");
        let context = name.map_or(subject::DEFAULT_CONTEXT, subject::context_of);
        return Err(ApiError::NotPermitted(format!(
            "Subject {subject} in context {context} is in read-only mode"
        )));
    }
    Ok(())
}

fn schema_value(subject: &str, version: i32, schema: &StoredSchema, deleted: bool) -> Vec<u8> {
    SchemaValue {
        subject: subject.to_owned(),
        version,
        id: schema.id,
        schema_type: schema.schema_type.clone(),
        references: schema.references.clone(),
        metadata: schema.metadata.clone(),
        rule_set: schema.rule_set.clone(),
        schema: schema.text.clone(),
        deleted,
    }
    .write()
}

/// Writes a key in our spelling, after tombstones for the others that hold a value.
fn put(state: &State, key: &Key, value: Vec<u8>, records: &mut Vec<Record>) {
    records.extend(state.spellings(key).into_iter().map(|spelling| (spelling, None)));
    records.push((key.write(), Some(value)));
}

/// Deletes a key in every spelling.
fn delete(state: &State, key: &Key, records: &mut Vec<Record>) {
    records.extend(state.spellings(key).into_iter().map(|spelling| (spelling, None)));
    records.push((key.write(), None));
}

/// The mark that hard-deleting in a context needs first: its highest id must be remembered elsewhere.
fn mark_before_deleting(view: &View, state: &State, name: &str) -> Option<(String, i32)> {
    let context = subject::context_of(name);
    let highest = state.id_max(context);
    (view.marks.read().highest(context) < highest).then(|| (context.to_owned(), highest))
}

/// Configuration and mode go with the last version of a subject.
fn delete_settings(state: &State, name: &str, records: &mut Vec<Record>) {
    let subject = Some(name.to_owned());
    if state.mode(Some(name)).is_some() {
        delete(state, &Key::Mode { subject: subject.clone() }, records);
    }
    if state.config(Some(name)).is_some() {
        delete(state, &Key::Config { subject }, records);
    }
}

/// Whether a deletion can be undone by registering again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// The versions are hidden; their ids still resolve.
    Soft,
    /// The versions are gone; they must have been soft-deleted before.
    Hard,
}

impl Deletion {
    fn sees(self) -> Lookup {
        match self {
            Deletion::Soft => Lookup::Live,
            Deletion::Hard => Lookup::WithDeleted,
        }
    }
}

/// Deletes one version; none stands for the latest.
pub(crate) fn delete_version(
    view: &View,
    name: &str,
    version: Option<i32>,
    deletion: Deletion,
) -> Result<Decision<i32>, ApiError> {
    let state = view.state.read();
    let Some(found) = state.version(name, version, Lookup::WithDeleted) else {
        return Err(if state.has_subject(name, Lookup::WithDeleted) {
            ApiError::VersionNotFound(version.unwrap_or(-1))
        } else {
            ApiError::SubjectNotFound(name.to_owned())
        });
    };
    let version = found.version;
    match (deletion, found.deleted) {
        (Deletion::Soft, true) => {
            return Err(ApiError::VersionSoftDeleted { subject: name.to_owned(), version });
        }
        (Deletion::Hard, false) => {
            return Err(ApiError::VersionNotSoftDeleted { subject: name.to_owned(), version });
        }
        (Deletion::Soft, false) | (Deletion::Hard, true) => {}
    }
    check_writable(&state, Some(name))?;
    if !state.referring(name, version, deletion.sees()).is_empty() {
        return Err(ApiError::ReferenceExists { subject: name.to_owned(), version });
    }
    let key = Key::Schema { subject: name.to_owned(), version };
    let mut records = Vec::new();
    let mut mark = None;
    match deletion {
        Deletion::Soft => {
            put(&state, &key, schema_value(name, version, &found.schema, true), &mut records);
        }
        Deletion::Hard => {
            mark = mark_before_deleting(view, &state, name);
            delete(&state, &key, &mut records);
            if state.versions(name, Lookup::WithDeleted).len() == 1 {
                delete_settings(&state, name, &mut records);
            }
        }
    }
    Ok(Decision { records, mark, reply: version })
}

/// Deletes a subject's versions; answers which.
pub(crate) fn delete_subject(
    view: &View,
    name: &str,
    deletion: Deletion,
) -> Result<Decision<Vec<i32>>, ApiError> {
    let state = view.state.read();
    if !state.has_subject(name, Lookup::WithDeleted) {
        return Err(ApiError::SubjectNotFound(name.to_owned()));
    }
    if deletion == Deletion::Soft && !state.has_subject(name, Lookup::Live) {
        return Err(ApiError::SubjectSoftDeleted(name.to_owned()));
    }
    check_writable(&state, Some(name))?;
    let versions = state.versions(name, deletion.sees());
    for version in &versions {
        let mut referring = state.referring_subjects(name, version.version, deletion.sees());
        referring.remove(name);
        if !referring.is_empty() {
            let version = version.version;
            return Err(ApiError::ReferenceExists { subject: name.to_owned(), version });
        }
        if deletion == Deletion::Hard && !version.deleted {
            return Err(ApiError::SubjectNotSoftDeleted(name.to_owned()));
        }
    }
    let deleted: Vec<i32> = versions.iter().map(|version| version.version).collect();
    let mut records = Vec::new();
    let mut mark = None;
    match deletion {
        Deletion::Soft => {
            let until = deleted.last().copied().unwrap_or_default();
            let key = Key::DeleteSubject { subject: name.to_owned() };
            put(&state, &key, record::write_delete_subject(name, until), &mut records);
        }
        Deletion::Hard => {
            mark = mark_before_deleting(view, &state, name);
            // Newest first: a version may refer to an older one of the same subject.
            for version in deleted.iter().rev() {
                let key = Key::Schema { subject: name.to_owned(), version: *version };
                delete(&state, &key, &mut records);
            }
            delete_settings(&state, name, &mut records);
        }
    }
    Ok(Decision { records, mark, reply: deleted })
}

/// Sets members of a configuration; those not named stay.
pub(crate) fn set_config(
    view: &View,
    name: Option<&str>,
    members: &Map<String, Value>,
) -> Result<Decision<()>, ApiError> {
    let state = view.state.read();
    check_writable(&state, name)?;
    let mut config = state.config(name).cloned().unwrap_or_default();
    if let Some(name) = name {
        config.insert("subject".to_owned(), name.into());
    }
    for (member, value) in members {
        config.insert(member.clone(), value.clone());
    }
    config.retain(|_, value| !value.is_null());
    let mut records = Vec::new();
    let key = Key::Config { subject: name.map(str::to_owned) };
    put(&state, &key, Value::Object(config).to_string().into_bytes(), &mut records);
    Ok(Decision { records, mark: None, reply: () })
}

/// Removes a configuration; answers what it was. A subject without one is not found.
pub(crate) fn delete_config(
    view: &View,
    name: Option<&str>,
) -> Result<Decision<Option<Map<String, Value>>>, ApiError> {
    let state = view.state.read();
    let config = state.config(name).cloned();
    match (&config, name) {
        (None, Some(name)) => return Err(ApiError::SubjectNotFound(name.to_owned())),
        (None, None) => return Ok(Decision::nothing(None)),
        (Some(_), _) => {}
    }
    check_writable(&state, name)?;
    let mut records = Vec::new();
    delete(&state, &Key::Config { subject: name.map(str::to_owned) }, &mut records);
    Ok(Decision { records, mark: None, reply: config })
}

#[cfg(test)]
mod tests;
