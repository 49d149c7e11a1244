//! A schema registry with the REST interface, the error codes and the `_schemas` records of Confluent's.
//!
//! - `state.rs` folds the topic's records; `decide.rs` says what to append; `store.rs` does it; `rest.rs` is the way in.
//! - An answer to a write leaves when its records are durable and in the state that reads see.
//! - An id is given out once, even if its schema is deleted for good later.
//!
//! - One instance writes, fenced by a transactional producer: the one that takes the topic over shuts the others out, and no
//!   decision is made on a state that lacks what they wrote.
//!
//! Does not elect the one that writes: instances on the same topic take it over from each other, write by write.

mod config;
mod decide;
mod error;
mod marks;
mod rest;
mod state;
mod store;
mod view;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use config::Settings;
pub use config::{KeySupport, RegistryConfig, known_key, known_keys};
use store::Store;

/// How long requests in flight and writes may take while stopping.
const STOP: Duration = Duration::from_secs(10);

/// Why a registry could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A setting is unknown or has a value it can't have.
    #[error("registry setting {name}={value} is refused")]
    Setting {
        /// The key.
        name: String,
        /// Its value.
        value: String,
    },
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The Kafka client refused its settings.
    #[error(transparent)]
    Client(#[from] aquifer_broker_client::ClientError),
}

/// A running registry.
pub struct Registry {
    address: SocketAddr,
    store: Store,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Starts a registry. It listens when this returns, and answers 50001 until the cluster has been read.
///
/// # Errors
/// When a setting is refused or the address is taken; a cluster that is away is no error.
pub async fn start(config: RegistryConfig) -> Result<Registry, RegistryError> {
    let settings = Settings::read(&config.settings)?;
    let address = config.listen;
    let listen = |source| RegistryError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let store = Store::start(&config.client, &settings, stop.clone(), &tasks)?;
    let app = rest::router(store.clone(), &config.client, &settings);
    let stopping = stop.clone();
    tasks.spawn(async move {
        let serving = axum::serve(listener, app).with_graceful_shutdown(stopping.cancelled_owned());
        if let Err(err) = serving.await {
            tracing::error!(error = %err, "the registry's listener failed");
        }
    });
    Ok(Registry { address, store, stop, tasks })
}

impl Registry {
    /// Where it listens, the port as bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Completes when the schemas have been read and requests are answered.
    pub async fn ready(&self) {
        self.store.ready().await;
    }

    /// Stops listening, finishes requests and writes, and closes.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP, self.tasks.wait()).await.is_err() {
            tracing::warn!("the registry takes long to stop");
        }
    }
}

#[cfg(test)]
mod tests {
    use aquifer_broker_client::ClientSettings;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn registry_without_brokers_answers_at_once_and_stops() {
        // Nothing listens on port 1.
        let config = RegistryConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            client: ClientSettings::new("127.0.0.1:1", "test"),
            settings: Vec::new(),
        };
        let registry = start(config).await.unwrap();
        for (request, expected) in [
            ("GET /subjects", "\"error_code\":50001"),
            ("GET /schemas/ids/1", "\"error_code\":50001"),
            ("DELETE /subjects/s", "\"error_code\":50001"),
            ("GET /schemas/types", "[\"AVRO\"]"),
            ("GET /schemas/types/", "[\"AVRO\"]"),
            ("GET /subjects/%FF/versions", "{\"error_code\":400,"),
            ("GET /schemas/guids/no-guid", "\"error_code\":40403"),
            ("GET /no/such/thing", "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}"),
            ("PUT /subjects", "{\"error_code\":405,\"message\":\"HTTP 405 Method Not Allowed\"}"),
        ] {
            let answer = ask(registry.address(), request).await;
            assert!(answer.contains(expected), "{request}: {answer}");
            assert!(
                answer.contains("application/vnd.schemaregistry.v1+json"),
                "{request}: {answer}"
            );
        }
        registry.stop().await;
    }

    #[tokio::test]
    async fn unknown_setting_is_refused() {
        let config = RegistryConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            client: ClientSettings::new("127.0.0.1:1", "test"),
            settings: vec![("schema.compatibility.level".to_owned(), "SOMETIMES".to_owned())],
        };
        let err = start(config).await.err().unwrap();
        assert!(err.to_string().contains("schema.compatibility.level=SOMETIMES"), "{err}");
    }
}
