//! Counted quantities with a limit, in total and for each key.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;

/// A quantity that is taken and given back. There are never more keys than units that were taken.
#[derive(Debug)]
pub(crate) struct Quota<K> {
    max: usize,
    /// The limit of each key. `None`: a key can take all.
    key_max: Option<usize>,
    used: Mutex<Used<K>>,
}

#[derive(Debug)]
struct Used<K> {
    total: usize,
    by_key: HashMap<K, usize>,
}

impl<K: Clone + Eq + Hash> Quota<K> {
    pub(crate) fn new(max: usize, key_max: Option<usize>) -> Self {
        Self { max, key_max, used: Mutex::new(Used { total: 0, by_key: HashMap::new() }) }
    }

    /// Takes `n`, or nothing.
    ///
    /// # Errors
    /// Returns the key because of which there is not enough: this one if its own limit is reached, otherwise the one that uses the most.
    pub(crate) fn take(&self, key: &K, n: usize) -> Result<(), K> {
        let mut used = self.used.lock();
        let of_key = used.by_key.get(key).map_or(n, |of_key| of_key + n);
        if self.key_max.is_some_and(|key_max| of_key > key_max) {
            return Err(key.clone());
        }
        if used.total + n > self.max {
            let most = used.by_key.iter().max_by_key(|(_, of_key)| **of_key);
            return Err(most.map_or(key, |(most, _)| most).clone());
        }
        used.total += n;
        used.by_key.insert(key.clone(), of_key);
        Ok(())
    }

    /// Gives back `n` that this key has taken.
    pub(crate) fn give_back(&self, key: &K, n: usize) {
        let mut used = self.used.lock();
        used.total = used.total.saturating_sub(n);
        match used.by_key.get_mut(key) {
            Some(of_key) if *of_key > n => *of_key -= n,
            _ => drop(used.by_key.remove(key)),
        }
    }

    /// The total in use.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.lock().total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_a_refusal_is_the_key_at_its_limit_or_the_one_with_the_most() {
        let quota = Quota::new(4, Some(3));
        assert_eq!([("a", 1), ("b", 2), ("b", 1)].map(|(key, n)| quota.take(&key, n)), [Ok(()); 3]);
        assert_eq!(["a", "b", "c"].map(|key| quota.take(&key, 1)), [Err("b"); 3]);
        let quota = Quota::new(4, Some(1));
        assert_eq!(["a", "b", "a", "b"].map(|key| quota.take(&key, 1)), [Ok(()), Ok(()), Err("a"), Err("b")]);
        assert_eq!(Quota::new(1, None).take(&"a", 2), Err("a"));
    }

    #[test]
    fn a_key_takes_at_most_its_own_limit_and_nothing_is_kept_of_one_that_has_given_all_back() {
        let quota = Quota::new(3, Some(2));
        assert_eq!([("a", 2), ("a", 1), ("b", 1), ("c", 1)].map(|(key, n)| quota.take(&key, n).is_ok()), [true, false, true, false]);
        quota.give_back(&"a", 1);
        assert_eq!((quota.take(&"a", 1), quota.used()), (Ok(()), 3));
        quota.give_back(&"a", 2);
        quota.give_back(&"b", 1);
        assert_eq!((quota.used(), quota.used.lock().by_key.len()), (0, 0));
    }
}
