//! Connections: requests of every API and version behind each other, changed, and cut into pieces as a network does.

use std::borrow::Cow;

use bytes::BytesMut;

use super::{index, mutate, rounds};
use crate::arbitrary::{Generate, Source};
use crate::encoder::Segment;
use crate::frame::{Cut, cut_frame};
use crate::message::{ApiKey, Message, for_each_api};
use crate::request_header::{RequestHeader, encode_request, read_request_header};

const FRAME_BYTES_MAX: usize = 1 << 20;

macro_rules! by_key {
    ($( $name:ident, $module:ident, $request:ident, $response:ident; )*) => {
        /// A frame with some request of an API.
        fn frame(header: &RequestHeader<'_>, source: &mut Source) -> Vec<u8> {
            let segments = match header.api_key {
                $( ApiKey::$name => {
                    encode_request(header, &crate::message::$module::$request::generate(source))
                } )*
            };
            let pieces = segments.unwrap().into_iter().map(|segment| match segment {
                Segment::Bytes(bytes) => bytes,
                Segment::External { .. } => panic!("no request has bytes that lie elsewhere"),
            });
            pieces.flat_map(|bytes| bytes.to_vec()).collect()
        }

        /// Whether the body could be read. What could be is written and read again, and must be the same.
        fn is_read(api_key: ApiKey, version: i16, body: &[u8]) -> bool {
            match api_key {
                $( ApiKey::$name => {
                    use crate::message::$module::$request;

                    let Ok(message) = $request::read(body, version) else { return false };
                    let bytes = message.to_bytes(version).unwrap();
                    assert_eq!($request::read_exact(&bytes, version).as_ref(), Ok(&message));
                    assert_eq!(message.size_bytes(version), Ok(bytes.len()));
                } )*
            }
            true
        }
    };
}

for_each_api!(by_key);

fn some_frame(source: &mut Source) -> Vec<u8> {
    let api_key = ApiKey::ALL[index(source, ApiKey::ALL.len())];
    let versions = api_key.versions();
    let count = usize::try_from(versions.end() - versions.start()).unwrap() + 1;
    let api_version = versions.start() + i16::try_from(index(source, count)).unwrap();
    let client_id = (source.below(4) != 0).then(|| Cow::generate(source));
    let header = RequestHeader { api_key, api_version, correlation_id: 7, client_id };
    frame(&header, &mut Source::new(source.next_u64(), api_version))
}

/// Feeds a connection's bytes in pieces; how many requests were read, and how many frames came.
fn receive(bytes: &[u8], source: &mut Source) -> (usize, usize) {
    let (mut read, mut frames) = (0, 0);
    let mut buffer = BytesMut::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece = &rest[..1 + index(source, rest.len())];
        rest = &rest[piece.len()..];
        buffer.extend_from_slice(piece);
        loop {
            let before = buffer.len();
            match cut_frame(&mut buffer, FRAME_BYTES_MAX) {
                Err(_) => return (read, frames),
                Ok(Cut::Incomplete { missing }) => {
                    assert!(missing > 0 && missing <= FRAME_BYTES_MAX + 4);
                    assert_eq!(buffer.len(), before);
                    break;
                }
                Ok(Cut::Frame(frame)) => {
                    assert_eq!(buffer.len() + frame.len() + 4, before);
                    frames += 1;
                    // A header that cannot be read ends the connection.
                    let Ok((header, body)) = read_request_header(&frame) else {
                        return (read, frames);
                    };
                    if header.is_supported() && is_read(header.api_key, header.api_version, body) {
                        read += 1;
                    }
                }
            }
        }
    }
    (read, frames)
}

#[test]
fn prop_frames_that_nobody_changed_are_all_read() {
    for seed in 0..rounds(400) {
        let source = &mut Source::new(seed, 0);
        let frames: Vec<Vec<u8>> = (0..=source.below(4)).map(|_| some_frame(source)).collect();
        let count = frames.len();
        assert_eq!(receive(&frames.concat(), source), (count, count), "seed {seed}");
    }
}

#[test]
fn prop_changed_frames_are_refused_or_read() {
    let mut refused = 0;
    let rounds = rounds(8_000);
    for seed in 0..rounds {
        let source = &mut Source::new(seed, 1);
        let mut bytes = some_frame(source);
        bytes.extend(some_frame(source));
        mutate(&mut bytes, source);
        let (read, _) = receive(&bytes, source);
        refused += u64::from(read < 2);
    }
    assert!(refused > rounds / 4, "only {refused} of {rounds} were refused");
}

#[test]
fn prop_every_api_and_version_takes_changed_bodies() {
    for &api_key in ApiKey::ALL {
        for api_version in api_key.versions() {
            for seed in 0..rounds(60) {
                let source = &mut Source::new(seed, api_version);
                let header =
                    RequestHeader { api_key, api_version, correlation_id: 7, client_id: None };
                let frame = frame(&header, source);
                let (_, body) = read_request_header(&frame[4..]).unwrap();
                let mut body = body.to_vec();
                assert!(is_read(api_key, api_version, &body), "{api_key:?} v{api_version} {seed}");
                mutate(&mut body, source);
                is_read(api_key, api_version, &body);
            }
        }
    }
}
