//! DescribeCluster, v0 to v2: asks for the brokers of the cluster.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_DescribeCluster>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks for the brokers of the cluster.
    pub struct DescribeClusterRequest [0..=2, flexible 0..] {
        /// Whether to tell what the client may do to the cluster.
        include_cluster_authorized_operations: bool [0..],
        /// Kind of endpoint: 1 brokers, 2 controllers. Since v1.
        endpoint_type: i8 [1..] = 1,
        /// Whether to list brokers that are fenced too. Since v2.
        include_fenced_brokers: bool [2..],
    }

    /// The brokers of the cluster.
    pub struct DescribeClusterResponse<'a> [0..=2, flexible 0..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Kind of endpoint: 1 brokers, 2 controllers. Since v1.
        endpoint_type: i8 [1..] = 1,
        /// Id of the cluster.
        cluster_id: Cow<'a, str> [0..],
        /// Id of the broker that admin requests go to, -1 if there is none.
        controller_id: i32 [0..] = -1,
        /// The brokers of the cluster.
        brokers: Vec<DescribeClusterBroker<'a>> [0..],
        /// What the client may do to the cluster, one bit per operation; the lowest value if not asked for.
        cluster_authorized_operations: i32 [0..] = i32::MIN,
    }

    /// A broker and where it is.
    pub struct DescribeClusterBroker<'a> {
        /// Id of the broker.
        broker_id: i32 [0..],
        /// Host that clients connect to.
        host: Cow<'a, str> [0..],
        /// Port that clients connect to.
        port: i32 [0..],
        /// Rack of the broker, null if it has none.
        rack: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Whether the broker is fenced. Since v2.
        is_fenced: bool [2..],
    }
}
