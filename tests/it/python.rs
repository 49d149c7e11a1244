//! Python's confluent-kafka: producer, consumer group, and Avro with our registry.

use anyhow::Result;
use aquifer_tests::{Aquifer, Options, python, repository};

#[tokio::test]
async fn avro_serializers_register_and_read_and_an_incompatible_schema_is_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let registry = format!("http://{}", aquifer.addresses.registry);
    let printed = python(
        &repository().join("tests/data/confluent_kafka_avro.py"),
        &[&aquifer.addresses.kafka, &registry],
    )?;
    assert_eq!(printed.trim(), "ok");
    Ok(())
}

#[tokio::test]
async fn a_group_whose_members_come_and_go_reads_everything_in_order() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let printed = python(
        &repository().join("tests/data/confluent_kafka_group.py"),
        &[&aquifer.addresses.kafka],
    )?;
    assert_eq!(printed.trim(), "ok");
    Ok(())
}

#[tokio::test]
async fn a_static_member_that_restarts_takes_over_at_once() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let aquifer = Aquifer::start(directory.path(), Options::default()).await?;
    let printed = python(
        &repository().join("tests/data/confluent_kafka_static.py"),
        &[&aquifer.addresses.kafka],
    )?;
    assert_eq!(printed.trim(), "ok");
    Ok(())
}
