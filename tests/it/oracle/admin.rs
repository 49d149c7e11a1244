//! DescribeCluster, DescribeQuorum, UpdateFeatures, ElectLeaders, log directories, reassignments.

use aquifer_broker_protocol::message::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use aquifer_broker_protocol::message::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use aquifer_broker_protocol::message::describe_cluster::DescribeClusterRequest;
use aquifer_broker_protocol::message::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsRequest,
};
use aquifer_broker_protocol::message::describe_quorum::{self, DescribeQuorumRequest};
use aquifer_broker_protocol::message::elect_leaders::{self, ElectLeadersRequest};
use aquifer_broker_protocol::message::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use aquifer_broker_protocol::message::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};

use super::caller::Caller;
use super::requests::{of, plain, produce, s};

pub(crate) async fn script(c: &mut Caller) {
    cluster(c).await;
    quorum(c).await;
    features(c).await;
    let (name, id) = c.topic("t", 2, &[]).await;
    c.new_call("fill", produce(13, (&name, id), 0, plain(&[("k", "v")]))).await;
    elections(c, &name).await;
    directories(c, &name).await;
    reassignments(c, &name).await;
}

async fn cluster(c: &mut Caller) {
    c.calls("the cluster", 0, |_| of!(DescribeClusterRequest { endpoint_type: 1 })).await;
    c.new_call(
        "with operations",
        of!(DescribeClusterRequest {
            endpoint_type: 1,
            include_cluster_authorized_operations: true
        }),
    )
    .await;
    c.new_call(
        "with those that are fenced",
        of!(DescribeClusterRequest { endpoint_type: 1, include_fenced_brokers: true }),
    )
    .await;
    c.new_call("controllers from a broker", of!(DescribeClusterRequest { endpoint_type: 2 })).await;
    c.new_call("an unknown kind", of!(DescribeClusterRequest { endpoint_type: 9 })).await;
}

async fn quorum(c: &mut Caller) {
    let ask = |name: &str, partition_index: i32| {
        let partitions = vec![describe_quorum::PartitionRequest { partition_index }];
        DescribeQuorumRequest {
            topics: vec![describe_quorum::TopicRequest { topic_name: s(name), partitions }],
        }
    };
    for version in 0..=2 {
        c.call_then("the quorum", version, ask("__cluster_metadata", 0), |answer| {
            for partition in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                (partition.high_watermark, partition.leader_epoch) = (1, 1);
                partition.current_voters.iter_mut().for_each(|voter| voter.log_end_offset = 1);
            }
        })
        .await;
    }
    c.new_call("of another topic", ask("other", 0)).await;
    c.new_call("of another partition", ask("__cluster_metadata", 3)).await;
}

