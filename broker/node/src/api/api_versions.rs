//! ApiVersions, v0–v4: which APIs this node serves, in which versions.
//!
//! Behaviour: the list is the table of handlers. A version that the node does not know is answered in v0 with
//! UNSUPPORTED_VERSION and the range of ApiVersions alone; the header of every answer is v0, so that any client reads it.
//! Differs: Produce is advertised from v0, which is not served: older librdkafka compresses only where it sees that
//! range (KAFKA-18659). No feature is finalized: there are no transactions of version 2 and no groups of KIP-848.
//!
//! References: KIP-35, KIP-511, KIP-584.

use aquifer_broker_protocol::message::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse,
};
use aquifer_broker_protocol::{ApiKey, ErrorCode};

use crate::context::RequestContext;

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
    ApiVersionsResponse {
        api_keys: super::served().map(advertised).collect(),
        ..ApiVersionsResponse::default()
    }
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
    fn produce_is_advertised_from_version_zero() {
        assert_eq!(advertised(ApiKey::Produce).min_version, 0);
    }
}
