//! `/connectors` and what is said of a connector as a whole.

use std::sync::Arc;
use std::time::Duration;

use aquifer_connect_api::config::ConfigMap;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::RestState;
use super::error::ApiError;
use crate::config::validation::{Report, validate};
use crate::herder::{
    Connector, Herder, State as TaskState, Status, StatusId, TargetState, TaskId, config_of,
};
use crate::host::Restart;
use crate::task::panicked;

/// How long a connector may take to check a config with the outside.
const VALIDATION_TIMEOUT: Duration = Duration::from_secs(60);

/// GET /connectors
pub(crate) async fn list(State(state): State<RestState>, RawQuery(query): RawQuery) -> Json<Value> {
    let query = query.unwrap_or_default();
    let expanded = |what: &str| query.split('&').any(|pair| pair == format!("expand={what}"));
    let (status, info) = (expanded("status"), expanded("info"));
    let expand = query.split('&').any(|pair| pair.starts_with("expand="));
    let herder = state.herder.read();
    if !expand {
        return Json(herder.connectors().map(|(name, _)| name).collect());
    }
    let mut all = Map::new();
    for (name, connector) in herder.connectors() {
        let mut entry = Map::new();
        if status && let Some(body) = status_body(&state, &herder, name) {
            entry.insert("status".to_owned(), body);
        }
        if info {
            entry.insert("info".to_owned(), info_body(&state, name, connector));
        }
        all.insert(name.to_owned(), Value::Object(entry));
    }
    Json(Value::Object(all))
}

/// POST /connectors
pub(crate) async fn create(
    State(state): State<RestState>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request = object(&body)?;
    if let Some(unknown) =
        request.keys().find(|key| !["name", "config", "initial_state"].contains(&key.as_str()))
    {
        let text = format!(
            "Unrecognized field \"{unknown}\" (3 known properties: \"config\", \"name\", \"initial_state\")"
        );
        return Err(ApiError::bad_request(text));
    }
    let name = request.get("name").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let Some(Value::Object(config)) = request.get("config") else {
        return Err(ApiError::bad_request("\"config\" is missing or is not an object"));
    };
    let initial = match request.get("initial_state").filter(|state| !state.is_null()) {
        None => None,
        Some(state) => Some(initial_state(state)?),
    };
    let config = named_config(&name, read_config(config)?)?;
    state.checked(&config).await?;
    let (new_name, new_config) = (name.clone(), config);
    let decide = move |herder: &Herder| herder.decide_create(&new_name, new_config, initial);
    state.host.command(&name, Restart::default(), decide).await?;
    tracing::info!(connector = name, "connector created");
    created(&state, &name)
}

/// GET /connectors/{connector}
pub(crate) async fn info(
    State(state): State<RestState>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let herder = state.herder.read();
    Ok(Json(info_body(&state, &name, herder.existing(&name)?)))
}

/// GET /connectors/{connector}/config
pub(crate) async fn config(
    State(state): State<RestState>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let herder = state.herder.read();
    Ok(Json(json!(herder.existing(&name)?.config())))
}

/// PUT /connectors/{connector}/config
pub(crate) async fn put_config(
    State(state): State<RestState>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let config = named_config(&name, read_config(&object(&body)?)?)?;
    state.checked(&config).await?;
    let new = state.herder.read().connector(&name).is_none();
    let key = name.clone();
    let decide = move |herder: &Herder| Ok(herder.decide_config(&key, config));
    state.host.command(&name, Restart::default(), decide).await?;
    tracing::info!(connector = name, new, "connector configured");
    if new { created(&state, &name) } else { Ok(info_of(&state, &name)?.into_response()) }
}

/// PATCH /connectors/{connector}/config: null removes a key.
pub(crate) async fn patch_config(
    State(state): State<RestState>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let patch = object(&body)?;
    let old = state.herder.read().existing(&name)?.config().cloned().unwrap_or_default();
    check_values(&patch)?;
    let (given, removed) = config_of(&patch);
    let mut config = old;
    for key in removed {
        config.shift_remove(&key);
    }
    config.extend(given);
    let config = named_config(&name, config)?;
    state.checked(&config).await?;
    let key = name.clone();
    let decide = move |herder: &Herder| {
        herder.existing(&key)?;
        Ok(herder.decide_config(&key, config))
    };
    state.host.command(&name, Restart::default(), decide).await?;
    info_of(&state, &name)
}

