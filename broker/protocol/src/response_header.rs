//! What stands in front of every response, and the frame around both.
//!
//! - v0: the correlation id; v1, in front of flexible responses, adds tagged fields.
//! - ApiVersions always has v0: its reader does not know yet what the broker speaks. One byte more made a client
//!   allocate 34 GB.

use crate::encoder::{Encoder, Segment};
use crate::error::ProtocolError;
use crate::error_code::ErrorCode;
use crate::message::api_versions::{ApiVersion, ApiVersionsResponse};
use crate::message::{ApiKey, Message};
use crate::primitive::Reader;

/// Whether the header in front of a response has tagged fields.
fn has_tagged_fields(api_key: ApiKey, api_version: i16) -> bool {
    api_key != ApiKey::ApiVersions && api_key.is_flexible(api_version)
}

/// Writes a response as a frame, in pieces to be sent one after the other.
///
/// # Errors
/// When the version is not declared, or the response has a value that it cannot carry.
pub fn encode_response(
    api_key: ApiKey,
    api_version: i16,
    correlation_id: i32,
    response: &impl Message,
) -> Result<Vec<Segment>, ProtocolError> {
    let mut encoder = Encoder::new(0, false);
    encoder.put(&[0; 4]);
    encoder.put(&correlation_id.to_be_bytes());
    if has_tagged_fields(api_key, api_version) {
        encoder.put_unsigned_varint(0);
    }
    response.write(&mut encoder, api_version)?;
    encoder.patch_frame_length()?;
    Ok(encoder.finish())
}

/// The answer to ApiVersions in a version that is not known: in v0, which every client can read, with the versions of
/// ApiVersions so that the client can ask again.
///
/// # Errors
/// None that can happen: the answer always fits its frame.
pub fn encode_unsupported_api_versions(correlation_id: i32) -> Result<Vec<Segment>, ProtocolError> {
    let versions = ApiKey::ApiVersions.versions();
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.into(),
        api_keys: vec![ApiVersion {
            api_key: ApiKey::ApiVersions.key(),
            min_version: *versions.start(),
            max_version: *versions.end(),
        }],
        ..ApiVersionsResponse::default()
    };
    encode_response(ApiKey::ApiVersions, 0, correlation_id, &response)
}

/// Reads the header at the start of a response frame; returns the correlation id and the response's body.
///
/// # Errors
/// When the frame is too short.
pub fn read_response_header(
    frame: &[u8],
    api_key: ApiKey,
    api_version: i16,
) -> Result<(i32, &[u8]), ProtocolError> {
    let mut reader = Reader::new(frame);
    let correlation_id = reader.read_i32("correlation id")?;
    if has_tagged_fields(api_key, api_version) {
        reader.skip_tagged_fields()?;
    }
    Ok((correlation_id, reader.rest()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::Records;
    use crate::message::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
    use crate::message::heartbeat::HeartbeatResponse;

    fn one_segment(segments: Vec<Segment>) -> Bytes {
        let [Segment::Bytes(bytes)] = segments.as_slice() else {
            panic!("one segment: {segments:?}")
        };
        bytes.clone()
    }

    #[test]
    fn a_flexible_response_has_tagged_fields_in_its_header() {
        let response = HeartbeatResponse { error_code: 27, ..HeartbeatResponse::default() };
        let old = one_segment(encode_response(ApiKey::Heartbeat, 1, 9, &response).unwrap());
        assert_eq!(&old[..], b"\0\0\0\x0a\0\0\0\x09\0\0\0\0\0\x1b");
        let flexible = one_segment(encode_response(ApiKey::Heartbeat, 4, 9, &response).unwrap());
        assert_eq!(&flexible[..], b"\0\0\0\x0c\0\0\0\x09\0\0\0\0\0\0\x1b\0");
        assert_eq!(
            read_response_header(&flexible[4..], ApiKey::Heartbeat, 4),
            Ok((9, &b"\0\0\0\0\0\x1b\0"[..]))
        );
    }

    #[test]
    fn api_versions_never_has_tagged_fields_in_its_header() {
        let response = ApiVersionsResponse::default();
        for version in ApiKey::ApiVersions.versions() {
            let frame =
                one_segment(encode_response(ApiKey::ApiVersions, version, 9, &response).unwrap());
            assert_eq!(&frame[8..], &response.to_bytes(version).unwrap()[..], "v{version}");
        }
    }

    #[test]
    fn api_versions_in_an_unknown_version_is_answered_in_v0() {
        let frame = one_segment(encode_unsupported_api_versions(9).unwrap());
        let expected = b"\0\0\0\x10\0\0\0\x09\0\x23\0\0\0\x01\0\x12\0\0\0\x04";
        assert_eq!(&frame[..], expected);
    }

    #[test]
    fn fetched_records_are_passed_on_and_not_copied() {
        let shared = Bytes::from(vec![7; 1000]);
        let partition =
            |records| PartitionData { records: Some(records), ..PartitionData::default() };
        let response = FetchResponse {
            responses: vec![FetchableTopicResponse {
                topic: "t".into(),
                partitions: vec![
                    partition(Records::Shared(shared.clone())),
                    partition(Records::External { id: 5, length: 4096 }),
                    partition(Records::External { id: 6, length: 0 }),
                ],
                ..FetchableTopicResponse::default()
            }],
            ..FetchResponse::default()
        };
        let segments = encode_response(ApiKey::Fetch, 11, 1, &response).unwrap();
        let [
            Segment::Bytes(start),
            Segment::Bytes(first),
            Segment::Bytes(_),
            second,
            Segment::Bytes(_),
        ] = segments.as_slice()
        else {
            panic!("five segments: {segments:?}")
        };
        assert_eq!(first.as_ptr(), shared.as_ptr());
        assert_eq!(*second, Segment::External { id: 5, length: 4096 });
        let declared = usize::try_from(i32::from_be_bytes(start[..4].try_into().unwrap())).unwrap();
        assert_eq!(declared, segments.iter().map(Segment::size_bytes).sum::<usize>() - 4);
        assert_eq!(declared, 4 + response.size_bytes(11).unwrap());
        assert!(matches!(response.to_bytes(11), Err(ProtocolError::NotInMemory { .. })));
    }
}
