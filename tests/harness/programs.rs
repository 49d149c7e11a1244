//! Client programs in other languages, from `tests/clients/`, as processes.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail};

use crate::services::{repository, run_script};

/// How many lines of what a program prints a failure shows.
const LINES_SHOWN: usize = 60;

/// A running program, with what it prints. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    printed: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} did not start"))?;
        let (printed, errors) = (Arc::default(), Arc::default());
        let mut readers = Vec::new();
        if let Some(output) = child.stdout.take() {
            readers.push(collect(output, Arc::clone(&printed)));
        }
        if let Some(output) = child.stderr.take() {
            readers.push(collect(output, Arc::clone(&errors)));
        }
        Ok(Self { name: name.to_owned(), child, printed, errors, readers })
    }

    /// The lines that it printed so far.
    pub fn printed(&self) -> Vec<String> {
        lines(&self.printed)
    }

    /// The lines of errors so far.
    pub fn errors(&self) -> Vec<String> {
        lines(&self.errors)
    }

    /// Its exit code, or none while it runs.
    pub fn exited(&mut self) -> Result<Option<i32>> {
        Ok(self.child.try_wait()?.map(|status| status.code().unwrap_or(-1)))
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Closes its standard input, waits for its end, and gives what it printed; an end with an error is one.
    pub fn finish(mut self) -> Result<Vec<String>> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        if !status.success() {
            let last =
                |lines: Vec<String>| lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
            bail!("{}: {status}\n{}\n{}", self.name, last(self.printed()), last(self.errors()));
        }
        Ok(self.printed())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(
    output: impl std::io::Read + Send + 'static,
    into: Arc<Mutex<Vec<String>>>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Ok(mut lines) = into.lock() {
                lines.push(line);
            }
        }
    })
}

fn lines(of: &Mutex<Vec<String>>) -> Vec<String> {
    of.lock().map(|lines| lines.clone()).unwrap_or_default()
}

/// Starts a Java program of a folder of `tests/clients/` with Kafka's client of that version.
pub fn java_program(
    version: &str,
    folder: &str,
    class: &str,
    arguments: &[&str],
) -> Result<Program> {
    // Prepared first: a program that is killed must not leave half a preparation.
    run_script("java.sh", &[version, folder])?;
    let script = repository().join("tests/services/java.sh");
    let mut command = Command::new(script);
    command.args([version, folder, class]).args(arguments);
    Program::start(&format!("{class} with Kafka's client {version}"), &mut command)
}

/// Starts a program for Node.js.
pub fn node_program(path: &Path, arguments: &[&str]) -> Result<Program> {
    let clients = run_script("node.sh", &[])?;
    let mut command = Command::new("node");
    command.env("NODE_PATH", Path::new(&clients).join("node_modules")).arg(path).args(arguments);
    Program::start(&path.display().to_string(), &mut command)
}

/// Starts the Go program.
pub fn go_program(arguments: &[&str]) -> Result<Program> {
    let program = run_script("go.sh", &[])?;
    Program::start("the Go program", Command::new(program).args(arguments))
}
