//! Starts and joins tasks, so that those that run are those that are wanted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::herder::TaskId;
use crate::task::{Wanted, WorkerContext, fence, supervise};

/// The tasks of this worker.
pub(crate) struct Tasks {
    context: Arc<WorkerContext>,
    running: HashMap<TaskId, Running>,
    /// Tasks that were told to go and may not have ended yet.
    ending: HashMap<TaskId, JoinHandle<()>>,
}

struct Running {
    wanted: watch::Sender<Wanted>,
    supervisor: JoinHandle<()>,
}

impl Tasks {
    /// None yet.
    pub(crate) fn new(context: Arc<WorkerContext>) -> Self {
        Self { context, running: HashMap::new(), ending: HashMap::new() }
    }

    /// Makes those tasks run, rest or go; a task that is not named goes.
    pub(crate) fn assign(&mut self, wanted: BTreeMap<TaskId, Wanted>) {
        self.ending.retain(|_, supervisor| !supervisor.is_finished());
        let gone: Vec<TaskId> =
            self.running.keys().filter(|id| !wanted.contains_key(id)).cloned().collect();
        for id in gone {
            if let Some(task) = self.running.remove(&id) {
                task.wanted.send_replace(Wanted::Gone);
                self.ending.insert(id, task.supervisor);
            }
        }
        for (id, wanted) in wanted {
            if let Some(task) = self.running.get(&id) {
                task.wanted.send_if_modified(|now| {
                    let changed = *now != wanted;
                    *now = wanted;
                    changed
                });
                continue;
            }
            let previous = self.ending.remove(&id);
            let (sender, receiver) = watch::channel(wanted);
            let supervisor =
                tokio::spawn(supervise(self.context.clone(), id.clone(), receiver, previous));
            self.running.insert(id, Running { wanted: sender, supervisor });
        }
    }

    /// Aborts what tasks that nobody runs may have left open; one that comes to run under such an id waits for that.
    pub(crate) fn fence(&mut self, ids: Vec<TaskId>) {
        for id in ids {
            let context = self.context.clone();
            let fencing = tokio::spawn({
                let id = id.clone();
                async move { fence(&context, &id).await }
            });
            self.ending.insert(id, fencing);
        }
    }

    /// Whether no task of a connector runs, nor one that was told to go and has not ended.
    pub(crate) fn idle(&self, connector: &str) -> bool {
        let ending = |(id, task): (&TaskId, &JoinHandle<()>)| {
            id.connector == connector && !task.is_finished()
        };
        !self.running.keys().any(|id| id.connector == connector) && !self.ending.iter().any(ending)
    }

    /// Ends every task in order and joins it; the supervisors keep the time limits.
    pub(crate) async fn stop(self) {
        for task in self.running.values() {
            task.wanted.send_replace(Wanted::Unassigned);
        }
        let running = self.running.into_values().map(|task| task.supervisor);
        for supervisor in running.chain(self.ending.into_values()) {
            if let Err(error) = supervisor.await {
                tracing::error!(error = %error, "a task's supervisor panicked");
            }
        }
    }
}
