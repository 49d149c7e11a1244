//! The machine over `connect-configs` and `connect-status`: which connectors and tasks there are, what the user wants of them, and how they do.
//!
//! - PURE. `decide_*` changes nothing and may refuse; `apply_*` cannot fail; applying the topics from the start gives the live state.
//! - Task configs count from the commit record behind them, so that a set half written is never run.
//! - It knows no plugin: whether a config is valid is settled before it is asked.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use aquifer_connect_api::config::ConfigMap;

pub(crate) use record::{ConfigRecord, StatusRecord, config_of};

/// A task of a connector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId {
    /// The connector's name.
    pub(crate) connector: String,
    /// The task's number, from 0.
    pub(crate) task: u32,
}

impl TaskId {
    /// A task of that connector.
    pub(crate) fn new(connector: &str, task: u32) -> Self {
        Self { connector: connector.to_owned(), task }
    }

    /// Reads `NAME-N`.
    fn parse(text: &str) -> Option<Self> {
        let (connector, task) = text.rsplit_once('-')?;
        Some(Self { connector: connector.to_owned(), task: task.parse().ok()? })
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.connector, self.task)
    }
}

/// What the user wants of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetState {
    /// It runs.
    Started,
    /// It keeps its tasks and they do nothing.
    Paused,
    /// It has no tasks.
    Stopped,
}

impl TargetState {
    /// Connect's name of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            TargetState::Started => "STARTED",
            TargetState::Paused => "PAUSED",
            TargetState::Stopped => "STOPPED",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let states = [TargetState::Started, TargetState::Paused, TargetState::Stopped];
        states.into_iter().find(|state| state.name() == name)
    }
}

/// How a connector or task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No worker runs it.
    Unassigned,
    /// It runs.
    Running,
    /// It is paused.
    Paused,
    /// It ended with an error.
    Failed,
    /// It is being restarted.
    Restarting,
    /// It has no tasks because the user said so.
    Stopped,
}

impl State {
    /// Connect's name of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Unassigned => "UNASSIGNED",
            State::Running => "RUNNING",
            State::Paused => "PAUSED",
            State::Failed => "FAILED",
            State::Restarting => "RESTARTING",
            State::Stopped => "STOPPED",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let states = [
            State::Unassigned,
            State::Running,
            State::Paused,
            State::Failed,
            State::Restarting,
            State::Stopped,
        ];
        states.into_iter().find(|state| state.name() == name)
    }
}

/// Whose status it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StatusId {
    /// A connector's.
    Connector(String),
    /// A task's.
    Task(TaskId),
}

/// The status of a connector or task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    /// The state.
    pub(crate) state: State,
    /// What went wrong, over several lines.
    pub(crate) trace: Option<String>,
    /// The worker that says so, as `host:port` of its REST.
    pub(crate) worker_id: String,
    /// Counts the worker's starts, so that a status can be told from an older one.
    pub(crate) generation: i32,
    /// The version of the plugin.
    pub(crate) version: Option<String>,
}

/// A connector as the topics have it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connector {
    config: Option<ConfigMap>,
    target: Option<TargetState>,
    /// Task configs that count.
    tasks: Vec<ConfigMap>,
    /// Task configs since the last commit, and those of earlier commits by number.
    written: BTreeMap<u32, ConfigMap>,
    revision: u64,
}

impl Connector {
    /// Its config.
    pub(crate) fn config(&self) -> Option<&ConfigMap> {
        self.config.as_ref()
    }

    /// What the user wants of it.
    pub(crate) fn target(&self) -> TargetState {
        self.target.unwrap_or(TargetState::Started)
    }

    /// The configs of its tasks, from task 0.
    pub(crate) fn tasks(&self) -> &[ConfigMap] {
        &self.tasks
    }

    /// Grows with each config that was written.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }
}

/// Why a request is refused, in Connect's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// 409.
    #[error("{0}")]
    AlreadyExists(String),
}

