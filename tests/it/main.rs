//! System tests: the built program, real clients, real services. One module per journey.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests wait for real processes, with deadlines, and fail by panicking"
)]

mod bad_input;
mod connect_rest;
mod crash;
mod files;
mod kafka_tools;
mod kcat;
mod outage;
mod pipeline;
mod python;
mod registry;
mod start;
