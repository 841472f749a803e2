//! The buckets of one histogram while they are read, and their validation.

use crate::model::{Histogram, Repair, Repairs};

/// The largest number of buckets of a histogram, or of quantiles of a summary.
pub const BUCKETS_MAX: usize = 1000;

/// The samples of one histogram or summary that have been read.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    /// Upper bounds and counts as the server sent them. A bound may be infinite. For a summary: quantiles and their values.
    pub counts: Vec<(f64, f64)>,
    /// The sum, if the server sent it.
    pub sum: Option<f64>,
    /// The count, if the server sent it.
    pub count: Option<f64>,
}

impl Buckets {
    /// The same buckets, with the count of the infinite one as the count if there is neither a sum nor a count: the form that OpenMetrics
    /// 1.0 has for a histogram without a sum.
    pub fn without_sum(mut self) -> Self {
        if self.sum.is_none() && self.count.is_none() {
            self.count = self.counts.iter().find(|(bound, _)| *bound == f64::INFINITY).map(|(_, n)| *n);
        }
        self
    }

    /// Returns the histogram and the repairs that were made to it. Only faults whose repair is certain are repaired.
    ///
    /// # Errors
    /// The repair that omitting the histogram counts as.
    pub fn finish(mut self) -> Result<(Histogram, Repairs), Repair> {
        if self.counts.len() > BUCKETS_MAX {
            return Err(Repair::TooManyBuckets);
        }
        let mut repairs = self.sort();
        let to_u64 = |n: f64| whole_count(n).ok_or(Repair::InconsistentHistogram);
        let infinite_count = self.counts.last().filter(|(bound, _)| *bound == f64::INFINITY).map(|(_, n)| *n);
        let count = self.count.ok_or(Repair::MissingCount)?;
        let total: f64 = self.counts.iter().map(|(_, n)| n).sum();
        let last = self.counts.last().map_or(0.0, |(_, n)| *n);
        // Some servers send the count of each bucket alone. If all observations are in the last bucket, both interpretations agree.
        if infinite_count.is_some() && last < count && total == count {
            let mut sum = 0.0;
            for (_, n) in &mut self.counts {
                sum += *n;
                *n = sum;
            }
            repairs.count(Repair::NotCumulative);
        }
        let is_cumulative = self.counts.is_sorted_by(|a, b| a.1 <= b.1);
        let matches_count = infinite_count.is_none_or(|_| self.counts.last().is_some_and(|(_, n)| *n == count));
        if !is_cumulative || !matches_count || self.counts.last().is_some_and(|(_, n)| *n > count) {
            return Err(Repair::InconsistentHistogram);
        }
        if infinite_count.is_some() {
            self.counts.pop();
        }
        if !self.counts.iter().all(|(bound, _)| bound.is_finite()) {
            return Err(Repair::InconsistentHistogram);
        }
        Ok((
            Histogram {
                bounds: self.counts.iter().map(|(bound, _)| *bound).collect(),
                cumulative: self.counts.iter().map(|(_, n)| to_u64(*n)).collect::<Result<_, _>>()?,
                sum: self.sum,
                count: to_u64(count)?,
            },
            repairs,
        ))
    }

    /// Sorts by bound. Of duplicate bounds the first is kept, and each other one is counted as a repair.
    pub(super) fn sort(&mut self) -> Repairs {
        let (sent_count, mut repairs) = (self.counts.len(), Repairs::default());
        // The sort is stable, so the first of several duplicates stays first.
        self.counts.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.counts.dedup_by(|a, b| a.0 == b.0);
        repairs.add(Repair::DuplicateSeries, (sent_count - self.counts.len()) as u64);
        repairs
    }
}

/// Returns a number of observations, or `None` if it is negative, too large to be exact, or not whole: OTLP has whole counts only.
pub(super) fn whole_count(n: f64) -> Option<u64> {
    ((0.0..=COUNT_MAX).contains(&n) && n.fract() == 0.0).then_some(n as u64)
}

