//! A seeded simulation of the machines and of a host that crashes: same seed, same run.
//!
//! The host applies records when it appends them, makes a prefix of its log durable now and then, and releases a
//! reply only when everything applied before it is durable. A crash keeps the durable prefix and nothing else.
//! What must hold: replaying the log gives the live state; nothing that a client was told is lost.

mod consumer_groups;
mod groups;
mod topics;
mod transactions;

use std::collections::{BTreeMap, VecDeque};

use crate::machine::{DecisionOf, EncodedRecord, take_decision};
use crate::{Machine, RequestId, Timestamp};

/// Random numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// A host without a disk: its log is a list, and a crash cuts it.
struct Host<M: Machine> {
    machine: M,
    fresh: Box<dyn Fn() -> M>,
    log: Vec<EncodedRecord>,
    durable: usize,
    now: Timestamp,
    next_request: u64,
    /// Who asked, until the reply is released.
    asked: BTreeMap<RequestId, usize>,
    /// Replies that wait until so many records are durable.
    held: VecDeque<(usize, RequestId, M::Reply)>,
}

impl<M: Machine> Host<M> {
    fn new(fresh: impl Fn() -> M + 'static) -> Self {
        let mut machine = fresh();
        machine.resume(Timestamp(0));
        Self {
            machine,
            fresh: Box::new(fresh),
            log: Vec::new(),
            durable: 0,
            now: Timestamp(0),
            next_request: 0,
            asked: BTreeMap::new(),
            held: VecDeque::new(),
        }
    }

    fn take(&mut self, decision: DecisionOf<M>) {
        let (records, replies) = take_decision(&mut self.machine, decision);
        self.log.extend(records.iter().map(M::encode));
        for (request, reply) in replies {
            assert!(
                self.held.iter().all(|(_, held, _)| *held != request),
                "two replies to one request"
            );
            assert!(self.asked.contains_key(&request), "a reply to nobody, or the second one");
            self.held.push_back((self.log.len(), request, reply));
        }
    }

    fn ask(&mut self, client: usize, command: &M::Command) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.asked.insert(request, client);
        let decision = self.machine.decide(self.now, request, command);
        self.take(decision);
    }

    /// Lets time pass, with every tick on the way.
    fn pass(&mut self, duration_ms: i64) {
        let until = self.now.plus_ms(duration_ms);
        let mut ticks = 0;
        while let Some(deadline) =
            self.machine.next_deadline().filter(|deadline| *deadline <= until)
        {
            self.now = self.now.max(deadline);
            let decision = self.machine.tick(self.now);
            self.take(decision);
            ticks += 1;
            assert!(ticks < 10_000, "time stands still at {:?}", self.now);
        }
        self.now = until;
    }

    /// Makes some or all of the log durable and hands out what may leave.
    fn sync(&mut self, upto: usize) -> Vec<(usize, M::Reply)> {
        self.durable = self.durable.max(upto.min(self.log.len()));
        let mut released = Vec::new();
        while self.held.front().is_some_and(|(position, ..)| *position <= self.durable) {
            let Some((_, request, reply)) = self.held.pop_front() else { break };
            let client = self.asked.remove(&request).expect("asked");
            released.push((client, reply));
        }
        released
    }

    fn replayed(&self, length: usize) -> M {
        let mut machine = (self.fresh)();
        for record in &self.log[..length] {
            let record =
                M::decode(record.key.as_deref(), record.value.as_deref()).expect("readable");
            machine.apply(&record.expect("of a known kind"));
        }
        machine
    }

    /// Loses what was not durable; answers who is still waiting for a reply that will not come.
    fn crash(&mut self) -> Vec<usize> {
        self.log.truncate(self.durable);
        self.machine = self.replayed(self.log.len());
        self.machine.resume(self.now);
        self.held.clear();
        std::mem::take(&mut self.asked).into_values().collect()
    }
}
