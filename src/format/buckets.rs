//! Buckets of one histogram while they are read, and what is wrong with them.

use crate::model::{Histogram, Repair};

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
    pub fn finish(mut self) -> Result<(Histogram, Option<Repair>), Repair> {
        if self.counts.len() > BUCKETS_MAX {
            return Err(Repair::InconsistentHistogram);
        }
        self.counts.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.counts.dedup_by(|a, b| a.0 == b.0);
        let whole = |n: f64| (0.0..=9e15).contains(&n).then_some(n as u64).ok_or(Repair::InconsistentHistogram);
        let infinite = self.counts.last().filter(|(bound, _)| *bound == f64::INFINITY).map(|(_, n)| *n);
        let count = self.count.or(infinite).ok_or(Repair::InconsistentHistogram)?;
        let total: f64 = self.counts.iter().map(|(_, n)| n).sum();
        let last = self.counts.last().map_or(0.0, |(_, n)| *n);
        let mut repair = None;
        // Stalwart sends each bucket's own count. With all in the last bucket the two readings agree.
        if infinite.is_some() && last < count && total == count {
            let mut sum = 0.0;
            for (_, n) in &mut self.counts {
                sum += *n;
                *n = sum;
            }
            repair = Some(Repair::NotCumulative);
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
            repair,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    #[track_caller]
    fn finish(counts: &[(f64, f64)], count: Option<f64>) -> Result<(Vec<u64>, u64, Option<Repair>), Repair> {
        let buckets = Buckets { counts: counts.to_vec(), sum: Some(1.0), count };
        buckets.finish().map(|(h, repair)| (h.cumulative, h.count, repair))
    }

    #[test]
    fn buckets_are_cumulative_or_become_so() {
        assert_eq!(finish(&[(1.0, 2.0), (2.0, 3.0), (INF, 5.0)], Some(5.0)), Ok((vec![2, 3], 5, None)));
        assert_eq!(finish(&[(1.0, 2.0), (2.0, 1.0), (INF, 2.0)], Some(5.0)), Ok((vec![2, 3], 5, Some(Repair::NotCumulative))));
        assert_eq!(finish(&[(1.0, 5.0), (2.0, 0.0), (INF, 0.0)], Some(5.0)), Ok((vec![5, 5], 5, Some(Repair::NotCumulative))));
        assert_eq!(finish(&[(1.0, 0.0), (INF, 5.0)], Some(5.0)), Ok((vec![0], 5, None)));
        assert_eq!(finish(&[(1.0, 2.0), (2.0, 3.0)], Some(5.0)), Ok((vec![2, 3], 5, None)), "without +Inf");
        assert_eq!(finish(&[(INF, 5.0), (1.0, 2.0)], None), Ok((vec![2], 5, None)), "without count, out of order");
    }

    #[test]
    fn contradictions_are_left_out() {
        assert_eq!(finish(&[(1.0, 7.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(1.0, 3.0), (2.0, 2.0), (INF, 5.0)], Some(9.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(1.0, 3.0)], None), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(1.0, -3.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(f64::NAN, 3.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(-INF, 3.0), (INF, 5.0)], Some(5.0)), Err(Repair::InconsistentHistogram));
        assert_eq!(finish(&[(-INF, 5.0)], None), Err(Repair::InconsistentHistogram));
        let many: Vec<(f64, f64)> = (0..=BUCKETS_MAX).map(|bound| (bound as f64, 1.0)).collect();
        assert_eq!(finish(&many, Some(1.0)), Err(Repair::InconsistentHistogram));
    }
}
