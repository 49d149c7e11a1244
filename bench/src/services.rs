//! What Aquifer is measured beside: Apache Kafka, Postgres and Elasticsearch, each on a data directory of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aquifer_tests::{Http, run_script};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::Bench;
use crate::process::Process;
use crate::program::answers;

/// One node of Apache Kafka, formatted by the script and then run here, so that its start can be timed.
pub(crate) struct Kafka {
    process: Process,
    /// Where it listens.
    pub(crate) address: String,
    /// From the start of the process until it answered.
    pub(crate) ready_in: Duration,
}

/// The command that runs a formatted node.
pub(crate) struct KafkaCommand {
    arguments: Vec<String>,
    address: String,
    log: PathBuf,
}

impl KafkaCommand {
    /// Formats a node's empty directory and learns its command line.
    pub(crate) fn prepare(bench: &Bench) -> Result<Self> {
        let data = bench.folder.join("kafka");
        let (port, folder) = (bench.port.to_string(), data.display().to_string());
        // Apache Kafka's own scripts give the broker 1 GiB of heap.
        let script = aquifer_tests::repository().join("tests/services/kafka.sh");
        let status = Command::new(&script)
            .args(["start", &port, &folder])
            .env("KAFKA_HEAP", "1g")
            .stdout(std::process::Stdio::null())
            .status()?;
        let stopped = || run_script("kafka.sh", &["stop", &port, &folder]);
        let pid = std::fs::read_to_string(data.join("node-1/pid")).unwrap_or_default();
        let line = std::fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
        stopped()?;
        let arguments: Vec<String> = line
            .split(|byte| *byte == 0)
            .filter(|argument| !argument.is_empty())
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect();
        if !status.success() || arguments.is_empty() {
            bail!("{} start did not start Apache Kafka", script.display());
        }
        Ok(Self {
            arguments,
            address: format!("127.0.0.1:{port}"),
            log: bench.folder.join("kafka.log"),
        })
    }

    /// Starts the node and waits until it answers.
    pub(crate) async fn start(&self) -> Result<Kafka> {
        let [program, arguments @ ..] = self.arguments.as_slice() else { bail!("no command line") };
        let began = Instant::now();
        let mut process = Process::spawn(Command::new(program).args(arguments), &self.log)?;
        while !answers(&self.address).await {
            if process.has_ended() || began.elapsed() > Duration::from_secs(60) {
                bail!("Apache Kafka did not start; its log is {}", self.log.display());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Kafka { process, address: self.address.clone(), ready_in: began.elapsed() })
    }
}

impl Kafka {
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
}

/// A script's service on a directory of its own; dropping it stops it.
struct Service {
    script: &'static str,
    port: String,
    folder: String,
}

impl Service {
    fn start(bench: &Bench, script: &'static str, port: u16) -> Result<(Self, String)> {
        let folder = bench.folder.join(script.trim_end_matches(".sh")).display().to_string();
        let service = Self { script, port: port.to_string(), folder };
        let address = run_script(script, &["start", &service.port, &service.folder])?;
        Ok((service, address))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Err(error) = run_script(self.script, &["stop", &self.port, &self.folder]) {
            eprintln!("{}: {error:#}", self.script);
        }
    }
}

/// A throwaway Postgres.
pub(crate) struct Postgres {
    service: Service,
    url: String,
}

impl Postgres {
    /// Starts it.
    pub(crate) async fn start(bench: &Bench) -> Result<Self> {
        let (service, url) = Service::start(bench, "postgres.sh", bench.port + 10)?;
        let postgres = Self { service, url };
        postgres.connect().await?;
        Ok(postgres)
    }

    /// Its port on loopback.
    pub(crate) fn port(&self) -> &str {
        &self.service.port
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.url).await.with_context(|| self.url.clone())
    }

    /// Runs a statement.
    pub(crate) async fn execute(&self, statement: &str) -> Result<()> {
        let mut connection = self.connect().await?;
        connection
            .execute(AssertSqlSafe(statement.to_owned()))
            .await
            .with_context(|| statement.to_owned())?;
        Ok(())
    }
}

/// A real Elasticsearch of one node.
pub(crate) struct Elasticsearch {
    _service: Service,
    /// Its address, `http://…`.
    pub(crate) url: String,
    /// A client.
    pub(crate) http: Http,
}

impl Elasticsearch {
    /// Starts it.
    pub(crate) fn start(bench: &Bench) -> Result<Self> {
        let (service, url) = Service::start(bench, "elasticsearch.sh", bench.port + 11)?;
        Ok(Self { _service: service, http: Http::new(&url), url })
    }
}
