//! Entries that cannot be read, each counted once: they come again for as long as a poll looks back to them.

use std::collections::HashSet;

/// Entries that are told apart. Those beyond are counted each time.
const ODD_MAX: usize = 100_000;

/// Which there were when the log was last read to its end, and since.
#[derive(Debug, Default)]
pub(super) struct UnreadableRecords {
    before: HashSet<u64>,
    since: HashSet<u64>,
}

impl UnreadableRecords {
    /// How many of these are new.
    pub(super) fn meet(&mut self, entries: &[u64]) -> u64 {
        let mut new = 0;
        for entry in entries {
            let known = self.before.contains(entry) || self.since.contains(entry);
            if self.since.len() < ODD_MAX {
                self.since.insert(*entry);
            }
            new += u64::from(!known);
        }
        new
    }

    /// The log was read to its end: what did not come again is forgotten.
    pub(super) fn end(&mut self) {
        self.before = std::mem::take(&mut self.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_while_it_comes_again() {
        let mut odd = UnreadableRecords::default();
        assert_eq!(odd.meet(&[1, 2, 1]), 2);
        odd.end();
        for _ in 0..3 {
            assert_eq!(odd.meet(&[1]), 0);
            odd.end();
        }
        assert_eq!(odd.meet(&[1, 2]), 1, "2 was forgotten");
    }

    #[test]
    fn there_is_a_limit() {
        let mut odd = UnreadableRecords::default();
        let many: Vec<u64> = (0..ODD_MAX as u64 + 10).collect();
        assert_eq!(odd.meet(&many), many.len() as u64);
        odd.end();
        assert_eq!((odd.before.len(), odd.meet(&many)), (ODD_MAX, 10));
    }
}
