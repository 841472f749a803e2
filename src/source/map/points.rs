//! The points of a reading while it is walked: each found by its attributes, and no more of a metric than there is room for.

use crate::model::{Attributes, Kind, Metric, Point};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Points of one metric of one target: far above any table of rules, and below what an SDK instrument is given room for.
pub const POINTS_PER_METRIC_MAX: usize = 1000;

/// A point whose value is NaN is broken: something that belongs to it is not known, and a sum over the rest would be wrong.
#[derive(Default)]
pub(super) struct Points {
    all: Vec<Point>,
    /// Where the point of an identity stands.
    places: HashMap<u64, usize, RandomState>,
    /// How many each metric has, by name.
    counts: HashMap<&'static str, usize, RandomState>,
}

impl Points {
    /// Adds to the point of these attributes, or makes it; of gauges the largest is kept. `false` where there is no room.
    pub(super) fn add(&mut self, metric: &'static Metric, attributes: Attributes, value: f64) -> bool {
        let point = Point { metric, attributes, value };
        match self.places.entry(point.identity()) {
            Entry::Occupied(place) => {
                let sum = &mut self.all[*place.get()].value;
                match metric.kind {
                    Kind::Gauge if value > *sum || value.is_nan() => *sum = value,
                    Kind::Gauge => {}
                    Kind::Counter | Kind::UpDownCounter | Kind::Histogram => *sum += value,
                }
            }
            Entry::Vacant(place) => {
                let count = self.counts.entry(metric.name).or_default();
                if *count == POINTS_PER_METRIC_MAX {
                    return false;
                }
                *count += 1;
                place.insert(self.all.len());
                self.all.push(point);
            }
        }
        true
    }

    /// Whether there is a point like this that is not broken.
    pub(super) fn has_sound(&self, like: impl Fn(&Point) -> bool) -> bool {
        self.all.iter().any(|point| !point.value.is_nan() && like(point))
    }

    /// Takes the first point like this away; its room is free again.
    pub(super) fn take(&mut self, like: impl Fn(&Point) -> bool) -> Option<Point> {
        let at = self.all.iter().position(like)?;
        let point = self.all.swap_remove(at);
        self.places.remove(&point.identity());
        if let Some(moved) = self.all.get(at) {
            self.places.insert(moved.identity(), at);
        }
        if let Some(count) = self.counts.get_mut(point.metric.name) {
            *count -= 1;
        }
        Some(point)
    }

    /// How many more points of this metric there is room for.
    pub(super) fn room(&self, metric: &Metric) -> usize {
        POINTS_PER_METRIC_MAX - self.counts.get(metric.name).copied().unwrap_or(0)
    }

    /// Those that are not broken.
    pub(super) fn into_sound(mut self) -> Vec<Point> {
        self.all.retain(|point| !point.value.is_nan());
        self.all
    }
}
