//! Distributions that a mail server aggregated: in cumulative buckets, or in quantiles.

/// A classic histogram: as many counts as bounds, each counting what is at or below its bound.
///
/// The bucket without a bound is `count` itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bounds, rising, without infinity.
    pub bounds: Vec<f64>,
    /// Cumulative counts, one for each bound.
    pub cumulative: Vec<u64>,
    /// The sum of what was observed, where the server says it.
    pub sum: Option<f64>,
    /// How many were observed.
    pub count: u64,
}

impl Histogram {
    /// The same in another unit: bounds and sum times `scale`.
    #[must_use]
    pub fn scaled(&self, scale: f64) -> Self {
        Self {
            bounds: self.bounds.iter().map(|b| b * scale).collect(),
            sum: self.sum.map(|s| s * scale),
            cumulative: self.cumulative.clone(),
            count: self.count,
        }
    }
}

/// A summary: quantiles that the server computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Quantiles from 0 to 1, rising, and their values.
    pub quantiles: Vec<(f64, f64)>,
    /// The sum of what was observed, where the server says it.
    pub sum: Option<f64>,
    /// How many were observed, where the server says it.
    pub count: Option<u64>,
}

impl Summary {
    /// Whether it says anything at all.
    #[must_use]
    pub fn says_anything(&self) -> bool {
        !self.quantiles.is_empty() || self.sum.is_some() || self.count.is_some()
    }
}
