//! Dates, times and intervals: ISO text as Postgres prints it under `DateStyle=ISO`, `TimeZone=UTC`, `IntervalStyle=iso_8601`.

use aquifer_connect_api::{ByteString, Value};
use bytes::{BufMut, BytesMut};

use super::{ValueError, malformed, written};

/// In what a date, time or timestamp is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
    /// Not counted: ISO text.
    Iso,
}

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 365.25 / 12 days, which is a whole number of microseconds.
const MICROS_PER_MONTH: i64 = 2_629_800 * MICROS_PER_SECOND;

/// What the JDBC driver, and so Debezium, gives for an infinite timestamp, taken as microseconds.
const POSITIVE_INFINITY_MICROS: i64 = 9_223_372_036_825_200_000;
const NEGATIVE_INFINITY_MICROS: i64 = -9_223_372_036_832_400_000;
/// Debezium's -5877611-06-21 and -5877611-06-22, in days.
const POSITIVE_INFINITY_DAYS: i64 = days_from_civil(-5_877_611, 6, 21);
const NEGATIVE_INFINITY_DAYS: i64 = days_from_civil(-5_877_611, 6, 22);

pub(super) fn date(
    text: &[u8],
    unit: TimeUnit,
    scratch: &mut BytesMut,
) -> Result<Value, ValueError> {
    let moment = Moment::parse(text).ok_or_else(|| malformed("a date", text))?;
    let days = match moment {
        Moment::Finite { days, .. } => days,
        Moment::Infinity => POSITIVE_INFINITY_DAYS,
        Moment::NegativeInfinity => NEGATIVE_INFINITY_DAYS,
    };
    if unit == TimeUnit::Iso {
        return Ok(written(scratch, |out| {
            put_date(out, days);
            out.put_u8(b'Z');
        }));
    }
    i32::try_from(days).map(Value::Int32).map_err(|_| malformed("a date", text))
}

pub(super) fn time(
    text: &[u8],
    unit: TimeUnit,
    scratch: &mut BytesMut,
) -> Result<Value, ValueError> {
    let mut cursor = Cursor(text);
    let micros = cursor.clock().filter(|_| cursor.0.is_empty());
    let micros = micros.ok_or_else(|| malformed("a time", text))?;
    Ok(match unit {
        TimeUnit::Millis => i32::try_from(micros / 1000).map_or(Value::Null, Value::Int32),
        TimeUnit::Micros => Value::Int64(micros),
        TimeUnit::Nanos => Value::Int64(micros * 1000),
        TimeUnit::Iso => written(scratch, |out| {
            put_clock(out, micros, 0);
            out.put_u8(b'Z');
        }),
    })
}

pub(super) fn timestamp(
    text: &[u8],
    unit: TimeUnit,
    scratch: &mut BytesMut,
) -> Result<Value, ValueError> {
    let moment = Moment::parse(text).ok_or_else(|| malformed("a timestamp", text))?;
    let too_far = || ValueError::Unrepresentable {
        what: "a timestamp this far from the epoch",
        schema: "this unit of time",
        mend: "set time.precision.mode to a coarser one",
    };
    let micros = match moment {
        Moment::Finite { days, micros, .. } => {
            if unit == TimeUnit::Iso {
                return Ok(put_moment(scratch, days, micros, 0));
            }
            days.checked_mul(MICROS_PER_DAY).and_then(|day| day.checked_add(micros))
        }
        Moment::Infinity if unit == TimeUnit::Nanos => return Ok(Value::Int64(i64::MAX)),
        Moment::NegativeInfinity if unit == TimeUnit::Nanos => return Ok(Value::Int64(i64::MIN)),
        Moment::Infinity if unit == TimeUnit::Iso => return Ok(static_text("infinity")),
        Moment::NegativeInfinity if unit == TimeUnit::Iso => return Ok(static_text("-infinity")),
        Moment::Infinity => Some(POSITIVE_INFINITY_MICROS),
        Moment::NegativeInfinity => Some(NEGATIVE_INFINITY_MICROS),
    };
    let value = match unit {
        TimeUnit::Millis => micros.map(|micros| micros.div_euclid(1000)),
        TimeUnit::Micros | TimeUnit::Iso => micros,
        TimeUnit::Nanos => micros.and_then(|micros| micros.checked_mul(1000)),
    };
    value.map(Value::Int64).ok_or_else(too_far)
}

