//! temp
#![allow(missing_docs, clippy::unwrap_used)]
use aquifer_registry_service::*;
#[tokio::main]
async fn main() {
    let bootstrap = std::env::args().nth(1).unwrap();
    let port: u16 = std::env::args().nth(2).unwrap().parse().unwrap();
    let registry = start(RegistryConfig { listen: ([127,0,0,1], port).into(), client: aquifer_broker_client::ClientSettings::new(bootstrap, "aquifer-registry"), settings: vec![] }).await.unwrap();
    println!("listening {}", registry.address());
    let t = std::time::SystemTime::now();
    registry.ready().await;
    println!("ready after {:?}", t.elapsed());
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    term.recv().await;
    let t = std::time::SystemTime::now();
    registry.stop().await;
    println!("stopped after {:?}", t.elapsed());
}
