//! `uniform`: members own as equally many partitions as their subscriptions allow, and keep what they can.
//!
//! Where all subscribe to the same, each member gets its quota, and keeps of what it had as much as fits into it.
//! Otherwise every partition stays where it was, the free ones go to the least loaded subscriber, and then partitions
//! move from the most to the least loaded subscribers of a topic until no topic gains by it.
//!
//! Differs from Kafka, which gives the one partition more to the members that its hash map names first: here they
//! are those that have it already, so that less moves.

use std::collections::{BTreeMap, BTreeSet};

use aquifer_broker_protocol::primitive::Uuid;

use super::{GroupAssignment, GroupSpec};
use crate::group::id::MemberId;

/// How often the topics are gone through to move partitions; Kafka has the same bound.
const BALANCE_PASSES_MAX: usize = 16;

/// Assigns evenly.
#[must_use]
pub fn assign(spec: &GroupSpec) -> GroupAssignment {
    if spec.is_homogeneous() { assign_homogeneous(spec) } else { Heterogeneous::new(spec).assign() }
}

fn assign_homogeneous(spec: &GroupSpec) -> GroupAssignment {
    let Some(first) = spec.members.values().next() else { return GroupAssignment::new() };
    let mut free = BTreeSet::new();
    for topic_id in &first.topics {
        free.extend((0..spec.partition_count(topic_id)).map(|index| (*topic_id, index)));
    }
    let quota = free.len() / spec.members.len();
    let mut with_extra = free.len() % spec.members.len();

    // Who had more than the quota keeps it, as long as there is more to give.
    let mut assignment = GroupAssignment::new();
    let mut room = BTreeMap::<&MemberId, usize>::new();
    let had = |member_id: &MemberId| {
        let member = spec.members.get(member_id);
        let before = member.into_iter().flat_map(|member| &member.before);
        before.filter(|(id, _)| first.topics.contains(id)).map(|(_, had)| had.len()).sum::<usize>()
    };
    let (rich, poor): (Vec<_>, Vec<_>) =
        spec.members.keys().partition(|member_id| had(member_id) > quota);
    for member_id in rich.into_iter().chain(poor) {
        let extra = usize::from(with_extra > 0);
        with_extra -= extra;
        room.insert(member_id, quota + extra);
    }
    for (member_id, member) in &spec.members {
        let owned = assignment.entry(member_id.clone()).or_default();
        let Some(room) = room.get_mut(member_id) else { continue };
        for (topic_id, indexes) in &member.before {
            for index in indexes {
                if *room > 0 && free.remove(&(*topic_id, *index)) {
                    *room -= 1;
                    owned.entry(*topic_id).or_default().insert(*index);
                }
            }
        }
    }
    let mut free = free.into_iter();
    for (member_id, room) in room {
        let owned = assignment.entry(member_id.clone()).or_default();
        for (topic_id, index) in free.by_ref().take(room) {
            owned.entry(topic_id).or_default().insert(index);
        }
    }
    assignment
}

/// An assignment of members that subscribe to different topics, in the making.
struct Heterogeneous<'a> {
    spec: &'a GroupSpec,
    /// By topic, in the order in which they are gone through.
    subscribers: Vec<(Uuid, Vec<&'a MemberId>)>,
    assignment: GroupAssignment,
    loads: BTreeMap<&'a MemberId, usize>,
}

impl<'a> Heterogeneous<'a> {
    fn new(spec: &'a GroupSpec) -> Self {
        let mut by_topic = BTreeMap::<Uuid, Vec<&MemberId>>::new();
        for (member_id, member) in &spec.members {
            for topic_id in &member.topics {
                by_topic.entry(*topic_id).or_default().push(member_id);
            }
        }
        let mut subscribers = by_topic.into_iter().collect::<Vec<_>>();
        // The topics with most partitions per subscriber first: the others can even them out.
        subscribers.sort_by(|(one, ones), (other, others)| {
            let weight = |id: &Uuid, subscribers: &Vec<_>| {
                f64::from(spec.partition_count(id))
                    / f64::from(u32::try_from(subscribers.len()).unwrap_or(u32::MAX).max(1))
            };
            weight(other, others)
                .total_cmp(&weight(one, ones))
                .then(ones.len().cmp(&others.len()))
                .then(one.cmp(other))
        });
        let loads = spec.members.keys().map(|member_id| (member_id, 0)).collect();
        Self { spec, subscribers, assignment: GroupAssignment::new(), loads }
    }

