//! The topics behind the state: loading, following, writing.
//!
//! - One write at a time: catch up, decide, append, wait until our own follower has applied it, answer.
//! - A write goes on when its client is gone; the next one starts only when its outcome is known.
//! - After a write that may or may not be in the log, a NOOP is appended first: everything sent before it is settled then.
//! - While the brokers are away, requests fail within the timeout and loading is tried again, for ever.
//!
//! Does not fence another registry that writes to the same topic: there is one instance.

use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{
    Admin, ClientError, ClientSettings, NewTopic, Producer, ProducerSettings, TopicRecord,
    TopicState, TopicStateSettings,
};
use parking_lot::RwLock;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Settings;
use crate::decide::Decision;
use crate::error::ApiError;
use crate::marks::{MARKS_TOPIC, Marks};
use crate::state::Applied;
use crate::state::record::Key;
use crate::view::View;

/// How long to wait before loading is tried again.
const RELOAD_AFTER: Duration = Duration::from_secs(1);
/// How many reads may wait for the same question to the brokers.
const CATCH_UPS_MAX: usize = 4_096;
/// How long a record may be retried before its write fails, in milliseconds.
const DELIVERY_TIMEOUT_MS: u32 = 30_000;
/// How long the brokers may take to say where a topic ends; while they are away, requests fail after this.
const CATCH_UP: Duration = Duration::from_secs(3);
/// How long closing a follower may take.
const CLOSE: Duration = Duration::from_secs(5);

/// Why a topic could not be loaded.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(
        "topic {topic} has cleanup.policy={policy}, which would delete schemas: it must be compact"
    )]
    NotCompact { topic: String, policy: String },
    #[error("topic {topic} has {partitions} partitions: it must have 1")]
    Partitioned { topic: String, partitions: i32 },
}

/// The registry's storage; clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    loaded: Arc<RwLock<Result<Arc<Loaded>, String>>>,
    settings: Settings,
    writes: TaskTracker,
    ready: watch::Receiver<bool>,
}

/// Topics that are read to their ends and followed.
struct Loaded {
    view: Arc<View>,
    schemas: TopicState,
    marks: TopicState,
    writer: Mutex<Writer>,
    catch_ups: mpsc::Sender<oneshot::Sender<Result<(), ClientError>>>,
}

#[derive(Default)]
struct Writer {
    /// Whether a record may be on its way that was never acknowledged.
    uncertain: bool,
}

impl Store {
    /// Starts loading; requests fail until that is done.
    pub(crate) fn start(
        client: &ClientSettings,
        settings: &Settings,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<Self, ClientError> {
        let (ready_to, ready) = watch::channel(false);
        let store = Self {
            loaded: Arc::new(RwLock::new(Err("the registry is starting".to_owned()))),
            settings: settings.clone(),
            writes: TaskTracker::new(),
            ready,
        };
        let producer = Producer::new(
            client,
            &ProducerSettings {
                linger_ms: 0,
                delivery_timeout_ms: DELIVERY_TIMEOUT_MS,
                queue_records_max: 10_000,
                ..ProducerSettings::default()
            },
        )?;
        let keeper = Keeper {
            client: client.clone(),
            admin: Admin::new(client),
            producer,
            store: store.clone(),
            stop,
            ready: ready_to,
        };
        tasks.spawn(keeper.run());
        Ok(store)
    }

    /// Completes when the topics are loaded for the first time.
    pub(crate) async fn ready(&self) {
        let mut ready = self.ready.clone();
        // A closed channel means that the registry is stopping: nobody needs to wait any longer.
        ready.wait_for(|ready| *ready).await.ok();
    }

    fn loaded(&self) -> Result<Arc<Loaded>, ApiError> {
        self.loaded.read().clone().map_err(ApiError::Store)
    }

    /// The state as it is known here: enough for what never changes.
    pub(crate) fn view(&self) -> Result<Arc<View>, ApiError> {
        Ok(self.loaded()?.view.clone())
    }

    /// The state with everything that was written before now, by anyone.
    pub(crate) async fn current(&self) -> Result<Arc<View>, ApiError> {
        let loaded = self.loaded()?;
        let (answer, answered) = oneshot::channel();
        let caught_up = async {
            loaded.catch_ups.send(answer).await.ok();
            answered.await.unwrap_or(Err(ClientError::Closed { operation: "catch up" }))
        };
        match tokio::time::timeout(self.settings.timeout.min(CATCH_UP), caught_up).await {
            Ok(Ok(())) => Ok(loaded.view.clone()),
            Ok(Err(err)) => {
                Err(ApiError::Store(format!("Error from the backend Kafka store: {err}")))
            }
            Err(_) => Err(ApiError::Timeout {
                operation: "Read",
                reason: "the Kafka brokers did not answer".to_owned(),
            }),
        }
    }

    /// Decides and writes; the answer comes when the records are durable and in our own state.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        decide: impl FnOnce(&View) -> Result<Decision<T>, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let loaded = self.loaded()?;
        let timeout = self.settings.timeout;
        let late = || ApiError::Timeout {
            operation,
            reason: "the Kafka brokers did not answer; whether it took effect is unknown"
                .to_owned(),
        };
        let writing = self.writes.spawn(async move {
            // Whoever has waited this long is told that nothing was written; so the write must not start later.
            let unwritten = |reason: &str| ApiError::Timeout {
                operation,
                reason: format!("{reason}; nothing was written"),
            };
            let waiting = tokio::time::timeout(timeout, loaded.writer.lock()).await;
            let mut writer = waiting.map_err(|_| unwritten("an earlier write is not finished"))?;
            tokio::time::timeout(timeout.min(CATCH_UP), loaded.settle(&mut writer))
                .await
                .map_err(|_| unwritten("the Kafka brokers did not answer"))?
                .map_err(|err| ApiError::of_write(operation, &err))?;
            loaded.write(&mut writer, operation, decide).await
        });
        // Each step inside has its own limit; this one is for the append alone.
        match tokio::time::timeout(timeout * 2 + CATCH_UP, writing).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ApiError::Store(format!("{operation} operation failed"))),
            Err(_) => Err(late()),
        }
    }

    /// Waits for writes that have begun.
    pub(crate) async fn finish(&self, timeout: Duration) {
        self.writes.close();
        if tokio::time::timeout(timeout, self.writes.wait()).await.is_err() {
            tracing::warn!("stopping with a schema write unfinished");
        }
    }
}

