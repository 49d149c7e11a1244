//! Calls a broker in the wire protocol and notes each answer under the name of its step.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aquifer_broker_protocol::message::{self, Decode, Message};
use aquifer_broker_protocol::request_header::{RequestHeader, encode_request};
use aquifer_broker_protocol::response_header::read_response_header;
use aquifer_broker_protocol::{ApiKey, Segment};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a broker may take until something that was asked for is everywhere.
const SETTLING: Duration = Duration::from_secs(60);

/// A request, and what answers it.
pub(crate) trait Call: Message {
    /// Its API.
    const KEY: ApiKey;
    /// The answer.
    type Answer: Message + Decode<'static> + Debug + Default;
}

/// One row per API.
macro_rules! calls {
    ($( $key:ident, $module:ident :: $request:ident $(<$a:lifetime>)?, $answer:ident $(<$b:lifetime>)?; )*) => {
        /// The APIs that can be called.
        pub(crate) const CALLS: &[ApiKey] = &[$( ApiKey::$key, )*];
        $(
            impl Call for message::$module::$request $(<$a>)? {
                const KEY: ApiKey = ApiKey::$key;
                type Answer = message::$module::$answer $(<$b>)?;
            }
        )*
    };
}

// TABLE.
calls! {
    Produce, produce::ProduceRequest<'_>, ProduceResponse<'static>;
    Fetch, fetch::FetchRequest<'_>, FetchResponse<'static>;
    ListOffsets, list_offsets::ListOffsetsRequest<'_>, ListOffsetsResponse<'static>;
    Metadata, metadata::MetadataRequest<'_>, MetadataResponse<'static>;
    OffsetCommit, offset_commit::OffsetCommitRequest<'_>, OffsetCommitResponse<'static>;
    OffsetFetch, offset_fetch::OffsetFetchRequest<'_>, OffsetFetchResponse<'static>;
    FindCoordinator, find_coordinator::FindCoordinatorRequest<'_>, FindCoordinatorResponse<'static>;
    JoinGroup, join_group::JoinGroupRequest<'_>, JoinGroupResponse<'static>;
    Heartbeat, heartbeat::HeartbeatRequest<'_>, HeartbeatResponse;
    LeaveGroup, leave_group::LeaveGroupRequest<'_>, LeaveGroupResponse<'static>;
    SyncGroup, sync_group::SyncGroupRequest<'_>, SyncGroupResponse<'static>;
    DescribeGroups, describe_groups::DescribeGroupsRequest<'_>, DescribeGroupsResponse<'static>;
    ListGroups, list_groups::ListGroupsRequest<'_>, ListGroupsResponse<'static>;
    ApiVersions, api_versions::ApiVersionsRequest<'_>, ApiVersionsResponse<'static>;
    CreateTopics, create_topics::CreateTopicsRequest<'_>, CreateTopicsResponse<'static>;
    DeleteTopics, delete_topics::DeleteTopicsRequest<'_>, DeleteTopicsResponse<'static>;
    DeleteRecords, delete_records::DeleteRecordsRequest<'_>, DeleteRecordsResponse<'static>;
    InitProducerId, init_producer_id::InitProducerIdRequest<'_>, InitProducerIdResponse;
    OffsetForLeaderEpoch, offset_for_leader_epoch::OffsetForLeaderEpochRequest<'_>, OffsetForLeaderEpochResponse<'static>;
    AddPartitionsToTxn, add_partitions_to_txn::AddPartitionsToTxnRequest<'_>, AddPartitionsToTxnResponse<'static>;
    AddOffsetsToTxn, add_offsets_to_txn::AddOffsetsToTxnRequest<'_>, AddOffsetsToTxnResponse;
    EndTxn, end_txn::EndTxnRequest<'_>, EndTxnResponse;
    WriteTxnMarkers, write_txn_markers::WriteTxnMarkersRequest<'_>, WriteTxnMarkersResponse<'static>;
    TxnOffsetCommit, txn_offset_commit::TxnOffsetCommitRequest<'_>, TxnOffsetCommitResponse<'static>;
    DescribeConfigs, describe_configs::DescribeConfigsRequest<'_>, DescribeConfigsResponse<'static>;
    AlterConfigs, alter_configs::AlterConfigsRequest<'_>, AlterConfigsResponse<'static>;
    AlterReplicaLogDirs, alter_replica_log_dirs::AlterReplicaLogDirsRequest<'_>, AlterReplicaLogDirsResponse<'static>;
    DescribeLogDirs, describe_log_dirs::DescribeLogDirsRequest<'_>, DescribeLogDirsResponse<'static>;
    CreatePartitions, create_partitions::CreatePartitionsRequest<'_>, CreatePartitionsResponse<'static>;
    DeleteGroups, delete_groups::DeleteGroupsRequest<'_>, DeleteGroupsResponse<'static>;
    ElectLeaders, elect_leaders::ElectLeadersRequest<'_>, ElectLeadersResponse<'static>;
    IncrementalAlterConfigs, incremental_alter_configs::IncrementalAlterConfigsRequest<'_>, IncrementalAlterConfigsResponse<'static>;
    AlterPartitionReassignments, alter_partition_reassignments::AlterPartitionReassignmentsRequest<'_>, AlterPartitionReassignmentsResponse<'static>;
    ListPartitionReassignments, list_partition_reassignments::ListPartitionReassignmentsRequest<'_>, ListPartitionReassignmentsResponse<'static>;
    OffsetDelete, offset_delete::OffsetDeleteRequest<'_>, OffsetDeleteResponse<'static>;
    DescribeQuorum, describe_quorum::DescribeQuorumRequest<'_>, DescribeQuorumResponse<'static>;
    UpdateFeatures, update_features::UpdateFeaturesRequest<'_>, UpdateFeaturesResponse<'static>;
    DescribeCluster, describe_cluster::DescribeClusterRequest, DescribeClusterResponse<'static>;
    DescribeProducers, describe_producers::DescribeProducersRequest<'_>, DescribeProducersResponse<'static>;
    DescribeTransactions, describe_transactions::DescribeTransactionsRequest<'_>, DescribeTransactionsResponse<'static>;
    ListTransactions, list_transactions::ListTransactionsRequest<'_>, ListTransactionsResponse<'static>;
    ConsumerGroupHeartbeat, consumer_group_heartbeat::ConsumerGroupHeartbeatRequest<'_>, ConsumerGroupHeartbeatResponse<'static>;
    ConsumerGroupDescribe, consumer_group_describe::ConsumerGroupDescribeRequest<'_>, ConsumerGroupDescribeResponse<'static>;
    ListConfigResources, list_config_resources::ListConfigResourcesRequest, ListConfigResourcesResponse<'static>;
    DescribeTopicPartitions, describe_topic_partitions::DescribeTopicPartitionsRequest<'_>, DescribeTopicPartitionsResponse<'static>;
}

