//! From the commit of a row in Postgres until its document shows it, at a steady rate.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aquifer_tests::{Http, until};
use serde_json::json;
use sqlx::Row as _;

use crate::figures::{number, percentile_ms};
use crate::process::{cpu_seconds, memory_mib};
use crate::program::Aquifer;
use crate::progress::Progress;
use crate::report::Section;
use crate::services::{Elasticsearch, Postgres};

const INDEX: &str = "live";
const ROWS: i32 = 20_000;
/// Rows of one transaction, and the time from one to the next: 1 000 rows/s.
const TRANSACTION_ROWS: i32 = 50;
const EVERY: Duration = Duration::from_millis(50);
const LENGTH: Duration = Duration::from_secs(20);
/// Transactions before the first that counts.
const WARM_UP: usize = 60;
/// How often a document is looked for; what is measured is at most that much too long.
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// Starts both connectors, then updates rows and follows one of each transaction.
pub(crate) async fn measure(
    postgres: &Postgres,
    elasticsearch: &Elasticsearch,
    program: &Aquifer,
) -> Result<Section> {
    let progress = Progress::new("latency", 2);
    progress.step("snapshot");
    prepare(postgres, elasticsearch, program).await?;
    progress.step("1 000 rows/s");
    let cpu = cpu_seconds(program.pid())?;
    let began = Instant::now();
    let mut times = follow_updates(postgres, &elasticsearch.http).await?;
    let cores = (cpu_seconds(program.pid())? - cpu) / began.elapsed().as_secs_f64();
    let how = format!(
        "{TRANSACTION_ROWS} rows of 10 columns updated in one transaction every {} ms for {} s; of each transaction one row is followed, from when the client knew of the commit until a realtime GET of the document returns it (asked every {} ms). \
         The whole program, Postgres, Elasticsearch and the client share the machine; every acknowledgement on the way means synced.",
        EVERY.as_millis(),
        LENGTH.as_secs(),
        LOOK_EVERY.as_millis()
    );
    let mut section =
        Section::new("From commit to document, at 1 000 rows/s", &how, &["", "measured", "goal"]);
    section.row(&["p50, ms", &number(percentile_ms(&mut times, 50)), ""]);
    section.row(&["p99, ms", &number(percentile_ms(&mut times, 99)), "≤ 250"]);
    section.row(&["changes followed", &number(times.len() as f64), ""]);
    section.row(&["cores that the program used", &number(cores), ""]);
    section.row(&["memory of the program, MiB", &number(memory_mib(program.pid())?.0), ""]);
    let (p50, p99) = (percentile_ms(&mut times, 50), percentile_ms(&mut times, 99));
    section.headline("commit → indexed at 1 000 rows/s, p50 ms", &number(p50), "");
    section.headline("commit → indexed at 1 000 rows/s, p99 ms", &number(p99), "≤ 250");
    Ok(section)
}

async fn prepare(
    postgres: &Postgres,
    elasticsearch: &Elasticsearch,
    program: &Aquifer,
) -> Result<()> {
    postgres.execute("CREATE TABLE live (id int PRIMARY KEY, token bigint, name text, email text, city text, age int, score double precision, active boolean, born date, changed timestamptz)").await?;
    postgres.execute(&format!("INSERT INTO live SELECT n, 0, 'name ' || n, 'user' || n || '@example.com', 'city ' || n % 1000, n % 100, n / 7.0, n % 2 = 0, date '1970-01-01' + n % 20000, now() FROM generate_series(1, {ROWS}) n")).await?;
    let source = json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": "127.0.0.1",
        "database.port": postgres.port(),
        "database.user": "postgres",
        "database.dbname": "postgres",
        "topic.prefix": "live",
        "slot.name": "live",
        "publication.name": "live",
        "publication.autocreate.mode": "filtered",
        "table.include.list": "public.live",
    });
    let sink = json!({
        "connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
        "connection.url": elasticsearch.url,
        "topics": "live.public.live",
        "behavior.on.null.values": "delete",
        "transforms": "unwrap,index",
        "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
        "transforms.index.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.index.regex": ".*",
        "transforms.index.replacement": INDEX,
    });
    program.create_connector("live-source", &source).await?;
    program.create_connector("live-sink", &sink).await?;
    until("every row of the snapshot has its document", || async {
        let (_, _) = elasticsearch
            .http
            .call(reqwest::Method::POST, &format!("/{INDEX}/_refresh"), None)
            .await?;
        let (_, answer) = elasticsearch
            .http
            .call(reqwest::Method::GET, &format!("/{INDEX}/_count"), None)
            .await?;
        Ok(answer["count"].as_i64() == Some(ROWS.into()))
    })
    .await
}

async fn follow_updates(postgres: &Postgres, http: &Http) -> Result<Vec<Duration>> {
    let mut connection = postgres.connect().await?;
    let transactions = LENGTH.as_millis() / EVERY.as_millis();
    let total = WARM_UP + usize::try_from(transactions)?;
    let mut followed = Vec::with_capacity(total);
    let mut ticks = tokio::time::interval(EVERY);
    for number in 0..total {
        ticks.tick().await;
        let first = i32::try_from(number)? * TRANSACTION_ROWS % ROWS + 1;
        let token = i64::try_from(number)? + 1;
        let update = "UPDATE live SET token = $1, changed = now() WHERE id >= $2 AND id < $2 + $3 RETURNING id";
        let rows = sqlx::query(update)
            .bind(token)
            .bind(first)
            .bind(TRANSACTION_ROWS)
            .fetch_all(&mut connection)
            .await?;
        let committed = Instant::now();
        // The last row of the transaction: whoever sends in order sends it last.
        let id: i32 = rows.last().context("no row was updated")?.try_get(0)?;
        if number >= WARM_UP {
            followed.push(tokio::spawn(follow(http.clone(), id, token, committed)));
        }
    }
    let mut times = Vec::with_capacity(followed.len());
    for task in followed {
        times.push(task.await??);
    }
    Ok(times)
}

async fn follow(http: Http, id: i32, token: i64, committed: Instant) -> Result<Duration> {
    let path = format!("/{INDEX}/_doc/{id}?_source_includes=token");
    loop {
        let answer = http.get(&path).await?;
        // A later update of the same row shows this one as well.
        if answer["_source"]["token"].as_i64().is_some_and(|found| found >= token) {
            return Ok(committed.elapsed());
        }
        if committed.elapsed() > Duration::from_secs(30) {
            bail!("row {id} is committed but its document is still {answer}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
