//! Aquifer as a process, and whether a broker answers.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aquifer_tests::{Http, within};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Bench;
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running program.
pub(crate) struct Aquifer {
    process: Process,
    /// Where the broker listens.
    pub(crate) kafka: String,
    /// The Connect worker; nobody answers where that role is off.
    pub(crate) connect: Http,
    /// From the start of the process until everything answered and the ready file was there.
    pub(crate) ready_in: Duration,
    log: PathBuf,
}

impl Aquifer {
    /// Starts it on an empty directory of that name and on free ports.
    pub(crate) async fn start(bench: &Bench, name: &str, arguments: &[&str]) -> Result<Self> {
        let _ = std::fs::remove_dir_all(bench.folder.join(name));
        Self::start_again(bench, name, arguments).await
    }

    /// Starts it on what an earlier process left in the directory of that name.
    pub(crate) async fn start_again(bench: &Bench, name: &str, arguments: &[&str]) -> Result<Self> {
        let folder = bench.folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let _ = std::fs::remove_file(folder.join("ready.json"));
        let (ready, log) = (folder.join("ready.json"), folder.join("aquifer.log"));
        let mut command = Command::new(&bench.aquifer);
        command
            .arg("start")
            .arg("--data-dir")
            .arg(folder.join("data"))
            .arg("--ready-file")
            .arg(&ready);
        command
            .args([
                "--kafka",
                "127.0.0.1:0",
                "--registry",
                "127.0.0.1:0",
                "--connect",
                "127.0.0.1:0",
            ])
            .args(arguments);
        let began = Instant::now();
        let mut process = Process::spawn(&mut command, &log)?;
        // Looked for every millisecond: the time is a figure.
        while !ready.exists() {
            if process.has_ended() || began.elapsed() > PATIENCE {
                bail!("aquifer did not start:\n{}", std::fs::read_to_string(&log)?);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ready_in = began.elapsed();
        let addresses: Value = serde_json::from_slice(&std::fs::read(&ready)?)?;
        let address = |role: &str| addresses[role].as_str().unwrap_or("127.0.0.1:1").to_owned();
        Ok(Self {
            process,
            kafka: address("kafka"),
            connect: Http::new(&address("connect")),
            ready_in,
            log,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it in order.
    pub(crate) async fn stop(self) -> Result<()> {
        self.process.stop().await
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(self) -> Result<()> {
        self.process.kill()
    }

    /// Posts a connector and waits until all of its tasks run.
    pub(crate) async fn create_connector(&self, name: &str, config: &Value) -> Result<()> {
        self.connect.post("/connectors", &json!({"name": name, "config": config})).await?;
        within(PATIENCE, &format!("connector {name} runs"), || async {
            let status = self.connect.get(&format!("/connectors/{name}/status")).await?;
            let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
            if let Some(failed) = tasks.iter().find(|task| task["state"] == "FAILED") {
                bail!("{name} failed: {}", failed["trace"].as_str().unwrap_or_default());
            }
            let running = |part: &Value| part["state"] == "RUNNING";
            Ok((!tasks.is_empty() && tasks.iter().all(running)).then_some(()))
        })
        .await
        .with_context(|| format!("its log is {}", self.log.display()))
    }

    /// Removes a connector.
    pub(crate) async fn delete_connector(&self, name: &str) -> Result<()> {
        self.connect.delete(&format!("/connectors/{name}")).await?;
        Ok(())
    }
}

/// Whether a broker there answers ApiVersions.
pub(crate) async fn answers(address: &str) -> bool {
    // Size, key 18, version 0, correlation id 7, no client id.
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    let ask = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(&request).await.ok()?;
        let mut head = [0_u8; 8];
        stream.read_exact(&mut head).await.ok()?;
        head.ends_with(&[0, 0, 0, 7]).then_some(())
    };
    matches!(tokio::time::timeout(Duration::from_secs(1), ask).await, Ok(Some(())))
}
