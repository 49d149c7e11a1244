//! DescribeConfigs, v1–v4: every key of a topic or of this broker, with where its value comes from.
//!
//! Behaviour: a key that nobody set is listed with its default; synonyms are the broker's keys in the order in which they
//! count; passwords are never shown.
//! Differs: broker keys are read at start, so none is dynamic; configs of broker loggers, client metrics and groups do not exist here and are refused.

use std::borrow::Cow;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use crate::config::{self, BrokerSettings, ConfigKey, KeyType, Scope};
use crate::context::RequestContext;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Where a value comes from, as the response numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Topic = 1,
    StaticBroker = 4,
    Default = 5,
}

/// One value of a key and where it comes from.
struct Value {
    name: &'static str,
    value: Option<String>,
    source: Source,
}

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: DescribeConfigsRequest<'a>,
) -> DescribeConfigsResponse<'a> {
    let describe = Describe {
        settings: &ctx.node.settings,
        with_synonyms: request.include_synonyms,
        with_documentation: request.include_documentation,
    };
    let results =
        request.resources.into_iter().map(|resource| describe_resource(ctx, &describe, resource));
    DescribeConfigsResponse { results: results.collect(), ..DescribeConfigsResponse::default() }
}

fn describe_resource<'a>(
    ctx: &RequestContext,
    describe: &Describe<'_>,
    resource: DescribeConfigsResource<'a>,
) -> DescribeConfigsResult<'a> {
    let wanted = |key: &ConfigKey| match &resource.configuration_keys {
        None => true,
        Some(names) if names.is_empty() => true,
        Some(names) => names.iter().any(|name| *name == key.name),
    };
    let described = match resource.resource_type {
        TOPIC => describe_topic(ctx, describe, &resource.resource_name, &wanted),
        BROKER => describe_broker(ctx, describe, &resource.resource_name, &wanted),
        other => Err((
            ErrorCode::InvalidRequest,
            format!("configs of resource type {other} do not exist on this broker"),
        )),
    };
    let (error_code, error_message, configs) = match described {
        Ok(configs) => (ErrorCode::None, None, configs),
        Err((code, message)) => (code, Some(Cow::Owned(message)), Vec::new()),
    };
    DescribeConfigsResult {
        error_code: error_code.code(),
        error_message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        configs,
    }
}

type Described = Result<Vec<DescribeConfigsResourceResult<'static>>, (ErrorCode, String)>;

fn describe_topic(
    ctx: &RequestContext,
    describe: &Describe<'_>,
    name: &str,
    wanted: &dyn Fn(&ConfigKey) -> bool,
) -> Described {
    let image = ctx.node.hosting.image();
    let topic = image.topic(name).ok_or_else(|| {
        (ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."))
    })?;
    let keys = config::keys(Scope::Topic).iter().filter(|key| wanted(key));
    Ok(keys
        .map(|key| {
            let mut values = Vec::new();
            if let Some(own) = topic.config(key.name) {
                values.push(Value {
                    name: key.name,
                    value: Some(own.to_owned()),
                    source: Source::Topic,
                });
            }
            describe.broker_values(key, &mut values);
            describe.key(key, values, Scope::Topic)
        })
        .collect())
}

fn describe_broker(
    ctx: &RequestContext,
    describe: &Describe<'_>,
    id: &str,
    wanted: &dyn Fn(&ConfigKey) -> bool,
) -> Described {
    if id.is_empty() {
        // The entity "all brokers" has only what was set for it at run time, which is nothing.
        return Ok(Vec::new());
    }
    let own_id = ctx.node.settings.node_id.to_string();
    if id != own_id {
        let message =
            format!("Unexpected broker id, expected {own_id} or empty string, but received {id}");
        return Err((ErrorCode::InvalidRequest, message));
    }
    let keys = config::keys(Scope::Broker).iter().filter(|key| wanted(key));
    Ok(keys
        .map(|key| {
            let mut values = Vec::new();
            describe.broker_value(key, &mut values);
            describe.key(key, values, Scope::Broker)
        })
        .collect())
}

struct Describe<'a> {
    settings: &'a BrokerSettings,
    with_synonyms: bool,
    with_documentation: bool,
}

impl Describe<'_> {
    /// What the broker's keys say about a topic's key, the strongest first.
    fn broker_values(&self, topic_key: &ConfigKey, values: &mut Vec<Value>) {
        for synonym in topic_key.synonyms {
            if let Some(value) = self.settings.set_value(synonym.broker_key) {
                let value = Some(config::convert(value, synonym.factor));
                values.push(Value {
                    name: synonym.broker_key,
                    value,
                    source: Source::StaticBroker,
                });
            }
        }
        let name = topic_key.synonyms.first().map_or(topic_key.name, |synonym| synonym.broker_key);
        values.push(Value {
            name,
            value: topic_key.default.map(str::to_owned),
            source: Source::Default,
        });
    }

    fn broker_value(&self, key: &ConfigKey, values: &mut Vec<Value>) {
        if let Some(value) = self.settings.set_value(key.name) {
            values.push(Value {
                name: key.name,
                value: Some(value.to_owned()),
                source: Source::StaticBroker,
            });
        }
        if let Some(default) = key.default {
            values.push(Value {
                name: key.name,
                value: Some(default.to_owned()),
                source: Source::Default,
            });
        }
    }

    fn key(
        &self,
        key: &ConfigKey,
        values: Vec<Value>,
        scope: Scope,
    ) -> DescribeConfigsResourceResult<'static> {
        let is_sensitive = key.kind == KeyType::Password;
        let shown =
            |value: &Option<String>| value.clone().filter(|_| !is_sensitive).map(Cow::Owned);
        let first = values.first();
        let source = first.map_or(Source::Default, |first| first.source);
        let value = first.and_then(|first| shown(&first.value));
        let synonyms = if self.with_synonyms { values } else { Vec::new() };
        DescribeConfigsResourceResult {
            name: Cow::Borrowed(key.name),
            value,
            // Broker keys are read at start; no request changes them.
            read_only: scope == Scope::Broker,
            config_source: source as i8,
            is_sensitive,
            synonyms: synonyms
                .into_iter()
                .map(|synonym| DescribeConfigsSynonym {
                    name: Cow::Borrowed(synonym.name),
                    value: shown(&synonym.value),
                    source: synonym.source as i8,
                })
                .collect(),
            config_type: key.kind.wire(),
            documentation: self.with_documentation.then_some(Cow::Borrowed(key.doc)),
        }
    }
}
