//! `make bench`: Aquifer beside what it stands in for, on one machine, in one run, as a table of ratios.
//!
//! - What is compared is measured in alternating rounds; a figure is the median of its rounds.
//! - Every process is a plain one, seen from outside: CPU and memory come from `/proc`, the rest from the public protocols.
//! - The load generator is the same for both sides and runs on the same machine: it bounds throughput, never CPU per record.
#![allow(clippy::disallowed_methods, reason = "measures how long real things take")]

mod broker;
mod capture;
mod figures;
mod index_latency;
mod load;
mod machine;
mod process;
mod program;
mod progress;
mod recovery;
mod report;
mod services;
mod sink;
mod start;
mod tap;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use report::{Report, Section};

/// Measures Aquifer beside Apache Kafka, pg_recvlogical and raw bulk requests.
#[derive(Debug, Parser)]
#[command(name = "aquifer-bench")]
struct Options {
    /// What to measure; everything where nothing is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// The program to measure [default: the one beside this program].
    #[arg(long, value_name = "FILE")]
    aquifer: Option<PathBuf>,
    /// Alternating rounds of each measurement.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Rows to capture, and documents to index.
    #[arg(long, default_value_t = 400_000)]
    rows: u32,
    /// MiB of records to produce and fetch in each round.
    #[arg(long, default_value_t = 400)]
    mebibytes: u32,
    /// Where to write the report as Markdown [default: docs/benchmarks.md and README when everything is measured].
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// First of the ports to use.
    #[arg(long, default_value_t = 26_090)]
    port: u16,
}

/// A part of the run that makes sense by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Time until ready and idle memory of the whole program.
    Start,
    /// Produce and fetch beside Apache Kafka.
    Produce,
    /// Starts after a crash and with many partitions.
    Recovery,
    /// Change capture beside pg_recvlogical.
    Capture,
    /// The Elasticsearch sink beside its own bulk bodies.
    Sink,
    /// From a commit in Postgres to the document.
    Latency,
}

/// What every part needs.
struct Bench {
    aquifer: PathBuf,
    rounds: u32,
    rows: u32,
    mebibytes: u32,
    port: u16,
    /// Data of everything that runs; on a disk, since files in memory know no sync.
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aquifer-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures in a folder that is left where it is when something fails: the logs are in it.
async fn run(options: Options) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("aquifer-bench-").tempdir_in("/var/tmp")?;
    match measure(options, folder.path()).await {
        Ok(()) => Ok(()),
        Err(error) => {
            Err(error.context(format!("logs and data are left in {}", folder.keep().display())))
        }
    }
}

async fn measure(options: Options, folder: &Path) -> Result<()> {
    let beside = std::env::current_exe()?.with_file_name("aquifer");
    let bench = Bench {
        aquifer: options.aquifer.clone().unwrap_or(beside),
        rounds: options.rounds,
        rows: options.rows,
        mebibytes: options.mebibytes,
        port: options.port,
        folder: folder.to_owned(),
    };
    anyhow::ensure!(
        bench.aquifer.exists(),
        "{} is not there: cargo build --release -p aquifer",
        bench.aquifer.display()
    );
    let mut report = Report::new(machine::describe(&bench.folder)?);
    let wanted = |part| options.parts.is_empty() || options.parts.contains(&part);
    if wanted(Part::Start) {
        report.add(start::measure(&bench).await?);
    }
    if wanted(Part::Produce) {
        broker::measure(&bench).await?.into_iter().for_each(|section| report.add(section));
    }
    if wanted(Part::Recovery) {
        report.add(recovery::measure(&bench).await?);
    }
    if wanted(Part::Capture) || wanted(Part::Sink) || wanted(Part::Latency) {
        for section in pipeline(&bench, wanted).await? {
            report.add(section);
        }
    }
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
        eprintln!("written to {}", path.display());
        anyhow::Ok(())
    };
    if let Some(path) = options.output {
        write(&path, report.markdown())?;
    } else if options.parts.is_empty() {
        let root = aquifer_tests::repository();
        write(&root.join("docs/benchmarks.md"), report.markdown())?;
        let readme = root.join("README.md");
        write(&readme, report.into_readme(&std::fs::read_to_string(&readme)?)?)?;
    }
    Ok(())
}

/// The parts that need Postgres and Elasticsearch: one start of each for all of them.
async fn pipeline(bench: &Bench, wanted: impl Fn(Part) -> bool) -> Result<Vec<Section>> {
    machine::settle().await?;
    let postgres = services::Postgres::start(bench).await?;
    let mut sections = Vec::new();
    let program = program::Aquifer::start(bench, "pipeline", &[]).await?;
    if wanted(Part::Capture) || wanted(Part::Sink) {
        let (section, topic) = capture::measure(bench, &postgres, &program).await?;
        if wanted(Part::Capture) {
            sections.push(section);
        }
        if wanted(Part::Sink) {
            let elasticsearch = services::Elasticsearch::start(bench)?;
            sections.push(sink::measure(bench, &elasticsearch, &program, &topic).await?);
        }
    }
    if wanted(Part::Latency) {
        let elasticsearch = services::Elasticsearch::start(bench)?;
        sections.push(index_latency::measure(&postgres, &elasticsearch, &program).await?);
    }
    program.stop().await?;
    Ok(sections)
}
