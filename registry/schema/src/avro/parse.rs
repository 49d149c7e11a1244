//! Reads a schema from JSON, with the leniency and the refusals of Java's `Schema.Parser`.

use std::collections::{BTreeSet, HashMap, HashSet};

use indexmap::{IndexMap, IndexSet};

use super::name::{self, Name};
use super::{
    AvroSchema, AvroType, Enum, Field, Fixed, Named, Primitive, Props, Record, SortOrder, TypeId,
    print,
};
use crate::error::SchemaError;
use crate::json::Json;
use crate::{DEPTH_MAX, NESTING_MAX, TEXT_BYTES_MAX, TYPES_MAX};

/// Attributes with a meaning of their own; all others are properties.
const RESERVED: [&str; 10] =
    ["doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"];
const RESERVED_ENUM: [&str; 11] = [
    "doc",
    "fields",
    "items",
    "name",
    "namespace",
    "size",
    "symbols",
    "values",
    "type",
    "aliases",
    "default",
];
const RESERVED_FIELD: [&str; 6] = ["default", "doc", "name", "order", "type", "aliases"];

pub(super) fn parse(text: &str, references: &[&str]) -> Result<AvroSchema, SchemaError> {
    let bytes = references.iter().map(|reference| reference.len()).sum::<usize>() + text.len();
    if bytes > TEXT_BYTES_MAX {
        return Err(SchemaError::TooLarge { what: "text in bytes", limit: TEXT_BYTES_MAX });
    }
    // Whatever is registered already was accepted once, perhaps by rules more lenient than ours.
    let mut parser = Parser { names_unchecked: true, ..Parser::default() };
    for reference in references {
        parser.type_of(&Json::parse(reference)?, None)?;
    }
    let referenced: BTreeSet<String> = parser.named.keys().cloned().collect();
    parser.names_unchecked = false;
    let root = parser.type_of(&Json::parse(text)?, None)?;
    let mut types = Vec::with_capacity(parser.types.len());
    for of in parser.types {
        types.push(of.ok_or_else(|| SchemaError::invalid("unfinished type"))?);
    }
    let schema = AvroSchema { types, root, referenced };
    if !print::nests_within(&schema, DEPTH_MAX) {
        return Err(SchemaError::TooLarge { what: "depth of types", limit: DEPTH_MAX });
    }
    Ok(schema)
}

#[derive(Default)]
struct Parser {
    /// A record is entered before its fields are known.
    types: Vec<Option<AvroType>>,
    named: HashMap<String, TypeId>,
    /// The full names of records whose fields are being read.
    unfinished: HashMap<TypeId, String>,
    depth: usize,
    names_unchecked: bool,
}

type Object = IndexMap<String, Json>;

impl Parser {
    fn add(&mut self, of: Option<AvroType>) -> Result<TypeId, SchemaError> {
        if self.types.len() >= TYPES_MAX {
            return Err(SchemaError::TooLarge { what: "types", limit: TYPES_MAX });
        }
        let id = u32::try_from(self.types.len())
            .map_err(|_| SchemaError::TooLarge { what: "types", limit: TYPES_MAX })?;
        self.types.push(of);
        Ok(TypeId(id))
    }

    fn put(&mut self, id: TypeId, of: AvroType) {
        if let Some(slot) = usize::try_from(id.0).ok().and_then(|index| self.types.get_mut(index)) {
            *slot = Some(of);
        }
    }

    fn type_of(&mut self, schema: &Json, namespace: Option<&str>) -> Result<TypeId, SchemaError> {
        if self.depth == NESTING_MAX {
            return Err(SchemaError::TooLarge { what: "nesting", limit: NESTING_MAX });
        }
        self.depth += 1;
        let id = match schema {
            Json::String(name) => match self.by_name(name, namespace)? {
                Some(id) => Ok(id),
                None => Err(SchemaError::invalid(format!("Undefined name: \"{name}\""))),
            },
            Json::Object(object) => self.object(object, namespace),
            Json::Array(branches) => self.union(branches, namespace),
            Json::Null | Json::Bool(_) | Json::Integer(_) | Json::Double(_) => {
                Err(SchemaError::invalid(format!("Schema not yet supported: {schema}")))
            }
        };
        self.depth -= 1;
        id
    }

