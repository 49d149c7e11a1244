//! `aquifer start`: runs the roles until a signal ends them.
//!
//! - Order of start: broker, registry, Connect; of the end: connectors, registry, broker.
//! - It is ready when every listener answers; then, and not before, the ready file appears.

mod roles;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Config;
use crate::exit::Error;
use roles::Running;

/// When the process began, for `ready in N ms`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started(Instant);

impl Started {
    #[allow(
        clippy::disallowed_methods,
        reason = "the only reading of the time in this crate: how long the start took"
    )]
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Flags of `start`. Each can also be a line of a file, or a variable `AQUIFER_…`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// A TOML file, or Kafka's server.properties, connect-distributed.properties or schema-registry.properties; may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Where everything is kept [default: aquifer-data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Which parts run [default: broker,registry,connect,console].
    #[arg(long, value_name = "ROLE,…")]
    pub(crate) roles: Option<String>,
    /// Brokers of another Kafka cluster; then the broker here is off.
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) bootstrap_servers: Option<String>,
    /// Where the broker listens [default: 127.0.0.1:9092]; port 0 picks a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) kafka: Option<String>,
    /// Where the schema registry listens [default: 127.0.0.1:8081].
    #[arg(long, value_name = "ADDR")]
    pub(crate) registry: Option<String>,
    /// Where the Connect worker listens [default: 127.0.0.1:8083].
    #[arg(long, value_name = "ADDR")]
    pub(crate) connect: Option<String>,
    /// Where the console will listen; accepted, there is no console yet.
    #[arg(long, value_name = "ADDR")]
    pub(crate) console: Option<String>,
    /// A broker, registry or Connect key by its own name; `broker.`, `registry.` or `connect.` in front chooses where several know it.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Allow listeners without authentication that other machines can reach.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// A file to write the addresses to, as JSON, once everything answers.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// Runs until a signal, or until something fails.
pub(crate) fn run(flags: Flags, started: Started) -> Result<(), Error> {
    let environment: Vec<(String, String)> =
        std::env::vars().filter(|(name, _)| name.starts_with("AQUIFER_")).collect();
    let config = Config::load(&flags, &environment)?;
    start_logging();
    for note in &config.notes {
        tracing::info!("{note}");
    }
    if config.roles.contains(&crate::role::Role::Console) {
        tracing::info!(address = %config.console, "the console is accepted but not built yet: no listener");
    }
    // Several libraries bring TLS with them; this process uses one implementation.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the async runtime did not start")
        .map_err(Error::Failed)?;
    let outcome = runtime.block_on(serve(config, started));
    // What still blocks (a look-up of a name, a call into a library) does not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

fn start_logging() {
    let filter = std::env::var("AQUIFER_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = tracing_subscriber::EnvFilter::try_new(&filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr())
        && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        .init();
}

async fn serve(config: Config, started: Started) -> Result<(), Error> {
    let mut signals = Signals::new().context("signals can't be received").map_err(Error::Failed)?;
    let mut running = Running::default();
    let start = roles::start(&config, &mut running);
    let outcome = tokio::select! {
        outcome = start => outcome,
        signal = signals.next() => Err(StartError::Signal(signal)),
    };
    match outcome {
        Ok(()) => {}
        Err(StartError::Signal(signal)) => {
            tracing::info!(signal = signal.name(), "stopping before the start was complete");
            return signals.stop_or_abort(running.stop()).await;
        }
        Err(StartError::Role(error)) => {
            running.stop().await;
            return Err(error);
        }
    }
    announce(&config, &running, started).map_err(Error::Failed)?;
    let failure = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal = signal.name(), "stopping");
            None
        }
        error = running.failed() => Some(error),
    };
    if let Some(path) = &config.ready_file {
        let _ = std::fs::remove_file(path);
    }
    signals.stop_or_abort(running.stop()).await?;
    failure.map_or(Ok(()), |error| Err(Error::Failed(error)))
}

/// Why a start did not come to its end.
enum StartError {
    Signal(Ended),
    Role(Error),
}

impl From<Error> for StartError {
    fn from(error: Error) -> Self {
        StartError::Role(error)
    }
}

/// One line a listener, the time, and the ready file last.
fn announce(config: &Config, running: &Running, started: Started) -> anyhow::Result<()> {
    let listeners = running.listeners();
    let mut out = std::io::stdout().lock();
    for (name, address) in &listeners {
        writeln!(out, "{name:<8} {address}")?;
    }
    writeln!(out, "ready in {} ms", started.elapsed().as_millis())?;
    out.flush()?;
    if let Some(path) = &config.ready_file {
        let addresses: serde_json::Map<String, serde_json::Value> = listeners
            .iter()
            .map(|(name, address)| ((*name).to_owned(), address.to_string().into()))
            .collect();
        write_whole(path, &serde_json::to_vec(&addresses)?)
            .with_context(|| format!("--ready-file {}", path.display()))?;
    }
    Ok(())
}

/// Writes a file that is either not there or complete.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path)
}

/// A signal that ends the program.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Terminate,
    Interrupt,
}

impl Ended {
    fn name(self) -> &'static str {
        match self {
            Ended::Terminate => "SIGTERM",
            Ended::Interrupt => "SIGINT",
        }
    }

    /// 128 and the signal's number, as shells show it.
    fn code(self) -> i32 {
        match self {
            Ended::Terminate => 143,
            Ended::Interrupt => 130,
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Ended {
        tokio::select! {
            _ = self.terminate.recv() => Ended::Terminate,
            _ = self.interrupt.recv() => Ended::Interrupt,
        }
    }

    /// Waits for an orderly end; a second signal ends the process at once.
    async fn stop_or_abort(&mut self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::select! {
            () = stop => Ok(()),
            signal = self.next() => {
                tracing::warn!(signal = signal.name(), "a second signal: ending at once");
                std::process::exit(signal.code());
            }
        }
    }
}
