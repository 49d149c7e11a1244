//! Exactly once: after kill -9 the topics hold every change and every line once, the registry gives no id twice, and a writer that
//! was shut out writes nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aquifer_tests::{Aquifer, Http, Options, Postgres, within};
use rand::{Rng as _, SeedableRng as _};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor as _;

const KILLS: u32 = 10;

fn seeded() -> rand::rngs::StdRng {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| rand::rng().random());
    println!("SEED={seed}");
    rand::rngs::StdRng::seed_from_u64(seed)
}

/// Every committed value of a topic's first partition, in order; tombstones are empty.
fn committed(broker: &str, topic: &str) -> Result<Vec<Vec<u8>>> {
    let records = read(broker, topic, "read_committed")?;
    Ok(records.into_iter().map(|(_, value)| value.unwrap_or_default()).collect())
}

type Record = (Vec<u8>, Option<Vec<u8>>);

/// Every key and value of a topic's first partition that a reader of that isolation sees.
fn read(broker: &str, topic: &str, isolation: &str) -> Result<Vec<Record>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "exactly-once-check")
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    let mut records = Vec::new();
    loop {
        match consumer.poll(Duration::from_secs(20)) {
            Some(Ok(message)) => {
                let key = message.key().unwrap_or_default().to_vec();
                records.push((key, message.payload().map(<[u8]>::to_vec)));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
            Some(Err(error)) => return Err(error.into()),
            None => anyhow::bail!("{topic} has no end"),
        }
    }
}

/// Counts a row up and inserts another, in one transaction, until told to stop; how often.
async fn change(postgres: Postgres, mut stop: tokio::sync::oneshot::Receiver<()>) -> Result<usize> {
    let mut connection = postgres.connect().await?;
    let mut count = 0;
    while stop.try_recv().is_err() {
        connection
            .execute(
                "BEGIN; UPDATE counter SET n = n + 1 WHERE id = 0; INSERT INTO counter SELECT -n, n FROM counter WHERE id = 0; COMMIT",
            )
            .await?;
        count += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(count)
}

#[tokio::test]
async fn after_kills_during_capture_the_topic_holds_every_change_once() -> Result<()> {
    let mut random = seeded();
    let postgres = Postgres::start().await?;
    postgres
        .execute(&[
            "CREATE TABLE counter (id bigint PRIMARY KEY, n bigint)",
            "INSERT INTO counter VALUES (0, 0)",
        ])
        .await?;
    let directory = tempfile::tempdir()?;
    let mut aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let broker = aquifer.addresses.kafka.clone();
    let config = postgres.source_config(
        "public.counter",
        &json!({"snapshot.mode": "no_data", "exactly.once.support": "required", "value.converter": JSON, "key.converter": JSON}),
    );
    aquifer.create_connector("source", &config).await?;
    let topic = format!("{}.public.counter", postgres.database);
    // The slot is there once a change comes through; those that were made before do not count.
    within(Duration::from_secs(30), "the first change is in the topic", || async {
        postgres.execute(&["UPDATE counter SET n = 0 WHERE id = 0"]).await?;
        Ok(committed(&broker, &topic).is_ok_and(|values| !values.is_empty()).then_some(()))
    })
    .await?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let changes = tokio::spawn(change(postgres.clone(), stopped));
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(random.random_range(100..1500))).await;
        aquifer.kill()?;
        aquifer.restart().await?;
    }
    let _ = stop.send(());
    let count = changes.await??;
    // Each transaction counts the row up, then copies it: both changes come in that order, once.
    let expected: Vec<(i64, i64)> =
        (1..=i64::try_from(count)?).map(|n| [(0, n), (-n, n)]).collect::<Vec<_>>().concat();
    let found = within(Duration::from_mins(2), "every change is in the topic", || {
        let found = changes_of(&broker, &topic);
        async move { found.map(|found| (found.len() >= 2 * count).then_some(found)) }
    })
    .await
    .context(aquifer.log().lines().rev().take(40).collect::<Vec<_>>().join("\n"))?;
    ensure!(found.len() == expected.len(), "{} changes, {} expected", found.len(), expected.len());
    ensure!(found == expected, "changes are missing, doubled or out of order");
    Ok(())
}

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// Id and count of each change after those that only looked for the slot.
fn changes_of(broker: &str, topic: &str) -> Result<Vec<(i64, i64)>> {
    let read = |value: &Vec<u8>| {
        let event: Value = serde_json::from_slice(value)?;
        let after = event.pointer("/payload/after").or_else(|| event.get("after"));
        let after = after.context("a change without a row")?;
        let number = |name: &str| after[name].as_i64().context("a row without its numbers");
        Ok((number("id")?, number("n")?))
    };
    let changes: Result<Vec<_>> = committed(broker, topic)?.iter().map(read).collect();
    Ok(changes?.into_iter().skip_while(|change| *change == (0, 0)).collect())
}

