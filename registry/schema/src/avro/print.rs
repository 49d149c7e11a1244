//! Prints a schema: Java's `Schema.toString`, and the same of a normalised schema.

use std::collections::{BTreeSet, HashSet};

use super::{
    AvroSchema, AvroType, Enum, Field, Fixed, Name, Named, Primitive, Props, Record, SortOrder,
    TypeId,
};
use crate::json::{Json, write_string};

/// How a schema is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Canonical,
    Normalized,
}

pub(super) fn print(schema: &AvroSchema, form: Form, known: &BTreeSet<String>) -> String {
    let known = known.iter().cloned().collect();
    let mut printer = Printer { schema, form, known, out: String::new() };
    printer.of(schema.root(), None);
    printer.out
}

/// Whether types nest at most this deep when those of references are written out, as printing may have to.
pub(super) fn nests_within(schema: &AvroSchema, depth_max: usize) -> bool {
    fn walk(schema: &AvroSchema, id: TypeId, left: usize, known: &mut HashSet<TypeId>) -> bool {
        let Some(left) = left.checked_sub(1) else { return false };
        match schema.get(id) {
            AvroType::Primitive(..) | AvroType::Enum(_) | AvroType::Fixed(_) => true,
            AvroType::Array(of, _) | AvroType::Map(of, _) => walk(schema, *of, left, known),
            AvroType::Union(branches) => branches.iter().all(|of| walk(schema, *of, left, known)),
            AvroType::Record(record) => {
                // The second time, the name alone is written.
                !known.insert(id)
                    || record.fields.iter().all(|field| walk(schema, field.of, left, known))
            }
        }
    }
    walk(schema, schema.root(), depth_max, &mut HashSet::new())
}

struct Printer<'a> {
    schema: &'a AvroSchema,
    form: Form,
    /// Full names that are written out already, or are not to be.
    known: HashSet<String>,
    out: String,
}

impl<'a> Printer<'a> {
    fn of(&mut self, id: TypeId, namespace: Option<&'a str>) {
        let schema: &'a AvroSchema = self.schema;
        match schema.get(id) {
            AvroType::Primitive(primitive, props) if props.is_empty() => {
                write_string(primitive.name(), &mut self.out);
            }
            AvroType::Primitive(primitive, props) => {
                self.out.push_str("{\"type\":");
                write_string(primitive.name(), &mut self.out);
                self.props(props, logical_primitive(*primitive, props));
                self.out.push('}');
            }
            AvroType::Array(items, props) => {
                self.out.push_str("{\"type\":\"array\",\"items\":");
                self.of(*items, namespace);
                self.props(props, false);
                self.out.push('}');
            }
            AvroType::Map(values, props) => {
                self.out.push_str("{\"type\":\"map\",\"values\":");
                self.of(*values, namespace);
                self.props(props, false);
                self.out.push('}');
            }
            AvroType::Union(branches) => {
                self.out.push('[');
                for (index, branch) in branches.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.of(*branch, namespace);
                }
                self.out.push(']');
            }
            AvroType::Record(record) => self.record(record, namespace),
            AvroType::Enum(of) => self.enumeration(of, namespace),
            AvroType::Fixed(of) => self.fixed(of, namespace),
        }
    }

    /// Opens a named type, or writes its name alone where that is enough.
    fn open(&mut self, kind: &str, named: &'a Named, namespace: Option<&str>) -> bool {
        if !self.known.insert(named.name.full()) {
            write_string(&qualified(&named.name, namespace), &mut self.out);
            return false;
        }
        self.out.push_str("{\"type\":");
        write_string(kind, &mut self.out);
        self.member("name", &named.name.simple);
        match (named.name.namespace.as_deref(), namespace) {
            (Some(own), outer) if Some(own) != outer => self.member("namespace", own),
            (None, Some(_)) => self.member("namespace", ""),
            (Some(_) | None, _) => {}
        }
        if let Some(doc) = &named.doc
            && !(self.form == Form::Normalized && doc.is_empty())
        {
            self.member("doc", doc);
        }
        true
    }

    fn close(&mut self, named: &Named, logical: bool) {
        self.props(&named.props, logical);
        if !named.aliases.is_empty() {
            let own = named.name.namespace.as_deref();
            let mut aliases: Vec<&Name> = named.aliases.iter().collect();
            if self.form == Form::Normalized {
                aliases.sort_by_key(|alias| alias.full());
            }
            let aliases: Vec<String> =
                aliases.into_iter().map(|alias| qualified(alias, own)).collect();
            self.list("aliases", &aliases);
        }
        self.out.push('}');
    }

    fn record(&mut self, record: &'a Record, namespace: Option<&'a str>) {
        let kind = if record.is_error { "error" } else { "record" };
        if !self.open(kind, &record.named, namespace) {
            return;
        }
        let inner = record.named.name.namespace.as_deref();
        self.out.push_str(",\"fields\":[");
        for (index, field) in record.fields.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.field(field, inner);
        }
        self.out.push(']');
        self.close(&record.named, false);
    }

    fn field(&mut self, field: &'a Field, namespace: Option<&'a str>) {
        self.out.push_str("{\"name\":");
        write_string(&field.name, &mut self.out);
        self.out.push_str(",\"type\":");
        self.of(field.of, namespace);
        if let Some(doc) = &field.doc {
            self.member("doc", doc);
        }
        if let Some(default) = &field.default {
            self.out.push_str(",\"default\":");
            match self.form {
                Form::Canonical => default.write(&mut self.out),
                Form::Normalized => {
                    self.spelled_default(default, field.of).write_sorted(&mut self.out);
                }
            }
        }
        match field.order {
            SortOrder::Ascending => {}
            SortOrder::Descending => self.member("order", "descending"),
            SortOrder::Ignore => self.member("order", "ignore"),
        }
        if !field.aliases.is_empty() {
            let mut aliases = field.aliases.clone();
            if self.form == Form::Normalized {
                aliases.sort();
                aliases.dedup();
            }
            self.list("aliases", &aliases);
        }
        self.props(&field.props, false);
        self.out.push('}');
    }

    /// A number's default as its type prints it: `1` for a double is `1.0`. The first branch decides in a union.
    fn spelled_default(&self, default: &Json, of: TypeId) -> Json {
        match (default, self.schema.get(of)) {
            (
                Json::Integer(digits),
                AvroType::Primitive(Primitive::Float | Primitive::Double, _),
            ) => match digits.parse() {
                Ok(number) => Json::Double(number),
                Err(_) => default.clone(),
            },
            (_, AvroType::Union(branches)) => match branches.first() {
                Some(first) => self.spelled_default(default, *first),
                None => default.clone(),
            },
            (Json::Array(items), AvroType::Array(of, _)) => {
                Json::Array(items.iter().map(|item| self.spelled_default(item, *of)).collect())
            }
            _ => default.clone(),
        }
    }

    fn enumeration(&mut self, of: &'a Enum, namespace: Option<&str>) {
        if !self.open("enum", &of.named, namespace) {
            return;
        }
        self.list("symbols", &of.symbols);
        if let Some(default) = &of.default {
            self.member("default", default);
        }
        self.close(&of.named, false);
    }

    fn fixed(&mut self, of: &'a Fixed, namespace: Option<&str>) {
        if !self.open("fixed", &of.named, namespace) {
            return;
        }
        self.out.push_str(&format!(",\"size\":{}", of.size));
        self.close(&of.named, logical_fixed(of.size, &of.named.props));
    }

    fn member(&mut self, name: &str, value: &str) {
        self.out.push(',');
        write_string(name, &mut self.out);
        self.out.push(':');
        write_string(value, &mut self.out);
    }

    fn list(&mut self, name: &str, items: &[String]) {
        self.out.push(',');
        write_string(name, &mut self.out);
        self.out.push_str(":[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            write_string(item, &mut self.out);
        }
        self.out.push(']');
    }

    /// Properties in their order; normalised, those of a valid logical type first and the rest sorted.
    fn props(&mut self, props: &Props, logical: bool) {
        let mut entries: Vec<(&String, &Json)> = props.iter().collect();
        if self.form == Form::Normalized {
            let decimal = props.get("logicalType").and_then(Json::as_str) == Some("decimal");
            let rank = |name: &str| match name {
                "logicalType" if logical => 0,
                "precision" if logical && decimal => 1,
                "scale" if logical && decimal && props.get("scale") != Some(&zero()) => 2,
                _ => 3,
            };
            entries.sort_by_key(|(name, _)| (rank(name), name.as_str()));
        }
        for (name, value) in entries {
            self.out.push(',');
            write_string(name, &mut self.out);
            self.out.push(':');
            match self.form {
                Form::Canonical => value.write(&mut self.out),
                Form::Normalized => value.write_sorted(&mut self.out),
            }
        }
    }
}

