//! What a group machine is asked, and what it answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;
use bytes::Bytes;

use super::classic::GroupState;
use super::consumer::describe::ConsumerGroupDescription;
use super::consumer::draft::Refusal;
use super::consumer::member::Assignment;
use super::id::{GroupId, InstanceId, MemberId, TopicName};
use super::offset::CommittedOffset;
use crate::transaction::state::{Outcome, Producer};

/// A request to the machine of one `__consumer_offsets` partition.
#[derive(Clone, Debug)]
pub enum GroupCommand {
    /// JoinGroup.
    Join(JoinGroup),
    /// SyncGroup.
    Sync(SyncGroup),
    /// Heartbeat.
    Heartbeat(Heartbeat),
    /// LeaveGroup.
    Leave(LeaveGroup),
    /// ConsumerGroupHeartbeat.
    ConsumerHeartbeat(ConsumerHeartbeat),
    /// OffsetCommit.
    Commit(CommitOffsets),
    /// TxnOffsetCommit.
    CommitInTransaction(CommitInTransaction),
    /// The marker of a transaction that offsets were committed in.
    EndTransaction(EndOffsets),
    /// OffsetFetch, one group.
    FetchOffsets(FetchOffsets),
    /// OffsetDelete.
    DeleteOffsets(DeleteOffsets),
    /// DescribeGroups, one group.
    Describe(GroupId),
    /// ConsumerGroupDescribe, one group.
    DescribeConsumer(GroupId),
    /// ListGroups.
    List(ListGroups),
    /// DeleteGroups, one group.
    Delete(GroupId),
    /// Drops the offsets of topics for which `ForgetTopics` names the rule.
    ForgetTopics(ForgetTopics),
}

/// The answer to the command of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupReply {
    /// To `Join`.
    Join(JoinReply),
    /// To `Sync`.
    Sync(Result<Synced, ErrorCode>),
    /// To `Heartbeat`.
    Heartbeat(Result<(), ErrorCode>),
    /// To `ConsumerHeartbeat`.
    ConsumerHeartbeat(Result<HeartbeatReply, Refusal>),
    /// To `Leave`: one result per member asked for, in order.
    Leave(Result<Vec<Result<(), ErrorCode>>, ErrorCode>),
    /// To `Commit` and `CommitInTransaction`: one result per offset, in order; or one error for all.
    Commit(Result<Vec<Result<(), ErrorCode>>, ErrorCode>),
    /// To `EndTransaction`.
    TransactionEnded,
    /// To `FetchOffsets`, in the order asked for, or by topic and partition if all were asked for.
    Offsets(Result<Vec<FetchedOffset>, ErrorCode>),
    /// To `DeleteOffsets`: one result per topic asked for, in order; or one error for all.
    OffsetsDeleted(Result<Vec<Result<(), ErrorCode>>, ErrorCode>),
    /// To `Describe`.
    Description(Result<GroupDescription, Refusal>),
    /// To `DescribeConsumer`.
    ConsumerDescription(Result<ConsumerGroupDescription, Refusal>),
    /// To `List`.
    Listing(Vec<GroupListing>),
    /// To `Delete`.
    Delete(Result<(), ErrorCode>),
    /// To `ForgetTopics`.
    Forgotten,
}

/// Whether a new dynamic member must come back with the id it is told (KIP-394).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewMemberRule {
    /// Answer MEMBER_ID_REQUIRED first. Since v4 of JoinGroup.
    MustReturnWithId,
    /// Accept at once. Before v4.
    AcceptAtOnce,
}

/// A member asks to take part in the next generation.
#[derive(Clone, Debug)]
pub struct JoinGroup {
    /// The group; created if it does not exist and the member is new.
    pub group_id: GroupId,
    /// Empty for a new member.
    pub member_id: MemberId,
    /// Set by static members (KIP-345).
    pub instance_id: Option<InstanceId>,
    /// A fresh unique suffix for the member id, if one has to be made.
    pub unique_suffix: String,
    /// From the request's header.
    pub client_id: Arc<str>,
    /// The peer's address.
    pub client_host: Arc<str>,
    /// How long the member may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for the member to join again, in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, ….
    pub protocol_type: Arc<str>,
    /// The protocols (assignors) the member can run and its metadata for each, the preferred one first.
    pub protocols: Vec<(Arc<str>, Bytes)>,
    /// What the request's version demands of new members.
    pub new_member: NewMemberRule,
    /// Whether the client knows `skip_assignment`. Since v9 of JoinGroup (KIP-814).
    pub knows_skip_assignment: bool,
}

