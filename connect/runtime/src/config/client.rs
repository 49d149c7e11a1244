//! TABLE of client keys as Kafka's Java clients name them, and what they are here.
//!
//! A key that is not in the table is passed on by its own name; one that the client library does not know is refused by it.

use aquifer_broker_client::{ClientSettings, Producer, ProducerSettings};
use aquifer_connect_api::config::ConfigMap;

/// What becomes of a key.
#[derive(Debug, Clone, Copy)]
enum Becomes {
    /// It has another name here.
    Renamed(&'static str),
    /// The number of bytes becomes one of KiB under another name.
    Kib(&'static str),
    /// It has no meaning here.
    Nothing,
}

const TABLE: &[(&str, Becomes)] = &[
    ("buffer.memory", Becomes::Kib("queue.buffering.max.kbytes")),
    ("max.request.size", Becomes::Renamed("message.max.bytes")),
    ("fetch.max.wait.ms", Becomes::Renamed("fetch.wait.max.ms")),
    ("sasl.mechanism", Becomes::Renamed("sasl.mechanisms")),
    ("send.buffer.bytes", Becomes::Renamed("socket.send.buffer.bytes")),
    ("receive.buffer.bytes", Becomes::Renamed("socket.receive.buffer.bytes")),
    ("metadata.max.age.ms", Becomes::Renamed("metadata.max.age.ms")),
    ("max.block.ms", Becomes::Nothing),
    ("key.serializer", Becomes::Nothing),
    ("value.serializer", Becomes::Nothing),
    ("key.deserializer", Becomes::Nothing),
    ("value.deserializer", Becomes::Nothing),
    ("metric.reporters", Becomes::Nothing),
    ("metrics.recording.level", Becomes::Nothing),
    ("interceptor.classes", Becomes::Nothing),
    ("default.api.timeout.ms", Becomes::Nothing),
];

/// The options that a config gives under a prefix (`producer.override.`), by the client library's names.
pub(crate) fn overrides(config: &ConfigMap, prefix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (key, value) in config {
        let Some(name) = key.strip_prefix(prefix) else { continue };
        // `consumer.` is also the beginning of other prefixes of a worker's config.
        if name.starts_with("override.") {
            continue;
        }
        match TABLE.iter().find(|(java, _)| *java == name).map(|(_, becomes)| becomes) {
            None => found.push((name.to_owned(), value.clone())),
            Some(Becomes::Renamed(to)) => found.push(((*to).to_owned(), value.clone())),
            Some(Becomes::Kib(to)) => {
                let kib = value.trim().parse::<u64>().map(|bytes| bytes.div_ceil(1024).to_string());
                found.push(((*to).to_owned(), kib.unwrap_or_else(|_| value.clone())));
            }
            Some(Becomes::Nothing) => {}
        }
    }
    found
}

/// What is wrong with options: the library is asked, with a handle that connects to nothing.
pub(crate) fn check(overrides: Vec<(String, String)>) -> Result<(), String> {
    let nowhere = ClientSettings::new("127.0.0.1:0", "check");
    let own = ProducerSettings { overrides, ..ProducerSettings::default() };
    Producer::new(&nowhere, &own).map(drop).map_err(|error| error.to_string())
}

/// Takes one option out of the list; the last one counts.
pub(crate) fn take(overrides: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    let found = overrides.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    overrides.retain(|(key, _)| key != name);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_names_become_those_of_the_library() {
        let config: ConfigMap = [
            ("producer.override.buffer.memory", "1048577"),
            ("producer.override.linger.ms", "5"),
            ("producer.override.key.serializer", "X"),
            ("consumer.override.fetch.max.wait.ms", "1"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        let expected = [("queue.buffering.max.kbytes", "1025"), ("linger.ms", "5")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(overrides(&config, "producer.override."), expected);
    }
}
