//! Unreadable records of a log. Each is counted once, although every poll reads it again while it is within the overlap.

use std::collections::HashSet;

/// The number of unreadable records that are tracked. Further ones are counted each time.
const TRACKED_MAX: usize = 100_000;

/// Hashes of unreadable records: those found before the last complete reading, and those found since.
#[derive(Debug, Default)]
pub(super) struct UnreadableRecords {
    before: HashSet<u64>,
    since: HashSet<u64>,
}

impl UnreadableRecords {
    /// Tracks these records. Returns the number of new ones.
    pub(super) fn count_new(&mut self, entries: &[u64]) -> u64 {
        let mut new = 0;
        for entry in entries {
            let known = self.before.contains(entry) || self.since.contains(entry);
            if self.since.len() < TRACKED_MAX {
                self.since.insert(*entry);
            }
            new += u64::from(!known);
        }
        new
    }

    /// Ends a complete reading of the log. Records that were not found again are removed.
    pub(super) fn finish_reading(&mut self) {
        self.before = std::mem::take(&mut self.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_counted_once_while_it_is_found_again() {
        let mut records = UnreadableRecords::default();
        assert_eq!(records.count_new(&[1, 2, 1]), 2);
        records.finish_reading();
        for _ in 0..3 {
            assert_eq!(records.count_new(&[1]), 0);
            records.finish_reading();
        }
        assert_eq!(records.count_new(&[1, 2]), 1, "2 was removed");
    }

    #[test]
    fn the_number_of_tracked_records_is_limited() {
        let mut records = UnreadableRecords::default();
        let many: Vec<u64> = (0..TRACKED_MAX as u64 + 10).collect();
        assert_eq!(records.count_new(&many), many.len() as u64);
        records.finish_reading();
        assert_eq!((records.before.len(), records.count_new(&many)), (TRACKED_MAX, 10));
    }
}
