//! The declaration of a message: one list of fields from which reading, writing, size and the test generator come.
//!
//! ```
//! use std::borrow::Cow;
//!
//! aquifer_broker_protocol::message! {
//!     /// Asks for something.
//!     pub struct ThingRequest<'a> [0..=3, flexible 2..] {
//!         /// Its name.
//!         name: Cow<'a, str> [0..],
//!         /// How often, or -1. Since v1.
//!         count: i32 [1.., ignorable] = -1,
//!         /// Parts; null from v1 on means all.
//!         parts: Option<Vec<ThingPart>> [0.., nullable 1..],
//!         /// A hint. Since v3.
//!         hint: i64 [3.., tag 0] = 0,
//!     }
//!
//!     /// A part of the thing.
//!     pub struct ThingPart {
//!         /// Its number.
//!         index: i32 [0..],
//!     }
//! }
//!
//! use aquifer_broker_protocol::message::Message;
//! let request = ThingRequest { name: Cow::Borrowed("x"), hint: 7, ..ThingRequest::default() };
//! let bytes = ThingRequest { parts: Some(Vec::new()), ..request }.to_bytes(3).unwrap();
//! assert_eq!(ThingRequest::read(&bytes, 3).unwrap().hint, 7);
//! ```
//!
//! - The brackets after a structure's name, its versions, make it a [`Message`](super::Message); a structure without
//!   them is a part of one, and is read in the version of the message around it.
//! - The brackets after a field: the versions that have it, then `nullable RANGE` (its type must be an `Option`),
//!   `tag N` (a tagged field; declare them in rising order) and `ignorable` (may be dropped where the version has no
//!   place for it; otherwise writing a value other than the default is an error).
//! - A structure that may be null is `Option<Box<T>>`.
//! - Records of internal topics are declared the same way, and read with `read_versioned`.

