//! Connect's REST: status codes, texts and shapes that its tools rely on.

use anyhow::Result;
use aquifer_tests::{Aquifer, Options, until};
use reqwest::Method;
use serde_json::{Value, json};

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

fn source(file: &std::path::Path) -> Value {
    json!({"connector.class": "FileStreamSource", "file": file, "topic": "lines", "key.converter": STRING, "value.converter": STRING})
}

#[tokio::test]
async fn a_connectors_life_has_the_status_codes_of_kafka_connect() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let connect = aquifer.connect();
    let file = directory.path().join("in.txt");
    std::fs::write(&file, "x\n")?;
    let body = json!({"name": "in", "config": source(&file)});
    let (status, created) = connect.call(Method::POST, "/connectors", Some(&body)).await?;
    assert_eq!((status, &created["name"], &created["type"]), (201, &json!("in"), &json!("source")));
    let (status, again) = connect.call(Method::POST, "/connectors", Some(&body)).await?;
    assert_eq!(
        (status, again),
        (409, json!({"error_code": 409, "message": "Connector in already exists"}))
    );
    aquifer.connector_runs("in").await?;
    assert_eq!(connect.get("/connectors").await?, json!(["in"]));
    let expanded = connect.get("/connectors?expand=status&expand=info").await?;
    assert_eq!(
        (
            &expanded["in"]["status"]["connector"]["state"],
            &expanded["in"]["info"]["config"]["topic"]
        ),
        (&json!("RUNNING"), &json!("lines"))
    );

    assert_eq!(connect.call(Method::PUT, "/connectors/in/pause", None).await?.0, 202);
    state_is(&aquifer, "PAUSED").await?;
    assert_eq!(connect.call(Method::PUT, "/connectors/in/resume", None).await?.0, 202);
    state_is(&aquifer, "RUNNING").await?;
    assert_eq!(connect.call(Method::POST, "/connectors/in/restart", None).await?.0, 204);
    assert_eq!(
        connect.call(Method::POST, "/connectors/in/restart?includeTasks=true", None).await?.0,
        202
    );
    assert_eq!(connect.call(Method::PUT, "/connectors/in/stop", None).await?.0, 204);
    state_is(&aquifer, "STOPPED").await?;
    aquifer.kill()?;
    aquifer.restart().await?;
    state_is(&aquifer, "STOPPED").await?;

    let patched = connect
        .ok(Method::PATCH, "/connectors/in/config", Some(&json!({"batch.size": "10"})))
        .await?;
    assert_eq!(
        (&patched["config"]["batch.size"], &patched["config"]["topic"]),
        (&json!("10"), &json!("lines"))
    );
    assert_eq!(connect.call(Method::DELETE, "/connectors/in", None).await?.0, 204);
    let (status, gone) = connect.call(Method::GET, "/connectors/in", None).await?;
    assert_eq!(
        (status, gone),
        (404, json!({"error_code": 404, "message": "Connector in not found"}))
    );
    Ok(())
}

async fn state_is(aquifer: &Aquifer, state: &str) -> Result<()> {
    let connect = aquifer.connect();
    until(&format!("the connector is {state}"), || async {
        Ok(connect.get("/connectors/in/status").await?["connector"]["state"] == state)
    })
    .await
}

#[tokio::test]
async fn every_wrong_key_is_answered_at_once() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let connect = aquifer.connect();
    let config = json!({"connector.class": "FileStreamSource", "tasks.max": "none", "transforms": "r", "transforms.r.type": "org.apache.kafka.connect.transforms.RegexRouter"});
    let (status, answer) = connect
        .call(Method::POST, "/connectors", Some(&json!({"name": "bad", "config": config})))
        .await?;
    assert_eq!(status, 400);
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("Connector configuration is invalid and contains the following "),
        "{message}"
    );
    for part in [
        "\"topic\"",
        "tasks.max: Not a number of type INT",
        "regex",
        "You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let mut named = config.clone();
    named["name"] = json!("bad");
    let validated =
        connect.put("/connector-plugins/FileStreamSource/config/validate", &named).await?;
    assert!(validated["error_count"].as_u64().unwrap_or_default() >= 3, "{validated}");
    let (status, answer) = connect
        .call(
            Method::POST,
            "/connectors",
            Some(&json!({"name": "x", "config": {"connector.class": "Nope"}})),
        )
        .await?;
    assert!(
        status == 400
            && answer["message"]
                .as_str()
                .unwrap_or_default()
                .contains("Failed to find any class that implements Connector"),
        "{answer}"
    );
    Ok(())
}

#[tokio::test]
async fn plugins_and_their_definitions_are_listed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let connect = aquifer.connect();
    let about = connect.get("/").await?;
    assert!(about["version"].is_string() && about["kafka_cluster_id"].is_string(), "{about}");
    let listed = connect.get("/connector-plugins?connectorsOnly=false").await?;
    let classes: Vec<&str> =
        listed.as_array().unwrap().iter().filter_map(|plugin| plugin["class"].as_str()).collect();
    for class in [
        "io.debezium.connector.postgresql.PostgresConnector",
        "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
        "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "io.debezium.transforms.ExtractNewRecordState",
        "io.confluent.connect.avro.AvroConverter",
    ] {
        assert!(classes.contains(&class), "{class} is not in {classes:?}");
    }
    let keys = connect.get("/connector-plugins/FileStreamSource/config").await?;
    let topic = keys
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["name"] == "topic")
        .cloned()
        .unwrap_or_default();
    assert_eq!((&topic["type"], &topic["required"]), (&json!("STRING"), &json!(true)), "{topic}");
    Ok(())
}
