//! Another process, seen through `/proc`: its CPU time and its memory.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use aquifer_tests::within;
use rustix::process::{Pid, Signal, kill_process};

/// A process that was started here; dropping it kills it.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a command, its output into a file.
    pub(crate) fn spawn(command: &mut Command, log: &std::path::Path) -> Result<Self> {
        let log = std::fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("{command:?} did not start"))?;
        Ok(Self { child })
    }

    /// Its id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it with SIGKILL and waits for that.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it with SIGTERM and waits for that.
    pub(crate) async fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        within(Duration::from_secs(60), "a process ends after SIGTERM", || {
            let ended = self.child.try_wait().map_err(anyhow::Error::from);
            async { ended }
        })
        .await?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process so far, user and system, all threads, in seconds; counted in steps of 10 ms.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let ticks = |fields: &[&str]| -> Option<f64> {
        let user: f64 = fields.get(11)?.parse().ok()?;
        let system: f64 = fields.get(12)?.parse().ok()?;
        Some(user + system)
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(") ").context("no name in stat")?.1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    // The kernel shows ticks of USER_HZ, which is 100 on every architecture of Linux that Rust has.
    Ok(ticks(&fields).context("no times in stat")? / 100.0)
}

/// Memory of a process in MiB: resident now, and the most it ever was.
pub(crate) fn memory_mib(pid: u32) -> Result<(f64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok().map(|kib| kib / 1024.0)
    };
    Ok((field("VmRSS:").context("no VmRSS")?, field("VmHWM:").context("no VmHWM")?))
}
