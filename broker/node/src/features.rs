//! TABLE of features (KIP-584): what this node can do beyond the versions of its APIs, and what a new cluster begins with.
//!
//! - What is finalized stands in the metadata log. A feature that the log does not know, because it is older than this
//!   program, is finalized at the next start; one that a user has switched off stays off.
//! - Clients read the finalized levels in `ApiVersions`: producers take KIP-890's protocol from `transaction.version` 2 on.

use std::collections::BTreeMap;
use std::sync::Arc;

/// One feature.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feature {
    /// Its name.
    pub(crate) name: &'static str,
    /// The lowest level that works here.
    pub(crate) min: i16,
    /// The highest level that works here.
    pub(crate) max: i16,
    /// The level of a new cluster.
    pub(crate) initial: i16,
}

/// Every feature of this node.
pub(crate) const TABLE: &[Feature] = &[
    // Consumer groups of KIP-848. They cannot be switched off here.
    Feature { name: "group.version", min: 1, max: 1, initial: 1 },
    Feature { name: "metadata.version", min: 25, max: 25, initial: 25 },
    // At 2 producers speak KIP-890; below, both ways of speaking are served as well.
    Feature { name: "transaction.version", min: 0, max: 2, initial: 2 },
];

/// The row of a feature.
pub(crate) fn feature(name: &str) -> Option<&'static Feature> {
    TABLE.iter().find(|feature| feature.name == name)
}

/// The features that the metadata log does not know, with the levels they begin with.
pub(crate) fn missing(finalized: &BTreeMap<Arc<str>, i16>) -> Vec<(Arc<str>, i16)> {
    let missing = TABLE.iter().filter(|feature| !finalized.contains_key(feature.name));
    missing.map(|feature| (Arc::from(feature.name), feature.initial)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_in_order_and_an_old_log_gets_what_it_lacks() {
        assert!(TABLE.iter().all(|row| row.min <= row.initial && row.initial <= row.max));
        assert_eq!(missing(&BTreeMap::new()).len(), TABLE.len());
        let off = TABLE.iter().map(|row| (Arc::from(row.name), 0)).collect();
        assert_eq!(missing(&off), []);
    }
}
