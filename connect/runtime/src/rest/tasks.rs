//! `/connectors/{connector}/tasks`: the tasks of a connector.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::RestState;
use super::connectors::status_entry;
use super::error::ApiError;
use crate::herder::{Herder, Refusal, StatusId, TaskId};
use crate::host::Restart;

/// GET /connectors/{connector}/tasks
pub(crate) async fn list(
    State(state): State<RestState>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let herder = state.herder.read();
    let tasks = herder.existing(&name)?.tasks().iter().enumerate();
    let entries = tasks.map(
        |(task, config)| json!({ "id": { "connector": name, "task": task }, "config": config }),
    );
    Ok(Json(entries.collect()))
}

/// GET /connectors/{connector}/tasks/{task}/status
pub(crate) async fn status(
    State(state): State<RestState>,
    Path((name, task)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let id = TaskId::new(&name, number(&task)?);
    let herder = state.herder.read();
    let status = herder.status(&StatusId::Task(id.clone()));
    let missing = || ApiError::not_found(format!("No status found for task {id}"));
    Ok(Json(status_entry(Some(id.task), status.ok_or_else(missing)?)))
}

/// POST /connectors/{connector}/tasks/{task}/restart
pub(crate) async fn restart(
    State(state): State<RestState>,
    Path((name, task)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let id = TaskId::new(&name, number(&task)?);
    let restart = Restart { connector: None, tasks: vec![id.clone()] };
    let decide = move |herder: &Herder| {
        let missing = || Refusal::NotFound(format!("Unknown connector: {}", id.connector));
        let connector = herder.connector(&id.connector).ok_or_else(missing)?;
        let index = usize::try_from(id.task).unwrap_or(usize::MAX);
        if index >= connector.tasks().len() {
            return Err(Refusal::NotFound(format!("Unknown task: {id}")));
        }
        Ok(Vec::new())
    };
    state.host.command(&name, restart, decide).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn number(task: &str) -> Result<u32, ApiError> {
    task.parse().map_err(|_| ApiError::not_found("HTTP 404 Not Found"))
}