/// DELETE /connectors/{connector}
pub(crate) async fn remove(
    State(state): State<RestState>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let key = name.clone();
    let decide = move |herder: &Herder| herder.decide_delete(&key);
    state.host.command(&name, Restart::default(), decide).await?;
    tracing::info!(connector = name, "connector deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// GET /connectors/{connector}/status
pub(crate) async fn status(
    State(state): State<RestState>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let herder = state.herder.read();
    let missing = || ApiError::not_found(format!("No status found for connector {name}"));
    status_body(&state, &herder, &name).map(Json).ok_or_else(missing)
}

/// PUT /connectors/{connector}/pause
pub(crate) async fn pause(
    State(state): State<RestState>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.target(name, TargetState::Paused).await?;
    Ok(StatusCode::ACCEPTED)
}

/// PUT /connectors/{connector}/resume
pub(crate) async fn resume(
    State(state): State<RestState>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.target(name, TargetState::Started).await?;
    Ok(StatusCode::ACCEPTED)
}

/// PUT /connectors/{connector}/stop
pub(crate) async fn stop(
    State(state): State<RestState>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.target(name, TargetState::Stopped).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST /connectors/{connector}/restart
pub(crate) async fn restart(
    State(state): State<RestState>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = query.unwrap_or_default();
    let flag = |key: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    };
    let (include_tasks, only_failed) = (flag("includeTasks"), flag("onlyFailed"));
    let (restart, body) = {
        let herder = state.herder.read();
        restart_plan(&state, &herder, &name, include_tasks, only_failed)
    };
    let key = name.clone();
    let decide = move |herder: &Herder| herder.decide_restart(&key, include_tasks, only_failed);
    state.host.command(&name, restart, decide).await?;
    if !include_tasks && !only_failed {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// What a restart touches, and the status body that says so.
fn restart_plan(
    state: &RestState,
    herder: &Herder,
    name: &str,
    include_tasks: bool,
    only_failed: bool,
) -> (Restart, Value) {
    let mut body = status_body(state, herder, name).unwrap_or_default();
    let touched = |status: &Status| !only_failed || status.state == TaskState::Failed;
    let mut restart = Restart::default();
    if herder.status(&StatusId::Connector(name.to_owned())).is_none_or(touched) {
        restart.connector = Some(name.to_owned());
        restarting(body.get_mut("connector"));
    }
    if include_tasks {
        let tasks = herder.task_statuses(name).into_iter().filter(|(_, status)| touched(status));
        restart.tasks = tasks.map(|(task, _)| TaskId::new(name, task)).collect();
        for task in body.get_mut("tasks").and_then(Value::as_array_mut).into_iter().flatten() {
            let id = task.get("id").and_then(Value::as_u64);
            if restart.tasks.iter().any(|touched| id == Some(u64::from(touched.task))) {
                restarting(Some(task));
            }
        }
    }
    (restart, body)
}

fn restarting(entry: Option<&mut Value>) {
    if let Some(Value::Object(entry)) = entry {
        entry.insert("state".to_owned(), json!(TaskState::Restarting.name()));
        entry.remove("trace");
    }
}

impl RestState {
    /// Validates a config; every error of it is the answer, and what changes nothing is logged.
    async fn checked(&self, config: &ConfigMap) -> Result<(), ApiError> {
        let report = self.validated(config).await?;
        if report.error_count() > 0 {
            return Err(ApiError::bad_request(report.message()));
        }
        let name = config.get("name").map(String::as_str).unwrap_or_default();
        if !report.unknown.is_empty() {
            let keys = report.unknown.join(", ");
            tracing::warn!(connector = name, keys, "keys that nothing in this config knows");
        }
        for (key, why) in &report.no_op {
            tracing::info!(connector = name, key, why, "key has no effect");
        }
        Ok(())
    }

    /// What validation finds, in limited time.
    pub(super) async fn validated(&self, config: &ConfigMap) -> Result<Report, ApiError> {
        let (context, config) = (Arc::clone(&self.context), config.clone());
        // A connector's code runs where a panic can be caught.
        let validation =
            tokio::spawn(
                async move { validate(&context.plugins, &context.settings, &config).await },
            );
        match tokio::time::timeout(VALIDATION_TIMEOUT, validation).await {
            Ok(Ok(Ok(report))) => Ok(report),
            Ok(Ok(Err(text))) => Err(ApiError::bad_request(text)),
            Ok(Err(error)) => Err(ApiError::internal(panicked(error).to_string())),
            Err(_) => Err(ApiError::internal(
                "Request timed out. The worker is currently validating the connector configuration.",
            )),
        }
    }

    async fn target(&self, name: String, target: TargetState) -> Result<(), ApiError> {
        let key = name.clone();
        let decide = move |herder: &Herder| herder.decide_target(&key, target);
        Ok(self.host.command(&name, Restart::default(), decide).await?)
    }
}

/// A request's body as a JSON object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ApiError::bad_request("the request body must be a JSON object")),
        Err(error) => Err(ApiError::bad_request(format!("the request body is not JSON: {error}"))),
    }
}

/// Values are texts; numbers and booleans are taken as written, anything with parts is a mistake.
fn check_values(fields: &Map<String, Value>) -> Result<(), ApiError> {
    let nested = fields.iter().filter(|(_, value)| value.is_array() || value.is_object());
    let keys: Vec<&str> = nested.map(|(key, _)| key.as_str()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "the value of a key must be a string, found an array or an object. Keys: {}",
        keys.join(", ")
    )))
}

