//! The listening socket: accepts connections, within bounds, until the node stops.
//!
//! - A connection over a bound is closed at once, with a log line; those that are open are not disturbed.
//! - Running out of file descriptors is waited out, not fatal.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::config::BrokerSettings;
use crate::connection::{self, RequestBudget};
use crate::context::{NodeState, Peer, Turn};

/// The bound of `queued.max.request.bytes=-1`, bytes.
const REQUEST_BYTES_MAX: usize = 256 << 20;
/// The wait after a failed accept: most likely descriptors have run out.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Opens the listening socket; port 0 picks a free one.
pub(crate) fn bind(address: SocketAddr, settings: &BrokerSettings) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(settings.socket_listen_backlog_size)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until `stopping`, then waits until all of them have ended.
pub(crate) async fn accept(listener: TcpListener, node: Arc<NodeState>) {
    let budget = RequestBudget::new(
        usize::try_from(node.settings.queued_max_request_bytes).unwrap_or(REQUEST_BYTES_MAX),
    );
    let open = Arc::new(OpenConnections::default());
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = node.stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Some(place) =
            OpenConnections::enter(&open, address.ip(), &node.hosting.live_settings())
        else {
            tracing::warn!(client = %address, "connection refused: max.connections or max.connections.per.ip are open");
            continue;
        };
        let local_address = match prepare(&stream, &node.settings) {
            Ok(local_address) => local_address,
            Err(error) => {
                tracing::debug!(client = %address, %error, "connection ended before it began");
                continue;
            }
        };
        let peer = Arc::new(Peer { address, local_address, turn: Turn::default() });
        let serving = connection::serve(stream, peer, node.clone(), budget.clone());
        tasks.spawn(async move {
            serving.await;
            drop(place);
        });
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

fn prepare(stream: &TcpStream, settings: &BrokerSettings) -> io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if let Some(bytes) =
        settings.socket_send_buffer_bytes.and_then(|bytes| usize::try_from(bytes).ok())
    {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) =
        settings.socket_receive_buffer_bytes.and_then(|bytes| usize::try_from(bytes).ok())
    {
        socket.set_recv_buffer_size(bytes)?;
    }
    stream.local_addr()
}

/// How many connections are open, in all and by address.
#[derive(Debug, Default)]
struct OpenConnections {
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One open connection's place in the count.
struct Place {
    open: Arc<OpenConnections>,
    address: IpAddr,
}

impl OpenConnections {
    fn enter(open: &Arc<Self>, address: IpAddr, settings: &BrokerSettings) -> Option<Place> {
        let bound = |bound: i32| usize::try_from(bound).unwrap_or_default();
        let mut by_address = open.by_address.lock();
        let all: usize = by_address.values().sum();
        let here = by_address.entry(address).or_default();
        if all >= bound(settings.max_connections) || *here >= bound(settings.max_connections_per_ip)
        {
            if *here == 0 {
                by_address.remove(&address);
            }
            return None;
        }
        *here += 1;
        Some(Place { open: open.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.open.by_address.lock();
        if let Some(here) = by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}
