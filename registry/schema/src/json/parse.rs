//! Reads JSON text.

use indexmap::IndexMap;

use super::{DEPTH_MAX, Json, number};
use crate::error::SchemaError;

pub(super) fn parse(text: &str) -> Result<Json, SchemaError> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value()?;
    reader.space()?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.error("dangling content after end of schema")),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// The next byte; always on a character boundary.
    at: usize,
}

/// An array or object whose end has not come yet; an object with the name of the member being read.
enum Open {
    Array(Vec<Json>),
    Object(IndexMap<String, Json>, String),
}

fn open_more(open: &mut Vec<Open>, inner: Open) -> Result<(), SchemaError> {
    if open.len() == DEPTH_MAX {
        return Err(SchemaError::TooLarge { what: "nesting of JSON", limit: DEPTH_MAX });
    }
    open.push(inner);
    Ok(())
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn error(&self, reason: &str) -> SchemaError {
        let before = self.text.get(..self.at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        SchemaError::Syntax {
            reason: reason.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).map_or(0, |line| line.chars().count()) + 1,
        }
    }

    fn space(&mut self) -> Result<(), SchemaError> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b'/') if self.rest().starts_with("//") => {
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                Some(b'/') if self.rest().starts_with("/*") => {
                    let Some(end) = self.rest().find("*/") else {
                        return Err(self.error("comment does not end"));
                    };
                    self.at += end + 2;
                }
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// Reads one value. Open arrays and objects are kept in a list, not on the stack.
    fn value(&mut self) -> Result<Json, SchemaError> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            self.space()?;
            let value = match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    self.space()?;
                    if !self.take(b'}') {
                        let name = self.member_name()?;
                        open_more(&mut open, Open::Object(IndexMap::new(), name))?;
                        continue;
                    }
                    Json::Object(IndexMap::new())
                }
                Some(b'[') => {
                    self.at += 1;
                    self.space()?;
                    if !self.take(b']') {
                        open_more(&mut open, Open::Array(Vec::new()))?;
                        continue;
                    }
                    Json::Array(Vec::new())
                }
                Some(b'"') => Json::String(self.string()?),
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(_) | None => self.word()?,
            };
            if let Some(whole) = self.close(&mut open, value)? {
                return Ok(whole);
            }
        }
    }

    /// Puts a finished value where it belongs and closes what ends behind it; the outermost value is the answer.
    fn close(
        &mut self,
        open: &mut Vec<Open>,
        mut value: Json,
    ) -> Result<Option<Json>, SchemaError> {
        loop {
            let Some(innermost) = open.pop() else { return Ok(Some(value)) };
            self.space()?;
            value = match innermost {
                Open::Array(mut items) => {
                    items.push(value);
                    if self.take(b',') {
                        open.push(Open::Array(items));
                        return Ok(None);
                    }
                    if !self.take(b']') {
                        return Err(self.error("expected ',' or ']'"));
                    }
                    Json::Array(items)
                }
                Open::Object(mut members, name) => {
                    members.insert(name, value);
                    if self.take(b',') {
                        let name = self.member_name()?;
                        open.push(Open::Object(members, name));
                        return Ok(None);
                    }
                    if !self.take(b'}') {
                        return Err(self.error("expected ',' or '}'"));
                    }
                    Json::Object(members)
                }
            };
        }
    }

    fn member_name(&mut self) -> Result<String, SchemaError> {
        self.space()?;
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a member's name"));
        }
        let name = self.string()?;
        self.space()?;
        if !self.take(b':') {
            return Err(self.error("expected ':'"));
        }
        Ok(name)
    }

    fn word(&mut self) -> Result<Json, SchemaError> {
        for (word, value) in
            [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))]
        {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("expected a value"))
    }

    fn string(&mut self) -> Result<String, SchemaError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let plain = self
                .rest()
                .find(|c: char| c == '"' || c == '\\' || u32::from(c) < 0x20)
                .unwrap_or(self.rest().len());
            out.push_str(self.rest().get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                Some(_) => return Err(self.error("control character in a string")),
                None => return Err(self.error("string does not end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SchemaError> {
        let escaped = self.peek();
        let c = match escaped {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            Some(_) | None => return Err(self.error("unknown escape in a string")),
        };
        self.at += 1;
        Ok(c)
    }

    fn unicode(&mut self) -> Result<char, SchemaError> {
        let high = self.hex()?;
        if !(0xd800..0xe000).contains(&high) {
            return char::from_u32(high).ok_or_else(|| self.error("not a character"));
        }
        if high < 0xdc00 && self.rest().starts_with("\\u") {
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(code).ok_or_else(|| self.error("not a character"));
            }
        }
        Err(self.error("half of a surrogate pair"))
    }

    fn hex(&mut self) -> Result<u32, SchemaError> {
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(code) = code else { return Err(self.error("expected four hex digits")) };
        self.at += 4;
        Ok(code)
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        count
    }

    fn number(&mut self) -> Result<Json, SchemaError> {
        let start = self.at;
        self.take(b'-');
        // A leading zero stands alone.
        if !self.take(b'0') && self.digits() == 0 {
            return Err(self.error("expected a digit"));
        }
        let mut integer = true;
        if self.take(b'.') {
            integer = false;
            if self.digits() == 0 {
                return Err(self.error("expected a digit"));
            }
        }
        if self.take(b'e') || self.take(b'E') {
            integer = false;
            if !self.take(b'+') {
                self.take(b'-');
            }
            if self.digits() == 0 {
                return Err(self.error("expected a digit"));
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if integer {
            return Ok(Json::Integer(number::integer(text)));
        }
        text.parse().map(Json::Double).map_err(|_| self.error("not a number"))
    }
}
