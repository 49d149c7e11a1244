//! kcat: produce, consume, list, on the real program.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use aquifer_tests::{Aquifer, Options};

/// Runs kcat with that input; what it prints.
pub(crate) fn kcat(broker: &str, arguments: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new("kcat")
        .args(["-b", broker, "-X", "message.timeout.ms=20000"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("kcat {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn kcat_reads_what_it_wrote_with_every_codec_also_after_a_restart() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let broker = aquifer.addresses.kafka.clone();
    let lines: String =
        (0..500).map(|n| format!("key-{n}:value-{n}-{}\n", "x".repeat(n % 100))).collect();
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for codec in codecs {
        kcat(
            &broker,
            &["-P", "-t", &format!("codec-{codec}"), "-K:", "-z", codec, "-X", "acks=all"],
            &lines,
        )?;
    }
    aquifer.stop().await?;
    aquifer.restart().await?;
    for codec in codecs {
        let read = kcat(
            &broker,
            &["-C", "-t", &format!("codec-{codec}"), "-e", "-q", "-o", "beginning", "-K:"],
            "",
        )?;
        assert_eq!(read, lines, "{codec}");
    }
    let listed = kcat(&broker, &["-L"], "")?;
    assert!(listed.contains("topic \"codec-zstd\" with 1 partitions"), "{listed}");
    Ok(())
}

#[tokio::test]
async fn headers_offsets_and_timestamps_are_kept() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let broker = &aquifer.addresses.kafka;
    kcat(broker, &["-P", "-t", "t", "-H", "a=1", "-H", "a=2", "-k", "k"], "one\ntwo\n")?;
    let read = kcat(broker, &["-C", "-t", "t", "-e", "-q", "-f", "%p %o %k %s %h\n"], "")?;
    assert_eq!(read, "0 0 k one a=1,a=2\n0 1 k two a=1,a=2\n");
    assert_eq!(kcat(broker, &["-C", "-t", "t", "-e", "-q", "-o", "1"], "")?, "two\n");
    assert_eq!(kcat(broker, &["-Q", "-t", "t:0:1"], "")?.trim(), "t [0] offset 0");
    Ok(())
}
