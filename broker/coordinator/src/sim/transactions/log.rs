//! A partition as far as transactions matter: records and markers, and the checks that a real log makes.

use std::collections::BTreeMap;

use crate::transaction::state::{Outcome, Producer};

/// What stands in the log.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A record of the client's transaction with this tag.
    Record { producer: Producer, sequence: u32, tag: u64 },
    /// A marker, written for the ending with this number.
    Marker { producer: Producer, outcome: Outcome, ending: u64 },
}

impl Entry {
    fn producer(&self) -> Producer {
        match self {
            Self::Record { producer, .. } | Self::Marker { producer, .. } => *producer,
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    epoch: i16,
    last_sequence: Option<u32>,
    is_open: bool,
}

/// One partition's log; a crash keeps its durable prefix.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) entries: Vec<Entry>,
    pub(super) durable: usize,
}

/// What became of a record.
#[derive(Debug, PartialEq)]
pub(super) enum Appended {
    /// It will be durable when so many entries are.
    At(usize),
    /// Its epoch or its sequence does not fit.
    Refused,
}

impl Log {
    fn known(&self, producer_id: i64) -> Option<Known> {
        let mut known: Option<Known> = None;
        for entry in self.entries.iter().filter(|entry| entry.producer().id == producer_id) {
            let known = known.get_or_insert_with(Known::default);
            if known.epoch != entry.producer().epoch {
                known.epoch = entry.producer().epoch;
                known.last_sequence = None;
            }
            match entry {
                Entry::Record { sequence, .. } => {
                    known.last_sequence = Some(*sequence);
                    known.is_open = true;
                }
                Entry::Marker { .. } => known.is_open = false,
            }
        }
        known
    }

    pub(super) fn append(&mut self, producer: Producer, sequence: u32, tag: u64) -> Appended {
        if let Some(known) = self.known(producer.id) {
            let next = known.last_sequence.map_or(0, |last| last + 1);
            if producer.epoch == known.epoch && sequence < next {
                let is_it = |entry: &Entry| matches!(entry, Entry::Record { producer: of, sequence: at, .. } if *of == producer && *at == sequence);
                let found = self.entries.iter().position(is_it).expect("written before");
                return Appended::At(found + 1);
            }
            let fits = producer.epoch > known.epoch && sequence == 0
                || producer.epoch == known.epoch && sequence == next;
            if !fits {
                return Appended::Refused;
            }
        }
        self.entries.push(Entry::Record { producer, sequence, tag });
        Appended::At(self.entries.len())
    }

    /// Appends a marker, unless the log knows that it comes too late.
    pub(super) fn mark(
        &mut self,
        producer: Producer,
        outcome: Outcome,
        ending: u64,
        is_raised: bool,
    ) {
        let is_late = self.known(producer.id).is_some_and(|known| {
            producer.epoch < known.epoch
                || is_raised && producer.epoch == known.epoch && known.is_open
        });
        assert!(!is_late, "a marker of {producer:?} came too late");
        self.entries.push(Entry::Marker { producer, outcome, ending });
    }

    /// Each record's tag, and the marker that ended it: its outcome and ending; `None` if it is still open.
    pub(super) fn outcomes(&self) -> Vec<(u64, Option<(Outcome, u64)>)> {
        let mut open = BTreeMap::<i64, Vec<usize>>::new();
        let mut outcomes = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Record { producer, tag, .. } => {
                    open.entry(producer.id).or_default().push(outcomes.len());
                    outcomes.push((*tag, None));
                }
                Entry::Marker { producer, outcome, ending } => {
                    for index in open.remove(&producer.id).unwrap_or_default() {
                        outcomes[index].1 = Some((*outcome, *ending));
                    }
                }
            }
        }
        outcomes
    }
}
