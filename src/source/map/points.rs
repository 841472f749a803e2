//! The points of a poll while rules are applied: found by their attributes, and limited in number per metric.

use crate::model::{Attributes, Kind, Metric, Point};
use crate::source::Rule;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The largest number of points of one metric of one target: far more than any table of rules produces.
pub const POINTS_PER_METRIC_MAX: usize = 1000;

/// Points, by their attributes. A point whose value is NaN is invalid: one of its series is unknown, so the sum of the others is wrong.
#[derive(Default)]
pub(super) struct Points {
    all: Vec<Sum>,
    /// Indexes in `all`, by the identity of the point.
    indexes: HashMap<u64, usize, RandomState>,
    /// The number of points, by the name of the metric.
    counts: HashMap<&'static str, usize, RandomState>,
}

struct Sum {
    point: Point,
    /// It lacks values that belong to it.
    is_incomplete: bool,
    /// The addend that shows most about the part that is not subtracted.
    best: Addend,
}

/// The value of a sum that is taken out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TakenSum {
    Known(f64),
    /// The value of a series is invalid.
    Invalid,
    /// It lacks values that belong to it.
    Incomplete,
}

/// The role of a value in a sum, from the one that shows least about the part that is not subtracted to the one that shows most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Addend {
    /// It is subtracted.
    Subtracted,
    /// It is 0 because its series is missing.
    Absent,
    /// It is the value of a series.
    Series,
}

impl Addend {
    /// Returns how a value of a rule is part of a sum.
    pub(super) fn of(rule: &Rule, is_absent: bool) -> Self {
        match (rule.scale < 0.0, is_absent) {
            (true, _) => Self::Subtracted,
            (false, true) => Self::Absent,
            (false, false) => Self::Series,
        }
    }
}

impl Sum {
    /// Returns `true` if the value is valid. A difference is not if there is nothing to subtract from.
    fn is_valid(&self) -> bool {
        match self.best {
            Addend::Subtracted => false,
            Addend::Absent => self.point.value >= 0.0,
            Addend::Series => !self.point.value.is_nan(),
        }
    }
}

impl Points {
    /// Adds a value to the point with these attributes, or creates the point. Of gauges the largest value is kept. Returns `false` if the
    /// metric has too many points.
    pub(super) fn add(&mut self, metric: &'static Metric, attributes: Attributes, value: f64, addend: Addend) -> bool {
        let point = Point { metric, attributes, value };
        match self.indexes.entry(point.identity()) {
            Entry::Occupied(index) => {
                let Sum { point: Point { value: sum, .. }, best, .. } = &mut self.all[*index.get()];
                *best = addend.max(*best);
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
                self.all.push(Sum { point, is_incomplete: false, best: addend });
            }
        }
        true
    }

    /// The identities of the points of a metric: `true` if the value is valid, and not 0 only because all series are missing. With
    /// `or_unknown`, also if a series has an unknown value or may be missing.
    pub(super) fn reported(&self, metric: &'static Metric, or_unknown: bool) -> impl Iterator<Item = (u64, bool)> {
        let is_unknown = move |sum: &Sum| or_unknown && sum.best != Addend::Subtracted && sum.point.value.is_nan();
        let is_reported = move |sum: &Sum| sum.is_valid() && sum.best == Addend::Series || is_unknown(sum);
        self.all.iter().filter(move |sum| sum.point.metric == metric).map(move |sum| (sum.point.identity(), is_reported(sum)))
    }

    /// Invalidates the points that fulfil the condition. Returns the metric of each of those that were valid.
    pub(super) fn invalidate(&mut self, is_match: impl Fn(&Point) -> bool) -> Vec<&'static Metric> {
        let mut valid = Vec::new();
        for sum in self.all.iter_mut().filter(|sum| is_match(&sum.point)) {
            valid.extend(sum.is_valid().then_some(sum.point.metric));
            sum.point.value = f64::NAN;
            sum.is_incomplete = true;
        }
        valid
    }

    /// Removes the first point that fulfils the condition, and returns its value. Another one can take its place.
    pub(super) fn take(&mut self, is_match: impl Fn(&Point) -> bool) -> Option<TakenSum> {
        let at = self.all.iter().position(|sum| is_match(&sum.point))?;
        let sum = self.all.swap_remove(at);
        self.indexes.remove(&sum.point.identity());
        if let Some(moved) = self.all.get(at) {
            self.indexes.insert(moved.point.identity(), at);
        }
        if let Some(count) = self.counts.get_mut(sum.point.metric.name) {
            *count -= 1;
        }
        Some(match sum.point.value {
            value if sum.is_valid() => TakenSum::Known(value),
            value if value.is_nan() && !sum.is_incomplete => TakenSum::Invalid,
            _ => TakenSum::Incomplete,
        })
    }

    /// Returns the number of points that can still be added to this metric.
    pub(super) fn room(&self, metric: &Metric) -> usize {
        POINTS_PER_METRIC_MAX - self.counts.get(metric.name).copied().unwrap_or(0)
    }

    /// Returns `true` if there is a point with this identity, valid or not.
    pub(super) fn contains(&self, identity: u64) -> bool {
        self.indexes.contains_key(&identity)
    }

    /// Returns the valid points, and the metric of each difference that is omitted because there is less than nothing to subtract from.
    pub(super) fn take_valid(&mut self) -> (Vec<Point>, Vec<&'static Metric>) {
        let is_negative = |sum: &&Sum| sum.point.value < 0.0 && !sum.is_valid();
        let negative = self.all.iter().filter(is_negative).map(|sum| sum.point.metric).collect();
        (self.all.drain(..).filter(Sum::is_valid).map(|sum| sum.point).collect(), negative)
    }
}
