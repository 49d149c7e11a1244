//! Changes at a steady rate, and for some of them the time from their commit until the document is there.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use aquifer_tests::{Http, within};
use sqlx::{Connection as _, PgConnection};

use crate::POSTGRES;
use crate::stage::Stage;

/// Rows changed with each statement, and how often: 1 000 rows a second.
const ROWS_EACH: i32 = 50;
const EVERY: Duration = Duration::from_millis(50);
/// Ids above those of the data set.
const FIRST_ID: i32 = 1_000_000;
/// Ids of the data set from here on are deleted; those below are updated.
const DELETED_FROM: i32 = 100_000;
/// `$1` is the first id, `$2` how many rows, `$3` the name that is followed into the index.
const INSERT: &str = "INSERT INTO places SELECT n, $3, 'XX', '', '', n / 1e6, n / 1e5 FROM generate_series($1, $1 + $2 - 1) n";
const UPDATE: &str = "UPDATE places SET name = $3 WHERE id >= $1 AND id < $1 + $2";
const DELETE: &str = "DELETE FROM places WHERE id >= $1 AND id < $1 + $2";
/// How often a document is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What was done and how long it took.
pub(crate) struct Measured {
    pub(crate) inserts: u64,
    pub(crate) updates: u64,
    pub(crate) deletes: u64,
    pub(crate) samples: usize,
    pub(crate) p50_ms: u64,
    pub(crate) p99_ms: u64,
}

/// The three statements as a user would type them, with the values of one time.
pub(crate) fn examples() -> [String; 3] {
    let rows = ROWS_EACH.to_string();
    let typed = |statement: &str, first: i32| {
        statement
            .replace("$1", &first.to_string())
            .replace("$2", &rows)
            .replace("$3", "'a new name'")
    };
    [typed(INSERT, FIRST_ID), typed(UPDATE, 1), typed(DELETE, DELETED_FROM)]
}

/// Changes rows for that long; one row of every statement is followed into the index.
pub(crate) async fn measure(stage: &Stage, length: Duration) -> Result<Measured> {
    let mut connection = PgConnection::connect(POSTGRES).await?;
    let mut measured =
        Measured { inserts: 0, updates: 0, deletes: 0, samples: 0, p50_ms: 0, p99_ms: 0 };
    let mut followed = Vec::new();
    let mut ticks = tokio::time::interval(EVERY);
    let ticks_total = length.as_millis() / EVERY.as_millis();
    for tick in 0..i32::try_from(ticks_total)? {
        ticks.tick().await;
        let id = FIRST_ID + tick * ROWS_EACH;
        match tick % 4 {
            3 => {
                // Rows of the data set, so that it is known that they are in the index.
                let first = DELETED_FROM + tick * ROWS_EACH;
                measured.deletes += change(&mut connection, DELETE, first, "").await?;
                followed.push(follow(stage, first, None));
            }
            1 => {
                let name = format!("changed-{tick}");
                let first = 1 + tick * ROWS_EACH;
                measured.updates += change(&mut connection, UPDATE, first, &name).await?;
                followed.push(follow(stage, first, Some(name)));
            }
            _ => {
                let name = format!("new-{tick}");
                measured.inserts += change(&mut connection, INSERT, id, &name).await?;
                followed.push(follow(stage, id, Some(name)));
            }
        }
    }
    let mut milliseconds = Vec::new();
    for task in followed {
        milliseconds.push(task.await??.as_millis());
    }
    milliseconds.sort_unstable();
    let at = |percent: usize| {
        milliseconds
            .get((milliseconds.len() * percent / 100).min(milliseconds.len() - 1))
            .copied()
            .context("no samples")
    };
    measured.samples = milliseconds.len();
    measured.p50_ms = u64::try_from(at(50)?)?;
    measured.p99_ms = u64::try_from(at(99)?)?;
    Ok(measured)
}

async fn change(
    connection: &mut PgConnection,
    statement: &'static str,
    first: i32,
    name: &str,
) -> Result<u64> {
    let query = sqlx::query(statement).bind(first).bind(ROWS_EACH);
    let query = if statement.contains("$3") { query.bind(name.to_owned()) } else { query };
    Ok(query.execute(connection).await?.rows_affected())
}

/// Time from now, right after the commit, until the document has that name, or is gone.
fn follow(
    stage: &Stage,
    id: i32,
    name: Option<String>,
) -> tokio::task::JoinHandle<Result<Duration>> {
    let elasticsearch: Http = stage.elasticsearch.clone();
    let committed = Instant::now();
    tokio::spawn(async move {
        let what = format!("document {id} follows its row");
        within(Duration::from_secs(30), &what, || async {
            loop {
                let (_, answer) = elasticsearch
                    .call(reqwest::Method::GET, &format!("/places/_doc/{id}"), None)
                    .await?;
                let there = answer["_source"]["name"].as_str();
                if there == name.as_deref() {
                    return Ok(Some(committed.elapsed()));
                }
                if committed.elapsed() > Duration::from_secs(30) {
                    return Ok(None);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
        .await
    })
}
