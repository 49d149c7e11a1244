//! DeleteTopics, v0–v6: removes topics, their partitions and the offsets committed for them.
//!
//! Behaviour: answered when the deletion is durable and the partitions are gone. Since v6 by name or by id. What is named
//! twice is answered once, and stays.
//! Differs: `__consumer_offsets` can't be deleted; `timeout_ms` is not used.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aquifer_broker_coordinator::group::id::TopicName;
use aquifer_broker_coordinator::topic::command::TopicRef;
use aquifer_broker_coordinator::topic::image::MetadataImage;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use aquifer_broker_protocol::primitive::Uuid;
use futures_util::future::join_all;

use super::repeated::leave_firsts;
use crate::context::RequestContext;
use crate::hosting::TopicRefusal;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: DeleteTopicsRequest<'a>,
) -> DeleteTopicsResponse<'a> {
    let mut asked = if ctx.api_version >= 6 {
        request.topics
    } else {
        let by_name = request.topic_names.into_iter();
        by_name
            .map(|name| DeleteTopicState { name: Some(name), ..DeleteTopicState::default() })
            .collect()
    };
    let refused = refuse_repeated(&ctx.node.hosting.image(), &mut asked);
    let deleted = join_all(asked.into_iter().map(|topic| delete(ctx, topic))).await;
    let responses = refused.into_iter().chain(deleted);
    DeleteTopicsResponse { responses: responses.collect(), ..DeleteTopicsResponse::default() }
}

/// Takes out what is named twice, by the same name, the same id, or both ways, and answers it.
fn refuse_repeated<'a>(
    image: &MetadataImage,
    asked: &mut Vec<DeleteTopicState<'a>>,
) -> Vec<DeletableTopicResult<'a>> {
    let ids = asked.iter().filter(|topic| topic.name.is_none()).map(|topic| topic.topic_id);
    let ids: BTreeSet<Uuid> = ids.collect();
    let key = |topic: &DeleteTopicState<'_>| {
        let is_either = topic.name.is_some() == topic.topic_id.is_zero();
        is_either.then(|| (topic.name.as_ref().map(ToString::to_string), topic.topic_id))
    };
    let repeated = leave_firsts(asked, key);
    asked.retain(|topic| key(topic).is_none_or(|key| !repeated.contains(&key)));
    let named = asked.iter().filter(|topic| topic.topic_id.is_zero());
    let named = named.filter_map(|topic| image.topic(topic.name.as_deref()?)).map(|topic| topic.id);
    let both_ways: BTreeSet<Uuid> = named.filter(|id| ids.contains(id)).collect();
    let is_both_ways = |topic: &DeleteTopicState<'_>| match &topic.name {
        Some(name) => image.topic(name).is_some_and(|known| both_ways.contains(&known.id)),
        None => both_ways.contains(&topic.topic_id),
    };
    let refused =
        |name: Option<Cow<'a, str>>, topic_id: Uuid, message: &str| DeletableTopicResult {
            name,
            topic_id,
            error_code: ErrorCode::InvalidRequest.code(),
            error_message: Some(Cow::Owned(message.to_owned())),
        };
    let mut results = Vec::new();
    for (name, topic_id) in repeated {
        let what = if name.is_some() { "Duplicate topic name." } else { "Duplicate topic id." };
        results.push(refused(name.map(Cow::Owned), topic_id, what));
    }
    for topic in asked.extract_if(.., |topic| is_both_ways(topic)) {
        if let Some(known) = topic.name.as_deref().and_then(|name| image.topic(name)) {
            let what = "The provided topic name maps to an ID that was already supplied.";
            results.push(refused(topic.name, known.id, what));
        }
    }
    results
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
