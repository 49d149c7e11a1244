//! Ids of topics and directories, and how Kafka spells them.

use std::fmt;
use std::str::FromStr;

/// A topic id or directory id: sixteen bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The id that means "none".
    pub const ZERO: Self = Self([0; 16]);

    /// Whether this id means "none".
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Display for Uuid {
    /// Kafka prints ids in URL-safe base64 without padding: 22 characters.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        for index in 0..22_u32 {
            let six =
                if index == 21 { (value << 4) & 0x3f } else { (value >> (122 - 6 * index)) & 0x3f };
            let letter = usize::try_from(six)
                .ok()
                .and_then(|six| BASE64_URL.get(six))
                .copied()
                .unwrap_or(b'A');
            write!(formatter, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

/// A text that is not an id in Kafka's spelling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is 22 characters of URL-safe base64, got {0:?}")]
pub struct InvalidUuid(String);

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidUuid(text.to_owned());
        let letters = text.strip_suffix("==").unwrap_or(text);
        if letters.len() != 22 {
            return Err(invalid());
        }
        let mut value: u128 = 0;
        for (index, letter) in letters.bytes().enumerate() {
            let six =
                BASE64_URL.iter().position(|&known| known == letter).ok_or_else(invalid)? as u128;
            if index == 21 {
                if six & 0x0f != 0 {
                    return Err(invalid());
                }
                value = (value << 2) | (six >> 4);
            } else {
                value = (value << 6) | six;
            }
        }
        Ok(Self(value.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_spelled_as_kafka_spells_it() {
        let uuid = Uuid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff]);
        assert_eq!(uuid.to_string(), "AAECAwQFBgcICQoLDA0O_w");
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        for wrong in
            ["", "AAECAwQFBgcICQoLDA0O_", "AAECAwQFBgcICQoLDA0O/w", "AAECAwQFBgcICQoLDA0O_x"]
        {
            assert!(wrong.parse::<Uuid>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn prop_ids_read_what_they_print(bytes in any::<[u8; 16]>()) {
            prop_assert_eq!(Uuid(bytes).to_string().parse::<Uuid>(), Ok(Uuid(bytes)));
        }
    }
}
