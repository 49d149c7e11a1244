//! Transactions under faults: whatever happens to the broker and the network, readers of what is committed see exactly the
//! committed transactions, once, whole, and in order.
//!
//! - Writers of two makes (librdkafka, Java) commit and abort at random and say what became of each transaction.
//! - The faults: kill -9, SIGSTOP, a proxy that delays and cuts.
//! - The judge is `checker.rs`, whose own tests show that it sees each anomaly.

mod checker;
mod writer;

use std::time::Duration;

use anyhow::{Context as _, Result};
use aquifer_tests::{Aquifer, Options, Proxy, java_program};
use rand::{Rng as _, SeedableRng as _};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use checker::{Journal, anomalies};
use writer::Writer;

const PARTITIONS: u32 = 4;
const FAULTS: u32 = 14;

/// Everything that readers of the committed see, by partition, in the order of the offsets.
fn read_committed(broker: &str, topic: &str) -> Result<Vec<Vec<String>>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "nobody")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, i32::try_from(partition)?, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let mut read: Vec<Vec<String>> = vec![Vec::new(); usize::try_from(PARTITIONS)?];
    let mut ends = 0;
    while ends < PARTITIONS {
        match consumer.poll(Duration::from_secs(60)).context("nothing came")? {
            Ok(message) => {
                let value = String::from_utf8_lossy(message.payload().unwrap_or_default());
                read[usize::try_from(message.partition())?].push(value.into_owned());
            }
            Err(KafkaError::PartitionEOF(_)) => ends += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(read)
}

// The proxy needs threads of its own: what this test calls blocks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_the_committed_see_each_committed_transaction_once_whatever_fails() -> Result<()>
{
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| rand::rng().random());
    println!("SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir()?;
    // Clients are told the proxy's address, and so never go around it.
    let (proxy, target) = Proxy::start().await?;
    let advertised = format!("advertised.listeners=PLAINTEXT://{}", proxy.address);
    let arguments = ["--set", &advertised, "--set", "num.partitions=4", "--roles", "broker"];
    let arguments = arguments.map(str::to_owned).to_vec();
    let mut aquifer =
        Aquifer::start(directory.path(), Options { arguments, ..Options::default() }).await?;
    target.send(aquifer.addresses.kafka.clone())?;
    let broker = proxy.address.as_str();
    crate::kcat::kcat(broker, &["-L", "-t", "checked"], "")?;

    let java = ["java-1", "java-2"].map(|id| {
        let seed = random.random::<u32>().to_string();
        let arguments = [broker, "checked", &PARTITIONS.to_string(), id, &seed];
        java_program("4.3.0", "java", "Writer", &arguments)
    });
    let own = ["librdkafka-1", "librdkafka-2"]
        .map(|id| Writer::start(broker, "checked", PARTITIONS, id, random.random()));
    let mut programs = Vec::new();
    for program in java {
        programs.push(program?);
    }

    for _ in 0..FAULTS {
        tokio::time::sleep(Duration::from_millis(random.random_range(300..2000))).await;
        match random.random_range(0..5) {
            0 | 1 => {
                aquifer.kill()?;
                aquifer.restart().await?;
            }
            2 => {
                aquifer.pause()?;
                tokio::time::sleep(Duration::from_millis(random.random_range(200..3000))).await;
                aquifer.go_on()?;
            }
            3 => proxy.delay(Duration::from_millis(random.random_range(0..200))),
            _ => proxy.cut(),
        }
    }
    proxy.delay(Duration::ZERO);
    let mut journal = Journal::default();
    for (program, id) in programs.into_iter().zip(["java-1", "java-2"]) {
        for line in program.finish()? {
            journal.note(id, &line);
        }
    }
    for (writer, id) in own.into_iter().zip(["librdkafka-1", "librdkafka-2"]) {
        for line in writer.finish()? {
            journal.note(id, &line);
        }
    }
    let read = read_committed(broker, "checked")?;
    let found = anomalies(&journal, &read);
    assert!(
        found.is_empty(),
        "{} anomalies in {journal}:\n{}\nthe end of the log:\n{}",
        found.len(),
        found.iter().take(20).cloned().collect::<Vec<_>>().join("\n"),
        aquifer.log().lines().rev().take(30).collect::<Vec<_>>().join("\n")
    );
    println!("{journal}");
    assert!(journal.committed() > 20, "hardly anything was committed: {journal}");
    Ok(())
}
