//! DescribeTransactions, v0: where transactional ids stand.
//!
//! References: KIP-664.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aquifer_broker_coordinator::transaction::state::Transaction;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState,
};

use crate::context::RequestContext;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: DescribeTransactionsRequest<'a>,
) -> DescribeTransactionsResponse<'a> {
    let mut transaction_states = Vec::with_capacity(request.transactional_ids.len());
    for transactional_id in request.transactional_ids {
        let described = if transactional_id.is_empty() {
            Err(ErrorCode::InvalidRequest)
        } else {
            let described = ctx.node.hosting.describe_transaction(&transactional_id).await;
            described.and_then(|known| known.ok_or(ErrorCode::TransactionalIdNotFound))
        };
        transaction_states.push(match described {
            Ok(transaction) => state(transactional_id, &transaction),
            Err(error) => TransactionState {
                error_code: error.code(),
                transactional_id,
                ..TransactionState::default()
            },
        });
    }
    DescribeTransactionsResponse { transaction_states, ..DescribeTransactionsResponse::default() }
}

fn state<'a>(transactional_id: Cow<'a, str>, transaction: &Transaction) -> TransactionState<'a> {
    let mut topics = BTreeMap::<_, Vec<i32>>::new();
    for (topic, partition) in &transaction.partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let topics = topics
        .into_iter()
        .map(|(topic, partitions)| TopicData { topic: Cow::Owned(topic.to_string()), partitions });
    TransactionState {
        error_code: ErrorCode::None.code(),
        transactional_id,
        transaction_state: Cow::Borrowed(transaction.state.name()),
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_start_time_ms: transaction.started_at.map_or(-1, |at| at.0),
        producer_id: transaction.producer.id,
        producer_epoch: transaction.producer.epoch,
        topics: topics.collect(),
    }
}
