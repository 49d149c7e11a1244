//! What the system tests and the demo share: the program as a process, real services, and comparing a table with an index.
//!
//! - Nothing here looks inside the program: everything goes through its ports, its files and its exit code.
//! - A service that can't be started is an error, never a reason to skip.
#![allow(clippy::disallowed_methods, reason = "tests wait for real processes, with deadlines")]

mod aquifer;
mod compare;
mod http;
mod programs;
mod proxy;
mod services;
mod wait;

pub use aquifer::{Addresses, Aquifer, Options};
pub use compare::{Documents, Rows, difference, documents, rows};
pub use http::Http;
pub use programs::{Program, go_program, java_program, node_program};
pub use proxy::Proxy;
pub use services::{
    Elasticsearch, Kafka, Postgres, kafka_tool, kafka_tool_reading, python, repository, run_script,
};
pub use wait::{until, within};
