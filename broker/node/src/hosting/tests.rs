//! The machines over real logs: what was answered is there after a stop of any kind.

use std::path::Path;
use std::sync::Arc;

use aquifer_broker_coordinator::group::command::*;
use aquifer_broker_coordinator::group::id::{GroupId, MemberId, TopicName};
use aquifer_broker_coordinator::topic::command::{CreateTopic, Existing, RunMode, TopicRef};
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::batch::RecordBatch;
use bytes::Bytes;
use futures_util::future::join_all;

use super::*;
use crate::partition::{CleanerSettings, FlushMode, LogSlice, PartitionsSettings, ReadBound};

pub(super) struct Stack {
    pub(super) partitions: Arc<Partitions>,
    pub(super) hosting: Arc<Hosting>,
}

impl Stack {
    pub(super) async fn open(data_dir: &Path) -> Result<Self, HostError> {
        let clock = Clock::system();
        let partitions = Partitions::open(PartitionsSettings {
            node_id: 1,
            data_dir: data_dir.to_owned(),
            flush_mode: FlushMode::Commit,
            writer_threads: 1,
            queue_bytes_max: 1 << 20,
            tail_cache_bytes_max: 1 << 20,
            free_bytes_min: 0,
            retention_check_ms: 300_000,
            cleaner: CleanerSettings::default(),
            clock: clock.clone(),
        });
        let partitions = partitions.await.unwrap();
        let settings = Arc::new(BrokerSettings::new(&[]).unwrap());
        let hosting = Hosting::start(settings, Arc::clone(&partitions), &clock).await?;
        Ok(Self { partitions, hosting })
    }

    pub(super) async fn stop_cleanly(self) {
        self.hosting.stop().await;
        self.partitions.close().await.unwrap();
    }

    /// Leaves the data directory without the marker of a clean stop.
    pub(super) async fn stop_uncleanly(self) {
        self.hosting.stop().await;
    }

    pub(super) async fn create(&self, name: &str, partition_count: i32) -> Result<(), ErrorCode> {
        let create = CreateTopic {
            name: TopicName::from(name),
            topic_id: new_topic_id(),
            partition_count,
            configs: vec![(Arc::from("retention.ms"), Arc::from("1000"))],
            mode: RunMode::Apply,
            existing: Existing::IsAnError,
        };
        self.hosting.create_topic(create).await.map(drop).map_err(|refusal| refusal.code)
    }

    async fn join_and_sync(&self, group_id: &str) -> MemberId {
        let join = JoinGroup {
            group_id: GroupId::from(group_id),
            member_id: MemberId::from(""),
            instance_id: None,
            unique_suffix: "1".to_owned(),
            client_id: Arc::from("client"),
            client_host: Arc::from("/127.0.0.1"),
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: 30_000,
            protocol_type: Arc::from("consumer"),
            protocols: vec![(Arc::from("range"), Bytes::new())],
            new_member: NewMemberRule::AcceptAtOnce,
            knows_skip_assignment: true,
        };
        let reply = self.hosting.ask_group(group_id, GroupCommand::Join(join)).await.unwrap();
        let GroupReply::Join(JoinReply { member_id, result: Ok(joined) }) = reply else {
            panic!("{reply:?}")
        };
        let sync = SyncGroup {
            group_id: GroupId::from(group_id),
            generation: joined.generation,
            member_id: member_id.clone(),
            instance_id: None,
            protocol_type: None,
            protocol: None,
            assignments: vec![(member_id.clone(), Bytes::from_static(b"all"))],
        };
        let reply = self.hosting.ask_group(group_id, GroupCommand::Sync(sync)).await.unwrap();
        assert!(matches!(reply, GroupReply::Sync(Ok(_))), "{reply:?}");
        member_id
    }

    async fn beat(&self, group_id: &str, member_id: &MemberId) -> GroupReply {
        let heartbeat = Heartbeat {
            group_id: GroupId::from(group_id),
            generation: 1,
            member_id: member_id.clone(),
            instance_id: None,
        };
        self.hosting.ask_group(group_id, GroupCommand::Heartbeat(heartbeat)).await.unwrap()
    }

