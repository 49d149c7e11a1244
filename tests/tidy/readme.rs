//! README advertises what the tables of the code hold, no more and no less.
//!
//! - The tables are read as text: a row that this file can't read fails the test.
//! - A section is found by its heading; its rows are those of the first table below.

use std::collections::BTreeSet;

use crate::tree::{read, rust_files};

/// The cells of the first table below a heading of README, without its head.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let readme = read("README.md");
    let below = readme
        .lines()
        .skip_while(|line| line.trim_start_matches('#').trim() != heading || !line.starts_with('#'))
        .skip(1);
    let table = below
        .take_while(|line| !line.starts_with('#'))
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    let rows: Vec<Vec<String>> = table.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "README has no table under {heading:?}");
    rows
}

/// Fails with what README advertises and the code lacks, and the other way round.
#[track_caller]
fn assert_same<T: Ord + std::fmt::Debug>(
    what: &str,
    advertised: &BTreeSet<T>,
    expected: &BTreeSet<T>,
) {
    let surplus =
        advertised.difference(expected).map(|row| format!("README has {row:?}, the code has not"));
    let missing =
        expected.difference(advertised).map(|row| format!("the code has {row:?}, README has not"));
    crate::assert_none(what, &surplus.chain(missing).collect::<Vec<_>>());
}

fn column(rows: &[Vec<String>], index: usize) -> BTreeSet<String> {
    rows.iter().map(|row| row[index].clone()).collect()
}

/// What stands between the quotes after each `key`.
fn quoted_after(text: &str, key: &str) -> BTreeSet<String> {
    let value = |rest: &str| {
        rest.trim_start()
            .strip_prefix('"')
            .and_then(|rest| rest.split('"').next())
            .map(str::to_owned)
    };
    text.match_indices(key).filter_map(|(at, _)| value(&text[at + key.len()..])).collect()
}

/// `4..=17` or `4..=` and so on: the versions of the request in `message/<module>.rs`.
fn request_versions(module: &str, request: &str) -> String {
    let text = read(&format!("broker/protocol/src/message/{module}.rs"));
    let after = text
        .split_once(&format!("pub struct {request}"))
        .unwrap_or_else(|| panic!("{request} in {module}.rs"))
        .1;
    let head = after.split_once('{').expect("a body").0;
    let range = head
        .split_once('[')
        .and_then(|(_, rest)| rest.split([',', ']']).next())
        .expect("versions in brackets");
    let (first, last) =
        range.trim().split_once("..=").unwrap_or_else(|| panic!("{request}: {range} is no range"));
    if first == last { first.to_owned() } else { format!("{first}–{last}") }
}

#[test]
fn readme_lists_the_kafka_apis_and_their_versions() {
    let text = read("broker/protocol/src/message.rs");
    let table = text
        .split_once("\napis! {\n")
        .expect("the table of APIs")
        .1
        .split_once("\n}")
        .expect("its end")
        .0;
    let mut expected = BTreeSet::new();
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with("//"))
    {
        let (name, rest) = row.split_once(" = ").unwrap_or_else(|| panic!("{row}"));
        let (key, messages) = rest.split_once(", ").unwrap_or_else(|| panic!("{row}"));
        let (module, messages) = messages.split_once("::{").unwrap_or_else(|| panic!("{row}"));
        let request = messages.split(',').next().expect("a request");
        expected.insert(vec![name.to_owned(), key.to_owned(), request_versions(module, request)]);
    }
    assert_same("Kafka APIs", &rows("Kafka APIs").into_iter().collect(), &expected);
}

#[test]
fn readme_lists_the_transforms_and_converters() {
    let mut advertised = BTreeSet::new();
    for row in rows("Transforms") {
        let parts: Vec<&str> =
            row[1].split_whitespace().filter(|part| part.starts_with('$')).collect();
        if parts.is_empty() {
            advertised.insert(row[0].clone());
        }
        advertised.extend(parts.into_iter().map(|part| format!("{}{part}", row[0])));
    }
    let transforms = quoted_after(&read("connect/transforms/src/lib.rs"), "class:");
    assert_same("Transforms", &advertised, &transforms);
    let converters = quoted_after(&read("connect/converters/src/lib.rs"), "class:");
    assert_same("Converters", &column(&rows("Converters"), 0), &converters);
}

