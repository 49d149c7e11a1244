//! The task that owns one machine: commands in, records to the log, replies out when they are durable.
//!
//! - One append is in flight at a time; what arrives meanwhile is decided in one go after it (group commit).
//! - A reply leaves when everything applied before it is durable, whether or not it came with records itself.
//! - Time is one deadline, the machine's next; nothing is polled.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use aquifer_broker_coordinator::machine::{BatchKind, DecisionOf, EncodedRecord, take_decision};
use aquifer_broker_coordinator::{Machine, RequestId};
use aquifer_broker_protocol::batch::{BatchBuilder, BatchError, BatchOptions, NewRecord};
use aquifer_broker_protocol::control::EndTransactionMarker;
use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;

use super::HostError;
use super::replay::replay;
use super::steady::SteadyClock;
use crate::partition::{Acks, AppendHow, Origin, Partition};

/// Commands that may wait for one machine; further callers wait for room.
const COMMANDS_MAX: usize = 4096;

/// Commands decided before their records are appended: bounds what one append has to carry.
const COMMANDS_PER_APPEND_MAX: usize = 1024;

/// A batch takes no further decision when it has grown to this size. One decision is never split: after a crash
/// either all of its records are there or none.
const BATCH_BYTES: usize = 512 * 1024;

/// The first and the longest pause between attempts to read a log that can't be read.
const RELOAD_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// What a host needs to know of its machine beside the machine.
pub(super) trait Hosted: Send + 'static {
    /// The machine.
    type Machine: Machine<Command: Send + Sync, Record: Send + Sync, Event: Send, Reply: Send>
        + Send
        + Sync;

    /// Names the machine in logs.
    fn name(&self) -> String;

    /// A machine that has replayed nothing.
    fn fresh(&self) -> Self::Machine;

    /// The partition that keeps the machine's records, if it exists yet.
    fn partition(&self) -> Option<Arc<Partition>>;

    /// Called before decisions are made: the place to note what the machine is told of the world around it.
    fn prepare(&mut self, _machine: &mut Self::Machine) {}

    /// Called when the log was replayed, the first time or after an append that failed.
    fn loaded(&mut self, machine: &Self::Machine);

    /// Called when records are durable, before the replies leave.
    fn durable(
        &mut self,
        machine: &Self::Machine,
        records: &[<Self::Machine as Machine>::Record],
    ) -> impl Future<Output = ()> + Send;

    /// Called when the machine is served no more.
    fn stopped(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

struct Submission<M: Machine> {
    command: M::Command,
    reply: oneshot::Sender<M::Reply>,
}

/// Where commands for one machine go.
pub(super) struct MachineHandle<M: Machine> {
    commands: mpsc::Sender<Submission<M>>,
}

impl<M: Machine> Clone for MachineHandle<M> {
    fn clone(&self) -> Self {
        Self { commands: self.commands.clone() }
    }
}

impl<M: Machine> MachineHandle<M> {
    /// Queues a command whose answer nobody needs; false if there is no room.
    pub(super) fn tell(&self, command: M::Command) -> bool {
        let (reply, _) = oneshot::channel();
        self.commands.try_send(Submission { command, reply }).is_ok()
    }

    /// The machine's answer, once it is durable.
    pub(super) async fn ask(&self, command: M::Command) -> Result<M::Reply, HostError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Submission { command, reply }).await.map_err(|_| HostError::Stopping)?;
        answer.await.map_err(|_| {
            if self.commands.is_closed() { HostError::Stopping } else { HostError::Lost }
        })
    }
}

/// Reads the machine's log now, and then serves.
pub(super) async fn start_loaded<H: Hosted>(
    hosted: H,
    clock: SteadyClock,
    stop: CancellationToken,
) -> Result<(MachineHandle<H::Machine>, JoinHandle<()>), HostError> {
    let (mut host, handle) = MachineHost::new(hosted, clock, stop);
    let machine = host.load().await?;
    Ok((handle, tokio::spawn(host.run(Some(machine)))))
}

/// Reads the machine's log in its own task; commands wait until that is done.
pub(super) fn start_loading<H: Hosted>(
    hosted: H,
    clock: SteadyClock,
    stop: CancellationToken,
) -> (MachineHandle<H::Machine>, JoinHandle<()>) {
    let (host, handle) = MachineHost::new(hosted, clock, stop);
    (handle, tokio::spawn(host.run(None)))
}

struct MachineHost<H: Hosted> {
    hosted: H,
    clock: SteadyClock,
    stop: CancellationToken,
    commands: mpsc::Receiver<Submission<H::Machine>>,
    /// Requests that were decided but not answered: parked by the machine.
    waiting: HashMap<RequestId, oneshot::Sender<<H::Machine as Machine>::Reply>>,
    next_request: u64,
}

