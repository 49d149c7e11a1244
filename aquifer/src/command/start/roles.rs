//! Starts the roles in their order, and stops them in the other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use aquifer_broker_client::ClientSettings;
use aquifer_broker_node as broker;
use aquifer_connect_runtime as connect;
use aquifer_registry_service as registry;
use indexmap::IndexMap;

use super::StartError;
use crate::config::Config;
use crate::exit::Error;
use crate::plugins;
use crate::role::Role;

/// The roles that run.
#[derive(Default)]
pub(super) struct Running {
    node: Option<broker::Node>,
    registry: Option<registry::Registry>,
    worker: Option<connect::Worker>,
}

/// Starts each role once the one that it stands on answers.
pub(super) async fn start(config: &Config, running: &mut Running) -> Result<(), StartError> {
    if config.roles.contains(&Role::Broker) {
        running.node = Some(start_broker(config).await?);
    }
    let bootstrap = match (&running.node, &config.bootstrap_servers) {
        (Some(node), _) => reachable(node.address()).to_string(),
        (None, Some(servers)) => servers.clone(),
        (None, None) => return Ok(()),
    };
    if config.roles.contains(&Role::Registry) {
        running.registry = Some(start_registry(config, &bootstrap).await?);
    }
    if config.roles.contains(&Role::Connect) {
        let registry = running.registry.as_ref().map(|registry| reachable(registry.address()));
        running.worker = Some(start_worker(config, &bootstrap, registry).await?);
    }
    if let Some(registry) = &running.registry {
        // Its schemas are read while the worker starts.
        registry.ready().await;
    }
    Ok(())
}

impl Running {
    /// The names of the ready file, and the addresses as bound.
    pub(super) fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let kafka = self.node.as_ref().map(|node| ("kafka", node.address()));
        let registry = self.registry.as_ref().map(|registry| ("registry", registry.address()));
        let connect = self.worker.as_ref().map(|worker| ("connect", worker.address()));
        [kafka, registry, connect].into_iter().flatten().collect()
    }

    /// Completes when the broker can't go on.
    pub(super) async fn failed(&self) -> anyhow::Error {
        match &self.node {
            Some(node) => anyhow!("the broker stopped: {}", node.fatal().await),
            None => std::future::pending().await,
        }
    }

    /// Connectors first, so that what they do is still recorded; the broker last.
    pub(super) async fn stop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.stop().await;
        }
        if let Some(registry) = self.registry.take() {
            registry.stop().await;
        }
        if let Some(node) = self.node.take()
            && let Err(error) = node.stop().await
        {
            tracing::error!(error = %error, "the broker did not stop cleanly; the next start recovers its logs");
        }
    }
}

async fn start_broker(config: &Config) -> Result<broker::Node, Error> {
    prepare_directory(&config.data_dir)?;
    let node_config = broker::NodeConfig {
        data_dir: config.data_dir.clone(),
        listen: resolve("kafka", &config.kafka)?,
        advertised: config.advertised.as_ref().map(|address| (address.host.clone(), address.port)),
        settings: config.broker_keys.clone().into_iter().collect(),
    };
    broker::start(node_config).await.map_err(|error| match error {
        broker::NodeError::Config(error) => Error::configuration(error.to_string()),
        error => Error::Outside(anyhow::Error::new(error).context("the broker did not start")),
    })
}

async fn start_registry(config: &Config, bootstrap: &str) -> Result<registry::Registry, Error> {
    let registry_config = registry::RegistryConfig {
        listen: resolve("registry", &config.registry)?,
        client: ClientSettings::new(bootstrap, "aquifer-registry"),
        settings: config.registry_keys.clone().into_iter().collect(),
    };
    registry::start(registry_config).await.map_err(|error| match error {
        error @ registry::RegistryError::Setting { .. } => Error::configuration(error.to_string()),
        error => Error::Outside(anyhow::Error::new(error).context("the registry did not start")),
    })
}

async fn start_worker(
    config: &Config,
    bootstrap: &str,
    registry: Option<SocketAddr>,
) -> Result<connect::Worker, Error> {
    let worker_config = connect::WorkerConfig {
        listen: resolve("connect", &config.connect)?,
        client: ClientSettings::new(bootstrap, "aquifer-connect"),
        settings: with_defaults(config.connect_keys.clone(), registry),
    };
    connect::start(worker_config, plugins::table()).await.map_err(|error| match error {
        connect::WorkerError::Config(faults) => Error::configuration(faults.join("\naquifer: ")),
        error => {
            Error::Outside(anyhow::Error::new(error).context("the Connect worker did not start"))
        }
    })
}

/// Avro with the schemas in our registry, unless the user chose converters: then a config without any registers its schemas.
fn with_defaults(
    mut keys: IndexMap<String, String>,
    registry: Option<SocketAddr>,
) -> IndexMap<String, String> {
    const AVRO: &str = "io.confluent.connect.avro.AvroConverter";
    let Some(registry) = registry else { return keys };
    for converter in ["key.converter", "value.converter"] {
        let class = keys.entry(converter.to_owned()).or_insert_with(|| AVRO.to_owned()).clone();
        if class == AVRO {
            keys.entry(format!("{converter}.schema.registry.url"))
                .or_insert_with(|| format!("http://{registry}"));
        }
    }
    keys
}

fn prepare_directory(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path)
        .with_context(|| format!("--data-dir {} can't be made", path.display()))
        .map_err(Error::Outside)
}

fn resolve(flag: &str, address: &crate::config::Address) -> Result<SocketAddr, Error> {
    address.resolve().with_context(|| format!("--{flag} {address}")).map_err(Error::Outside)
}

/// The address at which this process reaches its own listener.
fn reachable(bound: SocketAddr) -> SocketAddr {
    if bound.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), bound.port())
    } else {
        bound
    }
}
