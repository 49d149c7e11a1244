//! Patterns and replacements written for `java.util.regex`, over the linear-time engine.
//!
//! Look-around, back-references and possessive quantifiers have no linear-time meaning: such a pattern is refused with its reason.

use regex::Regex;

/// Compiles a pattern that must match the whole text, as `Matcher.matches` does.
pub(crate) fn whole(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| format!("must be a regular expression without look-around, back-references or possessive quantifiers: {error}"))
}

/// Java's replacement text (`$1`, `${name}`, `\$`) in the words of the `regex` crate.
pub(crate) fn replacement(java: &str) -> String {
    let mut out = String::with_capacity(java.len() + 4);
    let mut chars = java.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            '$' if chars.peek().is_some_and(char::is_ascii_digit) => {
                out.push_str("${");
                while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    out.push(digit);
                }
                out.push('}');
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, java: &str, input: &str, expected: &str) {
        let regex = whole(pattern).unwrap();
        assert_eq!(regex.replace(input, replacement(java).as_str()), expected);
    }

    #[test]
    fn replacements_mean_what_they_mean_in_java() {
        check(r"shop\.public\.(.*)", "$1", "shop.public.orders", "orders");
        check(r"(.*)-(.*)", "$2_$1x", "a-b", "b_ax");
        check(r"(?<name>.*)", "pre-${name}", "a", "pre-a");
        check(r"a", r"\$1", "a", "$1");
    }

    #[test]
    fn a_pattern_with_look_ahead_is_refused_with_the_reason() {
        assert!(whole("(?!a)b").unwrap_err().contains("look-around"));
    }
}
