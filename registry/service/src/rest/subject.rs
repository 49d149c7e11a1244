//! Subjects and their versions: listing, looking up, registering, deleting.

use aquifer_registry_schema::Reference;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::App;
use super::exchange::{self, Answer, Body, Path, Query, Reply, apart};
use super::schema::{formatted, ids};
use crate::decide::{self, Deletion, NewSchema, Scope};
use crate::error::ApiError;
use crate::state::{Lookup, Version, record, subject};

/// The body of a registration, a look-up or a compatibility check.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SchemaRequest {
    schema: Option<String>,
    schema_type: Option<String>,
    references: Option<Vec<RequestReference>>,
    metadata: Option<Value>,
    rule_set: Option<Value>,
    version: Option<i32>,
    id: Option<i32>,
}

#[derive(Debug, Deserialize)]
struct RequestReference {
    name: String,
    subject: String,
    #[serde(default = "latest")]
    version: i32,
}

fn latest() -> i32 {
    -1
}

impl SchemaRequest {
    pub(super) fn into_new(self, name: &str, query: &Query) -> Result<NewSchema, ApiError> {
        if self.rule_set.as_ref().is_some_and(|rules| !says_nothing(rules)) {
            return Err(ApiError::Unsupported("rule sets are not supported".to_owned()));
        }
        let references = self.references.unwrap_or_default().into_iter();
        Ok(NewSchema {
            subject: name.to_owned(),
            schema_type: self
                .schema_type
                .filter(|of| !of.is_empty())
                .unwrap_or_else(|| "AVRO".to_owned()),
            text: self.schema.unwrap_or_default(),
            references: references
                .map(|RequestReference { name, subject, version }| Reference {
                    name,
                    subject,
                    version,
                })
                .collect(),
            metadata: self.metadata.filter(|metadata| metadata.is_object()),
            version: self.version.filter(|version| *version > 0),
            id: self.id.filter(|id| *id >= 0),
            normalize: query.is_set("normalize"),
        })
    }
}

/// Whether a value holds nothing but empty lists and objects.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(says_nothing),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A version as it is answered; what is empty is left out.
pub(super) fn describe(name: &str, version: &Version, text: Option<String>) -> Value {
    let schema = &version.schema;
    let mut answer = Map::new();
    answer.insert("subject".into(), name.into());
    answer.insert("version".into(), version.version.into());
    answer.insert("id".into(), schema.id.into());
    answer.insert("guid".into(), schema.identity.guid().into());
    answer.insert("schemaType".into(), schema.schema_type.clone().into());
    if !schema.references.is_empty() {
        let references = schema.references.iter().map(record::reference_value).collect();
        answer.insert("references".into(), Value::Array(references));
    }
    for (member, value) in [("metadata", &schema.metadata), ("ruleSet", &schema.rule_set)] {
        if let Some(value) = value {
            answer.insert(member.into(), value.clone());
        }
    }
    answer.insert("schema".into(), text.unwrap_or_else(|| schema.text.clone()).into());
    if let Some(timestamp_ms) = version.timestamp_ms {
        answer.insert("ts".into(), timestamp_ms.into());
    }
    if version.deleted {
        answer.insert("deleted".into(), true.into());
    }
    Value::Object(answer)
}

fn lookup(query: &Query) -> Lookup {
    match (query.is_set("deletedOnly"), query.is_set("deleted")) {
        (true, _) => Lookup::OnlyDeleted,
        (false, true) => Lookup::WithDeleted,
        (false, false) => Lookup::Live,
    }
}

fn deletion(query: &Query) -> Deletion {
    if query.is_set("permanent") { Deletion::Hard } else { Deletion::Soft }
}

pub(super) async fn list(State(app): State<App>, query: Query) -> Reply<Vec<String>> {
    let prefix = query.text("subjectPrefix").unwrap_or(subject::ALL_CONTEXTS);
    let names = app.store.current().await?.state.read().subject_names(prefix, lookup(&query));
    Ok(Answer(query.page(names, usize::MAX)?))
}

pub(super) async fn look_up(
    State(app): State<App>,
    Path(name): Path<String>,
    query: Query,
    Body(request): Body<SchemaRequest>,
) -> Reply<Value> {
    let name = subject::normalize(&name);
    let new = request.into_new(&name, &query)?;
    let view = app.store.current().await?;
    let lookup = lookup(&query);
    let found = apart(move || decide::look_up(&view, &new, lookup)).await?;
    Ok(Answer(describe(&name, &found, None)))
}

