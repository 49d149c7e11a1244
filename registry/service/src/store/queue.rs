//! Writes that wait for their turn, and those whose turn has come together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::decide::{Ahead, Decision, Record, Scope};
use crate::error::ApiError;
use crate::view::View;

/// How many writes may share a transaction: a client's wait is bounded, and so is what a lost transaction takes along.
const BATCH_MAX: usize = 256;

/// What a write puts into the topics; nothing, if it was refused or there is nothing to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) records: Vec<Record>,
    pub(super) mark: Option<(String, i32)>,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.mark.is_none()
    }
}

/// A write, whatever it answers.
pub(super) trait Write: Send {
    /// Decides on the state as it is now; may be asked again when what was decided was not written.
    fn decide(&mut self, view: &View, ahead: &mut Ahead) -> Plan;
    /// Answers: what was decided, or why it was not written.
    fn finish(self: Box<Self>, outcome: Result<(), ApiError>);
}

/// A write in the queue.
pub(super) struct Job {
    pub(super) operation: &'static str,
    pub(super) scope: Scope,
    pub(super) write: Box<dyn Write>,
    pub(super) turn: Turn,
    /// Whether its transaction was lost once, and it is decided again.
    pub(super) repeated: bool,
}

/// Whether a write has begun, or who asked for it has given up before: one of the two, never both.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn(Arc<AtomicBool>);

impl Turn {
    /// Whether this caller comes first.
    pub(super) fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

struct Deciding<T, D> {
    decide: D,
    decided: Option<Result<T, ApiError>>,
    operation: &'static str,
    answer: oneshot::Sender<Result<T, ApiError>>,
}

impl<T, D> Write for Deciding<T, D>
where
    T: Send,
    D: Fn(&View, &mut Ahead) -> Result<Decision<T>, ApiError> + Send,
{
    fn decide(&mut self, view: &View, ahead: &mut Ahead) -> Plan {
        let (plan, decided) = match (self.decide)(view, ahead) {
            Ok(Decision { records, mark, reply }) => (Plan { records, mark }, Ok(reply)),
            Err(err) => (Plan::default(), Err(err)),
        };
        self.decided = Some(decided);
        plan
    }

    fn finish(self: Box<Self>, outcome: Result<(), ApiError>) {
        let Self { decided, operation, answer, .. } = *self;
        let undecided = || Err(ApiError::Store(format!("{operation} operation failed")));
        // Nobody listens when the client is gone; the write counts all the same.
        answer.send(outcome.and_then(|()| decided.unwrap_or_else(undecided))).ok();
    }
}

impl Job {
    /// A write, and where its answer will be.
    pub(super) fn new<T: Send + 'static>(
        operation: &'static str,
        scope: Scope,
        decide: impl Fn(&View, &mut Ahead) -> Result<Decision<T>, ApiError> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, ApiError>>) {
        let (answer, answered) = oneshot::channel();
        let write = Box::new(Deciding { decide, decided: None, operation, answer });
        let job = Self { operation, scope, write, turn: Turn::default(), repeated: false };
        (job, answered)
    }
}

/// Takes what waits behind `first` and may be decided together with it; the other one comes first the next time.
pub(super) fn gather(first: Job, waiting: &mut mpsc::Receiver<Job>) -> (Vec<Job>, Option<Job>) {
    let mut ahead = Ahead::default();
    ahead.admit(&first.scope);
    let mut batch = vec![first];
    while batch.len() < BATCH_MAX {
        match waiting.try_recv() {
            Ok(job) if ahead.admit(&job.scope) => batch.push(job),
            Ok(job) => return (batch, Some(job)),
            Err(_) => break,
        }
    }
    (batch, None)
}

#[cfg(test)]
mod tests {
    use aquifer_registry_schema::CompatibilityLevel;

    use super::*;

    fn job(subject: &str) -> Job {
        let scope = Scope::Subject { name: subject.to_owned(), refers_to: Vec::new() };
        let refuse = |_: &View, _: &mut Ahead| Err::<Decision<()>, _>(ApiError::SchemaNotFound);
        Job::new("Register", scope, refuse).0
    }

    #[test]
    fn write_that_must_be_apart_comes_first_the_next_time() {
        let (sender, mut waiting) = mpsc::channel(8);
        for subject in ["b", "a", "c"] {
            assert!(sender.try_send(job(subject)).is_ok());
        }
        let (batch, next) = gather(job("a"), &mut waiting);
        assert_eq!(batch.len(), 2);
        let (batch, last) = gather(next.unwrap(), &mut waiting);
        assert_eq!((batch.len(), last.is_none()), (2, true));
    }

    #[test]
    fn refusal_is_answered_and_writes_nothing() {
        let refuse = |_: &View, _: &mut Ahead| Err::<Decision<()>, _>(ApiError::SchemaNotFound);
        let (mut job, mut answered) = Job::new("Register", Scope::Everything, refuse);
        let view = View::new("_schemas", CompatibilityLevel::Backward);
        assert!(job.write.decide(&view, &mut Ahead::default()).is_empty());
        job.write.finish(Ok(()));
        assert_eq!(answered.try_recv(), Ok(Err(ApiError::SchemaNotFound)));
    }

    #[test]
    fn write_begins_or_is_given_up_but_not_both() {
        let turn = Turn::default();
        assert_eq!((turn.clone().take(), turn.take()), (true, false));
    }
}
