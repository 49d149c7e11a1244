//! Which names a topic may have.

use super::TopicError;

/// The longest name, in characters: a directory name must also hold the partition.
const NAME_LENGTH_MAX: usize = 249;

/// Refuses a name that Kafka refuses.
///
/// # Errors
/// With the reason in Kafka's words.
pub fn validate_topic_name(name: &str) -> Result<(), TopicError> {
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.len() > NAME_LENGTH_MAX {
        format!("the length of '{name}' is longer than the max allowed length {NAME_LENGTH_MAX}")
    } else if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )
    } else {
        return Ok(());
    };
    Err(TopicError::InvalidName(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_name_in_kafkas_words() {
        let refusal = validate_topic_name("..").unwrap_err().to_string();
        assert!(refusal.ends_with("'..' is not allowed"), "{refusal}");
        assert!(!refusal.contains(" or "), "{refusal}");
    }

    #[test]
    fn names_are_refused_as_kafka_refuses_them() {
        let long = "a".repeat(250);
        for bad in ["", ".", "..", "a b", "ä", "a/b", long.as_str()] {
            assert!(validate_topic_name(bad).is_err(), "{bad}");
        }
        for good in ["a", "a.b_c-D9", "__consumer_offsets", &long[..249]] {
            assert_eq!(validate_topic_name(good), Ok(()), "{good}");
        }
    }
}