    /// A primitive, or a type that was defined before: in the enclosing namespace, or else in none.
    fn by_name(
        &mut self,
        written: &str,
        namespace: Option<&str>,
    ) -> Result<Option<TypeId>, SchemaError> {
        if let Some(primitive) = Primitive::named(written) {
            return self.add(Some(AvroType::Primitive(primitive, Props::new()))).map(Some);
        }
        let name = Name::new(written, namespace);
        let found = self.named.get(&name.full()).or_else(|| self.named.get(written));
        Ok(found.copied())
    }

    fn union(&mut self, branches: &[Json], namespace: Option<&str>) -> Result<TypeId, SchemaError> {
        let mut ids = Vec::with_capacity(branches.len());
        let mut seen = HashSet::new();
        for branch in branches {
            let id = self.type_of(branch, namespace)?;
            let name = self.branch_name(id)?;
            if !seen.insert(name.clone()) {
                return Err(SchemaError::invalid(format!("Duplicate in union:{name}")));
            }
            ids.push(id);
        }
        self.add(Some(AvroType::Union(ids)))
    }

    /// What a union may have only one of.
    fn branch_name(&self, id: TypeId) -> Result<String, SchemaError> {
        let of = usize::try_from(id.0).ok().and_then(|index| self.types.get(index));
        Ok(match of {
            Some(Some(AvroType::Primitive(primitive, _))) => primitive.name().to_owned(),
            Some(Some(AvroType::Array(..))) => "array".to_owned(),
            Some(Some(AvroType::Map(..))) => "map".to_owned(),
            Some(Some(AvroType::Union(_))) => return Err(SchemaError::invalid("Nested union")),
            Some(Some(AvroType::Record(record))) => record.named.name.full(),
            Some(Some(AvroType::Enum(of))) => of.named.name.full(),
            Some(Some(AvroType::Fixed(of))) => of.named.name.full(),
            Some(None) | None => self.unfinished.get(&id).cloned().unwrap_or_default(),
        })
    }

    fn object(&mut self, object: &Object, outer: Option<&str>) -> Result<TypeId, SchemaError> {
        let Some(kind) = text(object, "type") else {
            return Err(SchemaError::invalid(format!("No type: {}", Json::Object(object.clone()))));
        };
        if let Some(primitive) = Primitive::named(kind) {
            return self.add(Some(AvroType::Primitive(primitive, props(object, &RESERVED))));
        }
        match kind {
            "record" | "error" => self.record(object, kind == "error", outer),
            "enum" => self.enumeration(object, outer),
            "fixed" => self.fixed(object, outer),
            "array" => {
                let items = self.part(object, "items", "Array has no items type", outer)?;
                self.add(Some(AvroType::Array(items, props(object, &RESERVED))))
            }
            "map" => {
                let values = self.part(object, "values", "Map has no values type", outer)?;
                self.add(Some(AvroType::Map(values, props(object, &RESERVED))))
            }
            _ => {
                let name = Name::new(kind, outer);
                match self.named.get(&name.full()) {
                    Some(id) => Ok(*id),
                    None => Err(SchemaError::invalid(format!("Type not supported: {kind}"))),
                }
            }
        }
    }

    fn part(
        &mut self,
        object: &Object,
        member: &str,
        missing: &str,
        namespace: Option<&str>,
    ) -> Result<TypeId, SchemaError> {
        match object.get(member) {
            Some(part) => self.type_of(part, namespace),
            None => {
                Err(SchemaError::invalid(format!("{missing}: {}", Json::Object(object.clone()))))
            }
        }
    }

