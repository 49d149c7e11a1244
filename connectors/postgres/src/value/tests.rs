//! Text of every type to values.

use aquifer_connect_api::Value;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::time::TimeUnit::{Iso, Micros, Millis, Nanos};
use super::*;

fn decode(decoder: &Decoder, text: &str) -> Result<Value, ValueError> {
    let buffer = Bytes::copy_from_slice(text.as_bytes());
    let mut scratch = BytesMut::with_capacity(64);
    decoder.decode(Raw { text: &buffer, buffer: Some(&buffer) }, &mut scratch)
}

fn check(decoder: Decoder, text: &str, expected: Value) {
    assert_eq!(decode(&decoder, text), Ok(expected), "{decoder:?} {text}");
}

fn check_text(decoder: Decoder, text: &str, expected: &str) {
    check(decoder, text, Value::string(expected));
}

fn check_refused(decoder: Decoder, text: &str) {
    assert!(decode(&decoder, text).is_err(), "{decoder:?} {text}");
}

fn bytes(value: &[u8]) -> Value {
    Value::Bytes(Bytes::copy_from_slice(value))
}

#[test]
fn whole_numbers_keep_their_range() {
    check(Decoder::Int16, "-32768", Value::Int16(i16::MIN));
    check(Decoder::Int32, "2147483647", Value::Int32(i32::MAX));
    check(Decoder::Int64, "-9223372036854775808", Value::Int64(i64::MIN));
    check(Decoder::Int64, "4294967295", Value::Int64(4_294_967_295));
    check_refused(Decoder::Int16, "32768");
    check_refused(Decoder::Int64, "9223372036854775808");
    check_refused(Decoder::Int64, "");
    check_refused(Decoder::Int32, "1x");
}

#[test]
fn floats_and_booleans_are_read() {
    check(Decoder::Float64, "0.1", Value::Float64(0.1));
    check(Decoder::Float32, "-Infinity", Value::Float32(f32::NEG_INFINITY));
    assert!(matches!(decode(&Decoder::Float64, "NaN"), Ok(Value::Float64(v)) if v.is_nan()));
    check(Decoder::Bool, "t", Value::Bool(true));
    check_refused(Decoder::Bool, "true");
}

#[test]
fn decimals_are_the_shortest_twos_complement() {
    check(Decoder::Decimal(2), "12.34", bytes(&[0x04, 0xd2]));
    check(Decoder::Decimal(2), "0.00", bytes(&[0]));
    check(Decoder::Decimal(2), "-0.01", bytes(&[0xff]));
    check(Decoder::Decimal(0), "127", bytes(&[0x7f]));
    check(Decoder::Decimal(0), "128", bytes(&[0x00, 0x80]));
    check(Decoder::Decimal(0), "-128", bytes(&[0x80]));
    check(Decoder::Decimal(0), "-129", bytes(&[0xff, 0x7f]));
    check(Decoder::Decimal(3), "5", bytes(&[0x13, 0x88]));
    check(Decoder::Decimal(-2), "12300", bytes(&[0x7b]));
    check(Decoder::Decimal(0), "18446744073709551616", bytes(&[1, 0, 0, 0, 0, 0, 0, 0, 0]));
    check(Decoder::Decimal(0), "-18446744073709551616", bytes(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0]));
    check_refused(Decoder::Decimal(1), "1.25");
    check_refused(Decoder::Decimal(1), "NaN");
    check_refused(Decoder::Decimal(1), "");
    check_refused(Decoder::Decimal(1), "1e5");
}

#[test]
fn decimals_without_a_scale_carry_their_own() {
    let variable =
        |scale, unscaled: &[u8]| Value::Struct(vec![Value::Int32(scale), bytes(unscaled)]);
    check(Decoder::VariableDecimal, "1.50", variable(1, &[15]));
    check(Decoder::VariableDecimal, "100", variable(0, &[100]));
    check(Decoder::VariableDecimal, "-0.00100", variable(3, &[0xff]));
    check(Decoder::DecimalDouble, "1.50", Value::Float64(1.5));
    check_text(Decoder::DecimalText, "1.50", "1.50");
    check_text(Decoder::DecimalText, "NaN", "NAN");
    check_text(Decoder::DecimalText, "-Infinity", "NEGATIVE_INFINITY");
}

