//! The canonical metrics of one reading.

use super::{Attribute, ContinuedCounters, Histogram, Metric, Repairs};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::time::SystemTime;

/// The attributes of a point. A series has them in the same order in each reading. Nearly all have two or fewer.
pub type Attributes = SmallVec<[(&'static Attribute, Cow<'static, str>); 2]>;

/// A value of a canonical scalar series.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The metric.
    pub metric: &'static Metric,
    /// The attributes, which identify the series.
    pub attributes: Attributes,
    /// The value in the metric's unit.
    pub value: f64,
}

impl Point {
    /// A point with attributes whose values are known at compile time.
    #[must_use]
    pub fn new(metric: &'static Metric, attributes: &[(&'static Attribute, &'static str)], value: f64) -> Self {
        let attributes = attributes.iter().map(|(key, value)| (*key, Cow::Borrowed(*value))).collect();
        Self { metric, attributes, value }
    }
}

/// The canonical metrics of one successful reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Scalars, at most one per series.
    pub points: Vec<Point>,
    /// Histograms, at most one per series.
    pub histograms: Vec<(&'static Metric, Attributes, Histogram)>,
    /// The repairs that were made.
    pub repairs: Repairs,
    /// Something in a response could not be read, so a native series may be missing that the server still counts.
    pub may_lack_series: bool,
    /// The metrics of which a point is omitted because its value is unknown, so that such a point is not new when a later reading has it.
    pub unknown_metrics: Vec<&'static Metric>,
    /// The number of native series that were read.
    pub series_read: u64,
    /// The start time of the server's counters, if the server reports it.
    pub counters_since: Option<SystemTime>,
    /// The counters that continue after a restart of the server.
    pub continued: ContinuedCounters,
    /// The server drops idle series from its responses. They start again at zero when they return.
    pub drops_idle_series: bool,
    /// Advice to the operator that follows from native series, each on one line. It contains label values, which are not trusted.
    pub advice: Vec<String>,
    /// `service.version`, if the server reports it.
    pub version: Option<String>,
}

impl Snapshot {
    /// Adds a metric of which a point is omitted because its value is unknown.
    pub fn note_unknown(&mut self, metric: &'static Metric) {
        if !self.unknown_metrics.contains(&metric) {
            self.unknown_metrics.push(metric);
        }
    }

    /// The number of points; a histogram counts as one.
    #[must_use]
    pub fn point_count(&self) -> usize {
        self.points.len() + self.histograms.len()
    }
}
