//! A member of a consumer group (classic protocol), driven by its owner: every change of ownership is an event, commits are explicit.
//!
//! - A revocation takes effect at the `poll` after the one that announced it, so that its owner can finish and commit in between.
//!   An assignment likewise: a `seek` in between sets where reading starts.
//! - What is read ahead is bounded in records and bytes; a consumer that is not polled reads no further.
//! - No record of a partition is returned after the event that announced its revocation.
//!
//! Does not commit by itself, not even when closed.

mod commit;
mod event;
mod settings;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::{Notify, oneshot};

use crate::admin::Admin;
use crate::clock;
use crate::error::ClientError;
use crate::record::{ConsumedRecord, PartitionOffset, TopicPartition};
use crate::settings::ClientSettings;
use commit::Commits;
pub use event::ConsumerEvent;
use event::{GroupContext, Rebalance};
pub use settings::{Assignor, GroupConsumerSettings, OffsetReset, Subscription};

type Library = BaseConsumer<GroupContext>;

/// The library must be polled well within `max.poll.interval.ms` even when nothing arrives.
const IDLE_POLL_MAX: Duration = Duration::from_secs(1);
/// How often a pattern is matched against the cluster's topics.
const PATTERN_REFRESH: Duration = Duration::from_secs(10);
/// How long a seek may take before it is reported as failed.
const SEEK_TIMEOUT: Duration = Duration::from_secs(10);

/// A consumer in a group. One owner polls it; it is closed by [`GroupConsumer::close`] or by dropping it.
pub struct GroupConsumer {
    /// None only while being dropped.
    library: Option<Arc<Library>>,
    wake: Arc<Notify>,
    commits: Arc<Commits>,
    settings: GroupConsumerSettings,
    /// An announced change, carried out at the next poll.
    announced: Option<Rebalance>,
    events: VecDeque<ConsumerEvent>,
    /// Where to start partitions that are announced and not assigned yet.
    start_at: HashMap<TopicPartition, i64>,
    paused: BTreeSet<TopicPartition>,
    topics: HashMap<String, Arc<str>>,
    pattern: Option<Pattern>,
}

struct Pattern {
    regex: regex::Regex,
    admin: Admin,
    subscribed: Vec<String>,
    next_match: std::time::Instant,
}

impl GroupConsumer {
    /// Makes a member and subscribes it; joining happens while it is polled.
    ///
    /// # Errors
    /// [`ClientError::Setting`] when an option or the pattern is refused.
    pub fn new(
        client: &ClientSettings,
        settings: GroupConsumerSettings,
    ) -> Result<Self, ClientError> {
        let config = settings.native(client);
        let context = GroupContext::default();
        let wake = Arc::new(Notify::new());
        let mut library: Library = BaseConsumer::from_config_and_context(&config, context)
            .map_err(|err| ClientError::from_library("create consumer", &err))?;
        library.set_nonempty_callback({
            let wake = wake.clone();
            move || wake.notify_one()
        });
        let mut pattern = None;
        match &settings.subscription {
            Subscription::Topics(topics) => subscribe(&library, topics)?,
            Subscription::Pattern(text) => {
                let regex = regex::Regex::new(&format!("^(?:{text})$"))
                    .map_err(|err| ClientError::Setting(format!("topic pattern {text}: {err}")))?;
                pattern = Some(Pattern {
                    regex,
                    admin: Admin::new(client),
                    subscribed: Vec::new(),
                    next_match: clock::now(),
                });
            }
        }
        Ok(Self {
            library: Some(Arc::new(library)),
            wake,
            commits: Arc::default(),
            settings,
            announced: None,
            events: VecDeque::new(),
            start_at: HashMap::new(),
            paused: BTreeSet::new(),
            topics: HashMap::new(),
            pattern,
        })
    }

    fn library(&self) -> Result<&Arc<Library>, ClientError> {
        self.library.as_ref().ok_or(ClientError::Closed { operation: "consume" })
    }

