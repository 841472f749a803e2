//! A histogram that Postmeter measures itself, in explicit and in exponential buckets, with the latest exemplar of each explicit bucket.

use super::{ExponentialBuckets, Histogram, RecordUid};

/// One observation of a histogram, and the record that it is from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredExemplar {
    /// The record.
    pub uid: RecordUid,
    /// The observed value.
    pub value: f64,
    /// The time of the observation in Unix nanoseconds.
    pub nanos: u64,
}

/// A histogram of values that are not negative.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredHistogram {
    /// Upper bounds of the explicit buckets, ascending.
    pub bounds: &'static [f64],
    /// Counts of the explicit buckets, not cumulative. The last one has no upper bound.
    pub counts: Vec<u64>,
    /// The same observations in exponential buckets.
    pub exponential: ExponentialBuckets,
    /// The number of observations.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest and the largest one; `None` before the first.
    pub range: Option<(f64, f64)>,
    /// The latest observation in each explicit bucket.
    pub exemplars: Vec<Option<MeasuredExemplar>>,
}

impl MeasuredHistogram {
    /// An empty histogram.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let buckets = bounds.len() + 1;
        let exponential = ExponentialBuckets::default();
        Self { bounds, counts: vec![0; buckets], exponential, count: 0, sum: 0.0, range: None, exemplars: vec![None; buckets] }
    }

    /// Counts an observation. A value that is negative or not a number is left out.
    pub fn observe(&mut self, exemplar: MeasuredExemplar) {
        let value = exemplar.value;
        if !(value.is_finite() && value >= 0.0) {
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.exemplars[bucket] = Some(exemplar);
        self.exponential.add(value);
        self.count += 1;
        self.sum += value;
        self.range = Some(self.range.map_or((value, value), |(min, max)| (min.min(value), max.max(value))));
    }

    /// The explicit buckets in the form in which mail servers expose histograms.
    #[must_use]
    pub fn classic(&self) -> Histogram {
        let mut total = 0;
        let cumulative = self.counts.iter().map(|count| {
            total += count;
            total
        });
        let cumulative = cumulative.take(self.bounds.len()).collect();
        Histogram { bounds: self.bounds.to_vec(), cumulative, sum: Some(self.sum), count: self.count }
    }

    /// The exemplars, in the order of their times.
    #[must_use]
    pub fn exemplars(&self) -> Vec<MeasuredExemplar> {
        let mut exemplars: Vec<_> = self.exemplars.iter().flatten().copied().collect();
        exemplars.sort_by_key(|exemplar| exemplar.nanos);
        exemplars
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UID_BYTES;

    #[test]
    fn explicit_and_exponential_buckets_count_the_same() {
        let mut histogram = MeasuredHistogram::new(&[1.0, 5.0]);
        for (i, value) in [0.0, 1.0, 1.5, 5.0, 9.0, -1.0, f64::NAN, f64::INFINITY].into_iter().enumerate() {
            histogram.observe(MeasuredExemplar { uid: RecordUid::new([i as u8; UID_BYTES]), value, nanos: 100 - i as u64 });
        }
        let classic = histogram.classic();
        assert_eq!((classic.cumulative, classic.count, classic.sum), (vec![2, 4], 5, Some(16.5)));
        assert_eq!(histogram.exponential.zero_count + histogram.exponential.counts.iter().sum::<u64>(), 5);
        assert_eq!(histogram.range, Some((0.0, 9.0)));
        let values: Vec<f64> = histogram.exemplars().iter().map(|exemplar| exemplar.value).collect();
        assert_eq!(values, [9.0, 5.0, 1.0]);
    }
}
