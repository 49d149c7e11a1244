//! A table as the stream or the catalogue describes it, compiled once: schemas, and a plan to decode its rows. PURE.
//!
//! The columns and their types are those of the relation message, so they are right for the change that follows, whatever the
//! table looks like by now. The catalogue adds what the message lacks: nullability, defaults, the order of key columns.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

use aquifer_connect_api::{ByteString, SchemaBuilder, SchemaRef, Value};
use bytes::{Bytes, BytesMut};

use crate::column::{Types, default_value, resolve};
use crate::envelope::Envelopes;
use crate::lsn::Lsn;
use crate::pgoutput::{ReplicaIdentity, Tuple, TupleValue};
use crate::settings::{Adjustment, EventSettings, OnBadValue};
use crate::value::{Decoder, Raw};

/// A relation message that outlives its buffer; a snapshot makes the same from the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelationShape {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) identity: ReplicaIdentity,
    pub(crate) columns: Vec<ColumnShape>,
}

/// One column of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnShape {
    pub(crate) name: String,
    /// Part of the replica identity.
    pub(crate) key: bool,
    pub(crate) type_oid: u32,
    pub(crate) modifier: i32,
}

impl RelationShape {
    pub(crate) fn of(relation: &crate::pgoutput::Relation<'_>) -> Self {
        let schema = if relation.namespace.is_empty() { "pg_catalog" } else { relation.namespace };
        let column = |column: &crate::pgoutput::Column<'_>| ColumnShape {
            name: column.name.to_owned(),
            key: column.key,
            type_oid: column.type_oid,
            modifier: column.type_modifier,
        };
        RelationShape {
            oid: relation.oid,
            schema: schema.to_owned(),
            table: relation.name.to_owned(),
            identity: relation.replica_identity,
            columns: relation.columns.iter().map(column).collect(),
        }
    }
}

/// What only the catalogue knows of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableFacts {
    /// Columns that may not be null, with their default expressions.
    pub(crate) not_null: Vec<(String, Option<String>)>,
    /// The primary key's columns in its order.
    pub(crate) primary_key: Vec<String>,
}

/// How one column is decoded.
#[derive(Debug)]
struct ColumnPlan {
    name: ByteString,
    /// `None`: the type is not supported, the column is left out.
    decoder: Option<Decoder>,
    /// What null becomes: null, or where the schema forbids that, a default.
    null: Value,
    optional: bool,
    /// Whether the column is in the values, or at most in the key.
    in_value: bool,
    placeholder: Value,
}

/// A table, compiled.
#[derive(Debug)]
pub(crate) struct CompiledRelation {
    pub(crate) schema: ByteString,
    pub(crate) table: ByteString,
    pub(crate) topic: ByteString,
    pub(crate) key_schema: Option<SchemaRef>,
    pub(crate) envelope_schema: SchemaRef,
    columns: Vec<ColumnPlan>,
    /// Positions of the key's columns in a row.
    key: Vec<usize>,
    /// Every column is in the values, so a row is its value.
    whole: bool,
    on_bad_value: OnBadValue,
}

/// A row: one value for each column of the relation.
pub(crate) type RowValues = Vec<Value>;

impl CompiledRelation {
    pub(crate) fn compile(
        shape: &RelationShape,
        facts: &TableFacts,
        types: &Types,
        settings: &EventSettings,
        envelopes: &Envelopes,
    ) -> Self {
        let key = key_positions(shape, facts);
        let base = topic_name(settings, &shape.schema, &shape.table);
        let prefix = format!("{}.{}.{}", settings.prefix, shape.schema, shape.table);
        let mut columns = Vec::with_capacity(shape.columns.len());
        let mut fields: Vec<Option<(ByteString, SchemaRef)>> = Vec::new();
        for (position, column) in shape.columns.iter().enumerate() {
            let is_key = key.contains(&position);
            let (plan, schema) = compile_column(shape, column, facts, types, settings);
            let name = adjusted(&column.name, settings.field_names, false);
            fields.push(schema.filter(|_| plan.in_value || is_key).map(|s| (name.into(), s)));
            columns.push(plan);
        }
        let field = |position: usize| fields.get(position).and_then(Clone::clone);
        let structure = |suffix: &str| {
            let name = format!("{prefix}.{suffix}");
            SchemaBuilder::structure().name(adjusted(&name, settings.schema_names, true))
        };
        let key: Vec<usize> = key.into_iter().filter(|p| field(*p).is_some()).collect();
        let key_fields = key.iter().filter_map(|position| field(*position));
        let key_schema =
            key_fields.fold(structure("Key"), |b, (name, schema)| b.field(name, schema));
        let mut value_schema = structure("Value").optional();
        for (plan, field) in columns.iter().zip(&fields) {
            if let (true, Some((name, schema))) = (plan.in_value, field) {
                value_schema = value_schema.field(name.clone(), schema.clone());
            }
        }
        let envelope = adjusted(&format!("{prefix}.Envelope"), settings.schema_names, true);
        CompiledRelation {
            schema: shape.schema.as_str().into(),
            table: shape.table.as_str().into(),
            topic: base.into(),
            key_schema: (!key.is_empty()).then(|| key_schema.build()),
            envelope_schema: envelopes.schema(&envelope, &value_schema.build()),
            whole: columns.iter().all(|plan| plan.in_value && plan.decoder.is_some()),
            columns,
            key,
            on_bad_value: settings.on_bad_value,
        }
    }

