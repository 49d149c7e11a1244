//! What a Produce request names, each once, as Kafka reads it.
//!
//! Behaviour: of a partition that is named twice the last batch counts, and there is one answer; a topic without
//! partitions is not answered. Clients do neither, so that requests are left as they are at the cost of a look.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use aquifer_broker_protocol::message::produce::{PartitionProduceData, TopicProduceData};

/// Brings topics that are named twice together, and keeps the last batch of each partition.
pub(super) fn settle(topics: &mut Vec<TopicProduceData<'_>>) {
    topics.retain(|topic| !topic.partition_data.is_empty());
    if is_any_twice(topics.iter().map(|topic| (topic.topic_id, &*topic.name))) {
        join(topics);
    }
    for topic in topics {
        if is_any_twice(topic.partition_data.iter().map(|data| data.index)) {
            keep_last(&mut topic.partition_data);
        }
    }
}

fn is_any_twice<T: Hash + Eq>(mut names: impl ExactSizeIterator<Item = T>) -> bool {
    // Many requests name one topic and one partition.
    if names.len() < 2 {
        return false;
    }
    let mut seen = HashSet::with_capacity(names.len());
    !names.all(|name| seen.insert(name))
}

fn join(topics: &mut Vec<TopicProduceData<'_>>) {
    let mut places = HashMap::new();
    let mut joined: Vec<TopicProduceData<'_>> = Vec::with_capacity(topics.len());
    for topic in topics.drain(..) {
        let place = *places.entry((topic.topic_id, topic.name.clone())).or_insert(joined.len());
        match joined.get_mut(place) {
            Some(first) => first.partition_data.extend(topic.partition_data),
            None => joined.push(topic),
        }
    }
    *topics = joined;
}

fn keep_last(partitions: &mut Vec<PartitionProduceData<'_>>) {
    let mut places = HashMap::new();
    let mut kept: Vec<PartitionProduceData<'_>> = Vec::with_capacity(partitions.len());
    for data in partitions.drain(..) {
        let place = *places.entry(data.index).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(first) => *first = data,
            None => kept.push(data),
        }
    }
    *partitions = kept;
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    type Named = (&'static str, &'static [(i32, &'static str)]);

    fn check(named: &[Named], expected: &str) {
        let data = |&(index, records): &(i32, &'static str)| PartitionProduceData {
            index,
            records: Some(records.as_bytes()),
        };
        let topic = |(name, partitions): &Named| TopicProduceData {
            name: Cow::Borrowed(*name),
            partition_data: partitions.iter().map(data).collect(),
            ..TopicProduceData::default()
        };
        let mut topics: Vec<_> = named.iter().map(topic).collect();
        settle(&mut topics);
        let mut found = Vec::new();
        for topic in &topics {
            let mut partitions = Vec::new();
            for data in &topic.partition_data {
                let records = String::from_utf8_lossy(data.records.unwrap_or_default());
                partitions.push(format!("{}:{records}", data.index));
            }
            found.push(format!("{} {}", topic.name, partitions.join(",")));
        }
        assert_eq!(found.join("; "), expected);
    }

    #[test]
    fn the_last_batch_of_a_partition_counts_and_an_empty_topic_does_not() {
        check(&[("t", &[(0, "a"), (1, "b")]), ("u", &[(0, "c")])], "t 0:a,1:b; u 0:c");
        check(&[("t", &[(0, "a"), (1, "b"), (0, "c")])], "t 0:c,1:b");
        check(
            &[("t", &[(0, "a")]), ("u", &[(0, "b")]), ("t", &[(1, "c"), (0, "d")])],
            "t 0:d,1:c; u 0:b",
        );
        check(&[("t", &[]), ("u", &[(5, "a")]), ("t", &[])], "u 5:a");
    }
}