/// What a round of decisions has collected.
struct Round<M: Machine> {
    records: Vec<M::Record>,
    /// Where in `records` each decision ends.
    ends: Vec<usize>,
    replies: Vec<(RequestId, M::Reply)>,
}

enum Next<M: Machine> {
    Command(Submission<M>),
    Tick,
    Stop,
}

impl<H: Hosted> MachineHost<H> {
    fn new(
        hosted: H,
        clock: SteadyClock,
        stop: CancellationToken,
    ) -> (Self, MachineHandle<H::Machine>) {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let host = Self { hosted, clock, stop, commands, waiting: HashMap::new(), next_request: 0 };
        (host, MachineHandle { commands: sender })
    }

    async fn load(&mut self) -> Result<H::Machine, HostError> {
        let mut machine = self.hosted.fresh();
        if let Some(partition) = self.hosted.partition() {
            let applied = replay(&partition, &mut machine).await?;
            tracing::debug!(machine = self.hosted.name(), records = applied, "replayed");
        }
        self.hosted.prepare(&mut machine);
        machine.resume(self.clock.now());
        self.hosted.loaded(&machine);
        Ok(machine)
    }

    async fn run(mut self, loaded: Option<H::Machine>) {
        self.serve_until_stopped(loaded).await;
        self.hosted.stopped().await;
    }

    async fn serve_until_stopped(&mut self, loaded: Option<H::Machine>) {
        let mut machine = loaded;
        let mut pause = RELOAD_PAUSE.0;
        loop {
            let mut current = match machine.take() {
                Some(machine) => machine,
                None => match self.load().await {
                    Ok(machine) => {
                        pause = RELOAD_PAUSE.0;
                        machine
                    }
                    Err(error) => {
                        tracing::error!(machine = self.hosted.name(), %error, "cannot be replayed, trying again");
                        if self.refuse_for(pause).await {
                            return;
                        }
                        pause = (pause * 2).min(RELOAD_PAUSE.1);
                        continue;
                    }
                },
            };
            match self.serve(&mut current).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::error!(machine = self.hosted.name(), %error, "append failed, replaying");
                    // Their senders are dropped: callers learn that the state they asked about is gone.
                    self.waiting.clear();
                }
            }
        }
    }

    /// Answers nobody for a while; true if it is time to stop.
    async fn refuse_for(&mut self, pause: Duration) -> bool {
        let until = tokio::time::sleep(pause);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return true,
                () = &mut until => return false,
                submission = self.commands.recv() => match submission {
                    Some(refused) => drop(refused),
                    None => return true,
                },
            }
        }
    }

    /// Serves until it is time to stop, or an append fails.
    async fn serve(&mut self, machine: &mut H::Machine) -> Result<(), HostError> {
        loop {
            let mut round = Round { records: Vec::new(), ends: Vec::new(), replies: Vec::new() };
            let next = self.next(machine.next_deadline()).await;
            self.hosted.prepare(machine);
            match next {
                Next::Stop => return Ok(()),
                Next::Tick => {}
                Next::Command(submission) => self.decide(machine, submission, &mut round),
            }
            for _ in 1..COMMANDS_PER_APPEND_MAX {
                let Ok(submission) = self.commands.try_recv() else { break };
                self.decide(machine, submission, &mut round);
            }
            let now = self.clock.now();
            if machine.next_deadline().is_some_and(|deadline| deadline <= now) {
                let decision = machine.tick(now);
                take(machine, decision, &mut round);
            }
            if !round.records.is_empty() {
                self.append(&round.records, &round.ends).await?;
                self.hosted.durable(machine, &round.records).await;
            }
            for (request, reply) in round.replies {
                if let Some(sender) = self.waiting.remove(&request) {
                    // A caller that is gone has nobody to tell.
                    drop(sender.send(reply));
                }
            }
        }
    }

    async fn next(
        &mut self,
        deadline: Option<aquifer_broker_coordinator::Timestamp>,
    ) -> Next<H::Machine> {
        let deadline = deadline.map(|deadline| self.clock.instant_of(deadline));
        let tick = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Next::Stop,
            submission = self.commands.recv() => submission.map_or(Next::Stop, Next::Command),
            () = tick => Next::Tick,
        }
    }

    fn decide(
        &mut self,
        machine: &mut H::Machine,
        submission: Submission<H::Machine>,
        round: &mut Round<H::Machine>,
    ) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.waiting.insert(request, submission.reply);
        let decision = machine.decide(self.clock.now(), request, &submission.command);
        take(machine, decision, round);
    }

    async fn append(
        &mut self,
        records: &[<H::Machine as Machine>::Record],
        ends: &[usize],
    ) -> Result<(), HostError> {
        let log = self.hosted.name();
        let partition = self.hosted.partition().ok_or(HostError::Lost)?;
        let encoded = records
            .iter()
            .map(|record| (H::Machine::batch_kind(record), H::Machine::encode(record)));
        let batches = batches(encoded, ends, self.clock.wall_ms());
        let batches =
            batches.map_err(|source| HostError::Batch { log: log.clone(), offset: -1, source })?;
        let acks = if records.iter().all(H::Machine::may_lag) { Acks::Leader } else { Acks::All };
        let how = AppendHow { acks, origin: Origin::Coordinator };
        let appended = partition.append(batches, how).await;
        appended.map(drop).map_err(|source| HostError::Partition { log, source })
    }
}