/// What a joiner is told.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinReply {
    /// The member's id, or the id to come back with, or empty.
    pub member_id: MemberId,
    /// The generation joined.
    pub result: Result<Joined, ErrorCode>,
}

/// The generation that a member has joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// The generation's number.
    pub generation: i32,
    /// `consumer`, `connect`, ….
    pub protocol_type: Option<Arc<str>>,
    /// The protocol selected for the generation.
    pub protocol: Option<Arc<str>>,
    /// The member that computes the assignment.
    pub leader: MemberId,
    /// The leader of a restored assignment must not compute a new one (KIP-814).
    pub skip_assignment: bool,
    /// All members and their metadata; empty unless the reply goes to the leader.
    pub members: Vec<JoinedMember>,
}

/// One member as the leader sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinedMember {
    /// The member's id.
    pub member_id: MemberId,
    /// The static name.
    pub instance_id: Option<InstanceId>,
    /// The member's metadata for the selected protocol.
    pub metadata: Bytes,
}

/// A member asks for its assignment; the leader brings everyone's.
#[derive(Clone, Debug)]
pub struct SyncGroup {
    /// The group.
    pub group_id: GroupId,
    /// The generation that the member joined.
    pub generation: i32,
    /// The member.
    pub member_id: MemberId,
    /// Its static name.
    pub instance_id: Option<InstanceId>,
    /// If given, must be the group's. Since v5 (KIP-559).
    pub protocol_type: Option<Arc<str>>,
    /// If given, must be the selected one. Since v5 (KIP-559).
    pub protocol: Option<Arc<str>>,
    /// From the leader only.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The selected protocol.
    pub protocol: Option<Arc<str>>,
    /// What the leader assigned, as it sent it.
    pub assignment: Bytes,
}

/// A member says that it lives.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The group.
    pub group_id: GroupId,
    /// The generation that the member believes in.
    pub generation: i32,
    /// The member.
    pub member_id: MemberId,
    /// Its static name.
    pub instance_id: Option<InstanceId>,
}

/// Members are taken out of the group.
#[derive(Clone, Debug)]
pub struct LeaveGroup {
    /// The group.
    pub group_id: GroupId,
    /// Who leaves: by member id, or by static name with an empty member id.
    pub members: Vec<(MemberId, Option<InstanceId>)>,
}

/// A member of a consumer group says what it wants and holds. What it leaves out has not changed.
#[derive(Clone, Debug)]
pub struct ConsumerHeartbeat {
    /// The group; created if it does not exist and the member joins.
    pub group_id: GroupId,
    /// The member; made by the client.
    pub member_id: MemberId,
    /// The epoch it was last told; 0 to join, -1 to leave, -2 to leave for a while.
    pub member_epoch: i32,
    /// The static name.
    pub instance_id: Option<InstanceId>,
    /// The rack it runs in.
    pub rack_id: Option<Arc<str>>,
    /// How long it may take to give partitions up, in milliseconds, or -1.
    pub rebalance_timeout_ms: i32,
    /// The topics it wants.
    pub topics: Option<BTreeSet<TopicName>>,
    /// A regular expression for further topics; empty for none.
    pub regex: Option<Arc<str>>,
    /// The server-side assignor it asks for.
    pub assignor: Option<Arc<str>>,
    /// The partitions that it holds.
    pub owned: Option<Assignment>,
    /// From the request's header.
    pub client_id: Arc<str>,
    /// The peer's address.
    pub client_host: Arc<str>,
}

/// What a member of a consumer group is told.
#[derive(Clone, Debug, PartialEq)]
pub struct HeartbeatReply {
    /// Its id.
    pub member_id: MemberId,
    /// The epoch that its next heartbeat must name.
    pub member_epoch: i32,
    /// How long until then, in milliseconds.
    pub heartbeat_interval_ms: i32,
    /// What it may use, if that has changed or it asks for all.
    pub assignment: Option<Assignment>,
}

