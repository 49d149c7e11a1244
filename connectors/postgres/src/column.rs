//! A column's type to the schema and the decoder of its values, as Debezium 3.3 maps types. PURE.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

use std::collections::HashMap;

use aquifer_connect_api::{SchemaBuilder, Value, logical};
use bytes::BytesMut;

use crate::settings::{DecimalMode, TimeMode, TypeModes};
use crate::value::time::TimeUnit;
use crate::value::{BinaryMode, Decoder, MoneyMode, Raw};

/// What the catalogue says of a type.
#[derive(Debug, Clone, Default)]
pub(crate) struct TypeInfo {
    pub(crate) name: String,
    /// `typtype`: `b` base, `d` domain, `e` enum, and others.
    pub(crate) kind: char,
    /// The type that a domain is made of.
    pub(crate) base: u32,
    pub(crate) base_modifier: i32,
    /// The type of an array's items, else 0.
    pub(crate) element: u32,
    /// An enum's labels in their order.
    pub(crate) labels: Vec<String>,
}

/// Types by OID.
pub(crate) type Types = HashMap<u32, TypeInfo>;

/// The schema, still without optionality, and the decoder of a column; `None` for a type that is not supported.
pub(crate) fn resolve(
    type_oid: u32,
    modifier: i32,
    types: &Types,
    modes: &TypeModes,
) -> Option<(SchemaBuilder, Decoder)> {
    // Domains of domains end; a catalogue that says otherwise is not followed forever.
    resolve_within(type_oid, modifier, types, modes, 32)
}

fn resolve_within(
    type_oid: u32,
    modifier: i32,
    types: &Types,
    modes: &TypeModes,
    depth: u8,
) -> Option<(SchemaBuilder, Decoder)> {
    if let Some(found) = built_in(type_oid, modifier, modes) {
        return Some(found);
    }
    let unknown = || modes.include_unknown.then(|| unknown(modes));
    let (Some(info), Some(depth)) = (types.get(&type_oid), depth.checked_sub(1)) else {
        return unknown();
    };
    let text = |name: &'static str| {
        let schema = SchemaBuilder::string();
        (if name.is_empty() { schema } else { schema.name(name).version(1) }, Decoder::Text)
    };
    match (info.kind, info.name.as_str()) {
        ('d', _) => {
            let modifier = if info.base_modifier >= 0 { info.base_modifier } else { modifier };
            resolve_within(info.base, modifier, types, modes, depth)
        }
        ('e', _) => {
            let schema = SchemaBuilder::string().name(logical::DEBEZIUM_ENUM).version(1);
            Some((schema.parameter("allowed", info.labels.join(",")), Decoder::Text))
        }
        _ if info.element != 0 => {
            let (items, decoder) =
                resolve_within(info.element, modifier, types, modes, depth).or_else(unknown)?;
            let schema = SchemaBuilder::array(items.optional().build());
            Some((schema, Decoder::Array(Box::new(decoder))))
        }
        (_, "citext" | "isbn") => Some(text("")),
        (_, "ltree") => Some(text("io.debezium.data.Ltree")),
        (_, "hstore") if modes.hstore_map => {
            let values = SchemaBuilder::string().optional().build();
            let schema = SchemaBuilder::map(SchemaBuilder::string().build(), values);
            Some((schema, Decoder::HstoreMap))
        }
        (_, "hstore") => Some((
            SchemaBuilder::string().name(logical::DEBEZIUM_JSON).version(1),
            Decoder::HstoreJson,
        )),
        _ => unknown(),
    }
}

