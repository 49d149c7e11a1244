//! A thread that works now and then: how it waits, is woken and ends.

use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// One such thread.
#[derive(Debug, Default)]
pub(in crate::partition) struct Background {
    state: Mutex<State>,
    wake: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    woken: bool,
    stopped: bool,
}

impl Background {
    /// Takes the thread, which `stop` waits for.
    pub(super) fn run(&self, thread: JoinHandle<()>) {
        *self.thread.lock() = Some(thread);
    }

    /// Ends its wait.
    pub(super) fn wake(&self) {
        self.state.lock().woken = true;
        self.wake.notify_one();
    }

    /// Ends the thread. Blocks for what it is doing.
    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.wake.notify_one();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic was told to `fatal` where it happened.
            let _ = thread.join();
        }
    }

    /// Whether the thread is to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Waits so long or to be woken; false when it is over.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.stopped && !state.woken {
            self.wake.wait_for(&mut state, time);
        }
        state.woken = false;
        !state.stopped
    }
}

/// Lets everything else have the processors first. Only the calling thread is concerned.
pub(super) fn step_back() {
    /// As `nice` counts it. More would let others wait long for a lock that the thread holds for a moment.
    const NICE: i32 = 5;
    // On Linux this is a thread's own; elsewhere it would be the process's.
    #[cfg(target_os = "linux")]
    if let Err(err) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(error = %err, "the thread keeps its priority");
    }
}
