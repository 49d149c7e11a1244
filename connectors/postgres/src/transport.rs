//! The wire to Postgres: start-up, authentication, simple queries and the COPY sub-protocols, on a socket of our own.
//!
//! - sqlx has no replication protocol; this has nothing else. Catalogue queries go through sqlx (`catalogue.rs`).
//! - Reads go into one large buffer, frames are split off it: no copy and no allocation per message.
//! - Session settings that decide how values print are the same on every connection, so snapshot and stream print alike.
//!
//! References: PostgreSQL documentation, "Frontend/Backend Protocol" and "Streaming Replication Protocol".

mod authentication;
mod tls;

use std::io;

use bytes::{Bytes, BytesMut};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::PgError;
use crate::settings::{Endpoint, SslMode};

/// Room for reading; a COPY or a stream arrives in pieces of up to this size.
pub(crate) const READ_BYTES: usize = 256 * 1024;
/// Postgres has no message past 1 GiB; a length above it means that we lost step.
const FRAME_BYTES_MAX: usize = (1 << 30) + 1024;

/// Any socket, with or without TLS.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Queries and COPY.
    Queries,
    /// Replication commands and streaming.
    Replication,
}

/// One row of a simple query, as text.
pub(crate) type Row = Vec<Option<String>>;

/// A connection that is logged in.
pub(crate) struct Connection {
    socket: Box<dyn Socket>,
    /// What arrived and was not taken yet.
    pub(crate) inbox: BytesMut,
    address: String,
}

impl Connection {
    /// Connects and logs in.
    pub(crate) async fn open(endpoint: &Endpoint, purpose: Purpose) -> Result<Self, PgError> {
        let (first, second) = match endpoint.ssl_mode {
            SslMode::Disable => (false, None),
            SslMode::Allow => (false, Some(true)),
            SslMode::Prefer => (true, Some(false)),
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (true, None),
        };
        match (Self::attempt(endpoint, purpose, first).await, second) {
            // pg_hba.conf may allow only the other kind of connection.
            (Err(PgError::Tls(_)), Some(encrypted)) => {
                Self::attempt(endpoint, purpose, encrypted).await
            }
            (Err(PgError::Server { code, message }), Some(encrypted)) if code == "28000" => {
                let second = Self::attempt(endpoint, purpose, encrypted).await;
                second.map_err(|_| PgError::Server { code, message })
            }
            (result, _) => result,
        }
    }

    async fn attempt(
        endpoint: &Endpoint,
        purpose: Purpose,
        encrypted: bool,
    ) -> Result<Self, PgError> {
        let address = format!("{}:{}", endpoint.host, endpoint.port);
        let failed = |source| PgError::Connection { address: address.clone(), source };
        let connect = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
        let timeout = std::time::Duration::from_secs(10);
        let socket = match tokio::time::timeout(timeout, connect).await {
            Ok(socket) => socket.map_err(failed)?,
            Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
        };
        socket.set_nodelay(true).map_err(failed)?;
        let socket: Box<dyn Socket> =
            if encrypted { tls::start(socket, endpoint).await? } else { Box::new(socket) };
        let inbox = BytesMut::with_capacity(READ_BYTES);
        let mut connection = Connection { socket, inbox, address };
        connection.log_in(endpoint, purpose).await?;
        Ok(connection)
    }

    async fn log_in(&mut self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), PgError> {
        let mut parameters = vec![
            ("user", endpoint.user.as_str()),
            ("database", endpoint.database.as_str()),
            ("application_name", endpoint.application_name.as_str()),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"),
            ("IntervalStyle", "iso_8601"),
            ("extra_float_digits", "3"),
            ("bytea_output", "hex"),
            ("lc_monetary", "C"),
            ("search_path", "pg_catalog"),
            ("statement_timeout", "0"),
        ];
        if purpose == Purpose::Replication {
            parameters.push(("replication", "database"));
        }
        let mut message = BytesMut::new();
        frontend::startup_message(parameters, &mut message).map_err(invalid)?;
        self.send(&message).await?;
        authentication::answer(self, endpoint).await?;
        loop {
            if let Answer::Ready = self.message().await? {
                return Ok(());
            }
        }
    }

    /// Runs one statement and gives its rows.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<Row>, PgError> {
        self.send_query(sql).await?;
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            // An error is only done with at the following ReadyForQuery.
            match self.message().await {
                Ok(Answer::Row(row)) => rows.push(row),
                Ok(Answer::Ready) => break,
                Ok(_) => {}
                Err(error @ PgError::Server { .. }) => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        failure.map_or(Ok(rows), Err)
    }

    /// Starts `COPY … TO STDOUT` or `START_REPLICATION`; from then on `inbox` is filled with CopyData.
    pub(crate) async fn start_copy(&mut self, sql: &str) -> Result<(), PgError> {
        self.send_query(sql).await?;
        loop {
            match self.tag().await? {
                // Both answers of START_REPLICATION ('W') and COPY ('H') are left to the caller from here.
                b'W' | b'H' => {
                    let length = self.frame_length().await?;
                    drop(self.inbox.split_to(length));
                    return Ok(());
                }
                _ => {
                    self.message().await?;
                }
            }
        }
    }