    async fn commit(
        &self,
        group_id: &str,
        topic: &str,
        offset: i64,
    ) -> Result<GroupReply, HostError> {
        let offset = OffsetToCommit {
            topic: TopicName::from(topic),
            partition: 0,
            offset,
            leader_epoch: -1,
            metadata: Arc::from(""),
        };
        let commit = CommitOffsets {
            group_id: GroupId::from(group_id),
            generation: -1,
            member_id: MemberId::from(""),
            instance_id: None,
            knows_member_epochs: true,
            offsets: vec![offset],
        };
        self.hosting.ask_group(group_id, GroupCommand::Commit(commit)).await
    }

    /// The committed offsets of a group, as `topic@offset`.
    pub(super) async fn committed(&self, group_id: &str) -> Vec<String> {
        let fetch =
            FetchOffsets { group_id: GroupId::from(group_id), partitions: None, member: None };
        let reply =
            self.hosting.ask_group(group_id, GroupCommand::FetchOffsets(fetch)).await.unwrap();
        let GroupReply::Offsets(Ok(offsets)) = reply else { panic!("{reply:?}") };
        offsets
            .iter()
            .map(|offset| format!("{}@{}", offset.topic, offset.committed.as_ref().unwrap().offset))
            .collect()
    }

    fn topics(&self) -> Vec<String> {
        self.hosting
            .image()
            .topics()
            .map(|topic| format!("{}:{}", topic.name, topic.partition_count()))
            .collect()
    }
}

#[tokio::test]
async fn topics_producer_ids_and_generations_outlive_any_stop() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("a", 3).await.unwrap();
    stack.hosting.ensure_topic("b").await.unwrap();
    let first_id = stack.hosting.next_producer_id().await.unwrap();
    assert_eq!(stack.topics(), ["a:3", "b:1"]);
    assert_eq!(stack.partitions.get("a", 2).unwrap().leader_epoch(), 0);
    stack.stop_cleanly().await;

    let stack = Stack::open(folder.path()).await.unwrap();
    assert_eq!(stack.topics(), ["a:3", "b:1"]);
    assert_eq!(stack.hosting.image().topic("a").unwrap().config("retention.ms"), Some("1000"));
    assert_eq!(stack.partitions.get("a", 2).unwrap().leader_epoch(), 0);
    let second_id = stack.hosting.next_producer_id().await.unwrap();
    assert!(second_id >= first_id + 1000, "{second_id} after {first_id}");
    stack.stop_uncleanly().await;

    let stack = Stack::open(folder.path()).await.unwrap();
    assert_eq!(stack.topics(), ["a:3", "b:1"]);
    assert_eq!(stack.partitions.get("a", 2).unwrap().leader_epoch(), 1);
    assert!(stack.hosting.next_producer_id().await.unwrap() >= second_id + 1000);
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn producer_ids_are_unique_under_concurrency() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    let ids = join_all((0..2500).map(|_| stack.hosting.next_producer_id())).await;
    let ids = ids.into_iter().map(Result::unwrap).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids.len(), 2500);
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn a_stable_group_goes_on_after_any_stop() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("t", 1).await.unwrap();
    let member_id = stack.join_and_sync("g").await;
    stack.stop_uncleanly().await;

    let stack = Stack::open(folder.path()).await.unwrap();
    assert_eq!(stack.beat("g", &member_id).await, GroupReply::Heartbeat(Ok(())));
    stack.stop_cleanly().await;

    let stack = Stack::open(folder.path()).await.unwrap();
    assert_eq!(stack.beat("g", &member_id).await, GroupReply::Heartbeat(Ok(())));
    let listed = stack.hosting.list_groups(&ListGroups::default()).await.unwrap();
    assert_eq!(
        listed.iter().map(|group| (&*group.group_id, group.state)).collect::<Vec<_>>(),
        [("g", "Stable")]
    );
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn offsets_of_a_deleted_topic_are_gone_for_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    for topic in ["t", "u"] {
        stack.create(topic, 1).await.unwrap();
        stack.commit("g", topic, 7).await.unwrap();
    }
    let old_id = stack.hosting.image().topic("t").unwrap().id;
    stack.hosting.delete_topic(TopicRef::Id(old_id)).await.unwrap();
    assert!(stack.partitions.get("t", 0).is_none());
    stack.create("t", 2).await.unwrap();
    assert_ne!(stack.hosting.image().topic("t").unwrap().id, old_id);
    assert_eq!(stack.partitions.get("t", 1).unwrap().offsets().log_end, 0);
    assert_eq!(stack.committed("g").await, ["u@7"]);
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn what_a_stop_left_of_a_deleted_topic_is_removed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.create("t", 1).await.unwrap();
    stack.commit("g", "t", 7).await.unwrap();
    stack.commit("g", "ghost", 7).await.unwrap();
    stack.stop_cleanly().await;
    std::fs::create_dir(folder.path().join("ghost-0")).unwrap();

    let stack = Stack::open(folder.path()).await.unwrap();
    assert_eq!(stack.committed("g").await, ["t@7"]);
    assert!(!folder.path().join("ghost-0").exists());
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn partitions_without_a_metadata_log_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("orders-0")).unwrap();
    let error = Stack::open(folder.path()).await.err().unwrap();
    assert!(matches!(error, HostError::MetadataMissing { .. }), "{error}");
    assert!(folder.path().join("orders-0").exists());
}