#[tokio::test]
async fn after_kills_a_file_is_in_its_topic_line_by_line() -> Result<()> {
    let mut random = seeded();
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("lines.txt");
    let lines: Vec<String> = (0..120_000).map(|n| format!("{n} {}", "x".repeat(n % 90))).collect();
    std::fs::write(&file, lines.join("\n") + "\n")?;
    let mut aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let text = "org.apache.kafka.connect.storage.StringConverter";
    let config = json!({
        "connector.class": "FileStreamSource", "file": file, "topic": "lines", "batch.size": "20",
        "key.converter": text, "value.converter": text, "exactly.once.support": "required",
    });
    aquifer.create_connector("lines", &config).await?;
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(random.random_range(20..400))).await;
        aquifer.kill()?;
        aquifer.restart().await?;
    }
    let broker = aquifer.addresses.kafka.clone();
    let found = within(Duration::from_mins(2), "every line is in the topic", || {
        let found = committed(&broker, "lines");
        async move { found.map(|found| (found.len() >= 120_000).then_some(found)) }
    })
    .await
    .context(aquifer.log().lines().rev().take(40).collect::<Vec<_>>().join("\n"))?;
    ensure!(found.len() == lines.len(), "{} lines, {} expected", found.len(), lines.len());
    let same = found.iter().zip(&lines).all(|(found, line)| found == line.as_bytes());
    ensure!(same, "lines are missing, doubled or out of order");
    Ok(())
}

fn schema(name: &str) -> Value {
    let schema = json!({"type": "record", "name": name, "fields": [{"name": "a", "type": "int"}]});
    json!({"schema": schema.to_string()})
}

