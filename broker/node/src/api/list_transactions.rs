//! ListTransactions, v0–v2: the transactional ids and where they stand.
//!
//! Behaviour: filters by state, producer id, age (v1) and a regular expression that the whole id must match (v2).
//! Names that are no state are listed in the answer and filter nothing out or in.
//! Differs: expressions are those of the `regex` crate; Kafka's are RE2's, which are nearly the same.
//!
//! References: KIP-664, KIP-994, KIP-1152.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aquifer_broker_coordinator::transaction::command::{ListTransactions, TransactionListing};
use aquifer_broker_coordinator::transaction::state::TransactionState as State;
use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, TransactionState,
};
use regex::Regex;

use crate::context::RequestContext;

/// States that Kafka has a name for and that no id is ever seen in here.
const NEVER_SEEN: [&str; 2] = ["Dead", "PrepareEpochFence"];

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: ListTransactionsRequest<'a>,
) -> ListTransactionsResponse<'a> {
    let (states, unknown) = states(request.state_filters);
    let pattern = request.transactional_id_pattern.as_deref().unwrap_or_default();
    let listed = match pattern_of(pattern) {
        Err(error) => Err(error),
        // Only names of states that nothing is in.
        Ok(_) if states.as_ref().is_some_and(BTreeSet::is_empty) => Ok(Vec::new()),
        Ok(pattern) => {
            let list = ListTransactions {
                states: states.unwrap_or_default(),
                producer_ids: request.producer_id_filters.into_iter().collect(),
                duration_ms: request.duration_filter,
            };
            ctx.node.hosting.list_transactions(&list).await.map(|listed| {
                let listed = listed.into_iter().filter(|listing| {
                    pattern
                        .as_ref()
                        .is_none_or(|pattern| pattern.is_match(&listing.transactional_id))
                });
                listed.map(listing).collect()
            })
        }
    };
    let error = listed.as_ref().err().copied().unwrap_or(ErrorCode::None);
    ListTransactionsResponse {
        error_code: error.code(),
        unknown_state_filters: unknown,
        transaction_states: listed.unwrap_or_default(),
        ..ListTransactionsResponse::default()
    }
}

/// The states to list, `None` for all, and what is no name of a state.
fn states(filters: Vec<Cow<'_, str>>) -> (Option<BTreeSet<State>>, Vec<Cow<'_, str>>) {
    if filters.is_empty() {
        return (None, Vec::new());
    }
    let (mut states, mut unknown) = (BTreeSet::new(), Vec::new());
    for filter in filters {
        match State::ALL.into_iter().find(|state| state.name() == filter) {
            Some(state) => drop(states.insert(state)),
            None if NEVER_SEEN.contains(&&*filter) => {}
            None => unknown.push(filter),
        }
    }
    (Some(states), unknown)
}

fn pattern_of(pattern: &str) -> Result<Option<Regex>, ErrorCode> {
    if pattern.is_empty() {
        return Ok(None);
    }
    let whole = format!("^(?:{pattern})$");
    Regex::new(&whole).map(Some).map_err(|_| ErrorCode::InvalidRegularExpression)
}

fn listing<'a>(listing: TransactionListing) -> TransactionState<'a> {
    TransactionState {
        transactional_id: Cow::Owned(listing.transactional_id.to_string()),
        producer_id: listing.producer_id,
        transaction_state: Cow::Borrowed(listing.state.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_states_filter_and_others_are_reported() {
        let check = |filters: &[&'static str], expected: Option<&[State]>, unknown: &[&str]| {
            let filters = filters.iter().map(|filter| Cow::Borrowed(*filter)).collect();
            let expected = expected.map(|states| states.iter().copied().collect());
            let (states, found) = states(filters);
            assert_eq!(
                (states, found),
                (expected, unknown.iter().map(|name| Cow::Borrowed(*name)).collect())
            );
        };
        check(&[], None, &[]);
        check(&["Ongoing", "Empty"], Some(&[State::Empty, State::Ongoing]), &[]);
        check(&["ongoing"], Some(&[]), &["ongoing"]);
        check(&["Dead"], Some(&[]), &[]);
    }

    #[test]
    fn a_pattern_matches_whole_ids() {
        let matches = |pattern: &str, id: &str| pattern_of(pattern).unwrap().unwrap().is_match(id);
        assert!(matches("a|b", "b"));
        assert!(!matches("a|b", "ab"));
        assert!(matches("task-.*", "task-7"));
        assert_eq!(pattern_of("(").unwrap_err(), ErrorCode::InvalidRegularExpression);
        assert!(pattern_of("").unwrap().is_none());
    }
}
