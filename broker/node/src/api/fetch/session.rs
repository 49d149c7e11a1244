//! Fetch sessions (KIP-227): what a client reads and was told, so that a request and its answer carry changes only.
//!
//! - A session belongs to whoever knows its id, on any connection; its epoch counts the requests, and a request with
//!   another epoch is refused, so that nothing is lost when an answer is.
//! - The number of sessions is bounded. A new one takes the place of one that nobody used for two minutes, or else of
//!   a smaller or equally large one that has lived for two minutes; otherwise it is not opened and the client goes on with full requests.
//! - A partition whose records were sent goes to the end of the session, so that the next answer begins with others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::fetch::{FetchPartition, PartitionData};
use aquifer_broker_protocol::primitive::Uuid;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::partition::Partition;

/// The epoch of a request that asks for a session.
pub(super) const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants none, and ends the one it names.
pub(super) const FINAL_EPOCH: i32 = -1;
/// The id that stands for "no session".
const NO_SESSION: i32 = 0;
/// The most partitions of a session: it may grow with each request, and 1000 sessions must fit into memory.
const PARTITIONS_MAX: usize = 100_000;
/// How long a session is safe from newer ones, and how long it may be silent, as in Kafka.
const EVICTION_AGE: Duration = Duration::from_secs(120);

/// The topic of a partition in a session: by name, or by id where the versions have ids. The other one is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionTopic {
    /// Its name.
    pub(super) name: Arc<str>,
    /// Its id.
    pub(super) id: Uuid,
}

/// A partition in a session.
#[derive(Debug, Clone)]
pub(super) struct SessionPartition {
    /// Its topic.
    pub(super) topic: SessionTopic,
    /// What the client asks for.
    pub(super) asked: FetchPartition,
    /// The partition as it was found the last time.
    pub(super) found: Option<Arc<Partition>>,
    /// What the client was last told: high watermark, last stable offset and log start; -1 where it has to be told again.
    told: Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    high_watermark: i64,
    last_stable_offset: i64,
    log_start: i64,
}

const NOTHING_TOLD: Told = Told { high_watermark: -1, last_stable_offset: -1, log_start: -1 };

impl SessionPartition {
    /// A partition about which the client knows nothing.
    pub(super) fn new(topic: SessionTopic, asked: FetchPartition) -> Self {
        Self { topic, asked, found: None, told: NOTHING_TOLD }
    }

    /// Notes what was found, and tells whether the client has to hear of it.
    fn note(&mut self, data: &PartitionData<'_>, has_records: bool) -> bool {
        let is_trouble =
            data.error_code != ErrorCode::None.code() || data.diverging_epoch.epoch >= 0;
        let now = Told {
            // When the trouble is over the client is told where the partition stands.
            high_watermark: if is_trouble { -1 } else { data.high_watermark },
            last_stable_offset: data.last_stable_offset,
            log_start: data.log_start_offset,
        };
        let changed = now != self.told;
        self.told = now;
        has_records || is_trouble || changed
    }
}

/// The partitions of a session, in the order in which they are read.
#[derive(Debug, Default)]
pub(super) struct Session {
    epoch: i32,
    next_place: u64,
    places: HashMap<(SessionTopic, i32), u64>,
    partitions: BTreeMap<u64, SessionPartition>,
}

impl Session {
    /// Adds a partition at the end, or changes what is asked of it.
    fn put(&mut self, partition: SessionPartition) {
        let key = (partition.topic.clone(), partition.asked.partition);
        match self.places.get(&key) {
            Some(place) => {
                if let Some(known) = self.partitions.get_mut(place) {
                    known.asked = partition.asked;
                }
            }
            None => {
                self.places.insert(key, self.next_place);
                self.partitions.insert(self.next_place, partition);
                self.next_place += 1;
            }
        }
    }

    fn remove(&mut self, topic: SessionTopic, partition: i32) {
        if let Some(place) = self.places.remove(&(topic, partition)) {
            self.partitions.remove(&place);
        }
    }

    fn move_to_end(&mut self, place: u64) {
        if let Some(partition) = self.partitions.remove(&place) {
            self.places
                .insert((partition.topic.clone(), partition.asked.partition), self.next_place);
            self.partitions.insert(self.next_place, partition);
            self.next_place += 1;
        }
    }
}

