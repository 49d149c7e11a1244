//! The main job: Postgres changes, through topics with Avro schemas, into Elasticsearch.

use std::time::Duration;

use anyhow::{Result, bail};
use aquifer_tests::{
    Aquifer, Elasticsearch, Options, Postgres, difference, documents, rows, within,
};
use reqwest::Method;
use serde_json::{Value, json};

/// Waits until the index is what the query gives.
pub(crate) async fn equal(
    postgres: &Postgres,
    query: &str,
    elasticsearch: &Elasticsearch,
    index: &str,
    limit: Duration,
) -> Result<usize> {
    let mut connection = postgres.connect().await?;
    let table = rows(&mut connection, query).await?;
    within(limit, "the index equals the table", || async {
        let index = documents(&elasticsearch.http, index).await?;
        match difference(&table, &index) {
            None => Ok(Some(index.len())),
            Some(difference) => bail!(difference),
        }
    })
    .await
}

const MINUTE: Duration = Duration::from_secs(90);

#[tokio::test]
async fn snapshot_inserts_updates_deletes_key_changes_and_new_columns_reach_the_index() -> Result<()>
{
    let (postgres, elasticsearch) = (Postgres::start().await?, Elasticsearch::start()?);
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    postgres
        .execute(&[
            "CREATE TABLE items (id int PRIMARY KEY, name text, price double precision, big text, active boolean NOT NULL DEFAULT true)",
            "INSERT INTO items SELECT n, 'item ' || n, n / 4.0, repeat(md5(n::text), 200), n % 2 = 0 FROM generate_series(1, 2000) n",
        ])
        .await?;
    let index = postgres.database.as_str();
    aquifer.create_connector("source", &postgres.source_config("public.items", &json!({}))).await?;
    aquifer
        .create_connector(
            "sink",
            &elasticsearch.sink_config(&format!("{index}.public.items"), index, &json!({})),
        )
        .await?;
    equal(&postgres, "SELECT * FROM items", &elasticsearch, index, MINUTE).await?;
    postgres
        .execute(&[
            "INSERT INTO items SELECT n, 'late ' || n, n, NULL, true FROM generate_series(3000, 3100) n",
            // The long text is not part of the change: it must stay what it was.
            "UPDATE items SET name = 'changed ' || id WHERE id <= 500",
            "DELETE FROM items WHERE id BETWEEN 600 AND 700",
            "UPDATE items SET id = id + 100000 WHERE id BETWEEN 800 AND 820",
            "BEGIN; DELETE FROM items WHERE id = 900; INSERT INTO items (id, name) VALUES (900, 'again'); COMMIT",
            "ALTER TABLE items ADD COLUMN note text DEFAULT 'none'",
            "UPDATE items SET note = 'seen' WHERE id <= 10",
            "UPDATE items SET name = name || '!'",
        ])
        .await?;
    equal(&postgres, "SELECT * FROM items", &elasticsearch, index, MINUTE).await?;
    let subject =
        aquifer.registry().get(&format!("/subjects/{index}.public.items-value/versions")).await?;
    assert_eq!(subject, json!([1, 2]), "the new column made a new version");
    elasticsearch.http.delete(&format!("/{index}")).await?;
    Ok(())
}

#[tokio::test]
async fn every_core_type_is_the_same_from_the_snapshot_and_from_the_stream() -> Result<()> {
    let postgres = Postgres::start().await?;
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let values = "true, 1::smallint, -2, 9007199254740993, 1.5, 'NaN'::float8, 12345.678, -0.00000001, 'täxt', 'ab', 'c  ', '\\x00ff', \
        '2024-02-29', '23:59:59.999999', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789+02', '1 day 2 hours', \
        '7f1e4a1c-7a57-4b55-9a33-93a9d2f7a4c1', '{\"a\": 1}', '[1, 2]', '{1,NULL,3}', '{\"x\",\"y z\"}', 'glad'";
    let columns = "id serial PRIMARY KEY, b boolean, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, n numeric(10,3), nv numeric, t text, \
        v varchar(10), c char(3), bin bytea, d date, ti time, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, ai int[], at text[], m mood";
    let names =
        "b, i2, i4, i8, f4, f8, n, nv, t, v, c, bin, d, ti, ts, tz, iv, u, j, jb, ai, at, m";
    let insert = format!("INSERT INTO kinds ({names}) VALUES ({values})");
    postgres
        .execute(&[
            "CREATE TYPE mood AS ENUM ('sad', 'glad')",
            &format!("CREATE TABLE kinds ({columns})"),
            &insert,
            "INSERT INTO kinds DEFAULT VALUES",
        ])
        .await?;
    let more = json!({"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false"});
    aquifer.create_connector("source", &postgres.source_config("public.kinds", &more)).await?;
    let topic = format!("{}.public.kinds", postgres.database);
    let read = |count: usize| {
        let (broker, topic) = (aquifer.addresses.kafka.clone(), topic.clone());
        async move {
            within(MINUTE, &format!("{count} events"), || async {
                let text = crate::kcat::kcat(
                    &broker,
                    &["-C", "-t", &topic, "-e", "-q", "-o", "beginning"],
                    "",
                )
                .unwrap_or_default();
                let events: Vec<Value> =
                    text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
                Ok((events.len() >= count).then_some(events))
            })
            .await
        }
    };
    read(2).await?;
    postgres.execute(&[&insert, "INSERT INTO kinds DEFAULT VALUES"]).await?;
    let events = read(4).await?;
    let row = |event: &Value| {
        let mut after = event["after"].clone();
        after.as_object_mut().unwrap().remove("id");
        after
    };
    assert_eq!((events[0]["op"].as_str(), events[2]["op"].as_str()), (Some("r"), Some("c")));
    assert_eq!(row(&events[0]), row(&events[2]));
    assert_eq!(row(&events[1]), row(&events[3]));
    let expected = json!({
        "b": true, "i2": 1, "i4": -2, "i8": 9_007_199_254_740_993_i64, "f4": 1.5, "t": "täxt", "v": "ab", "c": "c  ", "bin": "AP8=",
        "d": 19782, "ti": 86_399_999_999_i64, "ts": 1_709_210_096_789_012_i64, "tz": "2024-02-29T10:34:56.789000Z", "iv": 93_600_000_000_i64,
        "u": "7f1e4a1c-7a57-4b55-9a33-93a9d2f7a4c1", "j": "{\"a\": 1}", "jb": "[1, 2]", "ai": [1, null, 3], "at": ["x", "y z"], "m": "glad",
    });
    for (name, value) in expected.as_object().unwrap() {
        let after = &events[0]["after"][name];
        let same = after == value || (after.as_f64().is_some() && after.as_f64() == value.as_f64());
        assert!(same, "{name}: expected {value}, found {after}");
    }
    Ok(())
}

