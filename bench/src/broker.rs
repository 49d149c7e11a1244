//! Produce and fetch beside Apache Kafka: throughput, CPU of the broker, latency, memory, start.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aquifer_tests::kafka_tool;

use crate::Bench;
use crate::figures::{median, number, percentile_ms, permille_ms};
use crate::load::{
    Load, Steady, create_topic, create_topic_of, delete_topic, fetch, pass_through, produce,
    produce_singly, steady,
};
use crate::machine::{settle, sync_beside};
use crate::process::{cpu_seconds, memory_mib};
use crate::program::Aquifer;
use crate::progress::Progress;
use crate::report::Section;
use crate::services::KafkaCommand;

/// What is produced and fetched: sizes of values in bytes, codecs, and the share of the bytes asked for.
const LOADS: [(usize, &str, u64); 4] =
    [(1000, "none", 1), (100, "none", 2), (1000, "lz4", 2), (1000, "zstd", 2)];
/// Requests of one record.
const SINGLE_REQUESTS: u64 = 20_000;
/// Records of Kafka's own load generator, 1000 bytes each.
const PERF_RECORDS: u64 = 200_000;
/// For the latency of single records.
const PACE: Steady =
    Steady { partitions: 4, value_bytes: 1000, per_second: 2000, length: Duration::from_secs(5) };
const MANY_PARTITIONS: i32 = 16;
const BROKER_ONLY: [&str; 2] = ["--roles", "broker"];
const OS_FLUSH: [&str; 4] = ["--roles", "broker", "--set", "log.flush.mode=os"];

/// A broker under load, and what was measured of it.
struct Side {
    address: String,
    pid: u32,
    idle_mib: f64,
    produce: [Rounds; 4],
    fetch: [Rounds; 4],
    single: Rounds,
    through: Rounds,
    perf: Rounds,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    p999_ms: Vec<f64>,
    /// Over [`MANY_PARTITIONS`], and of a sync beside it.
    many_p99_ms: Vec<f64>,
    sync_p99_ms: Vec<f64>,
}

/// The rounds of one measurement.
#[derive(Default)]
struct Rounds {
    records_per_second: Vec<f64>,
    cpu_us_per_record: Vec<f64>,
}

impl Rounds {
    fn add(&mut self, count: u64, (took, cpu_seconds): (Duration, f64)) {
        let count = count as f64;
        self.records_per_second.push(count / took.as_secs_f64());
        self.cpu_us_per_record.push(cpu_seconds * 1e6 / count);
    }

    fn rate(&self) -> f64 {
        median(&self.records_per_second)
    }

    fn cpu(&self) -> f64 {
        median(&self.cpu_us_per_record)
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
            single: Rounds::default(),
            through: Rounds::default(),
            perf: Rounds::default(),
            p50_ms: Vec::new(),
            p99_ms: Vec::new(),
            p999_ms: Vec::new(),
            many_p99_ms: Vec::new(),
            sync_p99_ms: Vec::new(),
        })
    }

    /// Runs a load on a topic: how long it took, and the broker's CPU time meanwhile in seconds.
    async fn run(
        &self,
        topic: &str,
        load: Load,
        work: fn(&str, &str, Load) -> Result<Duration>,
    ) -> Result<(Duration, f64)> {
        let before = cpu_seconds(self.pid)?;
        let (address, topic) = (self.address.clone(), topic.to_owned());
        let took = tokio::task::spawn_blocking(move || work(&address, &topic, load)).await??;
        Ok((took, cpu_seconds(self.pid)? - before))
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
            settle().await?;
            for at in 0..LOADS.len() {
                throughput(bench, side, at, round).await?;
            }
            singly(side, round).await?;
            through(bench, side, round).await?;
            perf(side, round).await?;
            latency(bench, side, round).await?;
        }
    }
    let memory =
        sides.iter().map(|side| Ok(memory_mib(side.pid)?.0)).collect::<Result<Vec<f64>>>()?;
    let sections = vec![
        throughput_section(bench, &sides),
        latency_section(&sides, &memory, (kafka_ready, our_ready)),
    ];
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

async fn throughput(bench: &Bench, side: &mut Side, at: usize, round: u32) -> Result<()> {
    let (value_bytes, codec, share) = *LOADS.get(at).context("a load")?;
    let bytes = u64::from(bench.mebibytes) * 1_048_576 / share;
    let load = Load { count: bytes / value_bytes as u64, value_bytes, codec };
    let topic = format!("load-{value_bytes}-{codec}-{round}");
    create_topic(&side.address, &topic).await?;
    let produced = side.run(&topic, load, produce).await?;
    let fetched = side.run(&topic, load, fetch).await?;
    delete_topic(&side.address, &topic).await?;
    if round > 0 {
        side.produce[at].add(load.count, produced);
        side.fetch[at].add(load.count, fetched);
    }
    Ok(())
}

