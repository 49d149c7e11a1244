//! JSON as Jackson reads and writes it: order of members kept, comments tolerated, numbers printed as Java prints them.
//!
//! - A repeated member keeps its first place and its last value.
//! - Depth is bounded, so that reading, printing and dropping can't exhaust the stack.
//!
//! serde_json is not used here: it knows no comments, stops at 128 levels and prints numbers its own way.

mod number;
mod parse;

use indexmap::IndexMap;

use crate::error::SchemaError;

/// How deep values may nest: three levels of JSON for a level of Avro, and some.
pub(crate) const DEPTH_MAX: usize = 500;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without fraction or exponent, by its digits.
    Integer(String),
    /// Any other number.
    Double(f64),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; members in the order of their first appearance.
    Object(IndexMap<String, Json>),
}

impl Json {
    /// Reads one value; nothing but white space and comments may follow it.
    ///
    /// # Errors
    /// [`SchemaError::Syntax`] with the place, or [`SchemaError::TooLarge`] when nested too deep.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        parse::parse(text)
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Json::String(text) = self { Some(text) } else { None }
    }

    /// A member of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        if let Json::Object(members) = self { members.get(name) } else { None }
    }

    /// Prints without white space, members in their order.
    pub fn write(&self, out: &mut String) {
        self.write_in(out, Order::AsRead);
    }

    /// Prints without white space, members sorted by name.
    pub fn write_sorted(&self, out: &mut String) {
        self.write_in(out, Order::Sorted);
    }

    fn write_in(&self, out: &mut String, order: Order) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Integer(digits) => out.push_str(digits),
            Json::Double(value) => number::write_double(*value, out),
            Json::String(text) => write_string(text, out),
            Json::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_in(out, order);
                }
                out.push(']');
            }
            Json::Object(members) => {
                let mut entries: Vec<_> = members.iter().collect();
                if matches!(order, Order::Sorted) {
                    entries.sort_by_key(|(name, _)| name.as_str());
                }
                out.push('{');
                for (index, (name, value)) in entries.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(name, out);
                    out.push(':');
                    value.write_in(out, order);
                }
                out.push('}');
            }
        }
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

#[derive(Clone, Copy)]
enum Order {
    AsRead,
    Sorted,
}

/// Prints a string with Jackson's escapes: only what JSON demands, control characters in capital hex.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &str) {
        let printed = match Json::parse(input) {
            Ok(value) => value.to_string(),
            Err(err) => format!("error: {err}"),
        };
        assert_eq!(printed, expected, "{input}");
    }

    #[test]
    fn prints_as_jackson_does() {
        check(" { \"b\" : [ 1 , true ] , \"a\" : null } ", r#"{"b":[1,true],"a":null}"#);
        check(r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#);
        check(r#""\u00e9\ud83d\ude00\/\u001f\u007f""#, "\"é😀/\\u001F\u{7f}\"");
        check(
            "[1.0, 1e2, 1E10, -0.0, 0.0001, 123456789012345678901234567890, -0]",
            "[1.0,100.0,1.0E10,-0.0,1.0E-4,123456789012345678901234567890,0]",
        );
        check("[1e400]", "[\"Infinity\"]");
    }

    #[test]
    fn comments_are_white_space() {
        check("/* a */ [1, // b\n 2] // end", "[1,2]");
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        check("[1,\n2,]", "error: expected a value at line 2, column 3");
        check("{\"a\" 1}", "error: expected ':' at line 1, column 6");
        check("[1] x", "error: dangling content after end of schema at line 1, column 5");
        check("string", "error: expected a value at line 1, column 1");
        check("\"a", "error: string does not end at line 1, column 3");
        check("01", "error: dangling content after end of schema at line 1, column 2");
        check(r#""\ud800""#, "error: half of a surrogate pair at line 1, column 8");
        check("", "error: expected a value at line 1, column 1");
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let deep = "[".repeat(100_000);
        check(&deep, "error: schema is too large: nesting of JSON is limited to 500");
    }
}
