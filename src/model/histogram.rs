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
    /// Adds the observations of another one, onto the bounds that both have. `false`, and nothing added, where they have none in common
    /// or the counts are too large.
    #[must_use]
    pub fn add(&mut self, other: &Self) -> bool {
        let Some(count) = self.count.checked_add(other.count) else { return false };
        let (mut bounds, mut cumulative) = (Vec::new(), Vec::new());
        let mut others = other.bounds.iter().zip(&other.cumulative).peekable();
        for (bound, n) in self.bounds.iter().zip(&self.cumulative) {
            while others.next_if(|(theirs, _)| *theirs < bound).is_some() {}
            if let Some((_, theirs)) = others.next_if(|(theirs, _)| *theirs == bound) {
                // Neither is larger than the sum of both counts.
                bounds.push(*bound);
                cumulative.push(n + theirs);
            }
        }
        if bounds.is_empty() && !(self.bounds.is_empty() && other.bounds.is_empty()) {
            return false;
        }
        let sum = self.sum.zip(other.sum).map(|(a, b)| a + b).filter(|sum| sum.is_finite());
        *self = Self { bounds, cumulative, sum, count };
        true
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(f64, u64)], sum: Option<f64>, count: u64) -> Histogram {
        let (bounds, cumulative) = buckets.iter().copied().unzip();
        Histogram { bounds, cumulative, sum, count }
    }

    #[track_caller]
    fn adds(a: &Histogram, b: &Histogram, expected: Option<&Histogram>) {
        for (first, second) in [(a, b), (b, a)] {
            let mut sum = first.clone();
            assert_eq!((sum.add(second), &sum), (expected.is_some(), expected.unwrap_or(first)));
        }
    }

    #[test]
    fn histograms_add_up_on_the_bounds_that_they_share() {
        let small = histogram(&[(1.0, 1), (5.0, 3)], Some(7.0), 4);
        adds(&small, &histogram(&[(1.0, 10), (5.0, 20)], Some(100.0), 40), Some(&histogram(&[(1.0, 11), (5.0, 23)], Some(107.0), 44)));
        adds(&small, &histogram(&[(0.5, 9), (5.0, 20), (9.0, 30)], None, 40), Some(&histogram(&[(5.0, 23)], None, 44)));
        adds(&histogram(&[], Some(1.0), 2), &histogram(&[], Some(3.0), 4), Some(&histogram(&[], Some(4.0), 6)));
    }

    #[test]
    fn histograms_without_a_common_bound_do_not_add_up() {
        let small = histogram(&[(1.0, 1), (5.0, 3)], Some(7.0), 4);
        adds(&small, &histogram(&[(2.0, 10)], Some(100.0), 40), None);
        adds(&small, &histogram(&[], Some(100.0), 40), None);
        adds(&small, &histogram(&[(1.0, 1)], None, u64::MAX), None);
    }
}
