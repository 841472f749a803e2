//! The newest records of a target, by which repeated ones are recognized.

use std::collections::{HashSet, VecDeque};

/// The short identities of the newest records, oldest first.
#[derive(Debug)]
pub(super) struct RecentUids {
    max: usize,
    known: HashSet<u64, foldhash::fast::RandomState>,
    by_age: VecDeque<u64>,
}

impl RecentUids {
    /// An empty set of at most `max` records.
    pub(super) fn new(max: usize) -> Self {
        Self { max, known: HashSet::default(), by_age: VecDeque::new() }
    }

    pub(super) fn contains(&self, uid: u64) -> bool {
        self.known.contains(&uid)
    }

    /// Adds a record. The oldest one is removed beyond the limit.
    pub(super) fn insert(&mut self, uid: u64) {
        if !self.known.insert(uid) {
            return;
        }
        self.by_age.push_back(uid);
        if self.by_age.len() > self.max
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_records_are_known() {
        let mut recent = RecentUids::new(1000);
        let last = 1010;
        for uid in 0..last {
            recent.insert(uid);
            recent.insert(uid);
        }
        assert!(!recent.contains(9) && recent.contains(10) && recent.contains(last - 1) && !recent.contains(last));
        assert_eq!((recent.known.len(), recent.by_age.len()), (1000, 1000));
    }
}
