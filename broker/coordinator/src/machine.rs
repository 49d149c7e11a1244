//! What every state machine of the broker has in common, and the laws it keeps.
//!
//! 1. `decide` and `tick` take the time as an argument, change nothing and may refuse.
//! 2. `apply` cannot fail and reads no clock. Applying the log from its start gives the durable state of the
//!    machine that wrote it.
//! 3. A decision sees every record applied before it: its host applies records when it appends them.
//! 4. A reply, and any read that saw the records, leaves only when they are durable. If that fails, the host
//!    drops the machine and replays the log.
//!
//! Beside its durable state a machine may hold a *session* state that a crash is allowed to lose: a running
//! rebalance, the requests that wait for it, the deadlines of members. A decision changes it through events,
//! which `note` adopts and nobody writes. `resume` rebuilds it after a replay.

/// Milliseconds since the Unix epoch. A host never hands in a smaller value than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time `duration_ms` later; negative durations count as zero.
    #[must_use]
    pub fn plus_ms(self, duration_ms: i64) -> Self {
        Self(self.0.saturating_add(duration_ms.max(0)))
    }
}

/// Names one request at its host for as long as its reply is outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a machine wants to happen: records to write, session changes, and replies to release once the records
/// are durable. A reply may answer an earlier request that was left waiting.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<R, E, A> {
    /// To be applied and appended, in this order.
    pub records: Vec<R>,
    /// To be noted after the records are applied, in this order.
    pub events: Vec<E>,
    /// To be released when the records, and all applied before them, are durable.
    pub replies: Vec<(RequestId, A)>,
}

impl<R, E, A> Default for Decision<R, E, A> {
    fn default() -> Self {
        Self { records: Vec::new(), events: Vec::new(), replies: Vec::new() }
    }
}

impl<R, E, A> Decision<R, E, A> {
    /// Only a reply: a refusal, or a read.
    pub fn reply(request: RequestId, reply: A) -> Self {
        Self { replies: vec![(request, reply)], ..Self::default() }
    }
}

/// The decision type of a machine.
pub type DecisionOf<M> =
    Decision<<M as Machine>::Record, <M as Machine>::Event, <M as Machine>::Reply>;

/// One record as it stands in the log: the key and value bytes of a record in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord {
    /// The key, absent in the metadata log.
    pub key: Option<Vec<u8>>,
    /// The value, absent for a tombstone.
    pub value: Option<Vec<u8>>,
}

/// What the batch around a record says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchKind {
    /// The record is the coordinator's own.
    #[default]
    Plain,
    /// The record lies in a producer's transaction.
    Transactional {
        /// The producer's id.
        producer_id: i64,
        /// The producer's epoch.
        producer_epoch: i16,
    },
    /// The record is a marker, the end of a producer's transaction; its bytes are those of every marker.
    Marker {
        /// The producer's id.
        producer_id: i64,
        /// The producer's epoch.
        producer_epoch: i16,
        /// Whether the transaction is committed.
        commit: bool,
        /// The epoch of the coordinator that ended it.
        coordinator_epoch: i32,
    },
}

/// A deterministic machine whose durable state is a fold over its records.
pub trait Machine {
    /// A request.
    type Command;
    /// A durable change.
    type Record;
    /// A change of session state, lost in a crash.
    type Event;
    /// An answer to a request.
    type Reply;

    /// What `command` leads to.
    fn decide(
        &self,
        now: Timestamp,
        request: RequestId,
        command: &Self::Command,
    ) -> DecisionOf<Self>;

    /// What the passing of time leads to; called when `next_deadline` has passed.
    fn tick(&self, now: Timestamp) -> DecisionOf<Self>;

    /// When `tick` must be called next, if nothing else happens.
    fn next_deadline(&self) -> Option<Timestamp>;

    /// Takes a durable change into the state.
    fn apply(&mut self, record: &Self::Record);

    /// Takes a session change into the state.
    fn note(&mut self, event: Self::Event);

    /// Rebuilds the session state after a replay.
    fn resume(&mut self, now: Timestamp);

    /// The bytes of a record.
    fn encode(record: &Self::Record) -> EncodedRecord;

    /// Reads a record; `None` for a kind that this machine does not use and that may be skipped.
    ///
    /// # Errors
    /// When the bytes do not follow the schema they name.
    fn decode(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Option<Self::Record>, crate::RecordError>;

    /// The kind of batch that a record is written in.
    fn batch_kind(_record: &Self::Record) -> BatchKind {
        BatchKind::Plain
    }

    /// Reads a record of a batch that is not plain; `None` where the machine has no use for such.
    ///
    /// # Errors
    /// Those of [`Self::decode`].
    fn decode_in(
        _kind: BatchKind,
        _key: Option<&[u8]>,
        _value: Option<&[u8]>,
    ) -> Result<Option<Self::Record>, crate::RecordError> {
        Ok(None)
    }

    /// Whether replies need not wait until a record is durable: its host writes it again after a crash that lost it.
    fn may_lag(_record: &Self::Record) -> bool {
        false
    }
}

/// The replies that a decision releases.
pub type RepliesOf<M> = Vec<(RequestId, <M as Machine>::Reply)>;

/// Applies a decision to the machine that made it and hands back the records and replies.
pub fn take_decision<M: Machine>(
    machine: &mut M,
    decision: DecisionOf<M>,
) -> (Vec<M::Record>, RepliesOf<M>) {
    for record in &decision.records {
        machine.apply(record);
    }
    for event in decision.events {
        machine.note(event);
    }
    (decision.records, decision.replies)
}
