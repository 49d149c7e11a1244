//! One connection: requests in, one after the other; replies out, in the same order.
//!
//! - A request is decoded, and its handler runs up to its first wait, before the next request is looked at: pipelined
//!   appends of one producer are queued in their order. Only what a handler waits for is asynchronous.
//! - Requests in flight and reply bytes that wait for a slow reader are bounded; past the bound nothing more is read.
//! - Bytes that are not the protocol close the connection, with one log line that says why.

mod inbound;
mod outbound;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::net::TcpStream;
use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Finished, RequestError};
use crate::context::{NodeState, Peer};

pub(crate) use self::inbound::Frame;
pub(crate) use self::inbound::RequestBudget;
use self::inbound::{Inbound, InboundError};
use self::outbound::Outbound;
pub(crate) use self::outbound::Piece;

/// Requests of one connection that may be unanswered; clients pipeline five produce requests and a handful of others.
const IN_FLIGHT_MAX: usize = 64;
/// Reply bytes that may wait for a slow reader before its next request is looked at, bytes.
const OUTBOUND_BYTES_MAX: usize = 4 << 20;
/// A request that has begun must go on within this time: it may hold memory that others wait for.
const STALLED_REQUEST_MAX: Duration = Duration::from_secs(30);
/// How long answers that do not depend on a client's patience may take when the node stops.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Serves one connection until either side ends it.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: Arc<Peer>,
    node: Arc<NodeState>,
    budget: RequestBudget,
) {
    let stopping = node.stopping.clone();
    let request_bytes_max =
        usize::try_from(node.settings.socket_request_max_bytes).unwrap_or_default();
    let idle_ms = u64::try_from(node.settings.connections_max_idle_ms).ok();
    let now = node.clock.instant();
    let connection = Connection {
        stream,
        inbound: Inbound::new(budget, request_bytes_max),
        outbound: Outbound::default(),
        in_flight: FuturesOrdered::new(),
        closing: false,
        active_at: now,
        received_at: now,
        idle_max: idle_ms.map_or(Duration::MAX, Duration::from_millis),
        node,
        peer: peer.clone(),
    };
    match connection.run(&stopping).await {
        Ok(reason) => tracing::debug!(client = %peer.address, %reason, "connection closed"),
        Err(ConnectionError::Inbound(error @ (InboundError::Closed | InboundError::Socket(_)))) => {
            tracing::debug!(client = %peer.address, %error, "connection closed");
        }
        Err(error) => tracing::warn!(client = %peer.address, %error, "connection closed"),
    }
}