pub(super) async fn register(
    State(app): State<App>,
    Path(name): Path<String>,
    query: Query,
    Body(request): Body<SchemaRequest>,
) -> Reply<Value> {
    if !subject::is_valid(&name) {
        return Err(ApiError::InvalidSubject(name));
    }
    let name = subject::normalize(&name);
    let new = request.into_new(&name, &query)?;
    let scope = Scope::of(&new);
    let decide = move |view: &_, ahead: &mut _| decide::register(view, &new, ahead);
    let version = app.store.write("Register", scope, decide).await?;
    let mut answer = describe(&name, &version, None);
    if let Some(members) = answer.as_object_mut() {
        members.shift_remove("subject");
    }
    Ok(Answer(answer))
}

pub(super) async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    query: Query,
) -> Reply<Vec<i32>> {
    let name = subject::normalize(&name);
    let deletion = deletion(&query);
    let decide = move |view: &_, _: &mut _| decide::delete_subject(view, &name, deletion);
    Ok(Answer(app.store.write("Delete subject", Scope::Everything, decide).await?))
}

pub(super) async fn versions(
    State(app): State<App>,
    Path(name): Path<String>,
    query: Query,
) -> Reply<Vec<i32>> {
    let name = subject::normalize(&name);
    let view = app.store.current().await?;
    let versions = view.state.read().versions(&name, lookup(&query));
    if versions.is_empty() {
        return Err(ApiError::SubjectNotFound(name));
    }
    let negative = query.is_set("deletedAsNegative");
    let number = |version: &Version| {
        if negative && version.deleted { -version.version } else { version.version }
    };
    Ok(Answer(query.page(versions.iter().map(number).collect(), usize::MAX)?))
}

/// Finds a version; only a numbered one that is here already needs no question to the brokers.
async fn find(app: &App, name: &str, version: &str, query: &Query) -> Result<Version, ApiError> {
    let wanted = exchange::version(version)?;
    let view = app.store.current().await?;
    let state = view.state.read();
    let lookup = lookup(query);
    state.version(name, wanted, lookup).ok_or_else(|| {
        if state.has_subject(name, lookup) {
            ApiError::VersionNotFound(wanted.unwrap_or(-1))
        } else {
            ApiError::SubjectNotFound(name.to_owned())
        }
    })
}

pub(super) async fn version(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
    query: Query,
) -> Reply<Value> {
    let name = subject::normalize(&name);
    let found = find(&app, &name, &version, &query).await?;
    let view = app.store.view()?;
    let text = formatted(view, name.clone(), found.schema.clone(), &query).await?;
    Ok(Answer(describe(&name, &found, Some(text))))
}

pub(super) async fn text(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
    query: Query,
) -> Result<String, ApiError> {
    let name = subject::normalize(&name);
    let found = find(&app, &name, &version, &query).await?;
    formatted(app.store.view()?, name, found.schema, &query).await
}

pub(super) async fn referenced_by(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
    query: Query,
) -> Reply<Vec<i32>> {
    let name = subject::normalize(&name);
    let found = find(&app, &name, &version, &query).await?;
    let view = app.store.view()?;
    let referring = view.state.read().referring(&name, found.version, lookup(&query));
    Ok(Answer(query.page(ids(&referring), usize::MAX)?))
}

pub(super) async fn delete_version(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
    query: Query,
) -> Reply<i32> {
    let name = subject::normalize(&name);
    let version = exchange::version(&version)?;
    let deletion = deletion(&query);
    let decide = move |view: &_, _: &mut _| decide::delete_version(view, &name, version, deletion);
    Ok(Answer(app.store.write("Delete Schema Version", Scope::Everything, decide).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(body: &str) -> Result<NewSchema, ApiError> {
        let request: SchemaRequest = exchange::object(body.as_bytes())?;
        request.into_new("s", &Query::default())
    }

    #[test]
    fn rule_set_without_rules_is_none() {
        for rules in ["null", "{}", r#"{"migrationRules":null,"domainRules":[]}"#] {
            let body = format!(r#"{{"schema":"\"int\"","ruleSet":{rules}}}"#);
            assert_eq!(new(&body).unwrap().text, "\"int\"", "{rules}");
        }
        let rules = r#"{"schema":"\"int\"","ruleSet":{"domainRules":[{"name":"r"}]}}"#;
        assert!(matches!(new(rules), Err(ApiError::Unsupported(_))));
    }

    #[test]
    fn schema_type_defaults_to_avro_and_unknown_members_are_ignored() {
        for of in ["", r#","schemaType":null"#, r#","schemaType":"""#, r#","more":{"a":[1]}"#] {
            let body = format!(r#"{{"schema":"\"int\""{of}}}"#);
            assert_eq!(new(&body).unwrap().schema_type, "AVRO", "{of}");
        }
    }
}
