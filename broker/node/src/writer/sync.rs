//! One round of syncs: writeback is started on everything first, so that the disk sees all of it at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aquifer_broker_log::DataDir;
use aquifer_broker_log::fs::File;
use parking_lot::Mutex;

use crate::partition::Partition;

/// From so many files on one sync of the whole file system is cheaper.
const SINGLE_SYNCS_MAX: usize = 32;
/// Syncs that run at once; a disk's queue is deep, but threads cost memory.
const SYNC_THREADS_MAX: usize = 4;

/// Makes everything durable that these partitions have written, and tells them.
pub(super) fn sync_all(data_dir: &DataDir, ready: &[Arc<Partition>]) {
    let mut round = Vec::with_capacity(ready.len());
    let mut directories: BTreeSet<PathBuf> = BTreeSet::new();
    for partition in ready {
        match partition.begin_sync() {
            Ok(Some(targets)) => {
                targets.files.iter().for_each(|file| file.start_writeback());
                directories.extend(targets.directories.iter().cloned());
                round.push((partition, targets));
            }
            Ok(None) => {}
            Err(err) => partition.sync_failed(&err.to_string()),
        }
    }
    let files = round.iter().map(|(_, targets)| targets.files.len()).sum::<usize>();
    let everything = (files + directories.len() > SINGLE_SYNCS_MAX)
        .then(|| data_dir.sync_everything().map_err(|err| err.to_string()));
    let results: Vec<Result<(), String>> = match everything {
        Some(result) => vec![result; round.len()],
        None => {
            let sets: Vec<&[Arc<dyn File>]> =
                round.iter().map(|(_, targets)| &targets.files[..]).collect();
            sync_each(data_dir, &sets, &directories)
        }
    };
    for ((partition, targets), result) in round.iter().zip(results) {
        match result {
            Ok(()) => partition.synced(targets.end),
            Err(reason) => partition.sync_failed(&reason),
        }
    }
}

/// One thing to sync; a directory belongs to all partitions of the round.
enum Job<'a> {
    File(usize, &'a dyn File),
    Directory(&'a Path),
}

/// Syncs files and directories side by side: journalling file systems commit what waits together at once.
fn sync_each(
    data_dir: &DataDir,
    sets: &[&[Arc<dyn File>]],
    directories: &BTreeSet<PathBuf>,
) -> Vec<Result<(), String>> {
    let files = sets.iter().enumerate();
    let mut jobs: Vec<Job<'_>> = files
        .flat_map(|(owner, files)| files.iter().map(move |file| Job::File(owner, &**file)))
        .collect();
    jobs.extend(directories.iter().map(|path| Job::Directory(path)));
    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<(Option<usize>, String)>> = Mutex::default();
    let work = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (owner, result) = match job {
                Job::File(owner, file) => {
                    (Some(*owner), file.sync().map_err(|err| err.to_string()))
                }
                Job::Directory(path) => {
                    (None, data_dir.sync_directory(path).map_err(|err| err.to_string()))
                }
            };
            if let Err(reason) = result {
                failures.lock().push((owner, reason));
            }
        }
    };
    if jobs.len() <= 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 1..jobs.len().min(SYNC_THREADS_MAX) {
                scope.spawn(work);
            }
            work();
        });
    }
    let mut results = vec![Ok(()); sets.len()];
    for (owner, reason) in failures.into_inner() {
        match owner.and_then(|owner| results.get_mut(owner)) {
            Some(result) => *result = Err(reason),
            None => results.fill(Err(reason)),
        }
    }
    results
}
