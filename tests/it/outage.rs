//! Postgres and Elasticsearch go away and come back: tasks try again by themselves, and nothing is lost.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use aquifer_tests::{Aquifer, Elasticsearch, Options, Postgres, until};
use serde_json::json;

use crate::pipeline::equal;

const POSTGRES_PORT: u16 = 15434;
const ELASTICSEARCH_PORT: u16 = 19201;
const PATIENCE: Duration = Duration::from_mins(2);

/// Stops the two servers however the test ends.
struct Servers<'a>(&'a Path);

impl Drop for Servers<'_> {
    fn drop(&mut self) {
        let postgres = Postgres { port: POSTGRES_PORT, database: String::new() };
        let _ = postgres.stop_own(&self.0.join("postgres"));
        let _ = Elasticsearch::stop_own(ELASTICSEARCH_PORT, &self.0.join("elasticsearch"));
    }
}

#[tokio::test]
async fn an_outage_of_postgres_or_of_elasticsearch_loses_nothing() -> Result<()> {
    let (directory, outside) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (postgres_data, elasticsearch_data) =
        (outside.path().join("postgres"), outside.path().join("elasticsearch"));
    let _servers = Servers(outside.path());
    let postgres = Postgres::start_own(POSTGRES_PORT, &postgres_data)?;
    let elasticsearch = Elasticsearch::start_own(ELASTICSEARCH_PORT, &elasticsearch_data)?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    postgres
        .execute(&[
            "CREATE TABLE items (id int PRIMARY KEY, name text)",
            "INSERT INTO items SELECT n, 'a' FROM generate_series(1, 500) n",
        ])
        .await?;
    aquifer.create_connector("source", &postgres.source_config("public.items", &json!({}))).await?;
    aquifer
        .create_connector(
            "sink",
            &elasticsearch.sink_config("postgres.public.items", "items", &json!({})),
        )
        .await?;
    equal(&postgres, "SELECT * FROM items", &elasticsearch, "items", PATIENCE).await?;

    Elasticsearch::stop_own(ELASTICSEARCH_PORT, &elasticsearch_data)?;
    postgres
        .execute(&[
            "UPDATE items SET name = 'while the index was away'",
            "DELETE FROM items WHERE id > 400",
        ])
        .await?;
    postgres.stop_own(&postgres_data)?;
    // Both are away now: the tasks say so and stay.
    until("the source tells that it tries again", || async {
        let status = aquifer.connect().get("/connectors/source/status").await?;
        let task = &status["tasks"][0];
        Ok(task["state"] == "RUNNING"
            && task["trace"].as_str().unwrap_or_default().contains("again"))
    })
    .await?;
    Elasticsearch::start_own(ELASTICSEARCH_PORT, &elasticsearch_data)?;
    Postgres::start_own(POSTGRES_PORT, &postgres_data)?;
    postgres
        .execute(&["INSERT INTO items SELECT n, 'after' FROM generate_series(1000, 1100) n"])
        .await?;
    equal(&postgres, "SELECT * FROM items", &elasticsearch, "items", PATIENCE).await?;
    for name in ["source", "sink"] {
        aquifer.connector_runs(name).await?;
    }
    Ok(())
}
