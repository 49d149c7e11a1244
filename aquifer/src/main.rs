//! Aquifer: a Kafka-compatible broker, a schema registry and a Connect worker in one program.
//!
//! This file turns the command line into a call, and its outcome into an exit code.

mod command;
mod config;
mod exit;
mod plugins;
mod role;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let started = command::start::Started::now();
    // The allocator asks for huge pages, and an idle program would hold twice its memory in half-used ones.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let command = match command::Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            // Help and version are no errors; anything else is a bad command line.
            let code = if error.use_stderr() { exit::BAD_CONFIGURATION } else { exit::OK };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match command.run(started) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            eprintln!("aquifer: {error}");
            ExitCode::from(error.code())
        }
    }
}
