//! A file system in memory that can be killed at any operation, lose power, run full and fail to sync.
//!
//! - Contents are durable after their file was synced; names after any sync, because that commits the journal.
//! - After a power loss any part of what was not durable may be there: some writes, halves of writes, zeros.
//! - The same seed gives the same run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Entry, File, FileSystem, OpenHow};

/// Numbers from a seed (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process dies; the page cache lives on.
    Kill,
    /// The machine dies.
    PowerLoss,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Names {
    files: BTreeMap<PathBuf, u64>,
    directories: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct State {
    names: Names,
    /// The names as of each change since the last commit; the first is durable.
    journal: Vec<Names>,
    inodes: HashMap<u64, Inode>,
    random: Random,
    /// Changes until the process is killed.
    changes_left: Option<u64>,
    dead: bool,
    full: bool,
    fail_syncs: bool,
}

/// The file system; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Simulated {
    state: Arc<Mutex<State>>,
}

fn apply(contents: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(position, bytes) => {
            let start = usize::try_from(*position).unwrap();
            if contents.len() < start + bytes.len() {
                contents.resize(start + bytes.len(), 0);
            }
            contents[start..start + bytes.len()].copy_from_slice(bytes);
        }
        Change::Truncate(length) => contents.resize(usize::try_from(*length).unwrap(), 0),
    }
}

impl Simulated {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            names: Names::default(),
            journal: vec![Names::default()],
            inodes: HashMap::new(),
            random: Random(seed),
            changes_left: None,
            dead: false,
            full: false,
            fail_syncs: false,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The process is killed after so many more changes.
    pub(crate) fn kill_after(&self, changes: u64) {
        self.state().changes_left = Some(changes);
    }

    /// Whether writes find no room.
    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Whether syncs fail. What they were to make durable stays readable and is never durable.
    pub(crate) fn set_fail_syncs(&self, fail: bool) {
        self.state().fail_syncs = fail;
    }

    /// Ends the run and lets the next one begin.
    pub(crate) fn crash(&self, how: Crash) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.changes_left = None;
        state.dead = false;
        state.full = false;
        state.fail_syncs = false;
        if how == Crash::Kill {
            return;
        }
        let kept = usize::try_from(state.random.below(state.journal.len() as u64)).unwrap();
        state.names = state.journal[kept].clone();
        state.journal = vec![state.names.clone()];
        let mut ids: Vec<u64> = state.inodes.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let inode = state.inodes.get_mut(&id).unwrap();
            let mut contents = std::mem::take(&mut inode.durable);
            for change in inode.pending.drain(..) {
                match (state.random.below(4), change) {
                    (0, _) => {}
                    (1, Change::Write(position, bytes)) => {
                        let half =
                            usize::try_from(state.random.below(bytes.len() as u64 + 1)).unwrap();
                        apply(&mut contents, &Change::Write(position, bytes[..half].to_vec()));
                    }
                    (2, Change::Write(position, mut bytes)) => {
                        let zeros =
                            usize::try_from(state.random.below(bytes.len() as u64 + 1)).unwrap();
                        bytes[zeros..].fill(0);
                        apply(&mut contents, &Change::Write(position, bytes));
                    }
                    (_, change) => apply(&mut contents, &change),
                }
            }
            inode.current = contents.clone();
            inode.durable = contents;
        }
    }

    /// Changes a byte of a file, as a bad disk does.
    pub(crate) fn flip(&self, path: &Path, position: usize) {
        let mut state = self.state();
        let id = state.names.files[path];
        let inode = state.inodes.get_mut(&id).unwrap();
        inode.current[position] ^= 0xff;
        inode.durable = inode.current.clone();
        inode.pending.clear();
    }
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("the process was killed")) } else { Ok(()) }
    }

    /// Counts a change; false when the process dies of it.
    fn change(&mut self) -> io::Result<bool> {
        self.alive()?;
        if let Some(left) = &mut self.changes_left {
            if *left == 0 {
                self.dead = true;
                return Ok(false);
            }
            *left -= 1;
        }
        Ok(true)
    }

    fn survive(&mut self) -> io::Result<()> {
        if self.change()? { Ok(()) } else { self.alive() }
    }

    fn note_names(&mut self) {
        self.journal.push(self.names.clone());
    }

    fn commit_names(&mut self) {
        self.journal = vec![self.names.clone()];
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
}