impl Loaded {
    /// Makes sure that the state holds everything that is in the log, or on its way there.
    async fn settle(&self, writer: &mut Writer) -> Result<(), ClientError> {
        if writer.uncertain {
            self.schemas.append(0, &Key::Noop.write(), None).await?;
            writer.uncertain = false;
        }
        self.schemas.catch_up().await
    }

    async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        writer: &mut Writer,
        operation: &'static str,
        decide: impl FnOnce(&View) -> Result<Decision<T>, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let failed = |err: ClientError| ApiError::of_write(operation, &err);
        let view = self.view.clone();
        let decision = tokio::task::spawn_blocking(move || decide(&view))
            .await
            .map_err(|_| ApiError::Store(format!("{operation} operation failed")))??;
        if let Some((context, id)) = &decision.mark {
            let (key, value) = Marks::record(self.schemas.topic(), context, *id);
            self.marks.append(0, &key, Some(&value)).await.map_err(failed)?;
        }
        if !decision.records.is_empty() {
            let records: Vec<(&[u8], Option<&[u8]>)> = decision
                .records
                .iter()
                .map(|(key, value)| (key.as_slice(), value.as_deref()))
                .collect();
            writer.uncertain = true;
            self.schemas.append_all(0, &records).await.map_err(failed)?;
            writer.uncertain = false;
        }
        Ok(decision.reply)
    }

    async fn close(&self) {
        self.schemas.close(CLOSE).await;
        self.marks.close(CLOSE).await;
    }
}

/// Loads the topics, and loads them anew when they can't be followed any more.
struct Keeper {
    client: ClientSettings,
    admin: Admin,
    producer: Producer,
    store: Store,
    stop: CancellationToken,
    ready: watch::Sender<bool>,
}

