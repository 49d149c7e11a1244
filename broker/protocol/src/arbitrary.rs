//! Values for tests, made from a seed: what the declarations' generators draw from.
//!
//! The same seed gives the same message. Nothing outside tests uses it.

use std::borrow::Cow;

use crate::message::Records;
use crate::primitive::Uuid;

/// A stream of numbers from a seed, and the version that a message is made for.
#[derive(Debug, Clone)]
pub struct Source {
    state: u64,
    version: i16,
}

impl Source {
    /// A source for one message of a version.
    #[must_use]
    pub fn new(seed: u64, version: i16) -> Self {
        Self { state: seed, version }
    }

    /// The version that the message is made for.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// The next number (splitmix64).
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }

    fn bytes(&mut self, length_max: u64) -> Vec<u8> {
        (0..self.below(length_max + 1)).map(|_| self.next_u64().to_be_bytes()[7]).collect()
    }
}

/// Something that can be made from a source.
pub trait Generate {
    /// Makes one. An `Option` is never null here.
    fn generate(source: &mut Source) -> Self;

    /// Makes one for a field that may be null.
    fn generate_nullable(source: &mut Source) -> Self
    where
        Self: Sized,
    {
        Self::generate(source)
    }
}

/// Makes the value of a field.
pub fn generate_field<T: Generate>(source: &mut Source, nullable: bool) -> T {
    if nullable { T::generate_nullable(source) } else { T::generate(source) }
}

macro_rules! numbers {
    ($( $type:ty, $bytes:literal; )*) => {
        $(
            impl Generate for $type {
                fn generate(source: &mut Source) -> Self {
                    let bytes = source.next_u64().to_be_bytes();
                    let edge = source.below(8);
                    match edge {
                        0 => Self::MAX,
                        1 => Self::MIN,
                        2 => Self::from_be_bytes([0xff; $bytes]),
                        _ => Self::from_be_bytes(bytes.first_chunk().copied().unwrap_or_default()),
                    }
                }
            }
        )*
    };
}

numbers! { i8, 1; u8, 1; i16, 2; u16, 2; i32, 4; u32, 4; i64, 8; }

impl Generate for f64 {
    fn generate(source: &mut Source) -> Self {
        // Any finite number: not-a-number is not equal to itself.
        f64::from(i32::generate(source)) / 8.0
    }
}

impl Generate for bool {
    fn generate(source: &mut Source) -> Self {
        source.below(2) == 1
    }
}

impl Generate for Uuid {
    fn generate(source: &mut Source) -> Self {
        let high = u128::from(source.next_u64());
        Self((high << 64 | u128::from(source.next_u64())).to_be_bytes())
    }
}

impl Generate for Cow<'_, str> {
    fn generate(source: &mut Source) -> Self {
        const LETTERS: [char; 8] = ['a', 'Z', '0', '-', '.', 'ß', '水', '🦀'];
        let length = if source.below(16) == 0 { 300 } else { source.below(6) };
        let letters = (0..length).map(|_| {
            let index = usize::try_from(source.below(8)).unwrap_or(0);
            LETTERS.get(index).copied().unwrap_or('a')
        });
        Cow::Owned(letters.collect())
    }
}

impl Generate for Cow<'_, [u8]> {
    fn generate(source: &mut Source) -> Self {
        Cow::Owned(source.bytes(8))
    }
}

impl Generate for &[u8] {
    fn generate(source: &mut Source) -> Self {
        // A test's memory ends with the test.
        Box::leak(source.bytes(40).into_boxed_slice())
    }
}

impl Generate for Records<'_> {
    fn generate(source: &mut Source) -> Self {
        let length_max = if source.below(4) == 0 { 2000 } else { 40 };
        Records::Shared(source.bytes(length_max).into())
    }
}

impl<T: Generate> Generate for Box<T> {
    fn generate(source: &mut Source) -> Self {
        Box::new(T::generate(source))
    }
}

impl<T: Generate> Generate for Vec<T> {
    fn generate(source: &mut Source) -> Self {
        (0..source.below(4)).map(|_| T::generate(source)).collect()
    }
}

impl<T: Generate> Generate for Option<T> {
    fn generate(source: &mut Source) -> Self {
        Some(T::generate(source))
    }

    fn generate_nullable(source: &mut Source) -> Self {
        (source.below(3) != 0).then(|| T::generate(source))
    }
}