/// What a request in a session that goes on changes, and where it stands.
#[derive(Debug)]
pub(super) struct Update {
    /// The session's id.
    pub(super) session_id: i32,
    /// The request's epoch.
    pub(super) epoch: i32,
    /// Whether its version names topics by id.
    pub(super) uses_ids: bool,
    /// Partitions that are new or asked in another way.
    pub(super) changed: Vec<SessionPartition>,
    /// Partitions that are not asked for any more.
    pub(super) forgotten: Vec<(SessionTopic, i32)>,
}

/// A request of a session, on its way.
#[derive(Debug)]
pub(super) struct Turn {
    session: Arc<Mutex<Session>>,
    /// The epoch that the session has while this request is the last one.
    epoch: i32,
}

/// Where a request in a session leads.
#[derive(Debug)]
pub(super) enum Continued {
    /// These partitions are read, with their places in the session.
    Session(Turn, Vec<(u64, SessionPartition)>),
    /// Nothing is left in it, so that it is closed.
    Closed,
}

impl Turn {
    /// Picks what the client has to be told of what was read, and rotates; the error is that another request came meanwhile.
    /// `found` has for each place what is to be told and whether there are records in it.
    pub(super) fn answer<'a>(
        &self,
        found: impl Iterator<Item = (u64, Option<Arc<Partition>>, PartitionData<'a>, bool)>,
    ) -> Result<Vec<(SessionTopic, PartitionData<'a>)>, ErrorCode> {
        let mut session = self.session.lock();
        if session.epoch != self.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        let mut told = Vec::new();
        for (place, partition, data, has_records) in found {
            let Some(known) = session.partitions.get_mut(&place) else { continue };
            known.found = partition;
            if known.note(&data, has_records) {
                told.push((known.topic.clone(), data));
                if has_records {
                    session.move_to_end(place);
                }
            }
        }
        Ok(told)
    }
}

#[derive(Debug)]
struct Entry {
    session: Arc<Mutex<Session>>,
    uses_ids: bool,
    size: usize,
    created: Instant,
    last_used: Instant,
}

/// All sessions of this node.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots_max: usize,
    entries: Mutex<HashMap<i32, Entry>>,
}

impl FetchSessions {
    /// No sessions, and room for so many: `max.incremental.fetch.session.cache.slots`.
    pub(crate) fn new(slots_max: usize) -> Self {
        Self { slots_max, entries: Mutex::default() }
    }

    /// Ends a session, if it is there.
    pub(super) fn close(&self, session_id: i32) {
        if session_id != NO_SESSION {
            self.entries.lock().remove(&session_id);
        }
    }

    /// Opens a session that has told what the answer says; 0 if there is no room.
    pub(super) fn open<'d, 'w: 'd>(
        &self,
        now: Instant,
        uses_ids: bool,
        partitions: impl ExactSizeIterator<Item = (SessionPartition, &'d PartitionData<'w>)>,
    ) -> i32 {
        let size = partitions.len();
        if size > PARTITIONS_MAX {
            return NO_SESSION;
        }
        let mut entries = self.entries.lock();
        if entries.len() >= self.slots_max && !evict(&mut entries, size, now) {
            return NO_SESSION;
        }
        let mut session = Session { epoch: next_epoch(INITIAL_EPOCH), ..Session::default() };
        for (mut partition, data) in partitions {
            partition.note(data, false);
            session.put(partition);
        }
        let id = loop {
            // The lower half of a random id, without its sign.
            let random = (uuid::Uuid::new_v4().as_u128() & 0x7fff_ffff) as i32;
            if random != NO_SESSION && !entries.contains_key(&random) {
                break random;
            }
        };
        let size = session.partitions.len();
        let session = Arc::new(Mutex::new(session));
        entries.insert(id, Entry { session, uses_ids, size, created: now, last_used: now });
        id
    }

    /// Takes a request into its session.
    pub(super) fn go_on(&self, now: Instant, update: Update) -> Result<Continued, ErrorCode> {
        let session_id = update.session_id;
        let (session, uses_ids) = match self.entries.lock().get(&session_id) {
            Some(entry) => (Arc::clone(&entry.session), entry.uses_ids),
            None => return Err(ErrorCode::FetchSessionIdNotFound),
        };
        // Apart from the list of all sessions, since a large one takes its time.
        let mut known = session.lock();
        if known.epoch != update.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if uses_ids != update.uses_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        for partition in update.changed {
            known.put(partition);
        }
        for (topic, partition) in update.forgotten {
            known.remove(topic, partition);
        }
        let size = known.partitions.len();
        if size == 0 || size > PARTITIONS_MAX {
            known.epoch = FINAL_EPOCH;
            drop(known);
            self.close(session_id);
            let is_empty = size == 0;
            return if is_empty {
                Ok(Continued::Closed)
            } else {
                Err(ErrorCode::FetchSessionIdNotFound)
            };
        }
        known.epoch = next_epoch(known.epoch);
        let turn = Turn { session: Arc::clone(&session), epoch: known.epoch };
        let partitions = known.partitions.iter();
        let partitions = partitions.map(|(place, partition)| (*place, partition.clone())).collect();
        drop(known);
        if let Some(entry) = self.entries.lock().get_mut(&session_id) {
            entry.size = size;
            entry.last_used = now;
        }
        Ok(Continued::Session(turn, partitions))
    }
}

