//! What is remembered of a target from one good reading to the next, and the sums that need it.

use super::windows::WindowSums;
use crate::model::{Point, Repair, Repairs};
use std::collections::HashMap;
use std::time::SystemTime;

/// Series that are remembered of a counter although a reading lacks them: only where something of it was unreadable, and
/// they may be what that was.
const ABSENT_SERIES_MAX: usize = 1_000_000;

/// What is remembered of a target from one good reading to the next.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// For `Step::OneMinusShareOf`: the last two counters.
    shares: HashMap<&'static str, (f64, f64)>,
    /// For `Step::Accumulate`.
    accumulated: HashMap<&'static str, Accumulated>,
    /// For `Step::Hold`: the largest sum so far, by the identity of its point.
    held: HashMap<u64, f64>,
    /// Of which life of the server's counters that is.
    held_since: Option<SystemTime>,
    /// For windowed sources: the sums of each window.
    pub(super) windows: WindowSums,
}

#[derive(Clone, Debug, Default)]
struct Accumulated {
    /// The sum of all rises; none before the first series.
    total: Option<f64>,
    /// The last value of each series, by its identity.
    last: HashMap<u64, f64>,
}

impl Memory {
    /// The share of `part` in the rise of `whole` since the last reading.
    pub(super) fn share(&mut self, family: &'static str, part: f64, whole: f64) -> Option<f64> {
        let (part_before, whole_before) = self.shares.insert(family, (part, whole))?;
        let (part, whole) = (part - part_before, whole - whole_before);
        // Both restart when the host does; the first reading after that has no rise.
        (whole > 0.0 && (0.0..=whole).contains(&part)).then_some(part / whole)
    }

    /// The sum of all rises of a family, with those of this reading; none before its first series.
    ///
    /// Where something of the reading was `lost`, a series that it lacks goes on from where it was: as a new one its whole value
    /// would be added once more.
    pub(super) fn accumulate(&mut self, family: &'static str, found: &[(u64, Result<f64, Repair>)], lost: bool) -> Option<f64> {
        let Accumulated { total, last } = self.accumulated.entry(family).or_default();
        let mut now = HashMap::with_capacity(found.len());
        let mut absent = last.len();
        for (series, value) in found {
            let before = last.get(series).copied();
            absent -= usize::from(before.is_some());
            let value = match (value, before) {
                (Ok(value), Some(before)) if *value >= before => {
                    *total.get_or_insert(0.0) += value - before;
                    *value
                }
                // New, or pruned and begun again.
                (Ok(value), _) => {
                    *total.get_or_insert(0.0) += value;
                    *value
                }
                (Err(_), Some(before)) => before,
                (Err(_), None) => continue,
            };
            now.insert(*series, value);
        }
        if lost && absent <= ABSENT_SERIES_MAX {
            last.extend(now);
        } else {
            *last = now;
        }
        *total
    }

    /// Sums of this life of the counters, which began at `since`, do not fall.
    pub(super) fn hold<'p>(&mut self, since: Option<SystemTime>, points: impl Iterator<Item = &'p mut Point>, repairs: &mut Repairs) {
        if self.held_since != since {
            self.held.clear();
            self.held_since = since;
        }
        for point in points {
            let held = self.held.entry(point.identity()).or_insert(0.0);
            if point.value < *held {
                point.value = *held;
                repairs.count(Repair::Held);
            }
            *held = point.value;
        }
    }
}
