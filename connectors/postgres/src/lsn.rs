//! A position in Postgres's write-ahead log.
#![deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::panic)]

use std::fmt;
use std::str::FromStr;

/// A byte position in the WAL; records start at multiples of 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before everything; Postgres calls it invalid.
    pub const ZERO: Lsn = Lsn(0);

    /// As Debezium's offsets and source blocks carry it. WAL positions stay below 2^63.
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// From an offset; negative is nothing.
    pub fn from_i64(value: i64) -> Option<Lsn> {
        u64::try_from(value).ok().map(Lsn)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl FromStr for Lsn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (high, low) = text.split_once('/')?;
            let high = u64::from(u32::from_str_radix(high, 16).ok()?);
            let low = u64::from(u32::from_str_radix(low, 16).ok()?);
            Some(Lsn(high << 32 | low))
        };
        parse().ok_or_else(|| format!("expected an LSN such as 16/B374D848 but got '{text}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_lsn_is_read_back() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(text.parse::<Lsn>().unwrap().to_string(), text);
        }
        assert!("16".parse::<Lsn>().is_err());
        assert!("x/1".parse::<Lsn>().is_err());
    }
}
