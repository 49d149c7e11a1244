//! The TABLE of config keys: Confluent's names, defaults and meanings; what is accepted without effect says why, what is refused too.

use aquifer_connect_api::config::ConfigType::{Boolean, Int, List, Long, Password, String as Text};
use aquifer_connect_api::config::Importance::{High, Low, Medium};
use aquifer_connect_api::config::{Check, ConfigDef, ConfigKey, ConfigType, Importance};

const CONNECTION: &str = "Connector";
const CONVERSION: &str = "Data Conversion";
const SECURITY: &str = "Security";

const fn key(
    name: &'static str,
    kind: ConfigType,
    default: Option<&'static str>,
    importance: Importance,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey::optional(name, kind, default, importance, doc)
}

const fn refused(
    name: &'static str,
    kind: ConfigType,
    doc: &'static str,
    why: fn(&str) -> Result<(), String>,
) -> ConfigKey {
    ConfigKey::optional(name, kind, None, Low, doc).check(Check::Custom(why))
}

fn no_data_streams(_: &str) -> Result<(), String> {
    Err("data streams are not supported yet: documents go to indexes".to_owned())
}

fn no_kerberos(_: &str) -> Result<(), String> {
    Err("Kerberos is not supported: use connection.username and connection.password".to_owned())
}

fn no_proxy(_: &str) -> Result<(), String> {
    Err("a proxy is not supported: connection.url must be reachable directly".to_owned())
}

fn no_keystore(_: &str) -> Result<(), String> {
    Err("client certificates and Java key stores are not supported; elastic.https.ssl.truststore.type=PEM is".to_owned())
}

fn url(text: &str) -> Result<(), String> {
    for address in text.split(',').map(str::trim) {
        let parsed = url::Url::parse(address).map_err(|error| format!("{address}: {error}"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(format!("{address} should start with http:// or https://"));
        }
    }
    Ok(())
}

fn topic_resources(text: &str) -> Result<(), String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    for pair in pairs {
        if !pair
            .split_once(':')
            .is_some_and(|(topic, index)| !topic.is_empty() && !index.is_empty())
        {
            return Err(format!("topic:index was expected, but {pair} came"));
        }
    }
    Ok(())
}

