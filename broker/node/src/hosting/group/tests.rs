//! Consumer groups over a real log, beside topics that change.

use std::sync::Arc;

use aquifer_broker_coordinator::group::command::*;
use aquifer_broker_coordinator::group::consumer::member::Assignment;
use aquifer_broker_coordinator::group::id::{GroupId, MemberId};

use super::super::tests::Stack;

fn beat(member_epoch: i32) -> ConsumerHeartbeat {
    let joins = member_epoch == 0;
    ConsumerHeartbeat {
        group_id: GroupId::from("g"),
        member_id: MemberId::from("m"),
        member_epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: if joins { 30_000 } else { -1 },
        topics: None,
        regex: joins.then(|| Arc::from("t.*")),
        assignor: None,
        owned: joins.then(Assignment::new),
        client_id: Arc::from("client"),
        client_host: Arc::from("/127.0.0.1"),
    }
}

/// The member's epoch, and how many partitions it has if it is told.
async fn told(stack: &Stack, member_epoch: i32) -> (i32, Option<usize>) {
    let command = GroupCommand::ConsumerHeartbeat(beat(member_epoch));
    let reply = stack.hosting.ask_group("g", command).await.unwrap();
    let GroupReply::ConsumerHeartbeat(Ok(reply)) = reply else { panic!("{reply:?}") };
    let count = |assignment: Assignment| assignment.values().map(|indexes| indexes.len()).sum();
    (reply.member_epoch, reply.assignment.map(count))
}

#[tokio::test]
async fn a_member_hears_of_a_topic_as_soon_as_it_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("t1", 2).await.unwrap();
    assert_eq!(told(&stack, 0).await, (2, Some(2)));
    assert_eq!(told(&stack, 2).await, (2, None));
    stack.create("t2", 3).await.unwrap();
    let command = GroupCommand::DescribeConsumer(GroupId::from("g"));
    told(&stack, 2).await;
    let reply = stack.hosting.ask_group("g", command).await.unwrap();
    let GroupReply::ConsumerDescription(Ok(group)) = reply else { panic!("{reply:?}") };
    assert_eq!(group.epoch, 3);
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn a_consumer_group_goes_on_after_any_stop() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("t", 2).await.unwrap();
    assert_eq!(told(&stack, 0).await, (2, Some(2)));
    stack.stop_uncleanly().await;

    let stack = Stack::open(folder.path()).await.unwrap();
    assert_eq!(told(&stack, 2).await, (2, None));
    stack.stop_cleanly().await;

    let stack = Stack::open(folder.path()).await.unwrap();
    // What regular expressions stand for is written, too: the topics are the same, and so is the epoch.
    assert_eq!(told(&stack, 2).await, (2, None));
    let listed = stack.hosting.list_groups(&ListGroups::default()).await.unwrap();
    let listed = listed.iter().map(|group| (&*group.group_id, group.state, group.group_type));
    assert_eq!(listed.collect::<Vec<_>>(), [("g", "Stable", GroupType::Consumer)]);
    stack.stop_cleanly().await;
}
