//! ByteArrayConverter: bytes as they are, with the schema of optional bytes.

use std::sync::LazyLock;

use aquifer_connect_api::config::{ConfigDef, ConfigMap};
use aquifer_connect_api::{
    ConnectError, Converter, ConverterError, ConverterRole, Decoded, Headers, SchemaBuilder,
    SchemaRef, Value,
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

pub(crate) fn config_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(ConfigDef::default);
    &DEF
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of the table")]
pub(crate) fn new(_: &ConfigMap, _: ConverterRole) -> Result<Box<dyn Converter>, ConnectError> {
    Ok(Box::new(ByteArrayConverter { schema: SchemaBuilder::bytes().optional().build() }))
}

struct ByteArrayConverter {
    schema: SchemaRef,
}

#[async_trait]
impl Converter for ByteArrayConverter {
    fn encode(
        &mut self,
        _: &str,
        _: &Headers,
        _: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<bool, ConverterError> {
        match value {
            Value::Null => Ok(false),
            Value::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                Ok(true)
            }
            other => Err(ConnectError::record(format!(
                "ByteArrayConverter takes bytes, found {}",
                other.type_name()
            ))
            .into()),
        }
    }

    async fn prepare_encode(&mut self, _: &str, _: Option<&SchemaRef>) -> Result<(), ConnectError> {
        Ok(())
    }

    fn decode(&mut self, _: &str, bytes: Option<&Bytes>) -> Result<Decoded, ConverterError> {
        let value = bytes.cloned().map(Value::Bytes).unwrap_or_default();
        Ok(Decoded { schema: Some(SchemaRef::clone(&self.schema)), value })
    }

    async fn prepare_decode(&mut self, _: &str, _: &Bytes) -> Result<(), ConnectError> {
        Ok(())
    }
}
