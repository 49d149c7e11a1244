//! DescribeConfigs, v0 to v4: asks for the configs of topics, brokers or groups.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_DescribeConfigs>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks for the configs of topics, brokers or groups.
    pub struct DescribeConfigsRequest<'a> [0..=4, flexible 4..] {
        /// The resources.
        resources: Vec<DescribeConfigsResource<'a>> [0..],
        /// Whether to tell the places that a value could come from. Since v1.
        include_synonyms: bool [1..],
        /// Whether to tell what the configs mean. Since v3.
        include_documentation: bool [3..],
    }

    /// A resource.
    pub struct DescribeConfigsResource<'a> {
        /// Type of the resource: 2 a topic, 4 a broker, 8 a broker's loggers, 32 a group.
        resource_type: i8 [0..],
        /// Name of the resource.
        resource_name: Cow<'a, str> [0..],
        /// Keys that are asked for, null for all.
        configuration_keys: Option<Vec<Cow<'a, str>>> [0.., nullable 0..],
    }

    /// The configs.
    pub struct DescribeConfigsResponse<'a> [0..=4, flexible 4..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// The results.
        results: Vec<DescribeConfigsResult<'a>> [0..],
    }

    /// The configs of one resource.
    pub struct DescribeConfigsResult<'a> {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Type of the resource: 2 a topic, 4 a broker, 8 a broker's loggers, 32 a group.
        resource_type: i8 [0..],
        /// Name of the resource.
        resource_name: Cow<'a, str> [0..],
        /// The configs.
        configs: Vec<DescribeConfigsResourceResult<'a>> [0..],
    }

    /// A config.
    pub struct DescribeConfigsResourceResult<'a> {
        /// Key of the config.
        name: Cow<'a, str> [0..],
        /// Value of the config.
        value: Option<Cow<'a, str>> [0.., nullable 0..],
        /// Whether the config cannot be changed.
        read_only: bool [0..],
        /// Whether the value is the default. In v0.
        is_default: bool [0..=0, ignorable],
        /// Where the value comes from: 1 the topic, 2 the broker at run time, 3 its cluster default, 4 its file, 5 the default. Since v1.
        config_source: i8 [1.., ignorable] = -1,
        /// Whether the value is a secret, which is not told.
        is_sensitive: bool [0..],
        /// The places that the value could come from, the strongest first. Since v1.
        synonyms: Vec<DescribeConfigsSynonym<'a>> [1.., ignorable],
        /// Type of the value: 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password. Since v3.
        config_type: i8 [3.., ignorable],
        /// What the config means. Since v3.
        documentation: Option<Cow<'a, str>> [3.., nullable 0.., ignorable],
    }

    /// A place that the value of a config could come from.
    pub struct DescribeConfigsSynonym<'a> {
        /// Key of the config. Since v1.
        name: Cow<'a, str> [1..],
        /// Value of the config. Since v1.
        value: Option<Cow<'a, str>> [1.., nullable 0..],
        /// Where the value comes from. Since v1.
        source: i8 [1..],
    }
}
