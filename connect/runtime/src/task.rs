//! One task over its life: started, stopped, started again after a failure, as what is wanted of it changes.
//!
//! - An attempt runs as a task of the async runtime that this one owns and joins: a panic in a connector ends that attempt alone.
//! - Something that is away is tried again without end; the state stays RUNNING and its trace says what is awaited.
//! - An error of a record or of the config fails the task at once, as no restart can mend it; any other is met with
//!   `errors.restart.max` restarts first.
//! - Ending is orderly within `task.shutdown.graceful.timeout.ms`; then the attempt is cut off.

use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{Admin, ClientSettings};
use aquifer_connect_api::config::ConfigMap;
use aquifer_connect_api::{ConnectError, ErrorKind};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Backoff};
use crate::config::connector::ConnectorSettings;
use crate::config::worker::WorkerSettings;
use crate::herder::{State, StatusId, TaskId};
use crate::offset::OffsetStore;
use crate::plugins::{ConnectorPlugin, Plugins};
use crate::status::StatusBoard;
use crate::{sink_task, source_task};

/// What every task of a worker shares.
pub(crate) struct WorkerContext {
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) settings: WorkerSettings,
    pub(crate) client: ClientSettings,
    pub(crate) admin: Admin,
    pub(crate) offsets: OffsetStore,
    pub(crate) board: Arc<StatusBoard>,
}

/// With what a task runs; another one of these is another run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskSpec {
    /// The connector's config: converters, transforms, error handling.
    pub(crate) connector: Arc<ConfigMap>,
    /// The task's own config.
    pub(crate) task: Arc<ConfigMap>,
    /// Counts the restarts that the user asked for.
    pub(crate) restarts: u64,
}

/// What is wanted of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// That it runs.
    Run(TaskSpec),
    /// That it rests.
    Paused {
        version: Option<&'static str>,
        /// Whether it writes in transactions: one that an earlier worker left open is aborted.
        exactly_once: bool,
    },
    /// That it goes, and its status with it.
    Gone,
    /// That it ends with its worker.
    Unassigned,
}

/// One attempt at running a task, as its loop sees it.
pub(crate) struct TaskRun {
    pub(crate) context: Arc<WorkerContext>,
    pub(crate) id: TaskId,
    pub(crate) spec: TaskSpec,
    pub(crate) settings: ConnectorSettings,
    /// Cancelled when the task is to end in order.
    pub(crate) stop: CancellationToken,
    version: &'static str,
}

impl TaskRun {
    /// The task does its work.
    pub(crate) fn running(&self) {
        self.report(None);
    }

    /// The task waits for something that is away.
    pub(crate) fn retrying(&self, error: &ConnectError, delay: Duration) {
        tracing::warn!(
            connector = self.id.connector, task = self.id.task, error = %error,
            delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), "trying again"
        );
        self.report(Some(format!("trying again: {}", error.trace())));
    }

    fn report(&self, trace: Option<String>) {
        let id = StatusId::Task(self.id.clone());
        self.context.board.report(id, State::Running, trace, Some(self.version));
    }

    /// The task uses a topic.
    pub(crate) fn topic_used(&self, topic: &str) {
        if self.context.settings.topic_tracking {
            self.context.board.topic_used(&self.id, topic);
        }
    }

    /// How long the orderly end may take.
    pub(crate) fn graceful_timeout(&self) -> Duration {
        self.context.settings.graceful_timeout
    }

    /// The settings of a client of this task: the worker's, and an id that tells whose it is.
    pub(crate) fn client(&self, role: &str) -> ClientSettings {
        let id = format!("connector-{role}-{}", self.id);
        self.context.client.with_client_id(id)
    }
}

/// Runs a task as wanted until it is gone. `previous` is the end of an older task of the same id.
pub(crate) async fn supervise(
    context: Arc<WorkerContext>,
    id: TaskId,
    mut wanted: watch::Receiver<Wanted>,
    previous: Option<JoinHandle<()>>,
) {
    if let Some(previous) = previous {
        // Its end was asked for when this task was put in its place.
        let _ = previous.await;
    }
    loop {
        let now = wanted.borrow_and_update().clone();
        match now {
            Wanted::Run(spec) => run(&context, &id, spec, &mut wanted).await,
            Wanted::Paused { version, exactly_once } => {
                let status_id = StatusId::Task(id.clone());
                context.board.report(status_id, State::Paused, None, version);
                if exactly_once {
                    tokio::select! {
                        () = fence(&context, &id) => {}
                        _ = wanted.changed() => continue,
                    }
                }
                if wanted.changed().await.is_err() {
                    return;
                }
            }
            Wanted::Gone => {
                context.board.forget(StatusId::Task(id));
                return;
            }
            Wanted::Unassigned => {
                context.board.report(StatusId::Task(id), State::Unassigned, None, None);
                return;
            }
        }
    }
}

/// Aborts what a task that does not run may have left open: until its transaction times out, it holds up whoever reads its topics.
pub(crate) async fn fence(context: &WorkerContext, id: &TaskId) {
    if let Err(error) = source_task::fence(context, id).await {
        tracing::warn!(task = %id, error = %error, "an open transaction could not be looked for");
    }
}