    /// Name, aliases, documentation and properties of a type that has them.
    fn named(
        &self,
        object: &Object,
        outer: Option<&str>,
        reserved: &[&str],
    ) -> Result<Named, SchemaError> {
        let Some(written) = text(object, "name") else {
            let text = Json::Object(object.clone());
            return Err(SchemaError::invalid(format!("No name in schema: {text}")));
        };
        let name = Name::new(written, text(object, "namespace").or(outer));
        self.check_name(&name.simple)?;
        let aliases: IndexSet<Name> = aliases(object)?
            .into_iter()
            .map(|alias| Name::new(&alias, name.namespace.as_deref()))
            .collect();
        let aliases = aliases.into_iter().collect();
        let doc = text(object, "doc").map(str::to_owned);
        Ok(Named { name, aliases, doc, props: props(object, reserved) })
    }

    fn check_name(&self, name: &str) -> Result<(), SchemaError> {
        if self.names_unchecked { Ok(()) } else { name::check(name) }
    }

    fn define(&mut self, name: &Name, of: Option<AvroType>) -> Result<TypeId, SchemaError> {
        let full = name.full();
        if Primitive::named(&full).is_some() {
            return Err(SchemaError::invalid(format!(
                "Schemas may not be named after primitives: {full}"
            )));
        }
        if self.named.contains_key(&full) {
            return Err(SchemaError::invalid(format!("Can't redefine: {full}")));
        }
        let id = self.add(of)?;
        self.named.insert(full, id);
        Ok(id)
    }

    fn record(
        &mut self,
        object: &Object,
        is_error: bool,
        outer: Option<&str>,
    ) -> Result<TypeId, SchemaError> {
        let named = self.named(object, outer, &RESERVED)?;
        let id = self.define(&named.name, None)?;
        self.unfinished.insert(id, named.name.full());
        let Some(Json::Array(written)) = object.get("fields") else {
            let text = Json::Object(object.clone());
            return Err(SchemaError::invalid(format!("Record has no fields: {text}")));
        };
        let inner = named.name.namespace.clone();
        let mut fields = Vec::with_capacity(written.len());
        let mut seen = HashSet::new();
        for field in written {
            let field = self.field(field, inner.as_deref())?;
            if !seen.insert(field.name.clone()) {
                return Err(SchemaError::invalid(format!(
                    "Duplicate field {} in record {}",
                    field.name,
                    named.name.full()
                )));
            }
            fields.push(field);
        }
        self.unfinished.remove(&id);
        self.put(id, AvroType::Record(Record { named, is_error, fields }));
        Ok(id)
    }

    fn field(&mut self, written: &Json, namespace: Option<&str>) -> Result<Field, SchemaError> {
        let Json::Object(object) = written else {
            return Err(SchemaError::invalid(format!("No field name: {written}")));
        };
        let Some(name) = text(object, "name") else {
            return Err(SchemaError::invalid(format!("No field name: {written}")));
        };
        self.check_name(name)?;
        let Some(of) = object.get("type") else {
            return Err(SchemaError::invalid(format!("No field type: {written}")));
        };
        let of = match (of, of.as_str().map(|name| self.by_name(name, namespace)).transpose()?) {
            (_, Some(Some(id))) => id,
            (Json::String(type_name), Some(None)) => {
                return Err(SchemaError::invalid(format!(
                    "\"{type_name}\" is not a defined name. The type of the \"{name}\" field must be \
                     a defined name or a {{\"type\": ...}} expression."
                )));
            }
            (of, _) => self.type_of(of, namespace)?,
        };
        let order = match object.get("order") {
            None => SortOrder::Ascending,
            Some(order) => match order.as_str().map(str::to_ascii_lowercase).as_deref() {
                Some("ascending") => SortOrder::Ascending,
                Some("descending") => SortOrder::Descending,
                Some("ignore") => SortOrder::Ignore,
                Some(_) | None => {
                    return Err(SchemaError::invalid(format!("No sort order: {order}")));
                }
            },
        };
        let default = self.field_default(object.get("default"), of)?;
        Ok(Field {
            name: name.to_owned(),
            of,
            doc: text(object, "doc").map(str::to_owned),
            default,
            order,
            aliases: aliases(object)?,
            props: props(object, &RESERVED_FIELD),
        })
    }

