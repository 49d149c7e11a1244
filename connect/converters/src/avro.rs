//! AvroConverter: Avro binary behind a schema id, the schemas in a registry.
//!
//! - A payload is the byte 0, the schema's id as big-endian int32, and Avro's binary encoding.
//! - Schemas are mapped as Confluent's converter maps them (`connect.name`, `connect.parameters`, …), so that both read each other's topics.
//! - A recursive schema has no place in Connect's data model and is refused.
//!
//! References: Confluent's wire format; Avro 1.12 specification, "Binary encoding".

mod decode;
mod encode;
mod read_schema;
mod schema_text;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use aquifer_connect_api::config::{
    Check, ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance, ParsedConfig,
};
use aquifer_connect_api::{
    ByteString, ConnectError, Converter, ConverterError, ConverterRole, Decoded, Headers,
    SchemaBuilder, SchemaCache, SchemaRef, Value,
};
use aquifer_registry_client::{RegistryClient, RegistryError, RegistryOptions};
use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};

const TOPIC_NAME: &str = "io.confluent.kafka.serializers.subject.TopicNameStrategy";
const RECORD_NAME: &str = "io.confluent.kafka.serializers.subject.RecordNameStrategy";
const TOPIC_RECORD_NAME: &str = "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy";

/// The first byte of every payload.
const MAGIC: u8 = 0;
/// Magic byte and id.
const PREFIX_BYTES: usize = 5;

pub(crate) fn config_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
        let optional = ConfigKey::optional;
        let strategy = |name, doc| {
            optional(name, ConfigType::Class, Some(TOPIC_NAME), Importance::Low, doc)
                .check(Check::OneOf(&[TOPIC_NAME, RECORD_NAME, TOPIC_RECORD_NAME]))
        };
        ConfigDef::new(vec![
            ConfigKey::required(
                "schema.registry.url",
                ConfigType::List,
                Importance::High,
                "Addresses of the schema registry, tried in turn.",
            )
            .check(Check::NonEmpty),
            optional(
                "auto.register.schemas",
                ConfigType::Boolean,
                Some("true"),
                Importance::Medium,
                "Whether a schema that is not there yet is registered; else it must be there.",
            ),
            optional(
                "use.latest.version",
                ConfigType::Boolean,
                Some("false"),
                Importance::Low,
                "Writing with the subject's newest schema is not served.",
            )
            .check(Check::OneOf(&["false"])),
            optional(
                "normalize.schemas",
                ConfigType::Boolean,
                Some("false"),
                Importance::Low,
                "Normalising before registering is not served.",
            )
            .check(Check::OneOf(&["false"])),
            optional(
                "connect.meta.data",
                ConfigType::Boolean,
                Some("true"),
                Importance::Low,
                "Whether Connect's names, versions and parameters go into the schema.",
            ),
            optional(
                "enhanced.avro.schema.support",
                ConfigType::Boolean,
                Some("false"),
                Importance::Medium,
                "The enhanced mapping of enums and packages is not served.",
            )
            .check(Check::OneOf(&["false"])),
            strategy("key.subject.name.strategy", "How the subject of a key is named."),
            strategy("value.subject.name.strategy", "How the subject of a value is named."),
            optional(
                "basic.auth.credentials.source",
                ConfigType::String,
                Some("URL"),
                Importance::Medium,
                "USER_INFO takes basic.auth.user.info.",
            )
            .check(Check::OneOf(&["URL", "USER_INFO"])),
            optional(
                "basic.auth.user.info",
                ConfigType::Password,
                None,
                Importance::Medium,
                "user:password for the registry.",
            ),
            optional(
                "ignore.default.for.nullables",
                ConfigType::Boolean,
                Some("true"),
                Importance::Medium,
                "Whether a null of an optional field with a default is written as null.",
            )
            .no_op("a null is always written as null"),
            optional(
                "schemas.cache.config",
                ConfigType::Int,
                Some("1000"),
                Importance::Low,
                "Schemas kept in memory.",
            )
            .no_op("the cache has a bound of its own"),
        ])
    });
    &DEF
}