/// The versions of each API that both sides of a comparison can be asked in.
pub(crate) type Versions = BTreeMap<i16, RangeInclusive<i16>>;

/// What the callers of one broker share.
#[derive(Debug)]
struct Notes {
    address: String,
    prefix: String,
    versions: Versions,
    answers: RefCell<Vec<(String, String)>>,
}

/// One connection to a broker.
#[derive(Debug)]
pub(crate) struct Caller {
    notes: Rc<Notes>,
    stream: Option<TcpStream>,
    correlation_id: i32,
}

impl Caller {
    /// A caller of that broker; names of topics and groups begin with the prefix.
    pub(crate) fn new(address: &str, prefix: &str, versions: Versions) -> Self {
        let notes = Notes {
            address: address.to_owned(),
            prefix: prefix.to_owned(),
            versions,
            answers: RefCell::default(),
        };
        Self { notes: Rc::new(notes), stream: None, correlation_id: 0 }
    }

    /// Another connection to the same broker; its answers are noted with the others.
    pub(crate) fn another(&self) -> Self {
        Self { notes: Rc::clone(&self.notes), stream: None, correlation_id: 1000 }
    }

    /// A name that belongs to this run alone.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.notes.prefix)
    }

    /// The answers so far: step, and what it was answered.
    pub(crate) fn answers(&self) -> Vec<(String, String)> {
        self.notes.answers.borrow().clone()
    }

    /// The newest version that both sides know.
    pub(crate) fn newest<R: Call>(&self) -> i16 {
        self.notes.versions.get(&R::KEY.key()).map_or(*R::VERSIONS.end(), |range| *range.end())
    }

    /// Asks and notes the answer; where there is none, the caller gets an empty one.
    pub(crate) async fn call<R: Call>(
        &mut self,
        step: &str,
        version: i16,
        request: R,
    ) -> R::Answer {
        self.call_then(step, version, request, |_| {}).await
    }

    /// The same in the newest version.
    pub(crate) async fn new_call<R: Call>(&mut self, step: &str, request: R) -> R::Answer {
        self.call(step, self.newest::<R>(), request).await
    }

    /// The same for every version from that one on.
    pub(crate) async fn calls<R: Call>(
        &mut self,
        step: &str,
        from: i16,
        request: impl Fn(i16) -> R,
    ) {
        let Some(range) = self.notes.versions.get(&R::KEY.key()).cloned() else { return };
        for version in range.filter(|version| *version >= from) {
            self.call(step, version, request(version)).await;
        }
    }

    /// As `call`, with a change of the answer before it is noted: what belongs to others is taken out.
    pub(crate) async fn call_then<R: Call>(
        &mut self,
        step: &str,
        version: i16,
        request: R,
        change: impl FnOnce(&mut R::Answer),
    ) -> R::Answer {
        let name = format!("{} v{version} {step}", R::KEY.name());
        match self.ask(version, &request).await {
            Ok(mut answer) => {
                change(&mut answer);
                self.note(name, format!("{answer:?}"));
                answer
            }
            Err(error) => {
                self.note(name, format!("{:?}", format!("no answer: {error:#}")));
                R::Answer::default()
            }
        }
    }

    fn note(&self, name: String, answer: String) {
        let mut answers = self.notes.answers.borrow_mut();
        let again = answers.iter().filter(|(other, _)| other.starts_with(&name)).count();
        answers.push(if again == 0 {
            (name, answer)
        } else {
            (format!("{name} ({again})"), answer)
        });
    }

    /// Asks again until the answer is as wanted, and notes nothing: for what a broker does in its own time.
    pub(crate) async fn settle<R: Call>(
        &mut self,
        version: i16,
        request: impl Fn() -> R,
        settled: impl Fn(&R::Answer) -> bool,
    ) -> R::Answer {
        let deadline = std::time::Instant::now() + SETTLING;
        loop {
            match self.ask(version, &request()).await {
                Ok(answer) if settled(&answer) => return answer,
                outcome if std::time::Instant::now() > deadline => {
                    self.note(format!("{} never settled", R::KEY.name()), format!("{outcome:?}"));
                    return R::Answer::default();
                }
                // Whoever does not know the API at all will not learn it.
                Err(_) => return R::Answer::default(),
                Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Asks and notes nothing.
    pub(crate) async fn ask<R: Call>(&mut self, version: i16, request: &R) -> Result<R::Answer> {
        let frame = self.frame(version, request)?;
        let body = self.exchange(&frame).await?;
        let body: &'static [u8] = Vec::leak(body);
        let (correlation_id, body) = read_response_header(body, R::KEY, version)?;
        if correlation_id != self.correlation_id {
            bail!("the answer has the correlation id of another request");
        }
        R::Answer::read_exact(body, version).context("unreadable")
    }

    /// Sends a request that has no answer.
    pub(crate) async fn send<R: Call>(&mut self, version: i16, request: &R) -> Result<()> {
        let frame = self.frame(version, request)?;
        self.connect().await?.write_all(&frame).await?;
        Ok(())
    }

    /// Sends the bytes of a frame, and notes whether any answer comes and how it begins.
    pub(crate) async fn raw(&mut self, step: &str, frame: &[u8]) {
        let outcome = match self.exchange(frame).await {
            Ok(bytes) => format!("{:?}", bytes),
            Err(error) => format!("{:?}", format!("no answer: {error:#}")),
        };
        self.note(format!("raw {step}"), outcome);
    }

    fn frame(&mut self, version: i16, request: &impl Call) -> Result<Vec<u8>> {
        frame(&mut self.correlation_id, version, request)
    }

    async fn connect(&mut self) -> Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.notes.address).await?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        self.stream.as_mut().context("connected")
    }

    async fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>> {
        let stream = self.connect().await?;
        let outcome = tokio::time::timeout(PATIENCE, async {
            stream.write_all(frame).await?;
            let length = stream.read_i32().await?;
            let mut body = vec![0; usize::try_from(length)?];
            stream.read_exact(&mut body).await?;
            anyhow::Ok(body)
        })
        .await;
        match outcome {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => {
                self.stream = None;
                bail!("the connection was closed")
            }
            Err(_) => {
                self.stream = None;
                bail!("nothing came within {} s", PATIENCE.as_secs())
            }
        }
    }
}

fn frame<R: Call>(correlation_id: &mut i32, version: i16, request: &R) -> Result<Vec<u8>> {
    *correlation_id += 1;
    let header = RequestHeader {
        api_key: R::KEY,
        api_version: version,
        correlation_id: *correlation_id,
        client_id: Some(Cow::Borrowed("oracle")),
    };
    let mut frame = Vec::new();
    for segment in encode_request(&header, request)? {
        match segment {
            Segment::Bytes(bytes) => frame.extend_from_slice(&bytes),
            Segment::External { .. } => bail!("a request is in memory"),
        }
    }
    Ok(frame)
}

#[test]
fn every_api_can_be_called() {
    let missing: Vec<_> = ApiKey::ALL.iter().filter(|key| !CALLS.contains(key)).collect();
    assert!(missing.is_empty(), "give these a row in the table and calls in a script: {missing:?}");
}
