//! The same calls to Apache Kafka and to ours: the answers must be equal, field by field.
//!
//! - A script (`oracle/<area>.rs`) is a list of steps; a step is a line: a name, a version, a request. What an answer says
//!   can be used by later steps: each broker is asked with its own ids.
//! - Ids, addresses and times are replaced before the comparison (`answer.rs`); a difference that is known has a row in
//!   `differences.rs`, with its reason.
//! - `ORACLE_OURS=host:port` compares Apache Kafka with that broker instead of a new one of this build.

mod admin;
mod answer;
mod caller;
mod classic_groups;
mod configs;
mod consumer_groups;
mod differences;
mod fetch;
mod offsets;
mod produce;
mod requests;
mod topics;
mod transactions;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use aquifer_broker_protocol::ApiKey;
use aquifer_broker_protocol::message::api_versions::ApiVersionsRequest;
use aquifer_broker_protocol::message::init_producer_id::InitProducerIdRequest;
use aquifer_tests::{Aquifer, Kafka, Options};

use answer::{Seen, flatten, parse};
use caller::{Caller, Versions};
use differences::{Difference, GAPS, MEANT};

/// Runs a script against both and panics with what differs.
async fn compare(area: &str, script: impl AsyncFn(&mut Caller)) -> Result<()> {
    let kafka = Kafka::start()?;
    let directory = tempfile::tempdir()?;
    let (ours, _aquifer) = match std::env::var("ORACLE_OURS") {
        Ok(address) => (address, None),
        Err(_) => {
            let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
            (aquifer.addresses.kafka.clone(), Some(aquifer))
        }
    };
    let versions = known_to_kafka(&kafka.address).await?;
    // Kafka's broker is shared and keeps what earlier runs made.
    let prefix = format!("{area}-{:08x}-", rand::random::<u32>());
    let mut theirs = Caller::new(&kafka.address, &prefix, versions.clone());
    let mut own = Caller::new(&ours, &prefix, versions);
    // A broker that has just started has no producer ids to give for a moment.
    let producer = || InitProducerIdRequest {
        transaction_timeout_ms: 60_000,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    theirs.settle(4, producer, |answer| answer.error_code == 0).await;
    tokio::join!(script(&mut theirs), script(&mut own));
    let (theirs, own) = (theirs.answers(), own.answers());
    println!("{area}: {} answers compared", theirs.len());
    let faults = differences(area, &prefix, &theirs, &own);
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

/// The versions that Kafka says it knows, as far as ours are declared.
async fn known_to_kafka(address: &str) -> Result<Versions> {
    let mut caller = Caller::new(address, "", Versions::new());
    let request = ApiVersionsRequest {
        client_software_name: "oracle".into(),
        client_software_version: "1".into(),
    };
    let answer = caller.ask(4, &request).await?;
    let known = answer.api_keys.iter().filter_map(|api| {
        let declared = ApiKey::from_key(api.api_key)?.versions();
        let (first, last) = declared.into_inner();
        Some((api.api_key, first.max(api.min_version)..=last.min(api.max_version)))
    });
    Ok(known.collect())
}

/// What differs and has no row, and the rows of this area that nothing differs by any more.
fn differences(
    area: &str,
    prefix: &str,
    theirs: &[(String, String)],
    own: &[(String, String)],
) -> Vec<String> {
    let own: BTreeMap<&str, &str> = own.iter().map(|(n, a)| (n.as_str(), a.as_str())).collect();
    let (mut seen_there, mut seen_here) = (Seen::default(), Seen::default());
    let (mut meant, mut gaps) = (BTreeSet::new(), BTreeSet::new());
    let mut faults = Vec::new();
    for (step, expected) in theirs {
        // The script is at fault: it waits for what Kafka does not do.
        if step.contains("never settled") {
            faults.push(format!("  {step}: {expected}"));
        }
        // A row counts for a step however often the script takes it.
        let name = step.rsplit_once(" (").map_or(step.as_str(), |(name, _)| name);
        let expected = flatten(&parse(expected), &mut seen_there);
        let got = own.get(step.as_str()).copied().unwrap_or("\"the step was not reached\"");
        let got = flatten(&parse(got), &mut seen_here);
        let paths: BTreeSet<&String> = expected.keys().chain(got.keys()).collect();
        let absent = || "absent".to_owned();
        let mut words = Vec::new();
        for path in paths {
            let theirs = expected.get(path).cloned().unwrap_or_else(absent);
            let ours = got.get(path).cloned().unwrap_or_else(absent);
            // Ours may say in words what Kafka leaves to the code.
            if theirs == ours || (theirs == "null" && ours == "<text>") {
                continue;
            }
            let plain = path.replace(prefix, "");
            let known = |table: &'static [Difference]| {
                table.iter().position(|row| {
                    row.area == area && matches(row.step, name) && matches(row.field, &plain)
                })
            };
            match (known(MEANT), known(GAPS)) {
                (Some(row), _) => {
                    meant.insert(row);
                }
                (None, Some(row)) => {
                    gaps.insert(row);
                }
                (None, None) => words.push(format!("    {plain}: Kafka {theirs}, ours {ours}")),
            }
        }
        // Where one of the two gave no answer there is but one thing to say.
        if let Some(none) = words.iter().find(|line| line.contains("\"no answer: ")) {
            words = vec![none.clone()];
        }
        if !words.is_empty() {
            faults.push(format!("  {step}\n{}", words.join("\n")).replace(prefix, ""));
        }
    }
    let expected: BTreeSet<&str> = theirs.iter().map(|(name, _)| name.as_str()).collect();
    let surplus = own.iter().filter(|(name, _)| !expected.contains(*name));
    faults.extend(surplus.map(|(name, answer)| format!("  only ours: {name}: {answer}")));
    let unused = |table: &'static [Difference], used: &BTreeSet<usize>| {
        let rows =
            table.iter().enumerate().filter(|(row, of)| of.area == area && !used.contains(row));
        rows.map(|(_, row)| format!("{} {} ({})", row.step, row.field, row.reason))
            .collect::<Vec<_>>()
    };
    let stale = unused(MEANT, &meant).into_iter();
    faults.extend(stale.map(|row| format!("  differs no more, take its row out: {row}")));
    for row in unused(GAPS, &gaps) {
        println!("{area}: a gap is closed, take its row out: {row}");
    }
    faults
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last.is_some_and(|last| text.ends_with(last) || last.is_empty())
}

#[test]
fn a_pattern_fits_from_start_to_end() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "abc", true),
        ("*c", "abcc", true),
        ("a*c", "abd", false),
        ("*[x].value", "results[t].configs[x].value", true),
        ("*.value", "a.values", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

/// One test per area, so that each can be run alone: `cargo test --test it oracle::fetch`.
macro_rules! areas {
    ($( $test:ident = $area:ident; )*) => {
        $(
            #[tokio::test]
            async fn $test() -> Result<()> {
                compare(stringify!($area), $area::script).await
            }
        )*
    };
}

areas! {
    versions_are_answered_as_kafka_answers = versions;
    topics_are_answered_as_kafka_answers = topics;
    configs_are_answered_as_kafka_answers = configs;
    produce_is_answered_as_kafka_answers = produce;
    fetch_is_answered_as_kafka_answers = fetch;
    offsets_are_answered_as_kafka_answers = offsets;
    classic_groups_are_answered_as_kafka_answers = classic_groups;
    consumer_groups_are_answered_as_kafka_answers = consumer_groups;
    transactions_are_answered_as_kafka_answers = transactions;
    administration_is_answered_as_kafka_answers = admin;
}
