//! PURE: dates, moments and times of day as ISO 8601 text.
//!
//! - Elasticsearch reads four digits of a year: a moment beyond is written as the number of its milliseconds, which `date` reads too.
//! - The fraction has three, six or nine digits, or is left out when it is zero: texts of one field sort as their values do.

use std::io::Write;

use crate::field::Unit;

/// Writes a date, or a moment with `Z`, as JSON.
pub(crate) fn write_moment(out: &mut Vec<u8>, unit: Unit, value: i64) {
    let (days, time) = match per_day(unit) {
        None => (value, None),
        Some(per_day) => (value.div_euclid(per_day), Some(value.rem_euclid(per_day))),
    };
    let (year, month, day) = civil(days);
    // Writing to a vector can't fail, here and below.
    let _ = match year {
        0..=9999 => write!(out, "\"{year:04}-{month:02}-{day:02}"),
        -9999..0 => write!(out, "\"-{:04}-{month:02}-{day:02}", -year),
        _ => return super::json::write_integer(out, to_millis(unit, value)),
    };
    if let Some(time) = time {
        out.push(b'T');
        write_time_of_day(out, unit, time);
        out.push(b'Z');
    }
    out.push(b'"');
}

/// Writes a moment that came as text, as JSON: as it is, unless Elasticsearch could not read it.
pub(crate) fn write_moment_text(out: &mut Vec<u8>, text: &str) {
    let millis = match text {
        "infinity" => Some(INFINITY_MILLIS),
        "-infinity" => Some(MINUS_INFINITY_MILLIS),
        _ if text.starts_with(['+', '-']) => long_year_millis(text),
        _ => None,
    };
    match millis {
        Some(millis) => super::json::write_integer(out, millis),
        None => super::json::write_string(out, text),
    }
}

/// Postgres's infinite moments, at the values that Debezium gives them where they are numbers.
const INFINITY_MILLIS: i64 = 9_223_372_036_825_200;
const MINUS_INFINITY_MILLIS: i64 = -9_223_372_036_832_400;

// `+12345-06-07T08:09:10.123Z`, or with an offset as `+02:00`.
fn long_year_millis(text: &str) -> Option<i64> {
    let (negative, text) = (text.starts_with('-'), text.get(1..)?);
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let year = if negative { -year } else { year };
    let zone_at = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.split(':').map(|part| part.parse::<i64>().ok());
    let (hours, minutes, seconds) =
        (clock.next()??, clock.next()??, clock.next().unwrap_or(Some(0))?);
    let millis = format!("{fraction:0<3}").get(..3)?.parse::<i64>().ok()?;
    let zone_minutes = match zone.split_once(':') {
        None => 0,
        Some((hours, minutes)) => {
            let (hours, minutes) = (hours.parse::<i64>().ok()?, minutes.parse::<i64>().ok()?);
            if zone.starts_with('-') { hours * 60 - minutes } else { hours * 60 + minutes }
        }
    };
    let is_sane = year.abs() <= YEAR_MAX && (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_sane = is_sane && [hours, minutes, seconds, zone_minutes].iter().all(|n| n.abs() < 1440);
    is_sane.then(|| {
        let minutes = days_from_civil(year, month, day) * 1440 + hours * 60 + minutes;
        ((minutes - zone_minutes) * 60 + seconds) * 1000 + millis
    })
}

/// Beyond the years that 64 bits of microseconds reach, and far from where milliseconds overflow.
const YEAR_MAX: i64 = 1_000_000;

/// Writes a time of day as `12:34:56.789`; 24:00 is a time in Postgres.
pub(crate) fn write_time_of_day(out: &mut Vec<u8>, unit: Unit, value: i64) {
    let per_second = per_day(unit).map_or(1, |per_day| per_day / 86_400);
    let (seconds, fraction) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // Writing to a vector can't fail.
    let _ = write!(out, "{hours:02}:{minutes:02}:{seconds:02}");
    if fraction != 0 {
        let _ = match unit {
            Unit::Days => Ok(()),
            Unit::Millis => write!(out, ".{fraction:03}"),
            Unit::Micros => write!(out, ".{fraction:06}"),
            Unit::Nanos => write!(out, ".{fraction:09}"),
        };
    }
}

fn per_day(unit: Unit) -> Option<i64> {
    match unit {
        Unit::Days => None,
        Unit::Millis => Some(86_400_000),
        Unit::Micros => Some(86_400_000_000),
        Unit::Nanos => Some(86_400_000_000_000),
    }
}

/// Milliseconds since the epoch, of a count in another unit.
pub(crate) fn to_millis(unit: Unit, value: i64) -> i64 {
    match unit {
        Unit::Days => value.saturating_mul(86_400_000),
        Unit::Millis => value,
        Unit::Micros => value.div_euclid(1_000),
        Unit::Nanos => value.div_euclid(1_000_000),
    }
}

// Gregorian date of a day number, after Howard Hinnant's `civil_from_days`: a year starts in March, an era has 400 years.
fn civil(days: i64) -> (i128, i128, i128) {
    let days = i128::from(days) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i128::from(month <= 2), month, day)
}