/// Declares messages and their parts. See the module's text.
#[macro_export]
macro_rules! message {
    () => {};
    (
        $(#[$meta:meta])*
        pub struct $name:ident < $lifetime:lifetime > $([ $versions:expr $(, flexible $flexible:expr)? ])? { $($body:tt)* }
        $($rest:tt)*
    ) => {
        $crate::declare_struct! { { $(#[$meta])* } $name [<$lifetime>] [$lifetime] { $($body)* } }
        $crate::declare_message! { $name [<$lifetime>] [$lifetime] [$($versions $(, $flexible)?)?] }
        $crate::message! { $($rest)* }
    };
    (
        $(#[$meta:meta])*
        pub struct $name:ident $([ $versions:expr $(, flexible $flexible:expr)? ])? { $($body:tt)* }
        $($rest:tt)*
    ) => {
        $crate::declare_struct! { { $(#[$meta])* } $name [] ['wire] { $($body)* } }
        $crate::declare_message! { $name [] ['wire] [$($versions $(, $flexible)?)?] }
        $crate::message! { $($rest)* }
    };
}

/// The implementation of `Message` for a structure that has versions of its own.
#[doc(hidden)]
#[macro_export]
macro_rules! declare_message {
    ($name:ident [$($generics:tt)*] [$lifetime:lifetime] []) => {};
    ($name:ident [$($generics:tt)*] [$lifetime:lifetime] [$versions:expr]) => {
        $crate::declare_message! { $name [$($generics)*] [$lifetime] [$versions, ::core::primitive::i16::MAX..] }
    };
    ($name:ident [$($generics:tt)*] [$lifetime:lifetime] [$versions:expr, $flexible:expr]) => {
        #[allow(clippy::extra_unused_lifetimes)]
        impl<$lifetime> $crate::message::Message for $name $($generics)* {
            const NAME: &'static str = stringify!($name);
            const VERSIONS: ::core::ops::RangeInclusive<i16> = $versions;
            const FIRST_FLEXIBLE: i16 = ($flexible).start;
        }
    };
}

/// The structure, its default, and how it is read and written.
#[doc(hidden)]
#[macro_export]
macro_rules! declare_struct {
    (
        { $(#[$meta:meta])* } $name:ident [$($generics:tt)*] [$lifetime:lifetime]
        {
            $(
                $(#[$field_meta:meta])*
                $field:ident : $type:ty
                [ $range:expr $(, $attribute:ident $($argument:expr)? )* ]
                $(= $default:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[allow(unreachable_pub)]
        pub struct $name $($generics)* {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        #[allow(clippy::extra_unused_lifetimes)]
        impl<$lifetime> ::core::default::Default for $name $($generics)* {
            fn default() -> Self {
                Self { $( $field: $crate::declared_default!($type; $($default)?), )* }
            }
        }

        #[allow(unused_mut, unused_variables, unused_assignments, clippy::extra_unused_lifetimes)]
        impl<$lifetime> $crate::message::Decode<$lifetime> for $name $($generics)* {
            fn decode(
                reader: &mut $crate::primitive::Reader<$lifetime>,
                _field: &'static str,
            ) -> ::core::result::Result<Self, $crate::ProtocolError> {
                let version = reader.version();
                let mut value = Self::default();
                $(
                    $crate::if_tagged! { [$($attribute)*] {} {
                        if ($range).contains(&version) {
                            let nullable = $crate::declared_nullable!(version; $($attribute $($argument)?,)*);
                            value.$field = $crate::message::decode_field(reader, stringify!($field), nullable)?;
                        }
                    } }
                )*
                if reader.flexible() {
                    for _ in 0..reader.read_tagged_field_count()? {
                        let (tag, content) = reader.read_tagged_field()?;
                        let mut nested = reader.nested(content);
                        let mut known: Option<&'static str> = None;
                        $(
                            $crate::if_tagged! { [$($attribute)*] {
                                if tag == $crate::declared_tag!($($attribute $($argument)?,)*)
                                    && ($range).contains(&version)
                                {
                                    let nullable = $crate::declared_nullable!(version; $($attribute $($argument)?,)*);
                                    value.$field =
                                        $crate::message::decode_field(&mut nested, stringify!($field), nullable)?;
                                    known = Some(stringify!($field));
                                }
                            } {} }
                        )*
                        match known {
                            Some(field) => reader.finish_nested(field, &nested, content.len())?,
                            None => reader.count_unknown_tagged_field(),
                        }
                    }
                }
                Ok(value)
            }

            fn min_bytes(version: i16, flexible: bool) -> usize {
                let mut bytes = usize::from(flexible);
                $(
                    $crate::if_tagged! { [$($attribute)*] {} {
                        if ($range).contains(&version) {
                            bytes += <$type as $crate::message::Decode<$lifetime>>::min_bytes(version, flexible);
                        }
                    } }
                )*
                bytes
            }
        }

        #[allow(unused_mut, unused_variables, clippy::extra_unused_lifetimes)]
        impl<$lifetime> $crate::message::Encode for $name $($generics)* {
            fn encode(
                &self,
                encoder: &mut $crate::encoder::Encoder,
                _field: &'static str,
            ) -> ::core::result::Result<(), $crate::ProtocolError> {
                let version = encoder.version();
                let mut tagged_fields = 0_u32;
                $(
                    if ($range).contains(&version) {
                        let nullable = $crate::declared_nullable!(version; $($attribute $($argument)?,)*);
                        $crate::message::check_null(&self.$field, stringify!($field), version, nullable)?;
                        $crate::if_tagged! { [$($attribute)*] {
                            let default: $type = $crate::declared_default!($type; $($default)?);
                            tagged_fields += u32::from(self.$field != default);
                        } {
                            $crate::message::Encode::encode(&self.$field, encoder, stringify!($field))?;
                        } }
                    } else {
                        $crate::if_ignorable! { [$($attribute)*] {} {
                            let default: $type = $crate::declared_default!($type; $($default)?);
                            if self.$field != default {
                                return Err($crate::ProtocolError::FieldNotInVersion {
                                    field: stringify!($field),
                                    version,
                                });
                            }
                        } }
                    }
                )*
                if encoder.flexible() {
                    encoder.put_unsigned_varint(tagged_fields);
                    $(
                        $crate::if_tagged! { [$($attribute)*] {
                            let default: $type = $crate::declared_default!($type; $($default)?);
                            if ($range).contains(&version) && self.$field != default {
                                let tag = $crate::declared_tag!($($attribute $($argument)?,)*);
                                encoder.put_tagged_field(tag, stringify!($field), &self.$field)?;
                            }
                        } {} }
                    )*
                }
                Ok(())
            }
        }

        #[cfg(test)]
        #[allow(unused_mut, unused_variables, clippy::extra_unused_lifetimes)]
        impl<$lifetime> $crate::arbitrary::Generate for $name $($generics)* {
            fn generate(source: &mut $crate::arbitrary::Source) -> Self {
                let version = source.version();
                let mut value = Self::default();
                $(
                    if ($range).contains(&version) {
                        let nullable = $crate::declared_nullable!(version; $($attribute $($argument)?,)*);
                        value.$field = $crate::arbitrary::generate_field(source, nullable);
                    }
                )*
                value
            }
        }
    };
}

/// The first block for a tagged field, else the second.
#[doc(hidden)]
#[macro_export]
macro_rules! if_tagged {
    ([] { $($yes:tt)* } { $($no:tt)* }) => { $($no)* };
    ([tag $($rest:ident)*] { $($yes:tt)* } { $($no:tt)* }) => { $($yes)* };
    ([$other:ident $($rest:ident)*] { $($yes:tt)* } { $($no:tt)* }) => {
        $crate::if_tagged! { [$($rest)*] { $($yes)* } { $($no)* } }
    };
}

/// The first block for a field that may be dropped, else the second.
#[doc(hidden)]
#[macro_export]
macro_rules! if_ignorable {
    ([] { $($yes:tt)* } { $($no:tt)* }) => { $($no)* };
    ([ignorable $($rest:ident)*] { $($yes:tt)* } { $($no:tt)* }) => { $($yes)* };
    ([$other:ident $($rest:ident)*] { $($yes:tt)* } { $($no:tt)* }) => {
        $crate::if_ignorable! { [$($rest)*] { $($yes)* } { $($no)* } }
    };
}

/// The number of a tagged field.
#[doc(hidden)]
#[macro_export]
macro_rules! declared_tag {
    (tag $tag:expr, $($rest:tt)*) => { $tag };
    ($other:ident $($argument:expr)?, $($rest:tt)*) => { $crate::declared_tag!($($rest)*) };
}

/// Whether a version allows a null.
#[doc(hidden)]
#[macro_export]
macro_rules! declared_nullable {
    ($version:ident;) => { false };
    ($version:ident; nullable $range:expr, $($rest:tt)*) => { ($range).contains(&$version) };
    ($version:ident; $other:ident $($argument:expr)?, $($rest:tt)*) => {
        $crate::declared_nullable!($version; $($rest)*)
    };
}

/// The default of a field: what was declared, or its type's.
#[doc(hidden)]
#[macro_export]
macro_rules! declared_default {
    ($type:ty;) => {
        <$type as ::core::default::Default>::default()
    };
    ($type:ty; $default:expr) => {
        $default
    };
}