pub(super) fn zoned_timestamp(
    text: &[u8],
    fraction: u8,
    scratch: &mut BytesMut,
) -> Result<Value, ValueError> {
    match Moment::parse(text).ok_or_else(|| malformed("a timestamp with time zone", text))? {
        Moment::Finite { days, micros, offset_s } => {
            let micros = micros - i64::from(offset_s) * MICROS_PER_SECOND;
            let days = days + micros.div_euclid(MICROS_PER_DAY);
            Ok(put_moment(scratch, days, micros.rem_euclid(MICROS_PER_DAY), fraction))
        }
        Moment::Infinity => Ok(static_text("infinity")),
        Moment::NegativeInfinity => Ok(static_text("-infinity")),
    }
}

/// 1970-01-01 in UTC.
pub(super) fn zoned_epoch(fraction: u8) -> Value {
    put_moment(&mut BytesMut::new(), 0, 0, fraction)
}

pub(super) fn zoned_time(text: &[u8], scratch: &mut BytesMut) -> Result<Value, ValueError> {
    let mut cursor = Cursor(text);
    let parsed = cursor.clock().zip(cursor.offset()).filter(|_| cursor.0.is_empty());
    let (micros, offset_s) = parsed.ok_or_else(|| malformed("a time with time zone", text))?;
    let micros = (micros - i64::from(offset_s) * MICROS_PER_SECOND).rem_euclid(MICROS_PER_DAY);
    Ok(written(scratch, |out| {
        put_clock(out, micros, 0);
        out.put_u8(b'Z');
    }))
}

/// An interval's parts, each with its own sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Interval {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    second_micros: i64,
}

/// Reads `P1Y2M-3DT-4H-5M-6.78S`.
pub(super) fn interval(text: &[u8]) -> Result<Interval, ValueError> {
    let parse = || {
        let mut cursor = Cursor(text.strip_prefix(b"P")?);
        let mut interval = Interval::default();
        let mut of_time = false;
        while let Some(byte) = cursor.peek() {
            if byte == b'T' {
                of_time = true;
                cursor.skip(1);
                continue;
            }
            let negative = byte == b'-';
            cursor.skip(usize::from(negative));
            let sign = if negative { -1 } else { 1 };
            let whole = cursor.number()?;
            let micros = if cursor.peek() == Some(b'.') { cursor.fraction()? } else { 0 };
            let unit = cursor.peek()?;
            cursor.skip(1);
            let value = sign * whole;
            match (unit, of_time) {
                (b'Y', false) => interval.years = value,
                (b'M', false) => interval.months = value,
                (b'D', false) => interval.days = value,
                (b'H', true) => interval.hours = value,
                (b'M', true) => interval.minutes = value,
                (b'S', true) => {
                    interval.second_micros = value.checked_mul(MICROS_PER_SECOND)? + sign * micros;
                }
                _ => return None,
            }
        }
        Some(interval)
    };
    parse().ok_or_else(|| malformed("an interval", text))
}

impl Interval {
    /// Microseconds in all, with average months.
    pub(super) fn micros(self, text: &[u8]) -> Result<i64, ValueError> {
        let total = || {
            let months = self.years.checked_mul(12)?.checked_add(self.months)?;
            let minutes = self.hours.checked_mul(60)?.checked_add(self.minutes)?;
            months
                .checked_mul(MICROS_PER_MONTH)?
                .checked_add(self.days.checked_mul(MICROS_PER_DAY)?)?
                .checked_add(minutes.checked_mul(60 * MICROS_PER_SECOND)?)?
                .checked_add(self.second_micros)
        };
        total().ok_or_else(|| malformed("an interval of less than 292 000 years", text))
    }

    /// `P1Y2M3DT4H5M6.78S` with every part.
    pub(super) fn iso(self, scratch: &mut BytesMut) -> Value {
        let sign = if self.second_micros < 0 { "-" } else { "" };
        let seconds = self.second_micros.unsigned_abs() / 1_000_000;
        let fraction = self.second_micros.unsigned_abs() % 1_000_000;
        let fraction = if fraction == 0 {
            String::new()
        } else {
            format!(".{fraction:06}").trim_end_matches('0').to_owned()
        };
        let Interval { years, months, days, hours, minutes, .. } = self;
        written(scratch, |out| {
            out.put_slice(
                format!("P{years}Y{months}M{days}DT{hours}H{minutes}M{sign}{seconds}{fraction}S")
                    .as_bytes(),
            );
        })
    }
}

/// A date, or a date and a time of day.
enum Moment {
    Finite { days: i64, micros: i64, offset_s: i32 },
    Infinity,
    NegativeInfinity,
}

