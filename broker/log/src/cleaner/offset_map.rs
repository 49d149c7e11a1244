//! The last offset of each key in the part of a log that is being compacted, in bounded memory.
//!
//! - A key is its 128-bit hash under secrets drawn at the start: two keys never meet, not even if somebody tries.
//! - The room is taken once, and what does not fit is left to the next round.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::CleanerLimits;

/// Bytes of one slot: the hash and the offset.
const SLOT_BYTES: usize = 24;
/// Slots that there are beyond the keys.
const SLOTS_MIN: usize = 16;
/// The offset of a slot that holds nothing.
const FREE: i64 = -1;

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: [u64; 2],
    offset: i64,
}

/// Key to last offset. Open addressing: a key lies in the first free slot from where its hash points.
#[derive(Debug)]
pub(super) struct OffsetMap {
    secrets: [RandomState; 2],
    slots: Vec<Slot>,
    used: usize,
    used_max: usize,
}

/// How many keys fit into the memory that the limits allow.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub(super) fn keys_max(limits: &CleanerLimits) -> usize {
    let slots = limits.dedupe_buffer_bytes / SLOT_BYTES;
    ((slots as f64 * load_factor(limits)) as usize).max(1)
}

/// A full table would make every look-up a walk over all of it.
fn load_factor(limits: &CleanerLimits) -> f64 {
    limits.load_factor.clamp(0.01, 0.95)
}

impl OffsetMap {
    /// A map for so many keys.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub(super) fn new(keys: usize, limits: &CleanerLimits) -> Self {
        let keys = keys.max(1);
        let count = ((keys as f64 / load_factor(limits)) as usize).max(keys) + SLOTS_MIN;
        Self {
            secrets: [RandomState::new(), RandomState::new()],
            slots: vec![Slot { hash: [0; 2], offset: FREE }; count],
            used: 0,
            used_max: keys,
        }
    }

    /// Where a key's slot is, or where it would be.
    fn position(&self, key: &[u8]) -> (usize, [u64; 2]) {
        let hash = self.secrets.each_ref().map(|secret| {
            let mut hasher = secret.build_hasher();
            hasher.write(key);
            hasher.finish()
        });
        let count = self.slots.len();
        // The remainder is smaller than a length, so that it fits.
        let mut at = usize::try_from(hash[0] % count as u64).unwrap_or(0);
        while self.slots[at].offset != FREE && self.slots[at].hash != hash {
            at = (at + 1) % count;
        }
        (at, hash)
    }

    /// Notes that the key was written at `offset`; false when a new key finds no room.
    pub(super) fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let (at, hash) = self.position(key);
        if self.slots[at].offset == FREE {
            if self.used >= self.used_max {
                return false;
            }
            self.used += 1;
        }
        self.slots[at] = Slot { hash, offset };
        true
    }

    /// The last offset of the key, if it was noted.
    pub(super) fn get(&self, key: &[u8]) -> Option<i64> {
        let offset = self.slots[self.position(key).0].offset;
        (offset != FREE).then_some(offset)
    }

    /// How many keys it holds.
    pub(super) fn len(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_each_key_is_known_and_new_keys_are_refused_when_full() {
        let limits = CleanerLimits { dedupe_buffer_bytes: 2400, load_factor: 0.9 };
        assert_eq!(keys_max(&limits), 90);
        let mut map = OffsetMap::new(keys_max(&limits), &limits);
        assert_eq!(map.get(b"0"), None);
        for number in 0..90_i64 {
            assert!(map.put(number.to_string().as_bytes(), number), "{number}");
        }
        assert!(!map.put(b"more", 90));
        for number in 0..90_i64 {
            let key = number.to_string();
            assert!(map.put(key.as_bytes(), number + 100), "a known key needs no room");
            assert_eq!(map.get(key.as_bytes()), Some(number + 100));
        }
        assert_eq!((map.get(b"more"), map.len()), (None, 90));
    }

    #[test]
    fn a_map_is_no_larger_than_its_keys_need() {
        assert!(OffsetMap::new(3, &CleanerLimits::default()).slots.len() < 64);
        assert!(OffsetMap::new(0, &CleanerLimits::default()).put(b"k", 0));
    }
}
