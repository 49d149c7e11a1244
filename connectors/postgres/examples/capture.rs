//! Runs the connector's task without a runtime: polls, "stores" offsets in memory or in a file, and prints what came.
//!
//! `capture [--offsets FILE] [--out FILE] [--records N] [--idle SECONDS] [--hold N] [--sleep MS] [--unchecked] key=value …`
//! - `--out` writes one JSON line per record; `--records` ends after that many; `--idle` ends after so long without any.
//! - `--unchecked` leaves out the validation; `--sleep MS` waits between polls, as a slow consumer; `--hold N` stores an offset only every N batches, so that a kill leaves work to do again.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use aquifer_connect_api::config::ConfigMap;
use aquifer_connect_api::{
    ConnectError, Connector, ErrorKind, Record, Schema, SchemaKind, SourceConnector, SourceContext,
    SourceOffset, Validation, Value,
};
use aquifer_connectors_postgres::PostgresConnector;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use indexmap::IndexMap;
use serde_json::json;

#[derive(Default)]
struct Options {
    offsets: Option<String>,
    out: Option<String>,
    records: Option<usize>,
    idle: Option<u64>,
    hold: usize,
    sleep_ms: u64,
    unchecked: bool,
    config: ConfigMap,
}

struct Context {
    stored: Option<SourceOffset>,
}

#[async_trait]
impl SourceContext for Context {
    fn connector(&self) -> &str {
        "capture"
    }

    fn task(&self) -> u32 {
        0
    }

