//! Trying a schema against registered ones without registering it.

use axum::extract::State;
use serde_json::{Value, json};

use super::App;
use super::exchange::{self, Answer, Body, Path, Query, Reply, apart};
use super::subject::SchemaRequest;
use crate::decide;
use crate::error::ApiError;
use crate::state::{Lookup, Version, subject};

pub(super) async fn against_one(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
    query: Query,
    Body(request): Body<SchemaRequest>,
) -> Reply<Value> {
    let name = subject::normalize(&name);
    let wanted = exchange::version(&version)?;
    let view = app.store.current().await?;
    let found = view.state.read().version(&name, wanted, Lookup::Live);
    // Anything may be the first version of a subject, so "latest" of none fits.
    if let (None, Some(version)) = (&found, wanted) {
        return Err(ApiError::VersionNotFound(version));
    }
    test(&app, &name, query, request, found.into_iter().collect()).await
}

pub(super) async fn against_all(
    State(app): State<App>,
    Path(name): Path<String>,
    query: Query,
    Body(request): Body<SchemaRequest>,
) -> Reply<Value> {
    let name = subject::normalize(&name);
    let versions = app.store.current().await?.state.read().versions(&name, Lookup::Live);
    test(&app, &name, query, request, versions).await
}

async fn test(
    app: &App,
    name: &str,
    query: Query,
    request: SchemaRequest,
    previous: Vec<Version>,
) -> Reply<Value> {
    let new = request.into_new(name, &query)?;
    let view = app.store.view()?;
    let verbose = query.is_set("verbose");
    let messages = match apart(move || decide::test_compatibility(&view, &new, previous)).await {
        Err(ApiError::InvalidSchema(reason)) if verbose => vec![reason],
        other => other?,
    };
    let mut answer = json!({"is_compatible": messages.is_empty()});
    if verbose && !messages.is_empty() {
        answer["messages"] = messages.into();
    }
    Ok(Answer(answer))
}
