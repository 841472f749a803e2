//! One reading of a mail server in canonical words.

use super::{Attribute, Histogram, Metric, Repairs};
use std::borrow::Cow;
use std::time::SystemTime;

/// The attributes of a point; the same series has them in the same order at each reading.
pub type Attributes = Vec<(&'static Attribute, Cow<'static, str>)>;

/// One value of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Which metric.
    pub metric: &'static Metric,
    /// Which series of it.
    pub attributes: Attributes,
    /// The value in the metric's unit. Whole for metrics of whole things.
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

/// Everything canonical that one good reading gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Scalars: at most one for each series.
    pub points: Vec<Point>,
    /// Distributions, likewise.
    pub histograms: Vec<(&'static Metric, Attributes, Histogram)>,
    /// What had to be mended.
    pub repairs: Repairs,
    /// Native series that were read.
    pub series_read: u64,
    /// When the server's counters began, where it says so.
    pub counters_since: Option<SystemTime>,
    /// The server drops idle series from its page, which begin at zero when they come back.
    pub drops_idle_series: bool,
    /// `service.version`, where the server says it.
    pub version: Option<String>,
}
