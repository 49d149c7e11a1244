//! Patterns and replacements written for `java.util.regex`, over the linear-time engine.
//!
//! Look-around, back-references and possessive quantifiers have no linear-time meaning: such a pattern is refused with its reason.

use regex::Regex;

/// Compiles a pattern that must match the whole text, as `Matcher.matches` does.
pub(crate) fn whole(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| format!("must be a regular expression without look-around, back-references or possessive quantifiers: {error}"))
}

/// Java's replacement text (`$1`, `${name}`, `\$`) in the words of the `regex` crate, for a pattern with these groups.
///
/// As in Java, `$10` is the first group and a zero where there is no tenth group, and a group that does not exist is an error.
pub(crate) fn replacement(java: &str, pattern: &Regex) -> Result<String, String> {
    let mut out = String::with_capacity(java.len() + 4);
    let mut chars = java.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => return Err("ends with a backslash that escapes nothing".to_owned()),
            },
            '$' if chars.next_if_eq(&'{').is_some() => {
                let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
                if !pattern.capture_names().flatten().any(|known| known == name) {
                    return Err(format!("has no group with name {{{name}}}"));
                }
                out.push_str(&format!("${{{name}}}"));
            }
            '$' => {
                let digit = |c: &char| c.to_digit(10).and_then(|d| usize::try_from(d).ok());
                let Some(mut group) = chars.peek().and_then(digit) else {
                    return Err("has a $ that refers to no group; \\$ stands for a $".to_owned());
                };
                chars.next();
                if group >= pattern.captures_len() {
                    return Err(format!(
                        "refers to group {group}, which the pattern does not have"
                    ));
                }
                while let Some(digit) = chars.peek().and_then(digit) {
                    let longer = group * 10 + digit;
                    if longer >= pattern.captures_len() {
                        break;
                    }
                    chars.next();
                    group = longer;
                }
                out.push_str(&format!("${{{group}}}"));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, java: &str, input: &str, expected: &str) {
        let regex = whole(pattern).unwrap();
        assert_eq!(regex.replace(input, replacement(java, &regex).unwrap().as_str()), expected);
    }

    #[test]
    fn replacements_mean_what_they_mean_in_java() {
        check(r"shop\.public\.(.*)", "$1", "shop.public.orders", "orders");
        check(r"(.*)-(.*)", "$2_$1x", "a-b", "b_ax");
        check(r"(?<name>.*)", "pre-${name}", "a", "pre-a");
        check(r"a", r"\$1", "a", "$1");
        check(r"(.*)", "$10-$01-$1x", "a", "a0-a-ax");
    }

    #[test]
    fn a_replacement_that_refers_to_nothing_is_refused() {
        let regex = whole("(?<name>a)(b)").unwrap();
        for wrong in ["$3", "$", "$x", "${other}", "${1}", r"a\"] {
            assert!(replacement(wrong, &regex).is_err(), "{wrong}");
        }
        assert_eq!(replacement("$2$1$0${name}", &regex).unwrap(), "${2}${1}${0}${name}");
    }

    #[test]
    fn a_pattern_with_look_ahead_is_refused_with_the_reason() {
        assert!(whole("(?!a)b").unwrap_err().contains("look-around"));
    }
}
