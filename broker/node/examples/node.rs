//! A broker alone: `cargo run -p aquifer-broker-node --example node -- DATA_DIR PORT [key=value]...`

use std::net::SocketAddr;

use aquifer_broker_node::{NodeConfig, start};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(data_dir), Some(port)) = (arguments.next(), arguments.next()) else {
        return Err("expected a data directory and a port".into());
    };
    let settings = arguments
        .map(|setting| {
            let (key, value) = setting.split_once('=').ok_or("expected key=value")?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect::<Result<_, &str>>()?;
    let listen = SocketAddr::from(([127, 0, 0, 1], port.parse()?));
    let node =
        start(NodeConfig { data_dir: data_dir.into(), listen, advertised: None, settings }).await?;
    println!("listening on {}", node.address());
    tokio::select! {
        reason = node.fatal() => return Err(reason.into()),
        signal = tokio::signal::ctrl_c() => signal?,
    }
    node.stop().await?;
    Ok(())
}