impl Moment {
    fn parse(text: &[u8]) -> Option<Moment> {
        match text {
            b"infinity" => return Some(Moment::Infinity),
            b"-infinity" => return Some(Moment::NegativeInfinity),
            _ => {}
        }
        let (text, before_christ) = match text.strip_suffix(b" BC") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let mut cursor = Cursor(text);
        let year = cursor.number()?;
        cursor.expect(b'-')?;
        let month = cursor.number()?;
        cursor.expect(b'-')?;
        let day = cursor.number()?;
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year > 10_000_000 {
            return None;
        }
        let year = if before_christ { 1 - year } else { year };
        let days = days_from_civil(year, month, day);
        let (mut micros, mut offset_s) = (0, 0);
        if cursor.peek() == Some(b' ') {
            cursor.skip(1);
            micros = cursor.clock()?;
            if cursor.peek().is_some() {
                offset_s = cursor.offset()?;
            }
        }
        cursor.0.is_empty().then_some(Moment::Finite { days, micros, offset_s })
    }
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn skip(&mut self, count: usize) {
        self.0 = self.0.get(count..).unwrap_or_default();
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    fn number(&mut self) -> Option<i64> {
        let start = self.0;
        let mut value: i64 = 0;
        while let [digit @ b'0'..=b'9', rest @ ..] = self.0 {
            value = value.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
            self.0 = rest;
        }
        (self.0.len() < start.len()).then_some(value)
    }

    /// `.123` as microseconds.
    fn fraction(&mut self) -> Option<i64> {
        self.expect(b'.')?;
        let (mut micros, mut unit) = (0, 100_000);
        while let [digit @ b'0'..=b'9', rest @ ..] = self.0 {
            micros += i64::from(digit - b'0') * unit;
            unit /= 10;
            self.0 = rest;
        }
        Some(micros)
    }

    /// `13:04:05.678` as microseconds; 24:00:00 is allowed.
    fn clock(&mut self) -> Option<i64> {
        let hours = self.number()?;
        self.expect(b':')?;
        let minutes = self.number()?;
        self.expect(b':')?;
        let seconds = self.number()?;
        let micros = if self.peek() == Some(b'.') { self.fraction()? } else { 0 };
        (hours <= 24 && minutes < 60 && seconds <= 60)
            .then_some((hours * 3600 + minutes * 60 + seconds) * MICROS_PER_SECOND + micros)
    }

    /// `+05:30` in seconds.
    fn offset(&mut self) -> Option<i32> {
        let sign = match self.peek()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.skip(1);
        let mut seconds = i32::try_from(self.number()?).ok()?.checked_mul(3600)?;
        for unit in [60, 1] {
            if self.peek() == Some(b':') {
                self.skip(1);
                seconds += i32::try_from(self.number()?).ok()?.checked_mul(unit)?;
            }
        }
        Some(sign * seconds)
    }
}

fn static_text(text: &'static str) -> Value {
    Value::String(ByteString::from_static(text))
}

fn put_moment(scratch: &mut BytesMut, days: i64, micros: i64, fraction: u8) -> Value {
    written(scratch, |out| {
        put_date(out, days);
        out.put_u8(b'T');
        put_clock(out, micros, fraction);
        out.put_u8(b'Z');
    })
}

/// ISO 8601; years past four digits carry a sign, as Java prints them.
fn put_date(out: &mut BytesMut, days: i64) {
    let (year, month, day) = civil_from_days(days);
    if !(0..=9999).contains(&year) {
        out.put_u8(if year < 0 { b'-' } else { b'+' });
    }
    put_digits(out, year.abs(), 4);
    out.put_u8(b'-');
    put_digits(out, month, 2);
    out.put_u8(b'-');
    put_digits(out, day, 2);
}

/// The time of day with `fraction` digits, or with as many as needed where that is 0.
fn put_clock(out: &mut BytesMut, micros: i64, fraction: u8) {
    let seconds = micros / MICROS_PER_SECOND;
    put_digits(out, seconds / 3600, 2);
    out.put_u8(b':');
    put_digits(out, seconds / 60 % 60, 2);
    out.put_u8(b':');
    put_digits(out, seconds % 60, 2);
    let mut rest = micros % MICROS_PER_SECOND;
    let mut digits = 6;
    if fraction == 0 {
        if rest == 0 {
            return;
        }
        while rest % 10 == 0 {
            rest /= 10;
            digits -= 1;
        }
    } else {
        while digits > usize::from(fraction) {
            rest /= 10;
            digits -= 1;
        }
    }
    out.put_u8(b'.');
    put_digits(out, rest, digits);
}

fn put_digits(out: &mut BytesMut, value: i64, width: usize) {
    let mut digits = [0u8; 20];
    let mut rest = value.unsigned_abs();
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if rest == 0 && used >= width {
            break;
        }
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used += 1;
    }
    out.put_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day.
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}