    fn assign(mut self) -> GroupAssignment {
        let mut free = self.keep();
        for (topic_id, subscribers) in self.subscribers.clone() {
            let mut by_load = subscribers
                .iter()
                .map(|member_id| (self.load(member_id), *member_id))
                .collect::<BTreeSet<_>>();
            for index in free.remove(&topic_id).into_iter().flatten() {
                let Some((load, member_id)) = by_load.pop_first() else { break };
                self.give(topic_id, index, member_id);
                by_load.insert((load + 1, member_id));
            }
        }
        for _ in 0..BALANCE_PASSES_MAX {
            let moved = self
                .subscribers
                .clone()
                .into_iter()
                .map(|(topic_id, subscribers)| self.balance(topic_id, &subscribers));
            if moved.sum::<usize>() == 0 {
                break;
            }
        }
        self.assignment
    }

    /// Members keep what they had; answers what nobody had.
    fn keep(&mut self) -> BTreeMap<Uuid, BTreeSet<i32>> {
        let topics = self.subscribers.iter().map(|(topic_id, _)| {
            (*topic_id, (0..self.spec.partition_count(topic_id)).collect::<BTreeSet<_>>())
        });
        let mut free = topics.collect::<BTreeMap<_, _>>();
        for (member_id, member) in &self.spec.members {
            self.assignment.entry(member_id.clone()).or_default();
            for (topic_id, indexes) in &member.before {
                if !member.topics.contains(topic_id) {
                    continue;
                }
                for index in indexes {
                    if free.get_mut(topic_id).is_some_and(|free| free.remove(index)) {
                        self.give(*topic_id, *index, member_id);
                    }
                }
            }
        }
        free
    }

    fn load(&self, member_id: &MemberId) -> usize {
        self.loads.get(member_id).copied().unwrap_or(0)
    }

    fn give(&mut self, topic_id: Uuid, index: i32, member_id: &'a MemberId) {
        let owned = self.assignment.entry(member_id.clone()).or_default();
        owned.entry(topic_id).or_default().insert(index);
        *self.loads.entry(member_id).or_default() += 1;
    }

    /// Takes the member's last partition of the topic.
    fn take(&mut self, topic_id: Uuid, member_id: &'a MemberId) -> Option<i32> {
        let owned = self.assignment.get_mut(member_id)?;
        let indexes = owned.get_mut(&topic_id)?;
        let index = indexes.pop_last()?;
        if indexes.is_empty() {
            owned.remove(&topic_id);
        }
        if let Some(load) = self.loads.get_mut(member_id) {
            *load -= 1;
        }
        Some(index)
    }

