//! Round trips, the forms that clients write, and bytes that want more than they should.

use proptest::prelude::*;

use super::*;

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Text-like, random and repeated bytes, up to several blocks of every codec.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(0_u8..4, 0..2000),
        (any::<u8>(), 0_usize..100_000).prop_map(|(byte, count)| vec![byte; count]),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn patterned(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251).to_be_bytes()[7] ^ (at / 4096).to_be_bytes()[7]).collect()
}

#[track_caller]
fn check_error(result: Result<Vec<u8>, CompressionError>, expected: &str) {
    match result {
        Ok(bytes) => panic!("{} bytes, expected: {expected}", bytes.len()),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn prop_what_is_compressed_comes_back(content in content(), level in -5_i32..25) {
        for compression in Compression::ALL {
            let compressed = compress(compression, &content).unwrap();
            let bytes_max = content.len();
            prop_assert_eq!(&decompress(compression, &compressed, bytes_max).unwrap(), &content);
            if let Some(less) = bytes_max.checked_sub(1) {
                let codec = compression.name();
                let refused = CompressionError::TooLarge { codec, bytes_max: less as u64 };
                prop_assert_eq!(decompress(compression, &compressed, less), Err(refused));
            }
        }
        let at_level = compress_at_level(Compression::Gzip, Some(level), &content).unwrap();
        prop_assert_eq!(&decompress(Compression::Gzip, &at_level, content.len()).unwrap(), &content);
    }

    #[test]
    fn prop_noise_is_refused_or_bounded(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        for compression in CODECS {
            if let Ok(bytes) = decompress(compression, &noise, 1000) {
                prop_assert!(bytes.len() <= 1000);
            }
        }
    }

    #[test]
    fn prop_changed_bytes_are_refused_or_bounded(
        content in content(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for compression in CODECS {
            let mut compressed = compress(compression, &content).unwrap();
            for (at, byte) in &changes {
                let at = at.index(compressed.len());
                compressed[at] = *byte;
            }
            if let Ok(bytes) = decompress(compression, &compressed, 1 << 20) {
                prop_assert!(bytes.len() <= 1 << 20);
            }
        }
    }
}

#[test]
fn levels_of_zstd_and_gzip_are_taken_and_brought_into_range() {
    let content = patterned(20_000);
    for compression in [Compression::Gzip, Compression::Zstd] {
        for level in [i32::MIN, -1, 0, 1, 9, 22, i32::MAX] {
            let compressed = compress_at_level(compression, Some(level), &content).unwrap();
            assert_eq!(decompress(compression, &compressed, content.len()).as_ref(), Ok(&content));
        }
    }
}

#[test]
fn a_frame_with_the_largest_window_is_read() {
    // As Java writes at the highest level: a stream of unknown size, so that the window stands in the header.
    let content = patterned(1000);
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 22).unwrap();
    std::io::Write::write_all(&mut encoder, &content).unwrap();
    let compressed = encoder.finish().unwrap();
    assert_eq!(decompress(Compression::Zstd, &compressed, 1000), Ok(content.clone()));
    // A window of 256 MiB is more than Java takes.
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    std::io::Write::write_all(&mut encoder, &content).unwrap();
    check_error(
        decompress(Compression::Zstd, &encoder.finish().unwrap(), 1000),
        "zstd data is not valid: Frame requires too much memory for decoding",
    );
}

#[test]
fn small_bytes_that_become_many_are_refused_before_they_take_memory() {
    let content = vec![0; 64 << 20];
    for compression in CODECS {
        let bomb = compress(compression, &content).unwrap();
        let codec = compression.name();
        check_error(
            decompress(compression, &bomb, 1 << 20),
            &format!("{codec} data has more than 1048576 bytes when decompressed"),
        );
    }
}

#[test]
fn streams_behind_each_other_are_one_where_the_format_says_so() {
    let parts = [patterned(70_000), patterned(10)];
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Zstd] {
        let both = parts.each_ref().map(|part| compress(compression, part).unwrap()).concat();
        assert_eq!(decompress(compression, &both, 80_000), Ok(parts.concat()), "{compression:?}");
    }
    let frame = compress(Compression::Lz4, &parts[1]).unwrap();
    check_error(
        decompress(Compression::Lz4, &[&frame[..], &frame[..]].concat(), 80_000),
        &format!("lz4 data is not valid: {} bytes remain after the frame", frame.len()),
    );
}

#[test]
fn nothing_is_no_compressed_content() {
    for compression in CODECS {
        assert!(decompress(compression, b"", 100).is_err(), "{compression:?}");
        let nothing = compress(compression, b"").unwrap();
        assert_eq!(decompress(compression, &nothing, 0), Ok(Vec::new()), "{compression:?}");
    }
}

