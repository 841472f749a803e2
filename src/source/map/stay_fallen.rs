//! Recognizes a restart of a server that does not report its start: its counters fall and stay lower.
//!
//! A fall alone is not a restart. Where several processes respond in turn, values come back; and a difference falls although its counters
//! rise. So both must fall and stay lower: a counter that is summed up plainly or subtracted, and one of a held sum.

use foldhash::fast::RandomState;
use std::collections::HashMap;

/// The number of polls after the last fall in which the counters must stay lower.
const POLLS: u32 = 3;
/// The largest number: it doubles each time a fall comes back.
const POLLS_MAX: u32 = 48;

/// The counters that fell and have not come back.
#[derive(Clone, Debug)]
pub(super) struct FallenCounters {
    /// The value of each series before it fell, and whether it belongs to a held sum.
    series: HashMap<u64, (f64, bool), RandomState>,
    /// A series fell in the current poll.
    has_new: bool,
    /// The number of polls since a series fell.
    polls: u32,
    polls_needed: u32,
}

impl Default for FallenCounters {
    fn default() -> Self {
        Self { series: HashMap::default(), has_new: false, polls: 0, polls_needed: POLLS }
    }
}

impl FallenCounters {
    /// Stores a series that fell from this value.
    pub(super) fn add(&mut self, series: u64, before: f64, is_held: bool) {
        self.series.entry(series).or_insert((before, is_held));
        self.has_new = true;
    }

    /// Removes a series whose value has come back.
    pub(super) fn read(&mut self, series: u64, value: f64) {
        if self.series.get(&series).is_some_and(|(before, _)| value >= *before) {
            self.series.remove(&series);
        }
    }

    /// Ends a poll. Returns `true` if the counters have stayed lower for long enough.
    pub(super) fn finish(&mut self) -> bool {
        let had_fallen = self.polls > 0;
        self.polls += 1;
        if std::mem::take(&mut self.has_new) {
            self.polls = 1;
        } else if self.series.is_empty() {
            self.polls = 0;
            self.polls_needed = if had_fallen { (2 * self.polls_needed).min(POLLS_MAX) } else { self.polls_needed };
        }
        let has = |is_held: bool| self.series.values().any(|(_, other)| *other == is_held);
        let is_confirmed = self.polls > self.polls_needed && has(true) && has(false);
        if is_confirmed {
            self.clear();
        }
        is_confirmed
    }

    /// Forgets all falls, because the server has restarted.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The polls that confirm a restart. Each has the values of a plain counter and of a held one.
    fn confirmed(polls: &[(f64, f64)]) -> Vec<usize> {
        let (mut fallen, mut last) = (FallenCounters::default(), (0.0, 0.0));
        let mut confirmed = Vec::new();
        for (index, now) in polls.iter().enumerate() {
            for (series, before, value) in [(1, last.0, now.0), (2, last.1, now.1)] {
                fallen.read(series, value);
                if value < before {
                    fallen.add(series, before, series == 2);
                }
            }
            last = *now;
            if fallen.finish() {
                confirmed.push(index);
            }
        }
        confirmed
    }

    #[test]
    fn counters_that_stay_lower_have_restarted() {
        assert_eq!(confirmed(&[(9.0, 90.0), (1.0, 3.0), (1.0, 30.0), (2.0, 60.0), (3.0, 70.0), (3.0, 70.0)]), [4]);
        // The last fall counts.
        assert_eq!(confirmed(&[(9.0, 90.0), (1.0, 3.0), (1.0, 3.0), (0.0, 1.0), (1.0, 2.0), (1.0, 2.0), (1.0, 2.0)]), [6]);
        // Only one of the two.
        assert_eq!(confirmed(&[(9.0, 90.0), (9.0, 3.0), (9.0, 3.0), (9.0, 3.0), (9.0, 3.0), (9.0, 3.0)]), [0; 0]);
        assert_eq!(confirmed(&[(9.0, 90.0), (1.0, 90.0), (1.0, 91.0), (1.0, 92.0), (1.0, 93.0), (1.0, 94.0)]), [0; 0]);
        // The fall comes back.
        assert_eq!(confirmed(&[(9.0, 90.0), (1.0, 3.0), (1.0, 3.0), (9.0, 90.0), (9.0, 90.0), (9.0, 90.0), (9.0, 90.0)]), [0; 0]);
    }

    #[test]
    fn falls_that_come_back_are_waited_for_longer() {
        let (high, low) = ((9.0, 90.0), (1.0, 3.0));
        let mut polls = vec![high, low, high];
        polls.extend([low; 20]);
        // Six polls after the second fall.
        assert_eq!(confirmed(&polls), [9]);
        let alternating: Vec<_> = (0..200).map(|n| if n % 7 < 4 { high } else { low }).collect();
        assert_eq!(confirmed(&alternating), [0; 0]);
    }
}
