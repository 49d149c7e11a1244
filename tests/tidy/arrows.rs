//! Who may depend on whom: the arrows of `ARCHITECTURE.md` as a table against `cargo metadata`.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::assert_none;

/// Each crate of the workspace, by its folder, and the only crates of ours that it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("broker/protocol", &[]),
    ("broker/log", &["broker/protocol"]),
    ("broker/coordinator", &["broker/protocol"]),
    ("broker/node", &["broker/protocol", "broker/log", "broker/coordinator"]),
    ("broker/client", &["broker/protocol"]),
    ("registry/schema", &[]),
    ("registry/service", &["registry/schema", "broker/client"]),
    ("registry/client", &["registry/schema"]),
    ("connect/api", &[]),
    ("connect/transforms", &["connect/api"]),
    ("connect/converters", &["connect/api", "registry/client", "registry/schema"]),
    (
        "connect/runtime",
        &["connect/api", "connect/transforms", "connect/converters", "broker/client"],
    ),
    ("connectors/postgres", &["connect/api"]),
    ("connectors/elasticsearch", &["connect/api"]),
    ("connectors/files", &["connect/api"]),
    (
        "aquifer",
        &[
            "broker/node",
            "broker/client",
            "registry/service",
            "registry/client",
            "connect/api",
            "connect/transforms",
            "connect/converters",
            "connect/runtime",
            "connectors/postgres",
            "connectors/elasticsearch",
            "connectors/files",
        ],
    ),
    // They see the program from outside, the oracle in the wire protocol; the benchmarks start services and wait as the
    // tests do.
    ("tests", &["broker/protocol"]),
    ("bench", &["tests"]),
];

/// Crates of others that only some of ours may name, in what is built; the reason stands beside.
const KEPT_APART: &[(&str, &[&str])] = &[
    // So that it can be exchanged. The tests and benchmarks are clients of their own.
    ("rdkafka", &["broker/client", "tests", "bench"]),
    // An oracle of tests alone.
    ("kafka-protocol", &[]),
    ("elasticsearch", &["connectors/elasticsearch"]),
    ("axum", &["registry/service", "connect/runtime"]),
    ("memmap2", &["broker/log"]),
];

/// Bytes and values in, values out.
pub(crate) const PURE: [&str; 5] = [
    "broker/protocol",
    "broker/coordinator",
    "registry/schema",
    "connect/api",
    "connect/transforms",
];

/// Crates that do IO, which a PURE crate can't need.
const IO: [&str; 9] = [
    "tokio",
    "tokio-util",
    "tokio-rustls",
    "rand",
    "reqwest",
    "axum",
    "rdkafka",
    "sqlx",
    "socket2",
];

/// What cargo knows of the workspace and, for this machine's target, of all it depends on.
pub(crate) fn metadata() -> Metadata {
    let version = std::process::Command::new("rustc").arg("-vV").output().expect("rustc");
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    let host =
        text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let options = ["--locked".to_owned(), "--filter-platform".to_owned(), host.to_owned()];
    MetadataCommand::new()
        .manifest_path(crate::tree::root().join("Cargo.toml"))
        .other_options(options)
        .exec()
        .expect("cargo metadata")
}

fn folder(metadata: &Metadata, package: &Package) -> String {
    let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
    folder
        .strip_prefix(&metadata.workspace_root)
        .expect("a member lies in the workspace")
        .to_string()
}

fn crate_name(folder: &str) -> String {
    if folder == "aquifer" {
        folder.to_owned()
    } else {
        format!("aquifer-{}", folder.replace('/', "-"))
    }
}

#[test]
fn crates_depend_on_each_other_only_as_the_table_says() {
    let metadata = metadata();
    let mut violations = Vec::new();
    let mut seen = BTreeSet::new();
    for package in metadata.workspace_packages() {
        let folder = folder(&metadata, package);
        seen.insert(folder.clone());
        if *package.name != crate_name(&folder) {
            violations.push(format!(
                "{folder} is named {}, not {}",
                package.name,
                crate_name(&folder)
            ));
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == folder) else {
            violations.push(format!("{folder} is not in the table"));
            continue;
        };
        let ours =
            package.dependencies.iter().filter(|dependency| dependency.name.starts_with("aquifer"));
        let forbidden =
            ours.filter(|dependency| !allowed.iter().any(|to| crate_name(to) == dependency.name));
        violations.extend(forbidden.map(|dependency| format!("{folder} -> {}", dependency.name)));
    }
    violations.extend(
        ARROWS
            .iter()
            .filter(|(from, _)| !seen.contains(*from))
            .map(|(from, _)| format!("{from} is in the table but not in the workspace")),
    );
    assert_none("arrows between crates", &violations);
}

#[test]
fn crates_of_others_stay_where_they_belong() {
    let metadata = metadata();
    let mut violations = Vec::new();
    for package in metadata.workspace_packages() {
        let folder = folder(&metadata, package);
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
        {
            let kept = KEPT_APART.iter().find(|(name, _)| *name == dependency.name);
            if kept.is_some_and(|(_, homes)| !homes.contains(&folder.as_str())) {
                violations.push(format!("{folder} names {}", dependency.name));
            }
            if PURE.contains(&folder.as_str()) && IO.contains(&dependency.name.as_str()) {
                violations.push(format!("{folder} is pure and names {}", dependency.name));
            }
        }
    }
    assert_none("crates of others in the wrong place", &violations);
}

#[test]
fn no_feature_changes_behaviour_and_every_crate_has_the_lints() {
    let metadata = metadata();
    let mut violations = Vec::new();
    for package in metadata.workspace_packages() {
        let folder = folder(&metadata, package);
        violations.extend(
            package.features.keys().map(|feature| format!("{folder} has the feature {feature}")),
        );
        let manifest = crate::tree::read(&format!("{folder}/Cargo.toml"));
        if !manifest.contains("[lints]\nworkspace = true")
            && !manifest.contains("lints.workspace = true")
        {
            violations.push(format!("{folder}/Cargo.toml does not take the workspace's lints"));
        }
    }
    assert_none("manifests", &violations);
}
