//! What is remembered of a target from one good reading to the next, and the sums that need it.

use super::omitted::Summands;
use crate::model::{Kind, Point, Repair, Repairs, Snapshot};
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
    /// For windowed sources: the final sums of closed windows, by the identity of their points.
    closed: HashMap<u64, f64>,
    /// What canonical counters and histograms were the sums of.
    pub(super) summands: Summands,
    /// When the first window began.
    first_window: Option<SystemTime>,
}

#[derive(Clone, Debug, Default)]
struct Accumulated {
    /// The sum of all rises; none before the first series.
    total: Option<f64>,
    /// The last value of each series, by its identity.
    last: HashMap<u64, f64>,
}

impl Memory {
    /// Adds the final sums of a window that has ended.
    pub fn close_window(&mut self, last: &Snapshot) {
        let counters = last.points.iter().filter(|p| p.metric.kind == Kind::Counter);
        let sums: HashMap<u64, f64> = counters.map(|point| (point.identity(), point.value)).collect();
        // A sum that could not be read to the end is at least what it was before.
        for (identity, held) in self.held.drain().filter(|(identity, _)| !sums.contains_key(identity)) {
            *self.closed.entry(identity).or_default() += held;
        }
        self.closed.extend(sums);
    }

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

    /// Sums of a window are counters only together with those of the windows before it: adds them, and says when the first began.
    pub(super) fn add_closed<'p>(&mut self, began: SystemTime, points: impl Iterator<Item = &'p mut Point>) -> SystemTime {
        for point in points {
            point.value += self.closed.get(&point.identity()).copied().unwrap_or(0.0);
        }
        *self.first_window.get_or_insert(began)
    }
}
