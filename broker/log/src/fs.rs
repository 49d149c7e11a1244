//! The only door to the file system.
//!
//! - `RealFileSystem` is the machine's; `simulated` (tests) tears writes and loses what was not synced.
//! - Writes are positioned: no file has a cursor that two users could share.
//! - Creating, renaming and removing is durable after `sync_directory`, contents after `File::sync`.

#[cfg(test)]
pub(crate) mod simulated;

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without its directory.
    pub name: String,
    /// The file's length, bytes.
    pub length: u64,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenHow {
    /// Must exist; reading and writing.
    Existing,
    /// Created when missing; reading and writing.
    Create,
    /// Created when missing, emptied when not.
    Truncate,
}

/// A place where files live.
pub trait FileSystem: Send + Sync + fmt::Debug {
    /// Makes the directory and those above it.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order.
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>>;
    /// The names of directories and files, without their lengths: one call for all.
    fn list_names(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Opens a file.
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn File>>;
    /// Renames a file or directory over what has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and what is in it.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes everything on the file system that holds `path` durable.
    fn sync_everything(&self, path: &Path) -> io::Result<()>;
    /// Free space for this process where `path` lies, bytes.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// A whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenHow::Existing)?;
        let length = usize::try_from(file.length()?).unwrap_or(usize::MAX);
        let mut contents = vec![0; length];
        let read = read_full(&*file, &mut contents, 0)?;
        contents.truncate(read);
        Ok(contents)
    }

    /// Puts `contents` in place of the file in one step, durably: a reader sees the old file or the new one.
    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        self.replace_lazily(path, contents, true)
    }

    /// `replace`; durable at once or with the next sync of everything.
    fn replace_lazily(&self, path: &Path, contents: &[u8], durable: bool) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let file = self.open(&temporary, OpenHow::Truncate)?;
        file.write_all_at(&mut [IoSlice::new(contents)], 0)?;
        if durable {
            file.sync()?;
        }
        self.rename(&temporary, path)?;
        match path.parent() {
            Some(parent) if durable => self.sync_directory(parent),
            _ => Ok(()),
        }
    }
}

/// An open file.
pub trait File: Send + Sync + fmt::Debug {
    /// Its length, bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads at a position; fewer bytes than asked for means the end or an interruption.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all slices, one behind the other. The slices are used up.
    fn write_all_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()>;
    /// Cuts the file, or fills it with zeros, to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Asks the system to begin writing what is dirty; waits for nothing.
    fn start_writeback(&self);
    /// Makes the contents and the length durable.
    fn sync(&self) -> io::Result<()>;
    /// The file as the standard library's, for `sendfile`; `None` in a simulation.
    fn as_std(&self) -> Option<Arc<std::fs::File>>;
}

/// Reads until `buffer` is full or the file ends; the number of bytes read.
pub(crate) fn read_full(file: &dyn File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(filled)
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFileSystem;

impl FileSystem for RealFileSystem {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                Err(err) => return Err(err),
            };
            entries.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                length: metadata.len(),
                is_directory: metadata.is_dir(),
            });
        }
        Ok(entries)
    }

    fn list_names(&self, directory: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn File>> {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create(how != OpenHow::Existing)
            .truncate(how == OpenHow::Truncate)
            .open(path)?;
        Ok(Arc::new(RealFile { file: Arc::new(file) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::File::open(path)?.sync_all()
    }

    fn sync_everything(&self, path: &Path) -> io::Result<()> {
        let directory = std::fs::File::open(path)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        rustix::fs::syncfs(&directory)?;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        rustix::fs::sync();
        drop(directory);
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[derive(Debug)]
struct RealFile {
    file: Arc<std::fs::File>,
}

/// The most slices that one `pwritev` takes (IOV_MAX).
const SLICES_MAX: usize = 1024;

impl File for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut rest = slices;
        let mut position = position;
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let many = rest.len().min(SLICES_MAX);
            match rustix::io::pwritev(&self.file, &rest[..many], position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    position += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(err) => return Err(err.into()),
            }
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    #[allow(unsafe_code)]
    fn start_writeback(&self) {
        #[cfg(target_os = "linux")]
        {
            // Neither std nor rustix has sync_file_range; std links the C library that holds it.
            unsafe extern "C" {
                fn sync_file_range(fd: i32, offset: i64, bytes: i64, flags: u32) -> i32;
            }
            const SYNC_FILE_RANGE_WRITE: u32 = 2;
            // SAFETY: no memory is passed, and the descriptor is open for as long as `self` lives. The result is
            // not needed: this is a hint, errors are reported by the sync that follows.
            unsafe {
                sync_file_range(self.file.as_raw_fd(), 0, 0, SYNC_FILE_RANGE_WRITE);
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn as_std(&self) -> Option<Arc<std::fs::File>> {
        Some(Arc::clone(&self.file))
    }
}
