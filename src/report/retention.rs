//! The limits, in time and number, for remembering series that a response omitted.

use super::times::UnixNanos;
use crate::model::NANOS_PER_SECOND;

/// The time for which a series is remembered after it was last seen.
pub(super) const OMITTED_NANOS_MAX: u64 = 3600 * NANOS_PER_SECOND;
/// Omitted native series that are remembered per target; beyond this, only those that were seen last.
pub(super) const OMITTED_SERIES_MAX: usize = 100_000;
/// Omitted canonical series that are remembered per target. Rules produce far fewer.
pub(super) const OMITTED_CANONICAL_SERIES_MAX: usize = 10_000;

/// Decides which omitted series stay in memory: those that were seen last, within both limits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Retention {
    /// Series that were seen later than this stay.
    after: u64,
    /// The number of series to keep that were seen at exactly this time.
    at_boundary: usize,
    /// Series are removed because there are too many.
    pub(super) is_full: bool,
}

impl Retention {
    /// A retention for series that were last seen at these times.
    pub(super) fn of(last_seen: impl Iterator<Item = UnixNanos>, now: UnixNanos, series_max: usize) -> Self {
        let expired = now.get().saturating_sub(OMITTED_NANOS_MAX);
        let mut times: Vec<u64> = last_seen.map(UnixNanos::get).filter(|time| *time >= expired).collect();
        let Some(excess) = times.len().checked_sub(series_max).filter(|excess| *excess > 0) else {
            return Self { after: expired, at_boundary: usize::MAX, is_full: false };
        };
        let (_, &mut after, later) = times.select_nth_unstable(excess);
        let at_boundary = series_max - later.iter().filter(|time| **time > after).count();
        Self { after, at_boundary, is_full: true }
    }

    /// Returns true if a series stays that was last seen at this time. Must be called exactly once per series.
    pub(super) fn keeps(&mut self, last_seen: UnixNanos) -> bool {
        let last_seen = last_seen.get();
        let is_at_boundary = last_seen == self.after && self.at_boundary > 0;
        self.at_boundary -= usize::from(is_at_boundary);
        last_seen > self.after || is_at_boundary
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Checks which series stay of those that were seen at these seconds.
    #[track_caller]
    fn stay(seconds: &[u64], series_max: usize, now_seconds: u64, expected: &[u64]) {
        let time = |seconds: u64| UnixNanos::new(seconds * NANOS_PER_SECOND).unwrap();
        let mut retention = Retention::of(seconds.iter().copied().map(time), time(now_seconds), series_max);
        let kept: Vec<u64> = seconds.iter().copied().filter(|seconds| retention.keeps(time(*seconds))).collect();
        assert_eq!(kept, expected, "{seconds:?} with a limit of {series_max} at {now_seconds}");
    }

    #[test]
    fn the_series_that_were_seen_last_stay_for_an_hour() {
        stay(&[5, 3, 9], 3, 10, &[5, 3, 9]);
        stay(&[5, 3, 9], 2, 10, &[5, 9]);
        stay(&[5, 3, 9, 5, 5], 3, 10, &[5, 9, 5]);
        stay(&[5, 5, 5], 2, 10, &[5, 5]);
        stay(&[5, 3, 9], 3, 3605, &[5, 9]);
        stay(&[5, 3, 9], 1, 3606, &[9]);
        stay(&[5, 3, 9], 3, 9999, &[]);
        stay(&[], 3, 10, &[]);
    }
}
