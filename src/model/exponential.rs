//! Buckets whose bounds are powers of one base: an exponential histogram of OpenTelemetry, or a native histogram of Prometheus.
//!
//! # Scales that both have
//!
//! Bucket `i` of scale `s` holds the values above `b^i`, up to `b^(i + 1)`, where `b` is 2 to the power of `2^-s`. Prometheus calls the
//! scale a schema, supports −4 to 8, and numbers the same bucket `i + 1`. The buckets begin with scale 8 and halve their resolution when
//! the values need more than [`BUCKETS_MAX`] buckets. All numbers have a bucket at scale −4, so nothing is ever left out.

use std::sync::LazyLock;

/// Buckets of one histogram: OpenTelemetry's default.
pub const BUCKETS_MAX: usize = 160;
/// Values up to this one are in the zero bucket: 2 to the power of −128, the default of Prometheus' client libraries.
pub const ZERO_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);
/// The scale of empty buckets: the finest one that Prometheus supports.
const SCALE_MAX: i32 = 8;
/// The number of buckets from one power of two to the next, at [`SCALE_MAX`].
const PER_POWER: usize = 1 << SCALE_MAX;

/// The lower bounds of the buckets from 1 to 2, at [`SCALE_MAX`].
static BOUNDS: LazyLock<[f64; PER_POWER]> = LazyLock::new(|| std::array::from_fn(|i| (i as f64 / PER_POWER as f64).exp2()));

/// The counts of positive numbers, in buckets that grow exponentially.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExponentialBuckets {
    /// The scale.
    pub scale: i32,
    /// The number of values from 0 to [`ZERO_THRESHOLD`].
    pub zero_count: u64,
    /// The index of the first bucket of `counts`.
    pub offset: i32,
    /// Counts of consecutive buckets. Not cumulative.
    pub counts: Vec<u64>,
}

impl Default for ExponentialBuckets {
    fn default() -> Self {
        Self { scale: SCALE_MAX, zero_count: 0, offset: 0, counts: Vec::new() }
    }
}

impl ExponentialBuckets {
    /// Counts a value, which must be finite and not negative.
    pub fn add(&mut self, value: f64) {
        if value <= ZERO_THRESHOLD {
            self.zero_count += 1;
            return;
        }
        let mut index = finest_index(value) >> (SCALE_MAX - self.scale);
        while self.range_with(index) > BUCKETS_MAX {
            self.reduce(1);
            index >>= 1;
        }
        if self.counts.is_empty() {
            self.offset = index;
        }
        if index < self.offset {
            let missing = (self.offset - index) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.offset = index;
        }
        let position = (index - self.offset) as usize;
        if position >= self.counts.len() {
            self.counts.resize(position + 1, 0);
        }
        self.counts[position] += 1;
    }

    /// The number of buckets if this one is added.
    fn range_with(&self, index: i32) -> usize {
        if self.counts.is_empty() {
            return 1;
        }
        let last = self.offset + self.counts.len() as i32 - 1;
        (last.max(index) - self.offset.min(index) + 1) as usize
    }

    /// Lowers the scale by this many steps. Each step merges two neighbouring buckets.
    pub fn reduce(&mut self, steps: u32) {
        // From the finest to the coarsest scale of any sender, a larger number of steps changes nothing more.
        let steps = steps.min(i32::BITS - 1);
        let first = self.offset >> steps;
        let mut counts = Vec::new();
        for (i, count) in self.counts.iter().enumerate() {
            let position = (((self.offset + i as i32) >> steps) - first) as usize;
            if position >= counts.len() {
                counts.resize(position + 1, 0);
            }
            counts[position] += count;
        }
        (self.scale, self.offset, self.counts) = (self.scale - steps as i32, first, counts);
    }
}

/// The index of a value's bucket at [`SCALE_MAX`].
fn finest_index(value: f64) -> i32 {
    let bits = value.to_bits();
    // Values below the zero threshold, and so all subnormal ones, are not counted in these buckets.
    let exponent = (bits >> 52) as i32 - 1023;
    let fraction = f64::from_bits(bits & (u64::MAX >> 12) | 1023 << 52);
    let below = BOUNDS.partition_point(|bound| *bound < fraction);
    exponent * PER_POWER as i32 + below as i32 - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> ExponentialBuckets {
        let mut buckets = ExponentialBuckets::default();
        values.iter().for_each(|value| buckets.add(*value));
        buckets
    }

    /// The bounds of each bucket that is not empty, and its count.
    fn filled(buckets: &ExponentialBuckets) -> Vec<(f64, f64, u64)> {
        let bound = |index: i32| (f64::from(index) * f64::from(-buckets.scale).exp2()).exp2();
        let all = buckets.counts.iter().zip(buckets.offset..);
        all.filter(|(count, _)| **count > 0).map(|(count, index)| (bound(index), bound(index + 1), *count)).collect()
    }

    #[test]
    fn a_bucket_includes_its_upper_bound_only() {
        for (value, lower, upper) in [(1.0, 0.5, 1.0), (1.5, 1.0, 2.0), (2.0, 1.0, 2.0), (2.000_001, 2.0, 4.0), (0.25, 0.125, 0.25)] {
            let mut buckets = of(&[value]);
            buckets.reduce(8);
            assert_eq!((buckets.scale, filled(&buckets)), (0, vec![(lower, upper, 1)]), "{value}");
        }
    }

    #[test]
    fn each_value_is_within_the_bounds_of_its_bucket() {
        for exponent in -120..1000 {
            for step in 0..40 {
                let value = f64::from(exponent).exp2() * (1.0 + f64::from(step) / 40.0);
                let buckets = of(&[value]);
                let (lower, upper, _) = filled(&buckets)[0];
                let error = value * 1e-12;
                assert!(lower - error <= value && value <= upper + error, "{value}: {lower} to {upper}");
                assert!((upper / lower - 1.0) < 0.003, "{value}");
            }
        }
    }

    #[test]
    fn the_resolution_adapts_to_the_range_and_nothing_is_lost() {
        let values: Vec<f64> = (0..2000).map(|i| 0.001 * 1.02_f64.powi(i % 1000)).chain([0.0, 0.0, 1e-300]).collect();
        let buckets = of(&values);
        assert!(buckets.counts.len() <= BUCKETS_MAX);
        assert_eq!((buckets.zero_count, buckets.counts.iter().sum::<u64>()), (3, 2000));
        let mut reversed = values.clone();
        reversed.reverse();
        assert_eq!(of(&reversed), buckets);
        let widest = of(&[f64::MAX, ZERO_THRESHOLD * 1.1]);
        assert!(widest.scale >= -4 && widest.counts.iter().sum::<u64>() == 2, "{widest:?}");
    }

    #[test]
    fn a_reduced_histogram_equals_one_that_was_coarse_from_the_start() {
        let values: Vec<f64> = (1..500).map(|i| f64::from(i) * 0.37).collect();
        let (fine, coarse) = (of(&values[..3]), of(&values));
        let mut reduced = fine.clone();
        reduced.reduce((fine.scale - coarse.scale) as u32);
        assert_eq!(reduced.scale, coarse.scale);
        let mut last = of(&values[..3]);
        last.reduce((last.scale - coarse.scale) as u32);
        assert_eq!(last, reduced);
        assert_eq!(reduced.counts.iter().sum::<u64>(), 3);
    }
}
