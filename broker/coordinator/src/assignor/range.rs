//! `range`: the partitions of each topic in one row, cut into equal ranges for its subscribers.
//!
//! Members are taken in the order of their static names, then of their ids, in every topic: partitions of the same
//! number go to the same member where topics have the same partition count and subscribers.

use std::collections::BTreeMap;

use aquifer_broker_protocol::primitive::Uuid;

use super::{GroupAssignment, GroupSpec};
use crate::group::consumer::member::Assignment;

/// What is left of one topic.
struct Remaining {
    next: i32,
    partition_count: i32,
    quota: i32,
    extra: i32,
}

/// Assigns ranges.
#[must_use]
pub fn assign(spec: &GroupSpec) -> GroupAssignment {
    let mut subscribers = BTreeMap::<Uuid, i32>::new();
    for topic_id in spec.members.values().flat_map(|member| &member.topics) {
        *subscribers.entry(*topic_id).or_default() += 1;
    }
    let topics = subscribers.into_iter().map(|(topic_id, count)| {
        let partition_count = spec.partition_count(&topic_id);
        let (quota, extra) = (partition_count / count, partition_count % count);
        (topic_id, Remaining { next: 0, partition_count, quota, extra })
    });
    let mut topics = topics.collect::<BTreeMap<_, _>>();
    let mut members = spec.members.iter().collect::<Vec<_>>();
    members.sort_by_key(|(member_id, member)| {
        (member.instance_id.is_none(), member.instance_id.clone(), (*member_id).clone())
    });
    let mut assignment = GroupAssignment::new();
    for (member_id, member) in members {
        let mut owned = Assignment::new();
        for topic_id in &member.topics {
            let Some(topic) = topics.get_mut(topic_id) else { continue };
            let extra = i32::from(topic.extra > 0);
            topic.extra -= extra;
            let end = (topic.next + topic.quota + extra).min(topic.partition_count);
            if topic.next < end {
                owned.insert(*topic_id, (topic.next..end).collect());
            }
            topic.next = end;
        }
        assignment.insert(member_id.clone(), owned);
    }
    assignment
}

#[cfg(test)]
mod tests {
    use super::super::uniform::tests::{show, spec};
    use super::*;

    #[test]
    fn ranges_follow_the_order_of_members_and_the_first_get_one_more() {
        for (members, topics, expected) in [
            ("a:1,2 b:1,2", "1=3 2=4", "a 1:01 2:01; b 1:2 2:23; "),
            ("a:1 b:1,2 c:2", "1=3 2=3", "a 1:01; b 1:2 2:01; c 2:2; "),
            ("a:1 b:1 c:1", "1=2", "a 1:0; b 1:1; c; "),
            // A static member comes before the others.
            ("a:1 b@s:1", "1=2", "a 1:1; b 1:0; "),
        ] {
            let spec = spec(members, topics);
            let assignment = assign(&spec);
            super::super::check(&spec, &assignment);
            assert_eq!(show(&assignment), expected, "{members} {topics}");
        }
    }
}