pub(crate) fn new(
    config: &ConfigMap,
    role: ConverterRole,
) -> Result<Box<dyn Converter>, ConnectError> {
    let config = config_def().parse(config).map_err(|errors| {
        let texts: Vec<String> = errors.into_iter().map(|(_, text)| text).collect();
        ConnectError::config(texts.join("\n"))
    })?;
    let registry = RegistryClient::new(RegistryOptions {
        urls: config.list("schema.registry.url").into_iter().map(str::to_owned).collect(),
        basic_auth: basic_auth(&config),
    })
    .map_err(|error| ConnectError::config(error.to_string()))?;
    let strategy = config.string(if role == ConverterRole::Key {
        "key.subject.name.strategy"
    } else {
        "value.subject.name.strategy"
    });
    Ok(Box::new(AvroConverter {
        registry,
        role,
        subject: match strategy {
            RECORD_NAME => SubjectName::Record,
            TOPIC_RECORD_NAME => SubjectName::TopicRecord,
            _ => SubjectName::Topic,
        },
        auto_register: config.bool("auto.register.schemas"),
        meta_data: config.bool("connect.meta.data"),
        schemaless: Schemaless::default(),
        wanted: None,
        writers: HashMap::new(),
        readers: HashMap::new(),
    }))
}

fn basic_auth(config: &ParsedConfig) -> Option<(String, String)> {
    let (user, password) = config
        .get("basic.auth.user.info")
        .filter(|_| config.string("basic.auth.credentials.source") == "USER_INFO")?
        .split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[derive(Debug, Clone, Copy)]
enum SubjectName {
    Topic,
    Record,
    TopicRecord,
}

/// Schemas for the plain values that come without one.
struct Schemaless {
    boolean: SchemaRef,
    long: SchemaRef,
    double: SchemaRef,
    string: SchemaRef,
    bytes: SchemaRef,
}

impl Default for Schemaless {
    fn default() -> Self {
        Self {
            boolean: SchemaBuilder::boolean().build(),
            long: SchemaBuilder::int64().build(),
            double: SchemaBuilder::float64().build(),
            string: SchemaBuilder::string().build(),
            bytes: SchemaBuilder::bytes().build(),
        }
    }
}

impl Schemaless {
    fn schema_of(&self, value: &Value) -> Result<&SchemaRef, ConnectError> {
        match value {
            Value::Bool(_) => Ok(&self.boolean),
            Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => Ok(&self.long),
            Value::Float32(_) | Value::Float64(_) => Ok(&self.double),
            Value::String(_) => Ok(&self.string),
            Value::Bytes(_) => Ok(&self.bytes),
            Value::Null | Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
                Err(ConnectError::record(format!(
                    "Avro needs a schema for a {}; this record has none",
                    value.type_name()
                )))
            }
        }
    }
}

/// The id under which a schema is registered, and how its values are written.
struct Writer {
    id: u32,
    plan: encode::Plan,
}

/// The Connect schema of an id, and how its values are read.
struct Reader {
    schema: SchemaRef,
    plan: Arc<decode::Plan>,
}

struct AvroConverter {
    registry: RegistryClient,
    role: ConverterRole,
    subject: SubjectName,
    auto_register: bool,
    meta_data: bool,
    schemaless: Schemaless,
    /// The schema that `encode` had no writer for.
    wanted: Option<SchemaRef>,
    writers: HashMap<ByteString, SchemaCache<Writer>>,
    readers: HashMap<u32, Reader>,
}

impl AvroConverter {
    fn subject(&self, topic: &str, schema: &SchemaRef) -> Result<String, ConnectError> {
        let record = || {
            schema.name().ok_or_else(|| {
                ConnectError::record(
                    "the subject is named after the record, but the schema has no name",
                )
            })
        };
        Ok(match (self.subject, self.role) {
            (SubjectName::Topic, ConverterRole::Key) => format!("{topic}-key"),
            (SubjectName::Topic, ConverterRole::Value) => format!("{topic}-value"),
            (SubjectName::Record, _) => record()?.to_owned(),
            (SubjectName::TopicRecord, _) => format!("{topic}-{}", record()?),
        })
    }

