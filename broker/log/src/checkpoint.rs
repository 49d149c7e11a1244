//! The text files of a data directory: checkpoints, `partition.metadata`, `meta.properties`. Text in, values out.
//!
//! - Formats are Kafka's: a version line, a count line, then one entry per line.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Topic and partition to offset.
pub type OffsetMap = BTreeMap<(String, i32), i64>;

fn entries(contents: &[u8]) -> Option<(usize, impl Iterator<Item = &str>)> {
    let mut lines = std::str::from_utf8(contents).ok()?.lines();
    if lines.next()?.trim() != "0" {
        return None;
    }
    let count = lines.next()?.trim().parse().ok()?;
    Some((count, lines.filter(|line| !line.trim().is_empty())))
}

/// Reads an offset checkpoint; `None` when it is cut or is not one.
pub(crate) fn parse_offsets(contents: &[u8]) -> Option<OffsetMap> {
    let (count, lines) = entries(contents)?;
    let mut offsets = OffsetMap::new();
    for line in lines {
        let mut fields = line.split_whitespace();
        let (topic, partition, offset) = (fields.next()?, fields.next()?, fields.next()?);
        offsets.insert((topic.to_owned(), partition.parse().ok()?), offset.parse().ok()?);
    }
    (offsets.len() == count).then_some(offsets)
}

/// Prints an offset checkpoint.
pub(crate) fn print_offsets(offsets: &OffsetMap) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for ((topic, partition), offset) in offsets {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{topic} {partition} {offset}");
    }
    text
}

/// Reads a leader epoch checkpoint.
pub(crate) fn parse_epochs(contents: &[u8]) -> Option<Vec<(i32, i64)>> {
    let (count, lines) = entries(contents)?;
    let epochs: Option<Vec<_>> = lines
        .map(|line| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .collect();
    epochs.filter(|epochs| epochs.len() == count)
}

/// Prints a leader epoch checkpoint.
pub(crate) fn print_epochs(epochs: &[(i32, i64)]) -> String {
    let mut text = format!("0\n{}\n", epochs.len());
    for (epoch, start) in epochs {
        let _ = writeln!(text, "{epoch} {start}");
    }
    text
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A UUID as Kafka prints it: base64 for URLs, without padding.
#[must_use]
pub fn print_uuid(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(22);
    for chunk in uuid.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for sextet in 0..=chunk.len() {
            let value = (bits >> (18 - 6 * sextet)) & 63;
            text.push(char::from(BASE64_URL[value as usize]));
        }
    }
    text
}

/// Reads a UUID as Kafka prints it.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut bytes = Vec::with_capacity(18);
    for chunk in text.as_bytes().chunks(4) {
        let mut bits = 0u32;
        for byte in chunk {
            let value = BASE64_URL.iter().position(|known| known == byte)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        bits <<= 6 * (4 - chunk.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len().max(1)]);
    }
    bytes.try_into().ok()
}

/// Prints `partition.metadata`.
pub(crate) fn print_partition_metadata(topic_id: &[u8; 16]) -> String {
    format!("version: 0\ntopic_id: {}", print_uuid(topic_id))
}

/// The topic id in a `partition.metadata`.
pub(crate) fn parse_partition_metadata(contents: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(contents).ok()?;
    text.lines().find_map(|line| parse_uuid(line.strip_prefix("topic_id:")?.trim()))
}

/// What `meta.properties` says about a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// `cluster.id`.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: i32,
    /// `directory.id`.
    pub directory_id: String,
}

impl MetaProperties {
    pub(crate) fn print(&self) -> String {
        let Self { cluster_id, node_id, directory_id } = self;
        format!(
            "cluster.id={cluster_id}\ndirectory.id={directory_id}\nnode.id={node_id}\nversion=1\n"
        )
    }

    pub(crate) fn parse(contents: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(contents).ok()?;
        let get = |key: &str| {
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| line.split_once('='))
                .find_map(|(name, value)| (name.trim() == key).then(|| value.trim().to_owned()))
        };
        (get("version")? == "1").then_some(())?;
        Some(Self {
            cluster_id: get("cluster.id")?,
            node_id: get("node.id")?.parse().ok()?,
            directory_id: get("directory.id")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_round_trip_and_cut_files_are_refused() {
        let offsets = OffsetMap::from([(("orders".into(), 3), 17), (("a-b".into(), 0), 0)]);
        let text = print_offsets(&offsets);
        assert_eq!(text, "0\n2\na-b 0 0\norders 3 17\n");
        assert_eq!(parse_offsets(text.as_bytes()), Some(offsets));
        assert_eq!(parse_offsets(b"0\n2\na-b 0 0\n"), None);
        assert_eq!(parse_offsets(b"1\n0\n"), None);
        assert_eq!(parse_offsets(b""), None);
    }

    #[test]
    fn uuids_print_as_kafka_prints_them() {
        // Kafka's reserved ids for the metadata topic and "none".
        let metadata = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(print_uuid(&metadata), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(parse_uuid("AAAAAAAAAAAAAAAAAAAAAQ"), Some(metadata));
        let other = [0xfb, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff];
        assert_eq!(parse_uuid(&print_uuid(&other)), Some(other));
        assert_eq!(parse_uuid("short"), None);
        assert_eq!(
            parse_partition_metadata(print_partition_metadata(&other).as_bytes()),
            Some(other)
        );
    }

    #[test]
    fn meta_properties_round_trip() {
        let meta = MetaProperties {
            cluster_id: "MkU3OEVBNTcwNTJENDM2Qg".into(),
            node_id: 1,
            directory_id: "d".into(),
        };
        assert_eq!(MetaProperties::parse(meta.print().as_bytes()), Some(meta));
        assert_eq!(MetaProperties::parse(b"#x\nversion=0\n"), None);
    }
}
