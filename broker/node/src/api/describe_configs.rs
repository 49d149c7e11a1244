//! DescribeConfigs, v0–v4: every key of a topic, of this broker or of a group, with where its value comes from.
//!
//! Behaviour: a key that nobody set is listed with its default; synonyms are the broker's keys in the order in which they
//! count; passwords are never shown.
//! Differs: the loggers of this broker are one, the root; configs of client metrics do not exist here and are refused.

use std::borrow::Cow;

use aquifer_broker_coordinator::topic::image::{ConfigResource, Configs};
use aquifer_broker_coordinator::topic::validate_topic_name;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use tracing::level_filters::LevelFilter;

use super::resource::{BROKER, BROKER_LOGGER, GROUP, TOPIC, own_broker_id};
use crate::config::{
    ConfigSource, Described, described_broker, described_cluster, described_group, described_topic,
};
use crate::context::RequestContext;
use crate::hosting::TopicRefusal;

/// What the answer carries beside values.
#[derive(Clone, Copy)]
struct Extras {
    synonyms: bool,
    documentation: bool,
}

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: DescribeConfigsRequest<'a>,
) -> DescribeConfigsResponse<'a> {
    let extras =
        Extras { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results =
        request.resources.into_iter().map(|resource| describe_resource(ctx, extras, resource));
    DescribeConfigsResponse { results: results.collect(), ..DescribeConfigsResponse::default() }
}

fn describe_resource<'a>(
    ctx: &RequestContext,
    extras: Extras,
    resource: DescribeConfigsResource<'a>,
) -> DescribeConfigsResult<'a> {
    let wanted = |described: &Described| match &resource.configuration_keys {
        None => true,
        Some(names) if names.is_empty() => true,
        Some(names) => names.contains(&described.name),
    };
    let (error_code, error_message, configs) =
        match describe(ctx, resource.resource_type, &resource.resource_name) {
            Ok(described) => {
                let described = described.into_iter().filter(wanted);
                let configs = described.map(|described| result(described, extras)).collect();
                (ErrorCode::None, Some(Cow::Borrowed("")), configs)
            }
            Err(refusal) => (refusal.code, Some(Cow::Owned(refusal.message)), Vec::new()),
        };
    DescribeConfigsResult {
        error_code: error_code.code(),
        error_message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        configs,
    }
}

fn describe(ctx: &RequestContext, kind: i8, name: &str) -> Result<Vec<Described>, TopicRefusal> {
    let refused = |code, message: &str| Err(TopicRefusal { code, message: message.to_owned() });
    let settings = ctx.node.hosting.live_settings();
    let image = ctx.node.hosting.image();
    match kind {
        TOPIC => {
            validate_topic_name(name)?;
            match image.topic(name) {
                Some(topic) => Ok(described_topic(&settings, &topic.configs).collect()),
                None => refused(ErrorCode::UnknownTopicOrPartition, ""),
            }
        }
        BROKER if name.is_empty() => Ok(described_cluster(&settings).collect()),
        BROKER => {
            own_broker_id(ctx, name, " or empty string")?;
            Ok(described_broker(&settings).collect())
        }
        BROKER_LOGGER if name.is_empty() => {
            refused(ErrorCode::InvalidRequest, "Broker id must not be empty")
        }
        BROKER_LOGGER => {
            own_broker_id(ctx, name, "")?;
            Ok(vec![root_logger()])
        }
        GROUP if name.is_empty() => {
            refused(ErrorCode::InvalidRequest, "Group name must not be empty")
        }
        GROUP => {
            let nothing = Configs::new();
            let own = image.configs(&ConfigResource::Group(name.into())).unwrap_or(&nothing);
            Ok(described_group(&settings, own).collect())
        }
        other => refused(ErrorCode::InvalidRequest, &format!("Unsupported resource type: {other}")),
    }
}

/// The level that this process logs at; it is given at the start.
fn root_logger() -> Described {
    let level = match LevelFilter::current().into_level() {
        None => "FATAL",
        Some(level) => level.as_str(),
    };
    Described {
        name: Cow::Borrowed("root"),
        value: Some(level.to_owned()),
        source: ConfigSource::Logger,
        read_only: true,
        is_sensitive: false,
        synonyms: Vec::new(),
        kind: 0,
        doc: "The least important level that is logged.",
    }
}

fn result(described: Described, extras: Extras) -> DescribeConfigsResourceResult<'static> {
    let synonyms = if extras.synonyms { described.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult {
        name: described.name,
        value: described.value.map(Cow::Owned),
        read_only: described.read_only,
        is_default: described.source == ConfigSource::Default,
        config_source: described.source as i8,
        is_sensitive: described.is_sensitive,
        synonyms: synonyms
            .into_iter()
            .map(|(name, value, source)| DescribeConfigsSynonym {
                name,
                value: value.map(Cow::Owned),
                source: source as i8,
            })
            .collect(),
        config_type: described.kind,
        documentation: extras.documentation.then_some(Cow::Borrowed(described.doc)),
    }
}
