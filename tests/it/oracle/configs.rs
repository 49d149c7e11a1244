//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources.

use aquifer_broker_protocol::message::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterableConfig,
};
use aquifer_broker_protocol::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use aquifer_broker_protocol::message::incremental_alter_configs as incremental;
use aquifer_broker_protocol::message::list_config_resources::ListConfigResourcesRequest;

use super::caller::Caller;
use super::requests::{of, s};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

fn describe(
    kind: i8,
    name: &str,
    keys: Option<&[&str]>,
    synonyms: bool,
) -> DescribeConfigsRequest<'static> {
    let configuration_keys = keys.map(|keys| keys.iter().map(|key| s(key)).collect());
    let resource =
        DescribeConfigsResource { resource_type: kind, resource_name: s(name), configuration_keys };
    DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: synonyms,
        include_documentation: false,
    }
}

fn alter(kind: i8, name: &str, configs: &[(&str, Option<&str>)]) -> AlterConfigsRequest<'static> {
    let configs = configs
        .iter()
        .map(|(name, value)| AlterableConfig { name: s(name), value: value.map(s) })
        .collect();
    let resources =
        vec![AlterConfigsResource { resource_type: kind, resource_name: s(name), configs }];
    AlterConfigsRequest { resources, validate_only: false }
}

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn change(
    kind: i8,
    name: &str,
    configs: &[(&str, i8, Option<&str>)],
) -> incremental::IncrementalAlterConfigsRequest<'static> {
    let configs = configs
        .iter()
        .map(|(name, config_operation, value)| incremental::AlterableConfig {
            name: s(name),
            config_operation: *config_operation,
            value: value.map(s),
        })
        .collect();
    let resources = vec![incremental::AlterConfigsResource {
        resource_type: kind,
        resource_name: s(name),
        configs,
    }];
    incremental::IncrementalAlterConfigsRequest { resources, validate_only: false }
}

