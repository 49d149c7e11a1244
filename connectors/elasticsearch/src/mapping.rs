//! PURE: the mapping of an index, from schemas, and how it grows.
//!
//! | value | mapping |
//! |---|---|
//! | every integer | `long`: a column that gets wider needs no new index |
//! | every float | `double`, for the same reason |
//! | decimal | `double`, and beyond 15 digits a `keyword` beside it for exact look-ups; the document itself always has every digit |
//! | text | `text` with a `keyword` beside it (`ignore_above` 256) |
//! | UUID, enum, interval | `keyword` |
//! | date, moment | `date`; documents have ISO text, so that microseconds are kept |
//! | time of day | `keyword` of ISO text, which sorts as time does; Elasticsearch has no such type |
//! | bytes, bits | `binary` |
//! | struct, array | `properties` of the fields; the items' mapping |
//! | map | `object`, or `key` and `value` where it is a list of pairs |
//!
//! Only types that every edition and OpenSearch have are used. A mapping grows by adding fields; what is there is never changed.
//! `_meta.aquifer` holds how the index's versions are decided ([`Versions`]): once, for all writers.

use serde_json::{Map, Value, json};

use aquifer_connect_api::Schema;

use crate::document::MapEntries;
use crate::field::{Meaning, meaning};
use crate::version::Versions;

/// Digits that a double holds exactly.
const DOUBLE_DIGITS: u32 = 15;

/// The properties for the fields of a schema; none for a value that isn't a struct.
pub(crate) fn properties(schema: &Schema, entries: MapEntries) -> Map<String, Value> {
    let Meaning::Struct(fields) = meaning(schema) else { return Map::new() };
    fields.iter().map(|f| (f.name.to_string(), property(&f.schema, entries))).collect()
}

fn property(schema: &Schema, entries: MapEntries) -> Value {
    let exact = json!({"keyword": {"type": "keyword", "ignore_above": 256}});
    match meaning(schema) {
        Meaning::Boolean => json!({"type": "boolean"}),
        Meaning::Integer => json!({"type": "long"}),
        Meaning::Decimal { precision: Some(digits), .. } if digits <= DOUBLE_DIGITS => {
            json!({"type": "double"})
        }
        Meaning::Float => json!({"type": "double"}),
        Meaning::Decimal { .. } | Meaning::VariableDecimal => {
            json!({"type": "double", "fields": exact})
        }
        Meaning::Text => json!({"type": "text", "fields": exact}),
        Meaning::Keyword | Meaning::TimeOfDay(_) => json!({"type": "keyword"}),
        Meaning::Bytes => json!({"type": "binary"}),
        Meaning::Date(_) | Meaning::DateText => {
            json!({"type": "date", "format": "strict_date_optional_time||epoch_millis"})
        }
        Meaning::Array(items) => property(items, entries),
        Meaning::Map(keys, values) => {
            let is_text = matches!(meaning(keys), Meaning::Text | Meaning::Keyword);
            if is_text && entries == MapEntries::Compact {
                json!({"type": "object"})
            } else {
                let pair =
                    json!({"key": property(keys, entries), "value": property(values, entries)});
                json!({"properties": pair})
            }
        }
        Meaning::Struct(_) => json!({"properties": properties(schema, entries)}),
    }
}

/// What `wanted` has and `existing` lacks, inside objects too; `None` when nothing is missing.
pub(crate) fn missing(
    wanted: &Map<String, Value>,
    existing: &Map<String, Value>,
) -> Option<Map<String, Value>> {
    let mut added = Map::new();
    for (name, want) in wanted {
        let Some(have) = existing.get(name) else {
            added.insert(name.clone(), want.clone());
            continue;
        };
        let inner = (want.get("properties"), have.get("properties"));
        if let (Some(Value::Object(want)), Some(Value::Object(have))) = inner
            && let Some(inner) = missing(want, have)
        {
            added.insert(name.clone(), json!({"properties": inner}));
        }
    }
    (!added.is_empty()).then_some(added)
}

/// Adds to `existing` what `missing` found.
pub(crate) fn merge(existing: &mut Map<String, Value>, added: &Map<String, Value>) {
    for (name, add) in added {
        let inner = existing.get_mut(name).and_then(|have| have.get_mut("properties"));
        match (inner, add.get("properties")) {
            (Some(Value::Object(have)), Some(Value::Object(add))) => merge(have, add),
            _ => {
                existing.insert(name.clone(), add.clone());
            }
        }
    }
}

/// The body that creates an index. Deletes are remembered for an hour, so that a late write can't bring a document back.
pub(crate) fn create_body(properties: &Map<String, Value>, versions: &Versions) -> Value {
    json!({
        "settings": {"index": {"gc_deletes": GC_DELETES}},
        "mappings": {"_meta": {META: versions.to_meta()}, "properties": properties},
    })
}

/// How long our indexes remember deletes.
pub(crate) const GC_DELETES: &str = "1h";
/// Our key in a mapping's `_meta`.
pub(crate) const META: &str = "aquifer";

/// An index as its mapping shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mapped {
    /// The index's own name, where it was asked for by an alias.
    pub(crate) index: String,
    /// All of `_meta`, ours and others'.
    pub(crate) meta: Map<String, Value>,
    /// The fields.
    pub(crate) properties: Map<String, Value>,
}

impl Mapped {
    /// Reads a reply of `GET /{index}/_mapping`; of several indexes behind an alias, the last by name.
    pub(crate) fn from_reply(reply: &Value) -> Option<Self> {
        let (index, body) = reply.as_object()?.iter().max_by_key(|(name, _)| name.as_str())?;
        let mappings = body.get("mappings")?;
        let object =
            |key| mappings.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        Some(Mapped {
            index: index.clone(),
            meta: object("_meta"),
            properties: object("properties"),
        })
    }

    /// How versions were decided; `None` when nobody has.
    pub(crate) fn versions(&self) -> Option<Result<Versions, String>> {
        self.meta.get(META).map(Versions::from_meta)
    }

    /// The body of a mapping update that decides versions and keeps what others have in `_meta`.
    pub(crate) fn decide_body(&self, versions: &Versions) -> Value {
        let mut meta = self.meta.clone();
        meta.insert(META.to_owned(), versions.to_meta());
        json!({"_meta": meta})
    }
}

#[cfg(test)]
mod tests;