/// The name as it must be written inside a namespace: a name that looks like a primitive's is always written in full.
fn qualified(name: &Name, namespace: Option<&str>) -> String {
    const TYPE_NAMES: [&str; 6] = ["record", "enum", "array", "map", "union", "fixed"];
    let builtin =
        Primitive::named(&name.simple).is_some() || TYPE_NAMES.contains(&name.simple.as_str());
    let same = name.namespace.is_some() && name.namespace.as_deref() == namespace;
    if same && !builtin { name.simple.clone() } else { name.full() }
}

fn zero() -> Json {
    Json::Integer("0".to_owned())
}

/// Whether Java takes the logical type of a primitive as valid.
fn logical_primitive(of: Primitive, props: &Props) -> bool {
    let Some(name) = props.get("logicalType").and_then(Json::as_str) else { return false };
    match of {
        Primitive::Bytes => name == "big-decimal" || (name == "decimal" && valid_decimal(props)),
        Primitive::String => name == "uuid",
        Primitive::Int => matches!(name, "date" | "time-millis"),
        Primitive::Long => {
            let clocks = ["time-micros", "timestamp-", "local-timestamp-"];
            clocks.iter().any(|clock| name.starts_with(clock))
        }
        Primitive::Null | Primitive::Boolean | Primitive::Float | Primitive::Double => false,
    }
}

/// Whether Java takes the logical type of a fixed as valid.
fn logical_fixed(size: i32, props: &Props) -> bool {
    match props.get("logicalType").and_then(Json::as_str) {
        Some("decimal") => valid_decimal(props),
        Some("duration") => size == 12,
        Some("uuid") => size == 16,
        Some(_) | None => false,
    }
}

fn valid_decimal(props: &Props) -> bool {
    let number = |name: &str| match props.get(name) {
        Some(Json::Integer(digits)) => digits.parse::<i64>().ok(),
        Some(_) => None,
        None => Some(0),
    };
    match (number("precision"), number("scale")) {
        (Some(precision), Some(scale)) => precision > 0 && (0..=precision).contains(&scale),
        _ => false,
    }
}