/// The keys.
#[rustfmt::skip]
pub(super) fn definition() -> ConfigDef {
    ConfigDef::new(vec![
        ConfigKey::required("connection.url", List, High, "The addresses of Elasticsearch nodes, separated by commas; requests take turns.").check(Check::Custom(url)).group(CONNECTION),
        key("connection.username", Text, None, Medium, "The user to authenticate as.").group(CONNECTION),
        key("connection.password", Password, None, Medium, "The user's password.").group(CONNECTION),
        key("batch.size", Int, Some("2000"), Medium, "How many records one bulk request holds at most.").check(Check::Between(1, 1_000_000)).group(CONNECTION),
        key("bulk.size.bytes", Long, Some("5242880"), Low, "How many bytes one bulk request holds at most; a larger record is sent alone. -1 leaves only batch.size.").check(Check::AtLeast(-1)).group(CONNECTION),
        key("max.in.flight.requests", Int, Some("5"), Medium, "How many bulk requests may wait for their reply at once. Documents of one id are never in two of them.").check(Check::Between(1, 1000)).group(CONNECTION),
        key("max.buffered.records", Int, Some("20000"), Low, "How many unfinished records a task holds before it stops consuming.").check(Check::Between(1, 2_147_483_647)).group(CONNECTION),
        key("linger.ms", Long, Some("1"), Low, "How long a record waits for company when no request is in flight. While one is, records gather up to batch.size.").check(Check::Between(0, 604_800_000)).group(CONNECTION),
        key("flush.timeout.ms", Long, Some("180000"), Low, "How long a flush waits for unfinished records; also the longest that one request may take after timeouts made it wait longer.").check(Check::AtLeast(1)).group(CONNECTION),
        key("flush.synchronously", Boolean, Some("false"), Low, "Whether each flush waits for all records.").no_op("offsets are counted on the record as it was consumed, so transforms that change the topic are safe without it").group(CONNECTION),
        key("max.retries", Int, Some("5"), Low, "How often a failed request is sent again.").check(Check::Between(0, 2_147_483_647)).no_op("a request that fails for want of Elasticsearch is retried until it succeeds: nothing is lost and the task does not fail").group(CONNECTION),
        key("retry.backoff.ms", Long, Some("100"), Low, "How long to wait before the first retry; doubles up to 5 s, at random between half and all of it.").check(Check::Between(0, 86_400_000)).group(CONNECTION),
        key("connection.compression", Boolean, Some("false"), Low, "Whether requests are compressed with gzip.").group(CONNECTION),
        key("max.connection.idle.time.ms", Int, Some("60000"), Low, "How long an idle connection stays open.").no_op("the client closes idle connections after 90 s").group(CONNECTION),
        key("connection.timeout.ms", Int, Some("1000"), Low, "How long to wait for a connection; a request may take this and read.timeout.ms together.").check(Check::Between(0, 604_800_000)).group(CONNECTION),
        key("read.timeout.ms", Int, Some("3000"), Low, "How long to wait for a reply; doubles after each timeout up to flush.timeout.ms.").check(Check::Between(0, 604_800_000)).group(CONNECTION),
        key("key.ignore", Boolean, Some("false"), High, "Whether ids are made of topic, partition and offset instead of the key.").group(CONVERSION),
        key("topic.key.ignore", List, Some(""), Low, "Topics for which key.ignore is true.").group(CONVERSION),
        key("schema.ignore", Boolean, Some("false"), Low, "Whether Elasticsearch guesses the mapping instead of getting it from the schema.").group(CONVERSION),
        key("topic.schema.ignore", List, Some(""), Low, "Topics for which schema.ignore is true.").group(CONVERSION),
        key("compact.map.entries", Boolean, Some("true"), Low, "Whether a map with string keys is an object; else a list of key and value.").group(CONVERSION),
        key("drop.invalid.message", Boolean, Some("false"), Low, "Whether a record that can't become a document is skipped.").group(CONVERSION),
        key("behavior.on.null.values", Text, Some("fail"), Low, "What a tombstone does: fail, ignore it, or delete the document of its key.").check(Check::OneOf(&["fail", "FAIL", "ignore", "IGNORE", "delete", "DELETE"])).group(CONVERSION),
        key("behavior.on.malformed.documents", Text, Some("fail"), Low, "What happens to a document that Elasticsearch can't take, after it was offered to the dead letter topic: fail, warn and skip, or ignore.").check(Check::OneOf(&["fail", "FAIL", "warn", "WARN", "ignore", "IGNORE"])).group(CONVERSION),
        key("external.version.header", Text, None, Low, "The header that holds a record's version; else the source's `__version`, else the offset. Decided once per index.").check(Check::NonEmpty).group(CONVERSION),
        key("write.method", Text, Some("insert"), Low, "insert replaces documents; upsert merges the record's fields into them, without versions.").check(Check::OneOf(&["insert", "INSERT", "upsert", "UPSERT"])).group(CONVERSION),
        key("use.autogenerated.ids", Boolean, Some("false"), Low, "Whether Elasticsearch makes the ids; a record that is delivered again is then a second document.").group(CONVERSION),
        key("external.resource.usage", Text, Some("disabled"), Low, "index or alias_index writes to the resources of topic.to.external.resource.mapping, which must exist.").check(Check::OneOf(&["disabled", "DISABLED", "index", "INDEX", "alias_index", "ALIAS_INDEX"])).group(CONVERSION),
        key("topic.to.external.resource.mapping", List, Some(""), Low, "topic:index pairs, separated by commas.").check(Check::Custom(topic_resources)).group(CONVERSION),
        key("elastic.security.protocol", Text, Some("PLAINTEXT"), Medium, "Whether elastic.https.ssl.* apply.").check(Check::OneOf(&["PLAINTEXT", "SSL"])).no_op("https:// in connection.url decides").group(SECURITY),
        key("elastic.https.ssl.truststore.type", Text, None, Medium, "PEM; certificate authorities of the web are trusted without it.").check(Check::OneOf(&["PEM"])).group(SECURITY),
        key("elastic.https.ssl.truststore.location", Text, None, Medium, "A PEM file of the certificate authorities to trust too.").group(SECURITY),
        refused("elastic.https.ssl.keystore.location", Text, "A client certificate.", no_keystore).group(SECURITY),
        refused("proxy.host", Text, "A proxy.", no_proxy).group(SECURITY),
        refused("kerberos.user.principal", Text, "Kerberos.", no_kerberos).group(SECURITY),
        refused("kerberos.keytab.path", Text, "Kerberos.", no_kerberos).group(SECURITY),
        key("data.stream.type", Text, Some("none"), Low, "Data streams are not supported yet.").check(Check::OneOf(&["none", "NONE"])).group("Data Stream"),
        refused("data.stream.dataset", Text, "Data streams.", no_data_streams).group("Data Stream"),
        refused("data.stream.timestamp.field", List, "Data streams.", no_data_streams).group("Data Stream"),
    ])
}