    /// The next event, or nothing after `wait`. First carries out the change of ownership that the last event announced.
    ///
    /// Dropping the future loses nothing.
    pub async fn poll(&mut self, wait: Duration) -> Option<ConsumerEvent> {
        let deadline = clock::now() + wait;
        self.match_pattern().await;
        self.settle();
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(self.hand_out(event));
            }
            self.read();
            if !self.events.is_empty() {
                continue;
            }
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() {
                return None;
            }
            tokio::time::timeout(left.min(IDLE_POLL_MAX), self.wake.notified()).await.ok();
        }
    }

    /// Notes a change of ownership when it leaves, so that the next poll carries it out.
    fn hand_out(&mut self, event: ConsumerEvent) -> ConsumerEvent {
        let list = |partitions: &[TopicPartition]| partitions.to_vec();
        match &event {
            ConsumerEvent::Assigned(partitions) => {
                self.announced = Some(Rebalance::Assign(list(partitions)));
            }
            ConsumerEvent::Revoked { partitions, .. } => {
                self.announced = Some(Rebalance::Revoke(list(partitions)));
            }
            ConsumerEvent::Records(_)
            | ConsumerEvent::Committed { .. }
            | ConsumerEvent::Error(_) => {}
        }
        event
    }

    /// Carries out the change of ownership that was announced.
    fn settle(&mut self) {
        let (Some(change), Some(library)) = (self.announced.take(), self.library.clone()) else {
            return;
        };
        let cooperative = matches!(library.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = match &change {
            Rebalance::Assign(partitions) => {
                let list = self.starting_list(partitions);
                if cooperative { library.incremental_assign(&list) } else { library.assign(&list) }
            }
            Rebalance::Revoke(partitions) => {
                self.paused.retain(|paused| !partitions.contains(paused));
                let list = native_partitions(partitions);
                if cooperative { library.incremental_unassign(&list) } else { library.unassign() }
            }
        };
        self.start_at.clear();
        if let Err(err) = done {
            let err = ClientError::from_library("change assignment", &err);
            self.events.push_back(ConsumerEvent::Error(err));
        }
        if let Rebalance::Assign(partitions) = &change {
            let paused: Vec<_> =
                partitions.iter().filter(|one| self.paused.contains(one)).cloned().collect();
            if !paused.is_empty()
                && let Err(err) = library.pause(&native_partitions(&paused))
            {
                let err = ClientError::from_library("pause", &err);
                self.events.push_back(ConsumerEvent::Error(err));
            }
        }
    }

    fn starting_list(&self, partitions: &[TopicPartition]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for one in partitions {
            let mut element = list.add_partition(&one.topic, one.partition);
            if let Some(offset) = self.start_at.get(one) {
                // A negative offset is refused; the committed one is used then.
                element.set_offset(Offset::Offset(*offset)).ok();
            }
        }
        list
    }

    /// Takes what the library has ready, without waiting: records up to the bounds of one poll, and events.
    fn read(&mut self) {
        let Some(library) = self.library.clone() else { return };
        let context = library.context().clone();
        let (mut records, mut record_bytes) = (Vec::new(), 0);
        while records.len() < self.settings.poll_records_max
            && record_bytes < self.settings.poll_bytes_max
        {
            let served = context.served.load(Ordering::Relaxed);
            match library.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let topic = self.topic(message.topic());
                    record_bytes += message.payload_len() + message.key_len();
                    records.push(ConsumedRecord::copy(topic, &message));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(err)) => {
                    let err = ClientError::from_library("consume", &err);
                    self.events.push_back(ConsumerEvent::Error(err));
                }
                // Nothing for us: either the queue is empty, or something else in it was served.
                None if context.served.load(Ordering::Relaxed) == served => break,
                None => {}
            }
            if context.rebalanced() {
                break;
            }
        }
        if !records.is_empty() {
            self.events.push_front(ConsumerEvent::Records(records));
        }
        self.events.extend(context.take_events(&library));
    }

    fn topic(&mut self, name: &str) -> Arc<str> {
        if let Some(topic) = self.topics.get(name) {
            return topic.clone();
        }
        let topic: Arc<str> = Arc::from(name);
        self.topics.insert(name.to_owned(), topic.clone());
        topic
    }

    /// Matches the pattern against the cluster's topics from time to time; a new match is subscribed.
    async fn match_pattern(&mut self) {
        let (Some(pattern), Some(library)) = (&mut self.pattern, &self.library) else { return };
        if clock::now() < pattern.next_match {
            return;
        }
        let topics = match pattern.admin.list_topics().await {
            Ok(topics) => topics,
            Err(err) => {
                pattern.next_match = clock::now() + Duration::from_secs(1);
                self.events.push_back(ConsumerEvent::Error(err));
                return;
            }
        };
        pattern.next_match = clock::now() + PATTERN_REFRESH;
        let internal = ["__consumer_offsets", "__transaction_state"];
        let mut matching: Vec<String> = topics
            .into_iter()
            .map(|topic| topic.name)
            .filter(|name| pattern.regex.is_match(name) && !internal.contains(&name.as_str()))
            .collect();
        matching.sort();
        if matching != pattern.subscribed && !matching.is_empty() {
            match subscribe(library, &matching) {
                Ok(()) => pattern.subscribed = matching,
                Err(err) => self.events.push_back(ConsumerEvent::Error(err)),
            }
        }
    }

    /// Stops returning records of partitions; group membership goes on as long as `poll` is called.
    ///
    /// # Errors
    /// When a partition is not assigned.
    pub fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        self.paused.extend(partitions.iter().cloned());
        let now = self.without_announced(partitions);
        let result = self.library()?.pause(&native_partitions(&now));
        result.map_err(|err| ClientError::from_library("pause", &err))
    }

    /// Goes on with paused partitions.
    ///
    /// # Errors
    /// When a partition is not assigned.
    pub fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        for one in partitions {
            self.paused.remove(one);
        }
        let now = self.without_announced(partitions);
        let result = self.library()?.resume(&native_partitions(&now));
        result.map_err(|err| ClientError::from_library("resume", &err))
    }

    /// The partitions that are not merely announced: the library refuses to be told of those.
    fn without_announced(&self, partitions: &[TopicPartition]) -> Vec<TopicPartition> {
        let announced = match &self.announced {
            Some(Rebalance::Assign(announced)) => announced.as_slice(),
            Some(Rebalance::Revoke(_)) | None => &[],
        };
        partitions.iter().filter(|one| !announced.contains(one)).cloned().collect()
    }

    /// Continues a partition at `offset`. Between [`ConsumerEvent::Assigned`] and the next poll, sets where it starts.
    ///
    /// # Errors
    /// When the partition is not assigned, or is still being started (retriable).
    pub async fn seek(&mut self, to: &PartitionOffset) -> Result<(), ClientError> {
        let one = TopicPartition { topic: to.topic.clone(), partition: to.partition };
        if matches!(&self.announced, Some(Rebalance::Assign(announced)) if announced.contains(&one))
        {
            self.start_at.insert(one, to.offset);
            return Ok(());
        }
        let list = native_offsets(std::slice::from_ref(to))?;
        let library = self.library()?.clone();
        let sought = tokio::task::spawn_blocking(move || {
            library
                .seek_partitions(list, SEEK_TIMEOUT)
                .and_then(|answer| answer.elements().iter().try_for_each(|element| element.error()))
        });
        match sought.await {
            Ok(result) => result.map_err(|err| ClientError::from_library("seek", &err)),
            Err(_) => Err(ClientError::Closed { operation: "seek" }),
        }
    }

    /// Commits offsets (of the next record to read) and waits for the coordinator's answer.
    ///
    /// # Errors
    /// [`ClientError::Rebalanced`] when a partition is not ours any more, else what the coordinator said.
    pub async fn commit(&self, offsets: &[PartitionOffset]) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let (reply, answered) = oneshot::channel();
        self.push_commit(offsets, Some(reply))?;
        answered.await.unwrap_or(Err(ClientError::Closed { operation: "commit" }))
    }

    /// Commits offsets without waiting; the answer is a later [`ConsumerEvent::Committed`].
    ///
    /// # Errors
    /// When the commit could not be queued.
    pub fn commit_later(&self, offsets: &[PartitionOffset]) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.push_commit(offsets, None)
    }

    fn push_commit(
        &self,
        offsets: &[PartitionOffset],
        reply: Option<oneshot::Sender<Result<(), ClientError>>>,
    ) -> Result<(), ClientError> {
        // Refused here rather than in an answer: the caller's mistake.
        native_offsets(offsets)?;
        let library = self.library()?;
        let (context, wake) = (library.context().clone(), self.wake.clone());
        self.commits.push(library, offsets, reply, move |event| {
            context.push_event(event);
            wake.notify_one();
        });
        Ok(())
    }

    /// The partitions this member owns now.
    ///
    /// # Errors
    /// When the library refuses to say, because the handle is closing.
    pub fn assignment(&self) -> Result<Vec<TopicPartition>, ClientError> {
        let list = self.library()?.assignment();
        let list = list.map_err(|err| ClientError::from_library("assignment", &err))?;
        Ok(event::partitions(&list))
    }

    /// Leaves the group (a static member stays until its session times out) and closes. Waits at most `timeout`;
    /// closing goes on behind if it takes longer.
    pub async fn close(mut self, timeout: Duration) {
        let Some(library) = self.library.take() else { return };
        library.context().closing.store(true, Ordering::Relaxed);
        let closing = tokio::task::spawn_blocking(move || drop(library));
        if tokio::time::timeout(timeout, closing).await.is_err() {
            tracing::warn!(group = self.settings.group_id, "consumer takes long to close");
        }
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        if let Some(library) = self.library.take() {
            library.context().closing.store(true, Ordering::Relaxed);
            crate::closing::drop_elsewhere("consumer close", Some(library));
        }
    }
}

fn subscribe(library: &Library, topics: &[String]) -> Result<(), ClientError> {
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    library.subscribe(&names).map_err(|err| ClientError::from_library("subscribe", &err))
}

fn native_partitions(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for one in partitions {
        list.add_partition(&one.topic, one.partition);
    }
    list
}

pub(crate) fn native_offsets(
    offsets: &[PartitionOffset],
) -> Result<TopicPartitionList, ClientError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for one in offsets {
        list.add_partition_offset(&one.topic, one.partition, Offset::Offset(one.offset))
            .map_err(|_| ClientError::Setting(format!("offset {} is out of range", one.offset)))?;
    }
    Ok(list)
}
