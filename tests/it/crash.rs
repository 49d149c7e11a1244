//! kill -9 during capture and sink: table and index end equal, nothing acknowledged is lost.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aquifer_tests::{Aquifer, Elasticsearch, Options, Postgres};
use rand::{Rng as _, SeedableRng as _};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use sqlx::Executor as _;

use crate::kcat::kcat;
use crate::pipeline::equal;

const KILLS: u32 = 20;

/// Changes rows in small transactions until told to stop.
async fn change(
    postgres: Postgres,
    mut stop: tokio::sync::oneshot::Receiver<()>,
    seed: u64,
) -> Result<u64> {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut connection = postgres.connect().await?;
    let mut transactions = 0;
    while stop.try_recv().is_err() {
        let id: i32 = random.random_range(1..=3000);
        let statement = match random.random_range(0..10) {
            0..=3 => format!(
                "INSERT INTO items SELECT n, 'new {transactions}', n FROM generate_series({id}, {id} + 20) n ON CONFLICT (id) DO UPDATE SET name = 'upsert {transactions}'"
            ),
            4..=7 => format!(
                "UPDATE items SET name = 'update {transactions}', amount = amount + 1 WHERE id BETWEEN {id} AND {id} + 10"
            ),
            8 => format!("DELETE FROM items WHERE id BETWEEN {id} AND {id} + 5"),
            _ => format!(
                "UPDATE items SET id = id + 10000 WHERE id = {id} AND NOT EXISTS (SELECT FROM items WHERE id = {id} + 10000)"
            ),
        };
        connection.execute(sqlx::AssertSqlSafe(statement)).await?;
        transactions += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(transactions)
}

#[tokio::test]
async fn after_twenty_kills_the_index_equals_the_table() -> Result<()> {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| rand::rng().random());
    println!("SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let (postgres, elasticsearch) = (Postgres::start().await?, Elasticsearch::start()?);
    let directory = tempfile::tempdir()?;
    let mut aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    postgres
        .execute(&[
            "CREATE TABLE items (id int PRIMARY KEY, name text, amount bigint)",
            "INSERT INTO items SELECT n, 'item ' || n, n FROM generate_series(1, 3000) n",
        ])
        .await?;
    let index = postgres.database.clone();
    aquifer.create_connector("source", &postgres.source_config("public.items", &json!({}))).await?;
    aquifer
        .create_connector(
            "sink",
            &elasticsearch.sink_config(&format!("{index}.public.items"), &index, &json!({})),
        )
        .await?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let changes = tokio::spawn(change(postgres.clone(), stopped, seed));
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..1500))).await;
        aquifer.kill()?;
        aquifer.restart().await?;
    }
    let _ = stop.send(());
    let transactions = changes.await??;
    let count =
        equal(&postgres, "SELECT * FROM items", &elasticsearch, &index, Duration::from_mins(3))
            .await
            .context(aquifer.log().lines().rev().take(40).collect::<Vec<_>>().join("\n"))?;
    assert!(transactions > 100 && count > 0, "{transactions} transactions, {count} documents");
    elasticsearch.http.delete(&format!("/{index}")).await?;
    Ok(())
}

#[tokio::test]
async fn what_was_acknowledged_with_acks_all_survives_kills() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let broker = aquifer.addresses.kafka.clone();
    kcat(&broker, &["-P", "-t", "kept"], "first\n")?;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &broker)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "60000")
        .set("linger.ms", "2")
        .create()?;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        let mut next = 0_u32;
        while stopped.try_recv().is_err() {
            let sent = (0..20).map(|n| {
                let value = (next + n).to_string();
                let producer = producer.clone();
                async move {
                    producer
                        .send(
                            FutureRecord::<(), _>::to("kept").payload(&value),
                            Duration::from_secs(60),
                        )
                        .await
                        .map(|_| value)
                }
            });
            let outcomes = futures_util::future::join_all(sent).await;
            acknowledged.extend(outcomes.into_iter().filter_map(Result::ok));
            next += 20;
        }
        acknowledged
    });
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        aquifer.kill()?;
        aquifer.restart().await?;
    }
    let _ = stop.send(());
    let acknowledged = writer.await?;
    let read = kcat(&broker, &["-C", "-t", "kept", "-e", "-q", "-o", "beginning"], "")?;
    let lines: Vec<&str> = read.lines().collect();
    let distinct: std::collections::HashSet<&str> = lines.iter().copied().collect();
    let lost: Vec<&String> =
        acknowledged.iter().filter(|value| !distinct.contains(value.as_str())).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged records are lost: {:?}",
        lost.len(),
        acknowledged.len(),
        &lost[..lost.len().min(10)]
    );
    assert_eq!(distinct.len(), lines.len(), "an idempotent producer writes nothing twice");
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    Ok(())
}