#[test]
fn snappy_is_read_raw_and_in_blocks_and_lengths_are_not_believed() {
    let content = patterned(100_000);
    let raw = snap::raw::Encoder::new().compress_vec(&content).unwrap();
    assert_eq!(decompress(Compression::Snappy, &raw, content.len()).as_ref(), Ok(&content));
    let blocks = compress(Compression::Snappy, &content).unwrap();
    assert_eq!(&blocks[..16], b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    // Ten bytes that say that they are 100 MB.
    check_error(
        decompress(Compression::Snappy, b"\x80\xc2\xd7\x2f\0a\0a\0a", 1 << 30),
        "snappy data is not valid: 10 bytes say that they become 100000000",
    );
    let header = &blocks[..16];
    let with = |rest: &[u8]| decompress(Compression::Snappy, &[header, rest].concat(), 100);
    check_error(
        with(b"\0\0\0\x09abc"),
        "snappy data is not valid: xerial block says 9 bytes but only 3 remain",
    );
    check_error(
        with(b"\xff\xff\xff\xffabc"),
        "snappy data is not valid: xerial block says 4294967295 bytes but only 3 remain",
    );
    check_error(
        with(b"\0\0\0"),
        "snappy data is not valid: xerial block length needs 4 bytes but only 3 remain",
    );
    check_error(with(b"\x82SNAXXX\0"), "snappy data is not valid: a block with a false length");
    check_error(
        decompress(Compression::Snappy, &header[..12], 100),
        "snappy data is not valid: xerial versions says 8 bytes but only 4 remain",
    );
}

/// A frame with these flags and this descriptor, its checksum right, and what follows.
fn lz4_frame(flags: u8, descriptor: u8, more: &[u8], rest: &[u8]) -> Vec<u8> {
    let header = [&[flags, descriptor], more].concat();
    let checksum = twox_hash::XxHash32::oneshot(0, &header).to_be_bytes()[2];
    [b"\x04\x22\x4d\x18", &header[..], &[checksum], rest].concat()
}

#[test]
fn lz4_frames_are_read_with_what_they_may_have() {
    let hash = |bytes: &[u8]| twox_hash::XxHash32::oneshot(0, bytes).to_le_bytes();
    let stored = b"\x02\0\0\x80hi";
    let checks = [&stored[..], &hash(b"hi"), &[0; 4], &hash(b"hi")].concat();
    let read = |bytes: &[u8]| decompress(Compression::Lz4, bytes, 100);
    let hi = Ok(b"hi".to_vec());
    assert_eq!(read(&lz4_frame(0x60, 0x40, b"", &[&stored[..], &[0; 4]].concat())), hi);
    assert_eq!(read(&lz4_frame(0x7c, 0x70, b"\x02\0\0\0\0\0\0\0", &checks)), hi);
    let refused: [(Vec<u8>, &str); 13] = [
        (b"\x02\x21\x4c\x18abcd".to_vec(), "not a frame"),
        (lz4_frame(0x40, 0x40, b"", b"\0\0\0\0"), "blocks that need others cannot be read"),
        (lz4_frame(0x61, 0x40, b"\0\0\0\0", b"\0\0\0\0"), "blocks that need others cannot be read"),
        (lz4_frame(0xa0, 0x40, b"", b"\0\0\0\0"), "not a frame of version 1"),
        (lz4_frame(0x62, 0x40, b"", b"\0\0\0\0"), "reserved bits are set"),
        (lz4_frame(0x60, 0x41, b"", b"\0\0\0\0"), "reserved bits are set"),
        (lz4_frame(0x60, 0x30, b"", b"\0\0\0\0"), "the block size is not defined"),
        (lz4_frame(0x60, 0x40, b"", b""), "block length needs 4 bytes but only 0 remain"),
        (
            lz4_frame(0x60, 0x40, b"", b"\x01\0\x01\x80"),
            "a block of 65537 bytes in a frame of smaller ones",
        ),
        (
            lz4_frame(0x70, 0x40, b"", b"\x02\0\0\x80hi\0\0\0\0\0\0\0\0"),
            "the checksum of a block does not match",
        ),
        (
            lz4_frame(0x64, 0x40, b"", b"\x02\0\0\x80hi\0\0\0\0\0\0\0\0"),
            "the checksum of the content does not match",
        ),
        (
            lz4_frame(0x68, 0x40, b"\x03\0\0\0\0\0\0\0", b"\x02\0\0\x80hi\0\0\0\0"),
            "the size of the content does not match",
        ),
        (
            b"\x04\x22\x4d\x18\x60\x40\0\0\0\0\0".to_vec(),
            "the checksum of the header does not match",
        ),
    ];
    for (bytes, reason) in refused {
        check_error(read(&bytes), &format!("lz4 data is not valid: {reason}"));
    }
    check_error(
        decompress(Compression::Lz4, &lz4_frame(0x60, 0x40, b"", b"\x02\0\0\x80hi\0\0\0\0"), 1),
        "lz4 data has more than 1 bytes when decompressed",
    );
}
