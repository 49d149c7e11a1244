//! The subcommands, one file each.

pub(crate) mod start;

use clap::Parser;

use crate::exit::Error;

/// A Kafka-compatible broker, schema registry and Connect worker in one program.
#[derive(Debug, Parser)]
#[command(name = "aquifer", version, arg_required_else_help = true)]
pub(crate) enum Command {
    /// Starts the broker, the registry and the Connect worker, or some of them.
    Start(Box<start::Flags>),
}

impl Command {
    /// Runs the command to its end.
    pub(crate) fn run(self, started: start::Started) -> Result<(), Error> {
        match self {
            Command::Start(flags) => start::run(*flags, started),
        }
    }
}
