//! ApiVersions, v0–v4: which APIs this node serves, in which versions.
//!
//! Behaviour: the list is the table of handlers. A version that the node does not know is answered in v0 with
//! UNSUPPORTED_VERSION and the range of ApiVersions alone; the header of every answer is v0, so that any client reads it.
//! Differs: Produce is advertised from v0, which is not served: older librdkafka compresses only where it sees that
//! range (KAFKA-18659).
//! Features that begin at level 0 are told from v4 on only: older clients cannot read them (KAFKA-17492). Those finalized at
//! level 0 are left out.
//!
//! References: KIP-35, KIP-511, KIP-584.

use std::borrow::Cow;

use aquifer_broker_protocol::message::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use aquifer_broker_protocol::{ApiKey, ErrorCode};

use crate::context::RequestContext;
use crate::features::{self, Feature};
use crate::hosting::CLUSTER_METADATA;

/// The first version whose readers know features that begin at level 0.
const LEVEL_ZERO_SINCE_VERSION: i16 = 4;

/// Answers the request.
pub(crate) async fn handle(
    ctx: &RequestContext,
    request: ApiVersionsRequest<'_>,
) -> ApiVersionsResponse<'static> {
    let names_itself = ctx.api_version >= 3;
    if names_itself
        && !(is_software_name(&request.client_software_name)
            && is_software_name(&request.client_software_version))
    {
        return ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.code(),
            ..ApiVersionsResponse::default()
        };
    }
    let image = ctx.node.hosting.image();
    let finalized = image.features.iter().filter(|(_, level)| **level > 0);
    let finalized = finalized.map(|(name, level)| FinalizedFeatureKey {
        name: Cow::Owned(name.to_string()),
        max_version_level: *level,
        min_version_level: *level,
    });
    // Where the metadata log ends: it grows when the levels change, so that clients know the newer answer.
    let log = ctx.node.partitions.get(CLUSTER_METADATA, 0);
    ApiVersionsResponse {
        api_keys: super::served().map(advertised).collect(),
        supported_features: supported(features::TABLE, ctx.api_version),
        finalized_features_epoch: log.map_or(-1, |log| log.offsets().high_watermark - 1),
        finalized_features: finalized.collect(),
        ..ApiVersionsResponse::default()
    }
}

fn supported(table: &[Feature], api_version: i16) -> Vec<SupportedFeatureKey<'static>> {
    let told = table.iter().filter(|row| row.min > 0 || api_version >= LEVEL_ZERO_SINCE_VERSION);
    told.map(|row| SupportedFeatureKey {
        name: Cow::Borrowed(row.name),
        min_version: row.min,
        max_version: row.max,
    })
    .collect()
}

fn advertised(key: ApiKey) -> ApiVersion {
    let versions = key.versions();
    ApiVersion { api_key: key.key(), min_version: *versions.start(), max_version: *versions.end() }
}

/// Letters, digits, dots and dashes, with a letter or digit at both ends (KIP-511).
fn is_software_name(text: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    ends(text.bytes().next())
        && ends(text.bytes().next_back())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_the_rule_of_kip_511() {
        for good in ["a", "librdkafka", "2.15.0-rc1", "apache-kafka-java"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "ä", "a_b"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }

    #[test]
    fn features_from_level_zero_on_are_hidden_from_old_clients() {
        let row = |name, min| Feature { name, min, max: 2, initial: 2 };
        let table = [row("a", 0), row("b", 1)];
        let names = |version| {
            supported(&table, version).into_iter().map(|row| row.name).collect::<Vec<_>>()
        };
        assert_eq!(names(3), ["b"]);
        assert_eq!(names(4), ["a", "b"]);
    }

    #[test]
    fn produce_is_advertised_from_version_zero() {
        assert_eq!(advertised(ApiKey::Produce).min_version, 0);
    }
}
