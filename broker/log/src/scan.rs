//! Walks over the batches of a segment file, by header or with their contents.
//!
//! - Nothing a file says is believed before it was compared with the bytes that remain.

use std::path::Path;

use aquifer_broker_protocol::batch::{BatchHeader, HEADER_BYTES, RecordBatch};

use crate::LogError;
use crate::fs::{File, read_full};

/// Read ahead for headers: a few small batches, little waste on large ones.
const HEADERS_CHUNK_BYTES: u64 = 16 << 10;
/// Read ahead for contents.
const CONTENTS_CHUNK_BYTES: u64 = 256 << 10;

/// A batch's header and where the batch starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
}

impl Located {
    /// The byte after the batch.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.header.size_bytes() as u64
    }
}

/// Whether a header that was read from a file could be true.
pub(crate) fn plausible(header: &BatchHeader) -> Result<(), String> {
    if header.base_offset < 0 || header.last_offset_delta < 0 {
        return Err(format!(
            "base offset is {} and last offset delta {}",
            header.base_offset, header.last_offset_delta
        ));
    }
    Ok(())
}

/// A walk from one position of a segment file to another.
pub(crate) struct Scan<'a> {
    file: &'a dyn File,
    path: &'a Path,
    position: u64,
    end: u64,
    chunk_bytes: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
}

impl<'a> Scan<'a> {
    /// Over headers; contents are skipped.
    pub(crate) fn headers(file: &'a dyn File, path: &'a Path, start: u64, end: u64) -> Self {
        Self::new(file, path, start, end, HEADERS_CHUNK_BYTES)
    }

    /// Over whole batches.
    pub(crate) fn contents(file: &'a dyn File, path: &'a Path, start: u64, end: u64) -> Self {
        Self::new(file, path, start, end, CONTENTS_CHUNK_BYTES)
    }

    fn new(file: &'a dyn File, path: &'a Path, start: u64, end: u64, chunk_bytes: u64) -> Self {
        Self {
            file,
            path,
            position: start,
            end,
            chunk_bytes,
            buffer: Vec::new(),
            buffer_start: start,
        }
    }

    /// The next batch's header; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Located>, LogError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let position = self.position;
        if self.end - position < HEADER_BYTES as u64 {
            return Err(self.corrupt(position, format!("{} bytes remain", self.end - position)));
        }
        let header = match BatchHeader::parse(self.bytes(position, HEADER_BYTES)?) {
            Ok(header) => header,
            Err(err) => return Err(self.corrupt(position, err.to_string())),
        };
        plausible(&header).map_err(|reason| self.corrupt(position, reason))?;
        let located = Located { position, header };
        if located.end() > self.end {
            let reason = format!(
                "batch size is {} but {} bytes remain",
                header.size_bytes(),
                self.end - position
            );
            return Err(self.corrupt(position, reason));
        }
        self.position = located.end();
        Ok(Some(located))
    }

    /// The bytes of a batch that `next` gave.
    pub(crate) fn batch(&mut self, located: &Located) -> Result<RecordBatch<'_>, LogError> {
        let path = self.path;
        let bytes = self.bytes(located.position, located.header.size_bytes())?;
        RecordBatch::parse(bytes).map(|(batch, _)| batch).map_err(|err| LogError::Corrupt {
            path: path.to_path_buf(),
            position: located.position,
            reason: err.to_string(),
        })
    }

    /// The bytes of a batch that `next` gave, after their checksum was compared.
    pub(crate) fn checked_batch(&mut self, located: &Located) -> Result<RecordBatch<'_>, LogError> {
        let path = self.path;
        let batch = self.batch(located)?;
        batch.verify_crc().map_err(|err| LogError::Corrupt {
            path: path.to_path_buf(),
            position: located.position,
            reason: err.to_string(),
        })?;
        Ok(batch)
    }

    fn corrupt(&self, position: u64, reason: String) -> LogError {
        LogError::Corrupt { path: self.path.to_path_buf(), position, reason }
    }

    fn bytes(&mut self, position: u64, length: usize) -> Result<&[u8], LogError> {
        let buffered_end = self.buffer_start + self.buffer.len() as u64;
        if position < self.buffer_start || position + length as u64 > buffered_end {
            let wanted = self.chunk_bytes.max(length as u64).min(self.end - position);
            self.buffer.resize(usize::try_from(wanted).unwrap_or(usize::MAX), 0);
            self.buffer_start = position;
            let read = read_full(self.file, &mut self.buffer, position)
                .map_err(LogError::io("read", self.path))?;
            self.buffer.truncate(read);
        }
        let at = usize::try_from(position - self.buffer_start).unwrap_or(usize::MAX);
        match self.buffer.get(at..at + length) {
            Some(bytes) => Ok(bytes),
            None => Err(LogError::Corrupt {
                path: self.path.to_path_buf(),
                position,
                reason: format!("the file ends within {length} bytes"),
            }),
        }
    }
}
