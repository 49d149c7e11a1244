//! What was worked out once for a schema, found again by the schema's identity.

use std::collections::HashMap;
use std::sync::Arc;

use crate::SchemaRef;

/// Schemas remembered at a time; a task meets a handful, so past this the cache starts over.
const ENTRIES_MAX: usize = 1024;

/// A map from a schema (by identity, not by content) to what was made from it. The last one used is found without hashing.
#[derive(Debug)]
pub struct SchemaCache<T> {
    last: Option<(SchemaRef, Arc<T>)>,
    /// By address; the schema is kept, so that no other can take its address.
    entries: HashMap<usize, (SchemaRef, Arc<T>)>,
}

impl<T> Default for SchemaCache<T> {
    fn default() -> Self {
        Self { last: None, entries: HashMap::new() }
    }
}

impl<T> SchemaCache<T> {
    /// What was made from this schema.
    pub fn get(&mut self, schema: &SchemaRef) -> Option<&Arc<T>> {
        let is_last = self.last.as_ref().is_some_and(|(last, _)| Arc::ptr_eq(last, schema));
        if !is_last {
            self.last = Some(self.entries.get(&address(schema))?.clone());
        }
        self.last.as_ref().map(|(_, value)| value)
    }

    /// What was made from this schema, made now if it was not yet.
    pub fn get_or_make<E>(
        &mut self,
        schema: &SchemaRef,
        make: impl FnOnce(&SchemaRef) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if let Some(value) = self.get(schema) {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make(schema)?);
        self.insert(schema, Arc::clone(&value));
        Ok(value)
    }

    /// Remembers what was made from this schema.
    pub fn insert(&mut self, schema: &SchemaRef, value: Arc<T>) {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.clear();
        }
        self.entries.insert(address(schema), (Arc::clone(schema), Arc::clone(&value)));
        self.last = Some((Arc::clone(schema), value));
    }
}

fn address(schema: &SchemaRef) -> usize {
    Arc::as_ptr(schema) as usize
}
