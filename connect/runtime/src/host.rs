//! Hosts the herder: takes commands, appends what they decide to `connect-configs`, and makes the tasks that run those that are
//! wanted.
//!
//! - A command is answered when its records are durable and applied.
//! - Commands that wait for different connectors share one append; those for one connector follow each other.
//! - What is wanted follows from the herder's state alone; restarts that a user asks for are the one thing kept here.
//! - A broken reader of the topic is replaced, and the state with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aquifer_broker_client::{ClientError, Producer, TopicState, TopicStateSettings};
use aquifer_connect_api::config::ConfigMap;
use aquifer_connect_api::{ConnectError, ConnectorKind};
use parking_lot::RwLock;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::Backoff;
use crate::config::connector::ConnectorSettings;
use crate::herder::{ConfigRecord, Herder, Refusal, State, StatusId, TargetState, TaskId};
use crate::plugins::ConnectorPlugin;
use crate::task::{TaskSpec, Wanted, WorkerContext, panicked};
use crate::worker::Tasks;

/// Commands that may wait: more are held back at the REST.
const COMMANDS_MAX: usize = 64;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The herder refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its records could not be written.
    #[error("Failed to write to Kafka: {0}")]
    Write(#[from] ClientError),
    /// The worker is going away.
    #[error("The worker is shutting down")]
    Stopping,
}

type Decide = Box<dyn FnOnce(&Herder) -> Result<Vec<ConfigRecord>, Refusal> + Send>;

/// What is restarted, beside what a command writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Restart {
    /// The connector, whose task configs are then made again.
    pub(crate) connector: Option<String>,
    /// Tasks.
    pub(crate) tasks: Vec<TaskId>,
}

enum Command {
    Decide {
        connector: String,
        decide: Decide,
        restart: Restart,
        reply: oneshot::Sender<Result<(), CommandError>>,
    },
    /// Whether every task of a connector has ended.
    Idle { connector: String, reply: oneshot::Sender<bool> },
}

/// Where commands are sent to.
#[derive(Clone)]
pub(crate) struct HostHandle {
    commands: mpsc::Sender<Command>,
}

impl HostHandle {
    /// Carries out what `decide` decides of a connector on the state as it then is, and restarts what is to be restarted.
    pub(crate) async fn command(
        &self,
        connector: &str,
        restart: Restart,
        decide: impl FnOnce(&Herder) -> Result<Vec<ConfigRecord>, Refusal> + Send + 'static,
    ) -> Result<(), CommandError> {
        let (reply, answer) = oneshot::channel();
        let connector = connector.to_owned();
        let command = Command::Decide { connector, decide: Box::new(decide), restart, reply };
        self.commands.send(command).await.map_err(|_| CommandError::Stopping)?;
        answer.await.map_err(|_| CommandError::Stopping)?
    }

    /// Whether every task of a connector has ended.
    pub(crate) async fn idle(&self, connector: &str) -> Result<bool, CommandError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Idle { connector: connector.to_owned(), reply };
        self.commands.send(command).await.map_err(|_| CommandError::Stopping)?;
        answer.await.map_err(|_| CommandError::Stopping)
    }
}

/// The herder's host: a loop that owns the tasks.
pub(crate) struct Host {
    herder: Arc<RwLock<Herder>>,
    context: Arc<WorkerContext>,
    producer: Producer,
    configs: TopicState,
    changed: Arc<Notify>,
    commands: mpsc::Receiver<Command>,
    tasks: Tasks,
    restarts: HashMap<TaskId, u64>,
    /// By connector: the revision of its config whose task configs were made, and what went wrong.
    made: HashMap<String, (u64, Option<String>)>,
    first: bool,
}

impl Host {
    /// Reads `connect-configs`, which must exist.
    pub(crate) async fn load(
        context: Arc<WorkerContext>,
        herder: Arc<RwLock<Herder>>,
        producer: Producer,
    ) -> Result<(Self, HostHandle), ClientError> {
        let changed = Arc::new(Notify::new());
        let configs = follow(&context, &herder, &producer, &changed).await?;
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let tasks = Tasks::new(context.clone());
        let (restarts, made) = (HashMap::new(), HashMap::new());
        let host = Self {
            herder,
            context,
            producer,
            configs,
            changed,
            commands,
            tasks,
            restarts,
            made,
            first: true,
        };
        Ok((host, HostHandle { commands: sender }))
    }

