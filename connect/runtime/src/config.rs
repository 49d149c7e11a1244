//! Config keys that are the runtime's: of the worker, of every connector, and of the clients it makes for them.

pub(crate) mod client;
pub(crate) mod connector;
pub(crate) mod validation;
pub(crate) mod worker;
