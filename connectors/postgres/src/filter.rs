//! Which schemas, tables and columns are captured: anchored regular expressions, as Debezium's include and exclude lists. PURE.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

use regex::{Regex, RegexBuilder};

/// A list of patterns; a name matches when one of them matches all of it. Letter case does not count, as in Debezium.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patterns {
    regexes: Vec<Regex>,
}

impl Patterns {
    /// From texts separated by commas; a comma inside a pattern is written `\,`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let patterns = split(text);
        let regexes = patterns.iter().map(|pattern| compile(pattern));
        Ok(Patterns { regexes: regexes.collect::<Result<_, _>>()? })
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.regexes.is_empty()
    }

    /// Whether one of them matches the whole name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.regexes.iter().any(|regex| regex.is_match(name))
    }
}

/// The patterns of a list, commas that were escaped put back.
pub(crate) fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek() == Some(&',') {
            chars.next();
            if let Some(part) = parts.last_mut() {
                part.push(',');
            }
        } else if c == ',' {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("^(?:{pattern})$")).case_insensitive(true).build().map_err(|_| {
        format!("'{pattern}' is not a valid regular expression here (look-around and back-references are not supported)")
    })
}

/// Whether a list is made of valid patterns.
pub(crate) fn check_patterns(text: &str) -> Result<(), String> {
    Patterns::parse(text).map(|_| ())
}

/// Include and exclude lists together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters {
    pub(crate) schema_include: Patterns,
    pub(crate) schema_exclude: Patterns,
    pub(crate) table_include: Patterns,
    pub(crate) table_exclude: Patterns,
    pub(crate) column_include: Patterns,
    pub(crate) column_exclude: Patterns,
}

impl Filters {
    /// Whether a table is captured. Postgres's own schemas never are.
    pub(crate) fn table(&self, schema: &str, table: &str) -> bool {
        if schema == "information_schema" || schema.starts_with("pg_") {
            return false;
        }
        let name = format!("{schema}.{table}");
        passes(&self.schema_include, &self.schema_exclude, schema)
            && passes(&self.table_include, &self.table_exclude, &name)
    }

    /// Whether a column of a captured table is in its values.
    pub(crate) fn column(&self, schema: &str, table: &str, column: &str) -> bool {
        if self.column_include.is_empty() && self.column_exclude.is_empty() {
            return true;
        }
        passes(&self.column_include, &self.column_exclude, &format!("{schema}.{table}.{column}"))
    }
}

fn passes(include: &Patterns, exclude: &Patterns, name: &str) -> bool {
    (include.is_empty() || include.matches(name)) && !exclude.matches(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_match(patterns: &str, name: &str, expected: bool) {
        assert_eq!(Patterns::parse(patterns).unwrap().matches(name), expected, "{patterns} {name}");
    }

    #[test]
    fn patterns_match_whole_names_whatever_their_case() {
        check_match("public.orders", "public.orders", true);
        check_match("public.orders", "public.orders_old", false);
        check_match("public.orders", "other_public.orders", false);
        check_match(r"public\.o.*, shop\..*", "shop.x", true);
        check_match("Public.Orders", "public.orders", true);
        check_match("a|b", "ab", false);
        check_match(r"s\.t{1\,2}", "s.tt", true);
    }

    #[test]
    fn look_around_is_refused_by_name() {
        assert!(check_patterns("(?!x).*").unwrap_err().contains("(?!x).*"));
        assert!(check_patterns("").is_ok());
    }

    #[test]
    fn system_schemas_are_never_captured() {
        let filters = Filters::default();
        assert!(filters.table("public", "t"));
        assert!(!filters.table("pg_catalog", "pg_class"));
        assert!(!filters.table("information_schema", "tables"));
    }
}
