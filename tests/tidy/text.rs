//! What no text of the project may say: where it was written, and from where packages came that day.

use crate::assert_none;
use crate::tree::{files, read, root};

/// Folders of people and machines; a path below them means nothing elsewhere.
const MACHINE_FOLDERS: [&str; 4] = ["home", "root", "Users", "work"];

/// Ends of host names that only resolve inside somebody's network.
const PRIVATE_SUFFIXES: [&str; 6] =
    [".internal", ".local", ".lan", ".corp", ".intranet", ".private"];

/// Files of text; what is not UTF-8 is data.
fn texts() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter_map(|path| {
        let text = String::from_utf8(std::fs::read(root().join(&path)).ok()?).ok()?;
        Some((path, text))
    })
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Where an absolute path below a folder of somebody's machine begins.
fn names_machine(line: &str) -> bool {
    MACHINE_FOLDERS.iter().any(|folder| {
        let pattern = format!("/{folder}/");
        line.match_indices(&pattern).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|c| !c.is_alphanumeric() && !"/.}_-*".contains(c))
        })
    })
}

/// The hosts of a line's URLs.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("://").map(|(at, _)| {
        let rest = &line[at + 3..];
        let rest = rest
            .split_once('@')
            .map_or(rest, |(user, host)| if user.contains(['/', ' ', '"']) { rest } else { host });
        rest.split(|c: char| !c.is_ascii_alphanumeric() && !".-".contains(c))
            .next()
            .unwrap_or_default()
    })
}

fn is_private(host: &str) -> bool {
    let octets: Vec<u8> = host.split('.').filter_map(|part| part.parse().ok()).collect();
    let address = matches!(
        octets[..],
        [10, _, _, _] | [192, 168, _, _] | [172, 16..=31, _, _] | [169, 254, _, _]
    );
    address || PRIVATE_SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
}

#[test]
fn no_text_names_a_machine_or_a_private_host() {
    let mut violations = Vec::new();
    for (path, text) in texts() {
        for (number, line) in lines(&text) {
            if names_machine(line) {
                violations.push(format!("{path}:{number} names a folder of one machine"));
            }
            violations.extend(
                hosts(line)
                    .filter(|host| is_private(host))
                    .map(|host| format!("{path}:{number} names the host {host}")),
            );
        }
    }
    assert_none("machines in texts", &violations);
}

#[test]
fn every_dependency_comes_from_the_public_registry() {
    let lock = read("Cargo.lock");
    let foreign = |line: &&str| {
        line.starts_with("source = ")
            && *line != "source = \"registry+https://github.com/rust-lang/crates.io-index\""
    };
    assert_none(
        "sources of dependencies",
        &lock.lines().filter(foreign).map(str::to_owned).collect::<Vec<_>>(),
    );
}

#[test]
fn machines_and_private_hosts_are_recognised() {
    let path = |folder: &str| format!("see /{folder}/x/y");
    assert!(MACHINE_FOLDERS.iter().all(|folder| names_machine(&path(folder))));
    assert!(!names_machine("target/work/x $HOME/home/x https://example.com/home/y"));
    // Put together here: this file is one of the texts.
    let line = format!(
        "http://u:p@db.example.com:1/x and https://{}/y",
        [10, 0, 0, 1].map(|n: u8| n.to_string()).join(".")
    );
    let found: Vec<&str> = hosts(&line).collect();
    assert_eq!(found, ["db.example.com", "10.0.0.1"]);
    assert_eq!(found.iter().map(|host| is_private(host)).collect::<Vec<_>>(), [false, true]);
    assert!(is_private(&format!("mirror{}", PRIVATE_SUFFIXES[0])) && !is_private("172.32.0.1"));
}
