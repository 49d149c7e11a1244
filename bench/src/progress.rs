//! What goes on, on stderr: a bar on a terminal, a line a step elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The steps of one part.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    part: &'static str,
}

impl Progress {
    /// Begins a part of that many steps.
    pub(crate) fn new(part: &'static str, steps: u32) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{prefix:>9} {bar:30} {pos}/{len} {elapsed} {msg}");
            let bar = ProgressBar::new(steps.into()).with_prefix(part);
            bar.enable_steady_tick(Duration::from_millis(200));
            if let Ok(style) = style { bar.with_style(style) } else { bar }
        });
        Self { bar, part }
    }

    /// The next step begins.
    pub(crate) fn step(&self, what: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(what.to_owned());
                bar.inc(1);
            }
            None => eprintln!("{}: {what}", self.part),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
