//! Topics, offsets and the cluster: what is asked rarely. Each call is one question with a time limit.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use crate::clock;
use crate::context::LogContext;
use crate::error::ClientError;
use crate::record::{PartitionOffset, TopicPartition};
use crate::settings::ClientSettings;

/// How long one question to the cluster may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How often leaders are asked again while they change, each time waiting twice as long: 2.5 s in all.
const LEADER_ATTEMPTS_MAX: u32 = 7;
/// The first wait for a new leader.
const LEADER_WAIT: Duration = Duration::from_millis(20);

/// A topic to create.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// The topic's name.
    pub name: String,
    /// How many partitions; -1 is the broker's default.
    pub partitions: i32,
    /// How many replicas; -1 is the broker's default.
    pub replication: i32,
    /// Topic configs by their own names.
    pub configs: Vec<(String, String)>,
}

/// What metadata says of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// The topic's name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
}

/// What metadata says of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterInfo {
    /// The cluster id, when the brokers have one.
    pub cluster_id: Option<String>,
    /// The brokers: id, host, port.
    pub brokers: Vec<(i32, String, i32)>,
}

/// A handle for questions; clones share one connection, which is opened at the first question.
#[derive(Clone)]
pub struct Admin {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ClientSettings,
    /// Asks for metadata and offsets. It never fetches, so an answer never waits behind a long poll.
    query: Mutex<Option<Arc<BaseConsumer<LogContext>>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        crate::closing::drop_elsewhere("admin close", self.query.get_mut().take());
    }
}

impl Admin {
    /// Makes a handle; nothing is sent yet.
    #[must_use]
    pub fn new(settings: &ClientSettings) -> Self {
        let inner = Inner { settings: settings.clone(), query: Mutex::new(None) };
        Self { inner: Arc::new(inner) }
    }

