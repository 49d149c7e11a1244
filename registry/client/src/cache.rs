//! A map bounded by count, for answers that never change.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;

/// Forgets everything when it is full: simpler than ages, and a task meets far fewer schemas than the bound.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    entries: Mutex<HashMap<K, V>>,
    entries_max: usize,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries: Mutex::new(HashMap::new()), entries_max }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.entries.lock().get(key).cloned()
    }

    pub(crate) fn put(&self, key: K, value: V) {
        let mut entries = self.entries.lock();
        if entries.len() >= self.entries_max {
            entries.clear();
        }
        entries.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_starts_over() {
        let cache = Cache::new(2);
        for key in 0..3 {
            cache.put(key, key * 10);
        }
        assert_eq!([cache.get(&0), cache.get(&1), cache.get(&2)], [None, None, Some(20)]);
    }
}
