//! Every message of the table in every version: round trips, agreement with a second implementation, hostile bytes.
//!
//! Messages come from the declarations' generators; a failure names version and seed, and the same seed gives the same
//! message again.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};

use super::*;
use crate::arbitrary::{Generate, Source};
use crate::fuzz::mutate;

mod kafka_bytes;

/// Messages made per message and version.
const CASES: u64 = 64;

/// Versions that are declared here and that the second implementation does not know.
const UNKNOWN_TO_THEM: &[(&str, RangeInclusive<i16>)] = &[
    // Theirs begins where Kafka 4 does.
    ("ProduceRequest", 0..=2),
    ("ProduceResponse", 0..=2),
    // Kafka 4 dropped them.
    ("ListOffsetsRequest", 0..=0),
    ("ListOffsetsResponse", 0..=0),
    ("OffsetCommitRequest", 1..=1),
    ("OffsetCommitResponse", 1..=1),
    ("CreateTopicsRequest", 0..=1),
    ("CreateTopicsResponse", 0..=1),
    ("DeleteTopicsRequest", 0..=0),
    ("DeleteTopicsResponse", 0..=0),
    ("OffsetForLeaderEpochRequest", 0..=1),
    ("OffsetForLeaderEpochResponse", 0..=1),
    ("DescribeConfigsRequest", 0..=0),
    ("DescribeConfigsResponse", 0..=0),
    // Theirs ends before them.
    ("ListOffsetsRequest", 11..=11),
    ("ListOffsetsResponse", 11..=11),
    ("OffsetCommitRequest", 10..=10),
    ("OffsetFetchRequest", 10..=10),
    ("WriteTxnMarkersRequest", 2..=2),
    ("WriteTxnMarkersResponse", 2..=2),
    ("DescribeLogDirsRequest", 5..=5),
    ("DescribeLogDirsResponse", 5..=5),
];

fn is_unknown_to_them(message: &str, version: i16) -> bool {
    UNKNOWN_TO_THEM.iter().any(|(name, versions)| *name == message && versions.contains(&version))
}

/// What the second implementation makes of valid bytes: decoded to the end, and encoded again.
fn through_theirs<T: Encodable + Decodable>(bytes: &Bytes, version: i16, at: &str) -> Bytes {
    let mut rest = bytes.clone();
    let theirs = T::decode(&mut rest, version)
        .unwrap_or_else(|error| panic!("{at}: they cannot read it: {error:#}"));
    assert!(rest.is_empty(), "{at}: they leave {} bytes", rest.len());
    let mut again = BytesMut::new();
    theirs
        .encode(&mut again, version)
        .unwrap_or_else(|error| panic!("{at}: they cannot write it: {error:#}"));
    let computed = theirs
        .compute_size(version)
        .unwrap_or_else(|error| panic!("{at}: they cannot size it: {error:#}"));
    assert_eq!(computed, again.len(), "{at}");
    again.freeze()
}

macro_rules! message_tests {
    ($( $name:ident, $module:ident, $request:ident, $response:ident; )*) => {
        $(
            mod $module {
                use super::*;
                use crate::message::$module::{$request, $response};

                #[test]
                fn prop_every_version_of_the_request_reads_what_it_writes() {
                    round_trip!($request);
                }

                #[test]
                fn prop_every_version_of_the_response_reads_what_it_writes() {
                    round_trip!($response);
                }

                #[test]
                fn prop_every_version_of_the_request_agrees_with_a_second_implementation() {
                    differential!($request);
                }

                #[test]
                fn prop_every_version_of_the_response_agrees_with_a_second_implementation() {
                    differential!($response);
                }

                #[test]
                fn prop_hostile_bytes_of_the_request_are_refused_or_read() {
                    hostile!($request);
                }

                #[test]
                fn prop_hostile_bytes_of_the_response_are_refused_or_read() {
                    hostile!($response);
                }
            }
        )*
    };
}