/// A config of a request; null is no value.
pub(super) fn read_config(fields: &Map<String, Value>) -> Result<ConfigMap, ApiError> {
    check_values(fields)?;
    let (config, nulls) = config_of(fields);
    if nulls.is_empty() {
        return Ok(config);
    }
    let keys = nulls.join(", ");
    Err(ApiError::bad_request(format!(
        "Null value can not be supplied as the configuration value. Keys: {keys}"
    )))
}

/// The config with the connector's name in it, which must not be another.
fn named_config(name: &str, mut config: ConfigMap) -> Result<ConfigMap, ApiError> {
    match config.get("name") {
        Some(own) if own != name => Err(ApiError::bad_request(format!(
            "Connector name configuration ({own}) doesn't match connector name in the URL ({name})"
        ))),
        Some(_) => Ok(config),
        None => {
            config.insert("name".to_owned(), name.to_owned());
            Ok(config)
        }
    }
}

fn initial_state(state: &Value) -> Result<TargetState, ApiError> {
    match state.as_str().map(str::to_ascii_uppercase).as_deref() {
        Some("RUNNING") => Ok(TargetState::Started),
        Some("PAUSED") => Ok(TargetState::Paused),
        Some("STOPPED") => Ok(TargetState::Stopped),
        Some(_) | None => Err(ApiError::bad_request(format!(
            "initial_state must be RUNNING, PAUSED or STOPPED, not {state}"
        ))),
    }
}

fn created(state: &RestState, name: &str) -> Result<Response, ApiError> {
    let mut headers = HeaderMap::new();
    let location = format!("http://{}/connectors/{}", state.worker_id, path_segment(name));
    if let Ok(location) = location.parse() {
        headers.insert(header::LOCATION, location);
    }
    Ok((StatusCode::CREATED, headers, info_of(state, name)?).into_response())
}

/// A name as one segment of a path: what RFC 3986 does not leave as it is, percent-encoded.
fn path_segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                segment.push(char::from(byte));
            }
            _ => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
}

fn info_of(state: &RestState, name: &str) -> Result<Json<Value>, ApiError> {
    let herder = state.herder.read();
    Ok(Json(info_body(state, name, herder.existing(name)?)))
}

/// `source`, `sink`, or `unknown` for a class that this worker lacks.
fn kind_name(state: &RestState, connector: Option<&Connector>) -> &'static str {
    let class =
        connector.and_then(Connector::config).and_then(|config| config.get("connector.class"));
    let plugin = class.and_then(|class| state.context.plugins.connector(class));
    plugin.map_or("unknown", |plugin| plugin.kind_name())
}

