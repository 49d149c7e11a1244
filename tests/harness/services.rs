//! Real services, started by the scripts of `tests/services/`, once for all tests of a run.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::http::Http;

/// The root of the project.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Runs a script of `tests/services/`; the last line of what it prints.
pub fn run_script(name: &str, arguments: &[&str]) -> Result<String> {
    let output = script(name, arguments)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!(
            "{name} {}: {}\n{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(text.lines().last().unwrap_or_default().to_owned())
}

fn script(name: &str, arguments: &[&str]) -> Result<Output> {
    let path = repository().join("tests/services").join(name);
    Command::new(&path)
        .args(arguments)
        .output()
        .with_context(|| format!("{} did not run", path.display()))
}

/// Runs a tool of Apache Kafka to its end; output and errors together.
pub fn kafka_tool(class: &str, arguments: &[&str]) -> Result<String> {
    kafka_tool_reading("", class, arguments)
}

/// The same for a tool that reads its standard input.
pub fn kafka_tool_reading(input: &str, class: &str, arguments: &[&str]) -> Result<String> {
    let path = repository().join("tests/services/kafka.sh");
    let mut child = Command::new(&path)
        .args(["tool", class])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} did not run", path.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if !output.status.success() {
        bail!("{class} {}: {}\n{text}", arguments.join(" "), output.status);
    }
    Ok(text)
}

/// Runs a Python program with the clients of `python.sh`; what it prints.
pub fn python(program: &Path, arguments: &[&str]) -> Result<String> {
    let python = run_script("python.sh", &[])?;
    let output = Command::new(python).arg(program).args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{} {}: {}\n{text}\n{}",
            program.display(),
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(text)
}

fn port(variable: &str, default: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| default.to_owned())
}

/// A name that no other test of this run uses.
fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A database of its own on the shared Postgres.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// The port on loopback.
    pub port: u16,
    /// The database's name; also a good name for a slot or a topic prefix.
    pub database: String,
}

impl Postgres {
    /// Makes a new database; the server is started where it does not run yet.
    pub async fn start() -> Result<Self> {
        let port = port("TEST_POSTGRES_PORT", "15433");
        run_script("postgres.sh", &["start", &port])?;
        let postgres = Self { port: port.parse()?, database: unique("it") };
        let mut admin =
            PgConnection::connect(&format!("postgres://postgres@127.0.0.1:{port}/postgres"))
                .await?;
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {}", postgres.database))).await?;
        Ok(postgres)
    }

    /// A server of its own on that port, with its data in that directory: one that a test may stop and start.
    pub fn start_own(port: u16, data: &Path) -> Result<Self> {
        run_script("postgres.sh", &["start", &port.to_string(), &data.display().to_string()])?;
        Ok(Self { port, database: "postgres".to_owned() })
    }

    /// Stops a server of its own, as an administrator would.
    pub fn stop_own(&self, data: &Path) -> Result<()> {
        run_script("postgres.sh", &["stop", &self.port.to_string(), &data.display().to_string()])?;
        Ok(())
    }

    /// A new connection.
    pub async fn connect(&self) -> Result<PgConnection> {
        let url = format!("postgres://postgres@127.0.0.1:{}/{}", self.port, self.database);
        PgConnection::connect(&url).await.with_context(|| url)
    }

    /// Runs statements, each committed by itself.
    pub async fn execute(&self, statements: &[&str]) -> Result<()> {
        let mut connection = self.connect().await?;
        for statement in statements {
            connection
                .execute(AssertSqlSafe((*statement).to_owned()))
                .await
                .with_context(|| (*statement).to_owned())?;
        }
        Ok(())
    }

    /// The config of a source for those tables, with more keys over it.
    pub fn source_config(&self, tables: &str, more: &Value) -> Value {
        let mut config = json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": "127.0.0.1",
            "database.port": self.port.to_string(),
            "database.user": "postgres",
            "database.dbname": self.database,
            "topic.prefix": self.database,
            "slot.name": self.database,
            "publication.name": self.database,
            "publication.autocreate.mode": "filtered",
            "table.include.list": tables,
        });
        merge(&mut config, more);
        config
    }
}

/// The shared Apache Kafka, one node: what ours is compared with.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// Where it listens.
    pub address: String,
}

impl Kafka {
    /// Starts the broker where it does not run yet.
    pub fn start() -> Result<Self> {
        static ADDRESS: OnceLock<Result<String, String>> = OnceLock::new();
        let address = ADDRESS.get_or_init(|| {
            let port = port("TEST_KAFKA_PORT", "19112");
            run_script("kafka.sh", &["start", &port]).map_err(|error| format!("{error:#}"))
        });
        match address {
            Ok(address) => Ok(Self { address: address.clone() }),
            Err(error) => bail!("{error}"),
        }
    }

    /// A broker of its own on that port, with its data in that directory: one that a test may stop.
    pub fn start_own(port: u16, data: &Path) -> Result<Self> {
        let address =
            run_script("kafka.sh", &["start", &port.to_string(), &data.display().to_string()])?;
        Ok(Self { address })
    }

    /// Stops a broker of its own.
    pub fn stop_own(port: u16, data: &Path) -> Result<()> {
        run_script("kafka.sh", &["stop", &port.to_string(), &data.display().to_string()])?;
        Ok(())
    }
}

/// The shared Elasticsearch.
#[derive(Debug, Clone)]
pub struct Elasticsearch {
    /// The base address.
    pub url: String,
    /// A client of it.
    pub http: Http,
}

impl Elasticsearch {
    /// Starts the server where it does not run yet.
    pub fn start() -> Result<Self> {
        let port = port("TEST_ELASTICSEARCH_PORT", "19200");
        let url = run_script("elasticsearch.sh", &["start", &port])?;
        Ok(Self { http: Http::new(&url), url })
    }

    /// A server of its own on that port, with its data in that directory: one that a test may stop and start.
    pub fn start_own(port: u16, data: &Path) -> Result<Self> {
        let url = run_script(
            "elasticsearch.sh",
            &["start", &port.to_string(), &data.display().to_string()],
        )?;
        Ok(Self { http: Http::new(&url), url })
    }

    /// Stops a server of its own.
    pub fn stop_own(port: u16, data: &Path) -> Result<()> {
        run_script("elasticsearch.sh", &["stop", &port.to_string(), &data.display().to_string()])?;
        Ok(())
    }

    /// The config of a sink that unwraps change events of the topic and writes them to the index, with more keys over it.
    pub fn sink_config(&self, topic: &str, index: &str, more: &Value) -> Value {
        let mut config = json!({
            "connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
            "connection.url": self.url,
            "topics": topic,
            "behavior.on.null.values": "delete",
            "transforms": "unwrap,index",
            "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
            "transforms.index.type": "org.apache.kafka.connect.transforms.RegexRouter",
            "transforms.index.regex": ".*",
            "transforms.index.replacement": index,
        });
        merge(&mut config, more);
        config
    }
}

fn merge(config: &mut Value, more: &Value) {
    if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
        config.extend(more.clone());
    }
}