/// The largest number of observations. Every whole number up to it is exact.
const COUNT_MAX: f64 = 9e15;

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;
    /// Cumulative counts, the total count, and the repairs.
    type Finished = (Vec<u64>, u64, Vec<(Repair, u64)>);

    #[track_caller]
    fn finish(counts: &[(f64, f64)], count: Option<f64>) -> Result<Finished, Repair> {
        let buckets = Buckets { counts: counts.to_vec(), sum: Some(1.0), count };
        buckets.finish().map(|(h, repairs)| (h.cumulative, h.count, repairs.iter().collect()))
    }

    #[test]
    fn buckets_that_are_not_cumulative_are_added_up() {
        assert_eq!(finish(&[(1.0, 2.0), (2.0, 3.0), (INF, 5.0)], Some(5.0)), Ok((vec![2, 3], 5, vec![])));
        assert_eq!(finish(&[(1.0, 2.0), (2.0, 1.0), (INF, 2.0)], Some(5.0)), Ok((vec![2, 3], 5, vec![(Repair::NotCumulative, 1)])));
        assert_eq!(finish(&[(1.0, 5.0), (2.0, 0.0), (INF, 0.0)], Some(5.0)), Ok((vec![5, 5], 5, vec![(Repair::NotCumulative, 1)])));
        assert_eq!(finish(&[(1.0, 0.0), (INF, 5.0)], Some(5.0)), Ok((vec![0], 5, vec![])));
        assert_eq!(finish(&[(1.0, 2.0), (2.0, 3.0)], Some(5.0)), Ok((vec![2, 3], 5, vec![])), "without +Inf");
        assert_eq!(finish(&[(INF, 5.0), (1.0, 2.0)], Some(5.0)), Ok((vec![2], 5, vec![])), "out of order");
    }

    #[test]
    fn the_first_of_duplicate_bounds_is_kept() {
        let duplicates = |n| vec![(Repair::DuplicateSeries, n)];
        assert_eq!(finish(&[(1.0, 2.0), (1.0, 4.0), (INF, 5.0), (1.0, 3.0)], Some(5.0)), Ok((vec![2], 5, duplicates(2))));
        assert_eq!(finish(&[(1.0, 2.0), (INF, 5.0), (INF, 6.0)], Some(5.0)), Ok((vec![2], 5, duplicates(1))));
    }

    #[test]
    fn contradictory_histograms_are_omitted() {
        assert_eq!(finish(&[(1.0, 7.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(1.0, 3.0), (2.0, 2.0), (INF, 5.0)], Some(9.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(1.0, 3.0)], None), Err(Repair::MissingCount));
        let without_sum = |counts: &[(f64, f64)]| {
            let buckets = Buckets { counts: counts.to_vec(), sum: None, count: None }.without_sum();
            buckets.finish().map(|(histogram, _)| (histogram.cumulative, histogram.count, histogram.sum))
        };
        assert_eq!(without_sum(&[(1.0, 3.0), (INF, 5.0)]), Ok((vec![3], 5, None)));
        assert_eq!(without_sum(&[(1.0, 3.0)]), Err(Repair::MissingCount));
        // The OpenTelemetry specification drops a histogram without a count, even if it has an infinite bucket.
        assert_eq!(finish(&[(1.0, 3.0), (INF, 5.0)], None), Err(Repair::MissingCount));
        assert_eq!(finish(&[(1.0, -3.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(f64::NAN, 3.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(-INF, 3.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(-INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(1.0, 1.5), (2.0, 2.7), (INF, 2.7)], Some(2.7)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(1.0, 1.5), (INF, 3.0)], Some(3.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(1.0, 1.5), (2.0, 0.5), (INF, 1.0)], Some(3.0)), Err(Repair::InconsistentHistogram), "not cumulative");
        assert_eq!(finish(&[], Some(0.5)), Err(Repair::InconsistentHistogram));
        let many: Vec<(f64, f64)> = (0..=BUCKETS_MAX).map(|bound| (bound as f64, 1.0)).collect();
        assert_eq!(finish(&many, Some(1.0)), Err(Repair::TooManyBuckets));
    }
}
