//! What can go wrong between us and a cluster, sorted by what the caller can do about it.

use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode};

/// An error of the cluster or of the connection to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// An option was refused before anything was sent.
    #[error("client setting refused: {0}")]
    Setting(String),
    /// The cluster is away or busy; the same call may succeed later.
    #[error("{operation}: {text}")]
    Retriable {
        /// What was attempted.
        operation: &'static str,
        /// The library's words.
        text: String,
        /// Kafka's error code, or librdkafka's negative one.
        code: i32,
    },
    /// The cluster answered no; the same call will fail again.
    #[error("{operation}: {text}")]
    Refused {
        /// What was attempted.
        operation: &'static str,
        /// The library's words.
        text: String,
        /// Kafka's error code, or librdkafka's negative one.
        code: i32,
    },
    /// No answer within the time given; whether the call took effect is unknown.
    #[error("{operation}: no answer within {after_ms} ms")]
    TimedOut {
        /// What was attempted.
        operation: &'static str,
        /// How long was waited, in milliseconds.
        after_ms: u64,
    },
    /// The record is larger than the client, topic or broker allows.
    #[error("{operation}: record too large: {text}")]
    RecordTooLarge {
        /// What was attempted.
        operation: &'static str,
        /// The library's words.
        text: String,
    },
    /// The topic does not exist (yet).
    #[error("{operation}: topic or partition does not exist")]
    UnknownTopic {
        /// What was attempted.
        operation: &'static str,
    },
    /// The partitions were given to another member; what was to be committed is not ours any more.
    #[error("{operation}: partitions were reassigned: {text}")]
    Rebalanced {
        /// What was attempted.
        operation: &'static str,
        /// The library's words.
        text: String,
    },
    /// Another producer was initialised with the same `transactional.id`, or the coordinator gave this one up: its
    /// transactions are aborted, and this handle can't be used again.
    #[error("{operation}: fenced: {text}")]
    Fenced {
        /// What was attempted.
        operation: &'static str,
        /// The library's words.
        text: String,
    },
    /// The transaction can't be committed: abort it; the handle can be used for another.
    #[error("{operation}: transaction must be aborted: {text}")]
    Abortable {
        /// What was attempted.
        operation: &'static str,
        /// The library's words.
        text: String,
    },
    /// This handle can't be used again: make a new one.
    #[error("{operation}: handle is dead: {text}")]
    Fatal {
        /// What was attempted.
        operation: &'static str,
        /// The library's words.
        text: String,
    },
    /// The handle was closed.
    #[error("{operation}: closed")]
    Closed {
        /// What was attempted.
        operation: &'static str,
    },
}

impl ClientError {
    /// Whether trying the same call again, later, on the same handle can succeed.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Retriable { .. }
            | ClientError::TimedOut { .. }
            | ClientError::UnknownTopic { .. } => true,
            ClientError::Setting(_)
            | ClientError::Refused { .. }
            | ClientError::RecordTooLarge { .. }
            | ClientError::Rebalanced { .. }
            | ClientError::Fenced { .. }
            | ClientError::Abortable { .. }
            | ClientError::Fatal { .. }
            | ClientError::Closed { .. } => false,
        }
    }

    /// Whether the handle itself is lost and a new one is needed.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            ClientError::Fatal { .. } | ClientError::Fenced { .. } | ClientError::Closed { .. }
        )
    }

    /// Sorts an error of the library.
    pub(crate) fn from_library(operation: &'static str, err: &KafkaError) -> Self {
        match err {
            KafkaError::ClientConfig(_, text, name, value) => {
                ClientError::Setting(format!("{name}={value}: {text}"))
            }
            KafkaError::ClientCreation(text) | KafkaError::AdminOpCreation(text) => {
                ClientError::Setting(text.clone())
            }
            KafkaError::Canceled => ClientError::Closed { operation },
            KafkaError::MessageConsumptionFatal(code) => {
                ClientError::Fatal { operation, text: code.to_string() }
            }
            // `rdkafka_error_code` answers none for this variant although it carries one.
            KafkaError::AdminOp(code) => Self::from_code(operation, *code),
            KafkaError::Transaction(err) => Self::from_transaction(operation, err),
            other => match other.rdkafka_error_code() {
                Some(code) => Self::from_code(operation, code),
                None => ClientError::Retriable { operation, text: other.to_string(), code: -1 },
            },
        }
    }

    /// Sorts an error of a transactional call: the library says itself what can be done about it.
    fn from_transaction(operation: &'static str, err: &RDKafkaError) -> Self {
        use RDKafkaErrorCode as Code;
        let (code, text) = (err.code(), err.string());
        if matches!(code, Code::Fenced | Code::ProducerFenced) {
            return ClientError::Fenced { operation, text };
        }
        if err.is_fatal() {
            return ClientError::Fatal { operation, text };
        }
        if err.txn_requires_abort() {
            return ClientError::Abortable { operation, text };
        }
        if err.is_retriable() {
            return ClientError::Retriable { operation, text, code: code as i32 };
        }
        ClientError::Refused { operation, text, code: code as i32 }
    }

    /// Sorts an error code of the broker or of librdkafka.
    pub(crate) fn from_code(operation: &'static str, code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        let text = || code.to_string();
        match code {
            Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
                ClientError::RecordTooLarge { operation, text: text() }
            }
            Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopicId => ClientError::UnknownTopic { operation },
            Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::RebalanceInProgress
            | Code::AssignmentLost
            | Code::StaleMemberEpoch
            | Code::FencedMemberEpoch => ClientError::Rebalanced { operation, text: text() },
            Code::Fenced | Code::ProducerFenced => ClientError::Fenced { operation, text: text() },
            Code::Fatal
            | Code::FencedInstanceId
            | Code::InvalidProducerEpoch
            | Code::OutOfOrderSequenceNumber
            | Code::UnknownProducerId => ClientError::Fatal { operation, text: text() },
            Code::DestroyBroker | Code::PurgeQueue | Code::PurgeInflight => {
                ClientError::Closed { operation }
            }
            _ if retriable(code) => {
                ClientError::Retriable { operation, text: text(), code: code as i32 }
            }
            _ => ClientError::Refused { operation, text: text(), code: code as i32 },
        }
    }
}

/// Codes that pass by themselves: the connection, an election, a coordinator that loads.
fn retriable(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::BrokerDestroy
            | Code::Resolve
            | Code::AllBrokersDown
            | Code::MessageTimedOut
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::QueueFull
            | Code::ISRInsufficient
            | Code::NodeUpdate
            | Code::WaitingForCoordinator
            | Code::InProgress
            | Code::PreviousInProgress
            | Code::Conflict
            | Code::State
            | Code::Outdated
            | Code::WaitCache
            | Code::Interrupted
            | Code::Partial
            | Code::Retry
            | Code::UnknownBroker
            | Code::Fail
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::RequestTimedOut
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::StaleControllerEpoch
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::NotController
            | Code::KafkaStorageError
            | Code::ReassignmentInProgress
            | Code::FetchSessionIdNotFound
            | Code::InvalidFetchSessionEpoch
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::PreferredLeaderNotAvailable
            | Code::UnstableOffsetCommit
            | Code::ThrottlingQuotaExceeded
            | Code::ConcurrentTransactions
            | Code::BadMessage
            | Code::InvalidMessage
    )
}