/// Why a connection was closed that the client did not close.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error("{0}")]
    Inbound(#[from] InboundError),
    #[error("{0}")]
    Request(#[from] RequestError),
    #[error("a request stopped within its bytes for {} s", STALLED_REQUEST_MAX.as_secs())]
    Stalled,
    #[error("could not send a reply: {0}")]
    Outbound(std::io::Error),
}

struct Connection {
    stream: TcpStream,
    inbound: Inbound,
    outbound: Outbound,
    in_flight: FuturesOrdered<InFlight>,
    /// Nothing more is read; what is in flight is answered.
    closing: bool,
    /// When bytes last moved, either way.
    active_at: Instant,
    /// When bytes last came.
    received_at: Instant,
    idle_max: Duration,
    node: Arc<NodeState>,
    peer: Arc<Peer>,
}

type Outcome = Result<Finished, RequestError>;
type InFlight = Unconstrained<BoxFuture<'static, Outcome>>;

impl Connection {
    async fn run(mut self, stopping: &CancellationToken) -> Result<&'static str, ConnectionError> {
        let mut timer = std::pin::pin!(tokio::time::sleep_until(self.deadline()));
        loop {
            // A client that never lets its socket run dry must not keep the others from being served.
            tokio::task::coop::consume_budget().await;
            self.start_requests().await?;
            if self.closing && self.in_flight.is_empty() && self.outbound.is_empty() {
                return Ok("as the last reply asked");
            }
            let reads = self.reads();
            // Deadlines mostly move away; the timer is touched only when one has come nearer.
            let deadline = self.deadline();
            if deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            tokio::select! {
                biased;
                () = stopping.cancelled() => return self.drain().await,
                Some(outcome) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.finish(outcome)?;
                    self.finish_ready().await?;
                }
                sent = self.outbound.send_some(&self.stream), if !self.outbound.is_empty() => {
                    sent.map_err(ConnectionError::Outbound)?;
                    self.active_at = self.node.clock.instant();
                }
                filled = self.inbound.fill(&self.stream), if reads => {
                    filled?;
                    self.received_at = self.node.clock.instant();
                    self.active_at = self.received_at;
                }
                () = self.peer.turn.given_back(), if self.peer.turn.is_taken() => {}
                () = timer.as_mut() => {
                    if let Some(reason) = self.timed_out()? {
                        return Ok(reason);
                    }
                    timer.as_mut().reset(self.deadline());
                }
            }
        }
    }

    /// Whether more requests may be taken on.
    fn reads(&self) -> bool {
        !self.closing
            && !self.peer.turn.is_taken()
            && self.in_flight.len() < IN_FLIGHT_MAX
            && self.outbound.len() < OUTBOUND_BYTES_MAX
    }

    /// Starts every request that is already here.
    async fn start_requests(&mut self) -> Result<(), ConnectionError> {
        while self.reads() {
            let Some(frame) = self.inbound.cut()? else { return Ok(()) };
            let mut request = self.start(frame)?;
            match futures_util::poll!(&mut request) {
                std::task::Poll::Ready(outcome) if self.in_flight.is_empty() => {
                    self.finish(outcome)?
                }
                std::task::Poll::Ready(outcome) => {
                    self.in_flight.push_back(unconstrained(Box::pin(std::future::ready(outcome))));
                }
                std::task::Poll::Pending => self.in_flight.push_back(request),
            }
        }
        Ok(())
    }

    fn start(&self, frame: Frame) -> Result<InFlight, RequestError> {
        let request = api::start(&self.node, &self.peer, frame)?;
        // Without the scheduler's budget: a handler that is polled must get as far as it can, or a later request
        // could be queued before it.
        Ok(unconstrained(request))
    }

    fn finish(&mut self, outcome: Outcome) -> Result<(), RequestError> {
        let finished = outcome?;
        for piece in finished.pieces {
            self.outbound.push(piece);
        }
        self.closing |= finished.close;
        Ok(())
    }

    /// Takes along the replies that are ready too, so that one write sends them all.
    async fn finish_ready(&mut self) -> Result<(), RequestError> {
        while self.outbound.len() < OUTBOUND_BYTES_MAX {
            match futures_util::poll!(self.in_flight.next()) {
                std::task::Poll::Ready(Some(outcome)) => self.finish(outcome)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// When to look at the clock next.
    fn deadline(&self) -> Instant {
        let idle_at = self.active_at.checked_add(self.idle_max);
        let stalled_at =
            self.inbound.is_within_frame().then(|| self.received_at + STALLED_REQUEST_MAX);
        match (idle_at, stalled_at) {
            (Some(idle_at), Some(stalled_at)) => idle_at.min(stalled_at),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => self.active_at + Duration::from_secs(86_400),
        }
    }

    fn timed_out(&mut self) -> Result<Option<&'static str>, ConnectionError> {
        let now = self.node.clock.instant();
        if self.reads()
            && self.inbound.is_within_frame()
            && now >= self.received_at + STALLED_REQUEST_MAX
        {
            return Err(ConnectionError::Stalled);
        }
        if !self.reads() {
            // What has come and may not be looked at yet is not the client's fault.
            self.received_at = now;
        }
        if now.duration_since(self.active_at) < self.idle_max {
            return Ok(None);
        }
        if self.in_flight.is_empty() {
            return Ok(Some("idle for connections.max.idle.ms"));
        }
        self.active_at = now;
        Ok(None)
    }

    /// Sends what is decided already and what will be soon, then ends the connection.
    async fn drain(mut self) -> Result<&'static str, ConnectionError> {
        let until = self.node.clock.instant() + DRAIN_MAX;
        loop {
            if self.in_flight.is_empty() && self.outbound.is_empty() {
                return Ok("the node stops");
            }
            tokio::select! {
                biased;
                Some(outcome) = self.in_flight.next(), if !self.in_flight.is_empty() => self.finish(outcome)?,
                sent = self.outbound.send_some(&self.stream), if !self.outbound.is_empty() => {
                    sent.map_err(ConnectionError::Outbound)?;
                }
                () = tokio::time::sleep_until(until) => return Ok("the node stops"),
            }
        }
    }
}
