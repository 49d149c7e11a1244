//! A set of byte ranges: which parts of a segment were checked.

/// How many separate ranges are kept; past it the first is forgotten, which costs a second check and nothing else.
const RANGES_MAX: usize = 256;

/// Disjoint ranges in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ranges {
    ranges: Vec<(u64, u64)>,
}

impl Ranges {
    /// Adds `start..end`, merged with what touches it.
    pub(crate) fn add(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        if let Some(last) = self.ranges.last_mut()
            && last.1 == start
        {
            last.1 = end;
            return;
        }
        let first = self.ranges.partition_point(|range| range.1 < start);
        let behind = self.ranges.partition_point(|range| range.0 <= end);
        let merged = self.ranges[first..behind]
            .iter()
            .fold((start, end), |merged, range| (merged.0.min(range.0), merged.1.max(range.1)));
        self.ranges.splice(first..behind, [merged]);
        if self.ranges.len() > RANGES_MAX {
            self.ranges.remove(0);
        }
    }

    /// Whether all of `start..end` was added.
    pub(crate) fn contain(&self, start: u64, end: u64) -> bool {
        let at = self.ranges.partition_point(|range| range.1 < end);
        start >= end || self.ranges.get(at).is_some_and(|range| range.0 <= start && end <= range.1)
    }

    /// Forgets `start..end`.
    pub(crate) fn remove(&mut self, start: u64, end: u64) {
        let kept = self.ranges.iter().flat_map(|&(first, last)| {
            [(first, last.min(start)), (first.max(end), last)].into_iter().filter(|(a, b)| a < b)
        });
        self.ranges = kept.collect();
    }

    /// Forgets what lies behind `end`.
    pub(crate) fn truncate(&mut self, end: u64) {
        self.ranges.retain(|range| range.0 < end);
        if let Some(last) = self.ranges.last_mut() {
            last.1 = last.1.min(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_and_answer_what_they_contain() {
        let mut ranges = Ranges::default();
        for (start, end) in [(10, 20), (30, 40), (20, 25), (24, 30), (50, 60)] {
            ranges.add(start, end);
        }
        assert_eq!(ranges.ranges, [(10, 40), (50, 60)]);
        assert!(ranges.contain(10, 40) && ranges.contain(33, 35) && ranges.contain(45, 45));
        assert!(!ranges.contain(9, 12) && !ranges.contain(35, 55) && !ranges.contain(40, 50));
        let mut cut = ranges.clone();
        cut.remove(20, 55);
        assert_eq!(cut.ranges, [(10, 20), (55, 60)]);
        cut.remove(12, 14);
        assert_eq!(cut.ranges, [(10, 12), (14, 20), (55, 60)]);
        ranges.truncate(35);
        assert_eq!(ranges.ranges, [(10, 35)]);
    }
}
