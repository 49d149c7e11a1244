//! The records of `connect-configs` and `connect-status`, in the bytes that Kafka Connect writes.
//!
//! - Values are plain JSON (its `JsonConverter` without schemas), keys are text.
//! - A key that this worker does not act on (`session-key`, `tasks-fencing-…`) decodes to `Foreign` and is left alone.
//!
//! References: Kafka Connect's `KafkaConfigBackingStore` and `KafkaStatusBackingStore`; keys and values recorded from a running 4.3 worker.

use aquifer_connect_api::config::ConfigMap;
use serde_json::{Map, Value, json};

use super::{State, Status, StatusId, TargetState, TaskId};

/// The key and the value of a record as they lie in the topic; no value is a tombstone.
pub(crate) type Encoded = (Vec<u8>, Option<Vec<u8>>);

/// A record of `connect-configs`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ConfigRecord {
    /// The config of a connector; none deletes the connector.
    Connector { name: String, config: Option<ConfigMap> },
    /// The config of a task, which holds from the next `Commit` on.
    Task { id: TaskId, config: Option<ConfigMap> },
    /// How many tasks the connector has: takes over the task configs before it.
    Commit { name: String, tasks: u32 },
    /// What the user wants of the connector; none forgets it.
    Target { name: String, state: Option<TargetState> },
    /// A request to restart; it means something only at the moment it is written.
    Restart { name: String, include_tasks: bool, only_failed: bool },
    /// Somebody else's.
    Foreign,
}

/// A record of `connect-status`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StatusRecord {
    /// The state of a connector or task; none forgets it.
    Status { id: StatusId, status: Option<Status> },
    /// A topic that a connector used; `used` is false for a tombstone.
    Topic { connector: String, topic: String, task: u32, discovered_ms: i64, used: bool },
    /// Somebody else's.
    Foreign,
}

/// Why a record could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {found}, in the record with key {key}")]
pub(crate) struct RecordError {
    expected: &'static str,
    found: String,
    key: String,
}

impl ConfigRecord {
    /// The record as it lies in the topic.
    pub(crate) fn encode(&self) -> Encoded {
        match self {
            ConfigRecord::Connector { name, config } => {
                (key(&format!("connector-{name}")), config.as_ref().map(properties))
            }
            ConfigRecord::Task { id, config } => {
                let key_text = format!("task-{}-{}", id.connector, id.task);
                (key(&key_text), config.as_ref().map(properties))
            }
            ConfigRecord::Commit { name, tasks } => {
                (key(&format!("commit-{name}")), Some(bytes(&json!({ "tasks": tasks }))))
            }
            ConfigRecord::Target { name, state } => {
                let value = |state: &TargetState| {
                    // Workers that know no STOPPED read `state` alone, and must at least not run the connector.
                    let old = if *state == TargetState::Started { "STARTED" } else { "PAUSED" };
                    bytes(&json!({ "state": old, "state.v2": state.name() }))
                };
                (key(&format!("target-state-{name}")), state.as_ref().map(value))
            }
            ConfigRecord::Restart { name, include_tasks, only_failed } => {
                let value = json!({ "include-tasks": include_tasks, "only-failed": only_failed });
                (key(&format!("restart-connector-{name}")), Some(bytes(&value)))
            }
            ConfigRecord::Foreign => (Vec::new(), None),
        }
    }

    /// Reads a record of the topic.
    pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, RecordError> {
        let Ok(key) = std::str::from_utf8(key) else { return Ok(ConfigRecord::Foreign) };
        let fields = || value.map(|value| object(key, value)).transpose();
        let config = || fields()?.map(|fields| read_properties(key, &fields)).transpose();
        if let Some(name) = key.strip_prefix("connector-") {
            return Ok(ConfigRecord::Connector { name: name.to_owned(), config: config()? });
        }
        if let Some(name) = key.strip_prefix("target-state-") {
            let state = fields()?.map(|fields| read_target(key, &fields)).transpose()?;
            return Ok(ConfigRecord::Target { name: name.to_owned(), state });
        }
        if let Some(rest) = key.strip_prefix("task-") {
            let Some(id) = TaskId::parse(rest) else { return Ok(ConfigRecord::Foreign) };
            return Ok(ConfigRecord::Task { id, config: config()? });
        }
        if let Some(name) = key.strip_prefix("commit-") {
            let Some(fields) = fields()? else { return Ok(ConfigRecord::Foreign) };
            let tasks = fields.get("tasks").and_then(Value::as_u64);
            let tasks = tasks.and_then(|tasks| u32::try_from(tasks).ok());
            let tasks = tasks.ok_or_else(|| error(key, "a count under \"tasks\"", &fields))?;
            return Ok(ConfigRecord::Commit { name: name.to_owned(), tasks });
        }
        if let Some(name) = key.strip_prefix("restart-connector-") {
            let fields = fields()?.unwrap_or_default();
            let flag = |name: &str| fields.get(name).and_then(Value::as_bool).unwrap_or(false);
            return Ok(ConfigRecord::Restart {
                name: name.to_owned(),
                include_tasks: flag("include-tasks"),
                only_failed: flag("only-failed"),
            });
        }
        Ok(ConfigRecord::Foreign)
    }
}