fn info_body(state: &RestState, name: &str, connector: &Connector) -> Value {
    let tasks: Vec<Value> = (0..connector.tasks().len())
        .map(|task| json!({ "connector": name, "task": task }))
        .collect();
    json!({
        "name": name,
        "config": connector.config(),
        "tasks": tasks,
        "type": kind_name(state, Some(connector)),
    })
}

fn status_body(state: &RestState, herder: &Herder, name: &str) -> Option<Value> {
    let connector = herder.status(&StatusId::Connector(name.to_owned()))?;
    let tasks: Vec<Value> = herder
        .task_statuses(name)
        .into_iter()
        .map(|(task, status)| status_entry(Some(task), status))
        .collect();
    Some(json!({
        "name": name,
        "connector": status_entry(None, connector),
        "tasks": tasks,
        "type": kind_name(state, herder.connector(name)),
    }))
}

/// The status of a connector, or of a task by its number.
pub(super) fn status_entry(task: Option<u32>, status: &Status) -> Value {
    let mut entry = Map::new();
    if let Some(task) = task {
        entry.insert("id".to_owned(), json!(task));
    }
    entry.insert("state".to_owned(), json!(status.state.name()));
    entry.insert("worker_id".to_owned(), json!(status.worker_id));
    entry.insert("version".to_owned(), json!(status.version));
    if let Some(trace) = status.trace.as_ref().filter(|trace| !trace.is_empty()) {
        entry.insert("trace".to_owned(), json!(trace));
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_entry(task: Option<u32>, trace: Option<&str>, expected: &str) {
        let status = Status {
            state: TaskState::Failed,
            trace: trace.map(str::to_owned),
            worker_id: "127.0.0.1:8083".to_owned(),
            generation: 3,
            version: Some("4.3.0".to_owned()),
        };
        assert_eq!(status_entry(task, &status).to_string(), expected);
    }

    #[test]
    fn status_has_the_fields_of_kafka_connect_and_a_trace_only_where_there_is_one() {
        check_entry(
            Some(0),
            Some("boom"),
            r#"{"id":0,"state":"FAILED","worker_id":"127.0.0.1:8083","version":"4.3.0","trace":"boom"}"#,
        );
        check_entry(
            None,
            Some(""),
            r#"{"state":"FAILED","worker_id":"127.0.0.1:8083","version":"4.3.0"}"#,
        );
    }

    #[test]
    fn value_of_a_key_is_a_text_a_number_or_a_boolean() {
        let read = |text: &str| read_config(&serde_json::from_str(text).unwrap());
        let config = read(r#"{"a":"1","b":2,"c":true}"#).unwrap();
        assert_eq!(config.values().collect::<Vec<_>>(), ["1", "2", "true"]);
        let error = format!("{:?}", read(r#"{"a":{"b":1},"c":"d","e":[]}"#).unwrap_err());
        assert!(error.contains("Keys: a, e"), "{error}");
    }

    #[test]
    fn location_has_the_name_percent_encoded() {
        assert_eq!(path_segment("my conn/é-1_~."), "my%20conn%2F%C3%A9-1_~.");
    }

    #[test]
    fn name_in_the_config_must_be_the_connectors() {
        let config = |name: &str| ConfigMap::from([("name".to_owned(), name.to_owned())]);
        let text = |error: ApiError| format!("{error:?}");
        let wrong = text(named_config("src", config("z")).unwrap_err());
        assert!(
            wrong.contains(
                "Connector name configuration (z) doesn't match connector name in the URL (src)"
            ),
            "{wrong}"
        );
        assert_eq!(named_config("src", config("src")).unwrap(), config("src"));
        assert_eq!(named_config("src", ConfigMap::new()).unwrap(), config("src"));
    }

    #[test]
    fn numbers_in_a_config_become_text_and_null_is_refused() {
        let fields = object(br#"{"tasks.max":2,"a":true,"b":"c"}"#).unwrap();
        let config = read_config(&fields).unwrap();
        let pairs: Vec<(&str, &str)> =
            config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("tasks.max", "2"), ("a", "true"), ("b", "c")]);
        assert!(read_config(&object(br#"{"a":null}"#).unwrap()).is_err());
        assert!(object(b"[]").is_err());
        assert!(object(b"{no").is_err());
    }
}
