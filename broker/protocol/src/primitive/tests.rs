//! Variable-length integers: known encodings, those that do not fit, round trips.

use proptest::prelude::*;

use super::*;

#[test]
fn varints_have_known_encodings() {
    let unsigned: &[(u64, &[u8])] = &[
        (0, b"\0"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (300, b"\xac\x02"),
        (u64::from(u32::MAX), b"\xff\xff\xff\xff\x0f"),
        (u64::MAX, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    ];
    for &(value, bytes) in unsigned {
        assert_eq!(Varint::unsigned(value).as_bytes(), bytes);
    }
    for (value, bytes) in [(0, 0_u8), (-1, 1), (1, 2), (-2, 3), (2, 4), (-64, 0x7f)] {
        assert_eq!(Varint::signed(value).as_bytes(), [bytes]);
    }
}

#[test]
fn varints_that_do_not_fit_are_refused() {
    let too_long = |bits| ProtocolError::VarintTooLong { field: "x", bits };
    assert_eq!(Reader::new(b"\xff\xff\xff\xff\x1f").read_unsigned_varint("x"), Err(too_long(32)));
    assert_eq!(
        Reader::new(b"\x80\x80\x80\x80\x80\x01").read_unsigned_varint("x"),
        Err(too_long(32))
    );
    let nine = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    assert_eq!(
        Reader::new(&[&nine[..], b"\x02"].concat()).read_unsigned_varlong("x"),
        Err(too_long(64))
    );
    let cut = ProtocolError::Truncated { field: "x", needed: 3, remaining: 2 };
    assert_eq!(Reader::new(b"\x80\x80").read_varint("x"), Err(cut));
}

proptest! {
    #[test]
    fn prop_varints_read_what_they_write(value in any::<i64>(), shift in 0..64_u32) {
        let value = value >> shift;
        let bytes = Varint::signed(value);
        prop_assert_eq!(Reader::new(bytes.as_bytes()).read_varlong("x"), Ok(value));
        if let Ok(narrow) = i32::try_from(value) {
            prop_assert_eq!(Reader::new(bytes.as_bytes()).read_varint("x"), Ok(narrow));
        }
        let unsigned = value.unsigned_abs();
        prop_assert_eq!(
            Reader::new(Varint::unsigned(unsigned).as_bytes()).read_unsigned_varlong("x"),
            Ok(unsigned)
        );
    }
}
