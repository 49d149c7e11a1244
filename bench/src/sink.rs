//! The Elasticsearch sink beside its own bulk requests, recorded and sent again as they were.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aquifer_tests::{Http, within};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::Bench;
use crate::figures::{median, number, range, ratio};
use crate::process::cpu_seconds;
use crate::program::Aquifer;
use crate::progress::Progress;
use crate::report::Section;
use crate::services::Elasticsearch;
use crate::tap::{Bulk, Tap};

const INDEX: &str = "bench";
const PATIENCE: Duration = Duration::from_secs(240);
/// Bulk requests at a time, on both sides: the sink's default.
const IN_FLIGHT: usize = 5;

/// Indexes the topic by turns with sending the same bulk requests again.
pub(crate) async fn measure(
    bench: &Bench,
    elasticsearch: &Elasticsearch,
    program: &Aquifer,
    topic: &str,
) -> Result<Section> {
    let progress = Progress::new("sink", bench.rounds * 2 + 1);
    let rows = u64::from(bench.rows);
    progress.step("recording, which also warms Elasticsearch up");
    let tap = Tap::start(&elasticsearch.url).await?;
    index_ours(program, elasticsearch, &tap.url, topic, rows, "record").await?;
    let bulks = Arc::new(tap.bulks()?);
    let create = index_definition(&elasticsearch.http).await?;
    ensure!(!bulks.is_empty(), "the sink sent no bulk request");

    let (mut ours, mut our_cpu, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=bench.rounds {
        progress.step(&format!("round {round}, Aquifer"));
        let (rate, cpu) = index_ours(
            program,
            elasticsearch,
            &elasticsearch.url,
            topic,
            rows,
            &format!("sink{round}"),
        )
        .await?;
        ours.push(rate);
        our_cpu.push(cpu * 1e6 / rows as f64);
        progress.step(&format!("round {round}, raw"));
        raw.push(replay(elasticsearch, &bulks, &create, rows).await?);
    }
    let bytes: usize = bulks.iter().map(|bulk| bulk.body.len()).sum();
    let how = format!(
        "{} change events of the table above from a topic, with ExtractNewRecordState, into a new index, {} rounds by turns with sending the sink's own {} bulk requests \
         (recorded once; {} MiB) again, {IN_FLIGHT} at a time, into an index of the same mapping. Docs/s are counted by Elasticsearch, from the first document that it reports to the last; \
         it runs on the same machine and is what limits both.",
        number(rows as f64),
        bench.rounds,
        bulks.len(),
        number(bytes as f64 / 1_048_576.0)
    );
    let mut section = Section::new(
        "The Elasticsearch sink beside its own bulk requests",
        &how,
        &["", "bulk requests alone", "Aquifer", "Aquifer ÷ alone"],
    );
    section.row(&[
        "docs/s",
        &number(median(&raw)),
        &number(median(&ours)),
        &number(median(&ours) / median(&raw)),
    ]);
    section.row(&["docs/s, slowest and fastest round", &range(&raw), &range(&ours), ""]);
    let ratio = ratio(&ours, &raw);
    section.headline("Elasticsearch sink, docs/s ÷ its own bulk requests sent alone", &ratio, "");
    section.row(&["CPU of the whole program, µs/doc", "", &number(median(&our_cpu)), ""]);
    Ok(section)
}

/// Documents a second, and CPU seconds of the program.
async fn index_ours(
    program: &Aquifer,
    elasticsearch: &Elasticsearch,
    url: &str,
    topic: &str,
    rows: u64,
    name: &str,
) -> Result<(f64, f64)> {
    delete_index(&elasticsearch.http).await?;
    let config = json!({
        "connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
        "connection.url": url,
        "topics": topic,
        "behavior.on.null.values": "delete",
        "max.in.flight.requests": IN_FLIGHT.to_string(),
        "transforms": "unwrap,index",
        "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
        "transforms.index.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.index.regex": ".*",
        "transforms.index.replacement": INDEX,
    });
    let cpu = cpu_seconds(program.pid())?;
    program.connect.post("/connectors", &json!({"name": name, "config": config})).await?;
    let rate = watch(&elasticsearch.http, rows).await?;
    let cpu = cpu_seconds(program.pid())? - cpu;
    program.delete_connector(name).await?;
    Ok((rate, cpu))
}

/// Documents a second of the requests as they are.
async fn replay(
    elasticsearch: &Elasticsearch,
    bulks: &Arc<Vec<Bulk>>,
    create: &Value,
    rows: u64,
) -> Result<f64> {
    delete_index(&elasticsearch.http).await?;
    elasticsearch.http.put(&format!("/{INDEX}"), create).await?;
    let (base, bulks) = (elasticsearch.url.clone(), Arc::clone(bulks));
    let sending = tokio::spawn(async move { send_all(&base, &bulks).await });
    let rate = watch(&elasticsearch.http, rows).await?;
    sending.await??;
    Ok(rate)
}

async fn send_all(base: &str, bulks: &[Bulk]) -> Result<()> {
    let client = reqwest::Client::new();
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut requests = tokio::task::JoinSet::new();
    for bulk in bulks {
        let place = Arc::clone(&places).acquire_owned().await?;
        let request = client
            .post(format!("{base}{}", bulk.path))
            .header("content-type", "application/x-ndjson")
            .body(bulk.body.clone());
        requests.spawn(async move {
            let _place = place;
            let answer: Value =
                serde_json::from_slice(&request.send().await?.error_for_status()?.bytes().await?)?;
            ensure!(
                answer["errors"] == false || answer["errors"].is_null(),
                "a document was refused"
            );
            Ok(())
        });
    }
    while let Some(request) = requests.join_next().await {
        request??;
    }
    Ok(())
}

/// Documents a second, from the first that Elasticsearch has counted to the last.
async fn watch(http: &Http, rows: u64) -> Result<f64> {
    let first: Cell<Option<(Instant, u64)>> = Cell::new(None);
    let first = &first;
    within(PATIENCE, &format!("{rows} documents are indexed"), || async move {
        let (status, stats) = http
            .call(
                Method::GET,
                &format!(
                    "/{INDEX}/_stats/indexing?filter_path=_all.primaries.indexing.index_total"
                ),
                None,
            )
            .await?;
        let now = Instant::now();
        let count = stats["_all"]["primaries"]["indexing"]["index_total"].as_u64().unwrap_or(0);
        if status != 200 || count == 0 {
            return Ok(None);
        }
        match first.get() {
            None => first.set(Some((now, count))),
            // What was sent twice, after a time-out, counts twice there: the documents themselves are asked for then.
            Some((began, before)) if count >= rows && documents(http).await? == Some(rows) => {
                return Ok(Some((rows - before) as f64 / (now - began).as_secs_f64()));
            }
            Some(_) => {}
        }
        if count > rows * 2 {
            bail!("{count} documents were indexed for {rows} rows");
        }
        Ok(None)
    })
    .await
}

async fn delete_index(http: &Http) -> Result<()> {
    http.ok(Method::DELETE, &format!("/{INDEX}?ignore_unavailable=true"), None).await?;
    Ok(())
}

async fn documents(http: &Http) -> Result<Option<u64>> {
    http.ok(Method::POST, &format!("/{INDEX}/_refresh"), None).await?;
    Ok(http.get(&format!("/{INDEX}/_count")).await?["count"].as_u64())
}

/// What the sink's index was created with, to create another.
async fn index_definition(http: &Http) -> Result<Value> {
    let answer = http.get(&format!("/{INDEX}")).await?;
    let index = answer
        .as_object()
        .and_then(|indexes| indexes.values().next())
        .context("no index in the answer")?;
    let given = &index["settings"]["index"];
    let mut settings = serde_json::Map::new();
    for key in ["number_of_shards", "number_of_replicas", "gc_deletes", "refresh_interval"] {
        if let Some(value) = given.get(key) {
            settings.insert(key.to_owned(), value.clone());
        }
    }
    Ok(json!({"settings": {"index": settings}, "mappings": index["mappings"]}))
}
