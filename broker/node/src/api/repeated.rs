//! What a request names more than once: Kafka answers it once, with a refusal.

use std::collections::BTreeSet;

/// Leaves the first of each key, and tells the keys that came more than once; what has no key stays as often as it comes.
pub(super) fn leave_firsts<T, K: Ord + Clone>(
    items: &mut Vec<T>,
    key: impl Fn(&T) -> Option<K>,
) -> BTreeSet<K> {
    let (mut seen, mut repeated) = (BTreeSet::new(), BTreeSet::new());
    items.retain(|item| match key(item) {
        Some(key) if seen.contains(&key) => {
            repeated.insert(key);
            false
        }
        Some(key) => seen.insert(key),
        None => true,
    });
    repeated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_stays_in_its_place() {
        let mut items = vec!["b", "a", "", "b", "c", "", "b"];
        let repeated = leave_firsts(&mut items, |item| (!item.is_empty()).then_some(*item));
        assert_eq!(items, ["b", "a", "", "c", ""]);
        assert_eq!(repeated, BTreeSet::from(["b"]));
    }
}
