//! A schema of any supported type.

use crate::avro::AvroSchema;
use crate::error::SchemaError;

/// The formats a schema can be written in, by Confluent's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaType {
    /// Avro; what a schema is when nothing is said.
    Avro,
}

impl SchemaType {
    /// All supported formats.
    pub const ALL: [SchemaType; 1] = [SchemaType::Avro];

    /// The name in requests and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SchemaType::Avro => "AVRO",
        }
    }

    /// The format of this name.
    ///
    /// # Errors
    /// [`SchemaError::UnsupportedType`] for any other.
    pub fn named(name: &str) -> Result<Self, SchemaError> {
        SchemaType::ALL
            .into_iter()
            .find(|of| of.name() == name)
            .ok_or_else(|| SchemaError::UnsupportedType(name.to_owned()))
    }
}

/// The text behind a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolvedReference<'a> {
    /// The name it is used under.
    pub name: &'a str,
    /// The referenced schema's text.
    pub text: &'a str,
}

/// A parsed schema.
#[derive(Debug, Clone)]
pub enum ParsedSchema {
    /// An Avro schema.
    Avro(AvroSchema),
}

impl ParsedSchema {
    /// Reads a schema. References come with everything they refer to themselves, and after it.
    ///
    /// # Errors
    /// What is wrong with the text, or with that of a reference.
    pub fn parse(
        of: SchemaType,
        text: &str,
        references: &[ResolvedReference<'_>],
    ) -> Result<Self, SchemaError> {
        match of {
            SchemaType::Avro => {
                let texts: Vec<&str> = references.iter().map(|reference| reference.text).collect();
                Ok(ParsedSchema::Avro(AvroSchema::parse(text, &texts)?))
            }
        }
    }

    /// The format.
    #[must_use]
    pub fn schema_type(&self) -> SchemaType {
        match self {
            ParsedSchema::Avro(_) => SchemaType::Avro,
        }
    }

    /// The text that is stored, served and hashed.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        match self {
            ParsedSchema::Avro(schema) => schema.canonical_text(),
        }
    }

    /// The canonical text after normalising.
    #[must_use]
    pub fn normalized_text(&self) -> String {
        match self {
            ParsedSchema::Avro(schema) => schema.normalized_text(),
        }
    }

    /// A text that is equal for schemas that mean the same, however they were formatted or split into references.
    #[must_use]
    pub fn meaning(&self) -> String {
        match self {
            ParsedSchema::Avro(schema) => schema.meaning(),
        }
    }

    /// The text with referenced types written out: `format=resolved`.
    #[must_use]
    pub fn resolved_text(&self) -> String {
        match self {
            ParsedSchema::Avro(schema) => schema.resolved_text(),
        }
    }
}
