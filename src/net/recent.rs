//! The newest of many keys: the oldest is removed beyond a limit.

use foldhash::fast::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// The newest keys, each with a value. Keys must not be chosen by strangers, because their hash is fast.
#[derive(Debug)]
pub(crate) struct Recent<K, V = ()> {
    max: usize,
    values: HashMap<K, V, RandomState>,
    by_age: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// A set of at most `max` keys, without any.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, values: HashMap::default(), by_age: VecDeque::new() }
    }

    /// Returns the value of a key.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    /// Adds a key, unless it is present. The oldest one is removed beyond the limit.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.values.contains_key(&key) {
            return;
        }
        self.values.insert(key, value);
        self.by_age.push_back(key);
        if self.by_age.len() > self.max
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.values.remove(&oldest);
        }
    }
}

impl<K: Copy + Eq + Hash> Recent<K> {
    /// Returns true if the key is present.
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Adds a key that has no value.
    pub(crate) fn add(&mut self, key: K) {
        self.insert(key, ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_keys_are_kept() {
        let mut recent = Recent::new(1000);
        for key in 0..1010 {
            recent.add(key);
            recent.add(key);
        }
        assert!(!recent.contains(&9) && recent.contains(&10) && recent.contains(&1009) && !recent.contains(&1010));
        assert_eq!((recent.values.len(), recent.by_age.len()), (1000, 1000));
    }

    #[test]
    fn a_known_key_keeps_its_value_and_its_age() {
        let mut recent = Recent::new(2);
        for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            recent.insert(key, value);
        }
        assert_eq!(["a", "b", "c"].map(|key| recent.get(&key).copied()), [None, Some(2), Some(4)]);
    }
}
