//! The built program as a process of its own, on ports of its own, with a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use serde_json::{Value, json};

use crate::http::Http;
use crate::wait::within;

/// How long a start or an orderly end may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to start it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// More arguments of `aquifer start`.
    pub arguments: Vec<String>,
    /// The program; the one of this build where it is empty.
    pub program: PathBuf,
}

/// Where it listens, as its ready file says.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The broker.
    pub kafka: String,
    /// The schema registry.
    pub registry: String,
    /// The Connect worker.
    pub connect: String,
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Aquifer {
    directory: PathBuf,
    options: Options,
    child: Child,
    /// Where it listens; the same after a restart.
    pub addresses: Addresses,
    /// How long it took until it answered.
    pub started_in: Duration,
}

impl Aquifer {
    /// Starts it on free ports in that directory, and waits until it is ready.
    pub async fn start(directory: &Path, options: Options) -> Result<Self> {
        let any = Addresses {
            kafka: "127.0.0.1:0".to_owned(),
            registry: "127.0.0.1:0".to_owned(),
            connect: "127.0.0.1:0".to_owned(),
        };
        Self::start_at(directory, options, &any).await
    }

    async fn start_at(directory: &Path, options: Options, at: &Addresses) -> Result<Self> {
        let began = Instant::now();
        let mut child = spawn(directory, &options, at)?;
        let ready = within(PATIENCE, "the program is ready", || {
            let outcome = read_ready(directory, &mut child);
            async move {
                // There is nothing to wait for where the program has ended.
                outcome.map_or_else(|error| Ok(Some(Err(error))), |ready| Ok(ready.map(Ok)))
            }
        })
        .await
        .and_then(|outcome| outcome);
        let addresses = match ready {
            Ok(addresses) => addresses,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error.context(log_end(directory)));
            }
        };
        Ok(Self {
            directory: directory.to_owned(),
            options,
            child,
            addresses,
            started_in: began.elapsed(),
        })
    }

    /// Ends it at once, as a power cut or the kernel would.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it where it is, as a machine that hangs.
    pub fn pause(&self) -> Result<()> {
        self.signal(rustix::process::Signal::STOP)
    }

    /// Lets it go on after `pause`.
    pub fn go_on(&self) -> Result<()> {
        self.signal(rustix::process::Signal::CONT)
    }

    fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)?;
        Ok(())
    }

    /// Ends it with SIGTERM and waits.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(rustix::process::Signal::TERM)?;
        let directory = self.directory.clone();
        let child = &mut self.child;
        let status = within(PATIENCE, "the program ends after SIGTERM", || {
            let outcome = child.try_wait().map_err(anyhow::Error::from);
            async move { outcome }
        })
        .await;
        status.with_context(|| log_end(&directory))
    }

    /// Starts it again, on the same ports and directory, after `kill` or `stop`.
    pub async fn restart(&mut self) -> Result<()> {
        let at = self.addresses.clone();
        *self = Self::start_at(&self.directory.clone(), self.options.clone(), &at).await?;
        Ok(())
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory in use, in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What it logged, all starts together.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("aquifer.log")).unwrap_or_default()
    }

    /// A client of the Connect worker.
    pub fn connect(&self) -> Http {
        Http::new(&self.addresses.connect)
    }

    /// A client of the registry.
    pub fn registry(&self) -> Http {
        Http::new(&self.addresses.registry)
    }

    /// Posts a connector and waits until it and its tasks run.
    pub async fn create_connector(&self, name: &str, config: &Value) -> Result<()> {
        let (status, answer) = self
            .connect()
            .call(Method::POST, "/connectors", Some(&json!({"name": name, "config": config})))
            .await?;
        if status != 201 {
            bail!("connector {name} was answered {status}: {answer}");
        }
        self.connector_runs(name).await
    }

    /// Waits until a connector and all of its tasks run; a failed one ends the wait with its trace.
    pub async fn connector_runs(&self, name: &str) -> Result<()> {
        let connect = self.connect();
        within(PATIENCE, &format!("connector {name} runs"), || async {
            let status = connect.get(&format!("/connectors/{name}/status")).await?;
            let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
            let running = |part: &Value| part["state"] == "RUNNING";
            if let Some(failed) =
                tasks.iter().chain([&status["connector"]]).find(|part| part["state"] == "FAILED")
            {
                bail!("{name} failed: {}", failed["trace"]);
            }
            Ok((running(&status["connector"]) && !tasks.is_empty() && tasks.iter().all(running))
                .then_some(()))
        })
        .await
        .with_context(|| log_end(&self.directory))
    }
}

impl Drop for Aquifer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(directory: &Path, options: &Options, at: &Addresses) -> Result<Child> {
    let ready = directory.join("ready.json");
    let _ = std::fs::remove_file(&ready);
    let log =
        std::fs::File::options().create(true).append(true).open(directory.join("aquifer.log"))?;
    let program =
        if options.program.as_os_str().is_empty() { built()? } else { options.program.clone() };
    let mut command = Command::new(&program);
    command.arg("start");
    // A role that is off has no address.
    for (listener, address) in
        [("--kafka", &at.kafka), ("--registry", &at.registry), ("--connect", &at.connect)]
    {
        if !address.is_empty() {
            command.args([listener, address]);
        }
    }
    command
        .arg("--data-dir")
        .arg(directory.join("data"))
        .arg("--ready-file")
        .arg(&ready)
        .args(&options.arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("{} did not start", program.display()))
}

/// The program of the build that this test belongs to.
fn built() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let found =
        test.ancestors().skip(1).map(|folder| folder.join("aquifer")).find(|path| path.is_file());
    found.context("the program is not built: cargo build -p aquifer")
}

fn read_ready(directory: &Path, child: &mut Child) -> Result<Option<Addresses>> {
    if let Some(status) = child.try_wait()? {
        bail!("the program ended with {status}");
    }
    let Ok(bytes) = std::fs::read(directory.join("ready.json")) else { return Ok(None) };
    let ready: Value = serde_json::from_slice(&bytes)?;
    let address = |role: &str| ready[role].as_str().unwrap_or_default().to_owned();
    Ok(Some(Addresses {
        kafka: address("kafka"),
        registry: address("registry"),
        connect: address("connect"),
    }))
}

fn log_end(directory: &Path) -> String {
    let log = std::fs::read_to_string(directory.join("aquifer.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    format!("the end of its log:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"))
}
