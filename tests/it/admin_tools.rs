//! More of Apache Kafka 4.3's command-line tools: transactions, directories, elections, reassignments, features, offsets.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use aquifer_tests::{Aquifer, Options, kafka_tool, within};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::kafka_tools::files;
use crate::kcat::kcat;

const TRANSACTIONS: &str = "org.apache.kafka.tools.TransactionsCommand";
const DUMP: &str = "org.apache.kafka.tools.DumpLogSegments";
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker of this build, or the one that `TEST_BROKER` names.
async fn broker(directory: &Path) -> Result<(String, Option<Aquifer>)> {
    if let Ok(address) = std::env::var("TEST_BROKER") {
        return Ok((address, None));
    }
    let aquifer = Aquifer::start(directory, Options::default()).await?;
    Ok((aquifer.addresses.kafka.clone(), Some(aquifer)))
}

type Client = ThreadedProducer<DefaultProducerContext>;

fn transactional(broker: &str, id: &str) -> Result<Client> {
    let client: Client = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("transactional.id", id)
        .set("log_level", "2")
        .create()?;
    client.init_transactions(PATIENCE)?;
    Ok(client)
}

fn send(client: &Client, topic: &str, value: &str) -> Result<()> {
    let record: BaseRecord<'_, (), str> = BaseRecord::to(topic).payload(value).partition(0);
    client.send(record).map_err(|(error, _)| error)?;
    client.flush(PATIENCE)?;
    Ok(())
}

#[tokio::test]
async fn kafka_transactions_lists_describes_and_aborts() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (broker, _aquifer) = broker(directory.path()).await?;
    kcat(&broker, &["-P", "-t", "tools-tx"], "plain\n")?;
    let client = transactional(&broker, "tools-writer")?;
    client.begin_transaction()?;
    send(&client, "tools-tx", "open")?;
    let tool = |arguments: &[&str]| {
        kafka_tool(TRANSACTIONS, &[&["--bootstrap-server", &broker], arguments].concat())
    };
    let row = |text: &str, of: &str| -> Result<Vec<String>> {
        let line = text.lines().find(|line| line.contains(of)).with_context(|| text.to_owned())?;
        Ok(line.split_whitespace().map(str::to_owned).collect())
    };
    let listed = row(&tool(&["list"])?, "tools-writer")?;
    assert_eq!(listed.last().map(String::as_str), Some("Ongoing"), "{listed:?}");
    let described = tool(&["describe", "--transactional-id", "tools-writer"])?;
    assert!(described.contains("Ongoing") && described.contains("tools-tx-0"), "{described}");
    let place = ["--topic", "tools-tx", "--partition", "0"];
    let producers = tool(&[&["describe-producers"][..], &place].concat())?;
    let producer = row(&producers, &listed[2])?;
    assert_eq!(producer.last().map(String::as_str), Some("1"), "where it began: {producers}");
    let hanging = tool(&["find-hanging", "--broker-id", "1", "--max-transaction-timeout", "15"])?;
    assert!(!hanging.contains("tools-tx"), "it is younger than its timeout: {hanging}");
    assert_eq!(kcat(&broker, &["-C", "-t", "tools-tx", "-e", "-q"], "")?, "plain\n");
    tool(&[&["abort", "--start-offset", "1"][..], &place].concat())?;
    kcat(&broker, &["-P", "-t", "tools-tx"], "after\n")?;
    within(PATIENCE, "readers go past the aborted transaction", || async {
        Ok((kcat(&broker, &["-C", "-t", "tools-tx", "-e", "-q"], "")? == "plain\nafter\n")
            .then_some(()))
    })
    .await
}

#[tokio::test]
async fn kafka_dump_log_reads_what_transactions_leave() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let broker = aquifer.addresses.kafka.clone();
    kcat(&broker, &["-L", "-t", "written"], "")?;
    let client = transactional(&broker, "dumped-writer")?;
    for turn in 0..4 {
        client.begin_transaction()?;
        send(&client, "written", "value")?;
        if turn % 2 == 0 {
            client.commit_transaction(PATIENCE)?;
        } else {
            client.abort_transaction(PATIENCE)?;
        }
    }
    drop(client);
    aquifer.stop().await?;
    let dump = |paths: &[PathBuf], arguments: &[&str]| {
        let list =
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",");
        kafka_tool(DUMP, &[&["--files", &list][..], arguments].concat())
    };
    let topic = aquifer.data().join("written-0");
    let log = dump(&files(&topic, ".log")?, &["--deep-iteration"])?;
    assert_eq!(log.matches("endTxnMarker: COMMIT").count(), 2, "{log}");
    assert_eq!(log.matches("endTxnMarker: ABORT").count(), 2, "{log}");
    assert_eq!(log.matches("isTransactional: true").count(), 8, "{log}");
    let aborted = dump(&files(&topic, ".txnindex")?, &[])?;
    assert!(aborted.contains("firstOffset: 2 lastOffset: 3"), "{aborted}");
    assert!(aborted.contains("firstOffset: 6 lastOffset: 7"), "{aborted}");
    assert!(dump(&files(&topic, ".snapshot")?, &[])?.contains("coordinatorEpoch: 0"));
    let states = fs::read_dir(aquifer.data())?.filter_map(|entry| Some(entry.ok()?.path()));
    let states = states.filter(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("__transaction_state-"))
    });
    let states: Vec<PathBuf> =
        states.flat_map(|folder| files(&folder, ".log").unwrap_or_default()).collect();
    let decoded = dump(&states, &["--transaction-log-decoder"])?;
    assert!(decoded.contains("\"transactionalId\":\"dumped-writer\""), "{decoded}");
    // Ongoing, and of both ends the decision and the completion.
    for state in 1..=5 {
        assert!(
            decoded.contains(&format!("\"transactionStatus\":{state}")),
            "{state} is not in {decoded}"
        );
    }
    Ok(())
}

