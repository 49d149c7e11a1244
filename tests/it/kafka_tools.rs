//! Apache Kafka 4.3's own command-line tools, against the program and on its files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use aquifer_tests::{Aquifer, Options, kafka_tool, kafka_tool_reading};

use crate::kcat::kcat;

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const CONSOLE_PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const PERFORMANCE: &str = "org.apache.kafka.tools.ProducerPerformance";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const DUMP: &str = "org.apache.kafka.tools.DumpLogSegments";

#[tokio::test]
async fn kafka_topics_creates_describes_and_deletes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let server = ["--bootstrap-server", &aquifer.addresses.kafka];
    let topics = |arguments: &[&str]| kafka_tool(TOPICS, &[&server[..], arguments].concat());
    topics(&[
        "--create",
        "--topic",
        "orders",
        "--partitions",
        "3",
        "--config",
        "retention.ms=60000",
    ])?;
    let described = topics(&["--describe", "--topic", "orders"])?;
    assert!(
        described.contains("PartitionCount: 3\tReplicationFactor: 1\tConfigs: "),
        "{described}"
    );
    assert!(described.contains("retention.ms=60000"), "{described}");
    assert!(
        topics(&["--create", "--topic", "orders"]).is_err(),
        "a topic that is there can't be made again"
    );
    assert!(
        topics(&["--create", "--topic", "wide", "--replication-factor", "3"]).is_err(),
        "one node has no three replicas"
    );
    topics(&["--delete", "--topic", "orders"])?;
    assert!(!topics(&["--list"])?.contains("orders"));
    Ok(())
}

#[tokio::test]
async fn kafka_configs_alters_and_describes_a_topic() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    kcat(&aquifer.addresses.kafka, &["-P", "-t", "t"], "x\n")?;
    let of_topic = [
        "--bootstrap-server",
        &aquifer.addresses.kafka,
        "--entity-type",
        "topics",
        "--entity-name",
        "t",
    ];
    let configs = |arguments: &[&str]| kafka_tool(CONFIGS, &[&of_topic[..], arguments].concat());
    configs(&["--alter", "--add-config", "max.message.bytes=2000,cleanup.policy=compact"])?;
    let described = configs(&["--describe", "--all"])?;
    assert!(described.contains("max.message.bytes=2000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000"), "{described}");
    assert!(described.contains("min.insync.replicas=1"), "every key is described: {described}");
    assert!(configs(&["--alter", "--add-config", "max.message.bytes=lots"]).is_err());
    Ok(())
}

#[tokio::test]
async fn the_console_tools_and_the_performance_producer_work() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let broker = aquifer.addresses.kafka.as_str();
    let arguments = [
        "--bootstrap-server",
        broker,
        "--topic",
        "typed",
        "--reader-property",
        "parse.key=true",
        "--reader-property",
        "key.separator=:",
    ];
    kafka_tool_reading("a:1\nb:2\n", CONSOLE_PRODUCER, &arguments)?;
    let typed = kafka_tool(
        CONSUMER,
        &[
            "--bootstrap-server",
            broker,
            "--topic",
            "typed",
            "--from-beginning",
            "--max-messages",
            "2",
            "--timeout-ms",
            "30000",
            "--formatter-property",
            "print.key=true",
        ],
    )?;
    assert!(typed.contains("a\t1\nb\t2\n"), "{typed}");
    let produced = kafka_tool(
        PERFORMANCE,
        &[
            "--topic",
            "perf",
            "--num-records",
            "20000",
            "--record-size",
            "100",
            "--throughput",
            "-1",
            "--bootstrap-server",
            broker,
            "--command-property",
            "acks=all",
        ],
    )?;
    assert!(produced.contains("20000 records sent"), "{produced}");
    let consumed = kafka_tool(
        CONSUMER,
        &[
            "--bootstrap-server",
            broker,
            "--topic",
            "perf",
            "--from-beginning",
            "--max-messages",
            "20000",
            "--group",
            "readers",
            "--timeout-ms",
            "30000",
        ],
    )?;
    assert!(
        consumed.contains("Processed a total of 20000 messages"),
        "{}",
        &consumed[consumed.len().saturating_sub(300)..]
    );
    Ok(())
}

