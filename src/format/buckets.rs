//! Buckets of one histogram while they are read, and what is wrong with them.

use crate::model::{Histogram, Repair, Repairs};

/// Buckets of one histogram, or quantiles of one summary, beyond this are a fault of the answer.
pub const BUCKETS_MAX: usize = 1000;

/// What has been read of one histogram.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    /// Upper bounds and counts, as sent; the bound may be infinite.
    pub counts: Vec<(f64, f64)>,
    /// The sum, where it was sent.
    pub sum: Option<f64>,
    /// The count, where it was sent.
    pub count: Option<f64>,
}

impl Buckets {
    /// The histogram, mended where that can be told for sure; what was mended; or why there is none.
    ///
    /// # Errors
    /// The repair that leaving it out counts as.
    pub fn finish(mut self) -> Result<(Histogram, Repairs), Repair> {
        if self.counts.len() > BUCKETS_MAX {
            return Err(Repair::InconsistentHistogram);
        }
        let mut repairs = self.sort();
        let whole = |n: f64| (0.0..=9e15).contains(&n).then_some(n as u64).ok_or(Repair::InconsistentHistogram);
        let infinite = self.counts.last().filter(|(bound, _)| *bound == f64::INFINITY).map(|(_, n)| *n);
        let count = self.count.ok_or(Repair::MissingCount)?;
        let total: f64 = self.counts.iter().map(|(_, n)| n).sum();
        let last = self.counts.last().map_or(0.0, |(_, n)| *n);
        // Stalwart sends each bucket's own count. With all in the last bucket the two readings agree.
        if infinite.is_some() && last < count && total == count {
            let mut sum = 0.0;
            for (_, n) in &mut self.counts {
                sum += *n;
                *n = sum;
            }
            repairs.count(Repair::NotCumulative);
        }
        let rises = self.counts.is_sorted_by(|a, b| a.1 <= b.1);
        let fits = infinite.is_none_or(|_| self.counts.last().is_some_and(|(_, n)| *n == count));
        if !rises || !fits || self.counts.last().is_some_and(|(_, n)| *n > count) {
            return Err(Repair::InconsistentHistogram);
        }
        if infinite.is_some() {
            self.counts.pop();
        }
        if !self.counts.iter().all(|(bound, _)| bound.is_finite()) {
            return Err(Repair::InconsistentHistogram);
        }
        Ok((
            Histogram {
                bounds: self.counts.iter().map(|(bound, _)| *bound).collect(),
                cumulative: self.counts.iter().map(|(_, n)| whole(*n)).collect::<Result<_, _>>()?,
                sum: self.sum.filter(|sum| sum.is_finite()),
                count: whole(count)?,
            },
            repairs,
        ))
    }

    /// By their bounds. Of a bound that stands twice the first is kept, and each other one is counted.
    pub(super) fn sort(&mut self) -> Repairs {
        let (sent, mut repairs) = (self.counts.len(), Repairs::default());
        // Stable, or another might be the first.
        self.counts.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.counts.dedup_by(|a, b| a.0 == b.0);
        repairs.add(Repair::DuplicateSeries, (sent - self.counts.len()) as u64);
        repairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;
    /// Its buckets, its count, and what was mended.
    type Finished = (Vec<u64>, u64, Vec<(Repair, u64)>);

    #[track_caller]
    fn finish(counts: &[(f64, f64)], count: Option<f64>) -> Result<Finished, Repair> {
        let buckets = Buckets { counts: counts.to_vec(), sum: Some(1.0), count };
        buckets.finish().map(|(h, repairs)| (h.cumulative, h.count, repairs.iter().collect()))
    }

    #[test]
    fn buckets_are_cumulative_or_become_so() {
        assert_eq!(finish(&[(1.0, 2.0), (2.0, 3.0), (INF, 5.0)], Some(5.0)), Ok((vec![2, 3], 5, vec![])));
        assert_eq!(finish(&[(1.0, 2.0), (2.0, 1.0), (INF, 2.0)], Some(5.0)), Ok((vec![2, 3], 5, vec![(Repair::NotCumulative, 1)])));
        assert_eq!(finish(&[(1.0, 5.0), (2.0, 0.0), (INF, 0.0)], Some(5.0)), Ok((vec![5, 5], 5, vec![(Repair::NotCumulative, 1)])));
        assert_eq!(finish(&[(1.0, 0.0), (INF, 5.0)], Some(5.0)), Ok((vec![0], 5, vec![])));
        assert_eq!(finish(&[(1.0, 2.0), (2.0, 3.0)], Some(5.0)), Ok((vec![2, 3], 5, vec![])), "without +Inf");
        assert_eq!(finish(&[(INF, 5.0), (1.0, 2.0)], Some(5.0)), Ok((vec![2], 5, vec![])), "out of order");
    }

    #[test]
    fn of_a_bound_that_stands_twice_the_first_is_kept_and_the_others_are_counted() {
        let duplicates = |n| vec![(Repair::DuplicateSeries, n)];
        assert_eq!(finish(&[(1.0, 2.0), (1.0, 4.0), (INF, 5.0), (1.0, 3.0)], Some(5.0)), Ok((vec![2], 5, duplicates(2))));
        assert_eq!(finish(&[(1.0, 2.0), (INF, 5.0), (INF, 6.0)], Some(5.0)), Ok((vec![2], 5, duplicates(1))));
    }

    #[test]
    fn contradictions_are_left_out() {
        assert_eq!(finish(&[(1.0, 7.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(1.0, 3.0), (2.0, 2.0), (INF, 5.0)], Some(9.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(1.0, 3.0)], None), Err(Repair::MissingCount));
        // The specification of OpenTelemetry drops it, whatever the last bucket holds.
        assert_eq!(finish(&[(1.0, 3.0), (INF, 5.0)], None), Err(Repair::MissingCount));
        assert_eq!(finish(&[(1.0, -3.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(f64::NAN, 3.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(-INF, 3.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(-INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        let many: Vec<(f64, f64)> = (0..=BUCKETS_MAX).map(|bound| (bound as f64, 1.0)).collect();
        assert_eq!(finish(&many, Some(1.0)), Err(Repair::InconsistentHistogram));
    }
}
