//! Kafka Streams: an application that counts exactly once stays exact while it is killed and started again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aquifer_tests::{Aquifer, Options, Program, java_program, kafka_tool, within};
use rand::Rng as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

const PARTITIONS: i32 = 3;
const LINES: u32 = 3000;

fn start(broker: &str, state: &Path) -> Result<Program> {
    let state = state.display().to_string();
    java_program("4.3.0", "streams", "Counts", &[broker, &state, "lines", "counts"])
}

/// Follows the output as readers of the committed see it.
#[derive(Debug, Default)]
struct Counted {
    last: BTreeMap<String, u64>,
    /// Counts that did not grow: the same or an older one again.
    repeated: Vec<String>,
    read: u64,
}

impl Counted {
    fn take(&mut self, consumer: &BaseConsumer) -> Result<()> {
        while let Some(message) = consumer.poll(Duration::from_millis(20)) {
            let message = message?;
            let text = |bytes: Option<&[u8]>| {
                String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
            };
            let (word, count) = (text(message.key()), text(message.payload()).parse()?);
            self.read += 1;
            let before = self.last.insert(word.clone(), count).unwrap_or(0);
            if before >= count {
                self.repeated.push(format!("{word} {before} then {count}"));
            }
        }
        Ok(())
    }
}

fn follow(broker: &str) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "nobody")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset("counts", partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    Ok(consumer)
}

/// Feeds lines of three words; how often each word was written.
async fn feed(broker: String) -> Result<BTreeMap<String, u64>> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &broker)
        .set("enable.idempotence", "true")
        .create()?;
    let mut expected = BTreeMap::new();
    for _ in 0..LINES {
        let words: Vec<String> =
            (0..3).map(|_| format!("word-{}", rand::rng().random_range(0..40))).collect();
        let line = words.join(" ");
        for word in words {
            *expected.entry(word).or_insert(0) += 1;
        }
        let record = FutureRecord::<(), _>::to("lines").payload(&line);
        producer.send(record, Duration::from_secs(60)).await.map_err(|(error, _)| error)?;
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    Ok(expected)
}

#[tokio::test]
async fn counts_are_exact_though_the_application_is_killed_twice() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (broker, _aquifer) = match std::env::var("TEST_BROKER") {
        Ok(address) => (address, None),
        Err(_) => {
            let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
            (aquifer.addresses.kafka.clone(), Some(aquifer))
        }
    };
    for topic in ["lines", "counts"] {
        let partitions = PARTITIONS.to_string();
        let arguments = [
            "--bootstrap-server",
            &broker,
            "--create",
            "--topic",
            topic,
            "--partitions",
            &partitions,
        ];
        kafka_tool("org.apache.kafka.tools.TopicCommand", &arguments)?;
    }
    let state = directory.path().join("state");
    let mut application = start(&broker, &state)?;
    let (consumer, mut counted) = (follow(&broker)?, Counted::default());
    let feeding = tokio::spawn(feed(broker.clone()));
    for kill in 1..=2 {
        let before = counted.read;
        within(Duration::from_secs(90), "the application counts", || {
            let outcome =
                counted.take(&consumer).map(|()| (counted.read > before + 200).then_some(()));
            async { outcome }
        })
        .await
        .with_context(|| application.errors().join("\n"))?;
        application.kill()?;
        if kill == 2 {
            // Without its state the application restores it from the changelog.
            std::fs::remove_dir_all(&state)?;
        }
        application = start(&broker, &state)?;
    }
    let expected = feeding.await??;
    within(Duration::from_secs(120), "everything is counted", || {
        let outcome = counted.take(&consumer).map(|()| {
            let all = expected.iter().all(|(word, count)| counted.last.get(word) >= Some(count));
            all.then_some(())
        });
        async { outcome }
    })
    .await
    .with_context(|| format!("{:?}\n{}", counted.last, application.errors().join("\n")))?;
    application.kill()?;
    counted.take(&consumer)?;
    assert_eq!(counted.last, expected, "counts are exact");
    assert!(counted.repeated.is_empty(), "committed twice: {:?}", counted.repeated);

    let topics = kafka_tool(
        "org.apache.kafka.tools.TopicCommand",
        &["--bootstrap-server", &broker, "--list"],
    )?;
    for internal in ["counts-counted-repartition", "counts-counted-changelog"] {
        assert!(topics.contains(internal), "{internal} is not in {topics}");
    }
    let reset = kafka_tool(
        "org.apache.kafka.tools.StreamsResetter",
        &[
            "--application-id",
            "counts",
            "--bootstrap-server",
            &broker,
            "--input-topics",
            "lines",
            "--force",
        ],
    )?;
    assert!(reset.contains("lines"), "{reset}");
    let topics = kafka_tool(
        "org.apache.kafka.tools.TopicCommand",
        &["--bootstrap-server", &broker, "--list"],
    )?;
    assert!(!topics.contains("counted-changelog"), "the tool deletes internal topics: {topics}");
    Ok(())
}
