//! The licence of everything that the workspace depends on, against one list that `deny.toml` repeats for `cargo deny`.

use std::collections::BTreeSet;

use crate::arrows::metadata;
use crate::assert_none;
use crate::tree::read;

/// Licences under which a dependency may be taken: all let anybody use, change and ship the program without opening their own code.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Whether an SPDX expression can be met with allowed licences alone. `/` is the old spelling of OR; anything not understood is refused.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any(&words, &mut at) == Some(true) && at == words.len()
}

/// Alternatives; `None` where the expression is broken.
fn any(words: &[&str], at: &mut usize) -> Option<bool> {
    let mut allowed = all(words, at)?;
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        allowed |= all(words, at)?;
    }
    Some(allowed)
}

fn all(words: &[&str], at: &mut usize) -> Option<bool> {
    let mut allowed = one(words, at)?;
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        allowed &= one(words, at)?;
    }
    Some(allowed)
}

fn one(words: &[&str], at: &mut usize) -> Option<bool> {
    let word = words.get(*at)?;
    *at += 1;
    if *word == "(" {
        let allowed = any(words, at)?;
        *at += 1;
        return (words.get(*at - 1) == Some(&")")).then_some(allowed);
    }
    let mut name = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", words.get(*at + 1)?);
        *at += 2;
    }
    Some(ALLOWED.contains(&name.as_str()))
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let metadata = metadata();
    let refused = metadata
        .packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(is_allowed));
    let violations: Vec<String> = refused
        .map(|package| {
            format!(
                "{} {}: {}",
                package.name,
                package.version,
                package.license.as_deref().unwrap_or("no licence named")
            )
        })
        .collect();
    assert!(metadata.packages.len() > 100, "metadata lists the dependencies");
    assert_none("licences that are not in the list", &violations);
}

#[test]
fn deny_toml_has_the_same_list() {
    let text = read("deny.toml");
    let list = text
        .split_once("allow = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .expect("an allow list")
        .0;
    let listed: BTreeSet<&str> = list
        .split(',')
        .map(|entry| entry.trim().trim_matches('"'))
        .filter(|entry| !entry.is_empty())
        .collect();
    assert_eq!(listed, BTreeSet::from(ALLOWED));
}

#[test]
fn expressions_are_read_as_spdx_says() {
    for allowed in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/Unlicense",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
        "GPL-2.0 AND MIT OR ISC",
    ] {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for refused in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT OR", "(MIT", "Apache-2.0 WITH Foo", "MIT MIT"]
    {
        assert!(!is_allowed(refused), "{refused}");
    }
}
