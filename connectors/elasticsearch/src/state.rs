//! What a task and its background share: items, offsets, records at fault, and the error that ended it.

use aquifer_connect_api::{ConnectError, ErrorKind, TopicPartition, TopicPartitionOffsets};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::offset::{Mark, Tracker};
use crate::queue::{BulkBounds, Item, Queue};

/// A record that can't be written, on its way to the dead letters.
#[derive(Debug)]
pub(crate) struct Errant {
    pub(crate) item: Item,
    pub(crate) error: ConnectError,
    /// True when `behavior.on.malformed.documents` has a say.
    pub(crate) is_malformed: bool,
}

/// The shared state; each method is one short critical section.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// There may be something to send.
    pub(crate) work: Notify,
    /// Something is finished, or failed.
    pub(crate) progress: Notify,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    tracker: Tracker,
    errants: Vec<Errant>,
    failure: Option<(ErrorKind, String)>,
    /// How many requests may be in flight now: halved when Elasticsearch rejects, one more after each success.
    in_flight_now: usize,
    in_flight_max: usize,
}

/// How many bytes a task holds unfinished, beside the bound on records: a few full requests, and not the memory of the machine.
const HELD_BYTES_MAX: usize = 64 << 20;

impl Shared {
    /// Nothing is held.
    pub(crate) fn new(in_flight_max: usize) -> Self {
        let state = State {
            queue: Queue::default(),
            tracker: Tracker::default(),
            errants: Vec::new(),
            failure: None,
            in_flight_now: in_flight_max,
            in_flight_max,
        };
        Self { state: Mutex::new(state), work: Notify::new(), progress: Notify::new() }
    }

    /// The error that ended the task, again and again.
    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        match &self.state.lock().failure {
            None => Ok(()),
            Some((ErrorKind::Retriable, text)) => Err(ConnectError::retriable(text)),
            Some((ErrorKind::Record, text)) => Err(ConnectError::record(text)),
            Some((ErrorKind::Config, text)) => Err(ConnectError::config(text)),
            Some((ErrorKind::Fatal, text)) => Err(ConnectError::fatal(text)),
        }
    }

    /// Ends the task with an error; the first one stays.
    pub(crate) fn fail(&self, error: &ConnectError) {
        self.state.lock().failure.get_or_insert_with(|| (error.kind(), error.trace()));
        self.progress.notify_waiters();
    }

    /// True when more records may be taken.
    pub(crate) fn has_room(&self, records_max: usize) -> bool {
        let (records, bytes) = self.state.lock().queue.held();
        records < records_max && bytes < HELD_BYTES_MAX
    }

    /// True while any record is held.
    #[cfg(test)]
    pub(crate) fn has_held(&self) -> bool {
        self.state.lock().queue.held().0 > 0
    }

    /// Takes records, all at once; `admit` gives each its mark and its place.
    pub(crate) fn admit(&self, admit: impl FnOnce(&mut Admission<'_>)) {
        let mut state = self.state.lock();
        let State { queue, tracker, errants, .. } = &mut *state;
        admit(&mut Admission { queue, tracker, errants });
        drop(state);
        self.work.notify_one();
    }

    /// The items of the next request: when none is in flight, or enough wait to fill one.
    pub(crate) fn next_bulk(&self, in_flight: usize, bounds: BulkBounds) -> Option<Vec<Item>> {
        let mut state = self.state.lock();
        let ready = state.failure.is_none()
            && in_flight < state.in_flight_now
            && state.queue.has_ready()
            && (in_flight == 0 || state.queue.is_full(bounds));
        ready.then(|| state.queue.take(bounds))
    }

    /// True when something waits that does not fill a request.
    pub(crate) fn wants_company(&self, bounds: BulkBounds) -> bool {
        let state = self.state.lock();
        state.queue.has_ready() && !state.queue.is_full(bounds)
    }

    /// The records at fault that were found since.
    pub(crate) fn take_errants(&self) -> Vec<Errant> {
        std::mem::take(&mut self.state.lock().errants)
    }

    /// Adds records at fault.
    pub(crate) fn add_errants(&self, errants: Vec<Errant>) {
        if !errants.is_empty() {
            self.state.lock().errants.extend(errants);
            self.work.notify_one();
        }
    }

    /// Parts items whose partition is still open from the others, and forgets those.
    pub(crate) fn keep_current(
        &self,
        items: Vec<Item>,
        owns: impl Fn(&TopicPartition) -> bool,
    ) -> Vec<Item> {
        let mut state = self.state.lock();
        let (kept, gone): (Vec<Item>, Vec<Item>) = items
            .into_iter()
            .partition(|item| state.tracker.is_current(&item.mark) && owns(&item.mark.partition));
        gone.iter().for_each(|item| state.queue.release(item));
        drop(state);
        if !gone.is_empty() {
            self.work.notify_one();
            self.progress.notify_waiters();
        }
        kept
    }

    /// Counts items as finished and lets go of them.
    pub(crate) fn finish(&self, items: &[Item]) {
        let mut state = self.state.lock();
        for item in items {
            state.tracker.finish(&item.mark);
            state.queue.release(item);
        }
        drop(state);
        self.work.notify_one();
        self.progress.notify_waiters();
    }

    /// Elasticsearch rejected: fewer requests at once.
    pub(crate) fn slow_down(&self) {
        let mut state = self.state.lock();
        state.in_flight_now = (state.in_flight_now / 2).max(1);
    }

    /// A request went well: one more at once, up to the configured number.
    pub(crate) fn speed_up(&self) {
        let mut state = self.state.lock();
        state.in_flight_now = (state.in_flight_now + 1).min(state.in_flight_max);
    }

    /// Per partition the offset below which everything is finished.
    pub(crate) fn finished(&self) -> TopicPartitionOffsets {
        self.state.lock().tracker.finished()
    }

    /// True when nothing is unfinished.
    pub(crate) fn is_idle(&self) -> bool {
        self.state.lock().tracker.is_idle()
    }

    /// Begins partitions.
    pub(crate) fn open(&self, partitions: &[TopicPartition]) {
        let mut state = self.state.lock();
        partitions.iter().for_each(|partition| state.tracker.open(partition));
    }

    /// Forgets partitions; what is queued of them is dropped when its turn comes.
    pub(crate) fn close(&self, partitions: &[TopicPartition]) {
        let mut state = self.state.lock();
        partitions.iter().for_each(|partition| state.tracker.close(partition));
        drop(state);
        self.progress.notify_waiters();
    }
}

/// The state while records are taken.
pub(crate) struct Admission<'a> {
    queue: &'a mut Queue,
    tracker: &'a mut Tracker,
    errants: &'a mut Vec<Errant>,
}

impl Admission<'_> {
    /// Marks a record; `None` when it was taken before and is delivered again.
    pub(crate) fn mark(&mut self, partition: &TopicPartition, offset: i64) -> Option<Mark> {
        self.tracker.take(partition, offset)
    }

    /// Queues a record.
    pub(crate) fn send(&mut self, item: Item) {
        self.queue.push(item);
    }

    /// Counts a record as finished, without any request.
    pub(crate) fn skip(&mut self, mark: &Mark) {
        self.tracker.finish(mark);
    }

    /// Takes a record that is at fault.
    pub(crate) fn errant(&mut self, errant: Errant) {
        self.errants.push(errant);
    }
}