/// How an attempt ended when it was not told to.
struct Ended {
    error: ConnectError,
    /// Whether trying again may help.
    again: Again,
}

enum Again {
    Forever,
    Bounded,
    Never,
}

/// Runs attempts with one spec until something else is wanted.
async fn run(
    context: &Arc<WorkerContext>,
    id: &TaskId,
    spec: TaskSpec,
    wanted: &mut watch::Receiver<Wanted>,
) {
    let (plugin, settings) = match prepare(context, &spec) {
        Ok(prepared) => prepared,
        Err(error) => {
            fail(context, id, &error, None);
            let _ = wanted.changed().await;
            return;
        }
    };
    let version = plugin.connector().version();
    let mut again = Backoff::new(
        settings.restart_delay.min(Duration::from_millis(500)),
        settings.restart_delay_max,
    );
    let mut restarts = Backoff::new(settings.restart_delay, settings.restart_delay_max);
    loop {
        let started = clock::now();
        let attempt = TaskRun {
            context: context.clone(),
            id: id.clone(),
            spec: spec.clone(),
            settings: settings.clone(),
            stop: CancellationToken::new(),
            version,
        };
        let Some(ended) = attempt_once(attempt, plugin.clone(), wanted).await else { return };
        if started.elapsed() > settings.restart_delay_max {
            again.reset();
            restarts.reset();
        }
        let delay = match ended.again {
            Again::Forever => again.next(),
            Again::Bounded if restarts.attempts() < settings.restart_max => restarts.next(),
            Again::Bounded | Again::Never => {
                fail(context, id, &ended.error, Some(version));
                let _ = wanted.changed().await;
                return;
            }
        };
        tracing::warn!(
            connector = id.connector, task = id.task, error = %ended.error.trace(),
            delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), "task starts again"
        );
        let (state, trace) = (State::Running, format!("starting again: {}", ended.error.trace()));
        context.board.report(StatusId::Task(id.clone()), state, Some(trace), Some(version));
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = wanted.changed() => return,
        }
    }
}

fn prepare(
    context: &WorkerContext,
    spec: &TaskSpec,
) -> Result<(ConnectorPlugin, ConnectorSettings), ConnectError> {
    let class = spec.connector.get("connector.class").map(String::as_str).unwrap_or_default();
    let plugin = context.plugins.connector(class);
    let plugin =
        plugin.ok_or_else(|| ConnectError::config(context.plugins.unknown_connector(class)))?;
    let settings = ConnectorSettings::read(plugin.kind(), &spec.connector);
    Ok((plugin, settings.map_err(ConnectError::config)?))
}

fn fail(context: &WorkerContext, id: &TaskId, error: &ConnectError, version: Option<&str>) {
    let trace = error.trace();
    tracing::error!(connector = id.connector, task = id.task, error = %trace, "task failed");
    context.board.report(StatusId::Task(id.clone()), State::Failed, Some(trace), version);
}

/// One attempt; `None` when it ended because something else is wanted.
async fn attempt_once(
    attempt: TaskRun,
    plugin: ConnectorPlugin,
    wanted: &mut watch::Receiver<Wanted>,
) -> Option<Ended> {
    let (stop, graceful) = (attempt.stop.clone(), attempt.graceful_timeout());
    let id = attempt.id.clone();
    let mut running = tokio::spawn(async move {
        match plugin {
            ConnectorPlugin::Source(source) => source_task::run(&attempt, source.as_ref()).await,
            ConnectorPlugin::Sink(sink) => sink_task::run(&attempt, sink.as_ref()).await,
        }
    });
    let ended = tokio::select! {
        ended = &mut running => ended,
        _ = wanted.changed() => {
            stop.cancel();
            // The loops keep their own limits; this one catches a connector that does not return.
            let limit = graceful.saturating_mul(2) + Duration::from_secs(1);
            match tokio::time::timeout(limit, &mut running).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(task = %id, error = %error.trace(), "task ended with an error"),
                Ok(Err(error)) => tracing::warn!(task = %id, error = %error, "task ended with a panic"),
                Err(_) => {
                    running.abort();
                    let _ = running.await;
                    tracing::warn!(task = %id, "task did not end in time and was cut off");
                }
            }
            return None;
        }
    };
    Some(match ended {
        // A loop ends well only when it is told to.
        Ok(Ok(())) => {
            Ended { error: ConnectError::fatal("task ended by itself"), again: Again::Bounded }
        }
        Ok(Err(error)) => {
            let again = match error.kind() {
                ErrorKind::Retriable => Again::Forever,
                ErrorKind::Fatal => Again::Bounded,
                ErrorKind::Record | ErrorKind::Config => Again::Never,
            };
            Ended { error, again }
        }
        Err(error) => Ended { error: panicked(error), again: Again::Bounded },
    })
}

/// What a panic said, as far as it said anything.
pub(crate) fn panicked(error: tokio::task::JoinError) -> ConnectError {
    let Ok(payload) = error.try_into_panic() else {
        return ConnectError::fatal("task was cut off");
    };
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    ConnectError::fatal(format!("connector panicked: {}", text.unwrap_or("without a message")))
}
