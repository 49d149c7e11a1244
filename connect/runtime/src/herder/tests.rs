//! The herder's decisions and what its records make of a new one.

use super::*;

fn config(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Applies records through their bytes, as replay does.
fn replay(herder: &mut Herder, records: Vec<ConfigRecord>) {
    for record in records {
        let (key, value) = record.encode();
        let read = ConfigRecord::decode(&key, value.as_deref()).expect("own records are readable");
        assert_eq!(read, record);
        herder.apply_config(read);
    }
}

fn apply_text(herder: &mut Herder, lines: &[(&str, Option<&str>)]) {
    for (key, value) in lines {
        let record = ConfigRecord::decode(key.as_bytes(), value.map(str::as_bytes));
        herder.apply_config(record.expect("readable"));
    }
}

#[test]
fn config_records_have_the_bytes_of_kafka_connect() {
    let check = |record: ConfigRecord, key: &str, value: Option<&str>| {
        let (got_key, got_value) = record.encode();
        assert_eq!(String::from_utf8(got_key).unwrap(), key);
        assert_eq!(got_value.map(|v| String::from_utf8(v).unwrap()).as_deref(), value);
    };
    let name = || "src".to_owned();
    check(
        ConfigRecord::Connector {
            name: name(),
            config: Some(config(&[("connector.class", "X"), ("name", "src")])),
        },
        "connector-src",
        Some(r#"{"properties":{"connector.class":"X","name":"src"}}"#),
    );
    check(ConfigRecord::Connector { name: name(), config: None }, "connector-src", None);
    check(
        ConfigRecord::Task { id: TaskId::new("src", 0), config: Some(config(&[("a", "b")])) },
        "task-src-0",
        Some(r#"{"properties":{"a":"b"}}"#),
    );
    check(ConfigRecord::Commit { name: name(), tasks: 1 }, "commit-src", Some(r#"{"tasks":1}"#));
    check(
        ConfigRecord::Target { name: name(), state: Some(TargetState::Stopped) },
        "target-state-src",
        Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#),
    );
    check(
        ConfigRecord::Target { name: name(), state: Some(TargetState::Started) },
        "target-state-src",
        Some(r#"{"state":"STARTED","state.v2":"STARTED"}"#),
    );
    check(
        ConfigRecord::Restart { name: name(), include_tasks: true, only_failed: false },
        "restart-connector-src",
        Some(r#"{"include-tasks":true,"only-failed":false}"#),
    );
}

#[test]
fn status_records_have_the_bytes_of_kafka_connect() {
    let record = StatusRecord::Status {
        id: StatusId::Task(TaskId::new("a-b", 3)),
        status: Some(Status {
            state: State::Running,
            trace: None,
            worker_id: "127.0.0.1:8083".to_owned(),
            generation: 4,
            version: Some("4.3.0".to_owned()),
        }),
    };
    let (key, value) = record.encode();
    assert_eq!(key, b"status-task-a-b-3");
    assert_eq!(
        String::from_utf8(value.clone().unwrap()).unwrap(),
        r#"{"state":"RUNNING","trace":null,"worker_id":"127.0.0.1:8083","generation":4,"version":"4.3.0"}"#
    );
    assert_eq!(StatusRecord::decode(&key, value.as_deref()).unwrap(), record);
    let topic = StatusRecord::Topic {
        connector: "c".to_owned(),
        topic: "t".to_owned(),
        task: 1,
        discovered_ms: 7,
        used: true,
    };
    let (key, value) = topic.encode();
    assert_eq!(key, b"status-topic-t:connector-c");
    assert_eq!(StatusRecord::decode(&key, value.as_deref()).unwrap(), topic);
}

#[test]
fn tasks_count_only_from_their_commit_on() {
    let mut herder = Herder::default();
    apply_text(
        &mut herder,
        &[
            ("connector-c", Some(r#"{"properties":{"connector.class":"X","tasks.max":2}}"#)),
            ("task-c-0", Some(r#"{"properties":{"n":"0"}}"#)),
            ("task-c-1", Some(r#"{"properties":{"n":"1"}}"#)),
        ],
    );
    let connector = herder.connector("c").unwrap();
    assert!(connector.tasks().is_empty());
    assert_eq!(connector.config().unwrap().get("tasks.max").unwrap(), "2");
    apply_text(&mut herder, &[("commit-c", Some(r#"{"tasks":2}"#))]);
    assert_eq!(herder.connector("c").unwrap().tasks().len(), 2);
}

#[test]
fn compacted_topic_with_holes_has_no_tasks_until_they_are_made_again() {
    let mut herder = Herder::default();
    apply_text(
        &mut herder,
        &[
            ("task-c-1", Some(r#"{"properties":{"n":"1"}}"#)),
            ("commit-c", Some(r#"{"tasks":2}"#)),
            ("connector-c", Some(r#"{"properties":{"connector.class":"X"}}"#)),
        ],
    );
    assert!(herder.connector("c").unwrap().tasks().is_empty());
    let records = herder.decide_tasks("c", vec![config(&[("n", "0")]), config(&[("n", "1")])]);
    replay(&mut herder, records);
    assert_eq!(herder.connector("c").unwrap().tasks().len(), 2);
    assert!(
        herder.decide_tasks("c", vec![config(&[("n", "0")]), config(&[("n", "1")])]).is_empty()
    );
}

#[test]
fn stopped_connector_has_no_tasks_and_survives_replay_as_stopped() {
    let mut herder = Herder::default();
    let create = herder.decide_create("c", config(&[("connector.class", "X")]), None).unwrap();
    replay(&mut herder, create);
    let tasks = herder.decide_tasks("c", vec![config(&[("n", "0")])]);
    replay(&mut herder, tasks);
    let stop = herder.decide_target("c", TargetState::Stopped).unwrap();
    replay(&mut herder, stop);
    let connector = herder.connector("c").unwrap();
    assert_eq!(connector.target(), TargetState::Stopped);
    assert!(connector.tasks().is_empty());
}

#[test]
fn deleted_connector_leaves_nothing_to_its_successor() {
    let mut herder = Herder::default();
    let create = herder
        .decide_create("c", config(&[("connector.class", "X")]), Some(TargetState::Paused))
        .unwrap();
    replay(&mut herder, create);
    let tasks = herder.decide_tasks("c", vec![config(&[("n", "0")])]);
    replay(&mut herder, tasks);
    let delete = herder.decide_delete("c").unwrap();
    replay(&mut herder, delete);
    assert!(herder.connector("c").is_none());
    assert_eq!(
        herder.decide_delete("c").unwrap_err(),
        Refusal::NotFound("Connector c not found".to_owned())
    );
    let create = herder.decide_create("c", config(&[("connector.class", "Y")]), None).unwrap();
    replay(&mut herder, create);
    let connector = herder.connector("c").unwrap();
    assert_eq!(connector.target(), TargetState::Started);
    assert!(connector.tasks().is_empty());
}

#[test]
fn refusals_have_the_words_of_kafka_connect() {
    let mut herder = Herder::default();
    let create = herder.decide_create("c", ConfigMap::new(), None).unwrap();
    replay(&mut herder, create);
    let again = herder.decide_create("c", ConfigMap::new(), None).unwrap_err();
    assert_eq!(again.to_string(), "Connector c already exists");
    let pause = herder.decide_target("x", TargetState::Paused).unwrap_err();
    assert_eq!(pause.to_string(), "Unknown connector x");
    let restart = herder.decide_restart("x", true, false).unwrap_err();
    assert_eq!(restart.to_string(), "Unknown connector: x");
}

#[test]
fn records_of_others_are_left_alone_and_broken_ones_are_named() {
    let foreign = ConfigRecord::decode(b"session-key", Some(b"{}")).unwrap();
    assert_eq!(foreign, ConfigRecord::Foreign);
    assert_eq!(ConfigRecord::decode(&[0xff], None).unwrap(), ConfigRecord::Foreign);
    let broken = ConfigRecord::decode(b"commit-c", Some(b"{\"n\":1}")).unwrap_err();
    assert_eq!(
        broken.to_string(),
        "expected a count under \"tasks\", got the fields [n], in the record with key commit-c"
    );
    assert!(ConfigRecord::decode(b"connector-c", Some(b"[1")).is_err());
}
