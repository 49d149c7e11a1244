//! DeleteTopics, v1–v6: removes topics, their partitions and the offsets committed for them.
//!
//! Behaviour: answered when the deletion is durable and the partitions are gone. Since v6 by name or by id.
//! Differs: `__consumer_offsets` can't be deleted; `timeout_ms` is not used.

use std::borrow::Cow;

use aquifer_broker_coordinator::group::id::TopicName;
use aquifer_broker_coordinator::topic::command::TopicRef;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use aquifer_broker_protocol::primitive::Uuid;
use futures_util::future::join_all;

use crate::context::RequestContext;
use crate::hosting::TopicRefusal;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: DeleteTopicsRequest<'a>,
) -> DeleteTopicsResponse<'a> {
    let asked = if ctx.api_version >= 6 {
        request.topics
    } else {
        let by_name = request.topic_names.into_iter();
        by_name
            .map(|name| DeleteTopicState { name: Some(name), ..DeleteTopicState::default() })
            .collect()
    };
    let responses = asked.into_iter().map(|topic| delete(ctx, topic));
    DeleteTopicsResponse { responses: join_all(responses).await, ..DeleteTopicsResponse::default() }
}

async fn delete<'a>(ctx: &RequestContext, asked: DeleteTopicState<'a>) -> DeletableTopicResult<'a> {
    let image = ctx.node.hosting.image();
    let known = match &asked.name {
        Some(name) => image.topic(name),
        None => image.topic_by_id(&asked.topic_id),
    };
    // Taken before the topic is gone: who asked by id is told the name.
    let name_by_id = known.map(|topic| Cow::Owned(topic.name.to_string()));
    let is_internal = known.is_some_and(|topic| topic.is_internal());
    let result = match topic_ref(&asked) {
        Err(refusal) => Err(refusal),
        Ok(_) if !ctx.node.settings.delete_topic_enable => {
            Err(refusal(ErrorCode::TopicDeletionDisabled, "delete.topic.enable is false."))
        }
        Ok(_) if is_internal => {
            Err(refusal(ErrorCode::InvalidRequest, "The topic is internal: groups are kept in it."))
        }
        Ok(topic) => ctx.node.hosting.delete_topic(topic).await,
    };
    let name = asked.name.or(name_by_id);
    match result {
        Ok(topic_id) => DeletableTopicResult { name, topic_id, ..DeletableTopicResult::default() },
        Err(refusal) => DeletableTopicResult {
            name,
            topic_id: asked.topic_id,
            error_code: refusal.code.code(),
            error_message: Some(Cow::Owned(refusal.message)),
        },
    }
}

fn topic_ref(asked: &DeleteTopicState<'_>) -> Result<TopicRef, TopicRefusal> {
    match (&asked.name, asked.topic_id) {
        (Some(name), Uuid::ZERO) => Ok(TopicRef::Name(TopicName::from(&**name))),
        (None, id) if !id.is_zero() => Ok(TopicRef::Id(id)),
        (None, _) => {
            Err(refusal(ErrorCode::InvalidRequest, "Neither topic name nor id were specified."))
        }
        (Some(_), _) => Err(refusal(
            ErrorCode::InvalidRequest,
            "You may not specify both topic name and topic id.",
        )),
    }
}

fn refusal(code: ErrorCode, message: &str) -> TopicRefusal {
    TopicRefusal { code, message: message.to_owned() }
}
