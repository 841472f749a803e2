//! The points of a poll while rules are applied: found by their attributes, and limited in number per metric.

use crate::model::{Attributes, Kind, Metric, Point};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The largest number of points of one metric of one target: far more than any table of rules produces.
pub const POINTS_PER_METRIC_MAX: usize = 1000;

/// Points, by their attributes. A point whose value is NaN is invalid: one of its series is unknown, so the sum of the others is wrong.
#[derive(Default)]
pub(super) struct Points {
    all: Vec<Point>,
    /// Indexes in `all`, by the identity of the point.
    indexes: HashMap<u64, usize, RandomState>,
    /// The number of points, by the name of the metric.
    counts: HashMap<&'static str, usize, RandomState>,
}

impl Points {
    /// Adds a value to the point with these attributes, or creates the point. Of gauges the largest value is kept. Returns `false` if the
    /// metric has too many points.
    pub(super) fn add(&mut self, metric: &'static Metric, attributes: Attributes, value: f64) -> bool {
        let point = Point { metric, attributes, value };
        match self.indexes.entry(point.identity()) {
            Entry::Occupied(index) => {
                let sum = &mut self.all[*index.get()].value;
                match metric.kind {
                    Kind::Gauge if value > *sum || value.is_nan() => *sum = value,
                    Kind::Gauge => {}
                    Kind::Counter | Kind::UpDownCounter | Kind::Histogram => *sum += value,
                }
            }
            Entry::Vacant(index) => {
                let count = self.counts.entry(metric.name).or_default();
                if *count == POINTS_PER_METRIC_MAX {
                    return false;
                }
                *count += 1;
                index.insert(self.all.len());
                self.all.push(point);
            }
        }
        true
    }

    /// The points of a metric.
    pub(super) fn of(&self, metric: &'static Metric) -> impl Iterator<Item = &Point> {
        self.all.iter().filter(move |point| point.metric == metric)
    }

    /// Invalidates the points that fulfil the condition.
    pub(super) fn invalidate(&mut self, is_match: impl Fn(&Point) -> bool) {
        self.all.iter_mut().filter(|point| is_match(point)).for_each(|point| point.value = f64::NAN);
    }

    /// Removes and returns the first point that fulfils the condition. Another one can take its place.
    pub(super) fn take(&mut self, is_match: impl Fn(&Point) -> bool) -> Option<Point> {
        let at = self.all.iter().position(is_match)?;
        let point = self.all.swap_remove(at);
        self.indexes.remove(&point.identity());
        if let Some(moved) = self.all.get(at) {
            self.indexes.insert(moved.identity(), at);
        }
        if let Some(count) = self.counts.get_mut(point.metric.name) {
            *count -= 1;
        }
        Some(point)
    }

    /// Returns the number of points that can still be added to this metric.
    pub(super) fn room(&self, metric: &Metric) -> usize {
        POINTS_PER_METRIC_MAX - self.counts.get(metric.name).copied().unwrap_or(0)
    }

    /// Returns the valid points.
    pub(super) fn into_valid(mut self) -> Vec<Point> {
        self.all.retain(|point| !point.value.is_nan());
        self.all
    }
}
