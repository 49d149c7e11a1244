//! Everything that runs in the demo: a throwaway Postgres, an Elasticsearch, and Aquifer with its defaults.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aquifer_tests::{Http, repository, run_script, within};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use reqwest::Method;

use crate::{POSTGRES, show};

const POSTGRES_PORT: &str = "15432";
const ELASTICSEARCH_PORT: &str = "9200";
const TOPIC: &str = "demo.public.places";
const PATIENCE: Duration = Duration::from_secs(60);

/// What runs, and how to reach it.
pub(crate) struct Stage {
    directory: PathBuf,
    pub(crate) cities: PathBuf,
    aquifer: Option<Child>,
    pub(crate) elasticsearch: Http,
    pub(crate) registry: Http,
    connect: Http,
    topic: BaseConsumer,
}

impl Stage {
    /// Starts the two services on empty directories.
    pub(crate) async fn set() -> Result<Stage> {
        show::heading("a throwaway Postgres and a real Elasticsearch");
        let directory = std::env::temp_dir().join(format!("aquifer-demo-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let cities = PathBuf::from(run_script("cities.sh", &[])?);
        for (script, port) in
            [("postgres.sh", POSTGRES_PORT), ("elasticsearch.sh", ELASTICSEARCH_PORT)]
        {
            let data = directory.join(script.trim_end_matches(".sh"));
            show::command(&format!("tests/services/{script} start {port} {}", data.display()));
            run_script(script, &["start", port, &data.display().to_string()])?;
        }
        let topic = ClientConfig::new()
            .set("bootstrap.servers", "127.0.0.1:9092")
            .set("group.id", "demo")
            .create()?;
        Ok(Stage {
            directory,
            cities,
            aquifer: None,
            elasticsearch: Http::new(&format!("127.0.0.1:{ELASTICSEARCH_PORT}")),
            registry: Http::new("127.0.0.1:8081"),
            connect: Http::new("127.0.0.1:8083"),
            topic,
        })
    }

    /// Runs a command of psql.
    pub(crate) fn psql(&self, text: &str) -> Result<()> {
        show::command(&format!("psql {POSTGRES} -c \"{text}\""));
        let output = Command::new("psql")
            .args([POSTGRES, "-q", "-v", "ON_ERROR_STOP=1", "-c", text])
            .output()
            .context("psql did not run")?;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Starts Aquifer with its defaults, apart from where it keeps its data.
    pub(crate) async fn start_aquifer(&mut self) -> Result<()> {
        let (program, data, ready) = (
            repository().join("target/release/aquifer"),
            self.directory.join("aquifer-data"),
            self.directory.join("ready.json"),
        );
        show::command(&format!("target/release/aquifer start --data-dir {}", data.display()));
        let log = std::fs::File::create(self.log_path())?;
        let child = Command::new(&program)
            .arg("start")
            .arg("--data-dir")
            .arg(&data)
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} did not start: make build", program.display()))?;
        let child = self.aquifer.insert(child);
        let waited = within(PATIENCE, "aquifer is ready", || {
            let outcome = match child.try_wait() {
                Ok(Some(status)) => Err(anyhow::anyhow!("aquifer ended with {status}")),
                _ => Ok(ready.exists().then_some(())),
            };
            async { outcome }
        });
        let log = self.directory.join("aquifer.log");
        waited.await.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        let printed = std::fs::read_to_string(&log)?;
        printed.lines().filter(|line| line.starts_with(['k', 'r', 'c'])).for_each(show::say);
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("aquifer.log")
    }

    /// Posts `examples/NAME.json`.
    pub(crate) async fn post_connector(&self, name: &str) -> Result<()> {
        let text =
            std::fs::read_to_string(repository().join("examples").join(format!("{name}.json")))?;
        self.connect.post("/connectors", &serde_json::from_str(&text)?).await?;
        Ok(())
    }

    /// An error with the trace where a connector or a task has failed.
    pub(crate) async fn connectors_run(&self) -> Result<()> {
        let all = self.connect.get("/connectors?expand=status").await?;
        for (name, connector) in all.as_object().into_iter().flatten() {
            let status = &connector["status"];
            let tasks = status["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
            if let Some(failed) =
                tasks.iter().chain([&status["connector"]]).find(|part| part["state"] == "FAILED")
            {
                bail!("{name} failed: {}", failed["trace"].as_str().unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Records in the topic.
    pub(crate) fn captured(&self) -> Result<i64> {
        // The topic is not there before the first record.
        Ok(self
            .topic
            .fetch_watermarks(TOPIC, 0, Duration::from_secs(5))
            .map_or(0, |(_, high)| high))
    }

    /// Documents in the index, those that are not refreshed yet included; none before the index is there.
    pub(crate) async fn indexed(&self) -> Result<i64> {
        let (status, refreshed) =
            self.elasticsearch.call(Method::POST, "/places/_refresh", None).await?;
        match status {
            404 => return Ok(0),
            200 => {}
            _ => bail!("refresh was answered {status}: {refreshed}"),
        }
        let answer = self.elasticsearch.get("/places/_count").await?;
        answer["count"].as_i64().context("no count in the answer")
    }

    /// Ends everything that was started.
    pub(crate) async fn close(&mut self) -> Result<()> {
        if let Some(mut child) = self.aquifer.take() {
            rustix::process::kill_process(
                rustix::process::Pid::from_child(&child),
                rustix::process::Signal::TERM,
            )?;
            let status = within(PATIENCE, "aquifer ends", || {
                let outcome = child.try_wait().map_err(anyhow::Error::from);
                async { outcome }
            })
            .await?;
            if !status.success() {
                bail!("aquifer ended with {status}; its log is {}", self.log_path().display());
            }
        }
        stop_services(&self.directory);
        std::fs::remove_dir_all(&self.directory)?;
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut child) = self.aquifer.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if self.directory.exists() {
            stop_services(&self.directory);
            println!("  what was written is left in {}", self.directory.display());
        }
    }
}

fn stop_services(directory: &Path) {
    for (script, port) in [("postgres.sh", POSTGRES_PORT), ("elasticsearch.sh", ELASTICSEARCH_PORT)]
    {
        let data = directory.join(script.trim_end_matches(".sh"));
        if let Err(error) = run_script(script, &["stop", port, &data.display().to_string()]) {
            eprintln!("demo: {error:#}");
        }
    }
}