#[test]
fn money_loses_its_signs() {
    check(Decoder::Money(MoneyMode::Decimal(2)), "-$1,234.56", bytes(&[0xfe, 0x1d, 0xc0]));
    check(Decoder::Money(MoneyMode::Double), "$0.50", Value::Float64(0.5));
    check_text(Decoder::Money(MoneyMode::Text), "$1,234.56", "1234.56");
}

#[test]
fn dates_count_from_1970() {
    check(Decoder::Date(Millis), "1970-01-01", Value::Int32(0));
    check(Decoder::Date(Millis), "2024-02-29", Value::Int32(19_782));
    check(Decoder::Date(Millis), "0001-01-01 BC", Value::Int32(-719_528));
    check(Decoder::Date(Millis), "5874897-12-31", Value::Int32(2_145_042_905));
    check(Decoder::Date(Millis), "infinity", Value::Int32(-2_147_472_692));
    check(Decoder::Date(Millis), "-infinity", Value::Int32(-2_147_472_691));
    check_text(Decoder::Date(Iso), "2017-09-15", "2017-09-15Z");
    check_refused(Decoder::Date(Millis), "2024-13-01");
}

#[test]
fn times_of_day_may_be_24_hours() {
    check(Decoder::Time(Micros), "12:34:56.789012", Value::Int64(45_296_789_012));
    check(Decoder::Time(Millis), "12:34:56.789", Value::Int32(45_296_789));
    check(Decoder::Time(Nanos), "00:00:00.000001", Value::Int64(1000));
    check(Decoder::Time(Micros), "24:00:00", Value::Int64(86_400_000_000));
    check_text(Decoder::Time(Iso), "04:05:11.78", "04:05:11.78Z");
    check_refused(Decoder::Time(Micros), "25:00:00");
}

#[test]
fn timestamps_keep_microseconds_and_infinities() {
    let micros = Decoder::Timestamp(Micros);
    check(micros.clone(), "2018-06-20 15:13:16.945104", Value::Int64(1_529_507_596_945_104));
    check(micros.clone(), "1969-12-31 23:59:59.999999", Value::Int64(-1));
    check(micros.clone(), "infinity", Value::Int64(9_223_372_036_825_200_000));
    check(micros.clone(), "-infinity", Value::Int64(-9_223_372_036_832_400_000));
    check(micros.clone(), "294247-01-10 04:00:54.775807", Value::Int64(i64::MAX));
    check_refused(micros, "294276-12-31 23:59:59.999999");
    check(Decoder::Timestamp(Millis), "1969-12-31 23:59:59.9999", Value::Int64(-1));
    check(Decoder::Timestamp(Millis), "infinity", Value::Int64(9_223_372_036_825_200));
    check(Decoder::Timestamp(Nanos), "infinity", Value::Int64(i64::MAX));
    check_text(
        Decoder::Timestamp(Iso),
        "2019-07-09 02:28:57.123456",
        "2019-07-09T02:28:57.123456Z",
    );
    check_refused(Decoder::Timestamp(Nanos), "9999-12-31 00:00:00");
}

#[test]
fn times_with_a_zone_are_shifted_to_utc() {
    let zoned = Decoder::ZonedTimestamp(6);
    check_text(zoned.clone(), "2019-07-09 02:28:57.1+00", "2019-07-09T02:28:57.100000Z");
    check_text(zoned.clone(), "2019-01-01 00:30:00+02", "2018-12-31T22:30:00.000000Z");
    check_text(zoned.clone(), "infinity", "infinity");
    check_text(zoned.clone(), "20000-01-01 00:00:00+00", "+20000-01-01T00:00:00.000000Z");
    check_text(zoned, "0044-03-15 01:02:03+00 BC", "-0043-03-15T01:02:03.000000Z");
    check_text(
        Decoder::ZonedTimestamp(3),
        "2019-07-09 02:28:57.123+00",
        "2019-07-09T02:28:57.123Z",
    );
    check_text(Decoder::ZonedTimestamp(0), "2019-07-09 02:28:57+00", "2019-07-09T02:28:57Z");
    check_text(Decoder::ZonedTime, "12:34:56.7+05:30", "07:04:56.7Z");
    check_text(Decoder::ZonedTime, "23:30:00-08", "07:30:00Z");
    check_refused(Decoder::ZonedTime, "23:30:00");
}