// The reverse.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_moment(unit: Unit, value: i64, expected: &str) {
        let mut out = Vec::new();
        write_moment(&mut out, unit, value);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{unit:?} {value}");
    }

    #[test]
    fn moments_are_iso_text() {
        check_moment(Unit::Days, 0, "\"1970-01-01\"");
        check_moment(Unit::Days, 19_860, "\"2024-05-17\"");
        check_moment(Unit::Days, -719_468, "\"0000-03-01\"");
        check_moment(Unit::Days, -719_528 - 366, "\"-0002-12-31\"");
        check_moment(Unit::Days, 2_932_896, "\"9999-12-31\"");
        check_moment(Unit::Days, 2_932_897, "253402300800000");
        check_moment(Unit::Millis, -1, "\"1969-12-31T23:59:59.999Z\"");
        check_moment(Unit::Millis, 951_782_400_000, "\"2000-02-29T00:00:00Z\"");
        check_moment(Unit::Micros, 1_700_000_000_000_050, "\"2023-11-14T22:13:20.000050Z\"");
        check_moment(Unit::Nanos, 1, "\"1970-01-01T00:00:00.000000001Z\"");
        check_moment(Unit::Micros, i64::MAX, "9223372036854775");
        check_moment(Unit::Micros, i64::MIN, "-9223372036854776");
        check_moment(Unit::Millis, i64::MAX, "9223372036854775807");
    }

    #[test]
    fn a_moment_as_text_stays_unless_its_year_is_too_long() {
        let check = |text: &str, expected: &str| {
            let mut out = Vec::new();
            write_moment_text(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check("2024-05-17T12:34:56.123456Z", "\"2024-05-17T12:34:56.123456Z\"");
        check("infinity", "9223372036825200");
        check("-infinity", "-9223372036832400");
        check("+10000-01-01T00:00:00Z", "253402300800000");
        check("+10000-01-01T02:30:00.5+02:30", "253402300800500");
        check("-0001-12-31T22:00-02:00", "-62167219200000");
        check("+999999999999-01-01T00:00:00Z", "\"+999999999999-01-01T00:00:00Z\"");
        check("+no", "\"+no\"");
    }

    proptest! {
        #[test]
        fn prop_a_date_and_its_day_number_agree(days in -200_000_000..200_000_000_i64) {
            let (year, month, day) = civil(days);
            let narrow = |number| i64::try_from(number).unwrap();
            prop_assert_eq!(days_from_civil(narrow(year), narrow(month), narrow(day)), days);
        }

        #[test]
        fn prop_no_text_panics(text in "[+-]?[0-9:.TZ+-]{0,30}") {
            write_moment_text(&mut Vec::new(), &text);
        }
    }

    #[test]
    fn times_of_day_sort_as_their_values() {
        let text = |unit, value| {
            let mut out = Vec::new();
            write_time_of_day(&mut out, unit, value);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(Unit::Millis, 45_296_789), "12:34:56.789");
        assert_eq!(text(Unit::Micros, 86_400_000_000), "24:00:00");
        let sorted: Vec<String> =
            [0, 1, 250_000, 500_000, 1_000_000].iter().map(|v| text(Unit::Micros, *v)).collect();
        assert!(sorted.is_sorted(), "{sorted:?}");
    }
}
