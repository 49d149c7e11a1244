//! What a source file must have and must not have.

use std::collections::BTreeSet;

use crate::arrows::PURE;
use crate::assert_none;
use crate::rust::{Parts, lines_with, parts, test_module_files, without_test_modules};
use crate::tree::{read, rust_files};

/// Files, and all below their folder, that are pure inside crates that are not.
const PURE_FILES: [&str; 6] = [
    "registry/service/src/state",
    "connect/runtime/src/herder",
    "connectors/postgres/src/pgoutput",
    "connectors/postgres/src/value",
    "connectors/postgres/src/envelope",
    "connectors/elasticsearch/src/bulk",
];

/// Words of sockets, files, clocks, chance and threads.
const IMPURE: [&str; 9] = [
    "tokio",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "Instant::now",
    "SystemTime::now",
    "rand",
    "reqwest",
];

/// Crates that wait and time out; `clock.rs` alone reads the time in them.
const ASYNC: [&str; 9] = [
    "broker/node",
    "broker/client",
    "registry/service",
    "registry/client",
    "connect/converters",
    "connect/runtime",
    "connectors/postgres",
    "connectors/elasticsearch",
    "connectors/files",
];

/// Where `unsafe` may stand, for the need that the file names.
const UNSAFE: [&str; 1] = ["broker/log/src/fs.rs"];

/// Names that say nothing of what is inside.
const NAMELESS: [&str; 9] =
    ["util", "utils", "common", "core", "types", "helpers", "misc", "manager", "base"];

/// Beyond this a file surely holds a second noun.
const LINES_MAX: usize = 800;

struct Source {
    path: String,
    text: String,
    parts: Parts,
}

fn sources() -> Vec<Source> {
    rust_files()
        .into_iter()
        .map(|path| {
            let text = read(&path);
            let parts = parts(&text);
            Source { path, text, parts }
        })
        .collect()
}

/// The files that are built into the program: without the modules of tests.
fn built(sources: &[Source]) -> Vec<(&str, String)> {
    let mut tests = BTreeSet::new();
    for source in sources {
        let folder = match source.path.rsplit_once('/') {
            Some((folder, "lib.rs" | "main.rs")) => folder.to_owned(),
            _ => source.path.trim_end_matches(".rs").to_owned(),
        };
        tests.extend(
            test_module_files(&source.parts.code)
                .into_iter()
                .map(|name| format!("{folder}/{name}")),
        );
    }
    let is_test = |path: &str| {
        tests.iter().any(|test| {
            path.strip_prefix(test.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        })
    };
    let built =
        sources.iter().filter(|source| source.path.contains("/src/") && !is_test(&source.path));
    built.map(|source| (source.path.as_str(), without_test_modules(&source.parts.code))).collect()
}

fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[test]
fn pure_code_names_no_socket_file_clock_or_chance() {
    let sources = sources();
    let mut violations = Vec::new();
    let mut seen = BTreeSet::new();
    for (path, code) in built(&sources) {
        let file = PURE_FILES.into_iter().find(|file| {
            path.strip_prefix(file).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
        seen.extend(file);
        if file.is_none() && !PURE.iter().any(|folder| is_in(path, folder)) {
            continue;
        }
        for word in IMPURE {
            violations.extend(
                lines_with(&code, word)
                    .into_iter()
                    .map(|line| format!("{path}:{line} names {word}")),
            );
        }
    }
    violations.extend(
        PURE_FILES
            .into_iter()
            .filter(|file| !seen.contains(file))
            .map(|file| format!("{file}.rs is in the table but not there")),
    );
    assert_none("pure code", &violations);
}

#[test]
fn only_clock_rs_reads_the_time() {
    let sources = sources();
    let mut violations = Vec::new();
    for (path, code) in built(&sources).into_iter().filter(|(path, _)| {
        ASYNC.iter().any(|folder| is_in(path, folder)) && !path.ends_with("/clock.rs")
    }) {
        for word in ["Instant::now", "SystemTime::now", "Utc::now", "Local::now"] {
            violations.extend(
                lines_with(&code, word)
                    .into_iter()
                    .map(|line| format!("{path}:{line} calls {word}")),
            );
        }
    }
    assert_none("the time is read in clock.rs alone", &violations);
}

#[test]
fn unsafe_stands_only_where_the_table_says() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| !UNSAFE.contains(&source.path.as_str())) {
        violations.extend(
            lines_with(&source.parts.code, "unsafe")
                .into_iter()
                .map(|line| format!("{}:{line}", source.path)),
        );
    }
    assert_none("unsafe", &violations);
}

#[test]
fn every_file_opens_with_its_purpose() {
    let violations: Vec<String> = sources()
        .iter()
        .filter(|source| !opens_well(&source.text))
        .map(|source| source.path.clone())
        .collect();
    assert_none("files that do not open with `//!` and a sentence", &violations);
}

fn opens_well(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("//! ").is_some_and(|sentence| sentence.split_whitespace().count() >= 2)
}

#[test]
fn modules_are_named_for_what_they_hold() {
    let mut violations = Vec::new();
    for path in rust_files() {
        let names = path.trim_end_matches(".rs").split('/');
        if path.ends_with("/mod.rs") {
            violations.push(format!("{path}: a module is foo.rs with its children in foo/"));
        }
        violations.extend(
            names
                .filter(|name| NAMELESS.contains(name))
                .map(|name| format!("{path}: {name} says nothing")),
        );
    }
    assert_none("names of modules", &violations);
}

#[test]
fn no_file_is_too_long() {
    let long = |source: &Source| {
        (source.text.lines().count() > LINES_MAX)
            .then(|| format!("{}: {} lines", source.path, source.text.lines().count()))
    };
    assert_none(
        "files that hold a second noun",
        &sources().iter().filter_map(long).collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_for_later_or_switched_off() {
    let mut violations = Vec::new();
    for source in sources() {
        for word in ["todo!", "unimplemented!", "#[ignore", "#[should_panic", "dbg!"] {
            let lines =
                source.parts.code.lines().enumerate().filter(|(_, line)| line.contains(word));
            violations.extend(
                lines.map(|(index, _)| format!("{}:{} has {word}", source.path, index + 1)),
            );
        }
        for word in ["FIXME", "XXX", "HACK"] {
            violations.extend(
                lines_with(&source.parts.comments, word)
                    .into_iter()
                    .map(|line| format!("{}:{line} has {word}", source.path)),
            );
        }
    }
    assert_none("left for later", &violations);
}
