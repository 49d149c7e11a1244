//! Runs the sink against a real Elasticsearch or OpenSearch, without a runtime, and checks what the indexes then hold.
//!
//! ```text
//! tests/services/elasticsearch.sh start 24200
//! cargo run --release -p aquifer-connectors-elasticsearch --example against_elasticsearch -- http://127.0.0.1:24200 all
//! ```
//! `order`, `malformed`, `unavailable`, `evolve`, `adopt`, `epoch`, `latency`, `throughput`; `endless ROWS` writes on while somebody stops and
//! starts the server. A scenario that fails ends the program with 1.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aquifer_connect_api::config::ConfigMap;
use aquifer_connect_api::{
    ConnectError, Connector, ErrantRecords, ErrorKind, Headers, Original, Record, SchemaBuilder,
    SchemaRef, SinkConnector, SinkContext, SinkRecord, SinkTask, TopicPartition,
    UNAVAILABLE_HEADER, VERSION_EPOCH_HEADER, VERSION_HEADER, Validation, Value, logical,
};
use aquifer_connectors_elasticsearch::ElasticsearchSinkConnector;
use async_trait::async_trait;
use bytes::Bytes;
use elasticsearch::http::Method;
use elasticsearch::http::headers::HeaderMap;
use elasticsearch::http::transport::Transport;
use serde_json::{Value as Json, json};

#[derive(Default)]
struct Bench {
    errants: AtomicUsize,
    errors: parking_lot::Mutex<Vec<String>>,
}

struct BenchContext(Arc<Bench>);

impl SinkContext for BenchContext {
    fn connector(&self) -> &str {
        "example"
    }

    fn task(&self) -> u32 {
        0
    }

    fn owns(&self, _: &TopicPartition) -> bool {
        true
    }

    fn errant_records(&self) -> Arc<dyn ErrantRecords> {
        self.0.clone()
    }
}

#[async_trait]
impl ErrantRecords for Bench {
    async fn report(&self, record: &Original, error: ConnectError) -> Result<(), ConnectError> {
        self.errants.fetch_add(1, Ordering::SeqCst);
        self.errors.lock().push(format!("offset {}: {error}", record.offset));
        Ok(())
    }
}

struct Cluster {
    url: String,
    transport: Transport,
}