pub(crate) async fn script(c: &mut Caller) {
    let (t, _) = c.topic("t", 1, &[("retention.ms", "60000"), ("cleanup.policy", "compact")]).await;
    let unknown = c.name("unknown");
    c.calls("a topic", 1, |_| describe(TOPIC, &t, None, true)).await;
    c.new_call("without synonyms", describe(TOPIC, &t, None, false)).await;
    c.new_call(
        "some keys",
        describe(TOPIC, &t, Some(&["retention.ms", "segment.bytes", "no.such"]), true),
    )
    .await;
    c.new_call("no keys", describe(TOPIC, &t, Some(&[]), true)).await;
    c.new_call("an unknown topic", describe(TOPIC, &unknown, None, true)).await;
    c.new_call("a bad name", describe(TOPIC, "a b", None, true)).await;
    c.new_call("an empty name", describe(TOPIC, "", None, true)).await;
    c.new_call(
        "some of the broker",
        describe(
            BROKER,
            "1",
            Some(&[
                "num.partitions",
                "log.retention.hours",
                "message.max.bytes",
                "auto.create.topics.enable",
                "compression.type",
                "log.segment.bytes",
                "offsets.topic.num.partitions",
                "transaction.max.timeout.ms",
                "group.consumer.session.timeout.ms",
            ]),
            true,
        ),
    )
    .await;
    c.new_call("another broker", describe(BROKER, "7", None, true)).await;
    c.new_call("a broker that is no number", describe(BROKER, "x", None, true)).await;
    c.new_call("all brokers", describe(BROKER, "", None, true)).await;
    c.new_call("an unknown kind", describe(99, "x", None, true)).await;
    c.new_call("a kind below zero", describe(-1, "x", None, true)).await;
    let group = c.name("group");
    c.new_call("a group", describe(GROUP, &group, None, true)).await;
    c.new_call("metrics", describe(METRICS, &group, None, true)).await;
    c.new_call("loggers of another broker", describe(LOGGER, "7", None, true)).await;

    let look = |c: &Caller| {
        describe(
            TOPIC,
            &c.name("t"),
            Some(&["retention.ms", "cleanup.policy", "max.message.bytes", "segment.bytes"]),
            true,
        )
    };
    for (step, configs) in [
        ("set", &[("max.message.bytes", SET, Some("5000"))] as &[_]),
        (
            "set several",
            &[("segment.bytes", SET, Some("2000000")), ("retention.ms", SET, Some("70000"))],
        ),
        ("append", &[("cleanup.policy", APPEND, Some("delete"))]),
        ("append again", &[("cleanup.policy", APPEND, Some("delete"))]),
        ("subtract", &[("cleanup.policy", SUBTRACT, Some("compact"))]),
        ("delete", &[("max.message.bytes", DELETE, None)]),
        ("delete what is not set", &[("flush.ms", DELETE, None)]),
        ("append to what is no list", &[("retention.ms", APPEND, Some("1"))]),
        ("a bad value", &[("retention.ms", SET, Some("soon"))]),
        ("no value", &[("retention.ms", SET, None)]),
        ("an unknown key", &[("no.such", SET, Some("1"))]),
        ("delete an unknown key", &[("no.such", DELETE, None)]),
        (
            "one good and one bad",
            &[("retention.ms", SET, Some("1")), ("segment.bytes", SET, Some("x"))],
        ),
        ("a key twice", &[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))]),
        ("out of bounds", &[("min.cleanable.dirty.ratio", SET, Some("1.5"))]),
        ("an unknown operation", &[("retention.ms", 9, Some("1"))]),
        ("an empty list", &[("cleanup.policy", SET, Some(""))]),
        ("nothing", &[]),
    ] {
        c.new_call(step, change(TOPIC, &t, configs)).await;
        settled(c, &t).await;
        c.new_call(&format!("after: {step}"), look(c)).await;
    }
    c.call("v0", 0, change(TOPIC, &t, &[("retention.ms", SET, Some("80000"))])).await;
    c.new_call("of an unknown topic", change(TOPIC, &unknown, &[("retention.ms", SET, Some("1"))]))
        .await;
    c.new_call("of a bad name", change(TOPIC, "a b", &[("retention.ms", SET, Some("1"))])).await;
    c.new_call("of an empty name", change(TOPIC, "", &[("retention.ms", SET, Some("1"))])).await;
    c.new_call("of an unknown kind", change(99, "x", &[("a", SET, Some("1"))])).await;
    let twice = change(TOPIC, &t, &[("retention.ms", SET, Some("1"))]);
    let resources = [twice.resources.clone(), twice.resources].concat();
    c.new_call(
        "a resource twice",
        incremental::IncrementalAlterConfigsRequest { resources, validate_only: false },
    )
    .await;
    let mut tried = change(TOPIC, &t, &[("retention.ms", SET, Some("1"))]);
    tried.validate_only = true;
    c.new_call("trying only", tried).await;
    settled(c, &t).await;
    c.new_call("after trying only", look(c)).await;
    c.new_call(
        "a setting of the broker that needs a restart",
        change(BROKER, "1", &[("log.dirs", SET, Some("/tmp/x"))]),
    )
    .await;
    c.new_call(
        "a bad setting of the broker",
        change(BROKER, "1", &[("message.max.bytes", SET, Some("x"))]),
    )
    .await;
    c.new_call(
        "of another broker",
        change(BROKER, "7", &[("message.max.bytes", SET, Some("100"))]),
    )
    .await;
    c.new_call(
        "of a broker that is no number",
        change(BROKER, "x", &[("message.max.bytes", SET, Some("100"))]),
    )
    .await;
    c.new_call(
        "of a group",
        change(GROUP, &group, &[("consumer.session.timeout.ms", SET, Some("50000"))]),
    )
    .await;
    c.new_call(
        "a bad value of a group",
        change(GROUP, &group, &[("consumer.session.timeout.ms", SET, Some("5"))]),
    )
    .await;
    c.new_call("an unknown key of a group", change(GROUP, &group, &[("no.such", SET, Some("5"))]))
        .await;

    c.calls("all at once", 0, |_| alter(TOPIC, &t, &[("retention.ms", Some("90000"))])).await;
    settled(c, &t).await;
    c.new_call("after all at once", look(c)).await;
    c.new_call("all at once, unknown key", alter(TOPIC, &t, &[("no.such", Some("1"))])).await;
    c.new_call("all at once, bad value", alter(TOPIC, &t, &[("retention.ms", Some("x"))])).await;
    c.new_call("all at once, no value", alter(TOPIC, &t, &[("retention.ms", None)])).await;
    c.new_call("all at once, unknown topic", alter(TOPIC, &unknown, &[])).await;
    c.new_call("all at once, nothing", alter(TOPIC, &t, &[])).await;
    settled(c, &t).await;
    c.new_call("after nothing", look(c)).await;

    let prefix = c.name("");
    for (step, types) in [
        ("all kinds", vec![]),
        ("topics", vec![TOPIC]),
        ("brokers", vec![BROKER]),
        ("metrics", vec![METRICS]),
        ("groups", vec![GROUP]),
        ("an unknown kind", vec![99]),
    ] {
        let request = ListConfigResourcesRequest { resource_types: types };
        c.call_then(step, 1, request, |answer| {
            answer.config_resources.retain(|resource| {
                resource.resource_type != TOPIC && resource.resource_type != GROUP
                    || resource.resource_name.starts_with(&prefix)
            });
        })
        .await;
    }
    c.call("of metrics", 0, of!(ListConfigResourcesRequest { resource_types: vec![] })).await;
}

/// Waits until a mark set now can be read: what was set before it can be read too.
async fn settled(c: &mut Caller, t: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(100_000);
    let mark = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    let _ = c.ask(1, &change(TOPIC, t, &[("flush.messages", SET, Some(&mark))])).await;
    c.settle(
        4,
        || describe(TOPIC, t, Some(&["flush.messages"]), false),
        |answer| {
            let mut values = answer.results.iter().flat_map(|result| &result.configs);
            values.any(|config| config.value.as_deref() == Some(&mark))
        },
    )
    .await;
}