/// The state: a fold over the records of both topics.
#[derive(Debug, Default)]
pub(crate) struct Herder {
    connectors: BTreeMap<String, Connector>,
    statuses: BTreeMap<StatusId, Status>,
    topics: BTreeMap<String, BTreeMap<String, u32>>,
    revisions: u64,
}

impl Herder {
    /// The connectors that have a config, by name.
    pub(crate) fn connectors(&self) -> impl Iterator<Item = (&str, &Connector)> {
        let present = self.connectors.iter().filter(|(_, connector)| connector.config.is_some());
        present.map(|(name, connector)| (name.as_str(), connector))
    }

    /// The connector of that name, when it has a config.
    pub(crate) fn connector(&self, name: &str) -> Option<&Connector> {
        self.connectors.get(name).filter(|connector| connector.config.is_some())
    }

    /// The last status of a connector or task.
    pub(crate) fn status(&self, id: &StatusId) -> Option<&Status> {
        self.statuses.get(id)
    }

    /// The tasks of a connector that have a status, by number.
    pub(crate) fn task_statuses(&self, connector: &str) -> Vec<(u32, &Status)> {
        let mut found = Vec::new();
        for (id, status) in &self.statuses {
            match id {
                StatusId::Task(id) if id.connector == connector => found.push((id.task, status)),
                StatusId::Task(_) | StatusId::Connector(_) => {}
            }
        }
        found
    }

    /// Everything that has a status.
    pub(crate) fn status_ids(&self) -> impl Iterator<Item = &StatusId> {
        self.statuses.keys()
    }

    /// The topics that a connector used, by name.
    pub(crate) fn topics(&self, connector: &str) -> Vec<&str> {
        let topics = self.topics.get(connector);
        topics.into_iter().flat_map(|topics| topics.keys().map(String::as_str)).collect()
    }

    /// A new connector.
    pub(crate) fn decide_create(
        &self,
        name: &str,
        config: ConfigMap,
        initial: Option<TargetState>,
    ) -> Result<Vec<ConfigRecord>, Refusal> {
        if self.connector(name).is_some() {
            return Err(Refusal::AlreadyExists(format!("Connector {name} already exists")));
        }
        // The target state goes first, so that no reader sees a connector running that should not.
        let target =
            initial.map(|state| ConfigRecord::Target { name: name.to_owned(), state: Some(state) });
        let connector = ConfigRecord::Connector { name: name.to_owned(), config: Some(config) };
        Ok(target.into_iter().chain([connector]).collect())
    }

    /// A new config of a connector, which may be new itself.
    pub(crate) fn decide_config(&self, name: &str, config: ConfigMap) -> Vec<ConfigRecord> {
        vec![ConfigRecord::Connector { name: name.to_owned(), config: Some(config) }]
    }

    /// The end of a connector.
    pub(crate) fn decide_delete(&self, name: &str) -> Result<Vec<ConfigRecord>, Refusal> {
        self.existing(name)?;
        Ok(vec![
            ConfigRecord::Connector { name: name.to_owned(), config: None },
            ConfigRecord::Target { name: name.to_owned(), state: None },
        ])
    }

    /// Another target state; a stopped connector has no tasks.
    pub(crate) fn decide_target(
        &self,
        name: &str,
        state: TargetState,
    ) -> Result<Vec<ConfigRecord>, Refusal> {
        if self.connector(name).is_none() {
            return Err(Refusal::NotFound(format!("Unknown connector {name}")));
        }
        let commit = ConfigRecord::Commit { name: name.to_owned(), tasks: 0 };
        let commit = (state == TargetState::Stopped).then_some(commit);
        let target = ConfigRecord::Target { name: name.to_owned(), state: Some(state) };
        Ok(commit.into_iter().chain([target]).collect())
    }