/// Registers schemas of its own until told to stop; the ids that were answered, by schema.
async fn register(
    registry: Http,
    who: String,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> Result<HashMap<String, i64>> {
    let mut answered = HashMap::new();
    let mut number = 0;
    while !*stop.borrow_and_update() {
        number += 1;
        let name = format!("{who}_{number}");
        let path = format!("/subjects/{name}/versions");
        let call = registry.call(Method::POST, &path, Some(&schema(&name))).await;
        match call {
            Ok((200, answer)) => {
                answered.insert(name, answer["id"].as_i64().context("an answer without an id")?);
            }
            // While a writer is away or is being shut out; what happened to the schema is not known then.
            Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    Ok(answered)
}

/// Every id belongs to one schema, and each schema that was answered is found under its id, here and there.
async fn check_ids(registries: &[Http], answered: &[HashMap<String, i64>]) -> Result<()> {
    let mut by_id: BTreeMap<i64, &str> = BTreeMap::new();
    for (name, id) in answered.iter().flatten() {
        if let Some(other) = by_id.insert(*id, name) {
            anyhow::bail!("id {id} was given to {other} and to {name}");
        }
    }
    for (id, name) in by_id {
        for registry in registries {
            let found = registry.get(&format!("/schemas/ids/{id}")).await?;
            let text = found["schema"].as_str().unwrap_or_default();
            ensure!(text.contains(&format!("\"{name}\"")), "id {id} of {name} holds {text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn registry_that_is_killed_keeps_what_it_answered_and_gives_no_id_twice() -> Result<()> {
    let mut random = seeded();
    let directory = tempfile::tempdir()?;
    let mut aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let clients: Vec<_> = (0..8)
        .map(|n| tokio::spawn(register(aquifer.registry(), format!("C{n}"), stopped.clone())))
        .collect();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(random.random_range(500..2000))).await;
        aquifer.kill()?;
        aquifer.restart().await?;
    }
    stop.send(true)?;
    let mut answered = Vec::new();
    for client in clients {
        answered.push(client.await??);
    }
    ensure!(answered.iter().any(|one| one.len() > 5), "hardly anything was registered");
    check_ids(&[aquifer.registry()], &answered).await
}

#[tokio::test]
async fn two_registries_on_one_topic_shut_each_other_out_and_give_no_id_twice() -> Result<()> {
    let (directory, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let first = Aquifer::start(directory.path(), Options::default()).await?;
    let arguments =
        ["--roles", "registry", "--bootstrap-servers", &first.addresses.kafka].map(str::to_owned);
    let options = Options { arguments: arguments.to_vec(), ..Options::default() };
    let second = Aquifer::start(other.path(), options).await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let clients: Vec<_> = [(&first, "A"), (&first, "B"), (&second, "C"), (&second, "D")]
        .map(|(one, who)| tokio::spawn(register(one.registry(), who.to_owned(), stopped.clone())))
        .into();
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.send(true)?;
    let mut answered = Vec::new();
    for client in clients {
        answered.push(client.await??);
    }
    ensure!(answered.iter().all(|one| !one.is_empty()), "one of them could never write");
    check_ids(&[first.registry(), second.registry()], &answered).await
}

#[tokio::test]
async fn new_writer_of_the_registry_covers_what_was_aborted_and_ends_the_log_with_a_noop()
-> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let broker = aquifer.addresses.kafka.clone();
    let registry = aquifer.registry();
    registry.post("/subjects/kept/versions", &schema("Kept")).await?;
    aquifer.stop().await?;
    aquifer.restart().await?;
    // A writer of another make that gave an id out and was then shut out.
    let key = |subject: &str| {
        format!(r#"{{"keytype":"SCHEMA","subject":"{subject}","version":1,"magic":1}}"#)
    };
    let value = |subject: &str| {
        json!({"subject": subject, "version": 1, "id": 500, "schema": "\"int\"", "deleted": false})
            .to_string()
    };
    let topic = "_schemas";
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &broker)
        .set("transactional.id", "another-make")
        .create()?;
    let aborting = tokio::task::spawn_blocking(move || -> Result<()> {
        let patience = Duration::from_secs(30);
        producer.init_transactions(patience)?;
        producer.begin_transaction()?;
        for subject in ["kept", "ghost"] {
            let (key, value) = (key(subject), value(subject));
            let record = BaseRecord::to(topic).partition(0).key(&key).payload(&value);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(patience)?;
        producer.abort_transaction(patience)?;
        Ok(())
    });
    aborting.await??;
    aquifer.kill()?;
    aquifer.restart().await?;
    let answer = registry.post("/subjects/next/versions", &schema("Next")).await?;
    ensure!(answer["id"] == 501, "an aborted id counts as given out: {answer}");
    let noop = br#"{"keytype":"NOOP","magic":0}"#;
    let records = within(Duration::from_secs(20), "the log ends with a NOOP", || {
        let records = read(&broker, topic, "read_uncommitted");
        async move {
            let records = records?;
            let ended = records.last().is_some_and(|(key, _)| key == noop);
            let next = records.iter().any(|(key, _)| String::from_utf8_lossy(key).contains("next"));
            Ok((ended && next).then_some(records))
        }
    })
    .await?;
    let last = |subject: &str| {
        let holds = |(key, _): &&Record| {
            String::from_utf8_lossy(key).contains(&format!("\"subject\":\"{subject}\""))
        };
        records.iter().rev().find(holds).and_then(|(_, value)| value.clone())
    };
    ensure!(last("ghost").is_none(), "a key that only an aborted record wrote is deleted");
    let kept = String::from_utf8(last("kept").context("kept was deleted")?)?;
    ensure!(kept.contains("\"id\":1,"), "a key has what was committed again: {kept}");
    Ok(())
}

#[tokio::test]
async fn second_worker_shuts_the_first_ones_task_out_and_nothing_is_doubled() -> Result<()> {
    use std::io::Write as _;
    let (directory, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let first = Aquifer::start(directory.path(), Options::default()).await?;
    let path = directory.path().join("lines.txt");
    let mut file = std::fs::File::create(&path)?;
    let mut written = 0;
    let mut append = |count: u32| -> Result<u32> {
        for _ in 0..count {
            writeln!(file, "{written}")?;
            written += 1;
        }
        Ok(written)
    };
    append(100)?;
    let text = "org.apache.kafka.connect.storage.StringConverter";
    let config = json!({
        "connector.class": "FileStreamSource", "file": path, "topic": "lines",
        "key.converter": text, "value.converter": text,
    });
    first.create_connector("lines", &config).await?;
    let arguments =
        ["--roles", "connect", "--bootstrap-servers", &first.addresses.kafka].map(str::to_owned);
    let options = Options { arguments: arguments.to_vec(), ..Options::default() };
    let second = Aquifer::start(other.path(), options).await?;
    second.connector_runs("lines").await?;
    // Both workers write the task's status into one topic; what happened to the first one's is in its log.
    within(Duration::from_secs(60), "the first worker's task has failed", || {
        let written = append(10);
        let log = first.log();
        async move {
            written?;
            Ok(log.contains("transactional.id connect-cluster-lines-0").then_some(()))
        }
    })
    .await
    .with_context(|| format!("first:\n{}\nsecond:\n{}", first.log(), second.log()))?;
    let count = append(10)?;
    let broker = first.addresses.kafka.clone();
    let expected: Vec<Vec<u8>> = (0..count).map(|n| n.to_string().into_bytes()).collect();
    let found = within(Duration::from_secs(60), "every line is in the topic", || {
        let found = committed(&broker, "lines");
        async move { found.map(|found| (found.len() >= count as usize).then_some(found)) }
    })
    .await?;
    ensure!(found == expected, "lines are missing, doubled or out of order");
    Ok(())
}
