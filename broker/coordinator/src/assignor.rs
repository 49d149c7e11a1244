//! TABLE: the server-side assignors of consumer groups (KIP-848), which say who is to own which partition.
//!
//! An assignor is a pure function of the members, what they subscribe to, and what they owned before.

pub mod range;
pub mod uniform;

use std::collections::{BTreeMap, BTreeSet};

use aquifer_broker_protocol::primitive::Uuid;

use crate::group::consumer::member::Assignment;
use crate::group::id::{InstanceId, MemberId};

/// The members of a group and the topics that they subscribe to.
#[derive(Clone, Debug, Default)]
pub struct GroupSpec {
    /// The members.
    pub members: BTreeMap<MemberId, MemberSpec>,
    /// How many partitions each topic has. Holds every topic that a member subscribes to.
    pub topics: BTreeMap<Uuid, i32>,
}

/// One member.
#[derive(Clone, Debug, Default)]
pub struct MemberSpec {
    /// The static name.
    pub instance_id: Option<InstanceId>,
    /// What it subscribes to.
    pub topics: BTreeSet<Uuid>,
    /// What it was to own before.
    pub before: Assignment,
}

impl GroupSpec {
    /// How many partitions a topic has.
    fn partition_count(&self, topic_id: &Uuid) -> i32 {
        self.topics.get(topic_id).copied().unwrap_or(0)
    }

    /// Whether all members subscribe to the same topics.
    fn is_homogeneous(&self) -> bool {
        let mut members = self.members.values();
        let first = members.next();
        first.is_none_or(|first| members.all(|member| member.topics == first.topics))
    }
}

/// What each member is to own; members without partitions may be missing.
pub type GroupAssignment = BTreeMap<MemberId, Assignment>;

/// An assignor.
pub type Assign = fn(&GroupSpec) -> GroupAssignment;

/// Names and functions; the first is what a group gets whose members ask for none.
pub const ASSIGNORS: &[(&str, Assign)] = &[("uniform", uniform::assign), ("range", range::assign)];

/// The assignor of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Assign> {
    ASSIGNORS.iter().find(|(known, _)| *known == name).map(|(_, assign)| *assign)
}

/// Invariants of every assignor, and how far apart the members' loads are.
#[cfg(test)]
pub(crate) fn check(spec: &GroupSpec, assignment: &GroupAssignment) {
    let mut seen = BTreeSet::new();
    for (member_id, owned) in assignment {
        let member = &spec.members[member_id];
        for (topic_id, partitions) in owned {
            assert!(
                member.topics.contains(topic_id),
                "{member_id} did not subscribe to {topic_id}"
            );
            for index in partitions {
                assert!((0..spec.topics[topic_id]).contains(index), "there is no such partition");
                assert!(seen.insert((*topic_id, *index)), "a partition with two owners");
            }
        }
    }
    let wanted = spec.members.values().flat_map(|member| member.topics.iter().copied());
    for topic_id in wanted.collect::<BTreeSet<_>>() {
        for index in 0..spec.topics[&topic_id] {
            assert!(seen.contains(&(topic_id, index)), "{topic_id}-{index} has no owner");
        }
    }
}