fn take<M: Machine>(machine: &mut M, decision: DecisionOf<M>, round: &mut Round<M>) {
    let (records, replies) = take_decision(machine, decision);
    round.records.extend(records);
    round.ends.push(round.records.len());
    round.replies.extend(replies);
}

/// The records as batches, one after the other. A batch has records of one kind.
fn batches(
    records: impl Iterator<Item = (BatchKind, EncodedRecord)>,
    ends: &[usize],
    timestamp_ms: i64,
) -> Result<Bytes, BatchError> {
    let mut bytes = BytesMut::new();
    let mut open: Option<(BatchKind, BatchBuilder)> = None;
    for (index, (kind, record)) in records.enumerate() {
        let full = open.take_if(|(open_kind, builder)| {
            let is_full = builder.size_bytes() >= BATCH_BYTES && ends.binary_search(&index).is_ok();
            is_full || *open_kind != kind
        });
        if let Some((_, builder)) = full {
            bytes.extend_from_slice(&builder.build()?);
        }
        let options = match kind {
            BatchKind::Plain => BatchOptions::default(),
            BatchKind::Transactional { producer_id, producer_epoch } => BatchOptions {
                producer_id,
                producer_epoch,
                transactional: true,
                ..BatchOptions::default()
            },
            BatchKind::Marker { producer_id, producer_epoch, commit, coordinator_epoch } => {
                let marker = EndTransactionMarker { commit, coordinator_epoch };
                let marker = marker.batch(producer_id, producer_epoch, timestamp_ms);
                bytes.extend_from_slice(&marker);
                continue;
            }
        };
        let (_, builder) = open.get_or_insert_with(|| (kind, BatchBuilder::new(options)));
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder.push(NewRecord { timestamp_ms, key, value, headers: &[] });
    }
    if let Some((_, builder)) = open {
        bytes.extend_from_slice(&builder.build()?);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use aquifer_broker_protocol::batch::RecordBatch;

    use super::*;

    #[test]
    fn a_decision_is_never_split_over_batches() {
        let record = EncodedRecord { key: None, value: Some(vec![7; 300 * 1024]) };
        let counts = |ends: &[usize]| {
            let records = std::iter::repeat_n((BatchKind::Plain, record.clone()), 6);
            let bytes = batches(records, ends, 0).unwrap();
            let batches = RecordBatch::parse_all(&bytes);
            batches.map(|batch| batch.unwrap().header().record_count).collect::<Vec<_>>()
        };
        assert_eq!(counts(&[6]), [6]);
        assert_eq!(counts(&[1, 2, 3, 4, 5, 6]), [2, 2, 2]);
        assert_eq!(counts(&[3, 3, 6]), [3, 3]);
    }

    #[test]
    fn records_of_transactions_lie_in_batches_of_their_own() {
        let record = EncodedRecord { key: Some(vec![1]), value: Some(vec![7]) };
        let transactional = BatchKind::Transactional { producer_id: 5, producer_epoch: 2 };
        let marker = BatchKind::Marker {
            producer_id: 5,
            producer_epoch: 3,
            commit: true,
            coordinator_epoch: 1,
        };
        let plain = BatchKind::Plain;
        let kinds = [plain, plain, transactional, transactional, marker, marker, plain];
        let records = kinds.map(|kind| (kind, record.clone())).into_iter();
        let bytes = batches(records, &[1, 2, 4, 5, 6, 7], 0).unwrap();
        let described = RecordBatch::parse_all(&bytes).map(|batch| {
            let batch = batch.unwrap();
            let header = batch.header();
            let kind = match (header.is_transactional(), header.is_control()) {
                (false, _) => "plain",
                (true, false) => "transactional",
                (true, true) => "marker",
            };
            format!("{kind} of {} by {}", header.record_count, header.producer_id)
        });
        let expected = [
            "plain of 2 by -1",
            "transactional of 2 by 5",
            "marker of 1 by 5",
            "marker of 1 by 5",
            "plain of 1 by -1",
        ];
        assert_eq!(described.collect::<Vec<_>>(), expected);
    }
}
