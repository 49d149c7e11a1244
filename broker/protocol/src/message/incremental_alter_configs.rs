//! IncrementalAlterConfigs, v0 to v1: changes single configs of resources.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_IncrementalAlterConfigs>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Changes single configs of resources.
    pub struct IncrementalAlterConfigsRequest<'a> [0..=1, flexible 1..] {
        /// The resources.
        resources: Vec<AlterConfigsResource<'a>> [0..],
        /// Whether to check and change nothing.
        validate_only: bool [0..],
    }

    /// The configs of one resource.
    pub struct AlterConfigsResource<'a> {
        /// Type of the resource: 2 a topic, 4 a broker, 8 a broker's loggers, 32 a group.
        resource_type: i8 [0..],
        /// Name of the resource.
        resource_name: Cow<'a, str> [0..],
        /// The configs.
        configs: Vec<AlterableConfig<'a>> [0..],
    }

    /// A config.
    pub struct AlterableConfig<'a> {
        /// Key of the config.
        name: Cow<'a, str> [0..],
        /// What to do: 0 set, 1 delete, 2 append to a list, 3 subtract from a list.
        config_operation: i8 [0..],
        /// Value of the config, null to remove it.
        value: Option<Cow<'a, str>> [0.., nullable 0..],
    }

    /// Whether the configs were changed.
    pub struct IncrementalAlterConfigsResponse<'a> [0..=1, flexible 1..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The results.
        responses: Vec<AlterConfigsResourceResponse<'a>> [0..],
    }

    /// Whether the configs of one resource were changed.
    pub struct AlterConfigsResourceResponse<'a> {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Type of the resource: 2 a topic, 4 a broker, 8 a broker's loggers, 32 a group.
        resource_type: i8 [0..],
        /// Name of the resource.
        resource_name: Cow<'a, str> [0..],
    }
}
