//! Commits in the order they were asked for, one at a time, off the reactor.
//!
//! The library answers a commit only to a caller that waits for it, so each is made waiting, on the blocking pool.
//! Commits nobody waits for are merged while an earlier one is under way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::consumer::{CommitMode, Consumer};
use tokio::sync::oneshot;

use super::{ConsumerEvent, Library, native_offsets};
use crate::error::ClientError;
use crate::record::{PartitionOffset, TopicPartition};

#[derive(Default)]
pub(super) struct Commits {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    running: bool,
    waiting: VecDeque<Commit>,
}

struct Commit {
    offsets: HashMap<TopicPartition, i64>,
    /// Who waits; without anybody the answer becomes an event.
    reply: Option<oneshot::Sender<Result<(), ClientError>>>,
}

impl Commits {
    /// Queues a commit; `answered` is told of each one that nobody waits for.
    pub(super) fn push(
        self: &Arc<Self>,
        library: &Arc<Library>,
        offsets: &[PartitionOffset],
        reply: Option<oneshot::Sender<Result<(), ClientError>>>,
        answered: impl Fn(ConsumerEvent) + Send + 'static,
    ) {
        let offsets = offsets.iter().map(|one| {
            let place = TopicPartition { topic: one.topic.clone(), partition: one.partition };
            (place, one.offset)
        });
        let mut queue = self.queue.lock();
        match queue.waiting.back_mut() {
            Some(last) if last.reply.is_none() && reply.is_none() => last.offsets.extend(offsets),
            Some(_) | None => {
                queue.waiting.push_back(Commit { offsets: offsets.collect(), reply });
            }
        }
        if !queue.running {
            queue.running = true;
            let (this, library) = (self.clone(), library.clone());
            tokio::task::spawn_blocking(move || this.run(&library, answered));
        }
    }

    fn run(&self, library: &Library, answered: impl Fn(ConsumerEvent)) {
        loop {
            let commit = {
                let mut queue = self.queue.lock();
                let next = queue.waiting.pop_front();
                queue.running = next.is_some();
                next
            };
            let Some(Commit { offsets, reply }) = commit else { return };
            let offsets: Vec<PartitionOffset> = offsets
                .into_iter()
                .map(|(TopicPartition { topic, partition }, offset)| PartitionOffset {
                    topic,
                    partition,
                    offset,
                })
                .collect();
            let result = native_offsets(&offsets).and_then(|list| {
                library
                    .commit(&list, CommitMode::Sync)
                    .map_err(|err| ClientError::from_library("commit", &err))
            });
            match reply {
                Some(reply) => {
                    reply.send(result).ok();
                }
                None => answered(ConsumerEvent::Committed { offsets, result }),
            }
        }
    }
}
