//! Batches that were built with a codec, and compressed ones that are wrong.

use super::*;

#[test]
fn a_compressed_batch_gives_back_what_was_built() {
    for compression in Compression::ALL {
        let options = BatchOptions { compression, transactional: true, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        for at in 0..50 {
            builder.push(NewRecord {
                timestamp_ms: at,
                value: Some(&[7; 40]),
                ..NewRecord::default()
            });
        }
        let plain_bytes = builder.size_bytes();
        let bytes = builder.build().unwrap();
        assert_eq!(compression == Compression::None, bytes.len() == plain_bytes);
        let (batch, rest) = RecordBatch::parse(&bytes).unwrap();
        assert!(rest.is_empty() && batch.is_transactional());
        batch.verify_crc().unwrap();
        assert_eq!(batch.compression(), compression);
        let decoded = batch.decode_records(plain_bytes).unwrap();
        decoded.validate_produced().unwrap();
        assert_eq!(decoded.bytes().len(), plain_bytes - HEADER_BYTES);
        let records: Vec<_> = decoded.iter().map(Result::unwrap).collect();
        assert_eq!(records.len(), 50);
        assert!((0..).zip(&records).all(|(at, record)| record.timestamp_ms == at));
        assert_eq!(decoded.clone().into_bytes(), decoded.bytes());
    }
}

#[test]
fn records_that_do_not_fit_the_header_are_found_behind_the_codec() {
    let mut builder = BatchBuilder::new(BatchOptions {
        compression: Compression::Gzip,
        ..BatchOptions::default()
    });
    builder.push(NewRecord::default()).push(NewRecord::default());
    let bytes = builder.build().unwrap().to_vec();
    let refused = |text: &str| Err(text.to_owned());
    let says = |last_offset_delta: i32, count: i32| {
        let mut bytes = bytes.clone();
        bytes[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        let (batch, _) = RecordBatch::parse(&bytes).unwrap();
        let decoded = batch.decode_records(1000).unwrap();
        decoded.validate_produced().map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(says(1, 2), Ok(()));
    assert_eq!(
        says(2, 3),
        refused("record 2 of the batch: record length needs 1 bytes but only 0 remain")
    );
    assert_eq!(says(0, 1), refused("7 bytes remain after the last of 1 records of the batch"));
    assert_eq!(says(0, 0), refused("record batch says 0 records but its record bytes are 34"));
}

#[test]
fn an_emptied_batch_of_any_codec_has_no_records() {
    for compression in Compression::ALL {
        let mut bytes = BatchBuilder::new(BatchOptions::default())
            .push(NewRecord::default())
            .clone()
            .build()
            .unwrap()[..HEADER_BYTES]
            .to_vec();
        bytes[8..12].copy_from_slice(&49_i32.to_be_bytes());
        bytes[22] =
            Compression::ALL.iter().position(|&any| any == compression).unwrap().to_be_bytes()[7];
        bytes[57..61].copy_from_slice(&[0; 4]);
        let (batch, _) = RecordBatch::parse(&bytes).unwrap();
        let decoded = batch.decode_records(0).unwrap();
        decoded.validate_framing().unwrap();
        assert_eq!(decoded.iter().count(), 0);
    }
}
