//! UpdateFeatures, v0 to v2: changes the levels of features.
//!
//! References: <https://kafka.apache.org/protocol#The_Messages_UpdateFeatures>.

use std::borrow::Cow;

use crate::message;

message! {
    /// Changes the levels of features.
    pub struct UpdateFeaturesRequest<'a> [0..=2, flexible 0..] {
        /// How long the broker may wait, in milliseconds.
        timeout_ms: i32 [0..] = 60000,
        /// The features.
        feature_updates: Vec<FeatureUpdateKey<'a>> [0..],
        /// Whether to check the request and to change nothing. Since v1.
        validate_only: bool [1..],
    }

    /// A feature and its level.
    pub struct FeatureUpdateKey<'a> {
        /// Name of the feature.
        feature: Cow<'a, str> [0..],
        /// The level, below 1 to take the feature away.
        max_version_level: i16 [0..],
        /// Whether the level may fall. In v0.
        allow_downgrade: bool [0..=0],
        /// Which way the level may go: 1 up, 2 down if nothing is lost, 3 down. Since v1.
        upgrade_type: i8 [1..] = 1,
    }

    /// Whether the levels were changed.
    pub struct UpdateFeaturesResponse<'a> [0..=2, flexible 0..] {
        /// How long the client is asked to stay silent because of a quota, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
        /// The results per feature. Up to v1.
        results: Vec<UpdatableFeatureResult<'a>> [0..=1, ignorable],
    }

    /// The result of one feature. Up to v1.
    pub struct UpdatableFeatureResult<'a> {
        /// Name of the feature.
        feature: Cow<'a, str> [0..],
        /// What went wrong, 0 if nothing.
        error_code: i16 [0..],
        /// What went wrong, in words; null if nothing.
        error_message: Option<Cow<'a, str>> [0.., nullable 0..],
    }
}