#[test]
fn intervals_count_average_months() {
    check(Decoder::DurationMicros, "P1Y2M-3DT4H5M6.789S", Value::Int64(36_572_706_789_000));
    check(Decoder::DurationMicros, "PT0S", Value::Int64(0));
    check(Decoder::DurationMicros, "PT-0.000001S", Value::Int64(-1));
    check_text(Decoder::DurationText, "P1Y2M3DT4H5M6.78S", "P1Y2M3DT4H5M6.78S");
    check_text(Decoder::DurationText, "P-1DT-0.5S", "P0Y0M-1DT0H0M-0.5S");
    check_refused(Decoder::DurationMicros, "1 day");
    check_refused(Decoder::DurationMicros, "P178000000Y");
}

#[test]
fn bytes_come_in_each_mode() {
    check(Decoder::Bytes(BinaryMode::Bytes), r"\x00ff10", bytes(&[0, 255, 16]));
    check_text(Decoder::Bytes(BinaryMode::Base64), r"\xfbff", "+/8=");
    check_text(Decoder::Bytes(BinaryMode::Base64UrlSafe), r"\xfbff", "-_8=");
    check_text(Decoder::Bytes(BinaryMode::Hex), r"\x00FF10", "00ff10");
    check(Decoder::Bytes(BinaryMode::Bytes), r"\x", bytes(&[]));
    check_refused(Decoder::Bytes(BinaryMode::Bytes), r"\x0");
    check_refused(Decoder::Bytes(BinaryMode::Bytes), r"\x0g");
    check_refused(Decoder::Bytes(BinaryMode::Bytes), "abc");
}

#[test]
fn bits_are_little_endian() {
    check(Decoder::Bit, "1", Value::Bool(true));
    check(Decoder::Bits, "10110", bytes(&[0x16]));
    check(Decoder::Bits, "111000111", bytes(&[0xc7, 0x01]));
    check(Decoder::Bits, "0000", bytes(&[]));
    check_refused(Decoder::Bits, "012");
}

#[test]
fn arrays_know_null_from_its_name_and_undo_quotes() {
    let texts = || Decoder::Array(Box::new(Decoder::Text));
    let array = |items: &[Option<&str>]| {
        Value::Array(items.iter().map(|i| i.map_or(Value::Null, Value::string)).collect())
    };
    check(texts(), "{}", array(&[]));
    check(
        texts(),
        r#"{a b,NULL,"NULL","q\"uote","back\\slash",""}"#,
        array(&[Some("a b"), None, Some("NULL"), Some("q\"uote"), Some("back\\slash"), Some("")]),
    );
    check(texts(), "[0:1]={a,b}", array(&[Some("a"), Some("b")]));
    check(
        Decoder::Array(Box::new(Decoder::Int32)),
        "{1,NULL,-3}",
        Value::Array(vec![Value::Int32(1), Value::Null, Value::Int32(-3)]),
    );
    for wrong in ["{{1,2},{3,4}}", "{1", "1}", "{1,2}x", "", "{\"a}"] {
        check_refused(texts(), wrong);
    }
}