    async fn send_query(&mut self, sql: &str) -> Result<(), PgError> {
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message).map_err(invalid)?;
        self.send(&message).await
    }

    /// The next whole message; an ErrorResponse is an error.
    pub(crate) async fn message(&mut self) -> Result<Answer, PgError> {
        let length = self.frame_length().await?;
        answer(&self.inbox.split_to(length).freeze())
    }

    async fn tag(&mut self) -> Result<u8, PgError> {
        loop {
            if let Some(tag) = self.inbox.first() {
                return Ok(*tag);
            }
            self.fill().await?;
        }
    }

    /// Waits until the first frame is whole, and gives its length with its tag.
    async fn frame_length(&mut self) -> Result<usize, PgError> {
        loop {
            match frame(&self.inbox)? {
                Some(length) if length <= self.inbox.len() => return Ok(length),
                needed => self.fill_for(needed.unwrap_or(0)).await?,
            }
        }
    }

    /// Reads once. Cancel-safe.
    pub(crate) async fn fill(&mut self) -> Result<(), PgError> {
        self.fill_for(0).await
    }

    /// Reads once, with room for a frame of that length. Cancel-safe.
    pub(crate) async fn fill_for(&mut self, frame_bytes: usize) -> Result<(), PgError> {
        let missing = frame_bytes.saturating_sub(self.inbox.len());
        let room = self.inbox.capacity() - self.inbox.len();
        if room < missing.max(READ_BYTES / 8) {
            self.inbox.reserve(missing.max(READ_BYTES));
        }
        let count = self
            .socket
            .read_buf(&mut self.inbox)
            .await
            .map_err(|source| PgError::Connection { address: self.address.clone(), source })?;
        if count == 0 { Err(PgError::Closed) } else { Ok(()) }
    }

    /// Splits off every whole CopyData frame that has arrived, as one piece. Anything else at the front is handled:
    /// `None` means that the copy is over.
    pub(crate) async fn copy_frames(&mut self) -> Result<Option<Bytes>, PgError> {
        let mut end = 0;
        loop {
            let rest = self.inbox.get(end..).unwrap_or_default();
            match (rest.first(), frame(rest)?) {
                (Some(b'd'), Some(length)) if length <= rest.len() => end += length,
                _ if end > 0 => return Ok(Some(self.inbox.split_to(end).freeze())),
                (Some(b'd') | None, needed) => {
                    self.fill_for(needed.unwrap_or(0)).await?;
                }
                (Some(_), _) => match self.message().await? {
                    Answer::CopyDone | Answer::Ready => return Ok(None),
                    _ => {}
                },
            }
        }
    }

    /// Reads up to the next ReadyForQuery.
    pub(crate) async fn finish(&mut self) -> Result<(), PgError> {
        loop {
            if let Answer::Ready = self.message().await? {
                return Ok(());
            }
        }
    }

    /// Writes bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), PgError> {
        let address = &self.address;
        let failed = |source| PgError::Connection { address: address.clone(), source };
        self.socket.write_all(bytes).await.map_err(failed)?;
        self.socket.flush().await.map_err(failed)
    }

    /// Says goodbye, so that the server frees what it holds at once.
    pub(crate) async fn close(mut self) {
        let mut message = BytesMut::new();
        frontend::terminate(&mut message);
        // The connection is going away: whether the server heard it changes nothing for us.
        if self.send(&message).await.is_ok() {
            drop(self.socket.shutdown().await);
        }
    }
}

/// The length of the frame at the front, with its tag; `None` while its length has not arrived.
pub(crate) fn frame(bytes: &[u8]) -> Result<Option<usize>, PgError> {
    let Some((_, rest)) = bytes.split_first() else { return Ok(None) };
    let Some((length, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if !(4..=FRAME_BYTES_MAX).contains(&length) {
        return Err(PgError::Protocol(format!("a frame of {length} bytes")));
    }
    Ok(Some(length + 1))
}

/// A message from the server, of those that matter here.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A row of a query.
    Row(Row),
    /// The COPY is over; a summary and `Ready` follow.
    CopyDone,
    /// The server waits for the next statement.
    Ready,
    /// A request of, or an answer within, authentication: its code and its data.
    Authentication(u32, Bytes),
    /// Anything else.
    Other,
}

fn answer(frame: &Bytes) -> Result<Answer, PgError> {
    let body = frame.slice(5..);
    Ok(match frame.first() {
        Some(b'D') => Answer::Row(row(&body)?),
        Some(b'c') => Answer::CopyDone,
        Some(b'Z') => Answer::Ready,
        Some(b'E') => {
            let (code, message) = error_fields(&body);
            return Err(PgError::Server { code, message });
        }
        Some(b'R') => match body.split_first_chunk::<4>() {
            Some((code, _)) => Answer::Authentication(u32::from_be_bytes(*code), body.slice(4..)),
            None => return Err(PgError::Protocol("a short authentication request".to_owned())),
        },
        _ => Answer::Other,
    })
}

fn row(body: &[u8]) -> Result<Row, PgError> {
    let parse = || {
        let (count, mut rest) = body.split_first_chunk::<2>()?;
        let mut row = Row::new();
        for _ in 0..i16::from_be_bytes(*count) {
            let (length, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            // A negative length is null.
            let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
                row.push(None);
                continue;
            };
            let (cell, after) = rest.split_at_checked(length)?;
            rest = after;
            row.push(Some(String::from_utf8_lossy(cell).into_owned()));
        }
        Some(row)
    };
    parse().ok_or_else(|| PgError::Protocol("a row that ends too early".to_owned()))
}

/// SQLSTATE and message, the message with its detail and hint.
fn error_fields(body: &[u8]) -> (String, String) {
    let (mut code, mut message) = (String::new(), String::new());
    for field in body.split(|byte| *byte == 0) {
        let Some((kind, text)) = field.split_first() else { continue };
        let text = String::from_utf8_lossy(text);
        match kind {
            b'C' => code = text.into_owned(),
            b'M' => message.insert_str(0, &text),
            b'D' | b'H' => message.push_str(&format!(" ({text})")),
            _ => {}
        }
    }
    (code, message)
}

fn invalid(error: io::Error) -> PgError {
    PgError::Protocol(error.to_string())
}
