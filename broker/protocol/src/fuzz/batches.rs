//! Record batches of every codec, changed before or after they were compressed.

use super::{index, mutate, rounds};
use crate::arbitrary::{Generate, Source};
use crate::batch::{
    BatchBuilder, BatchError, BatchOptions, CRC_START, Compression, HEADER_BYTES, NewRecord,
    RecordBatch, TimestampType, set_base_offset_and_epoch, set_log_append_time,
};
use crate::compression::compress;
use crate::control::{EndTransactionMarker, read_control};

const RECORD_BYTES_MAX: usize = 1 << 16;

fn some_codec(source: &mut Source) -> Compression {
    Compression::ALL[index(source, Compression::ALL.len())]
}

fn some_batch(source: &mut Source, compression: Compression) -> Vec<u8> {
    if source.below(16) == 0 {
        let marker = EndTransactionMarker { commit: bool::generate(source), coordinator_epoch: 1 };
        return marker.batch(7, 0, 0).to_vec();
    }
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: i64::generate(source),
        producer_id: i64::generate(source),
        transactional: bool::generate(source),
        control: source.below(8) == 0,
        timestamp_type: match source.below(4) {
            0 => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        compression,
        ..BatchOptions::default()
    });
    for _ in 0..=source.below(6) {
        let value = vec![b'v'; index(source, 300)];
        let header: (&[u8], Option<&[u8]>) =
            (b"header", (source.below(2) == 0).then_some(&b"x"[..]));
        builder.push(NewRecord {
            timestamp_ms: i64::generate(source),
            key: (source.below(3) != 0).then_some(b"key"),
            value: (source.below(4) != 0).then_some(&value),
            headers: if source.below(2) == 0 { &[] } else { std::slice::from_ref(&header) },
        });
    }
    builder.build().unwrap().to_vec()
}

/// Changes the records before they are compressed, so that what is behind the codec is hostile too.
fn with_changed_records(batch: &[u8], compression: Compression, source: &mut Source) -> Vec<u8> {
    let mut records = batch[HEADER_BYTES..].to_vec();
    mutate(&mut records, source);
    let mut changed = batch[..HEADER_BYTES].to_vec();
    changed.extend(compress(compression, &records).unwrap());
    let codec = Compression::ALL.iter().position(|&any| any == compression).unwrap();
    changed[22] = changed[22] & !7 | u8::try_from(codec).unwrap();
    let length = i32::try_from(changed.len() - 12).unwrap();
    changed[8..12].copy_from_slice(&length.to_be_bytes());
    changed
}

/// Does to bytes what a broker does to a batch. What passes all checks is built anew and must be the same records.
fn take(bytes: &[u8]) -> Result<(), BatchError> {
    for batch in RecordBatch::parse_all(bytes) {
        let batch = batch?;
        let walked = batch.validate_framing();
        let produced = batch.validate_produced();
        let decoded = batch.decode_records(RECORD_BYTES_MAX)?;
        if batch.compression() == Compression::None {
            assert_eq!(decoded.validate_framing(), walked);
            assert_eq!(decoded.validate_produced().map(Some), produced);
            assert_eq!(decoded.bytes(), batch.record_bytes());
        } else {
            assert!(decoded.bytes().len() <= RECORD_BYTES_MAX);
        }
        let count = decoded.iter().filter(Result::is_ok).count();
        assert!(i64::try_from(count).unwrap() <= i64::from(batch.record_count().max(0)));
        for record in decoded.iter().flatten() {
            let _ = read_control(&record);
        }
        decoded.validate_produced()?;

        let mut again = BatchBuilder::new(BatchOptions {
            base_offset: batch.base_offset(),
            compression: batch.compression(),
            ..BatchOptions::default()
        });
        for record in &decoded {
            let record = record?;
            let headers: Vec<_> =
                record.headers.iter().map(|header| (header.key, header.value)).collect();
            let (timestamp_ms, key, value) = (record.timestamp_ms, record.key, record.value);
            again.push(NewRecord { timestamp_ms, key, value, headers: &headers });
        }
        let again = again.build()?;
        let (again, rest) = RecordBatch::parse(&again)?;
        assert!(rest.is_empty());
        again.verify_crc()?;
        // Lengths that were written with more bytes than they need are written shorter.
        let again = again.decode_records(usize::MAX)?;
        assert!(again.bytes().len() <= decoded.bytes().len() + 10 * count);
        assert!(again.iter().eq(decoded.iter()));
    }
    Ok(())
}

#[test]
fn prop_changed_batches_of_every_codec_are_refused_or_read() {
    let rounds = rounds(6_000);
    let (mut refused, mut taken) = (0, 0);
    for seed in 0..rounds {
        let source = &mut Source::new(seed, 0);
        let compression = some_codec(source);
        let inside = source.below(2) == 0;
        let mut bytes = if inside {
            let plain = some_batch(source, Compression::None);
            with_changed_records(&plain, compression, source)
        } else {
            let mut bytes = some_batch(source, compression);
            mutate(&mut bytes, source);
            bytes
        };
        if source.below(4) == 0 {
            bytes.extend(some_batch(source, compression));
        }
        match take(&bytes) {
            Ok(()) => taken += 1,
            Err(_) => refused += 1,
        }
        // Patches never touch more than the batch at the start.
        let size = RecordBatch::parse(&bytes).map(|(batch, _)| batch.size_bytes());
        let before = bytes.clone();
        let patched = set_base_offset_and_epoch(&mut bytes, 5, 1)
            .and_then(|()| set_log_append_time(&mut bytes, 9));
        match size {
            Ok(size) => {
                assert_eq!(patched, Ok(()), "seed {seed}");
                assert_eq!(bytes[HEADER_BYTES..], before[HEADER_BYTES..], "seed {seed}");
                let (batch, _) = RecordBatch::parse(&bytes).unwrap();
                assert_eq!((batch.size_bytes(), batch.base_offset()), (size, 5), "seed {seed}");
                assert_eq!(batch.verify_crc(), Ok(()), "seed {seed}");
            }
            Err(_) => assert!(patched.is_err(), "seed {seed}"),
        }
    }
    assert!(taken > rounds / 20 && refused > rounds / 4, "{taken} taken, {refused} refused");
}

#[test]
fn prop_any_changed_bit_behind_the_checksum_is_found() {
    for seed in 0..rounds(2_000) {
        let source = &mut Source::new(seed, 1);
        let compression = some_codec(source);
        let mut bytes = some_batch(source, compression);
        assert_eq!(RecordBatch::parse(&bytes).unwrap().0.verify_crc(), Ok(()), "seed {seed}");
        let at = CRC_START + index(source, bytes.len() - CRC_START);
        bytes[at] ^= 1 << source.below(8);
        let found = RecordBatch::parse(&bytes).and_then(|(batch, _)| batch.verify_crc());
        assert!(found.is_err(), "seed {seed}");
    }
}

#[test]
fn prop_noise_is_no_batch_or_is_read() {
    for seed in 0..rounds(4_000) {
        let source = &mut Source::new(seed, 2);
        let mut bytes: Vec<u8> = (0..source.below(200)).map(|_| u8::generate(source)).collect();
        // What could be one at first sight: format 2, a length that fits, a codec that exists.
        if bytes.len() > HEADER_BYTES && source.below(4) != 0 {
            bytes[16] = 2;
            bytes[22] = u8::try_from(source.below(5)).unwrap();
            let length = i32::try_from(bytes.len() - 12).unwrap();
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[57..61].copy_from_slice(&i32::try_from(source.below(4)).unwrap().to_be_bytes());
        }
        drop(take(&bytes));
    }
}