    /// The configs of all tasks; nothing when they are what they were.
    pub(crate) fn decide_tasks(&self, name: &str, configs: Vec<ConfigMap>) -> Vec<ConfigRecord> {
        let Some(connector) = self.connector(name) else { return Vec::new() };
        if connector.tasks == configs {
            return Vec::new();
        }
        let numbered = (0_u32..).zip(configs);
        let mut records: Vec<ConfigRecord> = numbered
            .map(|(task, config)| ConfigRecord::Task {
                id: TaskId::new(name, task),
                config: Some(config),
            })
            .collect();
        let tasks = u32::try_from(records.len()).unwrap_or(u32::MAX);
        records.push(ConfigRecord::Commit { name: name.to_owned(), tasks });
        records
    }

    /// A restart of a connector, with its tasks or without.
    pub(crate) fn decide_restart(
        &self,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<Vec<ConfigRecord>, Refusal> {
        if self.connector(name).is_none() {
            return Err(Refusal::NotFound(format!("Unknown connector: {name}")));
        }
        let record = ConfigRecord::Restart { name: name.to_owned(), include_tasks, only_failed };
        // Connect writes the record only where tasks or failures are asked for.
        Ok(if include_tasks || only_failed { vec![record] } else { Vec::new() })
    }

    /// The connector, or the refusal that names it.
    pub(crate) fn existing(&self, name: &str) -> Result<&Connector, Refusal> {
        let missing = || Refusal::NotFound(format!("Connector {name} not found"));
        self.connector(name).ok_or_else(missing)
    }

    /// Takes a record of `connect-configs`.
    pub(crate) fn apply_config(&mut self, record: ConfigRecord) {
        match record {
            ConfigRecord::Connector { name, config: Some(config) } => {
                self.revisions += 1;
                let connector = self.connectors.entry(name).or_default();
                connector.config = Some(config);
                connector.revision = self.revisions;
            }
            ConfigRecord::Connector { name, config: None } => {
                // The target state is forgotten with its own tombstone.
                if let Some(connector) = self.connectors.get_mut(&name) {
                    let target = connector.target;
                    *connector = Connector { target, ..Connector::default() };
                }
            }
            ConfigRecord::Task { id, config: Some(config) } => {
                let connector = self.connectors.entry(id.connector).or_default();
                connector.written.insert(id.task, config);
            }
            ConfigRecord::Task { id, config: None } => {
                if let Some(connector) = self.connectors.get_mut(&id.connector) {
                    connector.written.remove(&id.task);
                }
            }
            ConfigRecord::Commit { name, tasks } => {
                let connector = self.connectors.entry(name).or_default();
                // Compaction may have left holes: then the set is no set, and is made again from the connector's config.
                let whole: Option<Vec<ConfigMap>> =
                    (0..tasks).map(|task| connector.written.get(&task).cloned()).collect();
                connector.tasks = whole.unwrap_or_default();
            }
            ConfigRecord::Target { name, state: Some(state) } => {
                self.connectors.entry(name).or_default().target = Some(state);
            }
            ConfigRecord::Target { name, state: None } => {
                if let Some(connector) = self.connectors.get_mut(&name) {
                    connector.target = None;
                }
            }
            ConfigRecord::Restart { .. } | ConfigRecord::Foreign => {}
        }
    }

    /// Forgets everything of `connect-configs`, before it is read anew.
    pub(crate) fn forget_configs(&mut self) {
        self.connectors.clear();
    }

    /// Takes a record of `connect-status`.
    pub(crate) fn apply_status(&mut self, record: StatusRecord) {
        match record {
            StatusRecord::Status { id, status: Some(status) } => {
                self.statuses.insert(id, status);
            }
            StatusRecord::Status { id, status: None } => {
                self.statuses.remove(&id);
            }
            StatusRecord::Topic { connector, topic, task, used: true, .. } => {
                self.topics.entry(connector).or_default().insert(topic, task);
            }
            StatusRecord::Topic { connector, topic, used: false, .. } => {
                if let Some(topics) = self.topics.get_mut(&connector) {
                    topics.remove(&topic);
                }
            }
            StatusRecord::Foreign => {}
        }
    }
}
