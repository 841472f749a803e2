//! Histograms and summaries that a mail server aggregated.

use super::scale;
use std::borrow::Cow;

/// A classic histogram: for each bound, the number of observations at or below it.
///
/// The count of the bucket without a bound is `count`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bounds, ascending, without infinity.
    pub bounds: Vec<f64>,
    /// Cumulative counts, one per bound.
    pub cumulative: Vec<u64>,
    /// The sum of the observations, if the server reports it. It may be infinite or NaN.
    pub sum: Option<f64>,
    /// The number of observations.
    pub count: u64,
}

impl Histogram {
    /// Adds the observations of another histogram, on the bounds that both have. Returns false and changes nothing if they have no bounds
    /// in common, or if the counts are too large.
    #[must_use]
    pub fn add(&mut self, other: &Self) -> bool {
        let Some(count) = self.count.checked_add(other.count) else { return false };
        // The sum of two counts cannot overflow: neither is larger than its histogram's count.
        let (bounds, cumulative): (Vec<f64>, Vec<u64>) = self.common_buckets(other).map(|(bound, n, other_n)| (bound, n + other_n)).unzip();
        if bounds.is_empty() && !(self.bounds.is_empty() && other.bounds.is_empty()) {
            return false;
        }
        let sum = self.sum.zip(other.sum).map(|(a, b)| a + b).filter(|sum| sum.is_finite());
        *self = Self { bounds, cumulative, sum, count };
        true
    }

    /// The bounds that both histograms have, with the cumulative count of each.
    pub fn common_buckets<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (f64, u64, u64)> + 'a {
        let mut other_buckets = other.bounds.iter().zip(&other.cumulative).peekable();
        self.bounds.iter().zip(&self.cumulative).filter_map(move |(bound, n)| {
            while other_buckets.next_if(|(other_bound, _)| *other_bound < bound).is_some() {}
            other_buckets.next_if(|(other_bound, _)| *other_bound == bound).map(|(_, other_n)| (*bound, *n, *other_n))
        })
    }

    /// The same histogram on those bounds that the other one has, too.
    #[must_use]
    pub fn on_common_bounds(&self, other: &Self) -> Cow<'_, Self> {
        if self.bounds == other.bounds {
            return Cow::Borrowed(self);
        }
        let (bounds, cumulative) = self.common_buckets(other).map(|(bound, n, _)| (bound, n)).unzip();
        Cow::Owned(Self { bounds, cumulative, sum: self.sum, count: self.count })
    }

    /// Returns true if this histogram has every bucket of the one before, and a sum if that one has a sum. A receiver that stores one
    /// series per bucket would keep the others otherwise.
    #[must_use]
    pub fn has_series_of(&self, before: &Self) -> bool {
        let has_sum = |histogram: &Self| histogram.sum.is_some_and(|sum| !sum.is_nan());
        let has_bounds = || self.bounds == before.bounds || contains_all(self.bounds.iter(), before.bounds.iter());
        (has_sum(self) || !has_sum(before)) && has_bounds()
    }

    /// The same histogram in another unit: bounds and sum are multiplied by `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self {
            bounds: self.bounds.iter().map(|bound| scale(*bound, factor)).collect(),
            sum: self.sum.map(|sum| scale(sum, factor)),
            cumulative: self.cumulative.clone(),
            count: self.count,
        }
    }
}

/// A summary: quantiles that the server computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Quantiles from 0 to 1, ascending, and their values.
    pub quantiles: Vec<(f64, f64)>,
    /// The sum of the observations, if the server reports it.
    pub sum: Option<f64>,
    /// The number of observations, if the server reports it.
    pub count: Option<u64>,
}

impl Summary {
    /// Returns true if this summary has every quantile of the one before. Its sum and its count are exported in any case.
    #[must_use]
    pub fn has_series_of(&self, before: &Self) -> bool {
        contains_all(self.quantiles.iter().map(|(quantile, _)| quantile), before.quantiles.iter().map(|(quantile, _)| quantile))
    }

    /// Returns true if the summary has neither quantiles, nor a sum, nor a count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.quantiles.is_empty() && self.sum.is_none() && self.count.is_none()
    }
}

/// Returns true if ascending numbers contain all of some ascending numbers.
fn contains_all<'a>(numbers: impl Iterator<Item = &'a f64>, mut some: impl Iterator<Item = &'a f64>) -> bool {
    let mut numbers = numbers.peekable();
    some.all(|n| {
        while numbers.next_if(|number| *number < n).is_some() {}
        numbers.peek() == Some(&n)
    })
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
    fn histograms_are_added_on_common_bounds() {
        let small = histogram(&[(1.0, 1), (5.0, 3)], Some(7.0), 4);
        adds(&small, &histogram(&[(1.0, 10), (5.0, 20)], Some(100.0), 40), Some(&histogram(&[(1.0, 11), (5.0, 23)], Some(107.0), 44)));
        adds(&small, &histogram(&[(0.5, 9), (5.0, 20), (9.0, 30)], None, 40), Some(&histogram(&[(5.0, 23)], None, 44)));
        adds(&histogram(&[], Some(1.0), 2), &histogram(&[], Some(3.0), 4), Some(&histogram(&[], Some(4.0), 6)));
    }

    #[test]
    fn histograms_without_common_bounds_cannot_be_added() {
        let small = histogram(&[(1.0, 1), (5.0, 3)], Some(7.0), 4);
        adds(&small, &histogram(&[(2.0, 10)], Some(100.0), 40), None);
        adds(&small, &histogram(&[], Some(100.0), 40), None);
        adds(&small, &histogram(&[(1.0, 1)], None, u64::MAX), None);
    }

    #[test]
    fn a_bucket_a_sum_or_a_quantile_can_be_missing() {
        let of = |bounds: &[f64], sum| histogram(&bounds.iter().map(|bound| (*bound, 1)).collect::<Vec<_>>(), sum, 2);
        let before = of(&[1.0, 2.0], Some(3.0));
        for (now, expected) in [
            (of(&[1.0, 2.0], Some(4.0)), true),
            (of(&[0.5, 1.0, 1.5, 2.0, 5.0], Some(f64::INFINITY)), true),
            (of(&[1.0, 2.0], None), false),
            (of(&[1.0, 2.0], Some(f64::NAN)), false),
            (of(&[1.0], Some(3.0)), false),
            (of(&[1.0, 3.0], Some(3.0)), false),
            (of(&[], Some(3.0)), false),
        ] {
            assert_eq!(now.has_series_of(&before), expected, "{now:?}");
        }
        assert!(of(&[1.0], None).has_series_of(&of(&[1.0], Some(f64::NAN))));
        assert!(before.has_series_of(&of(&[], None)));

        let of =
            |quantiles: &[f64]| Summary { quantiles: quantiles.iter().map(|quantile| (*quantile, 1.0)).collect(), ..Summary::default() };
        for (now, before, expected) in [
            (&[0.5, 0.9][..], &[0.5, 0.9][..], true),
            (&[0.1, 0.5, 0.7, 0.9], &[0.5, 0.9], true),
            (&[0.5], &[0.5, 0.9], false),
            (&[], &[0.5], false),
            (&[0.5], &[], true),
        ] {
            assert_eq!(of(now).has_series_of(&of(before)), expected, "{now:?} {before:?}");
        }
    }
}
