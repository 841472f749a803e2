//! Counters from sums over windows of time: each window counts once, even if the clock is set back.
//!
//! # Recent windows are stored separately
//!
//! A window that has ended is read again: for events that the server records late, and after the clock was set back into the window. So
//! the sums of a window are replaced, not added. Only windows that are too old to be read again are merged.

use super::selector::compare_values;
use crate::model::{Attributes, Kind, Metric, Point, Repair, Repairs};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::SystemTime;

/// The number of windows that are stored separately. Older windows must not be requested again.
pub const WINDOWS_KEPT_MAX: usize = 8;
/// The largest number of points of a target that continue in a window without events of theirs.
const CONTINUED_MAX: usize = 10_000;

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
    /// The metrics and attributes of all points so far, by their identity.
    known: HashMap<u64, (&'static Metric, Attributes)>,
}

impl WindowSums {
    /// Turns the sums of the window that starts at `start` into sums over all windows, and adds those that the window lacks and that
    /// `are_zero` in it. A sum that is smaller than before, because an account was deleted, is held. Returns the start of the first window.
    pub fn add_up(
        &mut self,
        start: SystemTime,
        points: &mut Vec<Point>,
        are_zero: impl Fn(&Point) -> bool,
        repairs: &mut Repairs,
    ) -> SystemTime {
        let present: HashSet<u64> = points.iter().map(Point::identity).collect();
        let absent = self.known.iter().filter(|(identity, _)| !present.contains(identity));
        let absent = absent.map(|(_, (metric, attributes))| Point { metric, attributes: attributes.clone(), value: 0.0 });
        let mut absent: Vec<Point> = absent.filter(are_zero).collect();
        absent.sort_by(|a, b| a.metric.name.cmp(b.metric.name).then_with(|| compare_values(&a.attributes, &b.attributes)));
        points.append(&mut absent);
        let is_merged = self.merged_until.is_some_and(|until| start <= until);
        let mut window = self.recent.remove(&start).unwrap_or_default();
        for point in points.iter_mut().filter(|point| point.metric.kind == Kind::Counter) {
            let identity = point.identity();
            if self.known.len() < CONTINUED_MAX {
                self.known.entry(identity).or_insert_with(|| (point.metric, point.attributes.clone()));
            }
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
