//! Distributions of values, from which the systems' histograms are rendered.

/// The union of the bucket bounds that the systems use for durations, in seconds.
pub(super) const SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
    3600.0, 14400.0, 18000.0, 28800.0, 43200.0, 86400.0, 604_800.0,
];
/// The union of the bucket bounds that the systems use for sizes, in bytes.
pub(super) const BYTES: &[f64] = &[500.0, 1e3, 1e4, 1e5, 1e6, 5e6, 1e7, 2.5e7, 5e7, 1e8, 5e8];

/// Values counted in buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    bounds: &'static [f64],
    /// One count for each bound, and one for the values above all bounds.
    counts: Vec<u64>,
    /// The number of values.
    pub count: u64,
    /// The sum of the values.
    pub sum: f64,
}

impl Distribution {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], count: 0, sum: 0.0 }
    }

    /// A distribution of equal values.
    pub(super) fn repeated(bounds: &'static [f64], value: f64, count: u64) -> Self {
        let mut distribution = Self::new(bounds);
        distribution.counts[bounds.partition_point(|bound| *bound < value)] = count;
        Self { count, sum: value * count as f64, ..distribution }
    }

    pub(super) fn observe(&mut self, value: f64) {
        self.counts[self.bounds.partition_point(|bound| *bound < value)] += 1;
        self.count += 1;
        self.sum += value;
    }

    /// The number of values up to this bound, which must be one of the distribution's bounds.
    #[must_use]
    pub fn at_most(&self, bound: f64) -> u64 {
        self.counts[..self.bounds.partition_point(|b| *b <= bound)].iter().sum()
    }
}
