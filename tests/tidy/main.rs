//! Rules of the code base that the compiler does not check. `HOUSE`-keeping as tests: what is not checked here is not a rule for long.
//!
//! - Each rule is a table and one test; a failure lists every violation with its file and line.
//! - Reads files and `cargo metadata` only: needs no service and no built program.

mod arrows;
mod licences;
mod readme;
mod rust;
mod sources;
mod text;
mod tree;

/// Fails with every violation, one a line.
#[track_caller]
fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}
