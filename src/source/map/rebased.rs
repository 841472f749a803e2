//! Counters that continue after a fall: the lower value is a new base, and adds nothing.
//!
//! A server that saves its counters now and then restores an older state after a crash, and counts on from there. A reset would count again
//! what was counted before the crash, and holding the old value would lose what comes after it.

use super::selector::compare_values;
use crate::model::Attributes;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};

/// The largest number of native series of a target that are stored. The points of further ones are unknown.
const SERIES_MAX: usize = 100_000;

/// The counters of a target, by the key of their rule.
#[derive(Clone, Debug, Default)]
pub(super) struct RebasedCounters {
    rules: HashMap<u64, RebasedRule, RandomState>,
    /// The number of series of all rules.
    series: usize,
}

#[derive(Clone, Debug, Default)]
struct RebasedRule {
    /// By the identity of the native series.
    series: HashMap<u64, RebasedSeries, RandomState>,
    /// The attributes of the points, by the identity of the point.
    points: HashMap<u64, Attributes, RandomState>,
    /// The number of the current poll.
    poll: u64,
}

#[derive(Clone, Copy, Debug)]
struct RebasedSeries {
    /// The last native value.
    last: f64,
    /// The sum of all falls: the difference between the total and the native value.
    fallen: f64,
    /// The identity of the point that the series belongs to.
    point: u64,
    /// The number of the last poll that had the series.
    poll: u64,
}

impl RebasedCounters {
    /// Removes all other rules.
    pub(super) fn keep(&mut self, rules: &HashSet<u64>) {
        self.rules.retain(|rule, _| rules.contains(rule));
        self.series = self.rules.values().map(|of_rule| of_rule.series.len()).sum();
    }

    /// Returns `true` if a rule has been polled before.
    pub(super) fn has(&self, rule: u64) -> bool {
        self.rules.contains_key(&rule)
    }

    /// Begins a poll of a rule.
    pub(super) fn start(&mut self, rule: u64) {
        self.rules.entry(rule).or_default().poll += 1;
    }

    /// Returns the total of a series that is present: its native value and all falls before. An invalid value is `None`, and the total then
    /// stays as it was. Returns `None` if the total is unknown.
    pub(super) fn total(&mut self, rule: u64, series: u64, value: Option<f64>, point: u64, attributes: &Attributes) -> Option<f64> {
        let of_rule = self.rules.entry(rule).or_default();
        let known = match of_rule.series.get_mut(&series) {
            Some(known) => known,
            None if self.series >= SERIES_MAX => return None,
            None => {
                let value = value?;
                self.series += 1;
                of_rule.points.entry(point).or_insert_with(|| attributes.clone());
                of_rule.series.insert(series, RebasedSeries { last: value, fallen: 0.0, point, poll: of_rule.poll });
                return Some(value);
            }
        };
        known.poll = of_rule.poll;
        if let Some(value) = value {
            known.fallen += (known.last - value).max(0.0);
            known.last = value;
        }
        Some(known.last + known.fallen)
    }

    /// Returns the totals of the series that the current poll lacks, by point, sorted by the values of attributes.
    pub(super) fn totals_of_absent(&self, rule: u64) -> Vec<(Attributes, f64)> {
        let Some(of_rule) = self.rules.get(&rule) else { return Vec::new() };
        let mut sums: HashMap<u64, f64, RandomState> = HashMap::default();
        for series in of_rule.series.values().filter(|series| series.poll != of_rule.poll) {
            *sums.entry(series.point).or_default() += series.last + series.fallen;
        }
        let mut totals: Vec<_> = sums.into_iter().filter_map(|(point, sum)| Some((of_rule.points.get(&point)?.clone(), sum))).collect();
        totals.sort_by(|(a, _), (b, _)| compare_values(a, b));
        totals
    }
}
