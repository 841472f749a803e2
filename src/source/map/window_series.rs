//! The series that the responses of recent windows had.
//!
//! A window is read several times, and its sums never fall. So a value that is too large in one response would stay for the whole window:
//! that of a fallback, or one from which a missing series is not subtracted.

use super::windows::WINDOWS_KEPT_MAX;
use crate::source::Rule;
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::SystemTime;

/// The largest number of points with a fallback, and of subtracted series, of a window that are stored. Further ones are not compared.
const STORED_MAX: usize = 10_000;

/// A subtracted series: the address of the rule, and the identity of the series.
pub(super) type SubtractedSeries = (usize, u64);

/// The state of recent windows, by the start of the window.
#[derive(Clone, Debug, Default)]
pub(super) struct WindowSeries {
    recent: BTreeMap<SystemTime, WindowState>,
}

#[derive(Clone, Debug, Default)]
struct WindowState {
    /// The points that an earlier rule has produced, each by the address of the fallback and its identity.
    provided: HashSet<(usize, u64), RandomState>,
    /// The series that were subtracted, each with the identity of its point.
    subtracted: HashMap<SubtractedSeries, u64, RandomState>,
}

impl WindowSeries {
    /// Stores the valid points that rules before a fallback have produced, and adds those that they produced in an earlier response of the
    /// window to `points`, as `true`.
    pub(super) fn keep_provided(
        &mut self,
        window: SystemTime,
        fallback: &'static Rule,
        valid: impl Iterator<Item = u64>,
        points: &mut HashMap<u64, bool>,
    ) {
        let fallback = std::ptr::from_ref(fallback).addr();
        let provided = &mut self.state(window).provided;
        let room = STORED_MAX.saturating_sub(provided.len());
        provided.extend(valid.take(room).map(|point| (fallback, point)));
        points.extend(provided.iter().filter(|(rule, _)| *rule == fallback).map(|(_, point)| (*point, true)));
    }

    /// Stores the series that were subtracted in the current response. Returns the points from which another response of the window
    /// subtracted more.
    pub(super) fn keep_subtracted(&mut self, window: SystemTime, current: &HashMap<SubtractedSeries, u64>) -> HashSet<u64> {
        let known = &mut self.state(window).subtracted;
        let missing = known.iter().filter(|(series, _)| !current.contains_key(series)).map(|(_, point)| *point).collect();
        let room = STORED_MAX.saturating_sub(known.len());
        known.extend(current.iter().take(room).map(|(series, point)| (*series, *point)));
        missing
    }

    fn state(&mut self, window: SystemTime) -> &mut WindowState {
        while self.recent.len() >= WINDOWS_KEPT_MAX && !self.recent.contains_key(&window) {
            self.recent.pop_first();
        }
        self.recent.entry(window).or_default()
    }
}
