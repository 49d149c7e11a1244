//! Produce and fetch beside Apache Kafka: throughput, CPU of the broker, latency, memory, start.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::Bench;
use crate::figures::{median, number, percentile_ms};
use crate::load::{Load, create_topic, delete_topic, fetch, produce, steady};
use crate::process::{cpu_seconds, memory_mib};
use crate::program::Aquifer;
use crate::progress::Progress;
use crate::report::Section;
use crate::services::KafkaCommand;

/// Sizes of values, in bytes.
const SIZES: [usize; 2] = [1000, 100];
/// For the latency of single records.
const STEADY_PER_SECOND: u32 = 2000;
const STEADY_LENGTH: Duration = Duration::from_secs(5);
const BROKER_ONLY: [&str; 2] = ["--roles", "broker"];
const OS_FLUSH: [&str; 4] = ["--roles", "broker", "--set", "log.flush.mode=os"];

/// A broker under load, and what was measured of it.
struct Side {
    address: String,
    pid: u32,
    idle_mib: f64,
    produce: [Rounds; 2],
    fetch: [Rounds; 2],
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
}

/// The rounds of one measurement.
#[derive(Default)]
struct Rounds {
    records_per_second: Vec<f64>,
    cpu_us_per_record: Vec<f64>,
}

impl Rounds {
    fn add(&mut self, load: Load, took: Duration, cpu_seconds: f64) {
        let count = load.count as f64;
        self.records_per_second.push(count / took.as_secs_f64());
        self.cpu_us_per_record.push(cpu_seconds * 1e6 / count);
    }
}

impl Side {
    fn new(address: &str, pid: u32) -> Result<Self> {
        let (idle_mib, _) = memory_mib(pid)?;
        Ok(Self {
            address: address.to_owned(),
            pid,
            idle_mib,
            produce: Default::default(),
            fetch: Default::default(),
            p50_ms: Vec::new(),
            p99_ms: Vec::new(),
        })
    }
}

/// Runs both brokers at once, one under load at a time.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let command = KafkaCommand::prepare(bench)?;
    let (kafka_ready, our_ready) = starts(bench, &command).await?;
    let kafka = command.start().await?;
    let flushed_by_os = Aquifer::start(bench, "broker-os", &OS_FLUSH).await?;
    let commit = Aquifer::start(bench, "broker-commit", &BROKER_ONLY).await?;
    // Long enough for a start to settle.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut sides = [
        Side::new(&kafka.address, kafka.pid())?,
        Side::new(&flushed_by_os.kafka, flushed_by_os.pid())?,
        Side::new(&commit.kafka, commit.pid())?,
    ];

    let progress = Progress::new("produce", (bench.rounds + 1) * 3);
    // Round 0 warms up: the first minute of a Java process is not what it costs later. It is not counted.
    for round in 0..=bench.rounds {
        for (side, name) in
            sides.iter_mut().zip(["Apache Kafka", "Aquifer, os flush", "Aquifer, commit"])
        {
            progress.step(&if round == 0 {
                format!("warming up {name}")
            } else {
                format!("round {round}, {name}")
            });
            for size in 0..SIZES.len() {
                throughput(bench, side, size, round).await?;
            }
            latency(side, round).await?;
        }
    }
    let memory =
        sides.iter().map(|side| Ok(memory_mib(side.pid)?.0)).collect::<Result<Vec<f64>>>()?;
    let sections = sections(bench, &sides, &memory, (kafka_ready, our_ready));
    commit.stop().await?;
    flushed_by_os.stop().await?;
    kafka.stop().await?;
    Ok(sections)
}

/// From the start of the process until it answers, in milliseconds: Apache Kafka's, and ours with the broker alone.
async fn starts(bench: &Bench, command: &KafkaCommand) -> Result<(f64, f64)> {
    let progress = Progress::new("broker", bench.rounds);
    let (mut kafka_ms, mut our_ms) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        progress.step(&format!("start {}", round + 1));
        let kafka = command.start().await?;
        kafka_ms.push(kafka.ready_in.as_secs_f64() * 1000.0);
        kafka.stop().await?;
        let ours = Aquifer::start(bench, "broker-start", &BROKER_ONLY).await?;
        our_ms.push(ours.ready_in.as_secs_f64() * 1000.0);
        ours.stop().await?;
    }
    Ok((median(&kafka_ms), median(&our_ms)))
}

async fn throughput(bench: &Bench, side: &mut Side, size: usize, round: u32) -> Result<()> {
    let value_bytes = *SIZES.get(size).context("a size")?;
    // Small records cost more each: half the bytes make rounds of about the same length.
    let bytes = u64::from(bench.mebibytes) * 1_048_576 / if value_bytes < 1000 { 2 } else { 1 };
    let load = Load { count: bytes / value_bytes as u64, value_bytes };
    let topic = format!("load-{value_bytes}-{round}");
    create_topic(&side.address, &topic).await?;
    let measure =
        async |work: fn(&str, &str, Load) -> Result<Duration>| -> Result<(Duration, f64)> {
            let before = cpu_seconds(side.pid)?;
            let (address, topic) = (side.address.clone(), topic.clone());
            let took = tokio::task::spawn_blocking(move || work(&address, &topic, load)).await??;
            Ok((took, cpu_seconds(side.pid)? - before))
        };
    let (produced, fetched) = (measure(produce).await?, measure(fetch).await?);
    delete_topic(&side.address, &topic).await?;
    if round > 0 {
        side.produce[size].add(load, produced.0, produced.1);
        side.fetch[size].add(load, fetched.0, fetched.1);
    }
    Ok(())
}

