//! What is worked out once for an envelope's schema.

use aquifer_connect_api::{
    ByteString, ConnectError, Field, Record, Schema, SchemaBuilder, SchemaKind, SchemaRef, Value,
};

use super::added::Added;

/// The field that marks a rewritten delete.
pub(super) const DELETED_FIELD: &str = "__deleted";

/// Where the parts of the event stand, and the schema of what comes out.
pub(super) struct Plan {
    before: Option<usize>,
    after: usize,
    op: usize,
    pub(super) row_schema: SchemaRef,
    /// Position in the row and the default that replaces null there.
    defaults: Vec<(usize, Value)>,
    fields: Vec<Place>,
    headers: Vec<(ByteString, Option<SchemaRef>, Option<Place>)>,
    marks_deletes: bool,
}

/// A field of the event, or a field of a struct in it.
#[derive(Clone, Copy)]
struct Place {
    outer: usize,
    inner: Option<usize>,
}

impl Place {
    fn get(self, event: &[Value]) -> Value {
        let outer = event.get(self.outer);
        match self.inner {
            None => outer.cloned().unwrap_or_default(),
            Some(inner) => outer
                .and_then(Value::as_struct)
                .and_then(|values| values.get(inner))
                .cloned()
                .unwrap_or_default(),
        }
    }
}

impl Plan {
    /// The plan for an envelope; `None` for any other schema.
    pub(super) fn new(
        event: &SchemaRef,
        added: &Added,
        marks_deletes: bool,
    ) -> Result<Option<Plan>, ConnectError> {
        if !event.name().is_some_and(|name| name.ends_with(".Envelope")) {
            return Ok(None);
        }
        let (Some((after, after_field)), Some((op, _))) = (event.field("after"), event.field("op"))
        else {
            return Ok(None);
        };
        let row: &Schema = &after_field.schema;
        let mut fields: Vec<Field> = row.fields().to_vec();
        let default = |(index, field): (usize, &Field)| {
            field.schema.default.clone().map(|default| (index, default))
        };
        let defaults = fields.iter().enumerate().filter_map(default).collect();
        let mut places = Vec::new();
        for reference in &added.fields {
            let Some((outer, inner, schema)) = reference.find(event) else {
                return Err(ConnectError::record(format!(
                    "add.fields names {}, which the change event does not have",
                    reference.name
                )));
            };
            fields.push(Field { name: reference.name.clone(), schema: optional(&schema) });
            places.push(Place { outer, inner });
        }
        if marks_deletes {
            fields.push(Field {
                name: DELETED_FIELD.into(),
                schema: SchemaBuilder::string().optional().build(),
            });
        }
        let headers = added.headers.iter().map(|reference| match reference.find(event) {
            Some((outer, inner, schema)) => {
                (reference.name.clone(), Some(optional(&schema)), Some(Place { outer, inner }))
            }
            None => (reference.name.clone(), None, None),
        });
        let changed = !places.is_empty() || marks_deletes;
        let row_schema = if changed {
            SchemaRef::new(Schema { kind: SchemaKind::Struct(fields), ..row.clone() })
        } else {
            SchemaRef::clone(&after_field.schema)
        };
        let before = event.field("before").map(|(index, _)| index);
        Ok(Some(Plan {
            before,
            after,
            op,
            row_schema,
            defaults,
            headers: headers.collect(),
            fields: places,
            marks_deletes,
        }))
    }

    pub(super) fn is_delete(&self, event: &[Value]) -> bool {
        event.get(self.op).and_then(Value::as_str) == Some("d")
    }

    /// The row after the change, or before it where it was deleted.
    pub(super) fn take_row(&self, event: &mut [Value], deleted: bool) -> Value {
        let index = if deleted { self.before } else { Some(self.after) };
        index.and_then(|index| event.get_mut(index)).map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn fill_defaults(&self, row: &mut [Value]) {
        for (index, default) in &self.defaults {
            if let Some(value) = row.get_mut(*index).filter(|value| value.is_null()) {
                *value = default.clone();
            }
        }
    }

    pub(super) fn add_fields(&self, event: &mut [Value], row: &mut Vec<Value>, deleted: bool) {
        row.extend(self.fields.iter().map(|place| place.get(event)));
        if self.marks_deletes {
            row.push(Value::string(if deleted { "true" } else { "false" }));
        }
    }

    pub(super) fn add_headers(&self, event: &[Value], record: &mut Record) {
        for (name, schema, place) in &self.headers {
            let value = place.map(|place| place.get(event)).unwrap_or_default();
            record.headers.add(name.clone(), schema.clone(), value);
        }
    }
}

/// The same schema, null allowed: an added field may be missing in some events.
fn optional(schema: &SchemaRef) -> SchemaRef {
    if schema.optional {
        SchemaRef::clone(schema)
    } else {
        SchemaBuilder::from_schema(schema).optional().build()
    }
}
