//! Schemas by id, and all of them.

use std::sync::Arc;

use aquifer_registry_schema::SchemaIdentity;
use axum::extract::State;
use serde_json::{Map, Value};

use super::exchange::{self, Answer, Path, Query, Reply, apart};
use super::subject::describe;
use super::{App, server};
use crate::error::ApiError;
use crate::state::{Lookup, StoredSchema, Version, record, subject};
use crate::view::View;

/// The most schemas one list answers.
const LIST_MAX: usize = 1_000;

pub(super) async fn types() -> Answer<Vec<&'static str>> {
    Answer(server::type_names())
}

pub(super) async fn list(State(app): State<App>, query: Query) -> Reply<Vec<Value>> {
    let view = app.store.current().await?;
    let state = view.state.read();
    let lookup = if query.is_set("deleted") { Lookup::WithDeleted } else { Lookup::Live };
    let prefix = query.text("subjectPrefix").unwrap_or(subject::ALL_CONTEXTS);
    let latest_only = query.is_set("latestOnly");
    let mut found = Vec::new();
    for name in state.subject_names(prefix, lookup) {
        let versions = state.versions(&name, lookup);
        let skip = if latest_only { versions.len().saturating_sub(1) } else { 0 };
        found.extend(versions.into_iter().skip(skip).map(|version| (name.clone(), version)));
    }
    let page = query.page(found, LIST_MAX)?;
    Ok(Answer(page.iter().map(|(name, version)| describe(name, version, None)).collect()))
}

/// Finds an id; one that is unknown here may have been given out elsewhere, so the brokers are asked.
async fn find(app: &App, text: &str, query: &Query) -> Result<(Arc<View>, Found), ApiError> {
    let id = exchange::id(text)?;
    let name = query.text("subject").unwrap_or_default();
    let context = subject::context_of(name).to_owned();
    let mut view = app.store.view()?;
    let mut schema = view.state.read().by_id(&context, id);
    if schema.is_none() {
        view = app.store.current().await?;
        schema = view.state.read().by_id(&context, id);
    }
    let schema = schema.ok_or(ApiError::IdNotFound(id))?;
    Ok((view, Found { id, context, schema }))
}

struct Found {
    id: i32,
    context: String,
    schema: Arc<StoredSchema>,
}

impl Found {
    /// A name within the schema's context, to resolve its references from.
    fn parent(&self) -> String {
        format!(":{}:", self.context)
    }
}

pub(super) async fn by_id(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Reply<Value> {
    let (view, found) = find(&app, &id, &query).await?;
    let text = formatted(view.clone(), found.parent(), found.schema.clone(), &query).await?;
    let schema = &found.schema;
    let mut answer = Map::new();
    if let Some(name) = query.text("subject").filter(|name| !name.is_empty()) {
        let name = subject::normalize(name);
        let state = view.state.read();
        let of_id = state.versions_of_id(&found.context, found.id, Lookup::WithDeleted);
        if let Some((name, version)) =
            of_id.into_iter().flatten().find(|(subject, _)| *subject == name)
        {
            answer.insert("subject".into(), name.into());
            answer.insert("version".into(), version.into());
        }
    }
    describe_schema(schema, text, &mut answer);
    if query.is_set("fetchMaxId") {
        let highest = view.state.read().id_max(&found.context);
        answer
            .insert("maxId".into(), highest.max(view.marks.read().highest(&found.context)).into());
    }
    Ok(Answer(Value::Object(answer)))
}

/// What a schema is, wherever it is registered.
fn describe_schema(schema: &StoredSchema, text: String, answer: &mut Map<String, Value>) {
    answer.insert("guid".into(), schema.identity.guid().into());
    answer.insert("schemaType".into(), schema.schema_type.clone().into());
    answer.insert("schema".into(), text.into());
    if !schema.references.is_empty() {
        let references = schema.references.iter().map(record::reference_value).collect();
        answer.insert("references".into(), Value::Array(references));
    }
    for (name, value) in [("metadata", &schema.metadata), ("ruleSet", &schema.rule_set)] {
        if let Some(value) = value {
            answer.insert(name.into(), value.clone());
        }
    }
}

/// The schema with an identity, in whichever context it is.
pub(super) async fn by_guid(
    State(app): State<App>,
    Path(guid): Path<String>,
    query: Query,
) -> Reply<Value> {
    let identity = SchemaIdentity::of_guid(&guid).ok_or(ApiError::SchemaNotFound)?;
    let mut view = app.store.view()?;
    let mut found = view.state.read().by_identity(&identity);
    if found.is_none() {
        view = app.store.current().await?;
        found = view.state.read().by_identity(&identity);
    }
    let (context, schema) = found.ok_or(ApiError::SchemaNotFound)?;
    let text = formatted(view, format!(":{context}:"), schema.clone(), &query).await?;
    let mut answer = Map::new();
    describe_schema(&schema, text, &mut answer);
    Ok(Answer(Value::Object(answer)))
}

pub(super) async fn text(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Result<String, ApiError> {
    let (view, found) = find(&app, &id, &query).await?;
    formatted(view, found.parent(), found.schema, &query).await
}

/// A schema's text, with references written out if `format=resolved` asks for it; other formats are as none.
pub(super) async fn formatted(
    view: Arc<View>,
    parent: String,
    schema: Arc<StoredSchema>,
    query: &Query,
) -> Result<String, ApiError> {
    let resolved =
        query.text("format").is_some_and(|format| format.eq_ignore_ascii_case("resolved"));
    if !resolved {
        return Ok(schema.text.clone());
    }
    apart(move || Ok(view.parse_stored(&parent, &schema)?.schema.resolved_text())).await
}

async fn versions_of(app: &App, text: &str, query: &Query) -> Result<Vec<(String, i32)>, ApiError> {
    let id = exchange::id(text)?;
    let lookup = if query.is_set("deleted") { Lookup::WithDeleted } else { Lookup::Live };
    let name = query.text("subject").map(subject::normalize).unwrap_or_default();
    let (context, only) = subject::split(&name);
    let view = app.store.current().await?;
    let versions = view.state.read().versions_of_id(context, id, lookup);
    let mut versions = versions.ok_or(ApiError::SchemaNotFound)?;
    if !only.is_empty() {
        versions.retain(|(subject, _)| *subject == name);
    }
    Ok(versions)
}

pub(super) async fn subjects(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Reply<Vec<String>> {
    let mut subjects: Vec<String> =
        versions_of(&app, &id, &query).await?.into_iter().map(|(subject, _)| subject).collect();
    subjects.dedup();
    Ok(Answer(query.page(subjects, usize::MAX)?))
}

pub(super) async fn versions(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Reply<Vec<Value>> {
    let versions = versions_of(&app, &id, &query).await?;
    let versions = versions
        .into_iter()
        .map(|(subject, version)| serde_json::json!({"subject": subject, "version": version}))
        .collect();
    Ok(Answer(query.page(versions, usize::MAX)?))
}

/// The ids of versions, each once, in order.
pub(super) fn ids(versions: &[Version]) -> Vec<i32> {
    let mut ids: Vec<i32> = versions.iter().map(|version| version.schema.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
