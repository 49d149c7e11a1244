//! A worker of Kafka Connect: connectors by REST, their state in topics, their tasks here.
//!
//! - State is a fold over `connect-configs`, `connect-offsets` and `connect-status`, in Kafka Connect's own record formats.
//! - Sources are exactly-once into their topics unless told otherwise: records and offsets in one transaction, then the connector is
//!   told. Sinks commit only what is finished.
//! - Knows no connector, converter or transform by name: they come in with [`Plugins`].
//!
//! Does not share its tasks with other workers.

mod clock;
mod config;
mod conversion;
mod dead_letter;
mod error;
mod header;
mod herder;
mod host;
mod offset;
mod plugins;
mod rest;
mod sink_task;
mod source_task;
mod status;
mod task;
#[cfg(test)]
mod test_plugins;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{
    Admin, ClientError, ClientSettings, NewTopic, Producer, ProducerSettings, TopicState,
    TopicStateSettings,
};
use aquifer_connect_api::config::ConfigMap;
use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use config::worker::{KeySupport, known_key, known_keys};
pub use error::WorkerError;
pub use plugins::Plugins;

use clock::Backoff;
use config::worker::{StorageTopic, WorkerSettings};
use herder::{Herder, StatusRecord};
use host::Host;
use offset::OffsetStore;
use status::StatusBoard;
use task::WorkerContext;

/// How long the brokers may be away when a worker starts.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long open REST requests and clients may hold up the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Where the REST listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// How the brokers are reached.
    pub client: ClientSettings,
    /// Keys of `connect-distributed.properties`; what is not given has its default.
    pub settings: ConfigMap,
}

/// A running worker; end it with [`Worker::stop`].
pub struct Worker {
    address: SocketAddr,
    context: Arc<WorkerContext>,
    stop_host: CancellationToken,
    stop_board: CancellationToken,
    stop_rest: CancellationToken,
    host: JoinHandle<TopicState>,
    board: JoinHandle<()>,
    rest: JoinHandle<()>,
}

impl Worker {
    /// The REST's address, as bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends in order: tasks flush and commit within `task.shutdown.graceful.timeout.ms`, then the REST closes.
    pub async fn stop(self) {
        self.stop_rest.cancel();
        self.stop_host.cancel();
        let configs = logged("herder", self.host.await);
        self.stop_board.cancel();
        let mut rest = self.rest;
        let close_rest = async {
            if tokio::time::timeout(CLOSE_TIMEOUT, &mut rest).await.is_err() {
                rest.abort();
            }
        };
        let close_configs = async {
            if let Some(configs) = configs {
                configs.close(CLOSE_TIMEOUT).await;
            }
        };
        let close_offsets = self.context.offsets.close(CLOSE_TIMEOUT);
        let (board, (), (), ()) =
            tokio::join!(self.board, close_rest, close_configs, close_offsets);
        logged("statuses", board);
    }
}

fn logged<T>(part: &str, joined: Result<T, tokio::task::JoinError>) -> Option<T> {
    joined
        .inspect_err(|error| tracing::error!(part, error = %error, "a part of the worker panicked"))
        .ok()
}

/// Starts a worker: reads the state, starts what should run, and answers REST requests from when this returns.
pub async fn start(config: WorkerConfig, plugins: Plugins) -> Result<Worker, WorkerError> {
    let settings = WorkerSettings::read(&config.settings).map_err(|errors| {
        WorkerError::Config(errors.into_iter().map(|(_, text)| text).collect())
    })?;
    check_classes(&settings, &plugins)?;
    let listen = |source| WorkerError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let worker_id = worker_id(&settings, address);

    let admin = Admin::new(&config.client);
    let internal = internal_producer(&config.client, &settings)?;
    for topic in [&settings.configs, &settings.offsets, &settings.status] {
        prepare_topic(&admin, topic).await?;
    }
    let herder = Arc::new(RwLock::new(Herder::default()));
    load_statuses(&config.client, &admin, &internal, &settings.status.name, &herder).await?;
    let generation = next_generation(&herder);
    let board = Arc::new(StatusBoard::new(herder.clone(), worker_id.clone(), generation));
    let offsets_topic = settings.offsets.name.clone();
    let offsets = OffsetStore::load(&offsets_topic, &config.client, &admin, &internal).await;
    let offsets = offsets.map_err(|source| WorkerError::Topic { topic: offsets_topic, source })?;
    let cluster_id = admin.cluster().await.ok().and_then(|cluster| cluster.cluster_id);

    let context = Arc::new(WorkerContext {
        plugins: Arc::new(plugins),
        settings,
        client: config.client,
        admin,
        offsets,
        board: board.clone(),
    });
    let loaded = Host::load(context.clone(), herder.clone(), internal.clone()).await;
    let (host, handle) = loaded.map_err(|source| WorkerError::Topic {
        topic: context.settings.configs.name.clone(),
        source,
    })?;
    let (stop_host, stop_board, stop_rest) =
        (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let state = rest::RestState::new(context.clone(), herder, handle, worker_id, cluster_id);
    let status_topic = context.settings.status.name.clone();
    Ok(Worker {
        address,
        context,
        host: tokio::spawn(host.run(stop_host.clone())),
        board: tokio::spawn(board.write_loop(status_topic, internal, stop_board.clone())),
        rest: tokio::spawn(rest::serve(listener, state, stop_rest.clone())),
        stop_host,
        stop_board,
        stop_rest,
    })
}

/// The worker's own converters must exist, or every connector that names none would fail.
fn check_classes(settings: &WorkerSettings, plugins: &Plugins) -> Result<(), WorkerError> {
    let converter = |class: &str| plugins.converter(class).is_some();
    let header = |class: &str| header::HeaderConverter::of_class(class).is_some();
    let checked = |key: &str, known: &dyn Fn(&str) -> bool| {
        let class = settings.value(key).unwrap_or_default();
        (!known(class)).then(|| {
            format!(
                "Invalid value {class} for configuration {key}: Class {class} could not be found."
            )
        })
    };
    let wrong: Vec<String> = [
        checked("key.converter", &converter),
        checked("value.converter", &converter),
        checked("header.converter", &header),
    ]
    .into_iter()
    .flatten()
    .collect();
    if wrong.is_empty() { Ok(()) } else { Err(WorkerError::Config(wrong)) }
}

fn worker_id(settings: &WorkerSettings, address: SocketAddr) -> String {
    let (host, port) = &settings.advertised;
    let host = host.clone().unwrap_or_else(|| match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    });
    format!("{host}:{}", port.unwrap_or(address.port()))
}

