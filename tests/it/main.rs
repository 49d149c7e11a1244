//! System tests: the built program, real clients, real services. One module per journey.
#![allow(clippy::disallowed_methods, reason = "tests wait for real processes, with deadlines")]
