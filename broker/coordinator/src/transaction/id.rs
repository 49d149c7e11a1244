//! The name that a transactional producer keeps from one run to the next.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::group::id::name_type;

name_type! {
    /// `transactional.id`.
    TransactionalId
}
