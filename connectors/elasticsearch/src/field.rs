//! PURE: what a Connect schema means to Elasticsearch; the mapping and the document are both made from this, so they can't disagree.
//!
//! References: Kafka Connect's logical types, Debezium's semantic types (`aquifer_connect_api::logical`).

use aquifer_connect_api::{Field, Schema, SchemaKind, SchemaRef, logical};

/// The unit of an encoded date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Days,
    Millis,
    Micros,
    Nanos,
}

/// A value's meaning.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meaning<'a> {
    Boolean,
    Integer,
    Float,
    /// Text that is searched.
    Text,
    /// Text that is only compared.
    Keyword,
    Bytes,
    /// A date or a moment, counted from the epoch.
    Date(Unit),
    /// A moment as ISO 8601 text with a zone.
    DateText,
    /// A time of day, counted from midnight.
    TimeOfDay(Unit),
    /// Unscaled bytes; the precision is known where the schema tells it.
    Decimal {
        scale: i32,
        precision: Option<u32>,
    },
    /// A struct of scale and unscaled bytes.
    VariableDecimal,
    Array(&'a SchemaRef),
    Map(&'a SchemaRef, &'a SchemaRef),
    Struct(&'a [Field]),
}

/// The meaning of a schema.
pub(crate) fn meaning(schema: &Schema) -> Meaning<'_> {
    let name = schema.name().unwrap_or_default();
    match &schema.kind {
        SchemaKind::Boolean => Meaning::Boolean,
        SchemaKind::Int8 | SchemaKind::Int16 => Meaning::Integer,
        SchemaKind::Int32 => match name {
            logical::DATE | logical::DEBEZIUM_DATE => Meaning::Date(Unit::Days),
            logical::TIME | logical::DEBEZIUM_TIME => Meaning::TimeOfDay(Unit::Millis),
            _ => Meaning::Integer,
        },
        SchemaKind::Int64 => match name {
            logical::TIMESTAMP | logical::DEBEZIUM_TIMESTAMP => Meaning::Date(Unit::Millis),
            logical::DEBEZIUM_MICRO_TIMESTAMP => Meaning::Date(Unit::Micros),
            logical::DEBEZIUM_NANO_TIMESTAMP => Meaning::Date(Unit::Nanos),
            logical::DEBEZIUM_MICRO_TIME => Meaning::TimeOfDay(Unit::Micros),
            logical::DEBEZIUM_NANO_TIME => Meaning::TimeOfDay(Unit::Nanos),
            _ => Meaning::Integer,
        },
        SchemaKind::Float32 | SchemaKind::Float64 => Meaning::Float,
        SchemaKind::String => match name {
            logical::DEBEZIUM_ZONED_TIMESTAMP => Meaning::DateText,
            logical::DEBEZIUM_UUID
            | logical::DEBEZIUM_ENUM
            | logical::DEBEZIUM_ZONED_TIME
            | logical::DEBEZIUM_INTERVAL => Meaning::Keyword,
            _ => Meaning::Text,
        },
        SchemaKind::Bytes if name == logical::DECIMAL => Meaning::Decimal {
            scale: schema.parameter("scale").and_then(|text| text.parse().ok()).unwrap_or(0),
            precision: schema
                .parameter("connect.decimal.precision")
                .and_then(|text| text.parse().ok()),
        },
        SchemaKind::Bytes => Meaning::Bytes,
        SchemaKind::Array(items) => Meaning::Array(items),
        SchemaKind::Map(keys, values) => Meaning::Map(keys, values),
        SchemaKind::Struct(_) if name == logical::DEBEZIUM_VARIABLE_SCALE_DECIMAL => {
            Meaning::VariableDecimal
        }
        SchemaKind::Struct(fields) => Meaning::Struct(fields),
    }
}
