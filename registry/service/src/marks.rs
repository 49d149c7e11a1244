//! The highest ids ever given out, kept outside `_schemas`: they outlive hard deletes, compaction and restarts. PURE.
//!
//! A mark is written before a hard delete that could take the highest id away, so registering costs nothing more.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The topic that keeps the marks of every registry topic in a cluster.
pub(crate) const MARKS_TOPIC: &str = "_aquifer_registry";

/// The marks of one registry topic, by context.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    topic: String,
    highest: BTreeMap<String, i32>,
}

impl Marks {
    pub(crate) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), highest: BTreeMap::new() }
    }

    /// Applies a record; a mark never goes down.
    pub(crate) fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
        let (Some(key), Some(value)) = (read(key), value.and_then(read)) else { return };
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        if text("keytype") != Some("HIGHEST_ID") || text("topic") != Some(&self.topic) {
            return;
        }
        let id = value.get("id").and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok());
        if let (Some(context), Some(id)) = (text("context"), id) {
            let mark = self.highest.entry(context.to_owned()).or_default();
            *mark = (*mark).max(id);
        }
    }

    /// The highest id that was marked in a context.
    pub(crate) fn highest(&self, context: &str) -> i32 {
        self.highest.get(context).copied().unwrap_or(0)
    }

    /// The record that marks an id.
    pub(crate) fn record(topic: &str, context: &str, id: i32) -> (Vec<u8>, Vec<u8>) {
        let key = json!({"keytype": "HIGHEST_ID", "topic": topic, "context": context});
        (key.to_string().into_bytes(), json!({"id": id}).to_string().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_per_topic_and_context_and_never_go_down() {
        let mut marks = Marks::new("_schemas");
        for (topic, context, id) in
            [("_schemas", ".", 7), ("_schemas", ".", 5), ("_schemas", ".c", 2), ("other", ".", 99)]
        {
            let (key, value) = Marks::record(topic, context, id);
            marks.apply(&key, Some(&value));
        }
        marks.apply(b"junk", Some(b"junk"));
        assert_eq!((marks.highest("."), marks.highest(".c"), marks.highest(".d")), (7, 2, 0));
    }
}
