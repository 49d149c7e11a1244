//! What has configs, as the requests number and name it.

use aquifer_broker_protocol::ErrorCode;

use crate::context::RequestContext;
use crate::hosting::TopicRefusal;

/// A topic.
pub(super) const TOPIC: i8 = 2;
/// A broker; all brokers where the name is empty.
pub(super) const BROKER: i8 = 4;
/// The loggers of a broker.
pub(super) const BROKER_LOGGER: i8 = 8;
/// What clients are asked to measure.
pub(super) const CLIENT_METRICS: i8 = 16;
/// A group.
pub(super) const GROUP: i8 = 32;

/// Refuses a name that is not this broker's id; `or_empty` names what else would do, for the text.
pub(super) fn own_broker_id(
    ctx: &RequestContext,
    name: &str,
    or_empty: &str,
) -> Result<(), TopicRefusal> {
    let own_id = ctx.node.settings.node_id;
    let message = match name.parse::<i32>() {
        Ok(id) if id == own_id => return Ok(()),
        Ok(_) => format!("Unexpected broker id, expected {own_id}{or_empty}, but received {name}"),
        Err(_) => format!("Node id must be an integer, but it is: {name}"),
    };
    Err(TopicRefusal { code: ErrorCode::InvalidRequest, message })
}
