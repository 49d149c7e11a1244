//! The server itself: its id, version and contexts.

use aquifer_registry_schema::SchemaType;
use axum::extract::State;
use serde_json::{Value, json};

use super::App;
use super::exchange::{Answer, Query, Reply};
use crate::error::ApiError;

pub(super) async fn root() -> Answer<Value> {
    Answer(json!({}))
}

/// The ids of the Kafka cluster and of the registry in it.
pub(super) async fn id(State(app): State<App>) -> Reply<Value> {
    let cluster = app.admin.cluster().await;
    let cluster = cluster.map_err(|err| {
        ApiError::Store(format!("Error while retrieving the Kafka cluster id: {err}"))
    })?;
    let registry = app.topic.trim_start_matches('_');
    Ok(Answer(json!({
        "scope": {
            "path": [],
            "clusters": {"kafka-cluster": cluster.cluster_id, "schema-registry-cluster": registry}
        },
        "id": ""
    })))
}

pub(super) async fn version() -> Answer<Value> {
    Answer(json!({"version": env!("CARGO_PKG_VERSION"), "commitId": "aquifer"}))
}

pub(super) async fn contexts(State(app): State<App>, query: Query) -> Reply<Vec<String>> {
    let names = app.store.current().await?.state.read().context_names();
    let prefix = query.text("contextPrefix").unwrap_or_default();
    let names = names.into_iter().filter(|name| name.starts_with(prefix)).collect();
    Ok(Answer(query.page(names, usize::MAX)?))
}

pub(super) fn type_names() -> Vec<&'static str> {
    SchemaType::ALL.into_iter().map(SchemaType::name).collect()
}