macro_rules! round_trip {
    ($message:ident) => {
        for version in $message::VERSIONS {
            for seed in 0..CASES {
                let at = format!("{} v{version} seed {seed}", $message::NAME);
                let message = $message::generate(&mut Source::new(seed, version));
                let bytes =
                    message.to_bytes(version).unwrap_or_else(|error| panic!("{at}: {error}"));
                assert_eq!(message.size_bytes(version), Ok(bytes.len()), "{at}");
                assert!(
                    bytes.len() >= $message::min_bytes(version, $message::is_flexible(version)),
                    "{at}"
                );
                let read = $message::read_exact(&bytes, version)
                    .unwrap_or_else(|error| panic!("{at}: {error}"));
                assert_eq!(read, message, "{at}");
            }
        }
    };
}

macro_rules! differential {
    ($message:ident) => {
        type Theirs = kafka_protocol::messages::$message;
        for version in $message::VERSIONS {
            let theirs_know = <Theirs as TheirMessage>::VERSIONS;
            let expected = !is_unknown_to_them($message::NAME, version);
            let known = (theirs_know.min..=theirs_know.max).contains(&version);
            assert_eq!(
                known,
                expected,
                "{} v{version}: is UNKNOWN_TO_THEM up to date?",
                $message::NAME
            );
            for seed in 0..if known { CASES } else { 0 } {
                let at = format!("{} v{version} seed {seed}", $message::NAME);
                let message = $message::generate(&mut Source::new(seed, version));
                let bytes =
                    message.to_bytes(version).unwrap_or_else(|error| panic!("{at}: {error}"));
                let again = through_theirs::<Theirs>(&bytes, version, &at);
                assert_eq!($message::read_exact(&again, version).as_ref(), Ok(&message), "{at}");
                assert_eq!(again, bytes, "{at}");
            }
        }
    };
}

macro_rules! hostile {
    ($message:ident) => {
        for version in $message::VERSIONS {
            for seed in 0..CASES {
                let source = &mut Source::new(seed, version);
                let bytes = $message::generate(source).to_bytes(version).unwrap();
                let cut = usize::try_from(source.below(bytes.len() as u64)).unwrap();
                let at = format!("{} v{version} seed {seed}", $message::NAME);
                if !bytes.is_empty() {
                    assert!(
                        $message::read(&bytes[..cut], version).is_err(),
                        "{at}: cut at {cut} of {}",
                        bytes.len()
                    );
                }
                for _ in 0..4 {
                    let mut bytes = bytes.to_vec();
                    mutate(&mut bytes, source);
                    if let Ok(message) = $message::read(&bytes, version) {
                        // What can be read can be written.
                        message.to_bytes(version).unwrap_or_else(|error| panic!("{at}: {error}"));
                    }
                }
                let noise: Vec<u8> = (0..source.below(64)).map(|_| u8::generate(source)).collect();
                drop($message::read(&noise, version));
            }
        }
    };
}

for_each_api!(message_tests);

#[test]
fn every_row_of_the_table_can_be_found_by_its_key() {
    for &api_key in ApiKey::ALL {
        assert_eq!(ApiKey::from_key(api_key.key()), Some(api_key));
        let theirs = kafka_protocol::messages::ApiKey::try_from(api_key.key()).unwrap();
        assert_eq!(format!("{theirs:?}"), api_key.name());
        for version in api_key.versions() {
            // Theirs gives the version of the header; 2 and 1 are the flexible ones.
            assert_eq!(theirs.request_header_version(version) == 2, api_key.is_flexible(version));
        }
    }
    assert!(ApiKey::ALL.is_sorted());
}