/// OIDs of these types never change (`pg_type.dat`).
fn built_in(oid: u32, modifier: i32, modes: &TypeModes) -> Option<(SchemaBuilder, Decoder)> {
    let named = |schema: SchemaBuilder, name: &'static str| schema.name(name).version(1);
    let text = |name: &'static str| (named(SchemaBuilder::string(), name), Decoder::Text);
    // A time type's modifier is its precision; without one it has 6 digits.
    let precision = u8::try_from(modifier).ok().filter(|p| *p <= 6).unwrap_or(6);
    Some(match oid {
        16 => (SchemaBuilder::boolean(), Decoder::Bool),
        17 => (binary_schema(modes.binary), Decoder::Bytes(modes.binary)),
        20 | 26 => (SchemaBuilder::int64(), Decoder::Int64),
        21 => (SchemaBuilder::int16(), Decoder::Int16),
        23 => (SchemaBuilder::int32(), Decoder::Int32),
        700 => (SchemaBuilder::float32(), Decoder::Float32),
        701 => (SchemaBuilder::float64(), Decoder::Float64),
        // "char", name, text, bpchar, varchar; cidr, inet, macaddr, macaddr8; the six built-in ranges.
        18 | 19 | 25 | 1042 | 1043 | 650 | 869 | 829 | 774 | 3904 | 3906 | 3908 | 3910 | 3912
        | 3926 => (SchemaBuilder::string(), Decoder::Text),
        114 | 3802 => text(logical::DEBEZIUM_JSON),
        142 => text(logical::DEBEZIUM_XML),
        2950 => text(logical::DEBEZIUM_UUID),
        3614 => text("io.debezium.data.TsVector"),
        600 => (point_schema(), Decoder::Point),
        790 => money(modes),
        1082 => date(modes.time),
        1083 => time(modes.time, precision),
        1114 => timestamp(modes.time, precision),
        1184 => (
            named(SchemaBuilder::string(), logical::DEBEZIUM_ZONED_TIMESTAMP),
            Decoder::ZonedTimestamp(precision),
        ),
        1266 => (named(SchemaBuilder::string(), logical::DEBEZIUM_ZONED_TIME), Decoder::ZonedTime),
        1186 if modes.interval_text => {
            (named(SchemaBuilder::string(), logical::DEBEZIUM_INTERVAL), Decoder::DurationText)
        }
        1186 => (
            named(SchemaBuilder::int64(), logical::DEBEZIUM_MICRO_DURATION),
            Decoder::DurationMicros,
        ),
        1560 | 1562 if modifier == 1 => (SchemaBuilder::boolean(), Decoder::Bit),
        1560 | 1562 => {
            let length = if modifier > 0 { modifier } else { i32::MAX };
            let schema = named(SchemaBuilder::bytes(), logical::DEBEZIUM_BITS);
            (schema.parameter("length", length.to_string()), Decoder::Bits)
        }
        1700 => numeric(modifier, modes),
        _ => return None,
    })
}

fn numeric(modifier: i32, modes: &TypeModes) -> (SchemaBuilder, Decoder) {
    match modes.decimal {
        DecimalMode::Double => (SchemaBuilder::float64(), Decoder::DecimalDouble),
        DecimalMode::Text => (SchemaBuilder::string(), Decoder::DecimalText),
        DecimalMode::Precise if modifier < 4 => {
            let schema = SchemaBuilder::structure()
                .name(logical::DEBEZIUM_VARIABLE_SCALE_DECIMAL)
                .version(1)
                .doc("Variable scaled decimal")
                .field("scale", SchemaBuilder::int32().build())
                .field("value", SchemaBuilder::bytes().build());
            (schema, Decoder::VariableDecimal)
        }
        DecimalMode::Precise => {
            let packed = modifier - 4;
            let precision = packed >> 16 & 0xffff;
            // The scale is eleven bits with a sign (Postgres 15 and later allow negative ones).
            let scale = (packed & 0x7ff ^ 0x400) - 0x400;
            let schema = logical::decimal(scale);
            let schema = schema.parameter("connect.decimal.precision", precision.to_string());
            (schema, Decoder::Decimal(scale))
        }
    }
}

fn money(modes: &TypeModes) -> (SchemaBuilder, Decoder) {
    match modes.decimal {
        DecimalMode::Precise => (
            logical::decimal(modes.money_digits),
            Decoder::Money(MoneyMode::Decimal(modes.money_digits)),
        ),
        DecimalMode::Double => (SchemaBuilder::float64(), Decoder::Money(MoneyMode::Double)),
        DecimalMode::Text => (SchemaBuilder::string(), Decoder::Money(MoneyMode::Text)),
    }
}

fn date(mode: TimeMode) -> (SchemaBuilder, Decoder) {
    let (schema, name, unit) = match mode {
        TimeMode::Connect => (SchemaBuilder::int32(), logical::DATE, TimeUnit::Millis),
        TimeMode::Always(TimeUnit::Iso) => {
            (SchemaBuilder::string(), "io.debezium.time.IsoDate", TimeUnit::Iso)
        }
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicros | TimeMode::Always(_) => {
            (SchemaBuilder::int32(), logical::DEBEZIUM_DATE, TimeUnit::Millis)
        }
    };
    (schema.name(name).version(1), Decoder::Date(unit))
}

fn time(mode: TimeMode, precision: u8) -> (SchemaBuilder, Decoder) {
    let (schema, name, unit) = match mode {
        TimeMode::Connect => (SchemaBuilder::int32(), logical::TIME, TimeUnit::Millis),
        TimeMode::Always(TimeUnit::Iso) => {
            (SchemaBuilder::string(), "io.debezium.time.IsoTime", TimeUnit::Iso)
        }
        TimeMode::Always(TimeUnit::Nanos) => {
            (SchemaBuilder::int64(), logical::DEBEZIUM_NANO_TIME, TimeUnit::Nanos)
        }
        TimeMode::Adaptive if precision <= 3 => {
            (SchemaBuilder::int32(), logical::DEBEZIUM_TIME, TimeUnit::Millis)
        }
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicros | TimeMode::Always(_) => {
            (SchemaBuilder::int64(), logical::DEBEZIUM_MICRO_TIME, TimeUnit::Micros)
        }
    };
    (schema.name(name).version(1), Decoder::Time(unit))
}