#[test]
fn readme_lists_the_connectors() {
    let plugins = read("aquifer/src/plugins.rs");
    let table = plugins.split_once("Plugins {\n").expect("the table of plugins").1;
    let names = table.match_indices("Arc::new(").map(|(at, head)| {
        let rest = &table[at + head.len()..];
        rest.split(|c: char| !c.is_alphanumeric()).next().expect("a name").to_owned()
    });
    let sources: Vec<String> = rust_files()
        .into_iter()
        .filter(|path| path.starts_with("connectors/"))
        .map(|path| read(&path))
        .collect();
    let class = |name: String| {
        let head = format!("impl Connector for {name} ");
        let body = sources
            .iter()
            .find_map(|text| text.split_once(&head))
            .unwrap_or_else(|| panic!("no `{head}`"))
            .1;
        let body = body.split_once("fn class(&self)").expect("a class").1;
        body.split('"').nth(1).expect("a literal").to_owned()
    };
    let expected: BTreeSet<String> = names.map(class).collect();
    assert!(expected.len() >= 4, "{expected:?}");
    assert_same("Connectors", &column(&rows("Connectors"), 0), &expected);
}

#[test]
fn the_tests_that_readme_names_exist() {
    let tests: Vec<String> = rust_files()
        .into_iter()
        .filter(|path| path.starts_with("tests/it/"))
        .map(|path| read(&path))
        .collect();
    let exists = |name: &str| tests.iter().any(|text| text.contains(&format!("async fn {name}()")));
    let named = column(&rows("What you can rely on"), 1);
    let names: Vec<&str> = named.iter().flat_map(|cell| cell.split(", ")).collect();
    let violations: Vec<String> =
        names.iter().filter(|name| !exists(name)).map(|name| (*name).to_owned()).collect();
    assert!(names.len() > 10, "{names:?}");
    crate::assert_none("tests that README names and nobody wrote", &violations);
}

/// Each route of a table of axum's, and its methods.
fn routes(text: &str) -> BTreeSet<(String, String)> {
    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
    let route = |part: &str| {
        let (path, rest) = part.trim_start().strip_prefix('"')?.split_once('"')?;
        let chain = rest.split(".fallback(").next()?;
        let calls = |method: &&str| {
            chain
                .match_indices(&format!("{method}("))
                .any(|(at, _)| chain[..at].ends_with(['.', ' ', '(', '\n']))
        };
        let methods: Vec<String> = METHODS
            .iter()
            .filter(|method| calls(method))
            .map(|method| method.to_uppercase())
            .collect();
        Some((path.to_owned(), methods.join(" ")))
    };
    text.split(".route(").skip(1).filter_map(route).collect()
}

#[test]
fn readme_lists_the_routes_of_the_registry_and_of_connect() {
    for (heading, path) in [
        ("Registry routes", "registry/service/src/rest.rs"),
        ("Connect routes", "connect/runtime/src/rest.rs"),
    ] {
        let expected = routes(&read(path));
        assert!(expected.len() > 5, "{path} names {expected:?}");
        let advertised: BTreeSet<(String, String)> =
            rows(heading).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
        assert_same(heading, &advertised, &expected);
    }
}

#[test]
fn routes_are_read_with_their_methods() {
    let text = "Router::new().route(\"/a\", get(list).post(x::create))\n.route(\n  \"/b/{c}\",\n  get(get_b).merge(delete(x)),\n).fallback(get(nothing))";
    let expected = [("/a", "GET POST"), ("/b/{c}", "GET DELETE")]
        .map(|(path, methods)| (path.to_owned(), methods.to_owned()));
    assert_eq!(routes(text), BTreeSet::from(expected));
}