async fn latency(side: &mut Side, round: u32) -> Result<()> {
    let topic = format!("steady-{round}");
    create_topic(&side.address, &topic).await?;
    let (address, name) = (side.address.clone(), topic.clone());
    let work = move || steady(&address, &name, SIZES[0], STEADY_PER_SECOND, STEADY_LENGTH);
    let mut times = tokio::task::spawn_blocking(work).await??;
    delete_topic(&side.address, &topic).await?;
    if round > 0 {
        side.p50_ms.push(percentile_ms(&mut times, 50));
        side.p99_ms.push(percentile_ms(&mut times, 99));
    }
    Ok(())
}

fn sections(
    bench: &Bench,
    sides: &[Side; 3],
    memory: &[f64],
    (kafka_ready, our_ready): (f64, f64),
) -> Vec<Section> {
    let how = format!(
        "librdkafka on the same machine, acks=all, batches of 64 KiB, 4 partitions, {} MiB of 1000-byte and {} MiB of 100-byte values a round, {} rounds after one to warm up. \
         Apache Kafka 4.3 with its defaults and 1 GiB of heap never syncs by itself: `os` is Aquifer with `log.flush.mode=os`, which does the same; `commit` is Aquifer's default, where an acknowledgement means synced. CPU is that of the broker's process: a sync does its writing there, while what is not synced is written later by the kernel's own threads and counted nowhere.",
        bench.mebibytes,
        bench.mebibytes / 2,
        bench.rounds
    );
    let head =
        ["", "Apache Kafka", "Aquifer, os", "Aquifer, commit", "os ÷ Kafka", "commit ÷ Kafka"];
    let mut section = Section::new("Produce and fetch beside Apache Kafka", &how, &head);
    for (size, value_bytes) in SIZES.into_iter().enumerate() {
        for (verb, of) in [
            ("produce", (|side| &side.produce) as fn(&Side) -> &[Rounds; 2]),
            ("fetch", |side| &side.fetch),
        ] {
            let rounds = |side: usize| &of(&sides[side])[size];
            compare(&mut section, &format!("{verb} {value_bytes} B, records/s"), |side| {
                median(&rounds(side).records_per_second)
            });
            compare(
                &mut section,
                &format!("{verb} {value_bytes} B, broker CPU µs/record"),
                |side| median(&rounds(side).cpu_us_per_record),
            );
            compare(&mut section, &format!("{verb} {value_bytes} B, broker CPU ns/byte"), |side| {
                median(&rounds(side).cpu_us_per_record) * 1000.0 / value_bytes as f64
            });
        }
    }
    let cpu = |side: usize| median(&sides[side].produce[0].cpu_us_per_record);
    let rate = |side: usize| median(&sides[side].produce[0].records_per_second);
    section.headline(
        "produce, 64 KiB batches of 1 KB records, broker CPU per byte ÷ Apache Kafka 4.3 (both without syncs)",
        &number(cpu(1) / cpu(0)),
        "≤ 0.5",
    );
    section.headline("the same with every acknowledgement synced", &number(cpu(2) / cpu(0)), "");
    section.headline(
        "produce, records/s ÷ Apache Kafka 4.3 (both without syncs)",
        &number(rate(1) / rate(0)),
        "",
    );
    let mut other = Section::new(
        "Latency, memory and start beside Apache Kafka",
        "Latency: 2 000 records/s of 1000 bytes over 4 partitions, linger 0, acks=all, from when a record was due until its acknowledgement. Memory: resident set, idle 3 s after the start and after all the load above. Start: from the process's start on an empty, formatted directory until ApiVersions is answered; the broker alone on both sides.",
        &head,
    );
    compare(&mut other, "acknowledged, p50 ms", |side| median(&sides[side].p50_ms));
    compare(&mut other, "acknowledged, p99 ms", |side| median(&sides[side].p99_ms));
    compare(&mut other, "memory idle, MiB", |side| sides[side].idle_mib);
    compare(&mut other, "memory after load, MiB", |side| memory[side]);
    compare(&mut other, "start, ms", |side| if side == 0 { kafka_ready } else { our_ready });
    let ratio = number(memory[1] / memory[0]);
    other.headline("broker memory after load ÷ Apache Kafka 4.3", &ratio, "");
    vec![section, other]
}

/// A row of the three sides and our ratios to the first.
fn compare(section: &mut Section, what: &str, of: impl Fn(usize) -> f64) {
    let (kafka, os, commit) = (of(0), of(1), of(2));
    section.row(&[
        what,
        &number(kafka),
        &number(os),
        &number(commit),
        &number(os / kafka),
        &number(commit / kafka),
    ]);
}
