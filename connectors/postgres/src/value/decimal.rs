//! Numbers of any size: decimal text to the unscaled two's-complement bytes of Connect's `Decimal`.

use aquifer_connect_api::Value;
use bytes::{BufMut, Bytes, BytesMut};

use super::{MoneyMode, ValueError, malformed, utf8};

/// Digits past the scale are only ever zeros, or the value is refused: numbers are never rounded here.
pub(super) fn scaled(text: &[u8], scale: i32, scratch: &mut BytesMut) -> Result<Value, ValueError> {
    let number = Number::parse(text)?;
    Ok(Value::Bytes(number.unscaled(scale, text, scratch)?))
}

/// Scale and unscaled bytes; trailing zeros of the fraction are dropped, as Debezium does.
pub(super) fn variable(text: &[u8], scratch: &mut BytesMut) -> Result<Value, ValueError> {
    let mut number = Number::parse(text)?;
    while let [fraction @ .., b'0'] = number.fraction {
        number.fraction = fraction;
    }
    let scale = i32::try_from(number.fraction.len()).unwrap_or(i32::MAX);
    let unscaled = number.unscaled(scale, text, scratch)?;
    Ok(Value::Struct(vec![Value::Int32(scale), Value::Bytes(unscaled)]))
}

/// Money as printed under `lc_monetary=C`: `$1,234.56`, `-$1,234.56`.
pub(super) fn money(
    text: &[u8],
    mode: MoneyMode,
    scratch: &mut BytesMut,
) -> Result<Value, ValueError> {
    let plain: Vec<u8> =
        text.iter().copied().filter(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.')).collect();
    match mode {
        MoneyMode::Decimal(scale) => scaled(&plain, scale, scratch),
        MoneyMode::Double => super::float(&plain).map(Value::Float64),
        MoneyMode::Text => utf8(Bytes::from(plain)).map(Value::String),
    }
}

/// Debezium's words for what is not a number, in string mode.
pub(super) fn special_name(text: &[u8]) -> Option<&'static str> {
    match text {
        b"NaN" => Some("NAN"),
        b"Infinity" => Some("POSITIVE_INFINITY"),
        b"-Infinity" => Some("NEGATIVE_INFINITY"),
        _ => None,
    }
}

struct Number<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Number<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, ValueError> {
        if special_name(text).is_some() {
            return Err(ValueError::Unrepresentable {
                what: "NaN or infinity",
                schema: "a precise decimal",
                mend: "set decimal.handling.mode to string or double",
            });
        }
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
        let (whole, rest) = digits.split_at_checked(point).unwrap_or((digits, &[]));
        let fraction = rest.strip_prefix(b".").unwrap_or(rest);
        let all_digits = whole.iter().chain(fraction).all(u8::is_ascii_digit);
        if !all_digits || whole.is_empty() && fraction.is_empty() {
            return Err(malformed("a decimal number", text));
        }
        Ok(Number { negative, whole, fraction })
    }

    /// The value times ten to the power of `scale`.
    fn unscaled(
        &self,
        scale: i32,
        text: &[u8],
        scratch: &mut BytesMut,
    ) -> Result<Bytes, ValueError> {
        let fraction_digits = i32::try_from(self.fraction.len()).unwrap_or(i32::MAX);
        let shift = scale.saturating_sub(fraction_digits);
        let count = self.whole.len() + self.fraction.len();
        let dropped = usize::try_from(shift.saturating_neg()).unwrap_or(0).min(count);
        let zeros = usize::try_from(shift).unwrap_or(0);
        let all = || self.whole.iter().chain(self.fraction).map(|byte| byte.wrapping_sub(b'0'));
        if all().skip(count - dropped).any(|digit| digit != 0) {
            return Err(malformed("a number of the column's scale", text));
        }
        let digits = all().take(count - dropped).chain(std::iter::repeat_n(0, zeros));
        Ok(if count - dropped + zeros <= 18 {
            let value = digits.fold(0i64, |value, digit| value * 10 + i64::from(digit));
            small(if self.negative { -value } else { value }, scratch)
        } else {
            large(digits, self.negative, scratch)
        })
    }
}

/// The shortest two's-complement bytes, most significant first.
fn small(value: i64, scratch: &mut BytesMut) -> Bytes {
    put_shortest(&value.to_be_bytes(), scratch)
}

fn put_shortest(bytes: &[u8], scratch: &mut BytesMut) -> Bytes {
    let mut rest = bytes;
    while let [first, second, ..] = rest {
        // A leading byte that only repeats the sign of the next one says nothing.
        let redundant = *first == 0 && *second < 0x80 || *first == 0xff && *second >= 0x80;
        if !redundant {
            break;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    scratch.put_slice(rest);
    scratch.split().freeze()
}

/// As `small`, for numbers past 64 bits: limbs of 32 bits, least significant first.
fn large(digits: impl Iterator<Item = u8>, negative: bool, scratch: &mut BytesMut) -> Bytes {
    let mut limbs: Vec<u32> = Vec::new();
    let (mut chunk, mut base) = (0u32, 1u32);
    for digit in digits {
        chunk = chunk * 10 + u32::from(digit);
        base *= 10;
        if base == 1_000_000_000 {
            multiply_add(&mut limbs, base, chunk);
            (chunk, base) = (0, 1);
        }
    }
    if base > 1 {
        multiply_add(&mut limbs, base, chunk);
    }
    // One limb more holds the sign.
    limbs.push(0);
    if negative {
        let mut carry = true;
        for limb in &mut limbs {
            let (value, over) = (!*limb).overflowing_add(u32::from(carry));
            (*limb, carry) = (value, over);
        }
    }
    let bytes: Vec<u8> = limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
    put_shortest(&bytes, scratch)
}

fn multiply_add(limbs: &mut Vec<u32>, factor: u32, addend: u32) {
    let mut carry = u64::from(addend);
    for limb in limbs.iter_mut() {
        let value = u64::from(*limb) * u64::from(factor) + carry;
        *limb = low32(value);
        carry = value >> 32;
    }
    if carry > 0 {
        limbs.push(low32(carry));
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
fn low32(value: u64) -> u32 {
    value as u32
}
