//! The names that a consumer group goes by, as types that can't be mixed up.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Arc<str>);

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use name_type;

name_type! {
    /// `group.id`.
    GroupId
}
name_type! {
    /// The id that the coordinator gave to a member.
    MemberId
}
name_type! {
    /// `group.instance.id`: the user's own name for a static member.
    InstanceId
}
name_type! {
    /// The name of a topic.
    TopicName
}

/// The partition of `__consumer_offsets` that keeps a group: Java's `String.hashCode`, made positive the way
/// Kafka does, modulo the number of partitions.
#[must_use]
pub fn partition_for(group_id: &str, partition_count: u32) -> u32 {
    let hash = group_id
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka maps the one value without a positive counterpart to 0.
    let positive = if hash == i32::MIN { 0 } else { hash.unsigned_abs() };
    positive % partition_count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_kept_where_kafka_would_keep_it() {
        // "".hashCode() = 0, "a" = 97, "abc" = 96354, "polygenelubricants" = Integer.MIN_VALUE,
        // "test-group" = -1211484081 (computed with jshell).
        for (group, expected) in
            [("", 0), ("a", 97 % 50), ("abc", 96354 % 50), ("polygenelubricants", 0)]
        {
            assert_eq!(partition_for(group, 50), expected, "{group}");
        }
    }
}
