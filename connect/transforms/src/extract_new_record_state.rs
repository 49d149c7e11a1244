//! ExtractNewRecordState: a change event becomes the row as it is now.
//!
//! - `delete.tombstone.handling.mode` says what becomes of a delete event and of the tombstone behind it.
//! - What is no change event (a heartbeat, a record of another source) passes as it is.
//! - Headers stay, so that a sink still sees the change's version and the fields whose value is unavailable.
//!
//! References: Debezium 3.3, "New Record State Extraction".

mod added;
mod plan;

use std::sync::LazyLock;

use aquifer_connect_api::config::{
    Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance, ParsedConfig,
};
use aquifer_connect_api::{
    ByteString, ConnectError, Record, SchemaCache, SchemaRef, Transform, Value,
};

use crate::part::parse;
use added::Added;
use plan::Plan;

pub(crate) fn config_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
        let modes = Check::OneOf(&[
            "tombstone",
            "drop",
            "rewrite",
            "rewrite-with-tombstone",
            "delete-to-tombstone",
        ]);
        let optional = ConfigKey::optional;
        ConfigDef::new(vec![
            optional(
                "delete.tombstone.handling.mode",
                ConfigType::String,
                None,
                Importance::Medium,
                "What becomes of a delete and its tombstone; tombstone when not given.",
            )
            .check(modes),
            optional(
                "drop.tombstones",
                ConfigType::Boolean,
                None,
                Importance::Low,
                "The older spelling: whether tombstones are left out.",
            ),
            optional(
                "delete.handling.mode",
                ConfigType::String,
                None,
                Importance::Low,
                "The older spelling: drop, rewrite or none.",
            )
            .check(Check::OneOf(&["drop", "rewrite", "none"])),
            optional(
                "add.fields",
                ConfigType::List,
                Some(""),
                Importance::Low,
                "Fields of the event to add to the row, as field, struct.field or field:new-name.",
            ),
            optional(
                "add.fields.prefix",
                ConfigType::String,
                Some("__"),
                Importance::Low,
                "Put before the names of added fields.",
            ),
            optional(
                "add.headers",
                ConfigType::List,
                Some(""),
                Importance::Low,
                "Fields of the event to add as headers, spelt as in add.fields.",
            ),
            optional(
                "add.headers.prefix",
                ConfigType::String,
                Some("__"),
                Importance::Low,
                "Put before the names of added headers.",
            ),
            optional(
                "route.by.field",
                ConfigType::String,
                Some(""),
                Importance::Low,
                "The field of the row that names the topic to go to.",
            ),
            optional(
                "replace.null.with.default",
                ConfigType::Boolean,
                Some("true"),
                Importance::Low,
                "A null field becomes the default of its schema.",
            ),
        ])
    });
    &DEF
}

/// What becomes of deletes and tombstones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deletes {
    /// The event goes, the tombstone stays.
    Tombstone,
    /// Both go.
    Drop,
    /// The event becomes the row before, marked; the tombstone goes.
    Rewrite,
    /// The event becomes the row before, marked; the tombstone stays.
    RewriteWithTombstone,
    /// The event becomes a tombstone; the tombstone behind it goes.
    DeleteToTombstone,
}

impl Deletes {
    fn from_config(config: &ParsedConfig) -> Deletes {
        match config.get("delete.tombstone.handling.mode") {
            Some("drop") => return Deletes::Drop,
            Some("rewrite") => return Deletes::Rewrite,
            Some("rewrite-with-tombstone") => return Deletes::RewriteWithTombstone,
            Some("delete-to-tombstone") => return Deletes::DeleteToTombstone,
            Some(_) => return Deletes::Tombstone,
            None => {}
        }
        // The two keys that this one replaced; each has a default only where the other is given.
        let drop_tombstones = config.get("drop.tombstones").map(|_| config.bool("drop.tombstones"));
        match (config.get("delete.handling.mode"), drop_tombstones) {
            (None, None | Some(false)) | (Some("drop"), Some(false)) => Deletes::Tombstone,
            (None | Some("drop"), _) => Deletes::Drop,
            (Some("rewrite"), Some(false)) => Deletes::RewriteWithTombstone,
            (Some("rewrite"), _) => Deletes::Rewrite,
            (Some(_), _) => Deletes::DeleteToTombstone,
        }
    }

