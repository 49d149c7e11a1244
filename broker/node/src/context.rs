//! What a handler is given: the node, and the request it answers.
//!
//! - A handler is `pub(crate) async fn handle(ctx: &RequestContext, request: XRequest<'_>) -> XResponse<'_>`.
//! - Requests of one connection are polled once, in their order, before the next one is decoded; a handler that must not
//!   be overtaken for longer holds the connection's turn.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::api::FetchSessions;
use crate::clock::Clock;
use crate::config::BrokerSettings;
use crate::connection::Frame;
use crate::hosting::Hosting;
use crate::partition::{FileRange, Partitions};

/// What all connections share.
pub(crate) struct NodeState {
    /// The cluster's id: 22 characters of URL-safe base64.
    pub(crate) cluster_id: String,
    /// The address clients are told to connect to; the one they connected to where it is `None`.
    pub(crate) advertised: Option<(String, u16)>,
    /// The data directory as clients are told of it: without links and relative parts.
    pub(crate) log_dir: PathBuf,
    /// The broker's configuration as it was given at the start; see `Hosting::live_settings`.
    pub(crate) settings: Arc<BrokerSettings>,
    /// The time.
    pub(crate) clock: Clock,
    /// Set when the node stops: what waits for a client's patience answers at once.
    pub(crate) stopping: CancellationToken,
    /// The partitions of this node.
    pub(crate) partitions: Arc<Partitions>,
    /// The machines of this node: topics, groups, producer ids, and the image of what is durable.
    pub(crate) hosting: Arc<Hosting>,
    /// What clients read in fetch sessions.
    pub(crate) fetch_sessions: FetchSessions,
}

/// The connection that requests come from.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The client's address.
    pub(crate) address: SocketAddr,
    /// The address of ours that it connected to.
    pub(crate) local_address: SocketAddr,
    /// Held by a request that must not be overtaken yet.
    pub(crate) turn: Turn,
}

/// The order of a connection's requests: while one holds the turn, the next is not decoded.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    taken: AtomicBool,
    given_back: Notify,
}

/// The turn, held until this is dropped.
pub(crate) struct HeldTurn<'a> {
    turn: &'a Turn,
}

impl Turn {
    /// Takes the turn; only one request can, since the next is not begun before.
    pub(crate) fn take(&self) -> HeldTurn<'_> {
        self.taken.store(true, Ordering::Release);
        HeldTurn { turn: self }
    }

    /// Whether a request holds it.
    pub(crate) fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Acquire)
    }

    /// Completes when it was given back.
    pub(crate) async fn given_back(&self) {
        self.given_back.notified().await;
    }
}

impl Drop for HeldTurn<'_> {
    fn drop(&mut self) {
        self.turn.taken.store(false, Ordering::Release);
        self.turn.given_back.notify_one();
    }
}

impl NodeState {
    /// The host and port that the client behind `peer` reaches this node at.
    pub(crate) fn address_for(&self, peer: &Peer) -> (String, i32) {
        match &self.advertised {
            Some((host, port)) => (host.clone(), i32::from(*port)),
            None => {
                let address = peer.local_address;
                (address.ip().to_canonical().to_string(), i32::from(address.port()))
            }
        }
    }
}

/// One request, beside its decoded body.
pub(crate) struct RequestContext {
    /// The node.
    pub(crate) node: Arc<NodeState>,
    /// The connection.
    pub(crate) peer: Arc<Peer>,
    /// The version of the request and of its response.
    pub(crate) api_version: i16,
    /// The client's own name for itself; empty where it gave none.
    pub(crate) client_id: String,
    /// The request without its header; decoded fields borrow from it, and `slice_ref` makes them shareable.
    pub(crate) body: Bytes,
    file_ranges: Mutex<Vec<FileRange>>,
    close: AtomicBool,
    withhold: AtomicBool,
    /// The frame's share of the memory for requests, given back with it.
    _permit: Option<OwnedSemaphorePermit>,
}

impl RequestContext {
    /// A request of `client_id` whose header has been cut off `body`.
    pub(crate) fn new(
        node: Arc<NodeState>,
        peer: Arc<Peer>,
        api_version: i16,
        client_id: String,
        body: Frame,
    ) -> Self {
        Self {
            node,
            peer,
            api_version,
            client_id,
            body: body.bytes,
            _permit: body.permit,
            file_ranges: Mutex::new(Vec::new()),
            close: AtomicBool::new(false),
            withhold: AtomicBool::new(false),
        }
    }

    /// Keeps a file range for the response; the number stands for it in `Records::External`.
    pub(crate) fn keep_file_range(&self, range: FileRange) -> usize {
        let mut ranges = self.file_ranges.lock();
        ranges.push(range);
        ranges.len() - 1
    }

    /// The file ranges that were kept, by number.
    pub(crate) fn take_file_ranges(&self) -> Vec<FileRange> {
        std::mem::take(&mut self.file_ranges.lock())
    }

    /// Closes the connection once earlier replies are out: the only way to report an error of a request with acks=0.
    pub(crate) fn close_connection(&self, why: &'static str) {
        tracing::info!(client = %self.peer.address, why, "closing the connection");
        self.close.store(true, Ordering::Release);
    }

    /// Sends nothing for this request: acks=0.
    pub(crate) fn withhold_reply(&self) {
        self.withhold.store(true, Ordering::Release);
    }

    /// Whether nothing is to be sent.
    pub(crate) fn withholds_reply(&self) -> bool {
        self.withhold.load(Ordering::Acquire)
    }

    /// Whether the connection is to be closed.
    pub(crate) fn closes_connection(&self) -> bool {
        self.close.load(Ordering::Acquire)
    }
}
