//! An Avro schema, read as leniently as Java's parser reads one without default validation.
//!
//! - Types live in one list and point at each other by index: a recursive type is no cycle of pointers.
//! - Unknown properties, their order and every default are kept as written.
//! - A type that came from a reference is used by name when printed, never written out.

mod name;
mod parse;
mod print;

use std::collections::BTreeSet;

use indexmap::IndexMap;

pub use name::Name;

use crate::error::SchemaError;
use crate::json::Json;

/// A position in an [`AvroSchema`]'s list of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(crate) u32);

/// Attributes Avro does not know, in their order: logical types among them.
pub type Props = IndexMap<String, Json>;

/// The eight types without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Primitive {
    /// `null`
    Null,
    /// `boolean`
    Boolean,
    /// `int`
    Int,
    /// `long`
    Long,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `bytes`
    Bytes,
    /// `string`
    String,
}

impl Primitive {
    /// The primitive of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Primitive::Null,
            "boolean" => Primitive::Boolean,
            "int" => Primitive::Int,
            "long" => Primitive::Long,
            "float" => Primitive::Float,
            "double" => Primitive::Double,
            "bytes" => Primitive::Bytes,
            "string" => Primitive::String,
            _ => return None,
        })
    }

    /// The name in a schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Primitive::Null => "null",
            Primitive::Boolean => "boolean",
            Primitive::Int => "int",
            Primitive::Long => "long",
            Primitive::Float => "float",
            Primitive::Double => "double",
            Primitive::Bytes => "bytes",
            Primitive::String => "string",
        }
    }
}

/// One type.
#[derive(Debug, Clone)]
pub enum AvroType {
    /// A type without parts.
    Primitive(Primitive, Props),
    /// An array of one type.
    Array(TypeId, Props),
    /// A map from strings to one type.
    Map(TypeId, Props),
    /// One of several types.
    Union(Vec<TypeId>),
    /// A record, or an error.
    Record(Record),
    /// An enumeration.
    Enum(Enum),
    /// Bytes of a fixed count.
    Fixed(Fixed),
}

/// What record, enum and fixed have in common.
#[derive(Debug, Clone)]
pub struct Named {
    /// The name.
    pub name: Name,
    /// Other names, for reading what was written under them.
    pub aliases: Vec<Name>,
    /// Documentation.
    pub doc: Option<String>,
    /// Attributes Avro does not know.
    pub props: Props,
}

/// A record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Name, aliases, documentation.
    pub named: Named,
    /// Whether it was declared as `error`.
    pub is_error: bool,
    /// The fields, in order.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Debug, Clone)]
pub struct Field {
    /// The name.
    pub name: String,
    /// The type.
    pub of: TypeId,
    /// Documentation.
    pub doc: Option<String>,
    /// The default, as written.
    pub default: Option<Json>,
    /// The sort order.
    pub order: SortOrder,
    /// Other names.
    pub aliases: Vec<String>,
    /// Attributes Avro does not know.
    pub props: Props,
}

/// How a field takes part in sorting records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortOrder {
    /// Smallest first; the default, which is not printed.
    Ascending,
    /// Largest first.
    Descending,
    /// Not at all.
    Ignore,
}

/// An enumeration.
#[derive(Debug, Clone)]
pub struct Enum {
    /// Name, aliases, documentation.
    pub named: Named,
    /// The symbols, in order.
    pub symbols: Vec<String>,
    /// What a reader takes an unknown symbol for.
    pub default: Option<String>,
}

/// Bytes of a fixed count.
#[derive(Debug, Clone)]
pub struct Fixed {
    /// Name, aliases, documentation.
    pub named: Named,
    /// The count, at least 0.
    pub size: i32,
}

/// A parsed schema with all types it uses.
#[derive(Debug, Clone)]
pub struct AvroSchema {
    types: Vec<AvroType>,
    root: TypeId,
    /// Full names of the types that references brought.
    referenced: BTreeSet<String>,
}

impl AvroSchema {
    /// Reads a schema. `references` are texts it may use types of, those they need themselves before them.
    ///
    /// # Errors
    /// What is wrong with the schema, or with a reference.
    pub fn parse(text: &str, references: &[&str]) -> Result<Self, SchemaError> {
        parse::parse(text, references)
    }

    /// The outermost type.
    #[must_use]
    pub fn root(&self) -> TypeId {
        self.root
    }

    /// A type by its position.
    #[must_use]
    pub fn get(&self, id: TypeId) -> &AvroType {
        const MISSING: &AvroType = &AvroType::Union(Vec::new());
        // Positions are only made while parsing the same schema, so the type is always there.
        usize::try_from(id.0).ok().and_then(|index| self.types.get(index)).unwrap_or(MISSING)
    }

    /// The text Confluent's registry stores and hashes: Java's `Schema.toString`, types of references by name.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        print::print(self, print::Form::Canonical, &self.referenced)
    }

    /// The canonical text of the normalised schema: properties and aliases sorted, defaults in their type's spelling.
    #[must_use]
    pub fn normalized_text(&self) -> String {
        print::print(self, print::Form::Normalized, &self.referenced)
    }

    /// A text that is equal for schemas that mean the same: normalised, types of references written out.
    #[must_use]
    pub fn meaning(&self) -> String {
        print::print(self, print::Form::Normalized, &BTreeSet::new())
    }

    /// The canonical text with types of references written out.
    #[must_use]
    pub fn resolved_text(&self) -> String {
        print::print(self, print::Form::Canonical, &BTreeSet::new())
    }
}
