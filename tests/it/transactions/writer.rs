//! Writes transactions with librdkafka until it is told to stop, and says what became of each, in the words of the Java
//! program `Writer`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rand::{Rng as _, SeedableRng as _};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

/// How long a call may take, retries included.
const PATIENCE: Duration = Duration::from_secs(60);

type Client = ThreadedProducer<DefaultProducerContext>;

/// A writer at work.
#[derive(Debug)]
pub(crate) struct Writer {
    ending: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<String>>>,
}

impl Writer {
    /// Starts a writer with that transactional id.
    pub(crate) fn start(broker: &str, topic: &str, partitions: u32, id: &str, seed: u64) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let (told, broker) = (Arc::clone(&ending), broker.to_owned());
        let (topic, id) = (topic.to_owned(), id.to_owned());
        let thread =
            std::thread::spawn(move || write(&broker, &topic, partitions, &id, seed, &told));
        Self { ending, thread }
    }

    /// Lets it end the transaction that it is in; what it said.
    pub(crate) fn finish(self) -> Result<Vec<String>> {
        self.ending.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("a writer panicked"))?
    }
}

fn connect(broker: &str, id: &str) -> KafkaResult<Client> {
    let client: Client = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("transactional.id", id)
        .set("transaction.timeout.ms", "20000")
        .set("message.timeout.ms", "20000")
        .set("socket.timeout.ms", "10000")
        .set("reconnect.backoff.max.ms", "200")
        .set("linger.ms", "2")
        .set("log_level", "2")
        .create()?;
    patiently(|| client.init_transactions(Duration::from_secs(10)))?;
    Ok(client)
}

/// Repeats a call while its error says that it may be repeated.
fn patiently(mut call: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call() {
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && Instant::now() < deadline => {}
            outcome => return outcome,
        }
    }
}

fn write(
    broker: &str,
    topic: &str,
    partitions: u32,
    id: &str,
    seed: u64,
    ending: &AtomicBool,
) -> Result<Vec<String>> {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut said = Vec::new();
    let mut client = None;
    for number in 0_u64.. {
        if ending.load(Ordering::Relaxed) {
            break;
        }
        let connected = match client.take() {
            Some(connected) => connected,
            None => match connect(broker, id) {
                Ok(connected) => connected,
                Err(_) => continue,
            },
        };
        let mut counts = vec![0_u32; usize::try_from(partitions)?];
        let commit = random.random_ratio(2, 3);
        let records = random.random_range(1..=8);
        let sent = patiently(|| connected.begin_transaction()).and_then(|()| {
            for _ in 0..records {
                let partition = random.random_range(0..partitions);
                let count = &mut counts[partition as usize];
                let value = format!("{id}:{number}:{partition}:{count}");
                *count += 1;
                let record: BaseRecord<'_, (), String> = BaseRecord::to(topic)
                    .payload(&value)
                    .partition(i32::try_from(partition).unwrap_or(0));
                connected.send(record).map_err(|(error, _)| error)?;
            }
            Ok(())
        });
        let ended = sent.and_then(|()| {
            if commit {
                patiently(|| connected.commit_transaction(Duration::from_secs(10)))
            } else {
                Ok(())
            }
        });
        let outcome = match ended {
            Ok(()) if commit => Some("committed"),
            // An abort that comes through settles it, after a commit that failed too.
            _ => patiently(|| connected.abort_transaction(Duration::from_secs(10)))
                .is_ok()
                .then_some("aborted"),
        };
        let counts: Vec<String> = counts.iter().map(u32::to_string).collect();
        let word = outcome.unwrap_or(if commit { "unknown" } else { "aborted" });
        said.push(format!("{word} {number} {}", counts.join(",")));
        // Without an outcome the next producer with the same id ends what is open.
        client = outcome.map(|_| connected);
    }
    if client.is_none() {
        drop(connect(broker, id)?);
    }
    Ok(said)
}
