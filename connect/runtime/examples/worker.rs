//! A worker with tiny connectors, to try the runtime by hand: `worker BOOTSTRAP REST_ADDRESS [key=value]…`.
#![allow(missing_docs, reason = "an example's parts are not read from outside")]

use std::net::SocketAddr;

use aquifer_broker_client::ClientSettings;
use aquifer_connect_runtime::{Plugins, WorkerConfig, start};

#[path = "../src/test_plugins.rs"]
mod test_plugins;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().ok_or("BOOTSTRAP is missing")?;
    let listen: SocketAddr = arguments.next().ok_or("REST_ADDRESS is missing")?.parse()?;
    let pair = |text: String| {
        let (key, value) = text.split_once('=').unwrap_or((&text, ""));
        (key.to_owned(), value.to_owned())
    };
    let mut settings: aquifer_connect_api::config::ConfigMap =
        [("key.converter", "test.TextConverter"), ("value.converter", "test.TextConverter")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
    settings.extend(arguments.map(pair));
    let client = ClientSettings::new(bootstrap, "worker");
    let worker = start(WorkerConfig { listen, client, settings }, test_plugins::plugins()).await?;
    println!("ready on {}", worker.address());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    terminate.recv().await;
    worker.stop().await;
    println!("stopped");
    Ok(())
}
