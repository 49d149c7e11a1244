//! Subscriptions by regular expression: RE2's syntax, matched against whole topic names.

use std::collections::BTreeSet;
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;

use super::draft::{Draft, Refusal};
use super::{ConsumerChange, ResolvedRegex};
use crate::group::id::TopicName;
use crate::topic::image::MetadataImage;

/// What is wrong with an expression, in our words and in those of RE2/J.
const REASONS: &[(&str, &str)] = &[
    ("unclosed group", "missing closing )"),
    ("unclosed character class", "missing closing ]"),
    ("repetition operator missing expression", "missing argument to repetition operator"),
    ("look-around", "invalid or unsupported Perl syntax"),
    ("invalid character class range", "invalid character class range"),
    ("incomplete escape sequence", "trailing backslash at end of expression"),
    ("unrecognized escape sequence", "invalid escape sequence"),
];

/// The most memory that one compiled expression may take: it comes from a client.
const COMPILED_BYTES_MAX: usize = 1 << 20;

impl Draft<'_> {
    /// Checks and resolves an expression that a member now subscribes to.
    pub(crate) fn resolve_regex(&mut self, regex: &Arc<str>) -> Result<(), Refusal> {
        if self.group().regexes.contains_key(regex) {
            return Ok(());
        }
        let topics = matching_topics(regex, self.context.topics).map_err(|reason| {
            Refusal::new(
                ErrorCode::InvalidRegularExpression,
                format!(
                    "SubscribedTopicRegex `{regex}` is not a valid regular expression: {reason}."
                ),
            )
        })?;
        self.write_regex(regex, topics);
        Ok(())
    }

    /// Resolves the group's expressions anew, after topics came or went.
    pub(crate) fn refresh_regexes(&mut self) {
        let regexes = self.group().regexes.clone();
        for (regex, before) in regexes {
            // Written by another coordinator, it may be one that we can't read: then it keeps what it had.
            if let Ok(topics) = matching_topics(&regex, self.context.topics)
                && topics != before.topics
            {
                self.write_regex(&regex, topics);
            }
        }
    }

    /// Forgets the expression if nobody subscribes to it any more.
    pub(crate) fn forget_regex_if_unused(&mut self, regex: &Arc<str>) {
        if self.group().regexes.contains_key(regex) && self.group().regex_subscribers(regex) == 0 {
            self.write(ConsumerChange::Regex { regex: Arc::clone(regex), resolved: None });
        }
    }

    fn write_regex(&mut self, regex: &Arc<str>, topics: BTreeSet<TopicName>) {
        let resolved = ResolvedRegex { topics, version: 0, resolved_at: self.context.now };
        let resolved = Some(Arc::new(resolved));
        self.write(ConsumerChange::Regex { regex: Arc::clone(regex), resolved });
    }
}

/// The topics whose whole name matches, or why the expression can't be used.
fn matching_topics(regex: &str, topics: &MetadataImage) -> Result<BTreeSet<TopicName>, String> {
    let pattern = format!("^(?:{})$", without_quotes(regex));
    let compiled = ::regex::RegexBuilder::new(&pattern)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build();
    // On its own as well: `a)(b` would be whole between our parentheses.
    let compiled = compiled.and_then(|compiled| {
        ::regex::RegexBuilder::new(&without_quotes(regex))
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map(|_| compiled)
    });
    let compiled = compiled.map_err(|error| {
        if matches!(error, ::regex::Error::CompiledTooBig(_)) {
            return "expression too large".to_owned();
        }
        // The last line says what is wrong; the ones before draw where.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let in_kafka = REASONS.iter().find(|(ours, _)| reason.starts_with(ours));
        in_kafka.map_or(reason, |(_, kafkas)| kafkas).to_owned()
    })?;
    let matching = topics.topics().filter(|topic| compiled.is_match(&topic.name));
    Ok(matching.map(|topic| topic.name.clone()).collect())
}

/// RE2 takes what stands between `\Q` and `\E` literally.
fn without_quotes(regex: &str) -> String {
    let mut plain = String::with_capacity(regex.len());
    let mut letters = regex.chars().peekable();
    let mut is_quoted = false;
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some('Q')) if !is_quoted => {
                letters.next();
                is_quoted = true;
            }
            ('\\', Some('E')) if is_quoted => {
                letters.next();
                is_quoted = false;
            }
            ('\\', Some(next)) if !is_quoted => {
                plain.push(letter);
                plain.push(*next);
                letters.next();
            }
            (letter, _) if is_quoted => {
                plain.push_str(&::regex::escape(letter.encode_utf8(&mut [0; 4])))
            }
            (letter, _) => plain.push(letter),
        }
    }
    plain
}
