//! Judges what readers of the committed saw against what writers were told.
//!
//! - A value is `writer:transaction:partition:index`, each once in its life.
//! - A transaction whose commit nobody answered may be there or not, but only as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a writer knows of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Committed,
    Aborted,
    Unknown,
}

/// A transaction: its outcome, and how many records it has in each partition.
#[derive(Debug)]
struct Transaction {
    outcome: Outcome,
    counts: Vec<u32>,
}

/// What the writers said.
#[derive(Debug, Default)]
pub(crate) struct Journal(BTreeMap<(String, u64), Transaction>);

impl Journal {
    /// Takes a line of a writer: outcome, number of the transaction, records for each partition.
    pub(crate) fn note(&mut self, writer: &str, line: &str) {
        let mut words = line.split(' ');
        let outcome = match words.next() {
            Some("committed") => Outcome::Committed,
            Some("aborted") => Outcome::Aborted,
            Some("unknown") => Outcome::Unknown,
            _ => return,
        };
        let number = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
        let counts = words.next().unwrap_or_default().split(',').filter_map(|n| n.parse().ok());
        self.0
            .insert((writer.to_owned(), number), Transaction { outcome, counts: counts.collect() });
    }

    /// How many transactions were committed.
    pub(crate) fn committed(&self) -> usize {
        self.count(Outcome::Committed)
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.0.values().filter(|transaction| transaction.outcome == outcome).count()
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [committed, aborted, unknown] =
            [Outcome::Committed, Outcome::Aborted, Outcome::Unknown]
                .map(|outcome| self.count(outcome));
        write!(
            formatter,
            "{committed} committed, {aborted} aborted, {unknown} unknown transactions"
        )
    }
}

fn parse(value: &str) -> Option<(String, u64, usize, u32)> {
    let mut words = value.split(':');
    let writer = words.next()?.to_owned();
    Some((
        writer,
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
    ))
}

/// Everything that is wrong with what was read, by partition and in the order of the offsets.
pub(crate) fn anomalies(journal: &Journal, read: &[Vec<String>]) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (partition, values) in read.iter().enumerate() {
        let mut last: BTreeMap<String, (u64, u32)> = BTreeMap::new();
        for value in values {
            let Some((writer, number, meant, index)) = parse(value) else {
                found.push(format!("«{value}» was written by nobody"));
                continue;
            };
            if meant != partition {
                found.push(format!("{value} lies in partition {partition}"));
            }
            if !seen.insert(value.clone()) {
                found.push(format!("{value} is there twice"));
                continue;
            }
            match journal.0.get(&(writer.clone(), number)).map(|transaction| transaction.outcome) {
                Some(Outcome::Aborted) => found.push(format!("{value} was aborted and is read")),
                None => found.push(format!("{value} belongs to no transaction")),
                Some(Outcome::Committed | Outcome::Unknown) => {}
            }
            if let Some(before) = last.insert(writer.clone(), (number, index))
                && before > (number, index)
            {
                found.push(format!("{value} comes after {}:{}", before.0, before.1));
            }
        }
    }
    for ((writer, number), transaction) in &journal.0 {
        let values = transaction.counts.iter().enumerate().flat_map(|(partition, count)| {
            (0..*count).map(move |index| format!("{writer}:{number}:{partition}:{index}"))
        });
        let missing: Vec<String> = values.clone().filter(|value| !seen.contains(value)).collect();
        let none = missing.len() == values.count();
        match transaction.outcome {
            Outcome::Committed if !missing.is_empty() => {
                found.push(format!("committed and lost: {}", missing.join(", ")));
            }
            Outcome::Unknown if !missing.is_empty() && !none => {
                found.push(format!("a transaction in part: without {}", missing.join(", ")));
            }
            Outcome::Committed | Outcome::Aborted | Outcome::Unknown => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], read: &[&[&str]], expected: &[&str]) {
        let mut journal = Journal::default();
        lines.iter().for_each(|line| journal.note("w", line));
        let read: Vec<Vec<String>> = read
            .iter()
            .map(|values| values.iter().map(|value| (*value).to_owned()).collect())
            .collect();
        assert_eq!(anomalies(&journal, &read), expected);
    }

    const LINES: &[&str] =
        &["committed 0 2,1", "aborted 1 1,1", "unknown 2 1,1", "committed 3 1,0"];

    #[test]
    fn what_is_right_is_not_blamed() {
        check(LINES, &[&["w:0:0:0", "w:0:0:1", "w:3:0:0"], &["w:0:1:0"]], &[]);
        check(
            LINES,
            &[&["w:0:0:0", "w:0:0:1", "w:2:0:0", "w:3:0:0"], &["w:0:1:0", "w:2:1:0"]],
            &[],
        );
    }

    #[test]
    fn a_lost_record_is_seen() {
        check(LINES, &[&["w:0:0:0", "w:3:0:0"], &["w:0:1:0"]], &["committed and lost: w:0:0:1"]);
        check(
            LINES,
            &[&[], &[]],
            &["committed and lost: w:0:0:0, w:0:0:1, w:0:1:0", "committed and lost: w:3:0:0"],
        );
    }

    #[test]
    fn a_record_that_is_there_twice_is_seen() {
        check(
            LINES,
            &[&["w:0:0:0", "w:0:0:1", "w:0:0:1", "w:3:0:0"], &["w:0:1:0"]],
            &["w:0:0:1 is there twice"],
        );
    }

    #[test]
    fn an_aborted_record_that_is_read_is_seen() {
        check(
            LINES,
            &[&["w:0:0:0", "w:0:0:1", "w:1:0:0", "w:3:0:0"], &["w:0:1:0"]],
            &["w:1:0:0 was aborted and is read"],
        );
    }

    #[test]
    fn records_out_of_order_are_seen() {
        check(
            LINES,
            &[&["w:0:0:1", "w:0:0:0", "w:3:0:0"], &["w:0:1:0"]],
            &["w:0:0:0 comes after 0:1"],
        );
        check(
            LINES,
            &[&["w:3:0:0", "w:0:0:0", "w:0:0:1"], &["w:0:1:0"]],
            &["w:0:0:0 comes after 3:0"],
        );
    }

    #[test]
    fn half_a_transaction_is_seen() {
        check(
            LINES,
            &[&["w:0:0:0", "w:0:0:1", "w:2:0:0", "w:3:0:0"], &["w:0:1:0"]],
            &["a transaction in part: without w:2:1:0"],
        );
    }

    #[test]
    fn what_nobody_wrote_is_seen() {
        check(
            &[],
            &[&["x", "w:9:0:0"]],
            &["«x» was written by nobody", "w:9:0:0 belongs to no transaction"],
        );
        check(&["committed 0 1"], &[&[], &["w:0:0:0"]], &["w:0:0:0 lies in partition 1"]);
    }
}