    fn rewrites(self) -> bool {
        matches!(self, Deletes::Rewrite | Deletes::RewriteWithTombstone)
    }

    fn keeps_tombstone(self) -> bool {
        matches!(self, Deletes::Tombstone | Deletes::RewriteWithTombstone)
    }
}

pub(crate) fn new(config: &ConfigMap) -> Result<Box<dyn Transform>, ConnectError> {
    let config = parse(config_def(), config)?;
    let route_by = Some(config.string("route.by.field"))
        .filter(|field| !field.is_empty())
        .map(ByteString::from);
    Ok(Box::new(ExtractNewRecordState {
        deletes: Deletes::from_config(&config),
        added: Added {
            fields: added::parse(&config.list("add.fields"), config.string("add.fields.prefix")),
            headers: added::parse(&config.list("add.headers"), config.string("add.headers.prefix")),
        },
        route_by,
        with_default: config.bool("replace.null.with.default"),
        plans: SchemaCache::default(),
    }))
}

struct ExtractNewRecordState {
    deletes: Deletes,
    added: Added,
    route_by: Option<ByteString>,
    with_default: bool,
    /// `None` for a schema that is no envelope.
    plans: SchemaCache<Option<Plan>>,
}

impl Transform for ExtractNewRecordState {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConnectError> {
        if record.value.is_null() {
            return Ok(self.deletes.keeps_tombstone().then_some(record));
        }
        let Some(schema) = record.value_schema.take() else {
            return self.extract_schemaless(record);
        };
        let plan = self.plans.get_or_make(&schema, |schema| {
            Plan::new(schema, &self.added, self.deletes.rewrites())
        })?;
        let Some(plan) = plan.as_ref() else {
            record.value_schema = Some(schema);
            return Ok(Some(record));
        };
        let Value::Struct(mut event) = std::mem::take(&mut record.value) else {
            return Err(ConnectError::record("the value of a change event is not a struct"));
        };
        let deleted = plan.is_delete(&event);
        if deleted && matches!(self.deletes, Deletes::Tombstone | Deletes::Drop) {
            return Ok(None);
        }
        plan.add_headers(&event, &mut record);
        if deleted && self.deletes == Deletes::DeleteToTombstone {
            return Ok(Some(record));
        }
        let Value::Struct(mut row) = plan.take_row(&mut event, deleted) else {
            // A truncate has no row.
            return Ok(None);
        };
        if self.with_default {
            plan.fill_defaults(&mut row);
        }
        self.route(&plan.row_schema, &row, &mut record);
        plan.add_fields(&mut event, &mut row, deleted);
        record.value = Value::Struct(row);
        record.value_schema = Some(SchemaRef::clone(&plan.row_schema));
        Ok(Some(record))
    }
}

impl ExtractNewRecordState {
    fn route(&self, schema: &SchemaRef, row: &[Value], record: &mut Record) {
        let field = self.route_by.as_ref().and_then(|name| schema.field(name));
        if let Some(Value::String(topic)) = field.and_then(|(index, _)| row.get(index)) {
            record.topic = topic.clone();
        }
    }

    /// The same for a schemaless event, a map with `op` and `after`.
    fn extract_schemaless(&self, mut record: Record) -> Result<Option<Record>, ConnectError> {
        let Some(op) = record
            .value
            .get("op")
            .and_then(Value::as_str)
            .filter(|_| record.value.get("source").is_some())
        else {
            return Ok(Some(record));
        };
        let deleted = op == "d";
        if deleted && matches!(self.deletes, Deletes::Tombstone | Deletes::Drop) {
            return Ok(None);
        }
        let event = std::mem::take(&mut record.value);
        for added in &self.added.headers {
            record.headers.add(added.name.clone(), None, added.find_schemaless(&event));
        }
        if deleted && self.deletes == Deletes::DeleteToTombstone {
            return Ok(Some(record));
        }
        let row = event.get(if deleted { "before" } else { "after" }).cloned().unwrap_or_default();
        let Value::Map(mut row) = row else { return Ok(None) };
        for added in &self.added.fields {
            row.push((Value::String(added.name.clone()), added.find_schemaless(&event)));
        }
        if self.deletes.rewrites() {
            row.push((
                Value::string(plan::DELETED_FIELD),
                Value::string(if deleted { "true" } else { "false" }),
            ));
        }
        record.value = Value::Map(row);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests;