    async fn prepare_writer(
        &mut self,
        topic: &str,
        schema: &SchemaRef,
    ) -> Result<(), ConnectError> {
        let subject = self.subject(topic, schema)?;
        let text = schema_text::from_connect(schema, self.meta_data)?;
        let id = if self.auto_register {
            self.registry.register(&subject, "AVRO", &text, &[]).await
        } else {
            self.registry.lookup(&subject, "AVRO", &text, &[]).await
        };
        let id = id.map_err(|error| {
            registry_error(&format!("the schema of subject {subject} was not registered"), error)
        })?;
        let writer = Arc::new(Writer { id, plan: encode::Plan::new(schema) });
        self.writers.entry(ByteString::from(topic)).or_default().insert(schema, writer);
        Ok(())
    }
}

fn registry_error(what: &str, error: RegistryError) -> ConnectError {
    let text = format!("{what}: {error}");
    if error.retriable() {
        ConnectError::retriable(text).caused_by(error)
    } else {
        ConnectError::record(text).caused_by(error)
    }
}

/// The id in front of a payload, and the rest.
fn split(topic: &str, bytes: &Bytes) -> Result<(u32, Bytes), ConnectError> {
    match bytes.first_chunk::<PREFIX_BYTES>() {
        Some([MAGIC, a, b, c, d]) => {
            Ok((u32::from_be_bytes([*a, *b, *c, *d]), bytes.slice(PREFIX_BYTES..)))
        }
        Some([magic, ..]) => Err(ConnectError::record(format!(
            "the first byte of a record of topic {topic} is {magic}, but Avro with a schema id starts with 0"
        ))),
        None => Err(ConnectError::record(format!(
            "a record of topic {topic} has {} bytes, but Avro with a schema id has at least {PREFIX_BYTES}",
            bytes.len()
        ))),
    }
}

#[async_trait]
impl Converter for AvroConverter {
    fn encode(
        &mut self,
        topic: &str,
        _: &Headers,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<bool, ConverterError> {
        if value.is_null() {
            return Ok(false);
        }
        let schema = match schema {
            Some(schema) => schema,
            None => self.schemaless.schema_of(value)?,
        };
        let Some(writer) = self.writers.get_mut(topic).and_then(|schemas| schemas.get(schema))
        else {
            self.wanted = Some(SchemaRef::clone(schema));
            return Err(ConverterError::Unprepared);
        };
        out.put_u8(MAGIC);
        out.put_u32(writer.id);
        writer.plan.write(value, out)?;
        Ok(true)
    }

    async fn prepare_encode(
        &mut self,
        topic: &str,
        schema: Option<&SchemaRef>,
    ) -> Result<(), ConnectError> {
        if let Some(schema) = schema {
            return self.prepare_writer(topic, schema).await;
        }
        // Without a schema the value's own type decides: `encode` has just met it.
        let Some(schema) = self.wanted.take() else { return Ok(()) };
        self.prepare_writer(topic, &schema).await
    }

    fn decode(&mut self, topic: &str, bytes: Option<&Bytes>) -> Result<Decoded, ConverterError> {
        let Some(bytes) = bytes else { return Ok(Decoded::default()) };
        let (id, payload) = split(topic, bytes)?;
        let reader = self.readers.get(&id).ok_or(ConverterError::Unprepared)?;
        let value = reader.plan.read(&payload).map_err(|error| {
            ConnectError::record(format!(
                "a record of topic {topic} does not fit its schema {id}: {error}"
            ))
        })?;
        Ok(Decoded { schema: Some(SchemaRef::clone(&reader.schema)), value })
    }

    async fn prepare_decode(&mut self, topic: &str, bytes: &Bytes) -> Result<(), ConnectError> {
        let (id, _) = split(topic, bytes)?;
        let what = || format!("a record of topic {topic} names schema {id}, which was not found");
        let registered =
            self.registry.schema_by_id(id).await.map_err(|error| registry_error(&what(), error))?;
        if registered.schema_type != "AVRO" {
            return Err(ConnectError::record(format!(
                "schema {id} of topic {topic} is {}, not AVRO",
                registered.schema_type
            )));
        }
        let (schema, plan) = read_schema::to_connect(&registered.text, &registered.references)
            .map_err(|error| {
                ConnectError::record(format!("schema {id} of topic {topic} can't be read: {error}"))
            })?;
        self.readers.insert(id, Reader { schema, plan });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
