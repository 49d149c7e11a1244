//! The way of a record through a task: its transforms and its converters, made from one connector's config.
//!
//! - A converter that has no plan for a schema yet is prepared and asked again; that is the only step that waits.
//! - A failure says at which stage and in which class it happened, as dead letters tell it.

use aquifer_connect_api::config::ConfigMap;
use aquifer_connect_api::{
    ByteString, ConnectError, Converter, ConverterError, ConverterRole, Decoded, Header, Headers,
    Original, Record, Transform,
};
use bytes::{Bytes, BytesMut};

use crate::config::connector::split_list;
use crate::config::validation::stripped;
use crate::config::worker::WorkerSettings;
use crate::header::HeaderConverter;
use crate::plugins::Plugins;

/// Where in the way of a record something failed; the names are Kafka Connect's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Transformation,
    KeyConverter,
    ValueConverter,
    TaskPut,
}

impl Stage {
    /// The name that a dead letter's header has.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Transformation => "TRANSFORMATION",
            Stage::KeyConverter => "KEY_CONVERTER",
            Stage::ValueConverter => "VALUE_CONVERTER",
            Stage::TaskPut => "TASK_PUT",
        }
    }
}

/// A record that did not come through.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Where.
    pub(crate) stage: Stage,
    /// In which class.
    pub(crate) class: String,
    /// Why.
    pub(crate) error: ConnectError,
}

struct NamedConverter {
    class: &'static str,
    stage: Stage,
    converter: Box<dyn Converter>,
}

/// The transforms and converters of one task.
pub(crate) struct Conversion {
    transforms: Vec<(&'static str, Box<dyn Transform>)>,
    key: NamedConverter,
    value: NamedConverter,
    /// The converter of headers.
    pub(crate) header: HeaderConverter,
}

/// The key that names the converter.
pub(crate) fn converter_key(role: ConverterRole) -> &'static str {
    match role {
        ConverterRole::Key => "key.converter",
        ConverterRole::Value => "value.converter",
    }
}