    /// Decodes a tuple of the stream. Values that were not sent come from `old`, or else are named in `unavailable`.
    pub(crate) fn tuple(
        &self,
        tuple: Tuple<'_>,
        buffer: &Bytes,
        old: Option<&RowValues>,
        at: &mut RowContext<'_>,
    ) -> Result<RowValues, BadValue> {
        let mut row = Vec::with_capacity(self.columns.len());
        for (position, (plan, value)) in self.columns.iter().zip(tuple.values()).enumerate() {
            row.push(match value {
                TupleValue::Null => plan.null.clone(),
                TupleValue::Text(text) => {
                    let raw = Raw { text, buffer: Some(buffer) };
                    self.column(plan, raw, at)?
                }
                TupleValue::Unchanged => match old.and_then(|old| old.get(position)) {
                    Some(old) => old.clone(),
                    None if plan.decoder.is_none() => Value::Null,
                    None => {
                        at.unavailable.push(plan.name.clone());
                        plan.placeholder.clone()
                    }
                },
            });
        }
        row.resize(self.columns.len(), Value::Null);
        Ok(row)
    }

    /// Decodes a row of texts, `None` for null; too few texts leave the rest null.
    pub(crate) fn texts<'a>(
        &self,
        texts: impl Iterator<Item = Option<Raw<'a>>>,
        at: &mut RowContext<'_>,
    ) -> Result<RowValues, BadValue> {
        let mut row = Vec::with_capacity(self.columns.len());
        for (plan, text) in self.columns.iter().zip(texts) {
            row.push(match text {
                None => plan.null.clone(),
                Some(raw) => self.column(plan, raw, at)?,
            });
        }
        row.resize(self.columns.len(), Value::Null);
        Ok(row)
    }

    fn column(
        &self,
        plan: &ColumnPlan,
        raw: Raw<'_>,
        at: &mut RowContext<'_>,
    ) -> Result<Value, BadValue> {
        let Some(decoder) = &plan.decoder else { return Ok(Value::Null) };
        let error = match decoder.decode(raw, at.scratch) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let name = || plan.name.to_string();
        match self.on_bad_value {
            OnBadValue::Warn if plan.optional => {
                tracing::warn!(table = %format!("{}.{}", self.schema, self.table), column = %plan.name,
                    lsn = %at.lsn, %error, "value written as null");
                Ok(Value::Null)
            }
            OnBadValue::Skip if plan.optional => Ok(Value::Null),
            OnBadValue::Fail | OnBadValue::Warn | OnBadValue::Skip => Err(BadValue {
                table: format!("{}.{}", self.schema, self.table),
                column: name(),
                reason: error.to_string(),
            }),
        }
    }

    /// The key of a row; null for a table without one.
    pub(crate) fn key(&self, row: &RowValues) -> Value {
        if self.key.is_empty() {
            return Value::Null;
        }
        let values = self.key.iter().map(|position| row.get(*position).cloned());
        Value::Struct(values.map(Option::unwrap_or_default).collect())
    }

    /// The struct of a row's captured columns.
    pub(crate) fn value(&self, row: RowValues) -> Value {
        if self.whole {
            return Value::Struct(row);
        }
        let kept = row.into_iter().zip(&self.columns);
        let kept = kept.filter(|(_, plan)| plan.in_value && plan.decoder.is_some());
        Value::Struct(kept.map(|(value, _)| value).collect())
    }

    /// Whether the names in `unavailable` are of captured columns.
    pub(crate) fn captures(&self, column: &ByteString) -> bool {
        self.columns.iter().any(|plan| plan.name == *column && plan.in_value)
    }
}

