//! Hostile bytes from seeds: what was valid once, changed in a few places, must be refused or read, never more.
//!
//! The same seed gives the same bytes, so that what fails can be run again. `FUZZ_ROUNDS` asks for more rounds than the
//! tests take by themselves.

use crate::arbitrary::Source;

mod batches;
mod frames;

/// How many rounds to run: `usual`, or what the environment asks for.
fn rounds(usual: u64) -> u64 {
    std::env::var("FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

/// A number below `bound`, as an index.
pub(crate) fn index(source: &mut Source, bound: usize) -> usize {
    usize::try_from(source.below(bound as u64)).unwrap()
}

/// Changes one to five places: other bytes, more of them, fewer, the end cut off, or a piece that comes twice.
pub(crate) fn mutate(bytes: &mut Vec<u8>, source: &mut Source) {
    const TEMPTING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x10, 0x40];
    for _ in 0..=source.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = index(source, bytes.len());
        let value = TEMPTING[index(source, TEMPTING.len())];
        match source.below(16) {
            0..=3 => bytes[at] = value,
            4..=6 => bytes.insert(at, value),
            7..=9 => drop(bytes.remove(at)),
            10..=13 => bytes[at] ^= 1 << source.below(8),
            14 => bytes.truncate(at),
            _ => {
                let piece = bytes[at..bytes.len().min(at + 1 + index(source, 32))].to_vec();
                let to = index(source, bytes.len());
                drop(bytes.splice(to..to, piece));
            }
        }
    }
}
