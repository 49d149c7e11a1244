//! What comes out: tables on stdout as they are ready, and the same as Markdown.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use crate::machine::Machine;

/// A table with a sentence of what was done.
pub(crate) struct Section {
    title: String,
    how: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    headlines: Vec<[String; 3]>,
}

impl Section {
    /// An empty table. The first column names what is measured.
    pub(crate) fn new(title: &str, how: &str, head: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            how: how.to_owned(),
            head: head.iter().map(|cell| (*cell).to_owned()).collect(),
            rows: Vec::new(),
            headlines: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: &[&str]) {
        self.rows.push(cells.iter().map(|cell| (*cell).to_owned()).collect());
    }

    /// Adds a line to README's table: what, the figure, and the goal where there is one.
    pub(crate) fn headline(&mut self, what: &str, measured: &str, goal: &str) {
        self.headlines.push([what, measured, goal].map(str::to_owned));
    }

    fn print(&self) {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| {
            let cells = all().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        println!("\n{}\n  {}", self.title, self.how);
        for row in all() {
            let mut line = String::from(" ");
            for (column, cell) in row.iter().enumerate() {
                let width = width(column);
                // Names to the left, figures to the right.
                let padded =
                    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
                let _ = write!(line, " {padded} ");
            }
            println!("{}", line.trim_end());
        }
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<String> = self
            .head
            .iter()
            .enumerate()
            .map(|(column, _)| if column == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("## {}\n\n{}\n\n{}{}{rows}", self.title, self.how, line(&self.head), line(&rule))
    }
}

/// Everything that was measured in one run.
pub(crate) struct Report {
    machine: Machine,
    sections: Vec<Section>,
}

impl Report {
    /// An empty report; prints where it is taken.
    pub(crate) fn new(machine: Machine) -> Self {
        println!("{}", machine.text());
        Self { machine, sections: Vec::new() }
    }

    /// Prints a section and keeps it.
    pub(crate) fn add(&mut self, section: Section) {
        section.print();
        self.sections.push(section);
    }

    /// The whole report.
    pub(crate) fn markdown(&self) -> String {
        let sections: Vec<String> = self.sections.iter().map(Section::markdown).collect();
        format!(
            "# Benchmarks\n\nWritten by `{}`; run it to get the figures of your machine.\n{}\n\n\
             Figures are medians of alternating rounds; the load generators run on the same machine and cost CPU too.\n\
             What a ratio compares stands in its column; below each title stands how it was taken.\n\n{}",
            self.machine.command,
            self.machine.text(),
            sections.join("\n")
        )
    }

    /// README with the figures of this run in its chapter "Measured".
    pub(crate) fn into_readme(self, readme: &str) -> Result<String> {
        let (before, rest) =
            readme.split_once(CHAPTER).context("README has no chapter Measured")?;
        let after = rest.find("\n## ").map_or("", |at| rest.split_at(at).1);
        let lines = self.sections.iter().flat_map(|section| &section.headlines);
        let rows: String = lines
            .map(|[what, measured, goal]| format!("| {what} | {measured} | {goal} |\n"))
            .collect();
        let text = format!(
            "\nBy `{}`, which measures both sides in one run; all figures and how they were taken are in [docs/benchmarks.md](docs/benchmarks.md).\n{}\n\n\
             | | measured | goal |\n| --- | ---: | ---: |\n{rows}",
            self.machine.command,
            self.machine.text()
        );
        Ok(format!("{before}{CHAPTER}{text}{after}"))
    }
}

/// The heading of README's table.
const CHAPTER: &str = "\n## Measured\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readme_gets_the_figures_and_keeps_the_rest() {
        let mut section = Section::new("t", "h", &["", "x"]);
        section.headline("rows/s", "7", "≥ 5");
        let machine = Machine::of("make bench", &["Commit c.", "Machine: m."]);
        let report = Report { machine, sections: vec![section] };
        let readme = report.into_readme("# A\n\n## Measured\n\nold\n\n## B\nb\n").unwrap();
        assert!(readme.starts_with("# A\n\n## Measured\n\nBy `make bench`"), "{readme}");
        assert!(readme.ends_with("| rows/s | 7 | ≥ 5 |\n\n## B\nb\n"), "{readme}");
        assert!(!readme.contains("old"), "{readme}");
    }
}