    async fn offset(
        &self,
        _partition: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Option<SourceOffset>, ConnectError> {
        Ok(self.stored.clone())
    }

    async fn offsets(&self) -> Result<IndexMap<String, SourceOffset>, ConnectError> {
        Ok(IndexMap::new())
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let options = options()?;
    let mut report = Validation::default();
    let connector = PostgresConnector;
    for (key, error) in connector.config_def().errors(&options.config) {
        report.error(&key, error);
    }
    if report.errors.is_empty() && !options.unchecked {
        connector.validate(&options.config, &mut report).await;
    }
    for (key, error) in &report.errors {
        println!("{key}: {error}");
    }
    if !report.errors.is_empty() {
        return Err("the config is not valid".into());
    }
    run(&connector, &options).await
}

fn options() -> Result<Options, Box<dyn std::error::Error>> {
    let mut options = Options { hold: 1, ..Options::default() };
    let defaults = [
        ("name", "capture"),
        ("database.hostname", "127.0.0.1"),
        ("database.user", "postgres"),
        ("database.dbname", "postgres"),
        ("topic.prefix", "shop"),
    ];
    for (key, value) in defaults {
        options.config.insert(key.to_owned(), value.to_owned());
    }
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut next = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--offsets" => options.offsets = Some(next()?),
            "--out" => options.out = Some(next()?),
            "--records" => options.records = Some(next()?.parse()?),
            "--idle" => options.idle = Some(next()?.parse()?),
            "--unchecked" => options.unchecked = true,
            "--hold" => options.hold = next()?.parse()?,
            "--sleep" => options.sleep_ms = next()?.parse()?,
            pair => {
                let (key, value) = pair.split_once('=').ok_or(format!("what is {pair}?"))?;
                options.config.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    Ok(options)
}

async fn run(
    connector: &PostgresConnector,
    options: &Options,
) -> Result<(), Box<dyn std::error::Error>> {
    let stored = options.offsets.as_ref().and_then(|path| std::fs::read(path).ok());
    let stored = stored.map(|bytes| serde_json::from_slice(&bytes)).transpose()?;
    let context = Arc::new(Context { stored });
    let mut task = connector.start_task(&options.config, context).await?;
    let mut out = match &options.out {
        Some(path) => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
            let mut file = std::io::BufWriter::new(file);
            // A run that was killed may have left half a line.
            file.write_all(b"\n")?;
            Some(file)
        }
        None => None,
    };
    let (mut records, mut batches) = (0usize, 0usize);
    let (mut first, mut last) = (None, now());
    let idle = Duration::from_secs(options.idle.unwrap_or(3600));
    loop {
        let batch = tokio::select! {
            batch = task.poll() => batch,
            () = tokio::time::sleep_until((last + idle).into()) => break,
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) if error.kind() == ErrorKind::Retriable => {
                eprintln!("retriable: {}", error.trace());
                continue;
            }
            Err(error) => return Err(error.trace().into()),
        };
        records += batch.records.len();
        batches += 1;
        if let Some(out) = &mut out {
            for record in &batch.records {
                serde_json::to_writer(&mut *out, &line(record))?;
                out.write_all(b"\n")?;
            }
            out.flush()?;
        }
        if batches % options.hold == 0 {
            if let (Some(path), Some((_, offset))) = (&options.offsets, batch.offsets.first()) {
                let next = format!("{path}.next");
                std::fs::write(&next, serde_json::to_vec(offset)?)?;
                std::fs::rename(next, path)?;
            }
            task.committed(batch.position);
        }
        if !batch.records.is_empty() {
            last = now();
            first.get_or_insert(last);
        }
        if options.sleep_ms > 0 {
            tokio::time::sleep(Duration::from_millis(options.sleep_ms)).await;
        }
        if options.records.is_some_and(|max| records >= max) {
            break;
        }
    }
    task.stop().await;
    let seconds = first.map_or(0.0, |first| (last - first).as_secs_f64());
    let rate = records as f64 / seconds.max(1e-9);
    println!(
        "{records} records in {batches} batches, {seconds:.3} s from the first, {rate:.0} records/s"
    );
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a measurement, not part of the connector")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A schema as Kafka Connect's JsonConverter writes it, to hold it beside Debezium's.
fn schema_json(schema: &Schema) -> serde_json::Value {
    let mut json = json!({ "type": schema.kind.name(), "optional": schema.optional });
    let mut put = |key: &str, value: serde_json::Value| json[key] = value;
    if let Some(name) = schema.name() {
        put("name", name.into());
    }
    if let Some(version) = schema.version {
        put("version", version.into());
    }
    if let Some(doc) = &schema.doc {
        put("doc", (**doc).into());
    }
    if !schema.parameters.is_empty() {
        let pairs = schema.parameters.iter().map(|(k, v)| (k.to_string(), json!(&**v)));
        put("parameters", pairs.collect());
    }
    if let Some(default) = &schema.default {
        put("default", print(Some(schema), default));
    }
    match &schema.kind {
        SchemaKind::Struct(fields) => {
            let fields = fields.iter().map(|field| {
                let mut json = schema_json(&field.schema);
                json["field"] = (*field.name).into();
                json
            });
            put("fields", fields.collect());
        }
        SchemaKind::Array(items) => put("items", schema_json(items)),
        SchemaKind::Map(keys, values) => {
            put("keys", schema_json(keys));
            put("values", schema_json(values));
        }
        _ => {}
    }
    json
}

fn line(record: &Record) -> serde_json::Value {
    let headers: serde_json::Map<String, serde_json::Value> = record
        .headers
        .0
        .iter()
        .map(|h| (h.key.to_string(), print(h.schema.as_deref(), &h.value)))
        .collect();
    json!({
        "topic": &*record.topic,
        "key": print(record.key_schema.as_deref(), &record.key),
        "value": print(record.value_schema.as_deref(), &record.value),
        "headers": headers,
        "key_schema": record.key_schema.as_deref().map(schema_json),
        "value_schema": record.value_schema.as_deref().map(schema_json),
    })
}

fn print(schema: Option<&Schema>, value: &Value) -> serde_json::Value {
    let Some(schema) = schema else {
        return if value.is_null() { json!(null) } else { json!(format!("{value:?}")) };
    };
    assert!(
        schema.optional || !value.is_null(),
        "null in a required field of schema {:?}",
        schema.name()
    );
    match (value, &schema.kind) {
        (Value::Null, _) => json!(null),
        (Value::Struct(values), SchemaKind::Struct(fields)) => {
            assert_eq!(values.len(), fields.len(), "fields of {:?}", schema.name());
            let pairs = fields.iter().zip(values);
            pairs.map(|(f, v)| (f.name.to_string(), print(Some(&f.schema), v))).collect()
        }
        (Value::Array(items), SchemaKind::Array(of)) => {
            items.iter().map(|item| print(Some(of), item)).collect()
        }
        (Value::Bool(v), SchemaKind::Boolean) => json!(v),
        (Value::Int16(v), SchemaKind::Int16) => json!(v),
        (Value::Int32(v), SchemaKind::Int32) => json!(v),
        (Value::Int64(v), SchemaKind::Int64) => json!(v),
        (Value::Float32(v), SchemaKind::Float32) => json!(v.to_string()),
        (Value::Float64(v), SchemaKind::Float64) => json!(v.to_string()),
        (Value::String(v), SchemaKind::String) => json!(&**v),
        (Value::Bytes(v), SchemaKind::Bytes) => json!(BASE64.encode(v)),
        (Value::Map(entries), SchemaKind::Map(..)) => json!(format!("{entries:?}")),
        (value, kind) => panic!("{} in a field of kind {}", value.type_name(), kind.name()),
    }
}