impl FileSystem for Simulated {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.survive()?;
        for directory in path.ancestors() {
            state.names.directories.insert(directory.to_path_buf());
        }
        state.note_names();
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state();
        state.alive()?;
        if !state.names.directories.contains(directory) {
            return Err(not_found(directory));
        }
        let inside = state.names.files.iter().filter(|(path, _)| path.parent() == Some(directory));
        Ok(inside
            .map(|(path, id)| Entry {
                name: path.file_name().unwrap().to_string_lossy().into_owned(),
                length: state.inodes[id].current.len() as u64,
                is_directory: false,
            })
            .collect())
    }

    fn list_names(&self, directory: &Path) -> io::Result<Vec<String>> {
        Ok(self.list(directory)?.into_iter().map(|entry| entry.name).collect())
    }

    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        state.alive()?;
        let id = match (state.names.files.get(path).copied(), how) {
            (None, OpenHow::Existing) => return Err(not_found(path)),
            (None, _) => {
                state.survive()?;
                if !state.names.directories.contains(path.parent().unwrap()) {
                    return Err(not_found(path));
                }
                let id = state.inodes.len() as u64;
                state.inodes.insert(id, Inode::default());
                state.names.files.insert(path.to_path_buf(), id);
                state.note_names();
                id
            }
            (Some(id), OpenHow::Truncate) => {
                state.survive()?;
                let inode = state.inodes.get_mut(&id).unwrap();
                inode.current.clear();
                inode.pending.push(Change::Truncate(0));
                id
            }
            (Some(id), _) => id,
        };
        Ok(Arc::new(SimulatedFile { fs: self.clone(), id }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.survive()?;
        let id = state.names.files.remove(from).ok_or_else(|| not_found(from))?;
        state.names.files.insert(to.to_path_buf(), id);
        state.note_names();
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        if !state.names.files.contains_key(path) {
            return Err(not_found(path));
        }
        state.survive()?;
        state.names.files.remove(path);
        state.note_names();
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.survive()?;
        state.names.files.retain(|file, _| !file.starts_with(path));
        state.names.directories.retain(|directory| !directory.starts_with(path));
        state.note_names();
        Ok(())
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.survive()?;
        state.commit_names();
        Ok(())
    }

    fn sync_everything(&self, _path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.survive()?;
        if state.fail_syncs {
            return Err(io::Error::other("sync failed"));
        }
        state.commit_names();
        for inode in state.inodes.values_mut() {
            inode.durable = inode.current.clone();
            inode.pending.clear();
        }
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

#[derive(Debug)]
struct SimulatedFile {
    fs: Simulated,
    id: u64,
}

impl File for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        let state = self.fs.state();
        state.alive()?;
        Ok(state.inodes[&self.id].current.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let state = self.fs.state();
        state.alive()?;
        let contents = &state.inodes[&self.id].current;
        let rest = contents.get(usize::try_from(position).unwrap()..).unwrap_or_default();
        let many = rest.len().min(buffer.len());
        buffer[..many].copy_from_slice(&rest[..many]);
        Ok(many)
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut guard = self.fs.state();
        let state = &mut *guard;
        let survives = state.change()?;
        if !survives || state.full {
            let part = state.random.below(bytes.len() as u64 + 1);
            bytes.truncate(usize::try_from(part).unwrap());
        }
        let change = Change::Write(position, bytes);
        let inode = state.inodes.get_mut(&self.id).unwrap();
        apply(&mut inode.current, &change);
        inode.pending.push(change);
        state.alive()?;
        if state.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.fs.state();
        state.survive()?;
        let inode = state.inodes.get_mut(&self.id).unwrap();
        apply(&mut inode.current, &Change::Truncate(length));
        inode.pending.push(Change::Truncate(length));
        Ok(())
    }

    fn start_writeback(&self) {}

    fn sync(&self) -> io::Result<()> {
        let mut state = self.fs.state();
        state.survive()?;
        if state.fail_syncs {
            state.inodes.get_mut(&self.id).unwrap().pending.clear();
            return Err(io::Error::other("sync failed"));
        }
        state.commit_names();
        let inode = state.inodes.get_mut(&self.id).unwrap();
        inode.durable = inode.current.clone();
        inode.pending.clear();
        Ok(())
    }

    fn as_std(&self) -> Option<Arc<std::fs::File>> {
        None
    }
}
