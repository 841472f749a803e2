//! The newest records of a target, by which repeated ones are recognized.

use super::RECENT_UIDS_MAX;
use std::collections::{HashSet, VecDeque};

/// The short identities of the newest records, oldest first.
#[derive(Debug, Default)]
pub(super) struct RecentUids {
    known: HashSet<u64, foldhash::fast::RandomState>,
    by_age: VecDeque<u64>,
}

impl RecentUids {
    pub(super) fn contains(&self, uid: u64) -> bool {
        self.known.contains(&uid)
    }

    /// Adds a record. The oldest one is forgotten beyond [`RECENT_UIDS_MAX`].
    pub(super) fn insert(&mut self, uid: u64) {
        if !self.known.insert(uid) {
            return;
        }
        self.by_age.push_back(uid);
        if self.by_age.len() > RECENT_UIDS_MAX
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
        let mut recent = RecentUids::default();
        let last = RECENT_UIDS_MAX as u64 + 10;
        for uid in 0..last {
            recent.insert(uid);
            recent.insert(uid);
        }
        assert!(!recent.contains(9) && recent.contains(10) && recent.contains(last - 1) && !recent.contains(last));
        assert_eq!((recent.known.len(), recent.by_age.len()), (RECENT_UIDS_MAX, RECENT_UIDS_MAX));
    }
}
