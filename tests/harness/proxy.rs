//! A TCP proxy that delays what it passes on and cuts connections: a bad network on one machine.
//!
//! - Each direction of a connection is delayed by itself, and in order: bytes are late, never swapped or lost.
//! - A cut takes all connections at that moment, in the middle of whatever they carry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes that are passed on at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// A running proxy. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: String,
    delay_ms: Arc<AtomicU64>,
    cuts: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy on a free port; it knows nobody to pass on to yet, and refuses connections until it does.
    pub async fn start() -> Result<(Self, watch::Sender<String>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let delay_ms = Arc::new(AtomicU64::new(0));
        let (cuts, _) = watch::channel(0);
        let (target, targets) = watch::channel(String::new());
        let accepting =
            tokio::spawn(accept(listener, targets, Arc::clone(&delay_ms), cuts.clone()));
        Ok((Self { address, delay_ms, cuts, accepting }, target))
    }

    /// From now on every piece is late by up to that much.
    pub fn delay(&self, up_to: Duration) {
        self.delay_ms
            .store(u64::try_from(up_to.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Cuts all connections of this moment.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(
    listener: TcpListener,
    targets: watch::Receiver<String>,
    delay_ms: Arc<AtomicU64>,
    cuts: watch::Sender<u64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let target = targets.borrow().clone();
        let (delay_ms, mut cut) = (Arc::clone(&delay_ms), cuts.subscribe());
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(&target).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                _ = pass(from_client, to_server, &delay_ms) => {}
                _ = pass(from_server, to_client, &delay_ms) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay_ms: &AtomicU64) -> Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    // Not a good generator, and good enough to make delays differ.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (std::ptr::from_ref(&from) as u64);
    loop {
        let bytes = from.read(&mut piece).await?;
        if bytes == 0 {
            return Ok(());
        }
        let limit = delay_ms.load(Ordering::Relaxed);
        if limit > 0 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            tokio::time::sleep(Duration::from_millis((state >> 33) % (limit + 1))).await;
        }
        to.write_all(&piece[..bytes]).await?;
    }
}
