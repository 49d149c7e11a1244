//! PURE: what follows from an item's reply.

use super::{ItemReply, Operation};

/// What follows from a reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// It is written, deleted, or was gone already.
    Done,
    /// A newer version was there: nothing to do.
    Stale,
    /// Elasticsearch is busy or ill: again later.
    Retry(String),
    /// Elasticsearch has no room for more at once: again later, and slower.
    Rejected(String),
    /// The document does not fit the index.
    Malformed(String),
    /// The item is refused for another reason.
    Refused(String),
    /// Nothing that this client sends will be taken.
    Denied(String),
}

/// Errors that say that the document, and not the cluster, is at fault.
const MALFORMED: [&str; 7] = [
    "mapper_parsing_exception",
    "document_parsing_exception",
    "strict_dynamic_mapping_exception",
    "illegal_argument_exception",
    "action_request_validation_exception",
    "parse_exception",
    "parsing_exception",
];

/// What follows from the reply to an operation; `versioned` says that the item had an external version.
pub(crate) fn verdict(operation: Operation, versioned: bool, reply: ItemReply) -> Verdict {
    let status = reply.status;
    let Some(error) = reply.error else {
        return match status {
            200..=299 => Verdict::Done,
            404 if operation == Operation::Delete => Verdict::Done,
            429 => Verdict::Rejected(format!("status {status} without a reason")),
            _ => Verdict::Retry(format!("status {status} without a reason")),
        };
    };
    let text = error.to_string();
    match (status, error.kind.as_str()) {
        (409, _) if versioned => Verdict::Stale,
        (409, _) => Verdict::Retry(text),
        (429, _) | (_, "es_rejected_execution_exception") => Verdict::Rejected(text),
        (500.., _) => Verdict::Retry(text),
        // A disk that is too full makes indexes read-only until there is room.
        (_, "cluster_block_exception") => Verdict::Retry(text),
        (401 | 403, _) => Verdict::Denied(text),
        // The index does not exist: there is nothing to delete.
        (404, "index_not_found_exception") if operation == Operation::Delete => Verdict::Done,
        (404, "index_not_found_exception") => Verdict::Denied(text),
        (_, kind) if MALFORMED.contains(&kind) => Verdict::Malformed(text),
        _ => Verdict::Refused(text),
    }
}