#[tokio::test]
async fn a_malformed_document_is_a_dead_letter_and_its_neighbours_are_indexed() -> Result<()> {
    let elasticsearch = Elasticsearch::start()?;
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let (broker, index) =
        (aquifer.addresses.kafka.as_str(), format!("malformed-{}", std::process::id()));
    elasticsearch
        .http
        .put(&format!("/{index}"), &json!({"mappings": {"properties": {"n": {"type": "long"}}}}))
        .await?;
    crate::kcat::kcat(
        broker,
        &["-P", "-t", &index, "-K:"],
        "1:{\"n\":1}\n2:{\"n\":\"many\"}\n3:{\"n\":3}\n",
    )?;
    let (json_converter, string) = (
        "org.apache.kafka.connect.json.JsonConverter",
        "org.apache.kafka.connect.storage.StringConverter",
    );
    let config = json!({
        "connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector", "connection.url": elasticsearch.url, "topics": index,
        "key.converter": string, "value.converter": json_converter, "value.converter.schemas.enable": "false", "schema.ignore": "true",
        "behavior.on.malformed.documents": "warn", "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
        "errors.deadletterqueue.context.headers.enable": "true",
    });
    aquifer.create_connector("sink", &config).await?;
    within(MINUTE, "the good documents are there", || async {
        let found = documents(&elasticsearch.http, &index).await?;
        Ok((found.keys().map(String::as_str).collect::<Vec<_>>() == ["1", "3"]).then_some(()))
    })
    .await?;
    let dead = within(MINUTE, "a dead letter", || async {
        let read =
            crate::kcat::kcat(broker, &["-C", "-t", "dead", "-e", "-q", "-f", "%k %s %h\n"], "")
                .unwrap_or_default();
        Ok((!read.is_empty()).then_some(read))
    })
    .await?;
    assert!(dead.starts_with("2 {\"n\":\"many\"}") && dead.contains("parsing_exception"), "{dead}");
    elasticsearch.http.delete(&format!("/{index}")).await?;
    Ok(())
}

#[tokio::test]
async fn a_wrong_postgres_config_is_answered_with_what_mends_it() -> Result<()> {
    let postgres = Postgres::start().await?;
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    postgres
        .execute(&[
            "CREATE TABLE t (id int PRIMARY KEY)",
            "DROP ROLE IF EXISTS plain_reader",
            "CREATE ROLE plain_reader LOGIN",
        ])
        .await?;
    let refused = async |more: Value| -> Result<String> {
        let config = postgres.source_config("public.t", &more);
        let (status, answer) = aquifer
            .connect()
            .call(Method::POST, "/connectors", Some(&json!({"name": "source", "config": config})))
            .await?;
        assert_eq!(status, 400, "{answer}");
        Ok(answer["message"].as_str().unwrap_or_default().to_owned())
    };
    let role = refused(json!({"database.user": "plain_reader"})).await?;
    assert!(role.contains("ALTER ROLE") && role.contains("REPLICATION"), "{role}");
    let table = refused(json!({"table.include.list": "public.nope"})).await?;
    assert!(table.contains("public.nope"), "{table}");
    let port = refused(json!({"database.port": "1"})).await?;
    assert!(port.contains("127.0.0.1"), "{port}");
    Ok(())
}