/// Offsets to remember.
#[derive(Clone, Debug)]
pub struct CommitOffsets {
    /// The group.
    pub group_id: GroupId,
    /// The member's generation or epoch; -1 from a client that takes no part in the group.
    pub generation: i32,
    /// Empty from such a client.
    pub member_id: MemberId,
    /// The static name.
    pub instance_id: Option<InstanceId>,
    /// Whether `generation` may be an epoch. Since v9 of OffsetCommit (KIP-848), and in transactions.
    pub knows_member_epochs: bool,
    /// The offsets; topics and partitions are known to exist.
    pub offsets: Vec<OffsetToCommit>,
}

/// One offset of a commit.
#[derive(Clone, Debug)]
pub struct OffsetToCommit {
    /// The topic.
    pub topic: TopicName,
    /// The partition index.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// The client's own note.
    pub metadata: Arc<str>,
}

/// Offsets to remember once the producer's transaction is committed.
#[derive(Clone, Debug)]
pub struct CommitInTransaction {
    /// The producer; its transaction is known to be open and to cover the group's partition.
    pub producer: Producer,
    /// The group and its offsets.
    pub commit: CommitOffsets,
}

/// The end of a transaction that offsets were committed in.
#[derive(Clone, Debug)]
pub struct EndOffsets {
    /// The producer, with the epoch of the marker.
    pub producer: Producer,
    /// Whether the offsets count.
    pub outcome: Outcome,
    /// The leader epoch of the transaction coordinator's log.
    pub coordinator_epoch: i32,
}

/// Which committed offsets are wanted.
#[derive(Clone, Debug)]
pub struct FetchOffsets {
    /// The group.
    pub group_id: GroupId,
    /// `None` for all of the group's offsets.
    pub partitions: Option<Vec<(TopicName, i32)>>,
    /// The member that asks, with its epoch. Since v9 of OffsetFetch (KIP-848).
    pub member: Option<(MemberId, i32)>,
}

/// One offset of a fetch; `committed` is `None` where nothing was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchedOffset {
    /// The topic.
    pub topic: TopicName,
    /// The partition index.
    pub partition: i32,
    /// What was committed.
    pub committed: Option<CommittedOffset>,
    /// Whether an open transaction may change it.
    pub is_pending: bool,
}

/// A group as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupDescription {
    /// Where the group stands.
    pub state: GroupState,
    /// Empty if only offsets were ever committed.
    pub protocol_type: Arc<str>,
    /// The selected protocol, in state Stable only.
    pub protocol: Arc<str>,
    /// The members; their metadata is empty unless the group is Stable.
    pub members: Vec<MemberDescription>,
}

/// A member as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberDescription {
    /// The member's id.
    pub member_id: MemberId,
    /// The static name.
    pub instance_id: Option<InstanceId>,
    /// From the join request's header.
    pub client_id: Arc<str>,
    /// The peer's address.
    pub client_host: Arc<str>,
    /// For the selected protocol.
    pub metadata: Bytes,
    /// From the leader.
    pub assignment: Bytes,
}

/// Which groups to list; an empty set means no filter.
#[derive(Clone, Debug, Default)]
pub struct ListGroups {
    /// State names, compared without regard to case. Since v4 (KIP-518).
    pub states: BTreeSet<String>,
    /// Type names, compared without regard to case. Since v5 (KIP-848).
    pub types: BTreeSet<String>,
}

/// A group as ListGroups shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupListing {
    /// The group.
    pub group_id: GroupId,
    /// Empty if only offsets were ever committed.
    pub protocol_type: Arc<str>,
    /// Where the group stands, as its type names that.
    pub state: &'static str,
    /// Its type.
    pub group_type: GroupType,
}

/// The protocol that rules a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupType {
    /// JoinGroup and SyncGroup.
    Classic,
    /// ConsumerGroupHeartbeat (KIP-848).
    Consumer,
}

impl GroupType {
    /// The type's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// Offsets to forget.
#[derive(Clone, Debug)]
pub struct DeleteOffsets {
    /// The group.
    pub group_id: GroupId,
    /// Topics that exist, and partitions of each.
    pub topics: Vec<(TopicName, Vec<i32>)>,
}

/// Which topics' offsets are dropped from every group.
#[derive(Clone, Debug)]
pub enum ForgetTopics {
    /// These topics were deleted.
    Deleted(BTreeSet<TopicName>),
    /// Every topic but these: what a host asks after a replay, in case it stopped between the deletion of a
    /// topic and that of its offsets.
    AllBut(BTreeSet<TopicName>),
}