impl Keeper {
    async fn run(self) {
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            let loaded = tokio::select! {
                loaded = self.load() => loaded,
                () = stop.cancelled() => break,
            };
            let reason = match loaded {
                Ok((loaded, catch_ups)) => self.serve(loaded, catch_ups).await,
                Err(err) => err.to_string(),
            };
            if !stop.is_cancelled() {
                tracing::warn!(
                    topic = self.store.settings.topic,
                    error = reason,
                    "schemas are not readable, trying again"
                );
            }
            *self.store.loaded.write() =
                Err(format!("Error from the backend Kafka store: {reason}"));
            tokio::select! {
                () = tokio::time::sleep(RELOAD_AFTER) => {}
                () = stop.cancelled() => {}
            }
        }
        *self.store.loaded.write() = Err("the registry is stopping".to_owned());
        self.producer.flush(CLOSE).await.ok();
    }

    /// Lets requests use the topics until they fail or the registry stops; answers why.
    async fn serve(
        &self,
        loaded: Arc<Loaded>,
        mut catch_ups: mpsc::Receiver<oneshot::Sender<Result<(), ClientError>>>,
    ) -> String {
        *self.store.loaded.write() = Ok(loaded.clone());
        self.ready.send_replace(true);
        let reason = tokio::select! {
            err = loaded.schemas.failed() => err.to_string(),
            err = loaded.marks.failed() => err.to_string(),
            err = answer_catch_ups(&loaded.schemas, &mut catch_ups) => err.to_string(),
            () = self.stop.cancelled() => "the registry is stopping".to_owned(),
        };
        *self.store.loaded.write() = Err(format!("Error from the backend Kafka store: {reason}"));
        if self.stop.is_cancelled() {
            self.store.finish(CLOSE).await;
        } else {
            // A write that is under way ends before the topic is read again.
            drop(loaded.writer.lock().await);
        }
        loaded.close().await;
        reason
    }

    async fn load(
        &self,
    ) -> Result<(Arc<Loaded>, mpsc::Receiver<oneshot::Sender<Result<(), ClientError>>>), LoadError>
    {
        let settings = &self.store.settings;
        tokio::try_join!(self.ensure(&settings.topic), self.ensure(MARKS_TOPIC))?;
        let view = Arc::new(View::new(&settings.topic, settings.level));
        let marks = self.follow(MARKS_TOPIC, {
            let view = view.clone();
            move |record| view.marks.write().apply(record.key.unwrap_or_default(), record.value)
        });
        let schemas = self.follow(&settings.topic, {
            let view = view.clone();
            move |record| apply(&view, record)
        });
        let (marks, schemas) = tokio::try_join!(marks, schemas)?;
        let (catch_ups, waiting) = mpsc::channel(CATCH_UPS_MAX);
        let writer = Mutex::default();
        Ok((Arc::new(Loaded { view, schemas, marks, writer, catch_ups }), waiting))
    }

    async fn follow(
        &self,
        topic: &str,
        apply: impl FnMut(&TopicRecord<'_>) + Send + 'static,
    ) -> Result<TopicState, ClientError> {
        let settings = TopicStateSettings::new(topic);
        let (admin, producer) = (self.admin.clone(), self.producer.clone());
        TopicState::load(&self.client, settings, admin, producer, apply).await
    }

    /// Creates a topic as Confluent's registry does, and refuses one that would lose schemas.
    async fn ensure(&self, topic: &str) -> Result<(), LoadError> {
        let info = self
            .admin
            .ensure_topic(&NewTopic {
                name: topic.to_owned(),
                partitions: 1,
                replication: self.store.settings.replication,
                configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
            })
            .await?;
        if info.partitions != 1 {
            let topic = topic.to_owned();
            return Err(LoadError::Partitioned { topic, partitions: info.partitions });
        }
        let configs = self.admin.topic_configs(topic).await?;
        let policy = configs.into_iter().find(|(name, _)| name == "cleanup.policy");
        match policy {
            Some((_, policy)) if policy != "compact" => {
                Err(LoadError::NotCompact { topic: topic.to_owned(), policy })
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn apply(view: &View, record: &TopicRecord<'_>) {
    let Some(key) = record.key else { return };
    match view.state.write().apply(key, record.value, record.timestamp_ms) {
        Applied::Understood => {}
        Applied::NotUnderstood => {
            tracing::debug!(offset = record.offset, "left out a record that is not understood");
        }
        Applied::IdReused { id } => {
            tracing::warn!(
                offset = record.offset,
                id,
                "another schema was written under an id in use"
            );
        }
    }
}

/// Answers all who wait with one question to the brokers, again and again; ends when the topic is gone.
async fn answer_catch_ups(
    topic: &TopicState,
    waiting: &mut mpsc::Receiver<oneshot::Sender<Result<(), ClientError>>>,
) -> ClientError {
    let mut askers = Vec::new();
    while waiting.recv_many(&mut askers, CATCH_UPS_MAX).await > 0 {
        let result = topic.catch_up().await;
        for asker in askers.drain(..) {
            asker.send(result.clone()).ok();
        }
        if let Err(err @ ClientError::UnknownTopic { .. }) = result {
            return err;
        }
    }
    ClientError::Closed { operation: "catch up" }
}