/// A tool's name, its arguments, and what it must print.
type Run<'a> = (&'a str, Vec<&'a str>, &'a [&'a str]);

#[tokio::test]
async fn the_tools_of_an_administrator_work() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (broker, _aquifer) = broker(directory.path()).await?;
    kcat(&broker, &["-P", "-t", "tools"], "a\nb\nc\nd\n")?;
    let file = |name: &str, text: &str| -> Result<String> {
        let path = directory.path().join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let records = file(
        "records.json",
        r#"{"partitions": [{"topic": "tools", "partition": 0, "offset": 2}], "version": 1}"#,
    )?;
    let moved = file(
        "moved.json",
        r#"{"version": 1, "partitions": [{"topic": "tools", "partition": 0, "replicas": [1]}]}"#,
    )?;
    let topics = file("topics.json", r#"{"topics": [{"topic": "tools"}], "version": 1}"#)?;
    let reassign = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
    let runs: Vec<Run<'_>> = vec![
        ("org.apache.kafka.tools.GetOffsetShell", vec!["--topic", "tools"], &["tools:0:4"]),
        (
            "org.apache.kafka.tools.DeleteRecordsCommand",
            vec!["--offset-json-file", &records],
            &["partition: tools-0\tlow_watermark: 2"],
        ),
        (
            "org.apache.kafka.tools.GetOffsetShell",
            vec!["--topic", "tools", "--time", "earliest"],
            &["tools:0:2"],
        ),
        (
            "org.apache.kafka.tools.GetOffsetShell",
            vec!["--topic", "tools", "--time", "max-timestamp"],
            &["tools:0:"],
        ),
        (
            "org.apache.kafka.tools.LogDirsCommand",
            vec!["--describe", "--topic-list", "tools"],
            &["\"partition\":\"tools-0\"", "\"error\":null"],
        ),
        (
            "org.apache.kafka.tools.LeaderElectionCommand",
            vec!["--election-type", "preferred", "--topic", "tools", "--partition", "0"],
            &["Valid replica already elected for partitions tools-0"],
        ),
        (reassign, vec!["--list"], &["No partition reassignments found"]),
        (
            reassign,
            vec!["--generate", "--topics-to-move-json-file", &topics, "--broker-list", "1"],
            &["Proposed partition reassignment configuration", "\"replicas\":[1]"],
        ),
        (
            reassign,
            vec!["--execute", "--reassignment-json-file", &moved],
            &["Successfully started partition reassignment for tools-0"],
        ),
        (
            reassign,
            vec!["--verify", "--reassignment-json-file", &moved],
            &["Reassignment of partition tools-0 is completed"],
        ),
        (
            "org.apache.kafka.tools.MetadataQuorumCommand",
            vec!["describe", "--status"],
            &["LeaderId:", "CurrentVoters:"],
        ),
        (
            "org.apache.kafka.tools.MetadataQuorumCommand",
            vec!["describe", "--replication"],
            &["Leader"],
        ),
        (
            "org.apache.kafka.tools.FeatureCommand",
            vec!["describe"],
            &["Feature: transaction.version", "FinalizedVersionLevel: 2", "Feature: group.version"],
        ),
        (
            "kafka.admin.ConfigCommand",
            vec!["--describe", "--entity-type", "brokers", "--entity-name", "1", "--all"],
            &["num.partitions=", "auto.create.topics.enable=true"],
        ),
        (
            "kafka.admin.ConfigCommand",
            vec!["--describe", "--entity-type", "topics"],
            &["topic tools"],
        ),
        (
            "org.apache.kafka.tools.BrokerApiVersionsCommand",
            vec![],
            &["Produce(0): 0 to 13", "ConsumerGroupHeartbeat(68)"],
        ),
        (
            "org.apache.kafka.tools.TopicCommand",
            vec!["--alter", "--topic", "tools", "--partitions", "3"],
            &[""],
        ),
        (
            "org.apache.kafka.tools.TopicCommand",
            vec!["--describe", "--topic", "tools"],
            &["PartitionCount: 3"],
        ),
        ("org.apache.kafka.tools.ClusterTool", vec!["cluster-id"], &["Cluster ID: "]),
    ];
    let mut faults = Vec::new();
    for (class, arguments, expected) in runs {
        // These take the broker as their subcommand's option, the others as their first.
        let server = ["--bootstrap-server", broker.as_str()];
        let all = if class.ends_with("ClusterTool") {
            [arguments.as_slice(), &server].concat()
        } else {
            [&server[..], &arguments].concat()
        };
        match kafka_tool(class, &all) {
            Ok(printed) => {
                let missing: Vec<&&str> =
                    expected.iter().filter(|words| !printed.contains(**words)).collect();
                if !missing.is_empty() {
                    faults.push(format!(
                        "{class} {arguments:?} printed no {missing:?} but: {printed}"
                    ));
                }
            }
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    Ok(())
}