/// Makes room for a session of `size` partitions, if there is one that may go.
fn evict(entries: &mut HashMap<i32, Entry>, size: usize, now: Instant) -> bool {
    let is_old = |since: Instant| now.saturating_duration_since(since) > EVICTION_AGE;
    let silent = entries.iter().filter(|(_, entry)| is_old(entry.last_used));
    let silent = silent.min_by_key(|(_, entry)| entry.last_used).map(|(id, _)| *id);
    let smallest = || {
        let old = entries.iter().filter(|(_, entry)| is_old(entry.created) && entry.size <= size);
        old.min_by_key(|(id, entry)| (entry.size, **id)).map(|(id, _)| *id)
    };
    match silent.or_else(smallest) {
        Some(id) => entries.remove(&id).is_some(),
        None => false,
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn partition(index: i32) -> SessionPartition {
        let topic = SessionTopic { name: Arc::from("t"), id: Uuid::ZERO };
        SessionPartition::new(
            topic,
            FetchPartition { partition: index, ..FetchPartition::default() },
        )
    }

    fn data(index: i32, high_watermark: i64) -> PartitionData<'static> {
        PartitionData { partition_index: index, high_watermark, ..PartitionData::default() }
    }

    fn open(sessions: &FetchSessions, now: Instant, count: i32) -> i32 {
        let told: Vec<_> = (0..count).map(|index| data(index, 0)).collect();
        let partitions: Vec<_> = (0..count).map(partition).zip(&told).collect();
        sessions.open(now, false, partitions.into_iter())
    }

    fn update(session_id: i32, epoch: i32) -> Update {
        Update { session_id, epoch, uses_ids: false, changed: Vec::new(), forgotten: Vec::new() }
    }

    fn turn(sessions: &FetchSessions, now: Instant, update: Update) -> (Turn, Vec<(u64, i32)>) {
        match sessions.go_on(now, update).unwrap() {
            Continued::Session(turn, partitions) => {
                let places =
                    partitions.iter().map(|(place, known)| (*place, known.asked.partition));
                (turn, places.collect())
            }
            Continued::Closed => panic!("the session is closed"),
        }
    }

    /// Answers with one high watermark for all; `with_records` have records. Gives the partitions that were told of.
    fn answer(
        turn: &Turn,
        places: &[(u64, i32)],
        high_watermark: i64,
        with_records: &[i32],
    ) -> Vec<i32> {
        let found = places.iter().map(|(place, index)| {
            (*place, None, data(*index, high_watermark), with_records.contains(index))
        });
        let told = turn.answer(found).unwrap();
        told.into_iter().map(|(_, data)| data.partition_index).collect()
    }

    #[test]
    fn an_answer_tells_changes_only_and_begins_with_those_that_waited_longest() {
        let sessions = FetchSessions::new(10);
        let now = Clock::system().instant();
        let id = open(&sessions, now, 3);
        let (first, places) = turn(&sessions, now, update(id, 1));
        assert_eq!(answer(&first, &places, 0, &[]), Vec::<i32>::new());
        let (second, places) = turn(&sessions, now, update(id, 2));
        assert_eq!(answer(&second, &places, 0, &[0]), [0]);
        let (third, places) = turn(&sessions, now, update(id, 3));
        assert_eq!(places.iter().map(|(_, index)| *index).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(answer(&third, &places, 7, &[]), [1, 2, 0]);
    }

    #[test]
    fn an_error_is_told_each_time_and_its_end_once() {
        let sessions = FetchSessions::new(10);
        let now = Clock::system().instant();
        let id = open(&sessions, now, 1);
        let failed = || PartitionData { error_code: 3, ..data(0, -1) };
        for epoch in [1, 2] {
            let (turn, places) = turn(&sessions, now, update(id, epoch));
            let found = [(places[0].0, None, failed(), false)].into_iter();
            assert_eq!(turn.answer(found).unwrap().len(), 1);
        }
        let (well, places) = turn(&sessions, now, update(id, 3));
        assert_eq!(answer(&well, &places, 0, &[]), [0]);
        let (silent, places) = turn(&sessions, now, update(id, 4));
        assert_eq!(answer(&silent, &places, 0, &[]), Vec::<i32>::new());
    }

    #[test]
    fn a_request_out_of_turn_is_refused_with_the_reason() {
        let sessions = FetchSessions::new(10);
        let now = Clock::system().instant();
        let id = open(&sessions, now, 1);
        let refused = |update: Update| sessions.go_on(now, update).unwrap_err();
        assert_eq!(refused(update(id ^ 1, 1)), ErrorCode::FetchSessionIdNotFound);
        assert_eq!(refused(update(id, 2)), ErrorCode::InvalidFetchSessionEpoch);
        let ids = Update { uses_ids: true, ..update(id, 1) };
        assert_eq!(refused(ids), ErrorCode::FetchSessionTopicIdError);
        let (late, places) = turn(&sessions, now, update(id, 1));
        turn(&sessions, now, update(id, 2));
        let found = [(places[0].0, None, data(0, 0), false)].into_iter();
        assert_eq!(late.answer(found).unwrap_err(), ErrorCode::InvalidFetchSessionEpoch);
        sessions.close(id);
        assert_eq!(refused(update(id, 3)), ErrorCode::FetchSessionIdNotFound);
    }

    #[test]
    fn partitions_come_and_go_and_an_empty_session_is_closed() {
        let sessions = FetchSessions::new(10);
        let now = Clock::system().instant();
        let id = open(&sessions, now, 2);
        let topic = partition(0).topic;
        let change = Update {
            changed: vec![partition(5)],
            forgotten: vec![(topic.clone(), 0)],
            ..update(id, 1)
        };
        let (first, places) = turn(&sessions, now, change);
        assert_eq!(places.iter().map(|(_, index)| *index).collect::<Vec<_>>(), [1, 5]);
        assert_eq!(answer(&first, &places, 0, &[]), [5]);
        let forget = Update { forgotten: vec![(topic.clone(), 1), (topic, 5)], ..update(id, 2) };
        assert!(matches!(sessions.go_on(now, forget), Ok(Continued::Closed)));
        let gone = sessions.go_on(now, update(id, 3)).unwrap_err();
        assert_eq!(gone, ErrorCode::FetchSessionIdNotFound);
    }

    #[test]
    fn a_full_cache_gives_way_to_larger_sessions_when_its_own_are_old() {
        let sessions = FetchSessions::new(2);
        let start = Clock::system().instant();
        let (small, large) = (open(&sessions, start, 1), open(&sessions, start, 5));
        assert_eq!(open(&sessions, start, 9), 0);
        // Used all the time, and old by now.
        let later = start + EVICTION_AGE + Duration::from_secs(1);
        for (id, epoch) in [(small, 1), (large, 1)] {
            turn(&sessions, later, update(id, epoch));
        }
        let other = open(&sessions, later, 3);
        assert_ne!(other, 0);
        assert_eq!(
            sessions.go_on(later, update(small, 2)).unwrap_err(),
            ErrorCode::FetchSessionIdNotFound
        );
        assert_eq!(open(&sessions, later, 4), 0, "one is young, the other larger");
        // Nobody has used the large one for long.
        let much_later = later + EVICTION_AGE + Duration::from_secs(1);
        turn(&sessions, much_later, update(other, 1));
        assert_ne!(open(&sessions, much_later, 1), 0);
        assert_eq!(
            sessions.go_on(much_later, update(large, 2)).unwrap_err(),
            ErrorCode::FetchSessionIdNotFound
        );
        assert_eq!(FetchSessions::new(0).entries.lock().len(), 0);
        assert_eq!(open(&FetchSessions::new(0), start, 1), 0);
    }

    #[test]
    fn a_session_that_grows_too_large_ends() {
        let sessions = FetchSessions::new(10);
        let now = Clock::system().instant();
        let id = open(&sessions, now, 1);
        let changed = (0..).take(PARTITIONS_MAX + 1).map(partition).collect();
        let refused = sessions.go_on(now, Update { changed, ..update(id, 1) }).unwrap_err();
        assert_eq!(refused, ErrorCode::FetchSessionIdNotFound);
        assert_eq!(sessions.entries.lock().len(), 0);
    }

    #[test]
    fn epochs_start_again_behind_the_largest() {
        assert_eq!((next_epoch(0), next_epoch(i32::MAX)), (1, 1));
    }
}
