//! The sending half of a connection: pieces of replies in order, memory and file ranges, out to the socket.
//!
//! - Bytes in memory go by vectored writes, several replies at a time; long file ranges go by `sendfile`.
//! - The thread never waits for a disk: a range whose pages are not in memory is read on the blocking pool first.
//! - A file that ends before its range does breaks the connection: the reply's length is already out.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;

use bytes::{Buf, Bytes};
use rustix::io::ReadWriteFlags;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use smallvec::SmallVec;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::partition::FileRange;

/// A range up to this size is copied through memory, which is cheaper than a `sendfile` of its own, bytes.
const COPIED_RANGE_BYTES_MAX: u32 = 32 * 1024;
/// How much of a file is looked at, and sent, at a time, bytes.
const CHUNK_BYTES: u32 = 512 * 1024;
/// The distance between two looks whether a page is in memory, bytes: what the kernel reads ahead at a time by default.
const PROBE_BYTES: u32 = 128 * 1024;
/// Pieces of one vectored write; the kernel takes 1024.
const SLICES_MAX: usize = 64;

/// Something to be sent.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A range of a file.
    File(FileRange),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(range) => range.length as usize,
        }
    }
}

/// What is to be sent, in order.
#[derive(Default)]
pub(super) struct Outbound {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// The first `resident` bytes of the first piece are known to be in memory.
    resident: u32,
    reading: Option<JoinHandle<io::Result<ReadAhead>>>,
}

/// What the blocking pool did for the first piece.
enum ReadAhead {
    /// The pages of that many bytes are in memory now.
    Resident(u32),
    /// The whole range.
    Copied(Bytes),
}

