//! Change capture beside `pg_recvlogical`: the same WAL, each through a slot of its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aquifer_tests::until;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use reqwest::Method;
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::Bench;
use crate::figures::{median, number, range, ratio};
use crate::machine::settle;
use crate::process::{cpu_seconds, memory_mib};
use crate::program::Aquifer;
use crate::progress::Progress;
use crate::report::Section;
use crate::services::Postgres;

const TABLE: &str = "CREATE TABLE bench (id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL, city text, age int, score double precision, active boolean, price numeric(12,2), born date, changed timestamptz)";
/// Rows of one transaction.
const TRANSACTION_ROWS: u32 = 1000;
const PATIENCE: Duration = Duration::from_secs(180);
/// How often the end of a topic is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A topic that had nothing new for so long has everything.
const QUIET: Duration = Duration::from_millis(500);

/// Drains the slots by turns; also the topic of the last round, with a change event a row.
pub(crate) async fn measure(
    bench: &Bench,
    postgres: &Postgres,
    program: &Aquifer,
) -> Result<(Section, String)> {
    let progress = Progress::new("capture", bench.rounds * 2 + 2);
    postgres.execute(TABLE).await?;
    postgres.execute("CREATE PUBLICATION bench FOR TABLE bench").await?;
    progress.step("slots");
    let rounds: Vec<String> = (0..bench.rounds).map(|round| format!("bench{round}")).collect();
    for name in &rounds {
        recvlogical(postgres, &format!("raw_{name}"), &["--create-slot", "--plugin=pgoutput"])?;
        paused_source(postgres, program, name).await?;
    }
    progress.step(&format!("writing {} rows", bench.rows));
    let end = write_rows(postgres, bench.rows).await?;

    let (mut raw, mut raw_cpu, mut ours, mut our_cpu) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let rows = f64::from(bench.rows);
    for (number, name) in rounds.iter().enumerate() {
        progress.step(&format!("round {}, pg_recvlogical", number + 1));
        settle().await?;
        let (took, cpu) = drain_raw(postgres, &format!("raw_{name}"), &end)?;
        raw.push(rows / took);
        raw_cpu.push(cpu * 1e6 / rows);
        progress.step(&format!("round {}, Aquifer", number + 1));
        let (took, cpu) = drain_ours(bench, program, name).await?;
        ours.push(rows / took);
        our_cpu.push(cpu * 1e6 / rows);
    }
    let (_, peak_mib) = memory_mib(program.pid())?;
    let how = format!(
        "{} rows of 10 columns, inserted in transactions of {TRANSACTION_ROWS}, drained from slots made before the inserts, {} rounds by turns. \
         `pg_recvlogical` writes pgoutput (protocol 1, text) to /dev/null; Aquifer is the whole program with its defaults: decoded, as Debezium's envelope in Avro, in a topic, synced. \
         Both times begin with the request to start and contain it. CPU is that of `pg_recvlogical` and of the whole program; Postgres's own is the same for both.",
        number(rows),
        bench.rounds
    );
    let mut section = Section::new(
        "Change capture beside pg_recvlogical",
        &how,
        &["", "pg_recvlogical", "Aquifer", "Aquifer ÷ pg_recvlogical"],
    );
    let mut compare = |what: &str, raw: f64, ours: f64| {
        section.row(&[what, &number(raw), &number(ours), &number(ours / raw)])
    };
    compare("rows/s", median(&raw), median(&ours));
    compare("CPU µs/row", median(&raw_cpu), median(&our_cpu));
    section.row(&["rows/s, slowest and fastest round", &range(&raw), &range(&ours), ""]);
    section.row(&["peak memory of the whole program, MiB", "", &number(peak_mib), ""]);
    let ratio = ratio(&ours, &raw);
    section.headline("change capture, rows/s ÷ `pg_recvlogical` to /dev/null", &ratio, "≥ 0.6");
    let topic = rounds.last().map(|name| topic(name)).context("at least one round")?;
    // What is only in the way of the parts that follow.
    for name in &rounds {
        program.delete_connector(name).await?;
    }
    Ok((section, topic))
}

fn topic(name: &str) -> String {
    format!("{name}.public.bench")
}

/// A source with a slot, made and then paused, so that what is written next waits for it.
async fn paused_source(postgres: &Postgres, program: &Aquifer, name: &str) -> Result<()> {
    let config = json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": "127.0.0.1",
        "database.port": postgres.port(),
        "database.user": "postgres",
        "database.dbname": "postgres",
        "topic.prefix": name,
        "slot.name": name,
        "publication.name": "bench",
        "publication.autocreate.mode": "disabled",
        "table.include.list": "public.bench",
        "snapshot.mode": "no_data",
    });
    program.create_connector(name, &config).await?;
    // Streaming, not only being made: a slot is active from the moment at which its making begins.
    slot_is(
        postgres,
        name,
        "active_pid IN (SELECT pid FROM pg_stat_replication WHERE state = 'streaming')",
    )
    .await?;
    program.connect.ok(Method::PUT, &format!("/connectors/{name}/pause"), None).await?;
    slot_is(postgres, name, "NOT active").await
}