    /// Moves partitions of one topic from its most to its least loaded subscribers; answers how many.
    fn balance(&mut self, topic_id: Uuid, subscribers: &[&'a MemberId]) -> usize {
        let by_load = subscribers.iter().map(|member_id| (self.load(member_id), *member_id));
        let mut by_load = by_load.collect::<BTreeSet<_>>();
        let mut givers = by_load.clone();
        let mut moved = 0;
        while let (Some((most, giver)), Some((least, taker))) =
            (givers.pop_last(), by_load.first().copied())
        {
            if most <= least + 1 {
                break;
            }
            // A giver without partitions of this topic can't help.
            let Some(index) = self.take(topic_id, giver) else { continue };
            self.give(topic_id, index, taker);
            moved += 1;
            by_load.remove(&(most, giver));
            by_load.remove(&(least, taker));
            by_load.insert((most - 1, giver));
            by_load.insert((least + 1, taker));
            givers.insert((most - 1, giver));
            givers.remove(&(least, taker));
            givers.insert((least + 1, taker));
        }
        moved
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::super::{MemberSpec, check};
    use super::*;
    use crate::group::id::InstanceId;

    fn topic(number: u8) -> Uuid {
        Uuid([number; 16])
    }

    /// `a:1,2 b@static:1` and `1=3 2=4`: who subscribes to which topics, and how many partitions those have.
    pub(crate) fn spec(members: &str, topics: &str) -> GroupSpec {
        let members = members.split_whitespace().map(|member| {
            let (name, wants) = member.split_once(':').unwrap();
            let (name, instance_id) = match name.split_once('@') {
                Some((name, instance_id)) => (name, Some(InstanceId::from(instance_id))),
                None => (name, None),
            };
            let topics = wants.split(',').map(|number| topic(number.parse().unwrap())).collect();
            let member = MemberSpec { instance_id, topics, ..MemberSpec::default() };
            (MemberId::from(name), member)
        });
        let topics = topics.split_whitespace().map(|counted| {
            let (number, count) = counted.split_once('=').unwrap();
            (topic(number.parse().unwrap()), count.parse().unwrap())
        });
        GroupSpec { members: members.collect(), topics: topics.collect() }
    }

    pub(crate) fn show(assignment: &GroupAssignment) -> String {
        let mut text = String::new();
        for (member_id, owned) in assignment {
            text.push_str(member_id);
            for (topic_id, indexes) in owned {
                write!(text, " {}:", topic_id.0[0]).unwrap();
                indexes.iter().for_each(|index| write!(text, "{index}").unwrap());
            }
            text.push_str("; ");
        }
        text
    }

    fn with_before(mut spec: GroupSpec, before: &GroupAssignment) -> GroupSpec {
        for (member_id, member) in &mut spec.members {
            member.before = before.get(member_id).cloned().unwrap_or_default();
        }
        spec
    }

    /// Assigns once per step, each time with what the step before came to.
    fn check_steps(steps: &[(&str, &str, &str)]) {
        let mut before = GroupAssignment::new();
        for (members, topics, expected) in steps {
            let spec = with_before(spec(members, topics), &before);
            before = assign(&spec);
            check(&spec, &before);
            assert_eq!(show(&before), *expected, "{members} {topics}");
        }
    }

    #[test]
    fn members_keep_what_fits_into_their_quota() {
        check_steps(&[
            ("a:1", "1=5", "a 1:01234; "),
            ("a:1 b:1", "1=5", "a 1:012; b 1:34; "),
            ("a:1 b:1 c:1", "1=5", "a 1:01; b 1:34; c 1:2; "),
            // a leaves: its partitions go to the others, and nothing else moves.
            ("b:1 c:1", "1=5", "b 1:034; c 1:12; "),
            // b has one more than its quota before a comes back, and keeps it.
            ("a:1 b:1 c:1", "1=5", "a 1:4; b 1:03; c 1:12; "),
            ("a:1 b:1 c:1", "1=7", "a 1:456; b 1:03; c 1:12; "),
        ]);
    }

    #[test]
    fn another_topic_is_shared_out_and_an_old_one_dropped() {
        check_steps(&[
            ("a:1 b:1", "1=2", "a 1:0; b 1:1; "),
            ("a:1,2 b:1,2", "1=2 2=2", "a 1:0 2:0; b 1:1 2:1; "),
            ("a:2 b:2", "2=2", "a 2:0; b 2:1; "),
        ]);
    }

    #[test]
    fn different_subscriptions_are_balanced_as_far_as_they_allow() {
        check_steps(&[
            ("a:1 b:1,2", "1=4 2=2", "a 1:012; b 1:3 2:01; "),
            ("a:1 b:1,2 c:2", "1=4 2=2", "a 1:012; b 1:3 2:0; c 2:1; "),
            ("a:1 c:2", "1=4 2=2", "a 1:0123; c 2:01; "),
        ]);
    }

    proptest! {
        #[test]
        fn prop_every_partition_gets_one_owner_and_a_second_run_moves_nothing(
            members in proptest::collection::btree_map("[a-f]", proptest::collection::btree_set(1_u8..5, 1..4), 1..6),
            counts in proptest::collection::vec(0_i32..9, 5),
            later in proptest::collection::btree_map("[a-f]", proptest::collection::btree_set(1_u8..5, 1..4), 1..6),
        ) {
            let topics = (0_u8..5).zip(counts).map(|(number, count)| (topic(number), count)).collect::<BTreeMap<_, _>>();
            let spec_of = |members: &BTreeMap<String, BTreeSet<u8>>| GroupSpec {
                members: members.iter().map(|(name, wants)| {
                    let topics = wants.iter().map(|number| topic(*number)).collect();
                    (MemberId::from(&**name), MemberSpec { topics, ..MemberSpec::default() })
                }).collect(),
                topics: topics.clone(),
            };
            let first = spec_of(&members);
            let assigned = assign(&first);
            check(&first, &assigned);
            if first.is_homogeneous() {
                let loads = assigned.values().map(|owned| owned.values().map(BTreeSet::len).sum::<usize>());
                let loads = loads.collect::<Vec<_>>();
                prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1);
            }
            prop_assert_eq!(&assign(&with_before(first, &assigned)), &assigned);
            let second = with_before(spec_of(&later), &assigned);
            check(&second, &assign(&second));
            let range = super::super::range::assign(&second);
            check(&second, &range);
        }
    }
}
