//! Files that Apache Kafka's own broker wrote are read by ours: every codec, transactions, several segments.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aquifer_tests::{Aquifer, Kafka, Options, kafka_tool};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::kcat::kcat;

const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "moved";

/// Fills a topic on Apache Kafka; what readers of the committed and of everything see.
fn fill(broker: &str) -> Result<(String, String)> {
    let create = [
        "--bootstrap-server",
        broker,
        "--create",
        "--topic",
        TOPIC,
        "--config",
        "segment.bytes=1048576",
    ];
    kafka_tool("org.apache.kafka.tools.TopicCommand", &create)?;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let lines: String =
            (0..400).map(|n| format!("{codec}-{n}-{}\n", "x".repeat(n * 20))).collect();
        kcat(broker, &["-P", "-t", TOPIC, "-z", codec, "-X", "enable.idempotence=true"], &lines)?;
    }
    let writer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("transactional.id", "writer")
        .set("compression.type", "lz4")
        .create()?;
    writer.init_transactions(PATIENCE)?;
    for turn in 0..10 {
        writer.begin_transaction()?;
        for part in 0..5 {
            let value = format!("transaction-{turn}-{part}");
            let record: BaseRecord<'_, (), String> = BaseRecord::to(TOPIC).payload(&value);
            writer.send(record).map_err(|(error, _)| error)?;
        }
        writer.flush(PATIENCE)?;
        if turn % 2 == 0 {
            writer.commit_transaction(PATIENCE)?;
        } else {
            writer.abort_transaction(PATIENCE)?;
        }
    }
    Ok((read(broker, "read_committed")?, read(broker, "read_uncommitted")?))
}

/// Offsets and values, one a line.
fn read(broker: &str, isolation: &str) -> Result<String> {
    let isolation = format!("isolation.level={isolation}");
    kcat(
        broker,
        &["-C", "-t", TOPIC, "-e", "-q", "-o", "beginning", "-X", &isolation, "-f", "%o %s\n"],
        "",
    )
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(to)? {
        let path = entry?.path();
        // The topic's id is the one that it has here.
        if !path.ends_with("partition.metadata") {
            fs::remove_file(path)?;
        }
    }
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        if entry.file_name() != "partition.metadata" {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn segments_that_apache_kafka_wrote_are_read() -> Result<()> {
    let (theirs, ours) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let port =
        std::env::var("TEST_KAFKA_OWN_PORT").unwrap_or_else(|_| "19122".to_owned()).parse()?;
    let kafka = Kafka::start_own(port, theirs.path())?;
    let filled = fill(&kafka.address);
    Kafka::stop_own(port, theirs.path())?;
    let (committed, all) = filled?;
    assert_eq!((committed.lines().count(), all.lines().count()), (2025, 2050));

    let mut aquifer = Aquifer::start(ours.path(), Options::default()).await?;
    let broker = aquifer.addresses.kafka.clone();
    kcat(&broker, &["-P", "-t", TOPIC], "to be replaced\n")?;
    aquifer.stop().await?;
    copy(
        &theirs.path().join("node-1/data").join(format!("{TOPIC}-0")),
        &aquifer.data().join(format!("{TOPIC}-0")),
    )?;
    // Nothing is known of these files: all that ours says of them it has to find in them.
    for known in [
        "recovery-point-offset-checkpoint",
        "log-start-offset-checkpoint",
        "replication-offset-checkpoint",
        ".kafka_cleanshutdown",
    ] {
        let _ = fs::remove_file(aquifer.data().join(known));
    }
    aquifer.restart().await?;
    assert_eq!(read(&broker, "read_uncommitted")?, all);
    assert_eq!(read(&broker, "read_committed")?, committed);
    kcat(&broker, &["-P", "-t", TOPIC], "goes on\n")?;
    assert!(read(&broker, "read_committed")?.ends_with("goes on\n"));
    aquifer.stop().await?;
    aquifer.restart().await?;
    let again = read(&broker, "read_committed")?;
    assert_eq!(again.lines().count(), 2026, "after an orderly end");
    assert!(again.starts_with(&committed));
    Ok(())
}
