//! Real clients in their own languages: each is a program that ends with an error, and says why, where something is not as it must be.
//!
//! `TEST_BROKER=host:port` runs them against that broker instead of a new one of this build.

use anyhow::Result;
use aquifer_tests::{
    Aquifer, Options, Program, go_program, java_program, node_program, python, repository,
};

/// Runs what a client must be able to do against a new broker.
async fn on_a_broker(run: impl FnOnce(&str) -> Result<Vec<String>>) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (broker, _aquifer) = match std::env::var("TEST_BROKER") {
        Ok(address) => (address, None),
        Err(_) => {
            let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
            (aquifer.addresses.kafka.clone(), Some(aquifer))
        }
    };
    let printed = run(&broker)?;
    assert_eq!(printed.last().map(String::as_str), Some("ok"), "{printed:?}");
    Ok(())
}

/// What a Python program of `tests/data/` prints.
fn python_lines(name: &str, broker: &str) -> Result<Vec<String>> {
    let printed = python(&repository().join("tests/data").join(name), &[broker])?;
    Ok(printed.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn the_java_client_of_kafka_4_works() -> Result<()> {
    on_a_broker(|broker| java_program("4.3.0", "java", "Clients", &[broker])?.finish()).await
}

#[tokio::test]
async fn the_java_client_of_kafka_3_works() -> Result<()> {
    on_a_broker(|broker| java_program("3.9.1", "java", "Clients", &[broker])?.finish()).await
}

#[tokio::test]
async fn librdkafka_reads_changes_and_writes_in_transactions() -> Result<()> {
    on_a_broker(|broker| python_lines("confluent_kafka_transactions.py", broker)).await
}

#[tokio::test]
async fn librdkafka_joins_groups_whose_broker_assigns() -> Result<()> {
    on_a_broker(|broker| python_lines("confluent_kafka_protocol.py", broker)).await
}

#[tokio::test]
async fn kafka_python_works() -> Result<()> {
    on_a_broker(|broker| python_lines("kafka_python.py", broker)).await
}

#[tokio::test]
async fn kafkajs_works() -> Result<()> {
    let program = repository().join("tests/clients/node/kafkajs.js");
    on_a_broker(|broker| node_program(&program, &[broker])?.finish()).await
}

#[tokio::test]
async fn franz_go_works() -> Result<()> {
    on_a_broker(|broker| go_program(&[broker]).and_then(Program::finish)).await
}
