//! ListConfigResources, v0 and v1: asks which resources have configs.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_ListConfigResources>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks which resources have configs; v0 asks for client metrics alone.
    pub struct ListConfigResourcesRequest [0..=1, flexible 0..] {
        /// Types of the resources to list, empty for all. Since v1.
        resource_types: Vec<i8> [1..],
    }

    /// The resources.
    pub struct ListConfigResourcesResponse<'a> [0..=1, flexible 0..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// The resources.
        config_resources: Vec<ConfigResource<'a>> [0..],
    }

    /// A resource.
    pub struct ConfigResource<'a> {
        /// Name of the resource.
        resource_name: Cow<'a, str> [0..],
        /// Type of the resource: 2 a topic, 4 a broker, 8 a broker's loggers, 16 client metrics, 32 a group. Since v1.
        resource_type: i8 [1.., ignorable] = 16,
    }
}
