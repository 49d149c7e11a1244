//! CreateTopics, Metadata, DescribeTopicPartitions, CreatePartitions, DeleteTopics.

use aquifer_broker_protocol::Uuid;
use aquifer_broker_protocol::message::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use aquifer_broker_protocol::message::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
};
use aquifer_broker_protocol::message::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use aquifer_broker_protocol::message::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, TopicRequest,
};
use aquifer_broker_protocol::message::metadata::{MetadataRequest, MetadataRequestTopic};

use super::caller::Caller;
use super::requests::{create, metadata, of, s, topic};

pub(crate) async fn script(c: &mut Caller) {
    creating(c).await;
    metadata_of(c).await;
    describing(c).await;
    growing(c).await;
    deleting(c).await;
}

async fn creating(c: &mut Caller) {
    for version in 2..=7 {
        let name = c.name(&format!("made-{version}"));
        c.call("a topic", version, create(vec![topic(&name, 2, &[])])).await;
    }
    let name = |name: &str| c.name(name);
    let (one, taken) = (name("one"), name("made-7"));
    let long = format!("{}{}", name("x"), "y".repeat(250));
    let try_only = |topics| of!(CreateTopicsRequest<'static> { topics, timeout_ms: 20_000, validate_only: true });
    let of_replicas = |count| of!(CreatableTopic<'static> { name: s(&one), num_partitions: 1, replication_factor: count });
    let assigned = |partitions: &[(i32, &[i32])]| {
        let assignments = partitions
            .iter()
            .map(|(partition_index, brokers)| CreatableReplicaAssignment {
                partition_index: *partition_index,
                broker_ids: brokers.to_vec(),
            })
            .collect();
        of!(CreatableTopic<'static> { name: s(&one), num_partitions: -1, replication_factor: -1, assignments })
    };
    let steps: Vec<(&str, CreatableTopic<'static>)> = vec![
        ("a name that is taken", topic(&taken, 1, &[])),
        ("a name of only dots", topic("..", 1, &[])),
        ("an empty name", topic("", 1, &[])),
        ("a name with a blank", topic(&format!("{one} x"), 1, &[])),
        ("a name that is too long", topic(&long, 1, &[])),
        ("a name that differs in a dot", topic(&taken.replace('-', "."), 1, &[])),
        ("no partitions", topic(&one, 0, &[])),
        ("partitions below the default", topic(&one, -2, &[])),
        ("default partitions", topic(&one, -1, &[])),
        ("three replicas", of_replicas(3)),
        ("no replicas", of_replicas(0)),
        ("default replicas", of_replicas(-1)),
        ("a config", topic(&one, 1, &[("retention.ms", "1000")])),
        (
            "configs",
            topic(&one, 1, &[("cleanup.policy", "compact,delete"), ("segment.bytes", "1048576")]),
        ),
        ("an unknown config", topic(&one, 1, &[("retention.msx", "1")])),
        ("a config of another type", topic(&one, 1, &[("retention.ms", "soon")])),
        ("a config out of bounds", topic(&one, 1, &[("max.message.bytes", "-5")])),
        ("an unknown policy", topic(&one, 1, &[("cleanup.policy", "burn")])),
        ("assigned", assigned(&[(0, &[1]), (1, &[1])])),
        ("assigned to a broker that is not there", assigned(&[(0, &[7])])),
        ("assigned with a gap", assigned(&[(0, &[1]), (2, &[1])])),
        ("assigned twice to one broker", assigned(&[(0, &[1, 1])])),
        ("assigned to nobody", assigned(&[(0, &[])])),
        ("assigned and counted", CreatableTopic { num_partitions: 2, ..assigned(&[(0, &[1])]) }),
    ];
    for (step, wanted) in steps {
        c.new_call(step, try_only(vec![wanted.clone()])).await;
        c.call(step, 4, try_only(vec![wanted])).await;
    }
    let twice = vec![topic(&one, 1, &[]), topic(&one, 2, &[])];
    c.new_call("a name twice", create(twice)).await;
    c.new_call("nothing", create(vec![])).await;
    let some = vec![topic(&taken, 1, &[]), topic(&c.name("good"), 1, &[("retention.ms", "60000")])];
    c.new_call("one good and one taken", create(some)).await;
}

async fn metadata_of(c: &mut Caller) {
    let (known, id) = c.topic("known", 3, &[]).await;
    let unknown = c.name("unknown");
    c.calls("a topic", 4, |_| metadata(&[&known])).await;
    let old = || {
        let topic = of!(MetadataRequestTopic<'static> { name: Some(s(&known)) });
        of!(MetadataRequest<'static> { topics: Some(vec![topic]), allow_auto_topic_creation: true })
    };
    for version in 0..4 {
        c.call("a topic", version, old()).await;
    }
    c.calls("an unknown topic", 4, |_| metadata(&[&unknown])).await;
    c.calls("none", 1, |_| of!(MetadataRequest<'static> { topics: Some(vec![]) })).await;
    for version in [0, 1, 4, 9, 12] {
        let all = of!(MetadataRequest<'static> { topics: if version == 0 { Some(vec![]) } else { None } });
        let prefix = c.name("");
        c.call_then("all", version, all, |answer| {
            answer.topics.retain(|topic| {
                topic.name.as_deref().is_some_and(|name| name.starts_with(&prefix))
            });
        })
        .await;
    }
    let by_id = |topic_id| {
        let topics = Some(vec![of!(MetadataRequestTopic<'static> { topic_id })]);
        of!(MetadataRequest<'static> { topics, allow_auto_topic_creation: false })
    };
    c.calls("a topic by id", 12, |_| by_id(id)).await;
    c.calls("an unknown id", 12, |_| by_id(Uuid([7; 16]))).await;
    c.call("by id in a version for names", 11, by_id(id)).await;
    c.new_call("an id of zeros", by_id(Uuid::ZERO)).await;
    c.new_call("a bad name", metadata(&["a b"])).await;
    c.new_call("an empty name", metadata(&[""])).await;
    let making = |name: &str| {
        let topics = Some(vec![of!(MetadataRequestTopic<'static> { name: Some(s(name)) })]);
        of!(MetadataRequest<'static> { topics, allow_auto_topic_creation: true })
    };
    c.new_call("a bad name to be made", making("a b")).await;
    let made = c.name("made-by-asking");
    c.settle(12, || making(&made), |answer| answer.topics.iter().all(|t| t.error_code == 0)).await;
    c.settle(
        12,
        || metadata(&[&made]),
        |a| a.topics.iter().all(|t| t.partitions.iter().all(|p| p.leader_id >= 0)),
    )
    .await;
    c.new_call("made by asking", metadata(&[&made])).await;
    let operations = of!(MetadataRequest<'static> {
        topics: Some(vec![of!(MetadataRequestTopic<'static> { name: Some(s(&known)) })]),
        allow_auto_topic_creation: false,
        include_topic_authorized_operations: true,
    });
    c.new_call("with operations", operations.clone()).await;
    let cluster = MetadataRequest { include_cluster_authorized_operations: true, ..operations };
    c.call("with operations of the cluster", 10, cluster).await;
}

async fn describing(c: &mut Caller) {
    let (five, _) = c.topic("five", 5, &[]).await;
    let (six, _) = c.topic("six", 6, &[]).await;
    let unknown = c.name("unknown");
    let ask = |names: &[&str], limit: i32, cursor: Option<(&str, i32)>| {
        let topics = names.iter().map(|name| TopicRequest { name: s(name) }).collect();
        let cursor = cursor.map(|(name, partition_index)| {
            Box::new(Cursor { topic_name: s(name), partition_index })
        });
        of!(DescribeTopicPartitionsRequest<'static> { topics, response_partition_limit: limit, cursor })
    };
    c.call("two topics", 0, ask(&[&six, &five], 2000, None)).await;
    c.call("a topic twice", 0, ask(&[&five, &five], 2000, None)).await;
    c.call("an unknown topic", 0, ask(&[&unknown, &five], 2000, None)).await;
    c.call("a bad name", 0, ask(&["a b"], 2000, None)).await;
    c.call("a page", 0, ask(&[&five, &six], 3, None)).await;
    c.call("a page over two topics", 0, ask(&[&five, &six], 7, None)).await;
    c.call("a page that ends with a topic", 0, ask(&[&five, &six], 5, None)).await;
    c.call("from a cursor", 0, ask(&[&five, &six], 4, Some((&five, 3)))).await;
    c.call("from a cursor of the second topic", 0, ask(&[&five, &six], 4, Some((&six, 2)))).await;
    c.call("from a cursor past the end", 0, ask(&[&five, &six], 4, Some((&five, 9)))).await;
    c.call("from a cursor below zero", 0, ask(&[&five], 4, Some((&five, -1)))).await;
    c.call("no limit", 0, ask(&[&five], 0, None)).await;
    c.call("a limit below zero", 0, ask(&[&five], -1, None)).await;
}

async fn growing(c: &mut Caller) {
    let (grown, _) = c.topic("grown", 2, &[]).await;
    let ask = |name: &str, count: i32, assigned: Option<&[&[i32]]>, validate_only: bool| {
        let assignments = assigned.map(|partitions| {
            let brokers = partitions.iter().map(|brokers| brokers.to_vec());
            brokers.map(|broker_ids| CreatePartitionsAssignment { broker_ids }).collect()
        });
        let topics = vec![CreatePartitionsTopic { name: s(name), count, assignments }];
        CreatePartitionsRequest { topics, timeout_ms: 20_000, validate_only }
    };
    let unknown = c.name("unknown");
    c.calls("trying only", 0, |_| ask(&grown, 4, None, true)).await;
    for (step, request) in [
        ("as many as there are", ask(&grown, 2, None, false)),
        ("fewer", ask(&grown, 1, None, false)),
        ("none", ask(&grown, 0, None, false)),
        ("below zero", ask(&grown, -1, None, false)),
        ("an unknown topic", ask(&unknown, 4, None, false)),
        ("assigned to a broker that is not there", ask(&grown, 3, Some(&[&[7]]), false)),
        ("assigned too few", ask(&grown, 5, Some(&[&[1]]), false)),
        ("assigned two replicas", ask(&grown, 3, Some(&[&[1, 1]]), false)),
        ("assigned", ask(&grown, 3, Some(&[&[1]]), false)),
        ("more", ask(&grown, 5, None, false)),
    ] {
        c.new_call(step, request).await;
    }
    let twice = CreatePartitionsTopic { name: s(&grown), count: 9, assignments: None };
    let twice = CreatePartitionsRequest {
        topics: vec![twice.clone(), twice],
        timeout_ms: 1000,
        validate_only: false,
    };
    c.new_call("a topic twice", twice).await;
    c.settle(
        12,
        || metadata(&[&grown]),
        |answer| answer.topics.iter().all(|t| t.partitions.len() == 5),
    )
    .await;
    c.settle(
        12,
        || metadata(&[&grown]),
        |answer| answer.topics.iter().all(|t| t.partitions.iter().all(|p| p.leader_id >= 0)),
    )
    .await;
    c.new_call("after it grew", metadata(&[&grown])).await;
}

async fn deleting(c: &mut Caller) {
    let by_name = |version: i16, name: &str| {
        if version >= 6 {
            let topics = vec![DeleteTopicState { name: Some(s(name)), topic_id: Uuid::ZERO }];
            of!(DeleteTopicsRequest<'static> { topics, timeout_ms: 20_000 })
        } else {
            of!(DeleteTopicsRequest<'static> { topic_names: vec![s(name)], timeout_ms: 20_000 })
        }
    };
    for version in 1..=6 {
        let (name, _) = c.topic(&format!("gone-{version}"), 1, &[]).await;
        c.call("a topic", version, by_name(version, &name)).await;
        c.call("a topic again", version, by_name(version, &name)).await;
    }
    let (kept, kept_id) = c.topic("kept", 1, &[]).await;
    let (_, id) = c.topic("gone-by-id", 1, &[]).await;
    let by = |states: &[(Option<&str>, Uuid)]| {
        let topics = states
            .iter()
            .map(|(name, topic_id)| DeleteTopicState { name: name.map(s), topic_id: *topic_id })
            .collect();
        of!(DeleteTopicsRequest<'static> { topics, timeout_ms: 20_000 })
    };
    c.call("by id", 6, by(&[(None, id)])).await;
    c.call("by id again", 6, by(&[(None, id)])).await;
    c.call("by an unknown id", 6, by(&[(None, Uuid([9; 16]))])).await;
    c.call("neither name nor id", 6, by(&[(None, Uuid::ZERO)])).await;
    c.call("name and id", 6, by(&[(Some(&kept), kept_id)])).await;
    c.call("a name twice", 6, by(&[(Some(&kept), Uuid::ZERO), (Some(&kept), Uuid::ZERO)])).await;
    c.call("an empty name", 6, by(&[(Some(""), Uuid::ZERO)])).await;
    c.call("nothing", 6, by(&[])).await;
    c.new_call("what was kept", metadata(&[&kept])).await;
}
