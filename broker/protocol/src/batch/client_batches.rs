//! Compressed batches, byte by byte as clients made them: Java 4.3, librdkafka 2.16 and kafka-python 3.0.
//!
//! Each holds three records, `key-0` to `key-2`, a millisecond apart, with `aquifer ` twenty times as value.

use super::*;

/// First timestamp of the records, in milliseconds.
const FIRST_MS: i64 = 1_700_000_000_000;
const RECORD_BYTES_MAX: usize = 1 << 20;

#[rustfmt::skip]
const BATCHES: [(&str, Compression, &str); 12] = [
    (
        "java",
        Compression::Gzip,
        "000000000000000000000071ffffffff020ed93d850001000000020000018bcfe568000000018bcfe56802ffffffffff \
         ffffffffffffffffff000000031f8b08000000000000ffbbc1c4c0c0c0959d5aa96b708029b1b034332db54861b0d20c \
         3798189898c0ae351c1aae656101bbd66808b816006d7ff5690a020000",
    ),
    (
        "kafka-python",
        Compression::Gzip,
        "0000000000000000000000710000000002b022a3090001000000020000018bcfe568000000018bcfe56802ffffffffff \
         ffffffffffffffffff000000031f8b0800917b036b02ffbbc1c4c0c0c0959d5aa96b708029b1b034332db54861b0d20c \
         3798189898c0ae351c1aae656101bbd66808b816006d7ff5690a020000",
    ),
    (
        "librdkafka",
        Compression::Gzip,
        "0000000000000000000000710000000002d7700e6c0001000000020000018bcfe568000000018bcfe56802ffffffffff \
         ffffffffffffffffff000000031f8b0800000000000003bbc1c4c0c0c0959d5aa96b708029b1b034332db54861b0d20c \
         3798189898c0ae351c1aae656101bbd66808b816006d7ff5690a020000",
    ),
    (
        "java",
        Compression::Snappy,
        "00000000000000000000008affffffff027a5f13780002000000020000018bcfe568000000018bcfe56802ffffffffff \
         ffffffffffffffffff0000000382534e41505059000000000100000001000000458a0450d8020000000a6b65792d30c0 \
         026171756966657220fe0800fe08005e08001400d80200020205ae0031feae00feae0096ae0004040405ae0032feae00 \
         feae008aae00",
    ),
    (
        "kafka-python",
        Compression::Snappy,
        "00000000000000000000008a00000000027a5f13780002000000020000018bcfe568000000018bcfe56802ffffffffff \
         ffffffffffffffffff0000000382534e41505059000000000100000001000000458a0450d8020000000a6b65792d30c0 \
         026171756966657220fe0800fe08005e08001400d80200020205ae0031feae00feae0096ae0004040405ae0032feae00 \
         feae008aae00",
    ),
    (
        "librdkafka",
        Compression::Snappy,
        "0000000000000000000000760000000002fd8c20c90002000000020000018bcfe568000000018bcfe56802ffffffffff \
         ffffffffffffffffff000000038a0450d8020000000a6b65792d30c0026171756966657220fe0800fe08005e08001400 \
         d80200020205ae0031feae00feae0096ae0004040405ae0032feae00feae008aae00",
    ),
    (
        "java",
        Compression::Lz4,
        "000000000000000000000078ffffffff02fcc8bac80003000000020000018bcfe568000000018bcfe56802ffffffffff \
         ffffffffffffffffff0000000304224d1860408238000000ff06d8020000000a6b65792d30c002617175696665722008 \
         00856100d802000202ae001f31ae0093210404ae001f325c018b50666572200000000000",
    ),
    (
        "kafka-python",
        Compression::Lz4,
        "000000000000000000000080000000000296f061b90003000000020000018bcfe568000000018bcfe56802ffffffffff \
         ffffffffffffffffff0000000304224d1868400a020000000000001c38000000ff06d8020000000a6b65792d30c00261 \
         717569666572200800856100d802000202ae001f31ae0093210404ae001f325c018b50666572200000000000",
    ),
    (
        "librdkafka",
        Compression::Lz4,
        "0000000000000000000000780000000002139791240003000000020000018bcfe568000000018bcfe568020000000000 \
         0000000000000000000000000304224d1860408238000000ff06d8020000000a6b65792d30c002617175696665722008 \
         00856100d802000202ae001f31ae0093210404ae001f325c018b50666572200000000000",
    ),
    (
        "java",
        Compression::Zstd,
        "00000000000000000000006dffffffff02123c40fd0004000000020000018bcfe568000000018bcfe56802ffffffffff \
         ffffffffffffffffff0000000328b52ffd0058840100f8d8020000000a6b65792d30c002617175696665722000d80200 \
         0202310404320500204002b438026231d3c29551e50e010000",
    ),
    (
        "kafka-python",
        Compression::Zstd,
        "00000000000000000000006b000000000221a69f4e0004000000020000018bcfe568000000018bcfe56802ffffffffff \
         ffffffffffffffffff0000000328b52ffd600a01850100f8d8020000000a6b65792d30c002617175696665722000d802 \
         000202310404320500204002b438026231d3c29551e50e",
    ),
    (
        "librdkafka",
        Compression::Zstd,
        "0000000000000000000000570000000002a210b2bd0004000000000000018bcfe568000000018bcfe56800ffffffffff \
         ffffffffffffffffff0000000128b52ffd0058ed0000b0d8020000000a6b65792d30c00261717569666572200001002b \
         a30a130000000000000001000000620000000002b7e3ee870004000000010000018bcfe568010000018bcfe56802ffff \
         ffffffffffffffffffffffff0000000228b52ffd0058450100e0d8020000000a6b65792d31c002617175696665722000 \
         d802000202320300202011336d59195598",
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

#[test]
fn compressed_batches_of_real_clients_are_read() {
    for (client, compression, hex) in BATCHES {
        let bytes = bytes(hex);
        let mut index = 0;
        for batch in RecordBatch::parse_all(&bytes) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            assert_eq!(batch.compression(), compression, "{client}");
            let decoded = batch.decode_records(RECORD_BYTES_MAX).unwrap();
            decoded.validate_produced().unwrap();
            decoded.validate_framing().unwrap();
            for record in decoded.iter() {
                let record = record.unwrap();
                assert_eq!(record.key, Some(format!("key-{index}").as_bytes()), "{client}");
                assert_eq!(record.value, Some("aquifer ".repeat(20).as_bytes()), "{client}");
                assert_eq!((record.offset, record.timestamp_ms), (index, FIRST_MS + index));
                index += 1;
            }
        }
        assert_eq!(index, 3, "{client} {compression:?}");
    }
}

#[test]
fn compressed_batches_are_bounded() {
    for (client, compression, hex) in BATCHES {
        let bytes = bytes(hex);
        let (batch, _) = RecordBatch::parse(&bytes).unwrap();
        let size = batch.decode_records(RECORD_BYTES_MAX).unwrap().bytes().len();
        assert!(batch.decode_records(size).is_ok(), "{client}");
        let error = batch.decode_records(size - 1).unwrap_err();
        let codec = compression.name();
        assert_eq!(
            error.to_string(),
            format!(
                "records of the batch: {codec} data has more than {} bytes when decompressed",
                size - 1
            ),
        );
        assert_eq!(error.code(), crate::ErrorCode::MessageTooLarge);
    }
}

#[test]
fn a_batch_that_is_cut_or_changed_is_refused_or_keeps_its_bound() {
    for (client, compression, hex) in BATCHES {
        let bytes = bytes(hex);
        let (batch, _) = RecordBatch::parse(&bytes).unwrap();
        let records = batch.record_bytes();
        for at in 0..records.len() {
            // A snappy stream may end after any of its blocks, so that its header alone is an empty one.
            let cut = crate::compression::decompress(compression, &records[..at], RECORD_BYTES_MAX);
            assert!(
                cut.is_err() || cut == Ok(Vec::new()) && at == 16,
                "{client} {compression:?} cut at {at}"
            );
            for bit in 0..8 {
                let mut changed = records.to_vec();
                changed[at] ^= 1 << bit;
                if let Ok(bytes) = crate::compression::decompress(compression, &changed, 600) {
                    assert!(bytes.len() <= 600);
                }
            }
        }
    }
}
