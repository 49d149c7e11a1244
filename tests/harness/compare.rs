//! Is the index what the table is? Row by row, document by document.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::http::Http;

/// Rows as JSON objects, by the text of their primary key.
pub type Rows = BTreeMap<String, Map<String, Value>>;
/// Documents by id.
pub type Documents = BTreeMap<String, Map<String, Value>>;

/// Documents read with one request.
const PAGE: usize = 10_000;

/// Every row of a query; the column `id` is the key, and Postgres makes the JSON.
pub async fn rows(connection: &mut PgConnection, query: &str) -> Result<Rows> {
    let all =
        sqlx::query(AssertSqlSafe(format!("SELECT id::text, to_json(t)::text FROM ({query}) t")))
            .fetch_all(connection)
            .await?;
    let row = |row: &sqlx::postgres::PgRow| -> Result<_> {
        let json: String = row.try_get(1)?;
        Ok((row.try_get(0)?, serde_json::from_str(&json)?))
    };
    all.iter().map(row).collect()
}

/// Every document of an index, refreshed first.
pub async fn documents(elasticsearch: &Http, index: &str) -> Result<Documents> {
    elasticsearch.ok(Method::POST, &format!("/{index}/_refresh"), None).await?;
    let mut found = Documents::new();
    let mut after: Option<Value> = None;
    loop {
        let mut query = json!({"size": PAGE, "sort": [{"_doc": "asc"}]});
        // A scroll keeps one view of the index from the first page to the last.
        let answer = match &after {
            None => {
                query["query"] = json!({"match_all": {}});
                elasticsearch.post(&format!("/{index}/_search?scroll=1m"), &query).await?
            }
            Some(scroll) => {
                elasticsearch
                    .post("/_search/scroll", &json!({"scroll": "1m", "scroll_id": scroll}))
                    .await?
            }
        };
        let hits = answer["hits"]["hits"].as_array().context("no hits in the answer")?;
        for hit in hits {
            let id = hit["_id"].as_str().context("a hit without id")?;
            let source = hit["_source"].as_object().context("a hit without source")?;
            found.insert(id.to_owned(), source.clone());
        }
        after = Some(answer["_scroll_id"].clone());
        if hits.len() < PAGE {
            elasticsearch
                .ok(Method::DELETE, "/_search/scroll", Some(&json!({"scroll_id": after})))
                .await?;
            return Ok(found);
        }
    }
}

/// What differs, in words: at most a few examples. `None` where everything is equal.
pub fn difference(rows: &Rows, documents: &Documents) -> Option<String> {
    let missing = rows.keys().filter(|id| !documents.contains_key(*id));
    let surplus = documents.keys().filter(|id| !rows.contains_key(*id));
    let changed = rows.iter().filter_map(|(id, row)| {
        documents
            .get(id)
            .filter(|document| !same_fields(row, document))
            .map(|document| (id, row, document))
    });
    let mut words = Vec::new();
    words.extend(missing.clone().take(3).map(|id| format!("row {id} has no document")));
    words.extend(
        surplus
            .clone()
            .take(3)
            .map(|id| format!("document {id} has no row: {}", json!(documents[id]))),
    );
    words.extend(changed.clone().take(3).map(|(id, row, document)| {
        format!("row {id} is {} but its document {}", json!(row), json!(document))
    }));
    let counts = format!(
        "{} rows, {} documents, {} missing, {} surplus, {} different",
        rows.len(),
        documents.len(),
        missing.count(),
        surplus.count(),
        changed.count()
    );
    (!words.is_empty()).then(|| format!("{counts}: {}", words.join("; ")))
}

fn same_fields(row: &Map<String, Value>, document: &Map<String, Value>) -> bool {
    row.len() == document.len()
        && row
            .iter()
            .all(|(name, value)| document.get(name).is_some_and(|other| same(value, other)))
}

/// Equal in meaning: `1` and `1.0` are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            x == y || (x.as_f64().is_some() && x.as_f64() == y.as_f64())
        }
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Value::Object(x), Value::Object(y)) => same_fields(x, y),
        _ => a == b,
    }
}
