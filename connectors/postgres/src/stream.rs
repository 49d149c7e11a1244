//! The session with the walsender: a task of its own reads, and answers it at all times.
//!
//! - What was read waits in a bounded channel. While that is full nothing more is read, but status updates go on: Postgres
//!   never takes a slow consumer for a dead one.
//! - Nothing is confirmed but what `confirm` was told.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::clock;
use crate::error::PgError;
use crate::lsn::Lsn;
use crate::transport::{Connection, frame};

/// Pieces that wait for the consumer; each is about `INBOX_BYTES_MAX` at most, or one larger message.
const PIECES_MAX: usize = 2;
/// With so many bytes of whole frames waiting, nothing more is read.
const INBOX_BYTES_MAX: usize = 512 * 1024;
/// Confirmations closer together than this are sent as one.
const CONFIRM_INTERVAL: Duration = Duration::from_millis(20);
/// Microseconds between 1970 and 2000, from where Postgres counts.
const POSTGRES_EPOCH_US: u128 = 946_684_800_000_000;

/// What the reader hands over: frames of CopyData, or why it ended.
type Piece = Result<Bytes, PgError>;

/// A running stream.
pub(crate) struct Stream {
    pieces: mpsc::Receiver<Piece>,
    confirmed: watch::Sender<Lsn>,
    reader: JoinHandle<()>,
}

/// How a stream is started.
#[derive(Debug, Clone)]
pub(crate) struct StreamOptions {
    pub(crate) slot: String,
    pub(crate) publication: String,
    pub(crate) origin: Option<String>,
    /// Where to go on.
    pub(crate) start: Lsn,
    /// What may be told to Postgres at once: not ahead of what is durable, not behind what the slot has.
    pub(crate) confirmed: Lsn,
    pub(crate) status_interval: Duration,
}

impl Stream {
    /// Starts streaming on a replication connection.
    pub(crate) async fn start(
        mut connection: Connection,
        options: &StreamOptions,
    ) -> Result<Self, PgError> {
        let mut parameters = format!(
            "proto_version '1', publication_names {}",
            crate::slot::literal(&crate::slot::identifier(&options.publication))
        );
        if let Some(origin) = &options.origin {
            parameters.push_str(&format!(", origin {}", crate::slot::literal(origin)));
        }
        let command = format!(
            "START_REPLICATION SLOT {} LOGICAL {} ({parameters})",
            crate::slot::identifier(&options.slot),
            options.start
        );
        // Once the inbox is full no keepalive is seen, so status updates alone must come often enough for the server.
        let timeout = connection
            .query("SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'")
            .await?;
        let timeout = timeout.first().and_then(|row| row.first()).cloned().flatten();
        let timeout_ms = timeout.and_then(|text| text.parse().ok()).filter(|ms| *ms > 0);
        let often_enough = timeout_ms.map_or(Duration::MAX, |ms| Duration::from_millis(ms) / 3);
        connection.start_copy(&command).await?;
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let (confirmed, receiver) = watch::channel(options.confirmed);
        let reader = Reader {
            connection,
            pieces: sender,
            confirmed: receiver,
            received: options.start,
            status_interval: options.status_interval.min(often_enough),
            whole: 0,
        };
        let reader = tokio::spawn(reader.run());
        Ok(Stream { pieces, confirmed, reader })
    }

    /// The next piece; the stream's end is an error. Cancel-safe.
    pub(crate) async fn piece(&mut self) -> Result<Bytes, PgError> {
        self.pieces.recv().await.unwrap_or(Err(PgError::Closed))
    }

    /// The next piece if there is one already.
    pub(crate) fn piece_at_hand(&mut self) -> Option<Result<Bytes, PgError>> {
        match self.pieces.try_recv() {
            Ok(piece) => Some(piece),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => Some(Err(PgError::Closed)),
        }
    }

    /// Everything before that LSN is durable elsewhere: Postgres may forget it.
    pub(crate) fn confirm(&self, lsn: Lsn) {
        self.confirmed.send_if_modified(|confirmed| {
            let forward = lsn > *confirmed;
            *confirmed = lsn.max(*confirmed);
            forward
        });
    }