#[tokio::test]
async fn commits_that_wait_are_appended_together() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    let commits = join_all((0..200).map(|offset| stack.commit("g", "t", offset))).await;
    assert!(
        commits.into_iter().all(|reply| reply.unwrap() == GroupReply::Commit(Ok(vec![Ok(())])))
    );
    let index =
        i32::try_from(aquifer_broker_coordinator::group::id::partition_for("g", 50)).unwrap();
    let log = stack.partitions.get(CONSUMER_OFFSETS, index).unwrap();
    let read = log.read(0, 1 << 20, ReadBound::HighWatermark).unwrap();
    let batches = read.slices.iter().map(|slice| match slice {
        LogSlice::Bytes(bytes) => RecordBatch::parse_all(bytes).count(),
        LogSlice::File(range) => panic!("{range:?}: too old for the cache"),
    });
    let batches = batches.sum::<usize>();
    assert!(batches < 10, "{batches} appends");
    assert_eq!(stack.committed("g").await.len(), 1);
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn an_append_that_fails_is_told_and_the_machine_starts_over_from_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.commit("g", "t", 7).await.unwrap();
    let index =
        i32::try_from(aquifer_broker_coordinator::group::id::partition_for("g", 50)).unwrap();
    stack.partitions.delete(CONSUMER_OFFSETS, index).await.unwrap();
    let error = stack.commit("g", "t", 8).await.unwrap_err();
    assert_eq!(error.group_code(), ErrorCode::NotCoordinator, "{error}");
    assert_eq!(stack.committed("g").await, Vec::<String>::new());
    stack.hosting.stop().await;
}

#[tokio::test]
async fn a_group_is_unknown_before_anything_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    let describe = GroupCommand::Describe(GroupId::from("g"));
    let described = stack.hosting.ask_group("g", describe).await.unwrap();
    assert!(matches!(described, GroupReply::Description(Err(_))), "{described:?}");
    let unknown = GroupReply::Heartbeat(Err(ErrorCode::UnknownMemberId));
    assert_eq!(stack.beat("g", &MemberId::from("m")).await, unknown);
    assert_eq!(stack.topics(), Vec::<String>::new());
    stack.stop_cleanly().await;
}

#[tokio::test]
async fn requests_after_the_stop_are_told_to_look_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::open(folder.path()).await.unwrap();
    stack.commit("g", "t", 7).await.unwrap();
    stack.hosting.stop().await;
    assert_eq!(
        stack.commit("g", "t", 8).await.unwrap_err().group_code(),
        ErrorCode::NotCoordinator
    );
    assert_eq!(stack.create("u", 1).await, Err(ErrorCode::NotController));
}
