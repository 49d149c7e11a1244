//! The topics behind the state: loading, following, writing.
//!
//! - A write waits in a queue; one task decides and writes (`store/writer.rs`), several writes to a transaction.
//! - A write goes on when its client is gone; who gives up before it has begun is told that nothing is written.
//! - While the brokers are away, requests fail within the timeout and loading is tried again, for ever.
//!
//! Does not choose who writes: the instance that last had something to write does, and others take over from it when they have.

mod queue;
mod take_over;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{
    Admin, ClientError, ClientSettings, NewTopic, Producer, ProducerSettings, TopicRecord,
    TopicState, TopicStateSettings,
};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Settings;
use crate::decide::{Ahead, Decision, Scope};
use crate::error::ApiError;
use crate::marks::MARKS_TOPIC;
use crate::state::Applied;
use crate::view::View;
use queue::Job;
use writer::{Legacy, Writer};

/// How long to wait before loading is tried again.
const RELOAD_AFTER: Duration = Duration::from_secs(1);
/// How many reads may wait for the same question to the brokers.
const CATCH_UPS_MAX: usize = 4_096;
/// How many writes may wait; more are held back at the REST.
const JOBS_MAX: usize = 4_096;
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
    jobs: mpsc::Sender<Job>,
    ready: watch::Receiver<bool>,
}

/// Topics that are read to their ends and followed.
struct Loaded {
    view: Arc<View>,
    schemas: TopicState,
    marks: TopicState,
    catch_ups: mpsc::Sender<oneshot::Sender<Result<(), ClientError>>>,
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
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        let store = Self {
            loaded: Arc::new(RwLock::new(Err("the registry is starting".to_owned()))),
            settings: settings.clone(),
            jobs,
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
        tasks.spawn(keeper.run(waiting));
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
    ///
    /// `decide` is asked again when another writer came in between and what it decided was not written.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        scope: Scope,
        decide: impl Fn(&View, &mut Ahead) -> Result<Decision<T>, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.loaded()?;
        let timeout = self.settings.timeout;
        let timed_out = |reason: &str| ApiError::Timeout { operation, reason: reason.to_owned() };
        let (job, mut answered) = Job::new(operation, scope, decide);
        let turn = job.turn.clone();
        let waited = tokio::time::timeout(timeout, async {
            self.jobs.send(job).await.ok();
            (&mut answered).await
        });
        let answer = match waited.await {
            Ok(answer) => answer,
            Err(_) if turn.take() => {
                return Err(timed_out(
                    "the Kafka brokers did not answer or earlier writes are not finished; nothing was written",
                ));
            }
            // It has begun. Each step of it has its own limit; this one is for them all.
            Err(_) => match tokio::time::timeout(timeout + CATCH_UP, answered).await {
                Ok(answer) => answer,
                Err(_) => {
                    return Err(timed_out(
                        "the Kafka brokers did not answer; whether it took effect is unknown",
                    ));
                }
            },
        };
        answer.unwrap_or_else(|_| Err(ApiError::Store(format!("{operation} operation failed"))))
    }
}

impl Loaded {
    /// Why the topics can't be followed any more, if so.
    fn failure(&self) -> Option<ClientError> {
        self.schemas.failure().or_else(|| self.marks.failure())
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
    async fn run(self, mut waiting: mpsc::Receiver<Job>) {
        let stop = self.stop.clone();
        let mut legacy = Legacy::default();
        while !stop.is_cancelled() {
            let loaded = tokio::select! {
                loaded = self.load(legacy.witness()) => loaded,
                () = stop.cancelled() => break,
            };
            let reason = match loaded {
                Ok((loaded, catch_ups)) => {
                    let writer = Writer::new(self.client.clone(), loaded.clone(), legacy);
                    let reason;
                    (reason, legacy) = self.serve(loaded, catch_ups, writer, &mut waiting).await;
                    reason
                }
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

    /// Lets requests use the topics until they fail or the registry stops; answers why, and what is left to write.
    async fn serve(
        &self,
        loaded: Arc<Loaded>,
        mut catch_ups: mpsc::Receiver<oneshot::Sender<Result<(), ClientError>>>,
        writer: Writer,
        waiting: &mut mpsc::Receiver<Job>,
    ) -> (String, Legacy) {
        let stop_writing = CancellationToken::new();
        let reading = async {
            let answering = async {
                // Meanwhile the writer takes over, and ends what an earlier one may have left open: reading waits for that.
                tokio::try_join!(loaded.schemas.catch_up(), loaded.marks.catch_up())?;
                *self.store.loaded.write() = Ok(loaded.clone());
                self.ready.send_replace(true);
                Err::<(), _>(answer_catch_ups(&loaded.schemas, &mut catch_ups).await)
            };
            let reason = tokio::select! {
                err = loaded.schemas.failed() => err.to_string(),
                err = loaded.marks.failed() => err.to_string(),
                Err(err) = answering => err.to_string(),
                () = self.stop.cancelled() => "the registry is stopping".to_owned(),
            };
            *self.store.loaded.write() =
                Err(format!("Error from the backend Kafka store: {reason}"));
            stop_writing.cancel();
            reason
        };
        // A write that is under way ends before the topic is read again.
        let (reason, legacy) = tokio::join!(reading, writer.run(waiting, &stop_writing));
        loaded.close().await;
        (reason, legacy)
    }

    async fn load(
        &self,
        witness: Option<i64>,
    ) -> Result<(Arc<Loaded>, mpsc::Receiver<oneshot::Sender<Result<(), ClientError>>>), LoadError>
    {
        let settings = &self.store.settings;
        tokio::try_join!(self.ensure(&settings.topic), self.ensure(MARKS_TOPIC))?;
        let view = Arc::new(View::new(&settings.topic, settings.level));
        if let Some(witness) = witness {
            view.watch(witness);
        }
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
        Ok((Arc::new(Loaded { view, schemas, marks, catch_ups }), waiting))
    }

    async fn follow(
        &self,
        topic: &str,
        apply: impl FnMut(&TopicRecord<'_>) + Send + 'static,
    ) -> Result<TopicState, ClientError> {
        let settings = TopicStateSettings::new(topic);
        let (admin, producer) = (self.admin.clone(), self.producer.clone());
        TopicState::follow(&self.client, settings, admin, producer, apply).await
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
    view.witness(record.offset);
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
