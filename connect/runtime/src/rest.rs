//! TABLE of routes: Kafka Connect's REST API.
//!
//! - Paths, status codes, bodies and the texts of errors are Connect's; an error is always `{"error_code":N,"message":".."}`.
//! - Reads are answered from the herder's view, writes go through its host.

mod connectors;
mod error;
mod offsets;
mod plugins;
mod root;
mod tasks;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::{delete, get, post, put};
use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::herder::Herder;
use crate::host::HostHandle;
use crate::task::WorkerContext;
use error::ApiError;

/// What every route sees.
#[derive(Clone)]
pub(crate) struct RestState {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    context: Arc<WorkerContext>,
    herder: Arc<RwLock<Herder>>,
    host: HostHandle,
    worker_id: String,
    cluster_id: Option<String>,
}

impl std::ops::Deref for RestState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl RestState {
    /// The state of a worker's REST.
    pub(crate) fn new(
        context: Arc<WorkerContext>,
        herder: Arc<RwLock<Herder>>,
        host: HostHandle,
        worker_id: String,
        cluster_id: Option<String>,
    ) -> Self {
        Self { inner: Arc::new(Inner { context, herder, host, worker_id, cluster_id }) }
    }
}

/// The same request for the path without slashes at its end, as JAX-RS sees it.
fn without_trailing_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path().trim_end_matches('/');
    if path.len() == uri.path().len() || path.is_empty() {
        return request;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(uri) = format!("{path}{query}").parse() {
        *request.uri_mut() = uri;
    }
    request
}

fn routes(state: RestState) -> Router {
    let routes = Router::new()
        .route("/", get(root::server))
        .route("/health", get(root::health))
        .route("/connectors", get(connectors::list).post(connectors::create))
        .route("/connectors/{connector}", get(connectors::info).delete(connectors::remove))
        .route(
            "/connectors/{connector}/config",
            get(connectors::config).put(connectors::put_config).patch(connectors::patch_config),
        )
        .route("/connectors/{connector}/status", get(connectors::status))
        .route("/connectors/{connector}/restart", post(connectors::restart))
        .route("/connectors/{connector}/pause", put(connectors::pause))
        .route("/connectors/{connector}/resume", put(connectors::resume))
        .route("/connectors/{connector}/stop", put(connectors::stop))
        .route("/connectors/{connector}/tasks", get(tasks::list))
        .route("/connectors/{connector}/tasks/{task}/status", get(tasks::status))
        .route("/connectors/{connector}/tasks/{task}/restart", post(tasks::restart))
        .route("/connectors/{connector}/topics", get(root::topics))
        .route("/connectors/{connector}/topics/reset", put(root::reset_topics))
        .route(
            "/connectors/{connector}/offsets",
            get(offsets::list).patch(offsets::alter).merge(delete(offsets::reset)),
        )
        .route("/connector-plugins", get(plugins::list))
        .route("/connector-plugins/{plugin}/config", get(plugins::config))
        .route("/connector-plugins/{plugin}/config/validate", put(plugins::validate))
        .fallback(async || ApiError::new(404, "HTTP 404 Not Found"))
        .method_not_allowed_fallback(async || ApiError::new(405, "HTTP 405 Method Not Allowed"))
        .with_state(state);
    // Rewritten before the routes are looked at, which a layer of theirs can't do.
    Router::new().fallback_service(routes.map_request(without_trailing_slash))
}

/// Serves requests until told to stop.
pub(crate) async fn serve(listener: TcpListener, state: RestState, stop: CancellationToken) {
    let served =
        axum::serve(listener, routes(state)).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(error = %error, "the REST ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_end_of_a_path_do_not_count() {
        for (uri, expected) in [
            ("/connectors/", "/connectors"),
            ("/connectors//?expand=info", "/connectors?expand=info"),
            ("/connectors/a%2F/status/", "/connectors/a%2F/status"),
            ("/", "/"),
        ] {
            let request = Request::builder().uri(uri).body(axum::body::Body::empty()).unwrap();
            assert_eq!(without_trailing_slash(request).uri(), expected);
        }
    }
}