impl Outbound {
    /// Queues a piece.
    pub(super) fn push(&mut self, piece: Piece) {
        if piece.len() > 0 {
            self.bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Whether everything is out.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The bytes that are not out.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Sends some of it. May be dropped at any time without loss. Must not be called when empty.
    pub(super) async fn send_some(&mut self, stream: &TcpStream) -> io::Result<()> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = reading.await;
                self.reading = None;
                match read.map_err(io::Error::other)?? {
                    ReadAhead::Resident(bytes) => self.resident = bytes,
                    ReadAhead::Copied(bytes) => self.replace_first(bytes),
                }
            }
            let sent = match self.pieces.front() {
                None => return Ok(()),
                Some(Piece::Bytes(_)) => self.try_send_bytes(stream),
                Some(Piece::File(range)) => {
                    let range = range.clone();
                    if !self.prepare(&range)? {
                        continue;
                    }
                    try_send_file(stream, &range, self.resident)
                }
            };
            match sent {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => {
                    self.advance(sent);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    stream.writable().await?
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sees to it that the start of a file range can be sent without waiting for a disk; `false` when that is under way
    /// or the piece is bytes now.
    fn prepare(&mut self, range: &FileRange) -> io::Result<bool> {
        if self.resident > 0 {
            return Ok(true);
        }
        if range.length <= COPIED_RANGE_BYTES_MAX {
            match read_if_resident(range)? {
                Some(bytes) => self.replace_first(bytes),
                None => {
                    let range = range.clone();
                    self.reading = Some(tokio::task::spawn_blocking(move || read_whole(&range)));
                }
            }
            return Ok(false);
        }
        let chunk = range.length.min(CHUNK_BYTES);
        if is_resident(range, chunk)? {
            self.resident = chunk;
            return Ok(true);
        }
        let range = range.clone();
        self.reading = Some(tokio::task::spawn_blocking(move || touch(&range, chunk)));
        Ok(false)
    }

    fn replace_first(&mut self, bytes: Bytes) {
        if let Some(first) = self.pieces.front_mut() {
            *first = Piece::Bytes(bytes);
        }
        self.resident = 0;
    }

    fn try_send_bytes(&self, stream: &TcpStream) -> io::Result<usize> {
        let mut slices: SmallVec<[IoSlice<'_>; SLICES_MAX]> = SmallVec::new();
        // The process must not die of a client that went away.
        let mut flags = SendFlags::NOSIGNAL;
        for piece in self.pieces.iter().take(SLICES_MAX) {
            match piece {
                Piece::Bytes(bytes) => slices.push(IoSlice::new(bytes)),
                Piece::File(_) => {
                    // The head of a reply shares a packet with the records behind it.
                    flags |= SendFlags::MORE;
                    break;
                }
            }
        }
        stream.try_io(Interest::WRITABLE, || {
            Ok(sendmsg(stream, &slices, &mut SendAncillaryBuffer::default(), flags)?)
        })
    }

    fn advance(&mut self, mut sent: usize) {
        self.bytes -= sent.min(self.bytes);
        while sent > 0 {
            let Some(first) = self.pieces.front_mut() else { return };
            let step = sent.min(first.len());
            match first {
                Piece::Bytes(bytes) => bytes.advance(step),
                Piece::File(range) => {
                    let step = u32::try_from(step).unwrap_or(u32::MAX);
                    range.position += u64::from(step);
                    range.length -= step;
                    self.resident = self.resident.saturating_sub(step);
                }
            }
            sent -= step;
            if first.len() == 0 {
                self.pieces.pop_front();
                self.resident = 0;
            }
        }
    }
}

fn try_send_file(stream: &TcpStream, range: &FileRange, bytes: u32) -> io::Result<usize> {
    stream.try_io(Interest::WRITABLE, || {
        let mut position = range.position;
        let sent = rustix::fs::sendfile(
            stream,
            &*range.file,
            Some(&mut position),
            bytes.min(range.length) as usize,
        )?;
        if sent == 0 { Err(ended(range)) } else { Ok(sent) }
    })
}

fn ended(range: &FileRange) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("a segment file ends before position {}", range.position + u64::from(range.length)),
    )
}

/// The range, if all of it is in the page cache.
fn read_if_resident(range: &FileRange) -> io::Result<Option<Bytes>> {
    let mut bytes = vec![0; range.length as usize];
    match read_no_wait(range, &mut bytes, 0)? {
        Some(read) if read == bytes.len() => Ok(Some(bytes.into())),
        _ => Ok(None),
    }
}

/// Whether the first `chunk` bytes seem to be in the page cache: looks at one byte in each step of read-ahead.
fn is_resident(range: &FileRange, chunk: u32) -> io::Result<bool> {
    let mut offset = 0;
    while offset < chunk {
        if read_no_wait(range, &mut [0], offset)?.is_none() {
            return Ok(false);
        }
        offset += PROBE_BYTES;
    }
    Ok(read_no_wait(range, &mut [0], chunk - 1)?.is_some())
}

/// Reads without waiting for a disk; `None` when that is not possible. A file system that cannot tell counts as "not in memory".
fn read_no_wait(range: &FileRange, into: &mut [u8], offset: u32) -> io::Result<Option<usize>> {
    let position = range.position + u64::from(offset);
    match rustix::io::preadv2(
        &*range.file,
        &mut [IoSliceMut::new(into)],
        position,
        ReadWriteFlags::NOWAIT,
    ) {
        Ok(0) => Err(ended(range)),
        Ok(read) => Ok(Some(read)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::INTR) => {
            Ok(None)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Reads the first `chunk` bytes to have their pages in memory. Blocks.
fn touch(range: &FileRange, chunk: u32) -> io::Result<ReadAhead> {
    let mut scratch = vec![0; PROBE_BYTES as usize];
    let mut offset = 0;
    while offset < chunk {
        let step = scratch.len().min((chunk - offset) as usize);
        let into = scratch.get_mut(..step).unwrap_or_default();
        range.file.read_exact_at(into, range.position + u64::from(offset))?;
        offset += PROBE_BYTES.min(chunk - offset);
    }
    Ok(ReadAhead::Resident(chunk))
}

fn read_whole(range: &FileRange) -> io::Result<ReadAhead> {
    let mut bytes = vec![0; range.length as usize];
    range.file.read_exact_at(&mut bytes, range.position)?;
    Ok(ReadAhead::Copied(bytes.into()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (connected, accepted) = tokio::join!(connecting, listener.accept());
        (connected.unwrap(), accepted.unwrap().0)
    }

    fn file(content: &[u8]) -> Arc<std::fs::File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Arc::new(file)
    }

    async fn send_all(outbound: &mut Outbound, stream: &TcpStream) -> io::Result<()> {
        while !outbound.is_empty() {
            outbound.send_some(stream).await?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn bytes_and_file_ranges_arrive_in_order_however_long() {
        let content: Vec<u8> =
            (0..3_000_000_u32).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
        let file = file(&content);
        let range = |position: u64, length: u32| {
            Piece::File(FileRange { file: file.clone(), position, length })
        };
        let mut outbound = Outbound::default();
        let mut expected = Vec::new();
        for (position, length) in [(0, 2_999_999), (10, 100), (1, 0), (5, 40_000), (2_999_999, 1)] {
            outbound.push(Piece::Bytes(Bytes::from_static(b"head")));
            outbound.push(range(position, length));
            expected.extend_from_slice(b"head");
            let from = usize::try_from(position).unwrap();
            expected.extend_from_slice(&content[from..from + length as usize]);
        }
        assert_eq!(outbound.len(), expected.len());
        let (sender, mut receiver) = sockets().await;
        let receiving = tokio::spawn(async move {
            let mut received = Vec::new();
            receiver.read_to_end(&mut received).await.unwrap();
            received
        });
        send_all(&mut outbound, &sender).await.unwrap();
        assert_eq!(outbound.len(), 0);
        drop(sender);
        assert!(receiving.await.unwrap() == expected);
    }

    #[tokio::test]
    async fn a_file_that_ends_too_early_is_an_error() {
        let file = file(&[7; 100_000]);
        for length in [100_001, 10_000] {
            let mut outbound = Outbound::default();
            let position = 100_001 - u64::from(length).min(9_000);
            outbound.push(Piece::File(FileRange { file: file.clone(), position, length }));
            let (sender, mut receiver) = sockets().await;
            let receiving =
                tokio::spawn(async move { receiver.read_to_end(&mut Vec::new()).await });
            let error = send_all(&mut outbound, &sender).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            drop(sender);
            receiving.await.unwrap().unwrap();
        }
    }
}