async fn singly(side: &mut Side, round: u32) -> Result<()> {
    let load = Load { count: SINGLE_REQUESTS, value_bytes: 100, codec: "none" };
    let topic = format!("single-{round}");
    create_topic(&side.address, &topic).await?;
    let measured = side.run(&topic, load, produce_singly).await?;
    delete_topic(&side.address, &topic).await?;
    if round > 0 {
        side.single.add(load.count, measured);
    }
    Ok(())
}

async fn through(bench: &Bench, side: &mut Side, round: u32) -> Result<()> {
    let count = u64::from(bench.mebibytes) * 1_048_576 / 1000;
    let load = Load { count, value_bytes: 1000, codec: "none" };
    let topic = format!("through-{round}");
    create_topic(&side.address, &topic).await?;
    let measured = side.run(&topic, load, pass_through).await?;
    delete_topic(&side.address, &topic).await?;
    if round > 0 {
        side.through.add(load.count, measured);
    }
    Ok(())
}

/// Apache Kafka's own load generator.
async fn perf(side: &mut Side, round: u32) -> Result<()> {
    let topic = format!("perf-{round}");
    create_topic(&side.address, &topic).await?;
    let before = cpu_seconds(side.pid)?;
    let (address, name) = (side.address.clone(), topic.clone());
    let tool = move || {
        kafka_tool(
            "org.apache.kafka.tools.ProducerPerformance",
            &[
                "--topic",
                &name,
                "--num-records",
                &PERF_RECORDS.to_string(),
                "--record-size",
                "1000",
                "--throughput",
                "-1",
                "--producer-props",
                &format!("bootstrap.servers={address}"),
                "acks=all",
                "batch.size=65536",
                "linger.ms=20",
            ],
        )
    };
    let printed = tokio::task::spawn_blocking(tool).await??;
    let cpu = cpu_seconds(side.pid)? - before;
    delete_topic(&side.address, &topic).await?;
    // The last line: "200000 records sent, 123456.7 records/sec (117.74 MB/sec), …".
    let rate: f64 = printed
        .lines()
        .rev()
        .find_map(|line| line.split_once(" records sent, ")?.1.split_once(" records/sec"))
        .with_context(|| format!("no figure in {printed}"))?
        .0
        .parse()?;
    if round > 0 {
        let took = Duration::from_secs_f64(PERF_RECORDS as f64 / rate);
        side.perf.add(PERF_RECORDS, (took, cpu));
    }
    Ok(())
}

async fn latency(bench: &Bench, side: &mut Side, round: u32) -> Result<()> {
    let topic = format!("steady-{round}");
    create_topic(&side.address, &topic).await?;
    let (address, name) = (side.address.clone(), topic.clone());
    let mut times = tokio::task::spawn_blocking(move || steady(&address, &name, PACE)).await??;
    delete_topic(&side.address, &topic).await?;

    let topic = format!("steady-many-{round}");
    create_topic_of(&side.address, &topic, MANY_PARTITIONS).await?;
    let (address, name, folder) = (side.address.clone(), topic.clone(), bench.folder.clone());
    let work = move || {
        let pace = Steady { partitions: MANY_PARTITIONS, ..PACE };
        sync_beside(&folder, || steady(&address, &name, pace))
    };
    let (mut many, mut syncs) = tokio::task::spawn_blocking(work).await??;
    delete_topic(&side.address, &topic).await?;
    if round > 0 {
        side.p50_ms.push(percentile_ms(&mut times, 50));
        side.p99_ms.push(percentile_ms(&mut times, 99));
        side.p999_ms.push(permille_ms(&mut times, 999));
        side.many_p99_ms.push(percentile_ms(&mut many, 99));
        side.sync_p99_ms.push(percentile_ms(&mut syncs, 99));
    }
    Ok(())
}

const HEAD: [&str; 6] =
    ["", "Apache Kafka", "Aquifer, os", "Aquifer, commit", "os ÷ Kafka", "commit ÷ Kafka"];

