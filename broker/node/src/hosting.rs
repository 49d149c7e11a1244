//! Hosts the machines of this node over internal topics: topics and configs over `__cluster_metadata-0`, groups and
//! their offsets over `__consumer_offsets`, transactions over `__transaction_state`.
//!
//! - Each machine has one task, which owns its state: it decides, applies, appends, and releases replies when the
//!   append is durable. What arrives while an append is in flight is decided together and appended as one.
//! - What [`Hosting::image`] shows is durable, and its partitions are open.
//! - If an append fails, the machine's state is dropped and its log replayed; who waited is told to try again.
//! - Knows nothing of requests and versions: handlers translate.

mod error;
mod group;
mod machine_host;
mod replay;
mod steady;
#[cfg(test)]
mod tests;
mod topic;
mod transaction;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use aquifer_broker_coordinator::group::GroupMachine;
use aquifer_broker_coordinator::topic::TopicMachine;
use aquifer_broker_coordinator::topic::command::ProducerIdBlock;
use aquifer_broker_coordinator::topic::image::MetadataImage;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub(crate) use self::error::{HostError, code_of};
use self::machine_host::MachineHandle;
use self::steady::SteadyClock;
pub(crate) use self::topic::{TopicRefusal, new_topic_id};
use self::transaction::Transactions;
pub(crate) use self::transaction::{InTransaction, Marker, MarkerError, NotInTransaction};
use crate::clock::Clock;
use crate::config::BrokerSettings;
use crate::partition::Partitions;

/// The topic that keeps groups and their offsets.
pub(crate) const CONSUMER_OFFSETS: &str = "__consumer_offsets";

/// The topic that keeps transactions.
pub(crate) const TRANSACTION_STATE: &str = "__transaction_state";

/// The topic that keeps topics, configs and producer ids; clients never see it.
pub(crate) const CLUSTER_METADATA: &str = "__cluster_metadata";

/// The machines of this node.
pub(crate) struct Hosting {
    me: Weak<Self>,
    /// As given at the start.
    settings: Arc<BrokerSettings>,
    /// With what was set at run time.
    live_settings: Arc<ArcSwap<BrokerSettings>>,
    partitions: Arc<Partitions>,
    clock: SteadyClock,
    image: Arc<ArcSwap<MetadataImage>>,
    topics: MachineHandle<TopicMachine>,
    /// By partition of `__consumer_offsets`; those that were neither written nor asked for are not there.
    groups: Mutex<HashMap<i32, MachineHandle<GroupMachine>>>,
    transactions: Arc<Transactions>,
    producer_ids: Mutex<ProducerIdBlock>,
    tasks: Mutex<Vec<tokio::task::JoinHandle<()>>>,
    stop: CancellationToken,
}

impl std::fmt::Debug for Hosting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hosting")
            .field("topics", &self.image().topics().len())
            .finish_non_exhaustive()
    }
}

impl Hosting {
    /// Replays the metadata log, begins a new generation if the last stop was not clean, opens the partitions of
    /// all topics, and starts the group machines whose logs exist.
    ///
    /// # Errors
    /// When the metadata log can't be read, or is missing although partitions of topics are there.
    pub(crate) async fn start(
        settings: Arc<BrokerSettings>,
        partitions: Arc<Partitions>,
        clock: &Clock,
    ) -> Result<Arc<Self>, HostError> {
        let stop = CancellationToken::new();
        let clock = SteadyClock::new(clock);
        let image = Arc::new(ArcSwap::from_pointee(MetadataImage::default()));
        let live_settings = Arc::new(ArcSwap::from(Arc::clone(&settings)));
        let shown =
            topic::Shown { image: Arc::clone(&image), settings: Arc::clone(&live_settings) };
        let (topics, task) =
            topic::start_machine(&settings, &partitions, &clock, shown, stop.clone()).await?;
        let hosting = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            settings,
            live_settings,
            partitions,
            clock,
            image,
            topics,
            groups: Mutex::new(HashMap::new()),
            transactions: Arc::default(),
            producer_ids: Mutex::new(ProducerIdBlock { first: 0, length: 0 }),
            tasks: Mutex::new(vec![task]),
            stop,
        });
        hosting.begin().await?;
        hosting.resume_groups();
        hosting.resume_transactions();
        Ok(hosting)
    }

    /// What exists and is durable.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        self.image.load_full()
    }

    /// The broker's configuration with what was set at run time.
    pub(crate) fn live_settings(&self) -> Arc<BrokerSettings> {
        self.live_settings.load_full()
    }

    /// Ends all machines; replies that were not durable are dropped. Waits until nothing is appended any more.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a machine's task ended by a panic");
            }
        }
    }

    /// A producer id that nobody else has, and that nobody else will be given.
    pub(crate) async fn next_producer_id(&self) -> Result<i64, HostError> {
        loop {
            if let Some(id) = take_producer_id(&mut self.producer_ids.lock()) {
                return Ok(id);
            }
            let block = self.allocate_producer_ids().await?;
            let mut current = self.producer_ids.lock();
            // Another request may have brought a block meanwhile: then this one stays unused.
            if current.length == 0 {
                *current = block;
            }
        }
    }
}

fn take_producer_id(block: &mut ProducerIdBlock) -> Option<i64> {
    if block.length == 0 {
        return None;
    }
    let id = block.first;
    block.first += 1;
    block.length -= 1;
    Some(id)
}
