//! What comes out: tables on stdout as they are ready, and the same as Markdown.

use std::fmt::Write as _;

use crate::machine::Machine;

/// A table with a sentence of what was done.
pub(crate) struct Section {
    title: String,
    how: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Section {
    /// An empty table. The first column names what is measured.
    pub(crate) fn new(title: &str, how: &str, head: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            how: how.to_owned(),
            head: head.iter().map(|cell| (*cell).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: &[&str]) {
        self.rows.push(cells.iter().map(|cell| (*cell).to_owned()).collect());
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
}