    /// A string default of a number with fraction is read as that number, as Java does.
    fn field_default(
        &self,
        default: Option<&Json>,
        of: TypeId,
    ) -> Result<Option<Json>, SchemaError> {
        let of = usize::try_from(of.0).ok().and_then(|index| self.types.get(index));
        let fraction =
            matches!(of, Some(Some(AvroType::Primitive(Primitive::Float | Primitive::Double, _))));
        match default {
            Some(Json::String(text)) if fraction => match text.trim().parse() {
                Ok(number) => Ok(Some(Json::Double(number))),
                Err(_) => Err(SchemaError::invalid(format!("For input string: \"{text}\""))),
            },
            other => Ok(other.cloned()),
        }
    }

    fn enumeration(&mut self, object: &Object, outer: Option<&str>) -> Result<TypeId, SchemaError> {
        let named = self.named(object, outer, &RESERVED_ENUM)?;
        let Some(Json::Array(written)) = object.get("symbols") else {
            let text = Json::Object(object.clone());
            return Err(SchemaError::invalid(format!("Enum has no symbols: {text}")));
        };
        let mut symbols = Vec::with_capacity(written.len());
        let mut seen = HashSet::new();
        for symbol in written {
            let Some(symbol) = symbol.as_str() else {
                return Err(SchemaError::invalid(format!("Enum symbol is no string: {symbol}")));
            };
            self.check_name(symbol)?;
            if !seen.insert(symbol) {
                return Err(SchemaError::invalid(format!("Duplicate enum symbol: {symbol}")));
            }
            symbols.push(symbol.to_owned());
        }
        let default = text(object, "default").map(str::to_owned);
        if let Some(default) = &default
            && !seen.contains(default.as_str())
        {
            return Err(SchemaError::invalid(format!(
                "The Enum Default: {default} is not in the enum symbol set: [{}]",
                symbols.join(", ")
            )));
        }
        let name = named.name.clone();
        self.define(&name, Some(AvroType::Enum(Enum { named, symbols, default })))
    }

    fn fixed(&mut self, object: &Object, outer: Option<&str>) -> Result<TypeId, SchemaError> {
        let named = self.named(object, outer, &RESERVED)?;
        let size = match object.get("size") {
            Some(Json::Integer(digits)) => digits.parse::<i32>().ok().filter(|size| *size >= 0),
            Some(_) | None => None,
        };
        let Some(size) = size else {
            let text = Json::Object(object.clone());
            return Err(SchemaError::invalid(format!("Invalid or no size: {text}")));
        };
        let name = named.name.clone();
        self.define(&name, Some(AvroType::Fixed(Fixed { named, size })))
    }
}

fn text<'a>(object: &'a Object, member: &str) -> Option<&'a str> {
    object.get(member).and_then(Json::as_str)
}

fn props(object: &Object, reserved: &[&str]) -> Props {
    object
        .iter()
        .filter(|(name, _)| !reserved.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn aliases(object: &Object) -> Result<Vec<String>, SchemaError> {
    match object.get("aliases") {
        None => Ok(Vec::new()),
        Some(Json::Array(written)) => written
            .iter()
            .map(|alias| {
                alias
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| SchemaError::invalid(format!("alias not a string: {alias}")))
            })
            .collect(),
        Some(other) => Err(SchemaError::invalid(format!("aliases not an array: {other}"))),
    }
}