impl StatusRecord {
    /// The record as it lies in the topic.
    pub(crate) fn encode(&self) -> Encoded {
        match self {
            StatusRecord::Status { id, status } => {
                let text = match id {
                    StatusId::Connector(name) => format!("status-connector-{name}"),
                    StatusId::Task(id) => format!("status-task-{}-{}", id.connector, id.task),
                };
                let value = |status: &Status| {
                    bytes(&json!({
                        "state": status.state.name(),
                        "trace": status.trace,
                        "worker_id": status.worker_id,
                        "generation": status.generation,
                        "version": status.version,
                    }))
                };
                (key(&text), status.as_ref().map(value))
            }
            StatusRecord::Topic { connector, topic, task, discovered_ms, used } => {
                let value = json!({ "topic": {
                    "name": topic, "connector": connector, "task": task, "discoverTimestamp": discovered_ms,
                } });
                let key_text = format!("status-topic-{topic}:connector-{connector}");
                (key(&key_text), used.then(|| bytes(&value)))
            }
            StatusRecord::Foreign => (Vec::new(), None),
        }
    }

    /// Reads a record of the topic.
    pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, RecordError> {
        let Ok(key) = std::str::from_utf8(key) else { return Ok(StatusRecord::Foreign) };
        let fields = || value.map(|value| object(key, value)).transpose();
        let status = || fields()?.map(|fields| read_status(key, &fields)).transpose();
        if let Some(name) = key.strip_prefix("status-connector-") {
            let id = StatusId::Connector(name.to_owned());
            return Ok(StatusRecord::Status { id, status: status()? });
        }
        if let Some(rest) = key.strip_prefix("status-task-") {
            let Some(id) = TaskId::parse(rest) else { return Ok(StatusRecord::Foreign) };
            return Ok(StatusRecord::Status { id: StatusId::Task(id), status: status()? });
        }
        if let Some((topic, connector)) =
            key.strip_prefix("status-topic-").and_then(|rest| rest.split_once(":connector-"))
        {
            let fields = fields()?.unwrap_or_default();
            let entry = |name: &str| fields.get("topic").and_then(|topic| topic.get(name));
            let task = entry("task").and_then(Value::as_u64).unwrap_or_default();
            return Ok(StatusRecord::Topic {
                connector: connector.to_owned(),
                topic: topic.to_owned(),
                task: u32::try_from(task).unwrap_or_default(),
                discovered_ms: entry("discoverTimestamp")
                    .and_then(Value::as_i64)
                    .unwrap_or_default(),
                used: value.is_some(),
            });
        }
        Ok(StatusRecord::Foreign)
    }
}

/// A JSON object as a config: numbers and booleans become text, as Connect's REST reads them; null is left out and named.
pub(crate) fn config_of(object: &Map<String, Value>) -> (ConfigMap, Vec<String>) {
    let mut config = ConfigMap::with_capacity(object.len());
    let mut nulls = Vec::new();
    for (key, value) in object {
        match value {
            Value::Null => nulls.push(key.clone()),
            Value::String(text) => drop(config.insert(key.clone(), text.clone())),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                drop(config.insert(key.clone(), value.to_string()));
            }
        }
    }
    (config, nulls)
}

fn key(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn properties(config: &ConfigMap) -> Vec<u8> {
    bytes(&json!({ "properties": config }))
}

fn error(key: &str, expected: &'static str, fields: &Map<String, Value>) -> RecordError {
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    RecordError {
        expected,
        found: format!("the fields [{}]", names.join(", ")),
        key: key.to_owned(),
    }
}

fn object(key: &str, value: &[u8]) -> Result<Map<String, Value>, RecordError> {
    match serde_json::from_slice(value) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) | Err(_) => Err(RecordError {
            expected: "a JSON object",
            found: format!("{} bytes of something else", value.len()),
            key: key.to_owned(),
        }),
    }
}

fn read_properties(key: &str, fields: &Map<String, Value>) -> Result<ConfigMap, RecordError> {
    let properties = fields.get("properties").and_then(Value::as_object);
    let properties =
        properties.ok_or_else(|| error(key, "an object under \"properties\"", fields))?;
    Ok(config_of(properties).0)
}

fn read_target(key: &str, fields: &Map<String, Value>) -> Result<TargetState, RecordError> {
    let text = fields.get("state.v2").or_else(|| fields.get("state")).and_then(Value::as_str);
    text.and_then(TargetState::from_name)
        .ok_or_else(|| error(key, "STARTED, PAUSED or STOPPED under \"state\"", fields))
}

fn read_status(key: &str, fields: &Map<String, Value>) -> Result<Status, RecordError> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let state = text("state").and_then(|name| State::from_name(&name));
    let generation = fields.get("generation").and_then(Value::as_i64).unwrap_or_default();
    Ok(Status {
        state: state.ok_or_else(|| error(key, "a state under \"state\"", fields))?,
        trace: text("trace"),
        worker_id: text("worker_id").unwrap_or_default(),
        generation: i32::try_from(generation).unwrap_or(i32::MAX),
        version: text("version"),
    })
}
