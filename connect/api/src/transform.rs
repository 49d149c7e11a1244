//! The contract of a single message transform.

use crate::config::{ConfigDef, ConfigMap};
use crate::{ConnectError, Record};

/// Changes a record, drops it (`None`), or refuses it (an error of kind `Record`).
pub trait Transform: Send {
    /// The record after this transform.
    fn apply(&mut self, record: Record) -> Result<Option<Record>, ConnectError>;
}

/// Makes a transform from its config, without the prefix; the error is of kind `Config`.
pub type NewTransform = fn(&ConfigMap) -> Result<Box<dyn Transform>, ConnectError>;

/// A row of the table of transforms.
#[derive(Clone, Copy)]
pub struct TransformPlugin {
    /// The class name that configs use, e.g. `org.apache.kafka.connect.transforms.ReplaceField$Value`.
    pub class: &'static str,
    /// Its config keys, without the `transforms.NAME.` prefix.
    pub config_def: fn() -> &'static ConfigDef,
    /// Makes one.
    pub new: NewTransform,
}
