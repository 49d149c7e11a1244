//! ApiVersions, v0 to v4: asks which APIs and versions the broker speaks.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_ApiVersions>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Asks which APIs and versions the broker speaks.
    pub struct ApiVersionsRequest<'a> [0..=4, flexible 3..] {
        /// Name of the client library. Since v3.
        client_software_name: Cow<'a, str> [3.., ignorable],
        /// Version of the client library. Since v3.
        client_software_version: Cow<'a, str> [3.., ignorable],
    }

    /// What the broker speaks. Its header is always v0, so that a client can read it before it knows anything.
    pub struct ApiVersionsResponse<'a> [0..=4, flexible 3..] {
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// The APIs that the broker speaks.
        api_keys: Vec<ApiVersion> [0..],
        /// How long the client is asked to stay silent because of a quota, in milliseconds. Since v1.
        throttle_time_ms: i32 [1.., ignorable],
        /// Features that the broker supports. Up to v3, those that start at level 0 must be left out (KAFKA-17492). Since v3.
        supported_features: Vec<SupportedFeatureKey<'a>> [3.., tag 0, ignorable],
        /// Epoch of the finalized features, -1 if it is not known. Since v3.
        finalized_features_epoch: i64 [3.., tag 1, ignorable] = -1,
        /// Features that the whole cluster uses. Those at level 0 are left out. Since v3.
        finalized_features: Vec<FinalizedFeatureKey<'a>> [3.., tag 2, ignorable],
        /// Whether a controller is ready to migrate from ZooKeeper; always false here. Since v3.
        zk_migration_ready: bool [3.., tag 3, ignorable],
    }

    /// The versions of one API.
    pub struct ApiVersion {
        /// The API key.
        api_key: i16 [0..],
        /// Lowest version supported.
        min_version: i16 [0..],
        /// Highest version supported.
        max_version: i16 [0..],
    }

    /// The levels of a feature that a broker supports.
    pub struct SupportedFeatureKey<'a> {
        /// Name of the feature. Since v3.
        name: Cow<'a, str> [3..],
        /// Lowest version supported. Since v3.
        min_version: i16 [3..],
        /// Highest version supported. Since v3.
        max_version: i16 [3..],
    }

    /// The levels of a feature that the cluster uses.
    pub struct FinalizedFeatureKey<'a> {
        /// Name of the feature. Since v3.
        name: Cow<'a, str> [3..],
        /// Highest level in use. Since v3.
        max_version_level: i16 [3..],
        /// Lowest level in use. Since v3.
        min_version_level: i16 [3..],
    }
}