#[test]
fn versions_are_those_of_kafka_4_3_and_some_that_it_dropped() {
    let table: Vec<String> = ApiKey::ALL
        .iter()
        .map(|api_key| {
            format!("{} {}-{}", api_key.key(), api_key.versions().start(), api_key.versions().end())
        })
        .collect();
    let expected = "0 0-13, 1 4-18, 2 0-11, 3 0-13, 8 1-10, 9 1-10, 10 0-6, 11 0-9, 12 0-4, 13 0-5, 14 0-5, 15 0-6, \
                    16 0-5, 18 0-4, 19 0-7, 20 0-6, 21 0-2, 22 0-5, 23 0-4, 24 0-5, 25 0-4, 26 0-5, 27 1-2, 28 0-5, \
                    32 0-4, 33 0-2, 34 1-2, 35 1-5, 37 0-3, 42 0-2, 43 0-2, 44 0-1, 45 0-1, 46 0-0, 47 0-0, 55 0-2, \
                    57 0-2, 60 0-2, 61 0-0, 65 0-0, 66 0-2, 68 0-1, 69 0-1, 74 0-1, 75 0-0";
    assert_eq!(table.join(", "), expected);
}

#[track_caller]
fn check_error<T>(result: Result<T, ProtocolError>, expected: &str) {
    match result {
        Ok(_) => panic!("no error, expected: {expected}"),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
}

#[test]
fn errors_name_the_field_and_what_was_there() {
    use super::metadata::MetadataRequest;
    use super::produce::ProduceRequest;

    // The eight bytes that made another codec ask for 38 GB.
    check_error(
        MetadataRequest::read(b"\x1f\xff\xff\xff\0\0\0\0", 1),
        "topics says 536870911 elements of at least 2 bytes but only 4 bytes remain",
    );
    check_error(
        MetadataRequest::read(b"\0\0\0\x01\0\x05ab", 1),
        "name says 5 bytes but only 2 remain",
    );
    check_error(MetadataRequest::read(b"\0\0\0\x01\xff\xfe", 1), "name has a length of -2");
    check_error(
        MetadataRequest::read(b"\0\0\0\x01\xff\xff", 1),
        "name is null, which version 1 does not allow",
    );
    check_error(MetadataRequest::read(b"\xff\xff\xff\xfe", 1), "topics has a length of -2");
    check_error(
        MetadataRequest::read(b"\xff\xff\xff\xff", 0),
        "topics is null, which version 0 does not allow",
    );
    check_error(MetadataRequest::read(b"\0\0\0\x01\0\x01\xff", 1), "name is not valid UTF-8");
    check_error(
        MetadataRequest::read(b"\xff\xff\xff", 1),
        "topics needs 4 bytes but only 3 remain",
    );
    check_error(
        MetadataRequest::read(b"\xff\xff\xff\xff\xff\xff", 9),
        "topics is a variable-length integer longer than 32 bits",
    );
    check_error(
        MetadataRequest::read(b"\0\x01\x00\x00\xff\x01\0\0", 9),
        "tagged field count says 255 elements of at least 2 bytes but only 2 bytes remain",
    );
    check_error(MetadataRequest::read(b"", 14), "MetadataRequest has no version 14");
    check_error(
        ProduceRequest::read(
            b"\xff\xff\0\0\0\0\0\x01\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\x7f\xff\xff\xff",
            3,
        ),
        "records says 2147483647 bytes but only 0 remain",
    );
}

#[test]
fn unknown_tagged_fields_are_skipped_and_counted() {
    use super::heartbeat::HeartbeatRequest;

    let request = HeartbeatRequest { group_id: "g".into(), ..HeartbeatRequest::default() };
    let plain = request.to_bytes(4).unwrap();
    let tagged = [&plain[..plain.len() - 1], b"\x02\x05\x01x\x09\x00"].concat();
    let mut reader = Reader::with_version(&tagged, 4, true);
    assert_eq!(HeartbeatRequest::decode(&mut reader, "request"), Ok(request));
    assert_eq!((reader.remaining(), reader.unknown_tagged_fields()), (0, 2));
}

#[test]
fn a_tagged_field_must_fill_its_size() {
    use super::api_versions::ApiVersionsResponse;

    let start = b"\0\0\x01\0\0\0\0";
    let with = |tagged: &[u8]| [&start[..], tagged].concat();
    let read = |tagged: &[u8]| {
        ApiVersionsResponse::read(&with(tagged), 3).map(|read| read.finalized_features_epoch)
    };
    assert_eq!(read(b"\x01\x01\x08\0\0\0\0\0\0\0\x05"), Ok(5));
    check_error(
        read(b"\x01\x01\x09\0\0\0\0\0\0\0\x05\0"),
        "tagged field finalized_features_epoch declares 9 bytes but its content has 8",
    );
    check_error(
        read(b"\x01\x01\x07\0\0\0\0\0\0\0"),
        "finalized_features_epoch needs 8 bytes but only 7 remain",
    );
}

#[test]
fn a_value_that_the_version_cannot_carry_is_refused_unless_it_may_be_dropped() {
    use super::find_coordinator::FindCoordinatorRequest;
    use super::metadata::MetadataResponse;

    let request = FindCoordinatorRequest {
        key: "g".into(),
        key_type: 1,
        ..FindCoordinatorRequest::default()
    };
    check_error(request.to_bytes(0), "key_type is set but version 0 cannot carry it");
    assert!(request.to_bytes(1).is_ok());
    let response = MetadataResponse { throttle_time_ms: 5, ..MetadataResponse::default() };
    assert!(response.to_bytes(0).is_ok());
}

#[test]
fn a_string_longer_than_its_prefix_is_refused() {
    use super::heartbeat::HeartbeatRequest;

    let request = |length: usize| HeartbeatRequest {
        group_id: "x".repeat(length).into(),
        ..HeartbeatRequest::default()
    };
    for version in [0, 4] {
        assert!(request(32767).to_bytes(version).is_ok());
        check_error(
            request(32768).to_bytes(version),
            "group_id has a length of 32768 but at most 32767 can be written",
        );
    }
}

#[test]
fn zero_sized_elements_count_as_one_byte() {
    let mut reader = Reader::new(b"\0\0\0\x05\0\0");
    check_error(
        reader.read_array_count("parts", 0),
        "parts says 5 elements of at least 1 bytes but only 2 bytes remain",
    );
}

/// A record of an internal topic: its version in front, old and flexible versions, a part that may be null.
mod versioned_record {
    use std::borrow::Cow;

    use super::*;
    use crate::message;

    message! {
        /// A record.
        pub struct SampleValue<'a> [0..=2, flexible 2..] {
            /// A name.
            name: Cow<'a, str> [0..],
            /// Parts. Since v1.
            parts: Option<Vec<SamplePart<'a>>> [1.., nullable 2..],
            /// One part. Since v2.
            part: Option<Box<SamplePart<'a>>> [2.., nullable 2..],
            /// A number. Since v2.
            number: f64 [2.., tag 3] = 1.5,
        }

        /// A part.
        pub struct SamplePart<'a> {
            /// Bytes.
            bytes: Option<Cow<'a, [u8]>> [0.., nullable 0..],
            /// A port.
            port: u16 [0..],
        }

        /// A record without flexible versions.
        pub struct PlainKey [0..=0] {
            /// An id.
            id: u32 [0..] = 3,
        }
    }

    #[test]
    fn prop_records_read_what_they_write() {
        for version in SampleValue::VERSIONS {
            for seed in 0..CASES {
                let record = SampleValue::generate(&mut Source::new(seed, version));
                let bytes = record.to_versioned_bytes(version).unwrap();
                assert_eq!(
                    SampleValue::read_versioned(&bytes),
                    Ok((version, record)),
                    "v{version} seed {seed}"
                );
            }
        }
    }

    #[test]
    fn a_record_without_flexible_versions_has_no_tagged_fields() {
        assert_eq!(&PlainKey::default().to_versioned_bytes(0).unwrap()[..], b"\0\0\0\0\0\x03");
        check_error(PlainKey::read_versioned(b"\0\x01\0\0\0\x03"), "PlainKey has no version 1");
        check_error(PlainKey::read_versioned(b"\0"), "version needs 2 bytes but only 1 remain");
    }

    #[test]
    fn a_null_part_is_one_byte() {
        let bytes = SampleValue::default().to_bytes(2);
        check_error(SampleValue::read(b"\x01\0\x02", 2), "part has the undefined value 2");
        assert_eq!(&bytes.unwrap()[..], b"\x01\0\xff\0");
    }
}
