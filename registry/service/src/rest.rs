//! TABLE: the routes, and what all of them share: media types, bodies, parameters, errors.

mod compatibility;
mod config;
mod exchange;
mod schema;
mod server;
mod subject;

use std::sync::Arc;

use aquifer_broker_client::{Admin, ClientSettings};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tower::ServiceExt;

use crate::config::Settings;
use crate::store::Store;

/// What handlers use.
#[derive(Clone)]
pub(crate) struct App {
    store: Store,
    admin: Admin,
    topic: Arc<str>,
}

pub(crate) fn router(store: Store, client: &ClientSettings, settings: &Settings) -> Router {
    let app = App { store, admin: Admin::new(client), topic: Arc::from(settings.topic.as_str()) };
    let routes = Router::new()
        .route("/", get(server::root).post(server::root))
        .route("/v1/metadata/id", get(server::id))
        .route("/v1/metadata/version", get(server::version))
        .route("/contexts", get(server::contexts))
        .route("/subjects", get(subject::list))
        .route("/subjects/{subject}", post(subject::look_up).delete(subject::delete))
        .route("/subjects/{subject}/versions", get(subject::versions).post(subject::register))
        .route(
            "/subjects/{subject}/versions/{version}",
            get(subject::version).delete(subject::delete_version),
        )
        .route("/subjects/{subject}/versions/{version}/schema", get(subject::text))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(subject::referenced_by))
        .route("/schemas", get(schema::list))
        .route("/schemas/types", get(schema::types))
        .route("/schemas/ids/{id}", get(schema::by_id))
        .route("/schemas/ids/{id}/schema", get(schema::text))
        .route("/schemas/ids/{id}/subjects", get(schema::subjects))
        .route("/schemas/ids/{id}/versions", get(schema::versions))
        .route("/schemas/guids/{guid}", get(schema::by_guid))
        .route("/compatibility/subjects/{subject}/versions", post(compatibility::against_all))
        .route(
            "/compatibility/subjects/{subject}/versions/{version}",
            post(compatibility::against_one),
        )
        .route("/config", get(config::global).put(config::set_global).delete(config::delete_global))
        .route(
            "/config/{subject}",
            get(config::of_subject).put(config::set_subject).delete(config::delete_subject),
        )
        .route("/mode", get(config::global_mode))
        .route("/mode/{subject}", get(config::mode_of_subject))
        .fallback(exchange::no_such_resource)
        .method_not_allowed_fallback(exchange::method_not_allowed)
        .layer(axum::middleware::from_fn(exchange::negotiate))
        .layer(DefaultBodyLimit::max(settings.body_bytes_max))
        .with_state(app);
    // Rewritten before the routes are looked at, which a layer of theirs can't do.
    Router::new().fallback_service(routes.map_request(exchange::without_trailing_slash))
}
