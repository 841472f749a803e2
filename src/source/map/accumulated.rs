//! What is remembered of a target from one good reading to the next, and the sums that need it.

use super::omitted::Summands;
use super::windows::WindowSums;
use crate::model::{Point, Repair, Repairs};
use std::collections::HashMap;
use std::time::SystemTime;

/// Series that are remembered of a counter although a reading lacks them: only where something of it was unreadable, and
/// they may be what that was.
const ABSENT_SERIES_MAX: usize = 1_000_000;

/// What is remembered of a target from one good reading to the next.
#[derive(Clone, Debug, Default)]
pub struct CounterMemory {
    /// For `Step::OneMinusShareOf`: the last two counters.
    shares: HashMap<&'static str, (f64, f64)>,
    /// For `Step::Accumulate`.
    accumulated: HashMap<&'static str, Accumulated>,
    /// When the server's process began, as far as it reports it.
    pub(super) process: Process,
    /// For each counter rule of the required part, the last sum that it took, so that a fall is seen.
    pub(super) sums: HashMap<usize, f64>,
    /// For `Step::Hold`: the largest sum so far, by the identity of its point.
    held: HashMap<u64, f64>,
    /// Of which life of the server's counters that is.
    held_since: Option<SystemTime>,
    /// What canonical counters and histograms were the sums of.
    pub(super) summands: Summands,
    /// For windowed sources: the sums of each window.
    pub(super) windows: WindowSums,
}

#[derive(Clone, Debug, Default)]
struct Accumulated {
    /// The sum of all rises; none before the first series.
    total: Option<f64>,
    /// The last value of each series, by its identity.
    last: HashMap<u64, f64>,
    /// The total when the start of the process was last checked: all that is certain to have been counted before a later restart.
    checked: f64,
}

/// When the server's process began, and what the current reading reports about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    since: Option<SystemTime>,
    /// It began later than it had when it was last checked.
    restarted: bool,
    /// The current reading reports it.
    reported: bool,
    /// What the current reading reports comes from an earlier poll.
    repeated: bool,
    /// A counter of the current reading fell, so that a restart happened since the reading before.
    pub(super) fell: bool,
}

impl CounterMemory {
    /// Whether what the next reading reports about the start of the process comes from an earlier poll.
    pub fn repeats_process_start(&mut self, repeated: bool) {
        self.process.repeated = repeated;
    }

    /// The start of the process, as the current reading reports it.
    pub(super) fn process_began(&mut self, since: Option<SystemTime>) {
        let before = self.process.since;
        self.process.restarted = matches!((before, since), (Some(before), Some(since)) if since > before);
        self.process.reported = since.is_some();
        self.process.since = since.or(before);
    }

    /// The last value of a series of an accumulated family.
    pub(super) fn last_of(&self, family: &str, series: u64) -> Option<f64> {
        self.accumulated.get(family)?.last.get(&series).copied()
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
        let Process { restarted, reported, repeated, fell, .. } = self.process;
        let Accumulated { total, last, checked } = self.accumulated.entry(family).or_default();
        let before_restart = if fell { total.unwrap_or(0.0) } else { *checked };
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
        // Everything that the new process has counted is new, also of a series that has overtaken its last value.
        if let Some(total) = total.as_mut().filter(|_| restarted) {
            let since_restart: f64 = found.iter().filter_map(|(_, value)| value.as_ref().ok()).sum();
            *total = total.max(before_restart + since_restart);
        }
        if reported && !repeated {
            *checked = total.unwrap_or(0.0);
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
