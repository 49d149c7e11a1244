//! How far a sink is in each of its partitions (PURE): what was consumed, what was put, what is finished, what may be committed.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

use std::collections::BTreeMap;

use aquifer_connect_api::{TopicPartition, TopicPartitionOffsets};

/// The progress of one partition since it was assigned or rewound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// The first offset that was consumed.
    first: i64,
    /// The offset behind the last record that the task was given.
    put: i64,
    /// The offset behind the last record that was consumed: given, dropped by a transform, or a dead letter.
    consumed: i64,
}

/// The progress of every partition of a task.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    progress: BTreeMap<TopicPartition, Progress>,
    finished: TopicPartitionOffsets,
    committed: TopicPartitionOffsets,
}

impl Partitions {
    /// Notes the first record seen of a partition, before anything is done with it.
    pub(crate) fn saw(&mut self, partition: &TopicPartition, offset: i64) {
        if !self.progress.contains_key(partition) {
            let progress = Progress { first: offset, put: offset, consumed: offset };
            self.progress.insert(partition.clone(), progress);
        }
    }

    /// Notes that everything below `next` was consumed, and the task has taken what of it was for the task.
    pub(crate) fn consumed(&mut self, partition: &TopicPartition, put: Option<i64>, next: i64) {
        if let Some(progress) = self.progress.get_mut(partition) {
            progress.put = put.unwrap_or(progress.put);
            progress.consumed = next;
        }
    }

    /// Takes what the task says is finished.
    pub(crate) fn finished(&mut self, finished: TopicPartitionOffsets) {
        for (partition, offset) in finished {
            if self.progress.contains_key(&partition) {
                self.finished.insert(partition, offset);
            }
        }
    }

    /// The offset below which everything of a partition is done; `None` before its first record.
    fn done(&self, partition: &TopicPartition) -> Option<i64> {
        let progress = self.progress.get(partition)?;
        let finished = self.finished.get(partition).copied().unwrap_or(progress.first);
        // When all that was put is finished, what was dropped behind it is done as well.
        Some(if finished >= progress.put {
            progress.consumed
        } else {
            finished.max(progress.first)
        })
    }

    /// What may be committed and is not yet.
    pub(crate) fn to_commit(&self) -> Vec<(TopicPartition, i64)> {
        let news = |partition: &TopicPartition| {
            let done = self.done(partition)?;
            let first = self.progress.get(partition)?.first;
            let before = self.committed.get(partition).copied().unwrap_or(first);
            (done > before).then(|| (partition.clone(), done))
        };
        self.progress.keys().filter_map(news).collect()
    }

    /// Notes what was committed.
    pub(crate) fn committed(&mut self, offsets: &[(TopicPartition, i64)]) {
        self.committed.extend(offsets.iter().cloned());
    }

    /// Goes back to what is done: from where each partition is to be consumed again.
    pub(crate) fn rewind(&mut self) -> Vec<(TopicPartition, i64)> {
        let targets: Vec<(TopicPartition, i64)> = self
            .progress
            .keys()
            .filter_map(|partition| Some((partition.clone(), self.done(partition)?)))
            .collect();
        for (partition, offset) in &targets {
            if let Some(progress) = self.progress.get_mut(partition) {
                *progress = Progress { first: *offset, put: *offset, consumed: *offset };
            }
        }
        // What the task says from now on counts; what it said of records that come again does not.
        self.finished.clear();
        targets
    }

    /// Forgets partitions that went away.
    pub(crate) fn forget(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.progress.remove(partition);
            self.finished.remove(partition);
            self.committed.remove(partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition { topic: Arc::from("t"), partition: 0 }
    }

    fn check(partitions: &Partitions, expected: Option<i64>) {
        let commits: Vec<i64> = partitions.to_commit().into_iter().map(|(_, at)| at).collect();
        assert_eq!(commits, expected.into_iter().collect::<Vec<_>>());
    }

    fn finished(partitions: &mut Partitions, offset: i64) {
        partitions.finished(TopicPartitionOffsets::from([(partition(), offset)]));
    }

    #[test]
    fn only_what_is_finished_is_committed() {
        let mut partitions = Partitions::default();
        partitions.saw(&partition(), 10);
        partitions.consumed(&partition(), Some(20), 20);
        check(&partitions, None);
        finished(&mut partitions, 15);
        check(&partitions, Some(15));
        partitions.committed(&[(partition(), 15)]);
        check(&partitions, None);
        finished(&mut partitions, 20);
        check(&partitions, Some(20));
    }

    #[test]
    fn records_that_were_dropped_behind_the_last_put_are_done_with_it() {
        let mut partitions = Partitions::default();
        partitions.saw(&partition(), 0);
        partitions.consumed(&partition(), None, 5);
        check(&partitions, Some(5));
        partitions.consumed(&partition(), Some(7), 9);
        finished(&mut partitions, 6);
        check(&partitions, Some(6));
        finished(&mut partitions, 7);
        check(&partitions, Some(9));
    }

    #[test]
    fn after_a_rewind_what_comes_again_is_unfinished_until_said_otherwise() {
        let mut partitions = Partitions::default();
        partitions.saw(&partition(), 0);
        partitions.consumed(&partition(), Some(10), 10);
        finished(&mut partitions, 4);
        assert_eq!(partitions.rewind(), [(partition(), 4)]);
        check(&partitions, None);
        partitions.consumed(&partition(), Some(10), 10);
        check(&partitions, None);
        finished(&mut partitions, 10);
        check(&partitions, Some(10));
    }

    #[test]
    fn record_that_was_seen_and_never_put_is_where_a_rewind_goes() {
        let mut partitions = Partitions::default();
        partitions.saw(&partition(), 3);
        assert_eq!(partitions.rewind(), [(partition(), 3)]);
    }

    #[test]
    fn partition_that_went_away_is_not_committed() {
        let mut partitions = Partitions::default();
        partitions.saw(&partition(), 0);
        partitions.consumed(&partition(), None, 5);
        partitions.forget(&[partition()]);
        finished(&mut partitions, 5);
        check(&partitions, None);
    }
}
