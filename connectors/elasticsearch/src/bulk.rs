//! PURE: bodies of bulk requests as bytes, and what each item's reply means.
//!
//! - An item's bytes are made when its record arrives; a body is their concatenation.
//! - A reply is trusted in nothing: its shape, its number of items and its numbers are checked, and what can't be read is an error.
//!
//! References: Elasticsearch, bulk API; `version_type=external_gte`.

use aquifer_connect_api::ByteString;
use serde::Deserialize;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};

use crate::document::write_string;

mod verdict;

pub(crate) use verdict::{Verdict, verdict};

/// What is done to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The document is replaced, or created.
    Index,
    /// The fields are merged into the document, or it is created.
    Upsert,
    /// The document is deleted.
    Delete,
}

/// How often Elasticsearch itself retries an update that met another one.
const RETRY_ON_CONFLICT: u8 = 5;

/// Appends the action line of an item, with its line end. Without an id Elasticsearch makes one.
pub(crate) fn write_action(
    out: &mut Vec<u8>,
    operation: Operation,
    index: &str,
    id: Option<&str>,
    version: Option<i64>,
) {
    out.extend_from_slice(match operation {
        Operation::Index => b"{\"index\":{\"_index\":".as_slice(),
        Operation::Upsert => b"{\"update\":{\"_index\":".as_slice(),
        Operation::Delete => b"{\"delete\":{\"_index\":".as_slice(),
    });
    write_string(out, index);
    if let Some(id) = id {
        out.extend_from_slice(b",\"_id\":");
        write_string(out, id);
    }
    if let Some(version) = version {
        out.extend_from_slice(b",\"version\":");
        out.extend_from_slice(itoa::Buffer::new().format(version).as_bytes());
        out.extend_from_slice(b",\"version_type\":\"external_gte\"");
    }
    if operation == Operation::Upsert {
        out.extend_from_slice(format!(",\"retry_on_conflict\":{RETRY_ON_CONFLICT}").as_bytes());
    }
    out.extend_from_slice(b"}}\n");
}

/// Appends the document line; `write` appends the document itself.
pub(crate) fn write_source<E>(
    out: &mut Vec<u8>,
    operation: Operation,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    match operation {
        Operation::Delete => Ok(()),
        Operation::Index => {
            write(out)?;
            out.push(b'\n');
            Ok(())
        }
        Operation::Upsert => {
            out.extend_from_slice(b"{\"doc\":");
            write(out)?;
            out.extend_from_slice(b",\"doc_as_upsert\":true}\n");
            Ok(())
        }
    }
}

/// Adds fields, with their JSON, at the end of an index item's document.
pub(crate) fn append_fields<'a>(
    payload: &mut Vec<u8>,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    if !payload.ends_with(b"}\n") {
        return;
    }
    payload.truncate(payload.len() - 2);
    let mut separate = !payload.ends_with(b"{");
    for (name, json) in fields {
        if separate {
            payload.push(b',');
        }
        separate = true;
        write_string(payload, name);
        payload.push(b':');
        // A line end in JSON is only ever white space between tokens, and would end the document line here.
        payload.extend(json.bytes().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
    }
    payload.extend_from_slice(b"}\n");
}

/// One document of a multi-get: where it is and which fields are asked for.
pub(crate) fn write_multi_get<'a>(
    documents: impl IntoIterator<Item = (&'a str, &'a str, &'a [ByteString])>,
) -> Vec<u8> {
    let mut out = b"{\"docs\":[".to_vec();
    for (position, (index, id, fields)) in documents.into_iter().enumerate() {
        out.extend_from_slice(if position > 0 { b",{\"_index\":" } else { b"{\"_index\":" });
        write_string(&mut out, index);
        out.extend_from_slice(b",\"_id\":");
        write_string(&mut out, id);
        out.extend_from_slice(b",\"_source\":[");
        for (position, field) in fields.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            write_string(&mut out, field);
        }
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"]}");
    out
}

