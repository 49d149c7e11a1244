//! On what, and of which commit, the figures were taken.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::figures::{number, percentile_ms};

/// One machine and one commit.
pub(crate) struct Machine {
    /// What was typed.
    pub(crate) command: String,
    lines: Vec<String>,
}

impl Machine {
    #[cfg(test)]
    pub(crate) fn of(command: &str, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Self { command: command.to_owned(), lines }
    }

    /// As lines of text.
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// Asks the machine; syncs a file in that folder to learn what a sync costs.
pub(crate) fn describe(folder: &Path) -> Result<Machine> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = if arguments.is_empty() {
        "make bench".to_owned()
    } else {
        format!("target/release/aquifer-bench {}", arguments.join(" "))
    };
    let field = |path: &str, name: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let memory: f64 =
        field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    let cores = std::thread::available_parallelism()?;
    let (p50, p99) = sync_ms(folder)?;
    let lines = vec![
        format!("Commit {}, {}.", commit(), output("date", &["-u", "+%Y-%m-%d"])),
        format!(
            "Machine: {cores} cores of {}, {} GiB of memory, Linux {}; a write of 4 KiB with fdatasync takes {} ms (median), {} ms (99 %).",
            field("/proc/cpuinfo", "model name"),
            number(memory / 1_048_576.0),
            output("uname", &["-r"]),
            number(p50),
            number(p99)
        ),
    ];
    Ok(Machine { command, lines })
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).current_dir(aquifer_tests::repository()).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

fn commit() -> String {
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
    // The report itself does not make a build another one.
    let changed = output("git", &["status", "--porcelain", "--", ":!docs", ":!*.md"]);
    match (commit.is_empty(), changed.is_empty()) {
        (true, _) => "unknown".to_owned(),
        (false, true) => commit,
        (false, false) => format!("{commit} with changes"),
    }
}

/// Median and 99th percentile of a small append with its sync.
fn sync_ms(folder: &Path) -> Result<(f64, f64)> {
    const ROUNDS: usize = 200;
    let mut file = tempfile::tempfile_in(folder)?;
    let mut times: Vec<Duration> = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        times.push(timed_sync(&mut file)?);
    }
    Ok((percentile_ms(&mut times, 50), percentile_ms(&mut times, 99)))
}

fn timed_sync(file: &mut File) -> Result<Duration> {
    let began = Instant::now();
    file.write_all(&[1; 4096])?;
    file.sync_data()?;
    Ok(began.elapsed())
}

/// Waits until the disk has what was written so far: what one measurement leaves behind must not slow down the next.
pub(crate) async fn settle() -> Result<()> {
    Ok(tokio::task::spawn_blocking(rustix::fs::sync).await?)
}

/// Syncs a file in that folder every few milliseconds while `work` runs, and returns what each sync took, too.
pub(crate) fn sync_beside<R>(
    folder: &Path,
    work: impl FnOnce() -> Result<R>,
) -> Result<(R, Vec<Duration>)> {
    const PAUSE: Duration = Duration::from_millis(10);
    let mut file = tempfile::tempfile_in(folder)?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| {
            let mut times = Vec::new();
            while !done.load(Ordering::Relaxed) {
                times.push(timed_sync(&mut file)?);
                std::thread::sleep(PAUSE);
            }
            anyhow::Ok(times)
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        match syncing.join() {
            Ok(times) => Ok((result?, times?)),
            Err(_) => bail!("the syncing thread panicked"),
        }
    })
}
