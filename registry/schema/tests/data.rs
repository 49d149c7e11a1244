//! Data tests: each file in `test_data` holds inputs with what is expected of them. `UPDATE_EXPECT=1` rewrites what is expected.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fmt::Write as _;
use std::path::Path;

use aquifer_registry_schema::{
    CompatibilityLevel, ParsedSchema, Previous, ResolvedReference, SchemaType, compatibility,
};

/// The lines of a case: names and values; a name may repeat.
struct Case(Vec<(String, String)>);

impl Case {
    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    fn one(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_else(|| panic!("no {name}"))
    }
}

/// Runs `work` over the cases of a file: it gets the inputs of a case and answers its expected lines.
fn check_file(file: &str, inputs: &[&str], work: impl Fn(&Case) -> Vec<(&'static str, String)>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("test_data").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut found = String::new();
    for block in text.trim().split("\n\n") {
        let (comments, lines): (Vec<_>, Vec<_>) =
            block.lines().partition(|line| line.starts_with('#'));
        let lines = lines.into_iter().map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("bad line {line}"));
            (name.to_owned(), value.to_owned())
        });
        let case = Case(lines.collect());
        comments.iter().for_each(|comment| writeln!(found, "{comment}").unwrap());
        let given = case.0.iter().filter(|(name, _)| inputs.contains(&name.as_str()));
        given.for_each(|(name, value)| writeln!(found, "{name}: {value}").unwrap());
        for (name, value) in if case.0.is_empty() { Vec::new() } else { work(&case) } {
            writeln!(found, "{name}: {value}").unwrap();
        }
        found.push('\n');
    }
    let found = format!("{}\n", found.trim_end());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &found).unwrap();
        return;
    }
    for (expected, found) in text.lines().zip(found.lines()) {
        assert_eq!(found, expected, "in {}", path.display());
    }
    assert_eq!(found.lines().count(), text.lines().count(), "in {}", path.display());
}

fn parse(text: &str, references: &[&str]) -> Result<ParsedSchema, String> {
    let references: Vec<_> =
        references.iter().map(|text| ResolvedReference { name: "", text }).collect();
    ParsedSchema::parse(SchemaType::Avro, text, &references).map_err(|err| err.to_string())
}

#[test]
fn avro_is_printed_and_normalised_as_confluents_registry_does() {
    check_file("canonical/avro.txt", &["name", "reference", "schema"], |case| {
        let references = case.all("reference");
        let schema = match parse(case.one("schema"), &references) {
            Ok(schema) => schema,
            Err(err) => return vec![("error", err)],
        };
        let canonical = schema.canonical_text();
        let normalized = schema.normalized_text();
        let again = parse(&canonical, &references).unwrap();
        assert_eq!(again.canonical_text(), canonical, "printing is stable");
        assert_eq!(again.normalized_text(), normalized, "normalising is stable");
        assert_eq!(parse(&normalized, &references).unwrap().normalized_text(), normalized);
        vec![("canonical", canonical), ("normalized", normalized)]
    });
}

#[test]
fn avro_differences_are_those_of_javas_schema_compatibility() {
    check_file("compatibility/avro.txt", &["name", "new", "old"], |case| {
        let new = parse(case.one("new"), &[]).unwrap();
        let old = parse(case.one("old"), &[]).unwrap();
        let mut lines = Vec::new();
        for (name, level) in
            [("backward", CompatibilityLevel::Backward), ("forward", CompatibilityLevel::Forward)]
        {
            let previous = Previous { version: 1, schema: &old };
            let messages = compatibility::check(level, &new, &[previous]).unwrap();
            // The last three quote the old schema and the level.
            let differences = messages.len().saturating_sub(3);
            if messages.is_empty() {
                lines.push((name, "fits".to_owned()));
            }
            lines.extend(messages.into_iter().take(differences).map(|message| (name, message)));
        }
        lines
    });
}