/// What decoding a row needs besides the row.
pub(crate) struct RowContext<'a> {
    pub(crate) scratch: &'a mut BytesMut,
    pub(crate) unavailable: &'a mut Vec<ByteString>,
    pub(crate) lsn: Lsn,
}

/// A value without a place in its schema.
#[derive(Debug)]
pub(crate) struct BadValue {
    pub(crate) table: String,
    pub(crate) column: String,
    pub(crate) reason: String,
}

fn compile_column(
    shape: &RelationShape,
    column: &ColumnShape,
    facts: &TableFacts,
    types: &Types,
    settings: &EventSettings,
) -> (ColumnPlan, Option<SchemaRef>) {
    let resolved = resolve(column.type_oid, column.modifier, types, &settings.types);
    let in_value = settings.filters.column(&shape.schema, &shape.table, &column.name);
    if resolved.is_none() && in_value {
        tracing::warn!(table = %format!("{}.{}", shape.schema, shape.table), column = %column.name,
            type_oid = column.type_oid, "column left out: its type is not supported (include.unknown.datatypes)");
    }
    let fact = facts.not_null.iter().find(|(name, _)| *name == column.name);
    let name: ByteString = adjusted(&column.name, settings.field_names, false).into();
    let mut plan = ColumnPlan {
        name,
        decoder: None,
        null: Value::Null,
        optional: fact.is_none(),
        in_value: in_value && resolved.is_some(),
        placeholder: Value::Null,
    };
    let Some((mut schema, decoder)) = resolved else { return (plan, None) };
    // A nullable column's default stays out of the schema: converters would put it where the row says null.
    if let Some((_, expression)) = fact {
        let default = expression.as_deref().and_then(|text| default_value(text, &decoder));
        plan.null = default.clone().unwrap_or_else(|| decoder.zero());
        if let Some(default) = default {
            schema = schema.default_value(default);
        }
    } else {
        schema = schema.optional();
    }
    let placeholder = decoder.placeholder(&settings.placeholder);
    plan.placeholder = placeholder.unwrap_or_else(|| plan.null.clone());
    plan.decoder = Some(decoder);
    (plan, Some(schema.build()))
}

/// The columns of the key: the replica identity's where updates and deletes carry just these, else the primary key's.
fn key_positions(shape: &RelationShape, facts: &TableFacts) -> Vec<usize> {
    let position = |name: &String| shape.columns.iter().position(|column| column.name == *name);
    let flagged = shape.columns.iter().enumerate().filter(|(_, column)| column.key);
    let mut flagged: Vec<usize> = flagged.map(|(position, _)| position).collect();
    let primary: Option<Vec<usize>> = facts.primary_key.iter().map(position).collect();
    let primary = primary.filter(|primary| !primary.is_empty());
    match shape.identity {
        ReplicaIdentity::Full | ReplicaIdentity::Nothing => primary.unwrap_or_default(),
        ReplicaIdentity::Default | ReplicaIdentity::Index => {
            // The flags are of the time of the change, the catalogue of now; it gives the order if it still agrees.
            let agreeing = primary.filter(|primary| {
                let mut sorted = primary.clone();
                sorted.sort_unstable();
                flagged.sort_unstable();
                sorted == flagged
            });
            agreeing.unwrap_or(flagged)
        }
    }
}

/// `prefix.schema.table`, with what a topic's name can't hold replaced by `_`.
fn topic_name(settings: &EventSettings, schema: &str, table: &str) -> String {
    let name = [settings.prefix.as_str(), schema, table].join(&settings.delimiter);
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.chars().map(|c| if valid(c) { c } else { '_' }).collect()
}

/// A name that Avro accepts, if asked for; `dots` may separate the parts of a full name.
fn adjusted(name: &str, mode: Adjustment, dots: bool) -> String {
    if mode == Adjustment::None {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len());
    let mut start = true;
    for c in name.chars() {
        if dots && c == '.' {
            out.push(c);
            start = true;
            continue;
        }
        let valid = c.is_ascii_alphabetic() || c == '_' || (!start && c.is_ascii_digit());
        start = false;
        if valid && !(mode == Adjustment::AvroUnicode && c == '_') {
            out.push(c);
        } else if mode == Adjustment::AvroUnicode {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("_u{unit:04x}"));
            }
        } else {
            out.push('_');
        }
    }
    out
}

#[cfg(test)]
mod tests;
