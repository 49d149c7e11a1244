//! File source to topic to file sink, through Connect, with poison records and a kill in between.

use std::fs;
use std::io::Write as _;

use anyhow::Result;
use aquifer_tests::{Aquifer, Options, until, within};
use serde_json::{Value, json};

use crate::kcat::kcat;

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

fn source(file: &std::path::Path) -> Value {
    json!({"connector.class": "FileStreamSource", "file": file, "topic": "lines", "key.converter": STRING, "value.converter": STRING})
}

fn sink(file: &std::path::Path, topics: &str) -> Value {
    json!({"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "file": file, "topics": topics, "key.converter": STRING, "value.converter": STRING})
}

#[tokio::test]
async fn lines_go_from_file_to_file_and_none_is_lost_by_a_kill() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let (from, to) = (directory.path().join("in.txt"), directory.path().join("out.txt"));
    let mut written = fs::File::create(&from)?;
    aquifer.create_connector("in", &source(&from)).await?;
    aquifer.create_connector("out", &sink(&to, "lines")).await?;
    for round in 0..3 {
        for line in 0..1000 {
            writeln!(written, "{}", round * 1000 + line)?;
        }
        if round == 1 {
            aquifer.kill()?;
            aquifer.restart().await?;
        }
    }
    let expected: Vec<u32> = (0..3000).collect();
    until("every line is in the other file", || async {
        let text = fs::read_to_string(&to).unwrap_or_default();
        let mut lines: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        lines.sort_unstable();
        lines.dedup();
        Ok(lines == expected)
    })
    .await?;
    let offsets = aquifer.connect().get("/connectors/in/offsets").await?;
    assert_eq!(offsets["offsets"][0]["partition"]["filename"], json!(from));
    Ok(())
}

#[tokio::test]
async fn a_poison_record_goes_to_the_dead_letters_with_its_reason() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let broker = aquifer.addresses.kafka.as_str();
    let to = directory.path().join("out.txt");
    kcat(broker, &["-P", "-t", "mixed"], "\"one\"\n{poison\n\"two\"\n")?;
    let mut config = sink(&to, "mixed");
    let more = json!({
        "value.converter": JSON, "value.converter.schemas.enable": "false", "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": "dead", "errors.deadletterqueue.context.headers.enable": "true",
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    aquifer.create_connector("out", &config).await?;
    until("the good records are written", || async {
        Ok(fs::read_to_string(&to).unwrap_or_default() == "one\ntwo\n")
    })
    .await?;
    let dead = within(std::time::Duration::from_secs(30), "a dead letter", || async {
        let read = kcat(broker, &["-C", "-t", "dead", "-e", "-q", "-f", "%s|%h\n"], "")
            .unwrap_or_default();
        Ok((!read.is_empty()).then_some(read))
    })
    .await?;
    assert!(dead.starts_with("{poison|"), "{dead}");
    for header in [
        "__connect.errors.topic=mixed",
        "__connect.errors.partition=0",
        "__connect.errors.offset=1",
        "__connect.errors.connector.name=out",
        "__connect.errors.stage=VALUE_CONVERTER",
    ] {
        assert!(dead.contains(header), "{header} is not in {dead}");
    }
    Ok(())
}

#[tokio::test]
async fn without_tolerance_the_task_fails_and_names_the_record() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    kcat(&aquifer.addresses.kafka, &["-P", "-t", "mixed"], "\"one\"\n{poison\n")?;
    let mut config = sink(&directory.path().join("out.txt"), "mixed");
    config["value.converter"] = json!(JSON);
    config["value.converter.schemas.enable"] = json!("false");
    let connect = aquifer.connect();
    connect.post("/connectors", &json!({"name": "out", "config": config})).await?;
    let trace = within(std::time::Duration::from_secs(60), "the task has failed", || async {
        let status = connect.get("/connectors/out/status").await?;
        let task = &status["tasks"][0];
        Ok((task["state"] == "FAILED")
            .then(|| task["trace"].as_str().unwrap_or_default().to_owned()))
    })
    .await?;
    assert!(trace.contains("mixed") && trace.contains("offset 1"), "{trace}");
    Ok(())
}

#[tokio::test]
async fn rest_answers_within_a_second_while_ten_sources_run_flat_out() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let lines: String = (0..200_000).map(|n| format!("{n} {}\n", "x".repeat(100))).collect();
    for number in 0..10 {
        let from = directory.path().join(format!("in-{number}.txt"));
        fs::write(&from, &lines)?;
        let mut config = source(&from);
        config["topic"] = json!(format!("flat-out-{number}"));
        let body = json!({"name": format!("in-{number}"), "config": config});
        aquifer.connect().post("/connectors", &body).await?;
    }
    let connect = aquifer.connect();
    let mut slowest = std::time::Duration::ZERO;
    let mut running = 0;
    for number in 0..60 {
        let path = ["/connectors?expand=status", "/", "/connectors/in-3/status"][number % 3];
        let asked = std::time::Instant::now();
        let answer = connect.get(path).await?;
        slowest = slowest.max(asked.elapsed());
        running = running.max(answer.as_object().map_or(0, serde_json::Map::len));
    }
    assert_eq!(running, 10, "all were there while it was asked");
    // They are at work, or the test says nothing.
    until("each source has written", || async {
        let listed = kcat(&aquifer.addresses.kafka, &["-L"], "")?;
        Ok((0..10).all(|number| listed.contains(&format!("flat-out-{number}"))))
    })
    .await?;
    assert!(slowest < std::time::Duration::from_secs(1), "the slowest answer took {slowest:?}");
    Ok(())
}