async fn features(c: &mut Caller) {
    let ask = |feature: &str, max_version_level: i16, upgrade_type: i8| {
        let update =
            of!(FeatureUpdateKey<'static> { feature: s(feature), max_version_level, upgrade_type });
        UpdateFeaturesRequest {
            timeout_ms: 10_000,
            feature_updates: vec![update],
            validate_only: true,
        }
    };
    for version in [1, 2] {
        c.call("an unknown feature", version, ask("no.such", 1, 1)).await;
        c.call("a level that is not there", version, ask("transaction.version", 99, 1)).await;
        c.call("the level that it has", version, ask("transaction.version", 2, 1)).await;
        c.call("down as an upgrade", version, ask("transaction.version", 1, 1)).await;
        c.call("down", version, ask("transaction.version", 1, 2)).await;
        c.call("an unknown kind of change", version, ask("transaction.version", 2, 9)).await;
        c.call("a level below zero", version, ask("group.version", -1, 1)).await;
        c.call(
            "nothing",
            version,
            UpdateFeaturesRequest { feature_updates: vec![], ..ask("", 1, 1) },
        )
        .await;
    }
}

async fn elections(c: &mut Caller, t: &str) {
    let ask = |kind: i8, topics: Option<&[(&str, &[i32])]>| {
        let topic_partitions = topics.map(|topics| {
            topics
                .iter()
                .map(|(topic, partitions)| elect_leaders::TopicPartitions {
                    topic: s(topic),
                    partitions: partitions.to_vec(),
                })
                .collect()
        });
        ElectLeadersRequest { election_type: kind, topic_partitions, timeout_ms: 10_000 }
    };
    let unknown = c.name("unknown");
    c.calls("the preferred one", 0, |_| ask(0, Some(&[(t, &[0, 1])]))).await;
    c.new_call("an unclean one", ask(1, Some(&[(t, &[0])]))).await;
    c.new_call("an unknown partition", ask(0, Some(&[(t, &[9])]))).await;
    c.new_call("an unknown topic", ask(0, Some(&[(&unknown, &[0])]))).await;
    c.new_call("an unknown kind", ask(9, Some(&[(t, &[0])]))).await;
    c.new_call("for none", ask(0, Some(&[]))).await;
    c.new_call("for all", ask(0, None)).await;
}

async fn directories(c: &mut Caller, t: &str) {
    let ask = |topics: Option<&[(&str, &[i32])]>| DescribeLogDirsRequest {
        topics: topics.map(|topics| {
            topics
                .iter()
                .map(|(topic, partitions)| DescribableLogDirTopic {
                    topic: s(topic),
                    partitions: partitions.to_vec(),
                })
                .collect()
        }),
    };
    let unknown = c.name("unknown");
    let prefix = c.name("");
    for version in 1..=5 {
        for (step, request) in [
            ("a topic", ask(Some(&[(t, &[0, 1])]))),
            ("an unknown partition", ask(Some(&[(t, &[9])]))),
            ("an unknown topic", ask(Some(&[(&unknown, &[0])]))),
            ("none", ask(Some(&[]))),
            ("all", ask(None)),
        ] {
            c.call_then(step, version, request, |answer| {
                for directory in &mut answer.results {
                    directory.topics.retain(|topic| topic.name.starts_with(&prefix));
                    (directory.total_bytes, directory.usable_bytes) =
                        (directory.total_bytes.signum(), directory.usable_bytes.signum());
                }
            })
            .await;
        }
    }
    let place = |path: &str, name: &str, partition: i32| {
        let topics = vec![AlterReplicaLogDirTopic { name: s(name), partitions: vec![partition] }];
        AlterReplicaLogDirsRequest { dirs: vec![AlterReplicaLogDir { path: s(path), topics }] }
    };
    let answer = c.ask(4, &ask(Some(&[]))).await;
    let here = answer
        .ok()
        .and_then(|answer| answer.results.first().map(|first| first.log_dir.to_string()))
        .unwrap_or_default();
    c.calls("to where it is", 1, |_| place(&here, t, 0)).await;
    c.new_call("to a directory that is none", place("/no/such/directory", t, 0)).await;
    c.new_call("to a path that is relative", place("here", t, 0)).await;
    c.new_call("of an unknown partition", place(&here, t, 9)).await;
    c.new_call("of an unknown topic", place(&here, &unknown, 0)).await;
}

async fn reassignments(c: &mut Caller, t: &str) {
    let ask = |name: &str, partition_index: i32, replicas: Option<&[i32]>| {
        let partitions = vec![ReassignablePartition {
            partition_index,
            replicas: replicas.map(<[i32]>::to_vec),
        }];
        of!(AlterPartitionReassignmentsRequest<'static> { timeout_ms: 10_000, topics: vec![ReassignableTopic { name: s(name), partitions }] })
    };
    let unknown = c.name("unknown");
    c.calls("to where it is", 0, |_| ask(t, 0, Some(&[1]))).await;
    for (step, request) in [
        ("to a broker that is not there", ask(t, 0, Some(&[7]))),
        ("to two", ask(t, 0, Some(&[1, 7]))),
        ("to one twice", ask(t, 0, Some(&[1, 1]))),
        ("to nobody", ask(t, 0, Some(&[]))),
        ("taken back", ask(t, 0, None)),
        ("of an unknown partition", ask(t, 9, Some(&[1]))),
        ("of an unknown topic", ask(&unknown, 0, Some(&[1]))),
        ("taken back of an unknown topic", ask(&unknown, 0, None)),
    ] {
        c.new_call(step, request).await;
    }
    let list = |topics: Option<&[(&str, &[i32])]>| {
        let topics = topics.map(|topics| {
            topics
                .iter()
                .map(|(name, partitions)| ListPartitionReassignmentsTopics {
                    name: s(name),
                    partition_indexes: partitions.to_vec(),
                })
                .collect()
        });
        of!(ListPartitionReassignmentsRequest<'static> { timeout_ms: 10_000, topics })
    };
    c.new_call("all", list(None)).await;
    c.new_call("of a topic", list(Some(&[(t, &[0, 1])]))).await;
    c.new_call("of an unknown partition", list(Some(&[(t, &[9])]))).await;
    c.new_call("listed of an unknown topic", list(Some(&[(&unknown, &[0])]))).await;
    c.new_call("of none", list(Some(&[]))).await;
}
