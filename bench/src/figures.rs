//! Medians, percentiles, and numbers as people read them.

use std::time::Duration;

/// The middle of the values; of an even number of them, the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (upper, lower) = (sorted.len() / 2, sorted.len().saturating_sub(1) / 2);
    match (sorted.get(lower), sorted.get(upper)) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => f64::NAN,
    }
}

/// The smallest and the largest value: how much a median hides.
pub(crate) fn range(values: &[f64]) -> String {
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} – {}", number(smallest), number(largest))
}

/// The ratio of two medians, and the smallest and largest ratio of the rounds that were taken side by side.
pub(crate) fn ratio(ours: &[f64], theirs: &[f64]) -> String {
    let rounds: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    format!("{} (rounds {})", number(median(ours) / median(theirs)), range(&rounds))
}

/// The value below which that many per cent of the times lie, in milliseconds.
pub(crate) fn percentile_ms(times: &mut [Duration], percent: usize) -> f64 {
    permille_ms(times, percent * 10)
}

/// The value below which that many thousandths of the times lie, in milliseconds.
pub(crate) fn permille_ms(times: &mut [Duration], permille: usize) -> f64 {
    times.sort_unstable();
    let index = (times.len() * permille / 1000).min(times.len().saturating_sub(1));
    times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

/// Three digits that matter, thousands apart.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value.abs() < 100.0 {
        let digits = if value.abs() < 10.0 { 2 } else { 1 };
        return format!("{value:.digits$}");
    }
    let plain = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(range(&[3.0, 1.0, 2.0]), "1.00 – 3.00");
        assert_eq!(ratio(&[1.0, 3.0], &[2.0, 2.0]), "1.00 (rounds 0.50 – 1.50)");
    }

    #[test]
    fn a_percentile_has_that_many_below_it() {
        let mut times: Vec<Duration> = (0..200).rev().map(Duration::from_millis).collect();
        assert_eq!((percentile_ms(&mut times, 50), percentile_ms(&mut times, 99)), (100.0, 198.0));
    }

    #[test]
    fn numbers_have_three_digits_that_matter() {
        let check = |value, expected| assert_eq!(number(value), expected);
        check(0.126, "0.13");
        check(12.34, "12.3");
        check(123.4, "123");
        check(1_234_567.0, "1 234 567");
        check(f64::NAN, "–");
    }
}
