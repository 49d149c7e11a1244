//! A client of a schema registry's REST: schemas by id, ids by schema, each asked for once.
//!
//! - Works against any registry that speaks Confluent's API; knows nothing of ours.
//! - What was learnt is kept: an id never changes its schema. The caches are bounded by count.
//! - An error says whether trying again can help: a registry that is away is retriable, a schema that it refuses is not.

mod cache;
mod client;
mod error;

pub use client::{Reference, RegisteredSchema, RegistryClient, RegistryOptions};
pub use error::RegistryError;
