//! The contract of a converter: a schema and a value to bytes, and back.
//!
//! Encoding and decoding are synchronous walks over a plan that was compiled for the schema. Where the plan is missing they answer
//! `Unprepared`, and the runtime awaits `prepare_*` (which may ask a schema registry) and tries again: look-ups happen once per schema.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::config::{ConfigDef, ConfigMap};
use crate::{ConnectError, Headers, SchemaRef, Value};

/// Whether a converter serves keys or values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConverterRole {
    /// Of record keys.
    Key,
    /// Of record values.
    Value,
}

/// Why a converter gave no result.
#[derive(Debug)]
pub enum ConverterError {
    /// The plan for this schema, or for the schema that these bytes name, is not there yet: await `prepare_*`, then try again.
    Unprepared,
    /// The conversion failed.
    Failed(ConnectError),
}

impl From<ConnectError> for ConverterError {
    fn from(error: ConnectError) -> Self {
        ConverterError::Failed(error)
    }
}

/// A decoded key or value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// Its schema; `None` without schemas.
    pub schema: Option<SchemaRef>,
    /// Its value.
    pub value: Value,
}

/// Converts keys or values of one task.
#[async_trait]
pub trait Converter: Send {
    /// Appends the bytes to `out`; `Ok(false)` means null (nothing was appended; a tombstone when it is the value).
    fn encode(
        &mut self,
        topic: &str,
        headers: &Headers,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<bool, ConverterError>;

    /// Makes the plan for a schema; an error of kind `Retriable` is tried again.
    async fn prepare_encode(
        &mut self,
        topic: &str,
        schema: Option<&SchemaRef>,
    ) -> Result<(), ConnectError>;

    /// The schema and value of those bytes; `None` is null.
    fn decode(&mut self, topic: &str, bytes: Option<&Bytes>) -> Result<Decoded, ConverterError>;

    /// Makes the plan for the schema that those bytes name.
    async fn prepare_decode(&mut self, topic: &str, bytes: &Bytes) -> Result<(), ConnectError>;
}

/// Makes a converter from its config, without the prefix; the error is of kind `Config`.
pub type NewConverter = fn(&ConfigMap, ConverterRole) -> Result<Box<dyn Converter>, ConnectError>;

/// A row of the table of converters.
#[derive(Clone, Copy)]
pub struct ConverterPlugin {
    /// The class name that configs use, e.g. `io.confluent.connect.avro.AvroConverter`.
    pub class: &'static str,
    /// Its config keys, without the `key.converter.` or `value.converter.` prefix.
    pub config_def: fn() -> &'static ConfigDef,
    /// Makes one.
    pub new: NewConverter,
}