/// The class of a connector's converter and its config: the connector's own, or the worker's where it names none.
///
/// Keys that the connector gives without naming a class tune the worker's converter. Where the schema registry is, is the
/// worker's to know: a connector that names a converter need not repeat it.
pub(crate) fn converter_config(
    worker: &WorkerSettings,
    config: &ConfigMap,
    role: ConverterRole,
) -> (String, ConfigMap) {
    let key = converter_key(role);
    let prefix = format!("{key}.");
    let own = stripped(config, &prefix);
    let shared = stripped(&worker.map, &prefix);
    let Some(class) = config.get(key) else {
        let class = worker.value(key).unwrap_or_default().to_owned();
        let mut merged = shared;
        merged.extend(own);
        return (class, merged);
    };
    let mut merged = own;
    if !merged.contains_key("schema.registry.url") {
        let of_registry = |name: &str| {
            ["schema.registry.", "basic.auth.", "bearer.auth."]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        for (name, value) in shared.into_iter().filter(|(name, _)| of_registry(name)) {
            merged.entry(name).or_insert(value);
        }
    }
    (class.clone(), merged)
}

impl Conversion {
    /// Makes the transforms and converters of a connector's task; the error is of kind `Config`.
    pub(crate) fn new(
        plugins: &Plugins,
        worker: &WorkerSettings,
        config: &ConfigMap,
    ) -> Result<Self, ConnectError> {
        let aliases = config.get("transforms").map(String::as_str).unwrap_or_default();
        let transforms = split_list(aliases)
            .into_iter()
            .map(|alias| transform(plugins, config, alias))
            .collect::<Result<_, _>>()?;
        let header = config.get("header.converter").map(String::as_str);
        let header = header.or_else(|| worker.value("header.converter")).unwrap_or_default();
        let unknown = || ConnectError::config(format!("unknown header.converter {header}"));
        Ok(Self {
            transforms,
            key: converter(plugins, worker, config, ConverterRole::Key)?,
            value: converter(plugins, worker, config, ConverterRole::Value)?,
            header: HeaderConverter::of_class(header).ok_or_else(unknown)?,
        })
    }

    /// The record after every transform; `None` when one of them dropped it.
    pub(crate) fn transform(&mut self, record: Record) -> Result<Option<Record>, Failure> {
        let mut record = record;
        for (class, transform) in &mut self.transforms {
            match transform.apply(record) {
                Ok(Some(next)) => record = next,
                Ok(None) => return Ok(None),
                Err(error) => {
                    let class = (*class).to_owned();
                    return Err(Failure { stage: Stage::Transformation, class, error });
                }
            }
        }
        Ok(Some(record))
    }

    /// Appends the key's and the value's bytes to `out`; each answer is the end of its bytes, or `None` for null.
    pub(crate) async fn encode(
        &mut self,
        record: &Record,
        out: &mut BytesMut,
    ) -> Result<(Option<usize>, Option<usize>), Failure> {
        let key = self.key.encode(record, ConverterRole::Key, out).await?;
        let key = key.then_some(out.len());
        let value = self.value.encode(record, ConverterRole::Value, out).await?;
        Ok((key, value.then_some(out.len())))
    }

    /// A consumed record as Connect sees it.
    pub(crate) async fn decode(&mut self, original: &Original) -> Result<Record, Failure> {
        let topic = &*original.topic;
        let key = self.key.decode(topic, original.key.as_ref()).await?;
        let value = self.value.decode(topic, original.value.as_ref()).await?;
        let headers = original.headers.iter().map(|(name, bytes)| {
            let (schema, value) = self.header.decode(bytes.as_ref());
            Header { key: name.clone(), schema, value }
        });
        Ok(Record {
            topic: ByteString::from(topic),
            partition: Some(original.partition),
            key_schema: key.schema,
            key: key.value,
            value_schema: value.schema,
            value: value.value,
            offset: Some(original.offset),
            timestamp_ms: original.timestamp_ms,
            headers: Headers(headers.collect()),
        })
    }
}

impl NamedConverter {
    async fn encode(
        &mut self,
        record: &Record,
        role: ConverterRole,
        out: &mut BytesMut,
    ) -> Result<bool, Failure> {
        let (schema, value) = match role {
            ConverterRole::Key => (record.key_schema.as_ref(), &record.key),
            ConverterRole::Value => (record.value_schema.as_ref(), &record.value),
        };
        let start = out.len();
        let mut encode = |this: &mut Self| {
            this.converter.encode(&record.topic, &record.headers, schema, value, out)
        };
        let error = match encode(self) {
            Ok(some) => return Ok(some),
            Err(ConverterError::Failed(error)) => error,
            Err(ConverterError::Unprepared) => {
                let prepared = self.converter.prepare_encode(&record.topic, schema).await;
                match prepared.map(|()| encode(self)) {
                    Ok(Ok(some)) => return Ok(some),
                    Ok(Err(ConverterError::Failed(error))) | Err(error) => error,
                    Ok(Err(ConverterError::Unprepared)) => self.never_prepared(),
                }
            }
        };
        out.truncate(start);
        Err(self.failure(error))
    }

    async fn decode(&mut self, topic: &str, bytes: Option<&Bytes>) -> Result<Decoded, Failure> {
        let error = match self.converter.decode(topic, bytes) {
            Ok(decoded) => return Ok(decoded),
            Err(ConverterError::Failed(error)) => error,
            Err(ConverterError::Unprepared) => {
                let empty = Bytes::new();
                let prepared = self.converter.prepare_decode(topic, bytes.unwrap_or(&empty)).await;
                match prepared.map(|()| self.converter.decode(topic, bytes)) {
                    Ok(Ok(decoded)) => return Ok(decoded),
                    Ok(Err(ConverterError::Failed(error))) | Err(error) => error,
                    Ok(Err(ConverterError::Unprepared)) => self.never_prepared(),
                }
            }
        };
        Err(self.failure(error))
    }

    fn never_prepared(&self) -> ConnectError {
        ConnectError::fatal(format!("{} is still not prepared after being prepared", self.class))
    }

    fn failure(&self, error: ConnectError) -> Failure {
        Failure { stage: self.stage, class: self.class.to_owned(), error }
    }
}

fn transform(
    plugins: &Plugins,
    config: &ConfigMap,
    alias: &str,
) -> Result<(&'static str, Box<dyn Transform>), ConnectError> {
    let prefix = format!("transforms.{alias}.");
    let class = config.get(&format!("{prefix}type")).map(String::as_str).unwrap_or_default();
    let plugin = plugins.transform(class).ok_or_else(|| {
        ConnectError::config(format!("unknown class {class} of transform {alias}"))
    })?;
    Ok((plugin.class, (plugin.new)(&stripped(config, &prefix))?))
}

fn converter(
    plugins: &Plugins,
    worker: &WorkerSettings,
    config: &ConfigMap,
    role: ConverterRole,
) -> Result<NamedConverter, ConnectError> {
    let (class, own) = converter_config(worker, config, role);
    let plugin = plugins.converter(&class).ok_or_else(|| {
        ConnectError::config(format!("unknown class {class} of {}", converter_key(role)))
    })?;
    let stage = match role {
        ConverterRole::Key => Stage::KeyConverter,
        ConverterRole::Value => Stage::ValueConverter,
    };
    Ok(NamedConverter { class: plugin.class, stage, converter: (plugin.new)(&own, role)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn check(
        worker: &[(&str, &str)],
        connector: &[(&str, &str)],
        class: &str,
        own: &[(&str, &str)],
    ) {
        let worker = WorkerSettings::read(&map(worker)).unwrap();
        let got = converter_config(&worker, &map(connector), ConverterRole::Value);
        assert_eq!(got, (class.to_owned(), map(own)), "{connector:?}");
    }

    #[test]
    fn connector_that_names_a_converter_does_not_inherit_the_workers_options_but_its_registry() {
        let worker = [
            ("value.converter", "Avro"),
            ("value.converter.schema.registry.url", "http://r"),
            ("value.converter.schemas.enable", "false"),
        ];
        check(
            &worker,
            &[],
            "Avro",
            &[("schema.registry.url", "http://r"), ("schemas.enable", "false")],
        );
        check(
            &worker,
            &[("value.converter", "Json")],
            "Json",
            &[("schema.registry.url", "http://r")],
        );
        check(
            &worker,
            &[("value.converter", "Avro"), ("value.converter.schema.registry.url", "http://o")],
            "Avro",
            &[("schema.registry.url", "http://o")],
        );
        check(
            &worker,
            &[("value.converter.schemas.enable", "true")],
            "Avro",
            &[("schema.registry.url", "http://r"), ("schemas.enable", "true")],
        );
    }
}