#[tokio::test]
async fn kafka_consumer_groups_describes_resets_and_deletes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let broker = aquifer.addresses.kafka.as_str();
    kcat(broker, &["-P", "-t", "t"], "a\nb\nc\n")?;
    kafka_tool(
        CONSUMER,
        &[
            "--bootstrap-server",
            broker,
            "--topic",
            "t",
            "--from-beginning",
            "--max-messages",
            "3",
            "--group",
            "g",
            "--timeout-ms",
            "30000",
        ],
    )?;
    let groups = |arguments: &[&str]| {
        kafka_tool(GROUPS, &[&["--bootstrap-server", broker][..], arguments].concat())
    };
    let described = groups(&["--describe", "--group", "g"])?;
    let row = described.lines().find(|line| line.starts_with("g ")).context(described.clone())?;
    assert_eq!(
        row.split_whitespace().take(6).collect::<Vec<_>>(),
        ["g", "t", "0", "3", "3", "0"],
        "{described}"
    );
    groups(&["--reset-offsets", "--group", "g", "--topic", "t", "--to-offset", "1", "--execute"])?;
    let described = groups(&["--describe", "--group", "g"])?;
    assert!(
        described
            .lines()
            .any(|line| line.split_whitespace().take(6).eq(["g", "t", "0", "1", "3", "2"])),
        "{described}"
    );
    assert!(groups(&["--list"])?.lines().any(|line| line == "g"));
    groups(&["--delete", "--group", "g"])?;
    assert!(!groups(&["--list"])?.lines().any(|line| line == "g"));
    Ok(())
}

/// Files of a folder whose name ends so.
pub(crate) fn files(folder: &Path, suffix: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.to_string_lossy().ends_with(suffix)).collect())
}

#[tokio::test]
async fn kafka_dump_log_reads_every_file_that_was_written() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let arguments = ["--set", "log.segment.bytes=1048576"].map(str::to_owned).to_vec();
    let mut aquifer =
        Aquifer::start(directory.path(), Options { arguments, ..Options::default() }).await?;
    let broker = aquifer.addresses.kafka.clone();
    let lines: String = (0..30_000).map(|n| format!("{n}:{}\n", "v".repeat(100))).collect();
    kcat(&broker, &["-P", "-t", "dumped", "-K:", "-X", "enable.idempotence=true"], &lines)?;
    kafka_tool(
        CONSUMER,
        &[
            "--bootstrap-server",
            &broker,
            "--topic",
            "dumped",
            "--from-beginning",
            "--max-messages",
            "10",
            "--group",
            "g",
            "--timeout-ms",
            "30000",
        ],
    )?;
    aquifer.stop().await?;

    let topic = aquifer.data().join("dumped-0");
    let dump = |paths: &[PathBuf], arguments: &[&str]| {
        let list =
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",");
        kafka_tool(DUMP, &[&["--files", &list][..], arguments].concat())
    };
    let logs = files(&topic, ".log")?;
    assert!(logs.len() > 2, "{logs:?}");
    let dumped = dump(&logs, &["--deep-iteration"])?;
    assert!(
        !dumped.contains("isvalid: false") && dumped.contains("isvalid: true"),
        "{}",
        &dumped[..dumped.len().min(2000)]
    );
    let records = dumped.lines().filter(|line| line.contains("keySize:")).count();
    assert_eq!(records, 30_000);
    for suffix in [".index", ".timeindex"] {
        let checked = dump(&files(&topic, suffix)?, &["--verify-index-only"])?;
        for fault in ["Mismatches in", "Found", "Out of order"] {
            assert!(!checked.contains(fault), "{checked}");
        }
    }
    let snapshots = files(&topic, ".snapshot")?;
    assert!(!snapshots.is_empty(), "an orderly end writes the state of the producers");
    assert!(dump(&snapshots, &[])?.contains("producerId:"));

    let offsets = fs::read_dir(aquifer.data())?.filter_map(|entry| Some(entry.ok()?.path()));
    let offsets = offsets.filter(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("__consumer_offsets-"))
    });
    let offsets: Vec<PathBuf> =
        offsets.flat_map(|folder| files(&folder, ".log").unwrap_or_default()).collect();
    let decoded = dump(&offsets, &["--offsets-decoder"])?;
    assert!(
        decoded.contains("\"group\":\"g\"") && decoded.contains("\"topic\":\"dumped\""),
        "{decoded}"
    );

    let metadata = dump(
        &files(&aquifer.data().join("__cluster_metadata-0"), ".log")?,
        &["--cluster-metadata-decoder"],
    )?;
    assert!(
        metadata.contains("TOPIC_RECORD")
            && metadata.contains("dumped")
            && !metadata.contains("Error"),
        "{metadata}"
    );
    Ok(())
}
