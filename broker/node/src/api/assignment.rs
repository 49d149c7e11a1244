//! Which nodes a client may put a partition on: this one, once.

use aquifer_broker_protocol::ErrorCode;

use crate::hosting::TopicRefusal;

/// Refuses an assignment that is not this node alone.
pub(super) fn check_assignment(node_id: i32, brokers: &[i32]) -> Result<(), TopicRefusal> {
    let refused = |reason: String| {
        let message = format!("The manual partition assignment includes {reason}.");
        Err(TopicRefusal { code: ErrorCode::InvalidReplicaAssignment, message })
    };
    if brokers.is_empty() {
        return refused("an empty replica list".to_owned());
    }
    let mut brokers = brokers.to_vec();
    brokers.sort_unstable();
    if let Some(other) = brokers.iter().find(|id| **id != node_id) {
        return refused(format!("broker {other}, but no such broker is registered"));
    }
    if brokers.len() > 1 {
        return refused(format!("the broker {node_id} more than once"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_node_once_will_do() {
        let check =
            |brokers: &[i32]| check_assignment(1, brokers).map_err(|refusal| refusal.message);
        assert_eq!(check(&[1]), Ok(()));
        let refused =
            |reason: &str| Err(format!("The manual partition assignment includes {reason}."));
        assert_eq!(check(&[]), refused("an empty replica list"));
        assert_eq!(check(&[1, 1]), refused("the broker 1 more than once"));
        assert_eq!(check(&[1, 2]), refused("broker 2, but no such broker is registered"));
    }
}
