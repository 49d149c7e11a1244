//! Compatibility levels and modes, global and of subjects.

use aquifer_registry_schema::CompatibilityLevel;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::App;
use super::exchange::{Answer, Body, Path, Query, Reply};
use crate::decide::{self, Scope};
use crate::error::ApiError;
use crate::state::subject;
use crate::view::View;

type Members = Map<String, Value>;

/// The place a path means; none is the global one, which the default context's name means too.
fn place(name: &str) -> Option<String> {
    let name = subject::normalize(name);
    (!name.is_empty()).then_some(name)
}

fn answer(mut config: Members) -> Value {
    config.shift_remove("subject");
    Value::Object(config)
}

/// What holds at a place: what is set there, or else the nearest level.
fn in_scope(view: &View, name: Option<&str>) -> Members {
    let state = view.state.read();
    let mut config = state.config(name).cloned().unwrap_or_default();
    let level = state.level_in_scope(name).unwrap_or(view.default_level);
    config.insert("compatibilityLevel".to_owned(), level.name().into());
    if let Some(normalize) = state.config_in_scope(name, "normalize") {
        config.insert("normalize".to_owned(), normalize.clone());
    }
    config
}

pub(super) async fn global(State(app): State<App>) -> Reply<Value> {
    let view = app.store.current().await?;
    Ok(Answer(answer(in_scope(&view, None))))
}

pub(super) async fn of_subject(
    State(app): State<App>,
    Path(name): Path<String>,
    query: Query,
) -> Reply<Value> {
    let view = app.store.current().await?;
    let Some(place) = place(&name) else { return Ok(Answer(answer(in_scope(&view, None)))) };
    if query.is_set("defaultToGlobal") {
        return Ok(Answer(answer(in_scope(&view, Some(&place)))));
    }
    let config = view.state.read().config(Some(&place)).cloned();
    config.map(|config| Answer(answer(config))).ok_or(ApiError::CompatibilityNotConfigured(place))
}

pub(super) async fn set_global(
    State(app): State<App>,
    Body(request): Body<Members>,
) -> Reply<Members> {
    set(&app, None, request).await
}

pub(super) async fn set_subject(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<Members>,
) -> Reply<Members> {
    if !subject::is_valid_for_config(&name) {
        return Err(ApiError::InvalidSubject(name));
    }
    set(&app, place(&name), request).await
}

async fn set(app: &App, place: Option<String>, request: Members) -> Reply<Members> {
    let members = read_update(&request)?;
    let decide = move |view: &View, _: &mut _| decide::set_config(view, place.as_deref(), &members);
    app.store.write("Update config", Scope::Everything, decide).await?;
    Ok(Answer(request))
}

/// The members to store. What we could not act on is refused rather than kept and ignored.
fn read_update(request: &Members) -> Result<Members, ApiError> {
    let mut members = Members::new();
    for (name, value) in request {
        match (name.as_str(), value) {
            ("compatibility" | "compatibilityLevel", Value::String(level)) => {
                let level =
                    CompatibilityLevel::named(level).ok_or(ApiError::InvalidCompatibility)?;
                members.insert("compatibilityLevel".to_owned(), level.name().into());
            }
            ("compatibility" | "compatibilityLevel", Value::Null) => {
                members.insert("compatibilityLevel".to_owned(), Value::Null);
            }
            ("compatibility" | "compatibilityLevel", _) => {
                return Err(ApiError::InvalidCompatibility);
            }
            ("normalize", Value::Bool(_) | Value::Null) => {
                members.insert(name.clone(), value.clone());
            }
            // Nothing set, or set to what is done anyway.
            (_, Value::Null)
            | ("validateFields" | "validateNewSchemas" | "validateRules", Value::Bool(false)) => {}
            ("compatibilityPolicy", Value::String(policy)) if policy == "STRICT" => {}
            _ => {
                return Err(ApiError::Unsupported(format!(
                    "config {name}={value} is not supported"
                )));
            }
        }
    }
    Ok(members)
}

pub(super) async fn delete_global(State(app): State<App>) -> Reply<Value> {
    delete(&app, None).await
}

pub(super) async fn delete_subject(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Reply<Value> {
    delete(&app, place(&name)).await
}

/// Answers the configuration as it was.
async fn delete(app: &App, place: Option<String>) -> Reply<Value> {
    let before = in_scope(&*app.store.current().await?, None);
    let decide = move |view: &View, _: &mut _| decide::delete_config(view, place.as_deref());
    let deleted = app.store.write("Delete config", Scope::Everything, decide).await?;
    Ok(Answer(answer(deleted.unwrap_or(before))))
}

pub(super) async fn global_mode(State(app): State<App>) -> Reply<Value> {
    let view = app.store.current().await?;
    let mode = view.state.read().mode_in_scope(None).to_owned();
    Ok(Answer(json!({"mode": mode})))
}

pub(super) async fn mode_of_subject(
    State(app): State<App>,
    Path(name): Path<String>,
    query: Query,
) -> Reply<Value> {
    let view = app.store.current().await?;
    let state = view.state.read();
    let place = place(&name);
    if place.is_none() || query.is_set("defaultToGlobal") {
        return Ok(Answer(json!({"mode": state.mode_in_scope(place.as_deref())})));
    }
    let mode = state.mode(place.as_deref()).map(str::to_owned);
    let name = place.unwrap_or_default();
    mode.map(|mode| Answer(json!({"mode": mode}))).ok_or(ApiError::ModeNotConfigured(name))
}