fn timestamp(mode: TimeMode, precision: u8) -> (SchemaBuilder, Decoder) {
    let (schema, name, unit) = match mode {
        TimeMode::Connect => (SchemaBuilder::int64(), logical::TIMESTAMP, TimeUnit::Millis),
        TimeMode::Always(TimeUnit::Iso) => {
            (SchemaBuilder::string(), "io.debezium.time.IsoTimestamp", TimeUnit::Iso)
        }
        TimeMode::Always(TimeUnit::Nanos) => {
            (SchemaBuilder::int64(), logical::DEBEZIUM_NANO_TIMESTAMP, TimeUnit::Nanos)
        }
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicros if precision <= 3 => {
            (SchemaBuilder::int64(), logical::DEBEZIUM_TIMESTAMP, TimeUnit::Millis)
        }
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicros | TimeMode::Always(_) => {
            (SchemaBuilder::int64(), logical::DEBEZIUM_MICRO_TIMESTAMP, TimeUnit::Micros)
        }
    };
    (schema.name(name).version(1), Decoder::Timestamp(unit))
}

fn point_schema() -> SchemaBuilder {
    SchemaBuilder::structure()
        .name("io.debezium.data.geometry.Point")
        .version(1)
        .doc("Geometry (POINT)")
        .field("x", SchemaBuilder::float64().build())
        .field("y", SchemaBuilder::float64().build())
        .field("wkb", SchemaBuilder::bytes().optional().build())
        .field("srid", SchemaBuilder::int32().optional().build())
}

fn binary_schema(mode: BinaryMode) -> SchemaBuilder {
    match mode {
        BinaryMode::Bytes => SchemaBuilder::bytes(),
        BinaryMode::Base64 | BinaryMode::Base64UrlSafe | BinaryMode::Hex => SchemaBuilder::string(),
    }
}

fn unknown(modes: &TypeModes) -> (SchemaBuilder, Decoder) {
    (binary_schema(modes.binary), Decoder::Unknown(modes.binary))
}

/// The value of a column's default expression, as far as it is a literal; for a function's result, Debezium's stand-in: zero.
///
/// Types whose defaults Debezium does not export have none here either.
pub(crate) fn default_value(expression: &str, decoder: &Decoder) -> Option<Value> {
    let exported = !matches!(
        decoder,
        Decoder::VariableDecimal
            | Decoder::Point
            | Decoder::Array(_)
            | Decoder::HstoreJson
            | Decoder::HstoreMap
            | Decoder::Bytes(_)
            | Decoder::Unknown(_)
            | Decoder::Money(_)
            | Decoder::ZonedTime
    );
    if !exported {
        return None;
    }
    let expression = expression.trim();
    if is_function(expression) {
        return Some(decoder.zero());
    }
    let literal = literal(expression)?;
    let mut scratch = BytesMut::new();
    if let (Decoder::Bool, "true" | "false") = (decoder, literal.as_str()) {
        return Some(Value::Bool(literal == "true"));
    }
    let raw = Raw { text: literal.as_bytes(), buffer: None };
    if matches!(decoder, Decoder::DurationMicros | Decoder::DurationText) {
        // Kept as it was typed, in a style that need not be ISO's.
        return None;
    }
    decoder.decode(raw, &mut scratch).ok()
}

fn is_function(expression: &str) -> bool {
    let lower = expression.trim_start_matches('(').to_ascii_lowercase();
    let now = ["current_timestamp", "current_time", "current_date", "localtime", "localtimestamp"];
    if now.iter().any(|name| lower == *name) {
        return true;
    }
    let end = lower.find('(').unwrap_or(0);
    let name = lower.get(..end).unwrap_or_default();
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

/// The text of `'a''b'::text`, `12.5`, `(-1)` or `true`.
fn literal(expression: &str) -> Option<String> {
    let bare = expression.strip_prefix('(').and_then(|e| e.strip_suffix(')')).unwrap_or(expression);
    let quoted = bare.strip_prefix("B'").or_else(|| bare.strip_prefix('\''));
    let Some(quoted) = quoted else {
        let raw = bare.split("::").next().unwrap_or_default();
        let plain = raw.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+'));
        return (plain && !raw.is_empty() && !raw.eq_ignore_ascii_case("null"))
            .then(|| raw.to_owned());
    };
    let mut text = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        if c != '\'' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('\'') => text.push('\''),
            None => return Some(text),
            Some(':') => {
                // Nothing but casts may follow: `'a'::text || 'b'` is no literal.
                let rest = chars.as_str();
                return (!rest.contains(['|', '+', '\''])).then_some(text);
            }
            Some(_) => return None,
        }
    }
    None
}
