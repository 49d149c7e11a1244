//! What the Metadata handler answers, field by field.

use std::borrow::Cow;

use aquifer_broker_protocol::message::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse,
};
use aquifer_broker_protocol::{ApiKey, ErrorCode, Uuid};

use super::start_node;
use super::wire::{Wire, read};

#[tokio::test]
async fn a_topic_is_found_by_its_id_with_and_without_an_empty_name() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path(), &[]).await;
    let mut wire = Wire::connect(&node).await;
    let (id, _) = wire.create("t").await;
    let unknown = Uuid([7; 16]);
    // The Java client sends an empty name along with the id.
    for name in [None, Some(Cow::Borrowed(""))] {
        let topics = [id, unknown]
            .map(|topic_id| MetadataRequestTopic { topic_id, name: name.clone() })
            .to_vec();
        let request = MetadataRequest { topics: Some(topics), ..MetadataRequest::default() };
        let answers = wire
            .ask(ApiKey::Metadata, 13, &request, |body| {
                let response = read::<MetadataResponse<'_>>(body, 13);
                let topics = response.topics.into_iter();
                let answer = topics.map(|topic| {
                    (topic.error_code, topic.topic_id, topic.name.map(Cow::into_owned))
                });
                answer.collect::<Vec<_>>()
            })
            .await;
        let expected =
            [(0, id, Some("t".to_owned())), (ErrorCode::UnknownTopicId.code(), unknown, None)];
        assert_eq!(answers, expected);
    }
    node.stop().await.unwrap();
}
