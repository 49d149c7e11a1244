//! Names of types: a simple name within a namespace.

use crate::error::SchemaError;

/// The name of a record, enum or fixed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The last part.
    pub simple: String,
    /// What stands before the last dot; absent is the null namespace.
    pub namespace: Option<String>,
}

impl Name {
    /// A name as written, in a namespace that counts only if the name has no dot.
    #[must_use]
    pub fn new(written: &str, namespace: Option<&str>) -> Self {
        let (namespace, simple) = match written.rsplit_once('.') {
            Some((namespace, simple)) => (Some(namespace), simple),
            None => (namespace, written),
        };
        let namespace = namespace.filter(|namespace| !namespace.is_empty()).map(str::to_owned);
        Self { simple: simple.to_owned(), namespace }
    }

    /// Namespace, dot, simple name.
    #[must_use]
    pub fn full(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}.{}", self.simple),
            None => self.simple.clone(),
        }
    }
}

/// Java's UTF validator: letters of any script, digits and underscores, no digit first.
pub(super) fn check(name: &str) -> Result<(), SchemaError> {
    let mut chars = name.chars();
    match chars.next() {
        None => return Err(SchemaError::invalid("Empty name")),
        Some(first) if !(first.is_alphabetic() || first == '_') => {
            return Err(SchemaError::invalid(format!("Illegal initial character: {name}")));
        }
        Some(_) => {}
    }
    match chars.find(|c| !(c.is_alphanumeric() || *c == '_')) {
        Some(_) => Err(SchemaError::invalid(format!("Illegal character in: {name}"))),
        None => Ok(()),
    }
}
