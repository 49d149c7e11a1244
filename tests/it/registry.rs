//! The schema registry over REST: what Confluent's clients rely on, and what survives a kill.

use anyhow::Result;
use aquifer_tests::{Aquifer, Http, Options};
use reqwest::Method;
use serde_json::{Value, json};

fn record(fields: &Value) -> Value {
    json!({"schema": json!({"type": "record", "name": "Row", "namespace": "a", "fields": fields}).to_string()})
}

fn field(name: &str, kind: &str) -> Value {
    json!({"name": name, "type": kind})
}

async fn refused(
    registry: &Http,
    method: Method,
    path: &str,
    body: Option<&Value>,
    status: u16,
    code: u64,
) -> Result<String> {
    let (answered, answer) = registry.call(method.clone(), path, body).await?;
    assert_eq!(
        (answered, answer["error_code"].as_u64()),
        (status, Some(code)),
        "{method} {path}: {answer}"
    );
    Ok(answer["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn schemas_are_registered_looked_up_deleted_and_survive_a_kill() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let registry = aquifer.registry();
    let (one, two) = (
        record(&json!([field("id", "long")])),
        record(
            &json!([field("id", "long"), {"name": "n", "type": ["null", "string"], "default": null}]),
        ),
    );
    let first = registry.post("/subjects/rows-value/versions", &one).await?["id"].clone();
    assert_eq!(
        registry.post("/subjects/rows-value/versions", &one).await?["id"],
        first,
        "the same schema has the same id"
    );
    assert_eq!(
        registry.post("/subjects/other-value/versions", &one).await?["id"],
        first,
        "under every subject"
    );
    let second = registry.post("/subjects/rows-value/versions", &two).await?["id"].clone();
    assert_ne!(first, second);
    assert_eq!(registry.post("/subjects/rows-value", &two).await?["version"], 2);

    aquifer.kill()?;
    aquifer.restart().await?;
    assert_eq!(registry.get("/subjects").await?, json!(["other-value", "rows-value"]));
    assert_eq!(registry.get("/subjects/rows-value/versions").await?, json!([1, 2]));
    let text = registry.get(&format!("/schemas/ids/{second}")).await?["schema"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert_eq!(
        text,
        r#"{"type":"record","name":"Row","namespace":"a","fields":[{"name":"id","type":"long"},{"name":"n","type":["null","string"],"default":null}]}"#
    );

    refused(&registry, Method::DELETE, "/subjects/rows-value?permanent=true", None, 404, 40405)
        .await?;
    assert_eq!(registry.delete("/subjects/rows-value").await?, json!([1, 2]));
    refused(&registry, Method::GET, "/subjects/rows-value/versions", None, 404, 40401).await?;
    assert_eq!(registry.get("/subjects?deleted=true").await?, json!(["other-value", "rows-value"]));
    assert_eq!(registry.delete("/subjects/rows-value?permanent=true").await?, json!([1, 2]));
    aquifer.kill()?;
    aquifer.restart().await?;
    assert_eq!(registry.get("/subjects?deleted=true").await?, json!(["other-value"]));
    let third = registry
        .post("/subjects/third-value/versions", &record(&json!([field("x", "int")])))
        .await?["id"]
        .clone();
    assert!(
        third.as_u64() > second.as_u64(),
        "an id is never given out again: {third} after {second}"
    );
    Ok(())
}

#[tokio::test]
async fn an_incompatible_schema_is_refused_with_every_difference() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let registry = aquifer.registry();
    registry
        .post("/subjects/s/versions", &record(&json!([field("a", "int"), field("b", "string")])))
        .await?;
    let worse = record(&json!([field("a", "string"), field("b", "string"), field("c", "int")]));
    let message =
        refused(&registry, Method::POST, "/subjects/s/versions", Some(&worse), 409, 409).await?;
    for part in
        ["READER_FIELD_MISSING_DEFAULT_VALUE", "TYPE_MISMATCH", "/fields/0/type", "/fields/2"]
    {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let tested =
        registry.post("/compatibility/subjects/s/versions/latest?verbose=true", &worse).await?;
    assert_eq!(tested["is_compatible"], false);
    assert!(!tested["messages"].as_array().unwrap().is_empty());
    registry.put("/config/s", &json!({"compatibility": "NONE"})).await?;
    assert_eq!(registry.get("/config/s").await?["compatibilityLevel"], "NONE");
    registry.post("/subjects/s/versions", &worse).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_answered_with_the_registrys_own_codes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let registry = aquifer.registry();
    let nonsense = json!({"schema": "{\"type\": \"recrod\"}"});
    refused(&registry, Method::POST, "/subjects/s/versions", Some(&nonsense), 422, 42201).await?;
    refused(&registry, Method::GET, "/subjects/none/versions/1", None, 404, 40401).await?;
    refused(&registry, Method::GET, "/schemas/ids/4711", None, 404, 40403).await?;
    refused(
        &registry,
        Method::PUT,
        "/config",
        Some(&json!({"compatibility": "SOMETIMES"})),
        422,
        42203,
    )
    .await?;
    registry.post("/subjects/s/versions", &record(&json!([field("a", "int")]))).await?;
    refused(&registry, Method::GET, "/subjects/s/versions/9", None, 404, 40402).await?;
    refused(&registry, Method::GET, "/subjects/s/versions/zero", None, 422, 42202).await?;
    let deep = json!({"schema": format!("{}\"int\"{}", "{\"type\":\"array\",\"items\":".repeat(20_000), "}".repeat(20_000))});
    refused(&registry, Method::POST, "/subjects/deep/versions", Some(&deep), 422, 42201).await?;
    Ok(())
}

#[tokio::test]
async fn references_are_resolved_and_kept_from_deletion() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let registry = aquifer.registry();
    registry.post("/subjects/inner/versions", &record(&json!([field("a", "int")]))).await?;
    let outer = json!({
        "schema": json!({"type": "record", "name": "Outer", "fields": [field("row", "a.Row")]}).to_string(),
        "references": [{"name": "a.Row", "subject": "inner", "version": 1}],
    });
    let id = registry.post("/subjects/outer/versions", &outer).await?["id"].clone();
    assert_eq!(
        registry.get(&format!("/schemas/ids/{id}")).await?["references"],
        outer["references"]
    );
    assert_eq!(registry.get("/subjects/inner/versions/1/referencedby").await?, json!([id]));
    refused(&registry, Method::DELETE, "/subjects/inner/versions/1", None, 422, 42206).await?;
    let dangling = json!({"schema": outer["schema"], "references": [{"name": "a.Row", "subject": "nobody", "version": 1}]});
    refused(&registry, Method::POST, "/subjects/x/versions", Some(&dangling), 422, 42201).await?;
    Ok(())
}
