//! System tests: the built program, real clients, real services. One module per journey.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests wait for real processes, with deadlines, and fail by panicking"
)]

mod admin_tools;
mod bad_input;
mod clients;
mod connect_rest;
mod crash;
mod exactly_once;
mod files;
mod kafka_segments;
mod kafka_tools;
mod kcat;
mod oracle;
mod outage;
mod pipeline;
mod python;
mod registry;
mod start;
mod streams;
mod transactions;