impl Cluster {
    async fn call(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Json> {
        let none = None::<&()>;
        let reply = self.transport.send(method, path, HeaderMap::new(), none, body, None).await?;
        Ok(serde_json::from_slice(&reply.bytes().await?)?)
    }

    async fn fresh(&self, index: &str) -> Result<()> {
        self.call(Method::Delete, index, None).await.map(drop)
    }

    async fn source(&self, index: &str, id: &str) -> Result<Json> {
        let found = self.call(Method::Get, &format!("{index}/_doc/{id}"), None).await?;
        Ok(found.get("_source").cloned().unwrap_or(Json::Null))
    }

    async fn count(&self, index: &str) -> Result<u64> {
        self.call(Method::Post, &format!("{index}/_refresh"), None).await?;
        let reply = self.call(Method::Get, &format!("{index}/_count"), None).await?;
        reply["count"].as_u64().with_context(|| format!("no count in {reply}"))
    }

    async fn task(&self, pairs: &[(&str, &str)]) -> Result<(Box<dyn SinkTask>, Arc<Bench>)> {
        let url = [("connection.url", self.url.as_str())];
        let config: ConfigMap =
            url.iter().chain(pairs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut report = Validation::default();
        ElasticsearchSinkConnector.validate(&config, &mut report).await;
        ensure!(report.errors.is_empty(), "{:?}", report.errors);
        let bench = Arc::new(Bench::default());
        let context = Arc::new(BenchContext(bench.clone()));
        Ok((ElasticsearchSinkConnector.start_task(&config, context).await?, bench))
    }
}

fn record(topic: &str, offset: i64, key: Value, schema: &SchemaRef, value: Value) -> SinkRecord {
    let value_schema = (!value.is_null()).then(|| schema.clone());
    let record = Record {
        topic: topic.into(),
        partition: Some(0),
        key_schema: None,
        key,
        value_schema,
        value,
        offset: Some(offset),
        timestamp_ms: None,
        headers: Headers::default(),
    };
    let original = Original {
        topic: topic.into(),
        partition: 0,
        offset,
        timestamp_ms: None,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    SinkRecord { record, original: Arc::new(original) }
}

/// As a runtime does: what is retriable comes again.
async fn put(task: &mut Box<dyn SinkTask>, records: Vec<SinkRecord>) -> Result<()> {
    while let Err(error) = task.put(records.clone()).await {
        println!("put: {error}");
        ensure!(error.kind() == ErrorKind::Retriable, "{error}");
    }
    Ok(())
}

fn finished(task: &mut Box<dyn SinkTask>) -> Result<Option<i64>> {
    Ok(task.finished()?.into_values().next())
}

fn counter_schema() -> SchemaRef {
    SchemaBuilder::structure()
        .field("n", SchemaBuilder::int64().build())
        .field("text", SchemaBuilder::string().optional().build())
        .build()
}

fn counter(n: i64, text: &str) -> Value {
    Value::Struct(vec![Value::Int64(n), Value::string(text.to_owned())])
}

/// Many changes of few keys through many requests: each document ends as its last change says.
async fn order(cluster: &Cluster) -> Result<()> {
    for method in ["insert", "upsert"] {
        let topic = format!("order-{method}");
        cluster.fresh(&topic).await?;
        let pairs =
            [("behavior.on.null.values", "delete"), ("batch.size", "20"), ("write.method", method)];
        let (mut task, bench) = cluster.task(&pairs).await?;
        let schema = counter_schema();
        let mut expected: BTreeMap<i64, Option<i64>> = BTreeMap::new();
        let mut offset = 0;
        for _ in 0..100 {
            let mut batch = Vec::new();
            for _ in 0..100 {
                let key = rand::random_range(0..40);
                let delete = rand::random_range(0..4) == 0;
                let value = if delete { Value::Null } else { counter(offset, "x") };
                expected.insert(key, (!delete).then_some(offset));
                batch.push(record(&topic, offset, Value::Int64(key), &schema, value));
                offset += 1;
            }
            task.put(batch).await?;
        }
        task.flush().await?;
        ensure!(finished(&mut task)? == Some(offset), "not all is finished");
        for (key, n) in &expected {
            let source = cluster.source(&topic, &key.to_string()).await?;
            ensure!(source["n"].as_i64() == *n, "{topic} {key}: {source}, but {n:?} was last");
        }
        ensure!(bench.errants.load(Ordering::SeqCst) == 0, "{:?}", bench.errors.lock());
        println!("order {method}: {offset} changes of {} documents", expected.len());
        task.stop().await;
    }
    Ok(())
}

/// Documents that don't fit, among ones that do.
async fn malformed(cluster: &Cluster) -> Result<()> {
    cluster.fresh("malformed").await?;
    let (mut task, bench) = cluster.task(&[("batch.size", "100")]).await?;
    let schema = counter_schema();
    task.put(vec![record("malformed", 0, Value::Int64(0), &schema, counter(0, "x"))]).await?;
    let other = SchemaBuilder::structure().field("n", SchemaBuilder::string().build()).build();
    let records = (1..1000_i64).map(|offset| {
        if offset % 100 == 50 {
            let value = Value::Struct(vec![Value::string("not a number")]);
            record("malformed", offset, Value::Int64(offset), &other, value)
        } else if offset % 100 == 51 {
            record("malformed", offset, Value::Null, &schema, counter(offset, "x"))
        } else {
            record("malformed", offset, Value::Int64(offset), &schema, counter(offset, "x"))
        }
    });
    task.put(records.collect()).await?;
    task.flush().await?;
    ensure!(finished(&mut task)? == Some(1000));
    let errors = bench.errors.lock().clone();
    ensure!(errors.len() == 20, "{errors:?}");
    ensure!(cluster.count("malformed").await? == 980);
    println!("malformed: 20 of 1000 reported, e.g. {}", errors.first().context("an error")?);
    task.stop().await;
    Ok(())
}

/// A change that could not give a field keeps the stored one; the order of changes to the document holds.
async fn unavailable(cluster: &Cluster) -> Result<()> {
    cluster.fresh("unavailable").await?;
    let (mut task, _) = cluster.task(&[]).await?;
    let schema = counter_schema();
    let with_header = |offset, key: &'static str, value| {
        let mut record = record("unavailable", offset, Value::string(key), &schema, value);
        record.record.headers.add(UNAVAILABLE_HEADER, None, Value::string("text"));
        record
    };
    let records = [
        record("unavailable", 0, Value::string("a"), &schema, counter(0, "long text\n\"1\"")),
        with_header(1, "a", counter(1, "__debezium_unavailable_value")),
        record("unavailable", 2, Value::string("a"), &schema, counter(2, "text 2")),
        with_header(3, "a", counter(3, "__debezium_unavailable_value")),
        with_header(4, "new", counter(4, "__debezium_unavailable_value")),
    ];
    task.put(records[..2].to_vec()).await?;
    task.flush().await?;
    let source = cluster.source("unavailable", "a").await?;
    ensure!(source == json!({"n": 1, "text": "long text\n\"1\""}), "{source}");
    task.put(records[2..].to_vec()).await?;
    task.flush().await?;
    let source = cluster.source("unavailable", "a").await?;
    ensure!(source == json!({"n": 3, "text": "text 2"}), "{source}");
    ensure!(cluster.source("unavailable", "new").await? == json!({"n": 4}));
    println!("unavailable: stored fields are kept");
    task.stop().await;
    Ok(())
}

/// The mapping comes from the schema, grows with it, and every type is taken.
async fn evolve(cluster: &Cluster) -> Result<()> {
    cluster.fresh("evolve").await?;
    let (mut task, bench) = cluster.task(&[]).await?;
    task.put(vec![record("evolve", 0, Value::Int64(0), &counter_schema(), counter(0, "x"))])
        .await?;
    task.put(vec![record("evolve", 1, Value::Int64(1), &wide_schema(), wide_row(1))]).await?;
    let edge = Value::Struct(vec![
        Value::Int64(2),
        Value::Null,
        Value::Bytes(Bytes::from(vec![0x7f; 40])),
        Value::Int64(i64::MAX),
        Value::string("infinity"),
        Value::Int32(i32::MIN),
        Value::Float64(f64::INFINITY),
    ]);
    task.put(vec![record("evolve", 2, Value::Int64(2), &wide_schema(), edge)]).await?;
    task.flush().await?;
    ensure!(bench.errors.lock().is_empty(), "{:?}", bench.errors.lock());
    let mapping = cluster.call(Method::Get, "evolve/_mapping", None).await?;
    let properties = &mapping["evolve"]["mappings"]["properties"];
    for (field, kind) in [
        ("n", "long"),
        ("text", "text"),
        ("price", "double"),
        ("made", "date"),
        ("seen", "date"),
        ("day", "date"),
    ] {
        ensure!(properties[field]["type"] == kind, "{field}: {properties}");
    }
    println!("evolve: {}", cluster.source("evolve", "1").await?);
    println!("        {}", cluster.source("evolve", "2").await?);
    task.stop().await;
    Ok(())
}

/// An index of others keeps its mapping and what they have in `_meta`; tasks that start together make one index.
async fn adopt(cluster: &Cluster) -> Result<()> {
    cluster.fresh("adopt").await?;
    let body = json!({"mappings": {"_meta": {"team": "x"}, "properties": {"made": {"type": "long"}, "name": {"type": "keyword"}}}});
    cluster.call(Method::Put, "adopt", Some(body.to_string().into())).await?;
    let (mut task, bench) = cluster.task(&[]).await?;
    task.put(vec![record("adopt", 7, Value::Int64(1), &wide_schema(), wide_row(1))]).await?;
    task.flush().await?;
    ensure!(bench.errors.lock().is_empty(), "{:?}", bench.errors.lock());
    ensure!(cluster.source("adopt", "1").await?["made"] == 1_700_000_000_000_001_i64);
    let mapping = cluster.call(Method::Get, "adopt/_mapping", None).await?;
    let mappings = &mapping["adopt"]["mappings"];
    ensure!(
        mappings["_meta"] == json!({"team": "x", "aquifer": {"versions": "offset"}}),
        "{mappings}"
    );
    ensure!(mappings["properties"]["name"]["type"] == "keyword", "{mappings}");
    ensure!(mappings["properties"]["day"]["type"] == "date", "{mappings}");
    let settings = cluster.call(Method::Get, "adopt/_settings", None).await?;
    ensure!(settings["adopt"]["settings"]["index"]["gc_deletes"] == "1h", "{settings}");
    task.stop().await;
    cluster.fresh("race").await?;
    let (mut a, _) = cluster.task(&[]).await?;
    let (mut b, _) = cluster.task(&[]).await?;
    let row = |o: i64| vec![record("race", o, Value::Int64(o), &wide_schema(), wide_row(o))];
    let both = futures_util::join!(a.put(row(1)), b.put(row(2)));
    ensure!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    a.flush().await?;
    b.flush().await?;
    ensure!(cluster.count("race").await? == 2);
    println!("adopt: an index of others is grown, two tasks make one");
    Ok(())
}

/// Versions of a header decide, not arrival; another epoch stops the task.
async fn epoch(cluster: &Cluster) -> Result<()> {
    cluster.fresh("epoch").await?;
    let (mut task, bench) = cluster.task(&[("behavior.on.null.values", "delete")]).await?;
    let schema = counter_schema();
    let versioned = |offset, version, epoch: &'static str, value| {
        let mut record = record("epoch", offset, Value::Int64(1), &schema, value);
        record.record.headers.add(VERSION_HEADER, None, Value::Int64(version));
        record.record.headers.add(VERSION_EPOCH_HEADER, None, Value::string(epoch));
        record
    };
    task.put(vec![versioned(0, 50, "db/1", counter(50, "x"))]).await?;
    task.put(vec![versioned(1, 40, "db/1", counter(40, "x"))]).await?;
    task.put(vec![record("epoch", 2, Value::Int64(1), &schema, counter(0, "no version"))]).await?;
    task.flush().await?;
    ensure!(cluster.source("epoch", "1").await?["n"] == 50);
    ensure!(bench.errors.lock().len() == 1, "{:?}", bench.errors.lock());
    task.put(vec![versioned(3, 60, "db/1", Value::Null)]).await?;
    task.put(vec![versioned(4, 55, "db/1", counter(55, "late"))]).await?;
    task.flush().await?;
    ensure!(cluster.source("epoch", "1").await?.is_null(), "a late write brought it back");
    let refused = task.put(vec![versioned(5, 70, "db/2", counter(70, "x"))]).await;
    let error = refused.err().context("another epoch was taken")?;
    println!("epoch: {error}");
    task.stop().await;
    Ok(())
}

fn wide_schema() -> SchemaRef {
    SchemaBuilder::structure()
        .field("id", SchemaBuilder::int64().build())
        .field("name", SchemaBuilder::string().optional().build())
        .field("price", logical::decimal(2).optional().build())
        .field("made", SchemaBuilder::int64().name(logical::DEBEZIUM_MICRO_TIMESTAMP).build())
        .field("seen", SchemaBuilder::string().name(logical::DEBEZIUM_ZONED_TIMESTAMP).build())
        .field("day", SchemaBuilder::int32().name(logical::DEBEZIUM_DATE).build())
        .field("weight", SchemaBuilder::float64().build())
        .build()
}

fn wide_row(id: i64) -> Value {
    Value::Struct(vec![
        Value::Int64(id),
        Value::string(format!("the name of the row with number {id}, of some length")),
        Value::Bytes(Bytes::copy_from_slice(&(id * 7).to_be_bytes())),
        Value::Int64(1_700_000_000_000_000 + id),
        Value::string("2024-05-17T12:34:56.123456Z"),
        Value::Int32(19_000),
        Value::Float64(1.5),
    ])
}

/// 1 000 rows a second: how long from `put` until a row is finished.
async fn latency(cluster: &Cluster) -> Result<()> {
    cluster.fresh("latency").await?;
    let (mut task, _) = cluster.task(&[]).await?;
    let schema = wide_schema();
    let mut waiting = std::collections::VecDeque::new();
    let mut took_ms = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    for offset in (0..20_000).step_by(2) {
        let at = ticks.tick().await;
        let row =
            |offset| record("latency", offset, Value::Int64(offset), &schema, wide_row(offset));
        task.put(vec![row(offset), row(offset + 1)]).await?;
        waiting.push_back((offset + 2, at));
        let done = finished(&mut task)?.unwrap_or(0);
        while waiting.front().is_some_and(|(end, _)| *end <= done) {
            took_ms.extend(waiting.pop_front().map(|(_, put)| (at - put).as_secs_f64() * 1e3));
        }
    }
    task.flush().await?;
    // The first second starts a cold server.
    let mut took_ms = took_ms.split_off(500);
    took_ms.sort_by(f64::total_cmp);
    let at = |share: usize| took_ms[took_ms.len() * share / 1000];
    println!(
        "latency at 1000 rows/s, ms: p50 {:.1} p99 {:.1} p99.9 {:.1}",
        at(500),
        at(990),
        at(999)
    );
    task.stop().await;
    Ok(())
}

/// Rows a second through the sink, and by replaying the same bodies; runs alternate.
async fn throughput(cluster: &Cluster) -> Result<()> {
    const ROWS: i64 = 100_000;
    let schema = wide_schema();
    for round in 0..4 {
        cluster.fresh("throughput").await?;
        let (mut task, _) = cluster.task(&[]).await?;
        task.put(vec![record("throughput", 0, Value::Int64(0), &schema, wide_row(0))]).await?;
        task.flush().await?;
        let start = tokio::time::sleep(Duration::ZERO).deadline();
        let cpu = cpu_ms()?;
        if round % 2 == 0 {
            for from in (1..ROWS).step_by(500) {
                let row = |o| record("throughput", o, Value::Int64(o), &schema, wide_row(o));
                put(&mut task, (from..(from + 500).min(ROWS)).map(row).collect()).await?;
            }
            task.flush().await?;
        } else {
            replay(cluster, ROWS).await?;
        }
        let took = (tokio::time::sleep(Duration::ZERO).deadline() - start).as_secs_f64();
        let what = if round % 2 == 0 { "sink" } else { "replay" };
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let (rate, cpu_us) = (ROWS as f64 / took, (cpu_ms()? - cpu) as f64 * 1e3 / ROWS as f64);
        println!("throughput {what}: {rate:.0} rows/s, {cpu_us:.1} us of CPU a row");
        ensure!(cluster.count("throughput").await? == u64::try_from(ROWS)?);
        task.stop().await;
    }
    Ok(())
}

async fn replay(cluster: &Cluster, rows: i64) -> Result<()> {
    let bodies: Vec<Bytes> = (1..rows)
        .step_by(2000)
        .map(|from| {
            let line = |o: i64| {
                format!(
                    "{{\"index\":{{\"_index\":\"throughput\",\"_id\":\"{o}\",\"version\":{o},\"version_type\":\"external_gte\"}}}}\n\
                     {{\"id\":{o},\"name\":\"the name of the row with number {o}, of some length\",\"price\":{}.{:02},\"made\":\"2023-11-14T22:13:20.{o:06}Z\",\"seen\":\"2024-05-17T12:34:56.123456Z\",\"day\":\"2022-01-08\",\"weight\":1.5}}\n",
                    o * 7 / 100,
                    o * 7 % 100
                )
            };
            (from..(from + 2000).min(rows)).map(line).collect::<String>().into()
        })
        .collect();
    let bodies = Arc::new(parking_lot::Mutex::new(bodies));
    let sender = || async {
        while let Some(body) = { bodies.lock().pop() } {
            let path = "_bulk?filter_path=errors";
            let reply = cluster.call(Method::Post, path, Some(body)).await?;
            ensure!(reply["errors"] == false, "{reply}");
        }
        Ok(())
    };
    futures_util::try_join!(sender(), sender(), sender(), sender(), sender()).map(drop)
}

fn cpu_ms() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').context("stat")?.1;
    let ticks = |at| fields.split_whitespace().nth(at).and_then(|text| text.parse::<u64>().ok());
    Ok((ticks(11).context("utime")? + ticks(12).context("stime")?) * 10)
}

