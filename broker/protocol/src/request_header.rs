//! What stands in front of every request.
//!
//! - v1: key, version, correlation id, client id; v2, in front of flexible requests, adds tagged fields. The client id
//!   keeps its old two-byte length in v2. v0, without a client id, belonged to an API that Kafka dropped.
//! - A known API in an unknown version still has a readable header, so that ApiVersions can answer it.

use std::borrow::Cow;

use crate::encoder::{Encoder, Segment};
use crate::error::ProtocolError;
use crate::message::{ApiKey, Message};
use crate::primitive::Reader;

/// Who asks what, in which version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// The API.
    pub api_key: ApiKey,
    /// The version of the request, which need not be one that is supported.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<Cow<'a, str>>,
}

impl RequestHeader<'_> {
    /// Whether the request can be read.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        self.api_key.supports(self.api_version)
    }
}

/// Reads the header at the start of a frame, and returns the request's body.
///
/// # Errors
/// When the frame is too short, or its API key is not in the table.
pub fn read_request_header(frame: &[u8]) -> Result<(RequestHeader<'_>, &[u8]), ProtocolError> {
    let mut reader = Reader::new(frame);
    let key = reader.read_i16("api key")?;
    let api_version = reader.read_i16("api version")?;
    let correlation_id = reader.read_i32("correlation id")?;
    let Some(api_key) = ApiKey::from_key(key) else {
        return Err(ProtocolError::UnknownApiKey { api_key: key, api_version, correlation_id });
    };
    let client_id = reader.read_nullable_str("client id")?.map(Cow::Borrowed);
    if api_key.is_flexible(api_version) {
        reader.skip_tagged_fields()?;
    }
    Ok((RequestHeader { api_key, api_version, correlation_id, client_id }, reader.rest()))
}

/// Writes a request as a frame, in pieces: what a client, or a test, sends.
///
/// # Errors
/// When the version is not declared, or the request has a value that it cannot carry.
pub fn encode_request(
    header: &RequestHeader<'_>,
    request: &impl Message,
) -> Result<Vec<Segment>, ProtocolError> {
    let mut encoder = Encoder::new(0, false);
    encoder.put(&[0; 4]);
    encoder.put(&header.api_key.key().to_be_bytes());
    encoder.put(&header.api_version.to_be_bytes());
    encoder.put(&header.correlation_id.to_be_bytes());
    encoder.put_str("client id", header.client_id.as_deref())?;
    if header.api_key.is_flexible(header.api_version) {
        encoder.put_unsigned_varint(0);
    }
    request.write(&mut encoder, header.api_version)?;
    encoder.patch_frame_length()?;
    Ok(encoder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::metadata::MetadataRequest;
    use crate::message::produce::ProduceRequest;

    fn header(api_key: ApiKey, api_version: i16) -> RequestHeader<'static> {
        RequestHeader {
            api_key,
            api_version,
            correlation_id: 7,
            client_id: Some(Cow::Borrowed("me")),
        }
    }

    #[test]
    fn old_and_flexible_headers_round_trip() {
        for version in MetadataRequest::VERSIONS {
            let header = header(ApiKey::Metadata, version);
            let request =
                MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
            let segments = encode_request(&header, &request).unwrap();
            let [Segment::Bytes(frame)] = segments.as_slice() else {
                panic!("one segment: {segments:?}")
            };
            let (read, body) = read_request_header(&frame[4..]).unwrap();
            assert_eq!(read, header);
            assert_eq!(MetadataRequest::read_exact(body, version).unwrap(), request);
            assert_eq!(
                usize::try_from(i32::from_be_bytes(frame[..4].try_into().unwrap())).unwrap(),
                frame.len() - 4
            );
        }
    }

    #[test]
    fn the_first_flexible_version_adds_tagged_fields_and_keeps_the_client_id() {
        let frame = |version: u8| {
            let start = [b"\0\x03\0", &[version][..], b"\0\0\0\x07\0\x02me"].concat();
            [&start[..], b"\x01\x05\x02xy", b"body"].concat()
        };
        let (flexible, old) = (frame(9), frame(8));
        let (read, body) = read_request_header(&flexible).unwrap();
        assert_eq!((read, body), (header(ApiKey::Metadata, 9), &b"body"[..]));
        let (read, body) = read_request_header(&old).unwrap();
        assert_eq!((read, body), (header(ApiKey::Metadata, 8), &b"\x01\x05\x02xybody"[..]));
    }

    #[test]
    fn a_known_api_in_an_unknown_version_has_a_header() {
        let frame = b"\0\x12\0\x63\0\0\0\x07\xff\xff\0";
        let (read, body) = read_request_header(frame).unwrap();
        assert_eq!(
            (read.api_key, read.api_version, read.client_id.as_deref()),
            (ApiKey::ApiVersions, 99, None)
        );
        assert!(body.is_empty());
    }

    #[test]
    fn an_unknown_api_names_its_key() {
        assert_eq!(
            read_request_header(b"\x7f\xff\0\0\0\0\0\x07"),
            Err(ProtocolError::UnknownApiKey { api_key: 32767, api_version: 0, correlation_id: 7 })
        );
    }

    #[test]
    fn supported_versions_are_those_of_the_table() {
        assert!(header(ApiKey::Produce, 0).is_supported());
        assert!(!header(ApiKey::Produce, ProduceRequest::VERSIONS.end() + 1).is_supported());
        assert!(!header(ApiKey::Fetch, 3).is_supported());
        assert!(!header(ApiKey::Fetch, -1).is_supported());
    }
}
