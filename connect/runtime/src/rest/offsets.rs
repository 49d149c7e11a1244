//! `/connectors/{connector}/offsets`: of sources from `connect-offsets`, of sinks from what their group committed.

use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{PartitionOffset, TopicPartition};
use aquifer_connect_api::ConnectorKind;
use aquifer_connect_api::config::ConfigMap;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};

use super::RestState;
use super::connectors::object;
use super::error::ApiError;
use crate::clock;
use crate::config::connector::split_list;
use crate::herder::TargetState;
use crate::sink_task::group_id;

/// GET /connectors/{connector}/offsets
pub(crate) async fn list(
    State(state): State<RestState>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let (config, kind) = state.config_and_kind(&name)?;
    let offsets: Vec<Value> = match kind {
        ConnectorKind::Source => {
            let caught_up = state.context.offsets.catch_up().await;
            caught_up.map_err(|error| ApiError::internal(error.to_string()))?;
            let stored = state.context.offsets.of(&name).into_iter();
            stored.map(|one| json!({ "partition": one.partition, "offset": one.offset })).collect()
        }
        ConnectorKind::Sink => {
            let committed = state.committed(&name, &config).await?.into_iter();
            committed
                .map(|one| {
                    json!({
                        "partition": { "kafka_topic": &*one.topic, "kafka_partition": one.partition },
                        "offset": { "kafka_offset": one.offset },
                    })
                })
                .collect()
        }
    };
    Ok(Json(json!({ "offsets": offsets })))
}

/// DELETE /connectors/{connector}/offsets
pub(crate) async fn reset(
    State(state): State<RestState>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let (config, kind) = state.stopped(&name).await?;
    let failed = |error: &dyn std::fmt::Display| {
        ApiError::internal(format!("Failed to reset offsets for connector {name}: {error}"))
    };
    match kind {
        ConnectorKind::Source => {
            let offsets = &state.context.offsets;
            offsets.catch_up().await.map_err(|error| failed(&error))?;
            let all: Vec<_> =
                offsets.of(&name).into_iter().map(|one| (one.partition, None)).collect();
            offsets.alter(&name, &all).await.map_err(|error| failed(&error))?;
        }
        ConnectorKind::Sink => {
            let deleted = state.context.admin.delete_group(&group_id(&name, &config)).await;
            deleted.map_err(|error| failed(&error))?;
        }
    }
    Ok(done("reset"))
}

/// PATCH /connectors/{connector}/offsets: a source's offset of null is forgotten.
pub(crate) async fn alter(
    State(state): State<RestState>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let entries = read_entries(&object(&body)?)?;
    let (config, kind) = state.stopped(&name).await?;
    let failed = |error: &dyn std::fmt::Display| {
        ApiError::internal(format!("Failed to alter offsets for connector {name}: {error}"))
    };
    match kind {
        ConnectorKind::Source => {
            let caught_up = state.context.offsets.catch_up().await;
            caught_up.map_err(|error| failed(&error))?;
            let altered = state.context.offsets.alter(&name, &entries).await;
            altered.map_err(|error| failed(&error))?;
        }
        ConnectorKind::Sink => {
            let offsets = entries
                .iter()
                .map(|(partition, offset)| sink_offset(partition, offset.as_ref()))
                .collect::<Result<Vec<_>, _>>()?;
            let group = group_id(&name, &config);
            let committed = state.context.admin.commit_offsets(&group, &offsets).await;
            committed.map_err(|error| failed(&error))?;
        }
    }
    Ok(done("altered"))
}

fn done(what: &str) -> Json<Value> {
    Json(json!({
        "message": format!("The offsets for this connector have been {what} successfully"),
    }))
}

type Entries = Vec<(Map<String, Value>, Option<Map<String, Value>>)>;

fn read_entries(request: &Map<String, Value>) -> Result<Entries, ApiError> {
    let entries = request.get("offsets").and_then(Value::as_array);
    let entries = entries.filter(|entries| !entries.is_empty()).ok_or_else(|| {
        ApiError::bad_request(
            "Partitions / offsets need to be provided for an alter offsets request",
        )
    })?;
    let read = |entry: &Value| {
        let partition = entry.get("partition")?.as_object()?.clone();
        match entry.get("offset") {
            None | Some(Value::Null) => Some((partition, None)),
            Some(Value::Object(offset)) => Some((partition, Some(offset.clone()))),
            Some(_) => None,
        }
    };
    let all: Option<Entries> = entries.iter().map(read).collect();
    all.ok_or_else(|| {
        ApiError::bad_request(
            "each of \"offsets\" must have a \"partition\" and an \"offset\", both objects",
        )
    })
}

