//! PURE: a decimal, unscaled two's-complement big-endian bytes and a scale, as the text of a number with every digit.

/// Writes the number; no bytes are zero. A negative scale becomes an exponent.
pub(crate) fn write_decimal(out: &mut Vec<u8>, unscaled: &[u8], scale: i32) {
    let negative = unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
    let digits = magnitude_digits(unscaled, negative);
    if negative {
        out.push(b'-');
    }
    let point = digits.len().checked_sub(usize::try_from(scale).unwrap_or(0));
    match point {
        _ if scale <= 0 => {
            out.extend_from_slice(&digits);
            if scale < 0 && digits != b"0" {
                out.extend_from_slice(format!("e{}", scale.unsigned_abs()).as_bytes());
            }
        }
        // A scale beyond what any database has would be megabytes of zeros.
        _ if scale > SCALE_WRITTEN_MAX => {
            out.extend_from_slice(&digits);
            out.extend_from_slice(format!("e-{scale}").as_bytes());
        }
        Some(point) if point > 0 => {
            let (whole, fraction) = digits.split_at(point);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        _ => {
            let zeros = usize::try_from(scale).unwrap_or(0).saturating_sub(digits.len());
            out.extend_from_slice(b"0.");
            out.resize(out.len() + zeros, b'0');
            out.extend_from_slice(&digits);
        }
    }
}

/// Postgres's largest scale.
const SCALE_WRITTEN_MAX: i32 = 16_383;

fn magnitude_digits(unscaled: &[u8], negative: bool) -> Vec<u8> {
    if unscaled.len() <= 16 {
        let fill = if negative { 0xff } else { 0 };
        let mut padded = [fill; 16];
        let (_, tail) = padded.split_at_mut(16 - unscaled.len());
        tail.copy_from_slice(unscaled);
        return i128::from_be_bytes(padded).unsigned_abs().to_string().into_bytes();
    }
    let mut magnitude = unscaled.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    // Divides by 10^9 until nothing is left; each remainder is nine digits, the lowest first.
    let mut groups = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut remainder = 0_u64;
        for byte in &mut magnitude {
            let value = remainder << 8 | u64::from(*byte);
            // The quotient of (remainder < 10^9) * 256 + byte by 10^9 is below 256.
            *byte = u8::try_from(value / 1_000_000_000).unwrap_or(u8::MAX);
            remainder = value % 1_000_000_000;
        }
        groups.push(remainder);
    }
    let mut digits: String = groups.pop().unwrap_or(0).to_string();
    groups.iter().rev().for_each(|group| digits.push_str(&format!("{group:09}")));
    digits.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(unscaled: &[u8], scale: i32) -> String {
        let mut out = Vec::new();
        write_decimal(&mut out, unscaled, scale);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_digit_is_written() {
        let check = |unscaled: i128, scale, expected: &str| {
            assert_eq!(text(&unscaled.to_be_bytes(), scale), expected);
        };
        check(0, 0, "0");
        check(0, 2, "0.00");
        check(12_345, 2, "123.45");
        check(-5, 3, "-0.005");
        check(-500, 2, "-5.00");
        check(7, -3, "7e3");
        check(i128::MIN, 0, "-170141183460469231731687303715884105728");
        assert_eq!(text(&[], 1), "0.0");
        assert_eq!(text(&[0x80], 0), "-128");
        assert_eq!(text(&[1], i32::MAX), "1e-2147483647");
        let mut wide = [0_u8; 17];
        wide[0] = 1;
        assert_eq!(text(&wide, 0), "340282366920938463463374607431768211456");
    }

    proptest! {
        #[test]
        fn prop_wide_bytes_agree_with_narrow_ones(value: i128) {
            let fill = if value < 0 { 0xff } else { 0 };
            let mut wide = vec![fill; 4];
            wide.extend_from_slice(&value.to_be_bytes());
            prop_assert_eq!(text(&wide, 0), value.to_string());
        }
    }
}
