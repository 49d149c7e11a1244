//! PURE: which records of each partition are finished, and below which offset all of them are.

use std::collections::{BTreeMap, VecDeque};

use aquifer_connect_api::{TopicPartition, TopicPartitionOffsets};

/// Names a record that was taken; of no use any more once its partition was closed.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) partition: TopicPartition,
    offset: i64,
    opening: u64,
}

/// The unfinished records of all partitions.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    partitions: BTreeMap<TopicPartition, Track>,
    openings: u64,
}

#[derive(Debug)]
struct Track {
    opening: u64,
    /// Offset, and whether it is finished; the first is not.
    pending: VecDeque<(i64, bool)>,
    /// The offset after the last that was taken.
    next: Option<i64>,
}

impl Tracker {
    /// Begins a partition, or begins it anew.
    pub(crate) fn open(&mut self, partition: &TopicPartition) {
        self.openings += 1;
        let track = Track { opening: self.openings, pending: VecDeque::new(), next: None };
        self.partitions.insert(partition.clone(), track);
    }

    /// Forgets a partition.
    pub(crate) fn close(&mut self, partition: &TopicPartition) {
        self.partitions.remove(partition);
    }

    /// Takes a record; `None` when it was taken before and is delivered again.
    pub(crate) fn take(&mut self, partition: &TopicPartition, offset: i64) -> Option<Mark> {
        if !self.partitions.contains_key(partition) {
            self.open(partition);
        }
        let track = self.partitions.get_mut(partition)?;
        if track.next.is_some_and(|next| offset < next) {
            return None;
        }
        track.next = Some(offset + 1);
        track.pending.push_back((offset, false));
        Some(Mark { partition: partition.clone(), offset, opening: track.opening })
    }

    /// True while the record's partition was not closed.
    pub(crate) fn is_current(&self, mark: &Mark) -> bool {
        self.partitions.get(&mark.partition).is_some_and(|track| track.opening == mark.opening)
    }

    /// Counts a record as finished.
    pub(crate) fn finish(&mut self, mark: &Mark) {
        let Some(track) = self.partitions.get_mut(&mark.partition) else { return };
        if track.opening != mark.opening {
            return;
        }
        if let Ok(at) = track.pending.binary_search_by_key(&mark.offset, |(offset, _)| *offset)
            && let Some((_, finished)) = track.pending.get_mut(at)
        {
            *finished = true;
        }
        while track.pending.front().is_some_and(|(_, finished)| *finished) {
            track.pending.pop_front();
        }
    }

    /// Per partition the offset below which everything is finished.
    pub(crate) fn finished(&self) -> TopicPartitionOffsets {
        let below = |track: &Track| track.pending.front().map(|(offset, _)| *offset).or(track.next);
        let entries = self.partitions.iter();
        entries.filter_map(|(name, track)| Some((name.clone(), below(track)?))).collect()
    }

    /// True when nothing is unfinished.
    pub(crate) fn is_idle(&self) -> bool {
        self.partitions.values().all(|track| track.pending.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition: number }
    }

    #[test]
    fn finished_is_below_every_unfinished_record() {
        let mut tracker = Tracker::default();
        let one = partition(1);
        tracker.open(&one);
        assert!(tracker.finished().is_empty(), "nothing was taken: there is nothing to commit");
        let marks: Vec<Mark> = [5, 6, 9].map(|o| tracker.take(&one, o).unwrap()).to_vec();
        let mut finish = |at: usize| {
            tracker.finish(&marks[at]);
            tracker.finished()[&one]
        };
        assert_eq!(finish(1), 5);
        assert_eq!(finish(0), 9);
        assert_eq!(finish(2), 10);
        assert!(tracker.is_idle());
        assert!(tracker.take(&one, 6).is_none(), "delivered again");
    }

    #[test]
    fn what_is_left_of_a_closed_partition_counts_for_nothing() {
        let mut tracker = Tracker::default();
        let one = partition(1);
        let old = tracker.take(&one, 5).unwrap();
        tracker.close(&one);
        assert!(!tracker.is_current(&old));
        tracker.open(&one);
        let new = tracker.take(&one, 5).unwrap();
        tracker.finish(&old);
        assert_eq!(tracker.finished()[&one], 5);
        assert!(tracker.is_current(&new) && !tracker.is_current(&old));
    }

    proptest! {
        #[test]
        fn prop_any_order_of_finishing_ends_at_the_end(
            order in Just((0..20).collect::<Vec<usize>>()).prop_shuffle(),
        ) {
            let mut tracker = Tracker::default();
            let one = partition(0);
            let marks: Vec<Mark> = (0..20).map(|o| tracker.take(&one, o).unwrap()).collect();
            let mut done = std::collections::BTreeSet::new();
            for at in order {
                tracker.finish(&marks[at]);
                done.insert(at);
                let below = (0..20).find(|at| !done.contains(at)).unwrap_or(20);
                prop_assert_eq!(tracker.finished()[&one], i64::try_from(below).unwrap());
            }
        }
    }
}
