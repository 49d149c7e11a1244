//! One member of a consumer group: what it wants, what it holds, and where it stands between two assignments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aquifer_broker_protocol::primitive::Uuid;
use bytes::Bytes;

use crate::group::id::{InstanceId, TopicName};

/// The epoch of a member that is about to join.
pub const JOIN_EPOCH: i32 = 0;
/// The epoch with which a member leaves.
pub const LEAVE_EPOCH: i32 = -1;
/// The epoch with which a static member leaves to come back, and which it has until then.
pub const STATIC_LEAVE_EPOCH: i32 = -2;

/// Partitions by the id of their topic.
pub type Assignment = BTreeMap<Uuid, BTreeSet<i32>>;

/// Partitions by the id of their topic, and the member epoch in which each was given out.
pub type OwnedPartitions = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// Where a member stands. The numbers are those of its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has what its epoch's target assigns to it.
    #[default]
    Stable,
    /// It was told to give partitions up and has not said that it did.
    UnrevokedPartitions,
    /// It waits for partitions that other members have not given up.
    UnreleasedPartitions,
    /// Written by a newer coordinator; the member has to join again.
    Unknown,
}

impl MemberState {
    /// The state's number in records.
    #[must_use]
    pub fn number(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }

    /// The state of this number.
    #[must_use]
    pub fn of_number(number: i8) -> Self {
        match number {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

/// What a member of the classic protocol brought when it joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicProtocols {
    /// How long it may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// Name and metadata of each protocol that it can run, the preferred one first.
    pub protocols: Vec<(Arc<str>, Bytes)>,
}

/// What a member is and wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The static name.
    pub instance_id: Option<InstanceId>,
    /// The rack it runs in.
    pub rack_id: Option<Arc<str>>,
    /// The client's name for itself.
    pub client_id: Arc<str>,
    /// The peer's address.
    pub client_host: Arc<str>,
    /// The topics it names.
    pub topics: BTreeSet<TopicName>,
    /// The regular expression whose topics it wants beside them; never empty.
    pub regex: Option<Arc<str>>,
    /// How long it may take to give partitions up, in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// The assignor it asks for.
    pub assignor: Option<Arc<str>>,
    /// Set while it uses the classic protocol.
    pub classic: Option<ClassicProtocols>,
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            instance_id: None,
            rack_id: None,
            client_id: Arc::from(""),
            client_host: Arc::from(""),
            topics: BTreeSet::new(),
            regex: None,
            rebalance_timeout_ms: -1,
            assignor: None,
            classic: None,
        }
    }
}

/// What a member holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// The epoch that its next heartbeat must name.
    pub epoch: i32,
    /// The epoch before, which it names if the answer that raised it was lost.
    pub previous_epoch: i32,
    /// Where it stands.
    pub state: MemberState,
    /// What it may use.
    pub assigned: OwnedPartitions,
    /// What it must give up before it may go on.
    pub revoking: OwnedPartitions,
}

impl Current {
    /// The same partitions, in another epoch.
    #[must_use]
    pub fn at_epoch(&self, epoch: i32) -> Self {
        Self { epoch, previous_epoch: self.epoch, ..self.clone() }
    }

    /// The epoch in which a partition was given to the member, if it still has it.
    #[must_use]
    pub fn assignment_epoch(&self, topic_id: &Uuid, partition: i32) -> Option<i32> {
        let of = |owned: &OwnedPartitions| owned.get(topic_id)?.get(&partition).copied();
        of(&self.assigned).or_else(|| of(&self.revoking))
    }
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerMember {
    /// What it is and wants.
    pub subscription: Subscription,
    /// What it holds.
    pub current: Current,
}

impl ConsumerMember {
    /// Whether it has arrived at what the target of this epoch assigns to it.
    #[must_use]
    pub fn is_reconciled_to(&self, assignment_epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == assignment_epoch
    }

    /// Whether it speaks the classic protocol.
    #[must_use]
    pub fn is_classic(&self) -> bool {
        self.subscription.classic.is_some()
    }
}

/// The partitions without their epochs.
#[must_use]
pub fn without_epochs(owned: &OwnedPartitions) -> Assignment {
    owned.iter().map(|(id, partitions)| (*id, partitions.keys().copied().collect())).collect()
}

/// The partitions, all given out in one epoch.
#[must_use]
pub fn with_epoch(assignment: &Assignment, epoch: i32) -> OwnedPartitions {
    let owned = assignment
        .iter()
        .map(|(id, partitions)| (*id, partitions.iter().map(|index| (*index, epoch)).collect()));
    owned.collect()
}
