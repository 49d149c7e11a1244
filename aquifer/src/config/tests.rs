//! Which source of a setting wins, and what is refused.

use super::*;

fn load(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
    let arguments = ["aquifer", "start"].iter().chain(arguments);
    let crate::command::Command::Start(flags) =
        clap::Parser::try_parse_from(arguments).map_err(|error: clap::Error| error.to_string())?;
    let environment: Vec<(String, String)> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::load(&flags, &environment).map_err(|error| error.to_string())
}

#[track_caller]
fn check_refused(arguments: &[&str], environment: &[(&str, &str)], expected: &str) {
    let error = load(arguments, environment).unwrap_err();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn defaults_are_all_roles_on_loopback() {
    let config = load(&[], &[]).unwrap();
    assert_eq!(config.roles.len(), Role::ALL.len());
    assert_eq!(
        [&config.kafka, &config.registry, &config.connect].map(ToString::to_string),
        ["127.0.0.1:9092", "127.0.0.1:8081", "127.0.0.1:8083"]
    );
    assert_eq!(config.data_dir, PathBuf::from("aquifer-data"));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.properties");
    std::fs::write(&file, "listeners=PLAINTEXT://127.0.0.1:1\nlog.dirs=/from-file\nnum.partitions=2\nlog.retention.hours=5\n").unwrap();
    let arguments =
        ["--config", file.to_str().unwrap(), "--kafka", "127.0.0.1:3", "--set", "num.partitions=4"];
    let config = load(
        &arguments,
        &[
            ("AQUIFER_KAFKA", "127.0.0.1:2"),
            ("AQUIFER_NUM_PARTITIONS", "3"),
            ("AQUIFER_LOG_RETENTION_HOURS", "6"),
        ],
    )
    .unwrap();
    assert_eq!((config.kafka.port, config.data_dir), (3, PathBuf::from("/from-file")));
    assert_eq!(
        (
            config.broker_keys["num.partitions"].as_str(),
            config.broker_keys["log.retention.hours"].as_str()
        ),
        ("4", "6")
    );
}

#[test]
fn a_key_that_nobody_knows_is_refused_with_the_nearest() {
    check_refused(
        &["--set", "num.partition=4"],
        &[],
        "no role knows the key num.partition; did you mean num.partitions?",
    );
    check_refused(&["--set", "num.partitions"], &[], "expected key=value");
    let noted = load(&[], &[("AQUIFER_NUM_PARTITION", "4")]).unwrap().notes;
    assert_eq!(
        noted,
        [
            "the environment variable AQUIFER_NUM_PARTITION names no setting and is ignored; did you mean NUM_PARTITIONS?"
        ]
    );
}

#[test]
fn a_key_of_several_roles_wants_its_role_in_front() {
    check_refused(
        &["--set", "group.id=x", "--set", "registry.num.partitions=1"],
        &[],
        "the registry knows no key num.partitions",
    );
    assert_eq!(load(&["--set", "connect.group.id=x"], &[]).unwrap().connect_keys["group.id"], "x");
}

#[test]
fn a_listener_without_authentication_is_not_exposed_unless_asked_for() {
    check_refused(&["--kafka", "0.0.0.0:9092"], &[], "say --insecure");
    assert!(load(&["--kafka", "0.0.0.0:9092", "--insecure"], &[]).is_ok());
    assert!(
        load(
            &["--kafka", "0.0.0.0:9092", "--roles", "registry", "--bootstrap-servers", "a:1"],
            &[]
        )
        .is_ok()
    );
}

#[test]
fn another_cluster_takes_the_place_of_the_broker() {
    let config = load(&["--bootstrap-servers", "a:1"], &[]).unwrap();
    assert!(!config.roles.contains(&Role::Broker));
    check_refused(
        &["--bootstrap-servers", "a:1", "--roles", "broker"],
        &[],
        "the broker role can't run",
    );
    check_refused(&["--roles", "registry"], &[], "--bootstrap-servers must name a cluster");
    check_refused(&["--roles", "regstry"], &[], "regstry is no role");
}
