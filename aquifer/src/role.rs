//! The parts of the program that can run, together or apart.

use std::fmt;
use std::str::FromStr;

/// One part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// The Kafka-compatible broker.
    Broker,
    /// The schema registry.
    Registry,
    /// The Connect worker.
    Connect,
    /// The web console: accepted, not there yet.
    Console,
}

impl Role {
    pub(crate) const ALL: [Role; 4] = [Role::Broker, Role::Registry, Role::Connect, Role::Console];

    /// The name that flags, files and log lines use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Broker => "broker",
            Role::Registry => "registry",
            Role::Connect => "connect",
            Role::Console => "console",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Role::ALL.into_iter().find(|role| role.name() == text.trim());
        role.ok_or_else(|| {
            format!("{text} is no role; the roles are {}", Role::ALL.map(Role::name).join(", "))
        })
    }
}
