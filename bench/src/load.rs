//! The load generator for brokers: librdkafka, the same settings whoever answers.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

/// Partitions of a topic under load.
pub(crate) const PARTITIONS: i32 = 4;
/// Bytes of a batch: what a partition collects before it is sent.
const BATCH_BYTES: u32 = 65_536;
const PATIENCE: Duration = Duration::from_secs(120);

/// Records of one size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) count: u64,
    pub(crate) value_bytes: usize,
    /// `compression.type`. Values that are compressed are text, others are noise.
    pub(crate) codec: &'static str,
}

fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

fn admin(address: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(client(address).create()?)
}

/// Creates an empty topic of [`PARTITIONS`].
pub(crate) async fn create_topic(address: &str, name: &str) -> Result<()> {
    create_topic_of(address, name, PARTITIONS).await
}

/// Creates an empty topic.
pub(crate) async fn create_topic_of(address: &str, name: &str, partitions: i32) -> Result<()> {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let results = admin(address)?.create_topics([&topic], &AdminOptions::new()).await?;
    for result in results {
        result.map_err(|(topic, code)| anyhow::anyhow!("{topic}: {code}"))?;
    }
    Ok(())
}

/// Deletes a topic, so that rounds do not fill the disk.
pub(crate) async fn delete_topic(address: &str, name: &str) -> Result<()> {
    admin(address)?.delete_topics(&[name], &AdminOptions::new()).await?;
    Ok(())
}

/// Counts deliveries, and keeps how long each took where records carry the time at which they were sent.
#[derive(Default)]
struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
    times: Mutex<Vec<Duration>>,
}

struct Counting(Arc<Deliveries>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = Box<Option<Instant>>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Self::DeliveryOpaque) {
        let counter = if result.is_ok() { &self.0.delivered } else { &self.0.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if let (Some(sent), Ok(mut times)) = (*sent, self.0.times.lock()) {
            times.push(sent.elapsed());
        }
    }
}

type Client = (ThreadedProducer<Counting>, Arc<Deliveries>);

fn producer(address: &str, settings: &[(&str, &str)]) -> Result<Client> {
    let deliveries = Arc::new(Deliveries::default());
    let mut config = client(address);
    config.set("acks", "all").set("batch.size", BATCH_BYTES.to_string());
    config.set("batch.num.messages", "100000").set("queue.buffering.max.messages", "500000");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    Ok((config.create_with_context(Counting(Arc::clone(&deliveries)))?, deliveries))
}

/// Bytes that do not compress, the same for every record.
fn payload(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// Text as JSON documents are made of, the same for every record: it compresses within a batch and within a record.
fn text(bytes: usize) -> Vec<u8> {
    let noise = payload(bytes);
    let fields = noise.chunks(8).enumerate().flat_map(|(index, chunk)| {
        let value: u32 = chunk.iter().map(|byte| u32::from(*byte)).sum();
        format!("\"field_{}\":{value},", index % 20).into_bytes()
    });
    fields.take(bytes).collect()
}

/// Produces as fast as is answered, in large batches; the time until the last acknowledgement.
pub(crate) fn produce(address: &str, topic: &str, load: Load) -> Result<Duration> {
    let client = producer(address, &[("linger.ms", "20"), ("compression.type", load.codec)])?;
    send_all(client, topic, load)
}

/// Produces as fast as is answered, each record in a request of its own.
pub(crate) fn produce_singly(address: &str, topic: &str, load: Load) -> Result<Duration> {
    let client = producer(address, &[("linger.ms", "0"), ("batch.num.messages", "1")])?;
    send_all(client, topic, load)
}

/// Produces and reads at the same time; the time until the last record was read.
pub(crate) fn pass_through(address: &str, topic: &str, load: Load) -> Result<Duration> {
    let began = Instant::now();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| fetch(address, topic, load));
        produce(address, topic, load)?;
        match reading.join() {
            Ok(read) => read.map(|_| began.elapsed()),
            Err(_) => bail!("the reader panicked"),
        }
    })
}

fn send_all((producer, deliveries): Client, topic: &str, load: Load) -> Result<Duration> {
    let value = match load.codec {
        "none" => payload(load.value_bytes),
        _ => text(load.value_bytes),
    };
    // Metadata first: the time is that of the records.
    producer.client().fetch_metadata(Some(topic), PATIENCE)?;
    let began = Instant::now();
    for number in 0..load.count {
        // A batch's worth to one partition, then the next.
        let partition = i32::try_from(
            number * load.value_bytes as u64 / u64::from(BATCH_BYTES) % PARTITIONS as u64,
        )?;
        let mut record = BaseRecord::<(), [u8], _>::with_opaque_to(topic, Box::new(None))
            .partition(partition)
            .payload(&value);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    producer.flush(PATIENCE)?;
    let took = began.elapsed();
    let (delivered, failed) =
        (deliveries.delivered.load(Ordering::Relaxed), deliveries.failed.load(Ordering::Relaxed));
    ensure!(
        delivered == load.count && failed == 0,
        "{delivered} of {} records were acknowledged, {failed} refused",
        load.count
    );
    Ok(took)
}

/// Reads every record of a topic from its start.
pub(crate) fn fetch(address: &str, topic: &str, load: Load) -> Result<Duration> {
    let mut config = client(address);
    config.set("group.id", "aquifer-bench").set("enable.auto.commit", "false");
    config.set("queued.min.messages", "1000000").set("fetch.wait.max.ms", "100");
    let consumer: BaseConsumer = config.create()?;
    consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    let began = Instant::now();
    consumer.assign(&partitions)?;
    let mut count = 0;
    while count < load.count {
        if began.elapsed() > PATIENCE {
            bail!("{count} of {} records were read", load.count);
        }
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            message?;
            count += 1;
        }
    }
    Ok(began.elapsed())
}

/// Records at a steady pace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steady {
    pub(crate) partitions: i32,
    pub(crate) value_bytes: usize,
    pub(crate) per_second: u32,
    pub(crate) length: Duration,
}

/// Produces at a steady rate without lingering; how long each record took to be acknowledged.
pub(crate) fn steady(address: &str, topic: &str, pace: Steady) -> Result<Vec<Duration>> {
    let Steady { partitions, value_bytes, per_second, length } = pace;
    let (producer, deliveries) = producer(address, &[("linger.ms", "0")])?;
    let value = payload(value_bytes);
    producer.client().fetch_metadata(Some(topic), PATIENCE)?;
    let began = Instant::now();
    let mut number = 0_u32;
    while began.elapsed() < length {
        let due = Duration::from_secs(1) / per_second * number;
        if let Some(early) = due.checked_sub(began.elapsed()) {
            std::thread::sleep(early);
        }
        let partition = i32::try_from(number)? % partitions;
        // Counted from when it was due: a sender that is held up does not hide what holds it up.
        let sent = Box::new(Some(began + due));
        let record = BaseRecord::<(), [u8], _>::with_opaque_to(topic, sent)
            .partition(partition)
            .payload(&value);
        producer.send(record).map_err(|(error, _)| error)?;
        number += 1;
    }
    producer.flush(PATIENCE)?;
    ensure!(deliveries.failed.load(Ordering::Relaxed) == 0, "records were refused");
    let times = std::mem::take(&mut *deliveries.times.lock().ok().context("a delivery panicked")?);
    ensure!(
        times.len() == number as usize,
        "{} of {number} records were acknowledged",
        times.len()
    );
    Ok(times)
}