/// Why a reply can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplyError {
    #[error("the reply of {what} can't be read")]
    Unreadable {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("{expected} items were expected in the reply of {what}, but it has {found}")]
    Count { what: &'static str, expected: usize, found: usize },
}

/// A stored document of a multi-get: its fields, each as JSON.
pub(crate) type StoredFields = std::collections::HashMap<String, Box<serde_json::value::RawValue>>;

/// Reads a multi-get's reply: for each document its fields, or the reason why they are not known; `Ok(None)` means there is none.
pub(crate) fn read_multi_get(
    reply: &[u8],
    expected: usize,
) -> Result<Vec<Result<Option<StoredFields>, String>>, ReplyError> {
    #[derive(Deserialize)]
    struct Reply {
        docs: Vec<Doc>,
    }
    #[derive(Deserialize)]
    struct Doc {
        #[serde(default)]
        found: bool,
        #[serde(rename = "_source")]
        source: Option<StoredFields>,
        error: Option<ItemError>,
    }
    let what = "a multi-get";
    let reply: Reply =
        serde_json::from_slice(reply).map_err(|source| ReplyError::Unreadable { what, source })?;
    if reply.docs.len() != expected {
        return Err(ReplyError::Count { what, expected, found: reply.docs.len() });
    }
    let stored = |doc: Doc| match doc.error {
        Some(error) if error.kind == "index_not_found_exception" => Ok(None),
        Some(error) => Err(error.to_string()),
        None => Ok(doc.found.then(|| doc.source.unwrap_or_default())),
    };
    Ok(reply.docs.into_iter().map(stored).collect())
}

/// The reply for one item.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ItemReply {
    pub(crate) status: u16,
    pub(crate) error: Option<ItemError>,
}

/// Elasticsearch's reason.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ItemError {
    /// The exception's name, e.g. `document_parsing_exception`.
    pub(crate) kind: String,
    reason: String,
    cause: String,
}

impl std::fmt::Display for ItemError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.reason)?;
        if self.cause.is_empty() { Ok(()) } else { write!(f, " ({})", self.cause) }
    }
}

/// Reads a bulk's reply: one for each item that was sent, in their order.
pub(crate) fn read_bulk(reply: &[u8], expected: usize) -> Result<Vec<ItemReply>, ReplyError> {
    #[derive(Deserialize)]
    struct Reply {
        items: Vec<ItemReply>,
    }
    let what = "a bulk";
    let reply: Reply =
        serde_json::from_slice(reply).map_err(|source| ReplyError::Unreadable { what, source })?;
    if reply.items.len() != expected {
        return Err(ReplyError::Count { what, expected, found: reply.items.len() });
    }
    Ok(reply.items)
}

// An item is an object with one entry, named after the action.
impl<'de> Deserialize<'de> for ItemReply {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Inner {
            status: u16,
            error: Option<ItemError>,
        }
        struct Outer;
        impl<'de> Visitor<'de> for Outer {
            type Value = ItemReply;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with one action")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ItemReply, A::Error> {
                if map.next_key::<IgnoredAny>()?.is_none() {
                    return Err(de::Error::custom("an item without an action"));
                }
                let Inner { status, error } = map.next_value()?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(ItemReply { status, error })
            }
        }
        deserializer.deserialize_map(Outer)
    }
}

// Mostly an object; old versions and proxies give text.
impl<'de> Deserialize<'de> for ItemError {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Object {
            r#type: Option<String>,
            reason: Option<String>,
            caused_by: Option<Box<Object>>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Object(Object),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(reason) => ItemError { reason, ..ItemError::default() },
            Either::Object(object) => ItemError {
                kind: object.r#type.unwrap_or_default(),
                reason: object.reason.unwrap_or_default(),
                cause: object.caused_by.and_then(|cause| cause.reason).unwrap_or_default(),
            },
        })
    }
}

#[cfg(test)]
mod tests;
