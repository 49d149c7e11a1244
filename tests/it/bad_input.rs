//! Frames that are no requests: Kafka's error code or a closed connection with a log line, never a panic or a large allocation.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use aquifer_tests::{Aquifer, Options, until};

use crate::kcat::kcat;

/// Sends bytes; what comes back until the connection is closed, or nothing comes for a while.
fn send(broker: &str, bytes: &[u8]) -> Result<(Vec<u8>, bool)> {
    let mut stream = TcpStream::connect(broker)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok((answer, true)),
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok((answer, false));
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok((answer, true)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A request of that key and version with correlation id 7, no client id, and that body.
fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(7_i32.to_be_bytes());
    frame.extend((-1_i16).to_be_bytes());
    frame.extend(body);
    let mut whole = i32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    whole.extend(frame);
    whole
}

#[tokio::test]
async fn hostile_frames_close_their_connection_and_nothing_else() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let broker = aquifer.addresses.kafka.as_str();
    let before = aquifer.resident_kib()?;
    let huge_array = [&0x1fff_ffff_i32.to_be_bytes()[..]].concat();
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("a negative length", (-1_i32).to_be_bytes().to_vec()),
        ("two gigabytes", 0x7fff_ffff_i32.to_be_bytes().to_vec()),
        ("an empty frame", 0_i32.to_be_bytes().to_vec()),
        ("an unknown API", request(9999, 0, &[])),
        ("Metadata of half a billion topics", request(3, 1, &huge_array)),
        ("a version nobody has", request(3, 99, &[])),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_vec(),
        ),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
    ];
    for (what, bytes) in hostile {
        let (answer, closed) = send(broker, &bytes)?;
        assert!(closed, "{what} was answered with {} bytes and left open", answer.len());
    }
    until("the log says what came", || async {
        let log = aquifer.log();
        Ok(log.contains("TLS") && log.contains("HTTP"))
    })
    .await?;
    let log = aquifer.log();
    assert!(!log.contains("panic"), "{log}");
    assert!(aquifer.resident_kib()? < before + 16 * 1024);
    kcat(broker, &["-P", "-t", "still-there"], "x\n")?;
    Ok(())
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_with_version_0() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    // A flexible header: no tagged fields.
    let (answer, closed) = send(&aquifer.addresses.kafka, &request(18, 99, &[0]))?;
    assert!(!closed);
    // Length, correlation id, UNSUPPORTED_VERSION (35), then the table.
    assert_eq!(answer[4..10], [0, 0, 0, 7, 0, 35]);
    // One range at least, that of ApiVersions itself: key, first and last version.
    assert!(answer.len() >= 10 + 4 + 6 && answer[14..16] == [0, 18], "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_batch_with_a_wrong_crc_is_refused_and_nothing_is_written() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let broker = aquifer.addresses.kafka.as_str();
    kcat(broker, &["-P", "-t", "t"], "good\n")?;
    // The batch as it lies in the log, with the last byte of its record flipped.
    let mut batch = std::fs::read(aquifer.data().join("t-0/00000000000000000000.log"))?;
    *batch.last_mut().unwrap() ^= 1;
    // Produce v3: transactional id, acks, timeout, one topic, one partition, the batch.
    let mut body = Vec::new();
    body.extend((-1_i16).to_be_bytes());
    body.extend((-1_i16).to_be_bytes());
    body.extend(1000_i32.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    body.extend([0, 1, b't']);
    body.extend(1_i32.to_be_bytes());
    body.extend(0_i32.to_be_bytes());
    body.extend(i32::try_from(batch.len())?.to_be_bytes());
    body.extend(&batch);
    let (answer, _) = send(broker, &request(0, 3, &body))?;
    // Length, correlation, topics, name, partitions, index, then the error: CORRUPT_MESSAGE (2).
    let error = i16::from_be_bytes([answer[4 + 4 + 4 + 3 + 4 + 4], answer[4 + 4 + 4 + 3 + 4 + 5]]);
    assert_eq!(error, 2, "{answer:?}");
    assert_eq!(kcat(broker, &["-C", "-t", "t", "-e", "-q"], "")?, "good\n");
    Ok(())
}
