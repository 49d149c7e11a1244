//! How the program ends: the exit codes, and the errors that lead to them.

use std::fmt;

/// It did what was asked.
pub(crate) const OK: u8 = 0;
/// It failed.
const FAILED: u8 = 1;
/// The command line, the configuration or the environment is wrong.
pub(crate) const BAD_CONFIGURATION: u8 = 2;
/// Something outside is missing: a port is taken, a directory can't be used, a cluster is not there.
const OUTSIDE: u8 = 3;

/// Why the program ends.
#[derive(Debug)]
pub(crate) enum Error {
    /// Something that should work did not.
    Failed(anyhow::Error),
    /// What the user wrote can't be done; every fault at once, one a line.
    Configuration(String),
    /// The surroundings lack something.
    Outside(anyhow::Error),
}

impl Error {
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Error::Configuration(message.into())
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Error::Failed(_) => FAILED,
            Error::Configuration(_) => BAD_CONFIGURATION,
            Error::Outside(_) => OUTSIDE,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Failed(error) | Error::Outside(error) => write!(formatter, "{error:#}"),
            Error::Configuration(message) => formatter.write_str(message),
        }
    }
}
