//! The differences between two Avro schemas that keep one from reading what the other wrote: the rules of Java's `SchemaCompatibility`.
//!
//! - All differences are found, each once, with its path in the reader's schema.
//! - Names count without their namespace; logical types, documentation and order do not count.
//! - A pair of types that is being compared counts as readable: a recursive type is readable unless something else says no.
//!
//! Differs from Java: a difference that is met twice is reported once.

use std::collections::{HashMap, HashSet};

use crate::DEPTH_MAX;
use crate::avro::{AvroSchema, AvroType, Enum, Field, Fixed, Named, Primitive, Record, TypeId};
use crate::error::SchemaError;

/// How many pairs of types one comparison may look at.
const STEPS_MAX: usize = 2_000_000;

/// One reason why data can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where in the reader's schema, as a JSON pointer; `/` is the whole schema.
    pub path: String,
    /// What differs.
    pub kind: DifferenceKind,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The types have different names, and no alias says they are one.
    NameMismatch {
        /// The writer's full name.
        expected: String,
    },
    /// Fixed types of different sizes.
    FixedSizeMismatch {
        /// The writer's size.
        expected: i32,
        /// The reader's size.
        found: i32,
    },
    /// Symbols the reader does not know and has no default for.
    MissingEnumSymbols(Vec<String>),
    /// A field the writer does not write and the reader has no default for.
    ReaderFieldMissingDefaultValue {
        /// The field's name.
        field: String,
    },
    /// Types of which one can't be read as the other.
    TypeMismatch {
        /// The reader's type, in capitals.
        reader: &'static str,
        /// The writer's type, in capitals.
        writer: &'static str,
    },
    /// A type that no branch of the reader's union can read.
    MissingUnionBranch {
        /// The writer's type, in capitals.
        writer: &'static str,
    },
    /// A reader's field that is two of the writer's, by name and aliases.
    AmbiguousField {
        /// The field's name.
        field: String,
        /// The writer's record.
        record: String,
    },
}

impl Difference {
    /// The policy: whether the difference is harmless. For Avro none is; what is harmless is not reported.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        match self.kind {
            DifferenceKind::NameMismatch { .. }
            | DifferenceKind::FixedSizeMismatch { .. }
            | DifferenceKind::MissingEnumSymbols(_)
            | DifferenceKind::ReaderFieldMissingDefaultValue { .. }
            | DifferenceKind::TypeMismatch { .. }
            | DifferenceKind::MissingUnionBranch { .. }
            | DifferenceKind::AmbiguousField { .. } => false,
        }
    }

    /// Confluent's words for it; `reader` and `writer` are `new` and `old` in one order or the other.
    #[must_use]
    pub fn message(&self, reader: &str, writer: &str) -> String {
        let path = &self.path;
        let (name, description, info) = match &self.kind {
            DifferenceKind::NameMismatch { expected } => (
                "NAME_MISMATCH",
                format!("The name of the schema has changed (path '{path}')"),
                format!("expected: {expected}"),
            ),
            DifferenceKind::FixedSizeMismatch { expected, found } => (
                "FIXED_SIZE_MISMATCH",
                format!(
                    "The size of FIXED type field at path '{path}' in the {reader} schema does not match with the {writer} schema"
                ),
                format!("expected: {expected}, found: {found}"),
            ),
            DifferenceKind::MissingEnumSymbols(symbols) => {
                let symbols = format!("[{}]", symbols.join(", "));
                (
                    "MISSING_ENUM_SYMBOLS",
                    format!(
                        "The {reader} schema is missing enum symbols '{symbols}' at path '{path}' in the {writer} schema"
                    ),
                    symbols,
                )
            }
            DifferenceKind::ReaderFieldMissingDefaultValue { field } => (
                "READER_FIELD_MISSING_DEFAULT_VALUE",
                format!(
                    "The field '{field}' at path '{path}' in the {reader} schema has no default value and is missing in the {writer} schema"
                ),
                field.clone(),
            ),
            DifferenceKind::TypeMismatch { reader: of_reader, writer: of_writer } => (
                "TYPE_MISMATCH",
                format!(
                    "The type (path '{path}') of a field in the {reader} schema does not match with the {writer} schema"
                ),
                format!("reader type: {of_reader} not compatible with writer type: {of_writer}"),
            ),
            DifferenceKind::MissingUnionBranch { writer: of_writer } => (
                "MISSING_UNION_BRANCH",
                format!(
                    "The {reader} schema is missing a type inside a union field at path '{path}' in the {writer} schema"
                ),
                format!("reader union lacking writer type: {of_writer}"),
            ),
            DifferenceKind::AmbiguousField { field, record } => {
                return format!(
                    "Unexpected exception during compatibility check: Reader record field {field} matches multiple fields in writer record schema {record}"
                );
            }
        };
        format!("{{errorType:'{name}', description:'{description}', additionalInfo:'{info}'}}")
    }
}

