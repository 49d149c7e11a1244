//! Several decisions for one transaction: what the earlier ones take, and the state does not show yet. PURE.
//!
//! Only registrations of different subjects are decided together: they meet in ids alone. Whatever looks at more of the state is
//! decided by itself.

use std::collections::{HashMap, HashSet};

use aquifer_registry_schema::SchemaIdentity;

use super::NewSchema;
use crate::state::subject;

/// What a decision looks at and changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The versions of one subject, and those that they refer to.
    Subject { name: String, refers_to: Vec<String> },
    /// Anything.
    Everything,
}

impl Scope {
    /// What registering a schema looks at.
    pub(crate) fn of(new: &NewSchema) -> Self {
        let referred = |name: &str| subject::within(&new.subject, name);
        let refers_to = new.references.iter().map(|one| referred(&one.subject)).collect();
        Scope::Subject { name: new.subject.clone(), refers_to }
    }
}

/// What the decisions so far look at and take.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    subjects: HashSet<String>,
    referred: HashSet<String>,
    exclusive: bool,
    ids: HashMap<(String, SchemaIdentity), i32>,
    highest: HashMap<String, i32>,
}

impl Ahead {
    /// Takes another decision in, if it may be made together with those so far.
    pub(crate) fn admit(&mut self, scope: &Scope) -> bool {
        let empty = self.subjects.is_empty() && !self.exclusive;
        match scope {
            Scope::Everything => {
                self.exclusive |= empty;
                empty
            }
            Scope::Subject { name, refers_to } => {
                let apart = !self.exclusive
                    && !self.subjects.contains(name)
                    && !self.referred.contains(name)
                    && !refers_to.iter().any(|other| self.subjects.contains(other));
                if apart {
                    self.subjects.insert(name.clone());
                    self.referred.extend(refers_to.iter().cloned());
                }
                apart
            }
        }
    }

    /// The id that an earlier decision gave to a schema.
    pub(super) fn id_of(&self, context: &str, identity: &SchemaIdentity) -> Option<i32> {
        self.ids.get(&(context.to_owned(), *identity)).copied()
    }

    /// The highest id that earlier decisions gave out.
    pub(super) fn highest(&self, context: &str) -> i32 {
        self.highest.get(context).copied().unwrap_or(0)
    }

    /// Notes an id that is given out.
    pub(super) fn take(&mut self, context: &str, identity: SchemaIdentity, id: i32) {
        self.ids.insert((context.to_owned(), identity), id);
        let highest = self.highest.entry(context.to_owned()).or_default();
        *highest = (*highest).max(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str, refers_to: &[&str]) -> Scope {
        let refers_to = refers_to.iter().map(|name| (*name).to_owned()).collect();
        Scope::Subject { name: name.to_owned(), refers_to }
    }

    fn check(scopes: &[Scope], expected: &[bool]) {
        let mut ahead = Ahead::default();
        let admitted: Vec<bool> = scopes.iter().map(|scope| ahead.admit(scope)).collect();
        assert_eq!(admitted, expected, "{scopes:?}");
    }

    #[test]
    fn decisions_on_different_subjects_are_made_together() {
        check(&[subject("a", &[]), subject("b", &["x"]), subject("c", &["x"])], &[true; 3]);
    }

    #[test]
    fn decisions_that_look_at_each_other_are_made_apart() {
        check(&[subject("a", &[]), subject("a", &[])], &[true, false]);
        check(&[subject("a", &[]), subject("b", &["a"])], &[true, false]);
        check(&[subject("b", &["a"]), subject("a", &[])], &[true, false]);
        check(&[subject("a", &[]), Scope::Everything, subject("b", &[])], &[true, false, true]);
        check(&[Scope::Everything, subject("a", &[])], &[true, false]);
    }
}
