//! Sums of windows of time, as counters: each window counts once, whatever the clock does.
//!
//! # Why each window is kept apart
//!
//! A window that has ended is read again: for events that the server records late, and when a clock is set back into it. So what it has
//! is replaced, never added. Only windows that are too old to be read again are added up.

use crate::model::{Point, Repair, Repairs};
use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

/// Windows that are kept apart. Whoever chooses windows must not go back further.
pub const WINDOWS_KEPT_MAX: usize = 8;

/// The sums of all windows so far, by the identity of their points.
#[derive(Clone, Debug, Default)]
pub(super) struct WindowSums {
    /// By the start of the window.
    kept: BTreeMap<SystemTime, HashMap<u64, f64>>,
    /// Of windows that are not kept apart any more.
    older: HashMap<u64, f64>,
    /// The start of the newest of those.
    older_until: Option<SystemTime>,
    /// When the first window began.
    first: Option<SystemTime>,
}

impl WindowSums {
    /// Sums of the window that began at `start` were read: none of them falls (an account was deleted), and those of the other windows are
    /// added. Returns when the first window began.
    pub fn count<'p>(&mut self, start: SystemTime, points: impl Iterator<Item = &'p mut Point>, repairs: &mut Repairs) -> SystemTime {
        let is_too_old = self.older_until.is_some_and(|until| start <= until);
        let mut window = self.kept.remove(&start).unwrap_or_default();
        for point in points {
            let identity = point.identity();
            let others: f64 = self.kept.values().filter_map(|sums| sums.get(&identity)).sum();
            let older = self.older.get(&identity).copied().unwrap_or(0.0);
            if is_too_old {
                // It has been added up already.
                point.value = others + older;
                continue;
            }
            let sum = window.entry(identity).or_insert(0.0);
            if point.value < *sum {
                repairs.count(Repair::Held);
            }
            *sum = sum.max(point.value);
            point.value = *sum + others + older;
        }
        if !is_too_old {
            self.kept.insert(start, window);
        }
        while self.kept.len() > WINDOWS_KEPT_MAX {
            let Some((oldest, sums)) = self.kept.pop_first() else { break };
            sums.into_iter().for_each(|(identity, sum)| *self.older.entry(identity).or_default() += sum);
            self.older_until = Some(oldest);
        }
        *self.first.get_or_insert(start)
    }
}