/// Everything that keeps `reader` from reading what `writer` wrote.
///
/// # Errors
/// [`SchemaError::TooLarge`] when the comparison takes too much work.
pub fn differences(
    reader: &AvroSchema,
    writer: &AvroSchema,
) -> Result<Vec<Difference>, SchemaError> {
    let mut walk = Walk {
        reader,
        writer,
        known: HashMap::new(),
        path: Vec::new(),
        found: Vec::new(),
        quiet: 0,
        steps: 0,
        depth: 0,
    };
    walk.readable(reader.root(), writer.root())?;
    Ok(walk.found)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// On the way to here: counts as readable.
    InProgress,
    Readable,
    /// Not readable; `reported` once its reasons are in the list.
    Unreadable {
        reported: bool,
    },
}

struct Walk<'a> {
    reader: &'a AvroSchema,
    writer: &'a AvroSchema,
    known: HashMap<(TypeId, TypeId), Known>,
    path: Vec<Step<'a>>,
    found: Vec<Difference>,
    /// Above zero while only the answer counts, not its reasons.
    quiet: usize,
    steps: usize,
    depth: usize,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Walk<'a> {
    fn readable(&mut self, reader: TypeId, writer: TypeId) -> Result<bool, SchemaError> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(SchemaError::TooLarge { what: "comparisons of types", limit: STEPS_MAX });
        }
        let pair = (reader, writer);
        match self.known.get(&pair) {
            Some(Known::InProgress | Known::Readable) => return Ok(true),
            Some(Known::Unreadable { reported }) if *reported || self.quiet > 0 => {
                return Ok(false);
            }
            // Known from a quiet look: walk it again for the reasons.
            Some(Known::Unreadable { .. }) | None => {}
        }
        if self.depth == DEPTH_MAX {
            return Err(SchemaError::TooLarge { what: "depth of types", limit: DEPTH_MAX });
        }
        self.depth += 1;
        self.known.insert(pair, Known::InProgress);
        let readable = self.compare(reader, writer)?;
        self.depth -= 1;
        let known = if readable {
            Known::Readable
        } else {
            Known::Unreadable { reported: self.quiet == 0 }
        };
        self.known.insert(pair, known);
        Ok(readable)
    }

    fn compare(&mut self, reader: TypeId, writer: TypeId) -> Result<bool, SchemaError> {
        let (of_reader, of_writer) = (self.reader.get(reader), self.writer.get(writer));
        match (of_reader, of_writer) {
            (AvroType::Primitive(to, _), AvroType::Primitive(from, _)) => {
                Ok(to == from || promotes(*from, *to) || self.mismatch(of_reader, of_writer))
            }
            (AvroType::Array(to, _), AvroType::Array(from, _)) => {
                self.at(Step::Name("items"), |walk| walk.readable(*to, *from))
            }
            (AvroType::Map(to, _), AvroType::Map(from, _)) => {
                self.at(Step::Name("values"), |walk| walk.readable(*to, *from))
            }
            (AvroType::Fixed(to), AvroType::Fixed(from)) => self.fixed(to, from),
            (AvroType::Enum(to), AvroType::Enum(from)) => self.enumeration(to, from),
            (AvroType::Record(to), AvroType::Record(from)) => self.record(to, from, writer),
            (AvroType::Union(_), AvroType::Union(branches)) => {
                let mut readable = true;
                for (index, branch) in branches.iter().enumerate() {
                    readable &= self.at(Step::Index(index), |walk| {
                        if walk.quietly(reader, *branch)? {
                            return Ok(true);
                        }
                        let writer = type_name(walk.writer.get(*branch));
                        Ok(walk.report(DifferenceKind::MissingUnionBranch { writer }))
                    })?;
                }
                Ok(readable)
            }
            // A reader without union must read every branch.
            (_, AvroType::Union(branches)) => {
                let mut readable = true;
                for (index, branch) in branches.iter().enumerate() {
                    readable &=
                        self.at(Step::Index(index), |walk| walk.readable(reader, *branch))?;
                }
                Ok(readable)
            }
            // A reader's union needs one branch that can.
            (AvroType::Union(branches), _) => {
                for branch in branches {
                    if self.quietly(*branch, writer)? {
                        return Ok(true);
                    }
                }
                let writer = type_name(of_writer);
                Ok(self.report(DifferenceKind::MissingUnionBranch { writer }))
            }
            _ => Ok(self.mismatch(of_reader, of_writer)),
        }
    }

    fn record(
        &mut self,
        reader: &'a Record,
        writer: &'a Record,
        writer_id: TypeId,
    ) -> Result<bool, SchemaError> {
        let mut readable = self.names(&reader.named, &writer.named)?;
        let written: HashMap<&str, &Field> =
            writer.fields.iter().map(|field| (field.name.as_str(), field)).collect();
        for (index, field) in reader.fields.iter().enumerate() {
            let mut names: Vec<&str> = field.aliases.iter().map(String::as_str).collect();
            names.push(&field.name);
            names.sort_unstable();
            names.dedup();
            let matching = names.into_iter().filter_map(|name| written.get(name).copied());
            self.path.push(Step::Name("fields"));
            readable &=
                self.at(Step::Index(index), |walk| walk.field(field, matching, writer, writer_id))?;
            self.path.pop();
        }
        Ok(readable)
    }

    fn field(
        &mut self,
        field: &'a Field,
        mut matching: impl Iterator<Item = &'a Field>,
        writer: &'a Record,
        writer_id: TypeId,
    ) -> Result<bool, SchemaError> {
        match (matching.next(), matching.next()) {
            (Some(_), Some(_)) => Ok(self.report(DifferenceKind::AmbiguousField {
                field: field.name.clone(),
                record: writer.named.name.full(),
            })),
            (Some(written), None) => {
                self.at(Step::Name("type"), |walk| walk.readable(field.of, written.of))
            }
            (None, _) if field.default.is_some() => Ok(true),
            (None, _) => match self.reader.get(field.of) {
                // Java compares the enum with the whole record here, and so reports the type.
                AvroType::Enum(of) if of.default.is_some() => {
                    self.at(Step::Name("type"), |walk| walk.readable(field.of, writer_id))
                }
                AvroType::Primitive(..)
                | AvroType::Array(..)
                | AvroType::Map(..)
                | AvroType::Union(_)
                | AvroType::Record(_)
                | AvroType::Enum(_)
                | AvroType::Fixed(_) => {
                    let field = field.name.clone();
                    Ok(self.report(DifferenceKind::ReaderFieldMissingDefaultValue { field }))
                }
            },
        }
    }

    fn enumeration(&mut self, reader: &'a Enum, writer: &'a Enum) -> Result<bool, SchemaError> {
        let named = self.names(&reader.named, &writer.named)?;
        let known: HashSet<&String> = reader.symbols.iter().collect();
        let mut missing: Vec<String> =
            writer.symbols.iter().filter(|symbol| !known.contains(symbol)).cloned().collect();
        // A default is always one of the reader's own symbols: parsing sees to it.
        if missing.is_empty() || reader.default.is_some() {
            return Ok(named);
        }
        missing.sort();
        self.at(Step::Name("symbols"), |walk| {
            Ok(walk.report(DifferenceKind::MissingEnumSymbols(missing)))
        })
    }

    fn fixed(&mut self, reader: &'a Fixed, writer: &'a Fixed) -> Result<bool, SchemaError> {
        let named = self.names(&reader.named, &writer.named)?;
        if reader.size == writer.size {
            return Ok(named);
        }
        let (expected, found) = (writer.size, reader.size);
        self.at(Step::Name("size"), |walk| {
            Ok(walk.report(DifferenceKind::FixedSizeMismatch { expected, found }))
        })
    }

    fn names(&mut self, reader: &'a Named, writer: &'a Named) -> Result<bool, SchemaError> {
        if reader.name.simple == writer.name.simple || reader.aliases.contains(&writer.name) {
            return Ok(true);
        }
        let expected = writer.name.full();
        self.at(Step::Name("name"), |walk| {
            Ok(walk.report(DifferenceKind::NameMismatch { expected }))
        })
    }

    fn mismatch(&mut self, reader: &AvroType, writer: &AvroType) -> bool {
        let (reader, writer) = (type_name(reader), type_name(writer));
        self.report(DifferenceKind::TypeMismatch { reader, writer })
    }

    fn at(
        &mut self,
        step: Step<'a>,
        look: impl FnOnce(&mut Self) -> Result<bool, SchemaError>,
    ) -> Result<bool, SchemaError> {
        self.path.push(step);
        let readable = look(self);
        self.path.pop();
        readable
    }

    /// Whether it is readable, without noting why not.
    fn quietly(&mut self, reader: TypeId, writer: TypeId) -> Result<bool, SchemaError> {
        self.quiet += 1;
        let readable = self.readable(reader, writer);
        self.quiet -= 1;
        readable
    }

    /// Notes a difference; the answer is always "not readable".
    fn report(&mut self, kind: DifferenceKind) -> bool {
        if self.quiet == 0 {
            let steps: Vec<String> = self
                .path
                .iter()
                .map(|step| match step {
                    Step::Name(name) => name.replace('~', "~0").replace('/', "~1"),
                    Step::Index(index) => index.to_string(),
                })
                .collect();
            self.found.push(Difference { path: format!("/{}", steps.join("/")), kind });
        }
        false
    }
}

fn promotes(from: Primitive, to: Primitive) -> bool {
    matches!(
        (from, to),
        (Primitive::Int, Primitive::Long | Primitive::Float | Primitive::Double)
            | (Primitive::Long, Primitive::Float | Primitive::Double)
            | (Primitive::Float, Primitive::Double)
            | (Primitive::String, Primitive::Bytes)
            | (Primitive::Bytes, Primitive::String)
    )
}

fn type_name(of: &AvroType) -> &'static str {
    match of {
        AvroType::Primitive(primitive, _) => match primitive {
            Primitive::Null => "NULL",
            Primitive::Boolean => "BOOLEAN",
            Primitive::Int => "INT",
            Primitive::Long => "LONG",
            Primitive::Float => "FLOAT",
            Primitive::Double => "DOUBLE",
            Primitive::Bytes => "BYTES",
            Primitive::String => "STRING",
        },
        AvroType::Array(..) => "ARRAY",
        AvroType::Map(..) => "MAP",
        AvroType::Union(_) => "UNION",
        AvroType::Record(_) => "RECORD",
        AvroType::Enum(_) => "ENUM",
        AvroType::Fixed(_) => "FIXED",
    }
}
