//! What a group machine is asked, and what it answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;
use bytes::Bytes;

use super::classic::GroupState;
use super::id::{GroupId, InstanceId, MemberId, TopicName};
use super::offset::CommittedOffset;

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
    /// OffsetCommit.
    Commit(CommitOffsets),
    /// OffsetFetch, one group.
    FetchOffsets(FetchOffsets),
    /// DescribeGroups, one group.
    Describe(GroupId),
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
    /// To `Leave`: one result per member asked for, in order.
    Leave(Result<Vec<Result<(), ErrorCode>>, ErrorCode>),
    /// To `Commit`: one result per offset, in order; or one error for all.
    Commit(Result<Vec<Result<(), ErrorCode>>, ErrorCode>),
    /// To `FetchOffsets`, in the order asked for, or by topic and partition if all were asked for.
    Offsets(Vec<FetchedOffset>),
    /// To `Describe`; `None` if there is no such group.
    Description(Option<GroupDescription>),
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

/// Offsets to remember.
#[derive(Clone, Debug)]
pub struct CommitOffsets {
    /// The group.
    pub group_id: GroupId,
    /// -1 from a client that does not take part in the group's generations.
    pub generation: i32,
    /// Empty from such a client.
    pub member_id: MemberId,
    /// The static name.
    pub instance_id: Option<InstanceId>,
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

/// Which committed offsets are wanted.
#[derive(Clone, Debug)]
pub struct FetchOffsets {
    /// The group.
    pub group_id: GroupId,
    /// `None` for all of the group's offsets.
    pub partitions: Option<Vec<(TopicName, i32)>>,
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
    /// The members; metadata and assignment are empty unless the group is Stable.
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
}

/// A group as ListGroups shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupListing {
    /// The group.
    pub group_id: GroupId,
    /// Empty if only offsets were ever committed.
    pub protocol_type: Arc<str>,
    /// Where the group stands.
    pub state: GroupState,
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