async fn slot_is(postgres: &Postgres, name: &str, state: &str) -> Result<()> {
    let query =
        format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{name}' AND {state}");
    until(&format!("slot {name} is {state}"), || async {
        let mut connection = postgres.connect().await?;
        let count: i64 =
            sqlx::query_scalar(AssertSqlSafe(query.clone())).fetch_one(&mut connection).await?;
        Ok(count == 1)
    })
    .await
}

/// Inserts the rows; the position in the WAL behind them.
async fn write_rows(postgres: &Postgres, rows: u32) -> Result<String> {
    let mut connection = postgres.connect().await?;
    let insert = "INSERT INTO bench SELECT n, 'name ' || n, 'user' || n || '@example.com', 'city ' || n % 1000, n % 100, n / 7.0, n % 2 = 0, n % 100000 / 100.0, date '1970-01-01' + n % 20000, timestamptz '2025-01-01' + n * interval '1 s' FROM generate_series($1::int, $2::int) n";
    let mut first = 1;
    while first <= rows {
        let last = rows.min(first + TRANSACTION_ROWS - 1);
        sqlx::query(insert)
            .bind(i32::try_from(first)?)
            .bind(i32::try_from(last)?)
            .execute(&mut connection)
            .await?;
        first = last + 1;
    }
    Ok(sqlx::query_scalar("SELECT pg_current_wal_lsn()::text").fetch_one(&mut connection).await?)
}

/// Debian keeps it out of the path.
fn recvlogical_program() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = installed
        .map(|version| version.path().join("bin/pg_recvlogical"))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from("pg_recvlogical"))
}

fn recvlogical(postgres: &Postgres, slot: &str, arguments: &[&str]) -> Result<String> {
    // The shell's `time` gives the CPU of a process that has ended.
    let script = "TIMEFORMAT='cpu %U %S'; time \"$@\"";
    let program = recvlogical_program();
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).arg(&program).args([
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-d",
        "postgres",
        "-p",
        postgres.port(),
    ]);
    let output = command
        .arg(format!("--slot={slot}"))
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("{} {}: {text}", program.display(), arguments.join(" "));
    }
    Ok(text)
}

/// Seconds, and seconds of CPU, until everything up to that position has come.
fn drain_raw(postgres: &Postgres, slot: &str, end: &str) -> Result<(f64, f64)> {
    let options =
        ["-o", "proto_version=1", "-o", "publication_names=bench", "-f", "/dev/null", "--no-loop"];
    let until = format!("--endpos={end}");
    let arguments: Vec<&str> = ["--start", until.as_str()].into_iter().chain(options).collect();
    let began = Instant::now();
    let text = recvlogical(postgres, slot, &arguments)?;
    let took = began.elapsed().as_secs_f64();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("cpu "))
        .with_context(|| format!("no times in {text:?}"))?;
    let cpu: f64 = line.split(' ').filter_map(|seconds| seconds.parse::<f64>().ok()).sum();
    recvlogical(postgres, slot, &["--drop-slot"])?;
    Ok((took, cpu))
}

/// Seconds, and seconds of CPU of the whole program, until the topic holds every row.
async fn drain_ours(bench: &Bench, program: &Aquifer, name: &str) -> Result<(f64, f64)> {
    let watcher: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &program.kafka)
        .set("group.id", "bench")
        .create()?;
    let rows = i64::from(bench.rows);
    let (began, cpu) = (Instant::now(), cpu_seconds(program.pid())?);
    program.connect.ok(Method::PUT, &format!("/connectors/{name}/resume"), None).await?;
    // Asked in quick succession: the time is a figure. The topic appears with its first record, and holds markers of
    // transactions beside the records, so that it is over when nothing more comes.
    let topic = topic(name);
    let end = || watcher.fetch_watermarks(&topic, 0, PATIENCE).map_or(0, |(_, end)| end);
    let (mut last, mut took, mut spent) = (0, 0.0, 0.0);
    while last < rows || began.elapsed().as_secs_f64() - took < QUIET.as_secs_f64() {
        if began.elapsed() > PATIENCE {
            bail!("{name} captured {last} of {rows} rows");
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let now = tokio::task::block_in_place(end);
        if now != last {
            last = now;
            took = began.elapsed().as_secs_f64();
            spent = cpu_seconds(program.pid())? - cpu;
        }
    }
    let captured = tokio::task::block_in_place(|| count(&program.kafka, &topic))?;
    ensure!(captured == rows, "{captured} records for {rows} rows");
    program.connect.ok(Method::PUT, &format!("/connectors/{name}/pause"), None).await?;
    Ok((took, spent))
}

/// The records of a topic's only partition that `read_committed` sees.
fn count(address: &str, topic: &str) -> Result<i64> {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "bench")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    reader.assign(&partitions)?;
    let mut records = 0;
    loop {
        match reader.poll(PATIENCE) {
            Some(Ok(_)) => records += 1,
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
            Some(Err(error)) => return Err(error.into()),
            None => bail!("{topic} could not be read to its end"),
        }
    }
}
