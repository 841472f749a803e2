//! Counters from sums over windows of time: each window counts once, even if the clock is set back.
//!
//! # Recent windows are stored separately
//!
//! A window that has ended is read again: for events that the server records late, and after the clock was set back into the window. So
//! the sums of a window are replaced, not added. Only windows that are too old to be read again are merged.

use crate::model::{Point, Repair, Repairs};
use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

/// The number of windows that are stored separately. Older windows must not be requested again.
pub const WINDOWS_KEPT_MAX: usize = 8;

/// The sums of all windows so far, by the identity of the points.
#[derive(Clone, Debug, Default)]
pub(super) struct WindowSums {
    /// The sums of recent windows, by the start of the window.
    recent: BTreeMap<SystemTime, HashMap<u64, f64>>,
    /// The merged sums of older windows.
    merged: HashMap<u64, f64>,
    /// The start of the newest window in `merged`.
    merged_until: Option<SystemTime>,
    /// The start of the first window.
    first: Option<SystemTime>,
}

impl WindowSums {
    /// Turns the sums of the window that starts at `start` into sums over all windows. A sum that is smaller than before, because an account
    /// was deleted, is held. Returns the start of the first window.
    pub fn add_up<'p>(&mut self, start: SystemTime, points: impl Iterator<Item = &'p mut Point>, repairs: &mut Repairs) -> SystemTime {
        let is_merged = self.merged_until.is_some_and(|until| start <= until);
        let mut window = self.recent.remove(&start).unwrap_or_default();
        for point in points {
            let identity = point.identity();
            let others: f64 = self.recent.values().filter_map(|sums| sums.get(&identity)).sum();
            let merged = self.merged.get(&identity).copied().unwrap_or(0.0);
            if is_merged {
                // `merged` contains this window.
                point.value = others + merged;
                continue;
            }
            let sum = window.entry(identity).or_insert(0.0);
            if point.value < *sum {
                repairs.count(Repair::Held);
            }
            *sum = sum.max(point.value);
            point.value = *sum + others + merged;
        }
        if !is_merged {
            self.recent.insert(start, window);
        }
        while self.recent.len() > WINDOWS_KEPT_MAX {
            let Some((oldest, sums)) = self.recent.pop_first() else { break };
            sums.into_iter().for_each(|(identity, sum)| *self.merged.entry(identity).or_default() += sum);
            self.merged_until = Some(oldest);
        }
        *self.first.get_or_insert(start)
    }
}