fn throughput_section(bench: &Bench, sides: &[Side; 3]) -> Section {
    let how = format!(
        "librdkafka on the same machine, acks=all, batches of 64 KiB, 4 partitions, {} MiB of 1000-byte and half as many of the other values a round, {} rounds after one to warm up. Values that are compressed are text, the others are noise. Single: each record in a request of its own. Through: produced and read at the same time. \
         Apache Kafka 4.3 with its defaults and 1 GiB of heap never syncs by itself, and what one broker leaves unwritten is written before the next one's turn: `os` is Aquifer with `log.flush.mode=os`, which does the same; `commit` is Aquifer's default, where an acknowledgement means synced. CPU is that of the broker's process: a sync does its writing there, while what is not synced is written later by the kernel's own threads and counted nowhere.",
        bench.mebibytes, bench.rounds
    );
    let mut section = Section::new("Produce and fetch beside Apache Kafka", &how, &HEAD);
    for (at, (value_bytes, codec, _)) in LOADS.into_iter().enumerate() {
        let what = if codec == "none" {
            format!("{value_bytes} B")
        } else {
            format!("{value_bytes} B, {codec}")
        };
        for (verb, of) in [
            ("produce", (|side| &side.produce) as fn(&Side) -> &[Rounds; 4]),
            ("fetch", |side| &side.fetch),
        ] {
            let rounds = |side: usize| &of(&sides[side])[at];
            compare(&mut section, &format!("{verb} {what}, records/s"), |side| rounds(side).rate());
            compare(&mut section, &format!("{verb} {what}, broker CPU µs/record"), |side| {
                rounds(side).cpu()
            });
            compare(&mut section, &format!("{verb} {what}, broker CPU ns/byte"), |side| {
                rounds(side).cpu() * 1000.0 / value_bytes as f64
            });
        }
    }
    for (what, of) in [
        ("single 100 B", (|side| &side.single) as fn(&Side) -> &Rounds),
        ("through 1000 B", |side| &side.through),
        ("kafka-producer-perf-test 1000 B", |side| &side.perf),
    ] {
        compare(&mut section, &format!("{what}, records/s"), |side| of(&sides[side]).rate());
        compare(&mut section, &format!("{what}, broker CPU µs/record"), |side| {
            of(&sides[side]).cpu()
        });
    }
    let cpu = |at: usize, side: usize| sides[side].produce[at].cpu();
    section.headline(
        "produce, 64 KiB batches of 1 KB records, broker CPU per byte ÷ Apache Kafka 4.3 (both without syncs)",
        &number(cpu(0, 1) / cpu(0, 0)),
        "≤ 0.25",
    );
    section.headline(
        "the same with every acknowledgement synced",
        &number(cpu(0, 2) / cpu(0, 0)),
        "",
    );
    section.headline(
        "the same without syncs, lz4 and zstd",
        &format!("{} and {}", number(cpu(2, 1) / cpu(2, 0)), number(cpu(3, 1) / cpu(3, 0))),
        "≤ 0.2",
    );
    section.headline(
        "requests of a single record, broker CPU ÷ Apache Kafka 4.3",
        &number(sides[1].single.cpu() / sides[0].single.cpu()),
        "≤ 0.33",
    );
    section.headline(
        "fetch of 1 KB records, broker CPU per byte ÷ Apache Kafka 4.3",
        &number(sides[1].fetch[0].cpu() / sides[0].fetch[0].cpu()),
        "≤ 0.5",
    );
    section.headline(
        "produced and read at the same time, records/s ÷ Apache Kafka 4.3 (both without syncs)",
        &number(sides[1].through.rate() / sides[0].through.rate()),
        "≥ 1.2",
    );
    section
}

fn latency_section(
    sides: &[Side; 3],
    memory: &[f64],
    (kafka_ready, our_ready): (f64, f64),
) -> Section {
    let mut section = Section::new(
        "Latency, memory and start beside Apache Kafka",
        "Latency: 2 000 records/s of 1000 bytes over 4 partitions, linger 0, acks=all, from when a record was due until its acknowledgement; then over 16 partitions, while beside it a file on the same disk gets 4 KiB and an fdatasync every 10 ms. Memory: resident set, idle 3 s after the start and after all the load above. Start: from the process's start on an empty, formatted directory until ApiVersions is answered; the broker alone on both sides.",
        &HEAD,
    );
    compare(&mut section, "acknowledged, p50 ms", |side| median(&sides[side].p50_ms));
    compare(&mut section, "acknowledged, p99 ms", |side| median(&sides[side].p99_ms));
    compare(&mut section, "acknowledged, p99.9 ms", |side| median(&sides[side].p999_ms));
    compare(&mut section, "acknowledged, 16 partitions, p99 ms", |side| {
        median(&sides[side].many_p99_ms)
    });
    compare(&mut section, "fdatasync beside it, p99 ms", |side| median(&sides[side].sync_p99_ms));
    compare(&mut section, "memory idle, MiB", |side| sides[side].idle_mib);
    compare(&mut section, "memory after load, MiB", |side| memory[side]);
    compare(&mut section, "start, ms", |side| if side == 0 { kafka_ready } else { our_ready });
    section.headline(
        "acknowledged at 2 000 records/s, p99 ÷ Apache Kafka 4.3 (both without syncs)",
        &number(median(&sides[1].p99_ms) / median(&sides[0].p99_ms)),
        "≤ 0.5",
    );
    section.headline(
        "acknowledged and synced over 16 partitions, p99 ÷ p99 of an fdatasync beside it",
        &number(median(&sides[2].many_p99_ms) / median(&sides[2].sync_p99_ms)),
        "≤ 3",
    );
    section.headline(
        "broker memory after load ÷ Apache Kafka 4.3",
        &number(memory[1] / memory[0]),
        "≤ 0.125",
    );
    section
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
