//! `--config FILE`: our TOML, or Kafka's, Connect's and the registry's properties.
//!
//! - A properties file is one of the three by the keys that are in it; what names a listener, a directory or the brokers there becomes the
//!   program's own setting, every other key reaches the role by its name.

use std::path::Path;

use super::{Layer, OWN};
use crate::exit::Error;
use crate::role::Role;

/// Reads a file; what is wrong inside it goes to `faults`, a file that can't be read is an error at once.
pub(super) fn read(path: &Path, faults: &mut Vec<String>) -> Result<Layer, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::configuration(format!("--config {}: {error}", path.display())))?;
    let mut inside = Vec::new();
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    let layer =
        if is_toml { of_toml(&text, &mut inside) } else { of_properties(&properties(&text)) };
    faults.extend(inside.into_iter().map(|fault| format!("{}: {fault}", path.display())));
    Ok(layer)
}

/// Own settings at the top; `[broker]`, `[registry]`, `[connect]` or `[set]` hold keys, dotted or nested.
fn of_toml(text: &str, faults: &mut Vec<String>) -> Layer {
    let mut layer = Layer::default();
    let table = match text.parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => {
            faults.push(error.to_string());
            return layer;
        }
    };
    for (name, value) in &table {
        let own = OWN.into_iter().find(|own| *own == name.replace('_', "-"));
        match (own, value) {
            (_, toml::Value::Table(keys)) if name == "set" => flatten("", keys, &mut layer),
            (_, toml::Value::Table(keys))
                if ["broker", "registry", "connect"].contains(&name.as_str()) =>
            {
                flatten(name, keys, &mut layer)
            }
            (Some(own), value) if !value.is_table() => {
                layer.own.insert(own, plain(value));
            }
            _ => faults.push(format!("{name} is no setting{}", super::nearest::hint(name, OWN))),
        }
    }
    layer
}

fn flatten(prefix: &str, keys: &toml::Table, layer: &mut Layer) {
    for (name, value) in keys {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, layer),
            value => layer.keys.push((key, plain(value))),
        }
    }
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(value) => value.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        // A table was told apart before.
        toml::Value::Table(_) => String::new(),
    }
}

/// Keys and values of Java's properties format.
fn properties(text: &str) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut logical = line.trim_start().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        // An odd number of backslashes at the end continues the line.
        while logical.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            logical.pop();
            match lines.next() {
                Some(next) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        entries.push(split(&logical));
    }
    entries
}

fn split(line: &str) -> (String, String) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let separates = !escaped && (c == '=' || c == ':' || c.is_whitespace());
        escaped = c == '\\' && !escaped;
        separates
    });
    let Some(end) = end else { return (unescape(line), String::new()) };
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    (unescape(key), unescape(rest))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let code: String = chars.by_ref().take(4).collect();
                out.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// What the keys of each kind of file become.
fn of_properties(entries: &[(String, String)]) -> Layer {
    let has = |prefix: &str| entries.iter().any(|(key, _)| key.starts_with(prefix));
    let role = if has("kafkastore.") {
        Role::Registry
    } else if has("config.storage.") || has("offset.storage.") || has("key.converter") {
        Role::Connect
    } else {
        Role::Broker
    };
    let mut layer = Layer::default();
    for (key, value) in entries {
        let own = match (role, key.as_str()) {
            (Role::Broker, "listeners") => Some(("kafka", client_listener(value))),
            (Role::Broker, "log.dirs" | "log.dir") => Some(("data-dir", value.clone())),
            (Role::Registry, "listeners") => Some(("registry", first(value))),
            (Role::Registry, "kafkastore.bootstrap.servers") => {
                Some(("bootstrap-servers", without_protocol(value)))
            }
            (Role::Connect, "listeners") => Some(("connect", first(value))),
            (Role::Connect, "bootstrap.servers") => Some(("bootstrap-servers", value.clone())),
            _ => None,
        };
        match own {
            Some((name, value)) => {
                layer.own.insert(name, value);
            }
            None => layer.keys.push((format!("{role}.{key}"), value.clone())),
        }
    }
    layer
}

fn first(list: &str) -> String {
    list.split(',').next().unwrap_or(list).trim().to_owned()
}

/// The first listener that is not the controllers'.
fn client_listener(list: &str) -> String {
    let listeners = || list.split(',').map(str::trim);
    listeners().find(|listener| !listener.starts_with("CONTROLLER")).unwrap_or(list).to_owned()
}

fn without_protocol(list: &str) -> String {
    list.split(',')
        .map(|server| server.trim().rsplit("://").next().unwrap_or(server))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_java_reads_them() {
        let text = "# note\n! note\na=1\nb : 2\nc 3\nd = x\\\n   y\n\\ e\\=f=\\u0041\\tz\ng\n";
        let expected =
            [("a", "1"), ("b", "2"), ("c", "3"), ("d", "xy"), (" e=f", "A\tz"), ("g", "")];
        assert_eq!(
            properties(text),
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_file_is_told_by_its_keys() {
        let layer = of_properties(&properties(
            "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\nlog.dirs=/d\nnum.partitions=3",
        ));
        assert_eq!(
            (layer.own["kafka"].as_str(), layer.own["data-dir"].as_str()),
            ("PLAINTEXT://:9092", "/d")
        );
        assert_eq!(layer.keys, [("broker.num.partitions".to_owned(), "3".to_owned())]);
        let layer = of_properties(&properties(
            "kafkastore.bootstrap.servers=PLAINTEXT://a:1,PLAINTEXT://b:2\nlisteners=http://0.0.0.0:8081",
        ));
        assert_eq!(
            (layer.own["bootstrap-servers"].as_str(), layer.own["registry"].as_str()),
            ("a:1,b:2", "http://0.0.0.0:8081")
        );
    }

    #[test]
    fn toml_holds_own_settings_and_keys_of_roles() {
        let mut faults = Vec::new();
        let layer = of_toml(
            "data_dir = \"/d\"\nnope = 1\n[broker]\nnum.partitions = 4\n\"log.flush.mode\" = \"os\"\n",
            &mut faults,
        );
        assert_eq!(layer.own["data-dir"], "/d");
        assert_eq!(
            layer.keys,
            [("broker.log.flush.mode", "os"), ("broker.num.partitions", "4")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
        assert_eq!(faults, ["nope is no setting"]);
    }
}