/// Writes on whatever happens to the server, and then checks every document.
async fn endless(cluster: &Cluster, rows: i64) -> Result<()> {
    cluster.fresh("endless").await?;
    let (mut task, bench) =
        cluster.task(&[("batch.size", "200"), ("max.buffered.records", "2000")]).await?;
    let schema = counter_schema();
    for from in (0..rows).step_by(100) {
        let row = |o: i64| record("endless", o, Value::Int64(o % 5_000), &schema, counter(o, "x"));
        let batch: Vec<SinkRecord> = (from..from + 100).map(row).collect();
        put(&mut task, batch).await?;
    }
    task.flush().await?;
    ensure!(finished(&mut task)? == Some(rows));
    ensure!(bench.errors.lock().is_empty(), "{:?}", bench.errors.lock());
    for key in 0..5_000 {
        let last = rows - 5_000 + (key - rows).rem_euclid(5_000);
        let source = cluster.source("endless", &key.to_string()).await?;
        ensure!(source["n"] == last, "{key}: {source}, but {last} was last");
    }
    println!("endless: {rows} changes, every document as its last one says");
    task.stop().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let url = args.next().context("the address of Elasticsearch")?;
    let what = args.next().unwrap_or_else(|| "all".to_owned());
    let cluster = Cluster { transport: Transport::single_node(&url)?, url };
    let is = |name: &str| what == name || what == "all";
    if what == "endless" {
        return endless(&cluster, args.next().context("how many rows")?.parse()?).await;
    }
    if is("order") {
        order(&cluster).await?;
    }
    if is("malformed") {
        malformed(&cluster).await?;
    }
    if is("unavailable") {
        unavailable(&cluster).await?;
    }
    if is("evolve") {
        evolve(&cluster).await?;
    }
    if is("adopt") {
        adopt(&cluster).await?;
    }
    if is("epoch") {
        epoch(&cluster).await?;
    }
    if is("latency") {
        latency(&cluster).await?;
    }
    if is("throughput") {
        throughput(&cluster).await?;
    }
    Ok(())
}
