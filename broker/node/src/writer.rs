//! The threads that append and sync.
//!
//! - A partition belongs to one append thread and one sync thread, so that its appends and its syncs are in order.
//! - An append thread drains everything that is queued before a sync begins: group commit falls out of the queue.
//! - While one sync runs, appends go on; what they wrote is in the next one.
//!
//! What an append or a sync does to a partition is the partition's business.

mod sync;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use aquifer_broker_log::DataDir;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::partition::Partition;

/// Partitions with work to do. A partition is in it at most once, which is its bound.
#[derive(Debug, Default)]
pub(crate) struct WorkQueue {
    state: Mutex<WorkState>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct WorkState {
    ready: Vec<Arc<Partition>>,
    closed: bool,
}

impl WorkQueue {
    /// Adds a partition that is not in the queue.
    pub(crate) fn push(&self, partition: Arc<Partition>) {
        self.state.lock().ready.push(partition);
        self.wake.notify_one();
    }

    /// Everything that is ready, waiting for something; `None` when the queue is closed and empty.
    fn take(&self) -> Option<Vec<Arc<Partition>>> {
        let mut state = self.state.lock();
        while state.ready.is_empty() {
            if state.closed {
                return None;
            }
            self.wake.wait(&mut state);
        }
        Some(std::mem::take(&mut state.ready))
    }

    fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_all();
    }
}

/// The queues of one append thread and its sync thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lane {
    pub(crate) appends: Arc<WorkQueue>,
    pub(crate) syncs: Arc<WorkQueue>,
}

/// All append and sync threads.
#[derive(Debug)]
pub(crate) struct Writers {
    lanes: Vec<Lane>,
    next: AtomicUsize,
    appending: Mutex<Vec<JoinHandle<()>>>,
    syncing: Mutex<Vec<JoinHandle<()>>>,
}

impl Writers {
    /// Starts the threads. A panic in one of them is a broken invariant, and is told to `fatal`.
    pub(crate) fn start(
        count: usize,
        data_dir: &Arc<DataDir>,
        fatal: &watch::Sender<Option<String>>,
    ) -> std::io::Result<Self> {
        let (mut lanes, mut appending, mut syncing) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..count.max(1) {
            let lane = Lane::default();
            let appends = Arc::clone(&lane.appends);
            appending.push(spawn(format!("append-{number}"), fatal, move || {
                while let Some(ready) = appends.take() {
                    ready.iter().for_each(Partition::append_queued);
                }
            })?);
            let (syncs, data_dir) = (Arc::clone(&lane.syncs), Arc::clone(data_dir));
            syncing.push(spawn(format!("sync-{number}"), fatal, move || {
                while let Some(ready) = syncs.take() {
                    sync::sync_all(&data_dir, &ready);
                }
            })?);
            lanes.push(lane);
        }
        Ok(Self {
            lanes,
            next: AtomicUsize::new(0),
            appending: Mutex::new(appending),
            syncing: Mutex::new(syncing),
        })
    }

    /// The lane for a new partition.
    pub(crate) fn lane(&self) -> Lane {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len();
        self.lanes[at].clone()
    }

    /// Finishes what is queued and ends the threads. Blocks.
    pub(crate) fn stop(&self) {
        self.lanes.iter().for_each(|lane| lane.appends.close());
        join(&self.appending);
        self.lanes.iter().for_each(|lane| lane.syncs.close());
        join(&self.syncing);
    }
}

fn join(threads: &Mutex<Vec<JoinHandle<()>>>) {
    for thread in std::mem::take(&mut *threads.lock()) {
        // A panic was told to `fatal` where it happened.
        let _ = thread.join();
    }
}

/// A named thread whose panic is told to `fatal`.
pub(crate) fn spawn(
    name: String,
    fatal: &watch::Sender<Option<String>>,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let fatal = fatal.clone();
    std::thread::Builder::new().name(name.clone()).spawn(move || {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            fatal.send_replace(Some(format!("thread {name} broke an invariant")));
        }
    })
}