    /// Creates topics; the answers are in the order asked. An existing topic is [`ClientError::Refused`] with code 36.
    ///
    /// # Errors
    /// When the cluster could not be asked at all.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
    ) -> Result<Vec<Result<(), ClientError>>, ClientError> {
        let native: Vec<_> = topics
            .iter()
            .map(|topic| {
                let replication = TopicReplication::Fixed(topic.replication);
                let mut native =
                    rdkafka::admin::NewTopic::new(&topic.name, topic.partitions, replication);
                for (name, value) in &topic.configs {
                    native = native.set(name, value);
                }
                native
            })
            .collect();
        let admin = self.admin_client()?;
        let answer = admin.create_topics(&native, &options()).await;
        crate::closing::drop_elsewhere("admin close", Some(admin));
        results("create topic", answer)
    }

    /// Makes sure a topic exists and is seen with a leader; an existing one keeps its shape.
    ///
    /// # Errors
    /// When it could neither be found nor created.
    pub async fn ensure_topic(&self, topic: &NewTopic) -> Result<TopicInfo, ClientError> {
        if let Some(partitions) = self.topic_partitions(&topic.name).await? {
            return Ok(TopicInfo { name: topic.name.clone(), partitions });
        }
        for created in self.create_topics(std::slice::from_ref(topic)).await? {
            match created {
                Ok(()) => {}
                Err(ClientError::Refused { code, .. })
                    if code == RDKafkaErrorCode::TopicAlreadyExists as i32 => {}
                Err(err) => return Err(err),
            }
        }
        let deadline = clock::now() + REQUEST_TIMEOUT;
        loop {
            if let Some(partitions) = self.topic_partitions(&topic.name).await? {
                return Ok(TopicInfo { name: topic.name.clone(), partitions });
            }
            if clock::now() >= deadline {
                return Err(ClientError::UnknownTopic { operation: "create topic" });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Deletes topics; the answers are in the order asked.
    ///
    /// # Errors
    /// When the cluster could not be asked at all.
    pub async fn delete_topics(
        &self,
        topics: &[&str],
    ) -> Result<Vec<Result<(), ClientError>>, ClientError> {
        let admin = self.admin_client()?;
        let answer = admin.delete_topics(topics, &options()).await;
        crate::closing::drop_elsewhere("admin close", Some(admin));
        results("delete topic", answer)
    }

    /// How many partitions a topic has, or nothing when it does not exist or has no leader yet.
    ///
    /// # Errors
    /// When the cluster could not be asked.
    pub async fn topic_partitions(&self, topic: &str) -> Result<Option<i32>, ClientError> {
        let name = topic.to_owned();
        self.query("describe topic", move |query| {
            let metadata = query.fetch_metadata(Some(&name), REQUEST_TIMEOUT)?;
            let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
                return Ok(None);
            };
            let led = topic.partitions().iter().all(|partition| partition.leader() >= 0);
            if topic.error().is_some() || topic.partitions().is_empty() || !led {
                return Ok(None);
            }
            Ok(i32::try_from(topic.partitions().len()).ok())
        })
        .await
    }

    /// All topics of the cluster, internal ones too.
    ///
    /// # Errors
    /// When the cluster could not be asked.
    pub async fn list_topics(&self) -> Result<Vec<TopicInfo>, ClientError> {
        self.query("list topics", move |query| {
            let metadata = query.fetch_metadata(None, REQUEST_TIMEOUT)?;
            Ok(metadata
                .topics()
                .iter()
                .map(|topic| TopicInfo {
                    name: topic.name().to_owned(),
                    partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
                })
                .collect())
        })
        .await
    }

    /// The cluster's id and brokers.
    ///
    /// # Errors
    /// When the cluster could not be asked.
    pub async fn cluster(&self) -> Result<ClusterInfo, ClientError> {
        self.query("describe cluster", move |query| {
            let metadata = query.fetch_metadata(Some("__consumer_offsets"), REQUEST_TIMEOUT)?;
            Ok(ClusterInfo {
                cluster_id: query.client().fetch_cluster_id(REQUEST_TIMEOUT),
                brokers: metadata
                    .brokers()
                    .iter()
                    .map(|broker| (broker.id(), broker.host().to_owned(), broker.port()))
                    .collect(),
            })
        })
        .await
    }

    /// A topic's configs by name; those without a value are left out.
    ///
    /// # Errors
    /// When the topic or the cluster could not be asked.
    pub async fn topic_configs(&self, topic: &str) -> Result<Vec<(String, String)>, ClientError> {
        let admin = self.admin_client()?;
        let answer = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options()).await;
        crate::closing::drop_elsewhere("admin close", Some(admin));
        let failed = |err: &KafkaError| ClientError::from_library("describe configs", err);
        let mut configs = Vec::new();
        for resource in answer.map_err(|err| failed(&err))? {
            let resource =
                resource.map_err(|code| ClientError::from_code("describe configs", code))?;
            configs.extend(
                resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))),
            );
        }
        Ok(configs)
    }

    /// The high watermarks of partitions, asked from their leaders, in the order given.
    ///
    /// # Errors
    /// When one of them could not be asked.
    pub async fn end_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        self.list_offsets(partitions, Offset::End).await
    }

    /// The log start offsets of partitions, in the order given.
    ///
    /// # Errors
    /// When one of them could not be asked.
    pub async fn beginning_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        self.list_offsets(partitions, Offset::Beginning).await
    }

    async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        which: Offset,
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        let asked: Vec<TopicPartition> = partitions.to_vec();
        let found = self
            .query("list offsets", move |query| {
                let mut attempt = 0;
                loop {
                    match leaders_offsets(query, &asked, which) {
                        // The library goes on asking the leaders it knows: after a restart of a broker it must be told to look.
                        Err(KafkaError::OffsetFetch(code) | KafkaError::MetadataFetch(code))
                            if attempt < LEADER_ATTEMPTS_MAX && leader_has_changed(code) =>
                        {
                            // On the blocking pool; a new topic's leaders are in office within some of these.
                            std::thread::sleep(LEADER_WAIT * (1 << attempt));
                            attempt += 1;
                            for one in &asked {
                                query.fetch_metadata(Some(&one.topic), REQUEST_TIMEOUT)?;
                            }
                        }
                        other => return other,
                    }
                }
            })
            .await?;
        Ok(partitions
            .iter()
            .zip(found)
            .map(|(one, offset)| PartitionOffset {
                topic: one.topic.clone(),
                partition: one.partition,
                offset,
            })
            .collect())
    }

    /// What a group has committed for partitions; partitions without a commit are left out.
    ///
    /// # Errors
    /// When the group's coordinator could not be asked.
    pub async fn committed_offsets(
        &self,
        group_id: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        let asked: Vec<TopicPartition> = partitions.to_vec();
        self.as_group("fetch committed offsets", group_id, move |consumer| {
            let mut list = TopicPartitionList::with_capacity(asked.len());
            for one in &asked {
                list.add_partition(&one.topic, one.partition);
            }
            let answer = consumer.committed_offsets(list, REQUEST_TIMEOUT)?;
            let mut found = Vec::new();
            for one in asked {
                let element = answer.find_partition(&one.topic, one.partition);
                if let Some(Offset::Offset(offset)) = element.map(|element| element.offset()) {
                    found.push(PartitionOffset {
                        topic: one.topic,
                        partition: one.partition,
                        offset,
                    });
                }
            }
            Ok(found)
        })
        .await
    }

    /// Commits offsets for a group that has no members.
    ///
    /// # Errors
    /// [`ClientError::Rebalanced`] when the group has members, else what the coordinator said.
    pub async fn commit_offsets(
        &self,
        group_id: &str,
        offsets: &[PartitionOffset],
    ) -> Result<(), ClientError> {
        let list = crate::consumer::native_offsets(offsets)?;
        self.as_group("commit offsets", group_id, move |consumer| {
            consumer.commit(&list, CommitMode::Sync)
        })
        .await
    }

    /// Deletes a group without members, with its offsets. A group that does not exist is no error.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the group has members.
    pub async fn delete_group(&self, group_id: &str) -> Result<(), ClientError> {
        let admin = self.admin_client()?;
        let answer = admin.delete_groups(&[group_id], &options()).await;
        crate::closing::drop_elsewhere("admin close", Some(admin));
        for result in results("delete group", answer)? {
            match result {
                Err(ClientError::Refused { code, .. })
                    if code == RDKafkaErrorCode::GroupIdNotFound as i32 => {}
                other => other?,
            }
        }
        Ok(())
    }

    async fn as_group<T: Send + 'static>(
        &self,
        operation: &'static str,
        group_id: &str,
        ask: impl FnOnce(&BaseConsumer<LogContext>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, ClientError> {
        let config = self
            .inner
            .settings
            .config(&[("group.id", group_id), ("enable.auto.commit", "false")], &[]);
        blocking(operation, move || {
            let consumer = BaseConsumer::from_config_and_context(&config, LogContext)?;
            ask(&consumer)
        })
        .await
    }

    async fn query<T: Send + 'static>(
        &self,
        operation: &'static str,
        ask: impl FnOnce(&BaseConsumer<LogContext>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, ClientError> {
        let query = {
            let mut slot = self.inner.query.lock();
            match &*slot {
                Some(query) => query.clone(),
                None => {
                    let config = self.inner.settings.config(
                        &[
                            ("isolation.level", "read_uncommitted"),
                            ("allow.auto.create.topics", "false"),
                        ],
                        &[],
                    );
                    let query = BaseConsumer::from_config_and_context(&config, LogContext)
                        .map_err(|err| ClientError::from_library(operation, &err))?;
                    slot.insert(Arc::new(query)).clone()
                }
            }
        };
        blocking(operation, move || {
            let answer = ask(&query);
            // Serves what the library queued meanwhile, log lines above all; nothing else polls this handle.
            while query.poll(Duration::ZERO).is_some() {}
            answer
        })
        .await
    }

    fn admin_client(&self) -> Result<AdminClient<LogContext>, ClientError> {
        AdminClient::from_config_and_context(&self.inner.settings.config(&[], &[]), LogContext)
            .map_err(|err| ClientError::from_library("create admin client", &err))
    }
}

/// One question to the leaders of all partitions; the answers are in the order asked.
fn leaders_offsets(
    query: &BaseConsumer<LogContext>,
    asked: &[TopicPartition],
    which: Offset,
) -> Result<Vec<i64>, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(asked.len());
    for one in asked {
        list.add_partition_offset(&one.topic, one.partition, which)?;
    }
    let answer = query.offsets_for_times(list, REQUEST_TIMEOUT)?;
    let mut found = Vec::with_capacity(asked.len());
    for one in asked {
        let Some(element) = answer.find_partition(&one.topic, one.partition) else {
            return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition));
        };
        element.error()?;
        let Offset::Offset(offset) = element.offset() else {
            return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::OffsetNotAvailable));
        };
        found.push(offset);
    }
    Ok(found)
}

fn leader_has_changed(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::UnknownLeaderEpoch
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::OffsetNotAvailable
    )
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .operation_timeout(Some(REQUEST_TIMEOUT))
}

type NamedResult = Result<String, (String, RDKafkaErrorCode)>;

fn results(
    operation: &'static str,
    answer: Result<Vec<NamedResult>, KafkaError>,
) -> Result<Vec<Result<(), ClientError>>, ClientError> {
    let answer = answer.map_err(|err| ClientError::from_library(operation, &err))?;
    Ok(answer
        .into_iter()
        .map(|result| match result {
            Ok(_) => Ok(()),
            Err((_, code)) => Err(ClientError::from_code(operation, code)),
        })
        .collect())
}

async fn blocking<T: Send + 'static>(
    operation: &'static str,
    ask: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, ClientError> {
    match tokio::task::spawn_blocking(ask).await {
        Ok(answer) => answer.map_err(|err| ClientError::from_library(operation, &err)),
        Err(_) => Err(ClientError::Closed { operation }),
    }
}