/// The producer of the worker's own topics.
fn internal_producer(
    client: &ClientSettings,
    settings: &WorkerSettings,
) -> Result<Producer, WorkerError> {
    let mut overrides = config::client::overrides(&settings.map, "producer.");
    // Offsets and configs are waited for: nothing is gained by collecting them.
    config::client::take(&mut overrides, "linger.ms");
    let own = ProducerSettings {
        linger_ms: 0,
        delivery_timeout_ms: 30_000,
        overrides,
        ..ProducerSettings::default()
    };
    let id = format!("{}-internal", settings.group_id);
    Producer::new(&client.with_client_id(id), &own)
        .map_err(|error| WorkerError::Config(vec![error.to_string()]))
}

/// Makes sure that a topic of the worker's exists and is compacted; waits for brokers that are away.
async fn prepare_topic(admin: &Admin, topic: &StorageTopic) -> Result<(), WorkerError> {
    let new = NewTopic {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replication: topic.replication,
        configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
    };
    let deadline = clock::now() + START_TIMEOUT;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        match admin.ensure_topic(&new).await {
            Ok(_) => break,
            Err(error) if error.is_retriable() && clock::now() < deadline => {
                tracing::info!(topic = topic.name, error = %error, "waiting for the brokers");
                tokio::time::sleep(backoff.next()).await;
            }
            Err(source) => return Err(WorkerError::Topic { topic: topic.name.clone(), source }),
        }
    }
    match admin.topic_configs(&topic.name).await {
        Ok(configs) => {
            let policy = configs.into_iter().find(|(name, _)| name == "cleanup.policy");
            let policy = policy.map_or_else(|| "compact".to_owned(), |(_, policy)| policy);
            if policy == "compact" {
                return Ok(());
            }
            Err(WorkerError::NotCompacted { topic: topic.name.clone(), policy })
        }
        Err(error) => {
            tracing::warn!(topic = topic.name, error = %error, "cleanup.policy could not be checked");
            Ok(())
        }
    }
}

/// Reads `connect-status` once: from then on this worker alone writes it.
async fn load_statuses(
    client: &ClientSettings,
    admin: &Admin,
    producer: &Producer,
    topic: &str,
    herder: &Arc<RwLock<Herder>>,
) -> Result<(), WorkerError> {
    let failed = |source: ClientError| WorkerError::Topic { topic: topic.to_owned(), source };
    let state = TopicState::load(
        client,
        TopicStateSettings::new(topic),
        admin.clone(),
        producer.clone(),
        {
            let herder = herder.clone();
            move |record| {
                let Some(key) = record.key else { return };
                match StatusRecord::decode(key, record.value) {
                    Ok(decoded) => herder.write().apply_status(decoded),
                    Err(error) => {
                        tracing::warn!(error = %error, "record of connect-status is not understood and left alone");
                    }
                }
            }
        },
    )
    .await
    .map_err(failed)?;
    state.close(CLOSE_TIMEOUT).await;
    Ok(())
}

/// One more than any status has: a status of this start can be told from those of earlier ones.
fn next_generation(herder: &RwLock<Herder>) -> i32 {
    let herder = herder.read();
    let known = herder.status_ids().filter_map(|id| herder.status(id));
    known.map(|status| status.generation).max().unwrap_or(0).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_with_an_unknown_converter_is_refused() {
        let map = |class: &str| {
            ["key.converter", "value.converter"]
                .map(|key| (key.to_owned(), class.to_owned()))
                .into()
        };
        let check = |class: &str| {
            let settings = WorkerSettings::read(&map(class)).unwrap();
            check_classes(&settings, &test_plugins::plugins()).map_err(|error| error.to_string())
        };
        assert_eq!(check("Text"), Ok(()));
        let expected = "Invalid value Nope for configuration key.converter: Class Nope could not be found.\n\
                        Invalid value Nope for configuration value.converter: Class Nope could not be found.";
        assert_eq!(check("Nope"), Err(expected.to_owned()));
    }
}
