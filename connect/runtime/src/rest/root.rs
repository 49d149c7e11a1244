//! `/`, `/health`, and the topics that a connector used.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::RestState;
use super::error::ApiError;

/// GET /
pub(crate) async fn server(State(state): State<RestState>) -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("AQUIFER_COMMIT").unwrap_or("unknown"),
        "kafka_cluster_id": state.cluster_id,
    }))
}

/// GET /health
pub(crate) async fn health() -> Json<Value> {
    // The REST is served only once the worker has started.
    Json(json!({
        "status": "healthy",
        "message": "Worker has completed startup and is ready to handle requests.",
    }))
}

/// GET /connectors/{connector}/topics
pub(crate) async fn topics(
    State(state): State<RestState>,
    Path(connector): Path<String>,
) -> Result<Json<Value>, ApiError> {
    if !state.context.settings.topic_tracking {
        return Err(ApiError::new(403, "Topic tracking is disabled."));
    }
    let herder = state.herder.read();
    let topics = herder.topics(&connector);
    Ok(Json(json!({ &*connector: { "topics": topics } })))
}

/// PUT /connectors/{connector}/topics/reset
pub(crate) async fn reset_topics(
    State(state): State<RestState>,
    Path(connector): Path<String>,
) -> Result<StatusCode, ApiError> {
    if !state.context.settings.topic_tracking {
        return Err(ApiError::new(403, "Topic tracking is disabled."));
    }
    if !state.context.settings.topic_tracking_reset {
        return Err(ApiError::new(403, "Topic tracking reset is disabled."));
    }
    state.context.board.forget_topics(&connector);
    Ok(StatusCode::ACCEPTED)
}