    /// Works until told to stop, then ends every task in order; what is left to close is the reader of the topic.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> TopicState {
        let mut again = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        while !stop.is_cancelled() {
            let reconciled = self.reconcile().await;
            let pause = match &reconciled {
                Ok(()) => {
                    again.reset();
                    None
                }
                Err(error) => {
                    tracing::warn!(error = %error, "task configs could not be written yet");
                    Some(again.next())
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                command = self.commands.recv() => match command {
                    Some(command) => self.handle(command).await,
                    None => break,
                },
                () = self.changed.notified() => {}
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                error = self.configs.failed() => self.reload(error, &stop).await,
            }
        }
        self.tasks.stop().await;
        let names: Vec<String> =
            self.herder.read().connectors().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            self.context.board.report(StatusId::Connector(name), State::Unassigned, None, None);
        }
        self.configs
    }

    /// Carries out a command, and those that wait behind it.
    async fn handle(&mut self, command: Command) {
        let mut first = Some(command);
        while let Some(command) = first {
            let (batch, next) = gather(command, &mut self.commands);
            first = next;
            self.handle_batch(batch).await;
        }
    }

    async fn handle_batch(&mut self, batch: Vec<Command>) {
        let mut records = Vec::new();
        let mut decided = Vec::new();
        for command in batch {
            match command {
                Command::Decide { decide, restart, reply, .. } => {
                    // Decisions on one connector do not look at another.
                    let decision = decide(&self.herder.read());
                    match decision {
                        Ok(new) => {
                            records.extend(new);
                            decided.push((restart, reply));
                        }
                        Err(refusal) => drop(reply.send(Err(CommandError::Refused(refusal)))),
                    }
                }
                Command::Idle { connector, reply } => {
                    let _ = reply.send(self.tasks.idle(&connector));
                }
            }
        }
        if decided.is_empty() {
            return;
        }
        let result = self.append(&records).await;
        if result.is_ok() {
            for (restart, _) in &mut decided {
                if let Some(connector) = &restart.connector {
                    self.made.remove(connector);
                }
                for id in restart.tasks.drain(..) {
                    *self.restarts.entry(id).or_default() += 1;
                }
            }
            if let Err(error) = self.reconcile().await {
                // The loop tries again.
                tracing::warn!(error = %error, "task configs could not be written yet");
                self.changed.notify_one();
            }
        }
        for (_, reply) in decided {
            drop(reply.send(result.clone().map_err(CommandError::Write)));
        }
    }

    async fn append(&self, records: &[ConfigRecord]) -> Result<(), ClientError> {
        if records.is_empty() {
            return Ok(());
        }
        let encoded: Vec<_> = records.iter().map(ConfigRecord::encode).collect();
        let borrowed: Vec<(&[u8], Option<&[u8]>)> =
            encoded.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
        self.configs.append_all(0, &borrowed).await?;
        Ok(())
    }

    /// Makes task configs where they are missing or old, states what connectors do, and runs what is wanted.
    async fn reconcile(&mut self) -> Result<(), ClientError> {
        let connectors: Vec<(String, u64, ConfigMap, TargetState)> = {
            let herder = self.herder.read();
            let present = herder.connectors().filter_map(|(name, connector)| {
                let config = connector.config()?.clone();
                Some((name.to_owned(), connector.revision(), config, connector.target()))
            });
            present.collect()
        };
        let (mut records, mut made_now) = (Vec::new(), Vec::new());
        for (name, revision, config, target) in &connectors {
            let made = self.made.get(name).is_some_and(|(made, _)| made == revision);
            if *target == TargetState::Stopped {
                // Its tasks are made when it is resumed.
                self.made.remove(name);
            } else if !made {
                let trace = match self.make_tasks(name, config).await {
                    Ok(new) => {
                        records.extend(new);
                        None
                    }
                    Err(trace) => Some(trace),
                };
                made_now.push((name.clone(), (*revision, trace)));
            }
        }
        let result = self.append(&records).await;
        if result.is_ok() {
            self.made.extend(made_now);
        }
        self.report_connectors(&connectors);
        let wanted = self.wanted();
        self.restarts.retain(|id, _| wanted.contains_key(id));
        if self.first {
            self.forget_strangers(&wanted);
            self.first = false;
        }
        self.tasks.assign(wanted);
        result
    }

    /// Asks the connector for its task configs; the answer is the records if they are new, or what went wrong.
    async fn make_tasks(
        &self,
        name: &str,
        config: &ConfigMap,
    ) -> Result<Vec<ConfigRecord>, String> {
        match task_configs(&self.context, config).await {
            Ok(configs) => Ok(self.herder.read().decide_tasks(name, configs)),
            Err(error) => {
                tracing::error!(connector = name, error = %error.trace(), "connector failed");
                Err(error.trace())
            }
        }
    }

    fn report_connectors(&mut self, connectors: &[(String, u64, ConfigMap, TargetState)]) {
        let board = &self.context.board;
        for (name, _, config, target) in connectors {
            let failure = self.made.get(name).and_then(|(_, trace)| trace.clone());
            let state = match target {
                TargetState::Stopped => State::Stopped,
                TargetState::Paused if failure.is_none() => State::Paused,
                TargetState::Started if failure.is_none() => State::Running,
                TargetState::Paused | TargetState::Started => State::Failed,
            };
            let version = plugin(&self.context, config).map(|plugin| plugin.connector().version());
            board.report(StatusId::Connector(name.clone()), state, failure, version);
        }
        let gone: Vec<String> = {
            let herder = self.herder.read();
            let with_status = herder.status_ids().filter_map(|id| match id {
                StatusId::Connector(name) => Some(name),
                StatusId::Task(_) => None,
            });
            with_status.filter(|name| herder.connector(name).is_none()).cloned().collect()
        };
        for name in gone {
            self.made.remove(&name);
            board.forget_topics(&name);
            board.forget(StatusId::Connector(name));
        }
    }

    fn wanted(&self) -> BTreeMap<TaskId, Wanted> {
        let herder = self.herder.read();
        let mut wanted = BTreeMap::new();
        for (name, connector) in herder.connectors() {
            let Some(config) = connector.config() else { continue };
            let shared = Arc::new(config.clone());
            let version = plugin(&self.context, config).map(|plugin| plugin.connector().version());
            for (task, own) in (0_u32..).zip(connector.tasks()) {
                let id = TaskId::new(name, task);
                let restarts = self.restarts.get(&id).copied().unwrap_or_default();
                let exactly_once = || self.exactly_once(config);
                let one = match connector.target() {
                    TargetState::Started => Wanted::Run(TaskSpec {
                        connector: shared.clone(),
                        task: Arc::new(own.clone()),
                        restarts,
                    }),
                    TargetState::Paused => Wanted::Paused { version, exactly_once: exactly_once() },
                    // Its tasks go with the commit record that comes with the state.
                    TargetState::Stopped => continue,
                };
                wanted.insert(id, one);
            }
        }
        wanted
    }

    /// Whether a connector's tasks write in transactions.
    fn exactly_once(&self, config: &ConfigMap) -> bool {
        let kind = plugin(&self.context, config).map(|plugin| plugin.kind());
        kind == Some(ConnectorKind::Source)
            && ConnectorSettings::read(ConnectorKind::Source, config)
                .is_ok_and(|settings| settings.exactly_once(&self.context.settings))
    }

    /// Statuses of tasks that an earlier worker left and nobody runs; what they left open is aborted.
    fn forget_strangers(&mut self, wanted: &BTreeMap<TaskId, Wanted>) {
        let strangers: Vec<StatusId> = {
            let herder = self.herder.read();
            let stranger = |id: &&StatusId| match id {
                StatusId::Task(id) => !wanted.contains_key(id),
                StatusId::Connector(_) => false,
            };
            herder.status_ids().filter(stranger).cloned().collect()
        };
        let tasks = strangers.iter().filter_map(|id| match id {
            StatusId::Task(id) => Some(id.clone()),
            StatusId::Connector(_) => None,
        });
        if self.context.settings.exactly_once {
            self.tasks.fence(tasks.collect());
        }
        for id in strangers {
            self.context.board.forget(id);
        }
    }

    /// Reads the topic anew after its reader broke; what runs goes on meanwhile.
    async fn reload(&mut self, error: ClientError, stop: &CancellationToken) {
        tracing::error!(error = %error, "connect-configs could not be followed and is read again");
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let fresh = Arc::new(RwLock::new(Herder::default()));
            match follow(&self.context, &fresh, &self.producer, &self.changed).await {
                Ok(probe) => {
                    // The fresh reader feeds the fresh state; the old one takes over what it says.
                    drop(probe);
                    self.herder.write().forget_configs();
                    let follow = follow(&self.context, &self.herder, &self.producer, &self.changed);
                    if let Ok(configs) = follow.await {
                        self.configs = configs;
                        self.made.clear();
                        return;
                    }
                }
                Err(error) => tracing::warn!(error = %error, "connect-configs can't be read yet"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }
}

/// A command with those that wait behind it, up to the first one for a connector that has one already; that one is next.
fn gather(
    first: Command,
    waiting: &mut mpsc::Receiver<Command>,
) -> (Vec<Command>, Option<Command>) {
    let mut connectors = HashSet::new();
    let mut batch = Vec::new();
    let mut next = Some(first);
    while let Some(command) = next {
        if let Command::Decide { connector, .. } = &command
            && !connectors.insert(connector.clone())
        {
            return (batch, Some(command));
        }
        batch.push(command);
        next = waiting.try_recv().ok();
    }
    (batch, None)
}

fn plugin(context: &WorkerContext, config: &ConfigMap) -> Option<ConnectorPlugin> {
    context.plugins.connector(config.get("connector.class")?)
}

/// The task configs of a connector, as they are written.
async fn task_configs(
    context: &Arc<WorkerContext>,
    config: &ConfigMap,
) -> Result<Vec<ConfigMap>, ConnectError> {
    let class = config.get("connector.class").map(String::as_str).unwrap_or_default();
    let plugin = plugin(context, config)
        .ok_or_else(|| ConnectError::config(context.plugins.unknown_connector(class)))?;
    let settings = ConnectorSettings::read(plugin.kind(), config).map_err(ConnectError::config)?;
    let task_class = task_class(plugin.connector().class(), plugin.kind());
    let config = config.clone();
    // A connector's code runs where a panic can be caught, and where it may block.
    let made = tokio::task::spawn_blocking(move || {
        plugin.connector().task_configs(&config, settings.tasks_max)
    });
    let mut configs = made.await.map_err(panicked)??;
    if configs.len() > settings.tasks_max {
        return Err(ConnectError::fatal(format!(
            "The connector {class} has generated {} tasks, which is greater than {}, the maximum number of tasks it is configured to create.",
            configs.len(),
            settings.tasks_max
        )));
    }
    for config in &mut configs {
        config.insert("task.class".to_owned(), task_class.clone());
    }
    Ok(configs)
}

/// The name of the task's class, which a Kafka Connect worker that takes over the topic would look for.
pub(crate) fn task_class(connector: &str, kind: ConnectorKind) -> String {
    let suffix = match kind {
        ConnectorKind::Source => "SourceConnector",
        ConnectorKind::Sink => "SinkConnector",
    };
    match connector.strip_suffix("Connector").filter(|_| connector.ends_with(suffix)) {
        Some(stem) => format!("{stem}Task"),
        None => format!("{connector}Task"),
    }
}

async fn follow(
    context: &WorkerContext,
    herder: &Arc<RwLock<Herder>>,
    producer: &Producer,
    changed: &Arc<Notify>,
) -> Result<TopicState, ClientError> {
    let settings = TopicStateSettings::new(&context.settings.configs.name);
    let (herder, changed) = (herder.clone(), changed.clone());
    let (client, admin) = (&context.client, context.admin.clone());
    TopicState::load(client, settings, admin, producer.clone(), move |record| {
        let Some(key) = record.key else { return };
        match ConfigRecord::decode(key, record.value) {
            Ok(decoded) => {
                herder.write().apply_config(decoded);
                changed.notify_one();
            }
            Err(error) => {
                tracing::warn!(offset = record.offset, error = %error, "record of connect-configs is not understood and left alone");
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_for_different_connectors_go_together_and_those_for_one_in_turn() {
        let (sender, mut waiting) = mpsc::channel(8);
        let command = |connector: &str| {
            let (reply, _) = oneshot::channel();
            let connector = connector.to_owned();
            let decide: Decide = Box::new(|_| Ok(Vec::new()));
            Command::Decide { connector, decide, restart: Restart::default(), reply }
        };
        let name = |command: &Command| match command {
            Command::Decide { connector, .. } | Command::Idle { connector, .. } => {
                connector.clone()
            }
        };
        for connector in ["b", "c", "b", "a"] {
            sender.try_send(command(connector)).ok().unwrap();
        }
        let (batch, next) = gather(command("a"), &mut waiting);
        assert_eq!(batch.iter().map(name).collect::<Vec<_>>(), ["a", "b", "c"]);
        let (batch, next) = gather(next.unwrap(), &mut waiting);
        assert_eq!(batch.iter().map(name).collect::<Vec<_>>(), ["b", "a"]);
        assert!(next.is_none());
    }

    #[test]
    fn task_class_is_the_one_that_a_kafka_connect_worker_would_look_for() {
        let check =
            |class: &str, kind, expected: &str| assert_eq!(task_class(class, kind), expected);
        check("x.FileStreamSourceConnector", ConnectorKind::Source, "x.FileStreamSourceTask");
        check("x.ElasticsearchSinkConnector", ConnectorKind::Sink, "x.ElasticsearchSinkTask");
        check("x.PostgresConnector", ConnectorKind::Source, "x.PostgresConnectorTask");
    }
}