/// Numbers may be given as text, as Connect allows.
fn sink_offset(
    partition: &Map<String, Value>,
    offset: Option<&Map<String, Value>>,
) -> Result<PartitionOffset, ApiError> {
    let number = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.trim().parse::<i64>().ok(),
        Some(other) => other.as_i64(),
        None => None,
    };
    let topic = partition.get("kafka_topic").and_then(Value::as_str);
    let index = number(partition.get("kafka_partition")).and_then(|n| i32::try_from(n).ok());
    let Some(offset) = offset else {
        return Err(ApiError::bad_request(
            "the offset of a single partition of a sink can't be reset; reset all with DELETE, or give a kafka_offset",
        ));
    };
    let offset = number(offset.get("kafka_offset"));
    match (topic, index, offset.filter(|offset| *offset >= 0)) {
        (Some(topic), Some(partition), Some(offset)) => {
            Ok(PartitionOffset { topic: Arc::from(topic), partition, offset })
        }
        (_, _, _) => Err(ApiError::bad_request(
            "a sink's partition needs \"kafka_topic\" and \"kafka_partition\", its offset a \"kafka_offset\" of at least 0",
        )),
    }
}

impl RestState {
    fn config_and_kind(&self, name: &str) -> Result<(ConfigMap, ConnectorKind), ApiError> {
        let config = self.herder.read().existing(name)?.config().cloned().unwrap_or_default();
        let class = config.get("connector.class").map(String::as_str).unwrap_or_default();
        let plugin = self.context.plugins.connector(class);
        let unknown = || ApiError::internal(self.context.plugins.unknown_connector(class));
        let kind = plugin.ok_or_else(unknown)?.kind();
        Ok((config, kind))
    }

    /// The connector's config, once it is stopped and its last task has ended.
    async fn stopped(&self, name: &str) -> Result<(ConfigMap, ConnectorKind), ApiError> {
        let found = self.config_and_kind(name)?;
        let target = self.herder.read().existing(name)?.target();
        if target != TargetState::Stopped {
            return Err(ApiError::bad_request(format!(
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
                 specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
            )));
        }
        let graceful = self.context.settings.graceful_timeout;
        let deadline = clock::now() + graceful.saturating_mul(3);
        while !self.host.idle(name).await? {
            if clock::now() >= deadline {
                return Err(ApiError::internal(format!(
                    "A task of connector {name} has not ended yet"
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(found)
    }

    /// What a sink's group committed, over all partitions of its topics.
    async fn committed(
        &self,
        name: &str,
        config: &ConfigMap,
    ) -> Result<Vec<PartitionOffset>, ApiError> {
        let failed = |error: aquifer_broker_client::ClientError| {
            ApiError::internal(format!(
                "Failed to retrieve consumer group offsets for sink connector {name}: {error}"
            ))
        };
        let named = split_list(config.get("topics").map(String::as_str).unwrap_or_default());
        let pattern = config.get("topics.regex").filter(|pattern| !pattern.trim().is_empty());
        let pattern = pattern.and_then(|text| regex::Regex::new(&format!("^(?:{text})$")).ok());
        let topics = self.context.admin.list_topics().await.map_err(failed)?;
        let mut partitions = Vec::new();
        for topic in topics {
            let ours = match &pattern {
                Some(pattern) => pattern.is_match(&topic.name),
                None => named.contains(&topic.name.as_str()),
            };
            if !ours {
                continue;
            }
            let name: Arc<str> = Arc::from(topic.name.as_str());
            let all = (0..topic.partitions)
                .map(|partition| TopicPartition { topic: name.clone(), partition });
            partitions.extend(all);
        }
        let group = group_id(name, config);
        self.context.admin.committed_offsets(&group, &partitions).await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn sink_offset_may_be_given_as_numbers_or_as_text() {
        let partition = fields(r#"{"kafka_topic":"t","kafka_partition":"3"}"#);
        let offset = fields(r#"{"kafka_offset":7}"#);
        let read = sink_offset(&partition, Some(&offset)).unwrap();
        assert_eq!((&*read.topic, read.partition, read.offset), ("t", 3, 7));
        assert!(sink_offset(&partition, Some(&fields(r#"{"kafka_offset":-1}"#))).is_err());
        assert!(sink_offset(&fields("{}"), Some(&offset)).is_err());
        assert!(sink_offset(&partition, None).is_err());
    }

    #[test]
    fn altering_needs_partitions_and_null_forgets() {
        assert!(read_entries(&fields(r#"{"offsets":[]}"#)).is_err());
        assert!(read_entries(&fields(r#"{"offsets":[{"partition":1,"offset":{}}]}"#)).is_err());
        let entries =
            read_entries(&fields(r#"{"offsets":[{"partition":{"p":1},"offset":null}]}"#)).unwrap();
        assert_eq!(entries, [(fields(r#"{"p":1}"#), None)]);
    }
}
