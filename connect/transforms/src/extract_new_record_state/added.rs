//! `add.fields` and `add.headers`: parts of the event that go along with the row.

use aquifer_connect_api::{ByteString, SchemaRef, Value};

/// What goes along, in the order given.
#[derive(Debug, Default)]
pub(super) struct Added {
    pub(super) fields: Vec<Reference>,
    pub(super) headers: Vec<Reference>,
}

/// One part of the event and the name it goes along under.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) name: ByteString,
    /// `source` for `source.lsn`; `None` for a field of the event itself.
    structure: Option<ByteString>,
    field: ByteString,
}

/// Parses `field`, `struct.field` and either with `:new-name`.
pub(super) fn parse(list: &[&str], prefix: &str) -> Vec<Reference> {
    list.iter().map(|text| Reference::parse(text, prefix)).collect()
}

impl Reference {
    fn parse(text: &str, prefix: &str) -> Reference {
        let (path, new_name) = match text.split_once(':') {
            Some((path, name)) => (path, Some(name)),
            None => (text, None),
        };
        let (structure, field) = match path.split_once('.') {
            Some((structure, field)) => (Some(structure), field),
            // Everything that is no field of the envelope itself is looked for in `source`.
            None if ["op", "ts_ms", "ts_us", "ts_ns", "transaction"].contains(&path) => {
                (None, path)
            }
            None => (Some("source"), path),
        };
        let default_name = match structure.filter(|_| path.contains('.')) {
            Some(structure) => format!("{structure}_{field}"),
            None => field.to_owned(),
        };
        let name = ByteString::from(format!("{prefix}{}", new_name.unwrap_or(&default_name)));
        Reference { name, structure: structure.map(ByteString::from), field: field.into() }
    }

    /// Where it stands in an event of that schema: position, position within the struct there, and its schema.
    pub(super) fn find(&self, event: &SchemaRef) -> Option<(usize, Option<usize>, SchemaRef)> {
        let Some(structure) = &self.structure else {
            let (index, field) = event.field(&self.field)?;
            return Some((index, None, SchemaRef::clone(&field.schema)));
        };
        let (outer, structure) = event.field(structure)?;
        let (inner, field) = structure.schema.field(&self.field)?;
        Some((outer, Some(inner), SchemaRef::clone(&field.schema)))
    }

    /// Its value in a schemaless event; null where it is not there.
    pub(super) fn find_schemaless(&self, event: &Value) -> Value {
        let holder = match &self.structure {
            Some(structure) => event.get(structure),
            None => Some(event),
        };
        holder.and_then(|holder| holder.get(&self.field)).cloned().unwrap_or_default()
    }
}
