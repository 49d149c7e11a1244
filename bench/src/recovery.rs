//! Starts that have much to look at: gigabytes after a crash, and ten thousand partitions.

use anyhow::Result;

use crate::Bench;
use crate::figures::{median, number};
use crate::load::{Load, create_topic, create_topic_of, produce};
use crate::program::Aquifer;
use crate::progress::Progress;
use crate::report::Section;
use crate::services::KafkaCommand;

/// What lies in the logs when the process is killed.
const GIBIBYTES: u64 = 2;
/// Of one topic.
const PARTITIONS: i32 = 10_000;
const BROKER_ONLY: [&str; 2] = ["--roles", "broker"];
const OS_FLUSH: [&str; 4] = ["--roles", "broker", "--set", "log.flush.mode=os"];

/// Kills both brokers with SIGKILL after the same load, and starts them again.
pub(crate) async fn measure(bench: &Bench) -> Result<Section> {
    let load = Load { count: GIBIBYTES << 20, value_bytes: 1000, codec: "none" };
    let progress = Progress::new("recovery", bench.rounds * 3 + 1);
    let command = KafkaCommand::prepare(bench)?;
    let (mut kafka_ms, mut os_ms, mut commit_ms) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let topic = format!("recovery-{round}");
        progress.step(&format!("round {}, Apache Kafka", round + 1));
        let kafka = command.start().await?;
        fill(&kafka.address, &topic, load).await?;
        kafka.kill()?;
        let again = command.start().await?;
        kafka_ms.push(again.ready_in.as_secs_f64() * 1000.0);
        crate::load::delete_topic(&again.address, &topic).await?;
        again.stop().await?;
        for (name, settings, times) in [
            ("recovery-os", &OS_FLUSH[..], &mut os_ms),
            ("recovery-commit", &BROKER_ONLY[..], &mut commit_ms),
        ] {
            progress.step(&format!("round {}, {name}", round + 1));
            let ours = Aquifer::start(bench, name, settings).await?;
            fill(&ours.kafka, &topic, load).await?;
            ours.kill()?;
            let again = Aquifer::start_again(bench, name, settings).await?;
            times.push(again.ready_in.as_secs_f64() * 1000.0);
            again.stop().await?;
        }
    }
    progress.step("10 000 partitions");
    let ours = Aquifer::start(bench, "many", &BROKER_ONLY).await?;
    create_topic_of(&ours.kafka, "many", PARTITIONS).await?;
    ours.stop().await?;
    let mut many_ms = Vec::new();
    for _ in 0..bench.rounds {
        let again = Aquifer::start_again(bench, "many", &BROKER_ONLY).await?;
        many_ms.push(again.ready_in.as_secs_f64() * 1000.0);
        again.stop().await?;
    }
    let mut section = Section::new(
        "Starting again",
        "After a kill -9 at the end of 2 GiB of 1000-byte records in 4 partitions, 64 KiB batches: from the process's start until ApiVersions is answered. Then a start with a topic of 10 000 partitions (Aquifer alone; what Apache Kafka maps for so many does not fit its heap here). The broker alone on all sides.",
        &["", "Apache Kafka", "Aquifer, os", "Aquifer, commit", "os ÷ Kafka", "commit ÷ Kafka"],
    );
    let (kafka, os, commit) = (median(&kafka_ms), median(&os_ms), median(&commit_ms));
    section.row(&[
        "ready after kill -9, ms",
        &number(kafka),
        &number(os),
        &number(commit),
        &number(os / kafka),
        &number(commit / kafka),
    ]);
    let many = median(&many_ms);
    section.row(&["ready with 10 000 partitions, ms", "–", "–", &number(many), "–", "–"]);
    section.headline("ready after kill -9 with 2 GiB of log, ms", &number(commit), "");
    section.headline("ready with 10 000 partitions, ms", &number(many), "≤ 1 000");
    Ok(section)
}

async fn fill(address: &str, topic: &str, load: Load) -> Result<()> {
    create_topic(address, topic).await?;
    let (address, topic) = (address.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || produce(&address, &topic, load)).await??;
    Ok(())
}
