//! When two schemas are the same one: MD5 over canonical text, references and metadata, as Confluent's registry computes it.

use std::collections::{BTreeMap, BTreeSet};

use md5::{Digest, Md5};

/// A reference from one schema to a version of another subject.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The name under which the schema uses it: for Avro a full type name.
    pub name: String,
    /// The subject it is registered under.
    pub subject: String,
    /// The version there; -1 is the latest.
    pub version: i32,
}

/// What a user attached to a schema.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Tags by path.
    pub tags: Option<BTreeMap<String, BTreeSet<String>>>,
    /// Free properties.
    pub properties: Option<BTreeMap<String, String>>,
    /// Names of properties whose values are secret.
    pub sensitive: Option<BTreeSet<String>>,
}

/// What makes a schema itself within a context. Its type is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaIdentity([u8; 16]);

impl SchemaIdentity {
    /// The identity of a schema with this canonical text.
    #[must_use]
    pub fn of(canonical_text: &str, references: &[Reference], metadata: Option<&Metadata>) -> Self {
        let mut hash = Md5::new();
        hash.update(canonical_text);
        for reference in references {
            hash.update(&reference.name);
            hash.update(&reference.subject);
            hash.update(reference.version.to_be_bytes());
        }
        if let Some(metadata) = metadata {
            hash.update([1]);
            for (path, tags) in metadata.tags.iter().flatten() {
                hash.update(path);
                tags.iter().for_each(|tag| hash.update(tag));
            }
            for (name, value) in metadata.properties.iter().flatten() {
                hash.update(name);
                hash.update(value);
            }
            metadata.sensitive.iter().flatten().for_each(|name| hash.update(name));
        }
        Self(hash.finalize().into())
    }

    /// The identity that prints as this UUID.
    #[must_use]
    pub fn of_guid(guid: &str) -> Option<Self> {
        let digits: String = guid.chars().filter(|c| *c != '-').collect();
        let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
        Some(Self(number.to_be_bytes()))
    }

    /// The identity as a UUID: the `guid` of a schema.
    #[must_use]
    pub fn guid(&self) -> String {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
        let parts: Vec<&str> =
            parts.iter().filter_map(|(start, end)| hex.get(*start..*end)).collect();
        parts.join("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_md5_of_text_then_references_then_metadata() {
        // printf '"string"' | md5sum
        let plain = SchemaIdentity::of("\"string\"", &[], None);
        assert_eq!(plain.guid(), "095d71cf-1255-6b9d-5e33-0ad575b3df5d".to_owned());
        assert_eq!(SchemaIdentity::of_guid("095D71CF-1255-6b9d-5e33-0ad575b3df5d"), Some(plain));
        for guid in ["", "x", "095d71cf", "+95d71cf-1255-6b9d-5e33-0ad575b3df5", "é"] {
            assert_eq!(SchemaIdentity::of_guid(guid), None, "{guid}");
        }
        let reference = Reference { name: "a".into(), subject: "s".into(), version: 1 };
        let referring = SchemaIdentity::of("\"string\"", &[reference], None);
        let described = SchemaIdentity::of("\"string\"", &[], Some(&Metadata::default()));
        assert!(plain != referring && plain != described && referring != described);
    }
}
