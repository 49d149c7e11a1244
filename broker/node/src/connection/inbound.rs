//! The receiving half of a connection: bytes in, whole request frames out.
//!
//! - A length is checked before anything is allocated for it.
//! - A large frame gets a buffer of exactly its size once its first bytes have come, and its bytes count against the
//!   node's budget from before the allocation until its request is answered; small frames share the read buffer.
//! - Does not look into a frame.

use std::io;
use std::sync::Arc;

use aquifer_broker_protocol::frame::{Cut, FrameError, PREFIX_BYTES, cut_frame};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames up to this size are cut from the shared read buffer and are not counted against the budget, bytes.
const SMALL_FRAME_BYTES_MAX: usize = 16 * 1024;
/// How much is read at a time where no large frame is being received, bytes.
const READ_BYTES: usize = 16 * 1024;
/// What one permit of the budget stands for, bytes.
const PERMIT_BYTES: usize = 1024;

/// The bytes of requests that may be in memory at a time, on all connections together.
#[derive(Debug, Clone)]
pub(crate) struct RequestBudget {
    permits: Arc<Semaphore>,
    permits_max: u32,
}

impl RequestBudget {
    /// A budget of `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        let permits_max = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX).max(1);
        Self { permits: Arc::new(Semaphore::new(permits_max as usize)), permits_max }
    }

    /// Takes the memory of one frame where it is free. A frame larger than the whole budget takes all of it.
    fn take_now(&self, frame_bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().try_acquire_many_owned(self.permits_for(frame_bytes)).ok()
    }

    /// Waits for the memory of one frame.
    fn take(&self, frame_bytes: usize) -> BoxFuture<'static, Option<OwnedSemaphorePermit>> {
        let (semaphore, permits) = (self.permits.clone(), self.permits_for(frame_bytes));
        Box::pin(async move { semaphore.acquire_many_owned(permits).await.ok() })
    }

    fn permits_for(&self, frame_bytes: usize) -> u32 {
        u32::try_from(frame_bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX).min(self.permits_max)
    }
}

/// A whole request.
#[derive(Debug)]
pub(crate) struct Frame {
    /// What stood after the length.
    pub(crate) bytes: Bytes,
    /// The share of the budget, to be held as long as the bytes are.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// Why no further frame can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum InboundError {
    /// The client went away between two frames.
    #[error("closed by the client")]
    Closed,
    /// The client went away within a frame.
    #[error(
        "the client closed the connection within a request, {received} of {length} bytes had come"
    )]
    ClosedWithinFrame { received: usize, length: usize },
    /// The socket failed.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// The bytes are no frames.
    #[error("{0}")]
    Frame(#[from] FrameError),
}

/// The bytes received and not yet handed on.
pub(super) struct Inbound {
    buffer: BytesMut,
    large: Option<LargeFrame>,
    waiting: Option<Waiting>,
    budget: RequestBudget,
    request_bytes_max: usize,
}

/// A large frame whose bytes are arriving.
struct LargeFrame {
    body: BytesMut,
    length: usize,
    permit: OwnedSemaphorePermit,
}

/// A large frame that waits for its share of the budget.
struct Waiting {
    length: usize,
    permit: BoxFuture<'static, Option<OwnedSemaphorePermit>>,
}

impl Inbound {
    pub(super) fn new(budget: RequestBudget, request_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), large: None, waiting: None, budget, request_bytes_max }
    }

    /// Whether some bytes of a frame are here and the rest is the client's to send.
    pub(super) fn is_within_frame(&self) -> bool {
        self.waiting.is_none() && (!self.buffer.is_empty() || self.large.is_some())
    }

    /// A frame that is already here.
    pub(super) fn cut(&mut self) -> Result<Option<Frame>, InboundError> {
        if let Some(large) = self.large.take_if(|large| large.body.len() == large.length) {
            return Ok(Some(Frame { bytes: large.body.freeze(), permit: Some(large.permit) }));
        }
        if self.large.is_some() || self.waiting.is_some() {
            return Ok(None);
        }
        let missing = match cut_frame(&mut self.buffer, self.request_bytes_max)? {
            Cut::Frame(bytes) => return Ok(Some(Frame { bytes, permit: None })),
            Cut::Incomplete { missing } => missing,
        };
        let length = (self.buffer.len() + missing).saturating_sub(PREFIX_BYTES);
        // A length alone takes no memory from others: some of what it announces must have come.
        if length > SMALL_FRAME_BYTES_MAX && self.buffer.len() >= SMALL_FRAME_BYTES_MAX {
            match self.budget.take_now(length) {
                Some(permit) => self.begin_large(length, permit),
                None => {
                    self.waiting = Some(Waiting { length, permit: self.budget.take(length) });
                }
            }
        }
        Ok(None)
    }

    /// Waits until more is here: bytes, or the memory for a large frame. May be dropped at any time without loss.
    pub(super) async fn fill(&mut self, stream: &TcpStream) -> Result<(), InboundError> {
        if let Some(waiting) = &mut self.waiting {
            let permit = (&mut waiting.permit).await.ok_or(InboundError::Closed)?;
            let length = waiting.length;
            self.waiting = None;
            self.begin_large(length, permit);
            return Ok(());
        }
        loop {
            stream.readable().await?;
            match self.try_fill(stream) {
                Ok(0) => return Err(self.end()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn begin_large(&mut self, length: usize, permit: OwnedSemaphorePermit) {
        let mut body = BytesMut::with_capacity(length);
        let received = self.buffer.split_to(self.buffer.len().min(PREFIX_BYTES + length));
        body.extend_from_slice(received.get(PREFIX_BYTES..).unwrap_or_default());
        self.large = Some(LargeFrame { body, length, permit });
    }

    fn try_fill(&mut self, stream: &TcpStream) -> io::Result<usize> {
        match &mut self.large {
            Some(large) => {
                let missing = large.length - large.body.len();
                stream.try_read_buf(&mut (&mut large.body).limit(missing))
            }
            None => {
                self.buffer.reserve(READ_BYTES);
                stream.try_read_buf(&mut self.buffer)
            }
        }
    }

    fn end(&self) -> InboundError {
        match &self.large {
            Some(large) => {
                InboundError::ClosedWithinFrame { received: large.body.len(), length: large.length }
            }
            None => match self.buffer.split_first_chunk::<PREFIX_BYTES>() {
                Some((prefix, body)) => InboundError::ClosedWithinFrame {
                    received: body.len(),
                    length: usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or_default(),
                },
                None => InboundError::Closed,
            },
        }
    }
}
