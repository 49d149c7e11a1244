//! How soon the whole program answers on an empty directory, and what it holds when nothing happens.

use anyhow::Result;

use crate::Bench;
use crate::figures::{median, number};
use crate::process::memory_mib;
use crate::program::Aquifer;
use crate::progress::Progress;
use crate::report::Section;

/// How long it is left alone before its memory is read.
const IDLE: std::time::Duration = std::time::Duration::from_secs(3);

/// Starts it a few times.
pub(crate) async fn measure(bench: &Bench) -> Result<Section> {
    let progress = Progress::new("start", bench.rounds);
    let (mut ready, mut idle) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        progress.step(&format!("round {}", round + 1));
        let program = Aquifer::start(bench, "start", &[]).await?;
        ready.push(program.ready_in.as_secs_f64() * 1000.0);
        tokio::time::sleep(IDLE).await;
        idle.push(memory_mib(program.pid())?.0);
        program.stop().await?;
    }
    let mut section = Section::new(
        "The whole program, idle",
        "`aquifer start` with its defaults (broker, registry, Connect) on an empty directory; memory is the resident set 3 s after it was ready.",
        &["", "measured", "goal"],
    );
    section.row(&["ready, ms", &number(median(&ready)), "≤ 500"]);
    section.row(&["idle memory, MiB", &number(median(&idle)), "≤ 40"]);
    section.headline(
        "`aquifer start` on an empty directory: ready, ms",
        &number(median(&ready)),
        "≤ 500",
    );
    section.headline("its idle memory, MiB", &number(median(&idle)), "≤ 40");
    Ok(section)
}