#[test]
fn hstore_is_json_or_a_map() {
    let text = r#""a"=>"b \"c\"", "n"=>NULL"#;
    check_text(Decoder::HstoreJson, text, r#"{"a":"b \"c\"","n":null}"#);
    let pair = |k: &str, v: Value| (Value::string(k), v);
    let map = vec![pair("a", Value::string("b \"c\"")), pair("n", Value::Null)];
    check(Decoder::HstoreMap, text, Value::Map(map));
    check_refused(Decoder::HstoreJson, "a=>b");
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let buffer = Bytes::from_static(b"\xff");
    let raw = Raw { text: &buffer, buffer: Some(&buffer) };
    assert!(Decoder::Text.decode(raw, &mut BytesMut::new()).is_err());
}

fn every_decoder() -> Vec<Decoder> {
    let units = [Millis, Micros, Nanos, Iso];
    let mut all = vec![
        Decoder::Bool,
        Decoder::Int16,
        Decoder::Int32,
        Decoder::Int64,
        Decoder::Float32,
        Decoder::Float64,
        Decoder::Text,
        Decoder::Bytes(BinaryMode::Hex),
        Decoder::Decimal(2),
        Decoder::Decimal(-2),
        Decoder::VariableDecimal,
        Decoder::DecimalDouble,
        Decoder::DecimalText,
        Decoder::Money(MoneyMode::Decimal(2)),
        Decoder::ZonedTimestamp(6),
        Decoder::ZonedTime,
        Decoder::DurationMicros,
        Decoder::DurationText,
        Decoder::Bit,
        Decoder::Bits,
        Decoder::Point,
        Decoder::HstoreJson,
        Decoder::HstoreMap,
        Decoder::Array(Box::new(Decoder::Int32)),
        Decoder::Array(Box::new(Decoder::Text)),
    ];
    for unit in units {
        all.extend([Decoder::Date(unit), Decoder::Time(unit), Decoder::Timestamp(unit)]);
    }
    all
}

proptest! {
    #[test]
    fn prop_no_text_makes_a_decoder_panic(text in r#"[-+0-9:. PTYMDHSBCe,{}"\\xabNUL=>()]{0,40}"#) {
        for decoder in every_decoder() {
            drop(decode(&decoder, &text));
        }
    }

    #[test]
    fn prop_decimals_are_what_their_bytes_say(value in any::<i128>()) {
        let Ok(Value::Bytes(bytes)) = decode(&Decoder::Decimal(0), &value.to_string()) else {
            return Err(TestCaseError::fail("no bytes"));
        };
        let sign = if bytes[0] >= 0x80 { -1 } else { 0 };
        let back = bytes.iter().fold(sign, |value: i128, byte| value << 8 | i128::from(*byte));
        prop_assert_eq!(back, value);
    }

    #[test]
    fn prop_text_arrays_are_read_back(items in proptest::collection::vec(proptest::option::of(".{0,8}"), 0..6)) {
        let print = |item: &Option<String>| match item {
            None => "NULL".to_owned(),
            Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        };
        let text = format!("{{{}}}", items.iter().map(print).collect::<Vec<_>>().join(","));
        let expected = items.iter().map(|item| item.as_deref().map_or(Value::Null, Value::string));
        let expected = Value::Array(expected.collect());
        prop_assert_eq!(decode(&Decoder::Array(Box::new(Decoder::Text)), &text), Ok(expected));
    }

    #[test]
    fn prop_days_are_counted_like_the_calendar(days in -1_000_000i32..3_000_000) {
        let Ok(Value::String(text)) = decode(&Decoder::Timestamp(Iso), &iso(days)) else {
            return Err(TestCaseError::fail("no text"));
        };
        prop_assert!(text.ends_with("T00:00:00Z"));
        if (0..2_932_896).contains(&days) {
            let expected = iso(days);
            prop_assert_eq!(text.split('T').next(), Some(expected.as_str()));
        }
        prop_assert_eq!(decode(&Decoder::Date(Millis), &iso(days)), Ok(Value::Int32(days)));
    }
}

/// A date by the simplest of means: walking the years.
fn iso(days: i32) -> String {
    let leap = |y: i32| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let (mut year, mut rest) = (1970, days);
    while rest < 0 {
        year -= 1;
        rest += if leap(year) { 366 } else { 365 };
    }
    while rest >= if leap(year) { 366 } else { 365 } {
        rest -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    let (shown, era) = if year <= 0 { (1 - year, " BC") } else { (year, "") };
    format!("{shown:04}-{month:02}-{:02}{era}", rest + 1)
}