    /// Ends the stream; the last confirmation is sent first.
    pub(crate) async fn stop(self) {
        drop(self.pieces);
        // A reader that hangs on a dead socket is not waited for.
        if tokio::time::timeout(Duration::from_secs(2), self.reader).await.is_err() {
            tracing::debug!("replication connection did not close in time");
        }
    }
}

struct Reader {
    connection: Connection,
    pieces: mpsc::Sender<Piece>,
    confirmed: watch::Receiver<Lsn>,
    received: Lsn,
    status_interval: Duration,
    /// How many bytes at the front of the inbox are whole frames of CopyData.
    whole: usize,
}

impl Reader {
    async fn run(mut self) {
        let goodbye = match self.read().await {
            Ok(()) => self.status().await.is_ok(),
            Err(error) => {
                // Without a consumer nobody wants to know.
                drop(self.pieces.send(Err(error)).await);
                false
            }
        };
        if goodbye {
            self.connection.close().await;
        }
    }

    /// Runs until the consumer is gone (`Ok`) or something failed.
    ///
    /// Frames stay in the inbox until the channel has room, and more are read meanwhile: a busy consumer gets few large pieces,
    /// an idle one gets each change at once.
    async fn read(&mut self) -> Result<(), PgError> {
        let mut last_status = clock::instant();
        let mut next_status = last_status;
        loop {
            if self.scan()? {
                next_status = clock::instant();
            }
            if self.whole == 0 && self.connection.inbox.first().is_some_and(|tag| *tag != b'd') {
                // An error is told as one; anything else here means that the stream is over.
                self.connection.message().await?;
                return Err(PgError::Closed);
            }
            if clock::instant() >= next_status {
                self.status().await?;
                last_status = clock::instant();
                next_status = last_status + self.status_interval;
            }
            let incomplete = self.connection.inbox.get(self.whole..).unwrap_or_default();
            let needed = self.whole + frame(incomplete)?.unwrap_or(0);
            let room = self.whole < INBOX_BYTES_MAX;
            tokio::select! {
                permit = self.pieces.reserve(), if self.whole > 0 => match permit {
                    Ok(permit) => {
                        let piece = self.connection.inbox.split_to(self.whole).freeze();
                        self.whole = 0;
                        permit.send(Ok(piece));
                    }
                    Err(_) => return Ok(()),
                },
                result = self.connection.fill_for(needed), if room => result?,
                () = self.pieces.closed(), if self.whole == 0 => return Ok(()),
                changed = self.confirmed.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    next_status = next_status.min(last_status + CONFIRM_INTERVAL);
                }
                () = tokio::time::sleep_until(next_status) => {}
            }
        }
    }

    /// Finds the frames that became whole, and says whether one of them asks for a reply.
    fn scan(&mut self) -> Result<bool, PgError> {
        let mut reply = false;
        loop {
            let rest = self.connection.inbox.get(self.whole..).unwrap_or_default();
            let Some(length) = frame(rest)?.filter(|length| *length <= rest.len()) else { break };
            match rest.get(..length).unwrap_or_default() {
                [b'd', _, _, _, _, b'k', wal_end @ .., asks] => {
                    reply |= *asks == 1;
                    self.received = self.received.max(lsn(wal_end));
                }
                [b'd', _, _, _, _, b'w', start @ ..] => {
                    self.received = self.received.max(lsn(start));
                }
                [b'd', ..] => {}
                _ => break,
            }
            self.whole += length;
        }
        Ok(reply)
    }

    async fn status(&mut self) -> Result<(), PgError> {
        let flushed = *self.confirmed.borrow_and_update();
        let now = clock::since_epoch().as_micros().saturating_sub(POSTGRES_EPOCH_US);
        let mut message = BytesMut::with_capacity(39);
        message.put_u8(b'd');
        message.put_u32(4 + 34);
        message.put_u8(b'r');
        message.put_u64(self.received.max(flushed).0);
        message.put_u64(flushed.0);
        message.put_u64(flushed.0);
        message.put_u64(u64::try_from(now).unwrap_or(0));
        message.put_u8(0);
        self.connection.send(&message).await
    }
}

fn lsn(bytes: &[u8]) -> Lsn {
    bytes.first_chunk::<8>().map_or(Lsn::ZERO, |bytes| Lsn(u64::from_be_bytes(*bytes)))
}
