//! Which series are remembered that a response omitted: for how long, and how many.

/// How long a series is remembered after it was last seen.
pub(super) const OMITTED_SECONDS_MAX: u64 = 3600;
/// Native series of a target that are remembered; of more, those that were seen last.
pub(super) const OMITTED_SERIES_MAX: usize = 100_000;
/// Canonical series of a target that are remembered: rules give far fewer.
pub(super) const OMITTED_CANONICAL_SERIES_MAX: usize = 10_000;

/// The omitted series that stay in memory: those that were seen last, within both limits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Retention {
    /// Series that were seen later than this stay.
    after: u64,
    /// How many of those stay that were seen at exactly this time.
    at: usize,
    /// Whether a series had to go for the sake of their number.
    pub(super) is_full: bool,
}

impl Retention {
    /// From the times at which the omitted series were last seen.
    pub(super) fn of(last_seen: impl Iterator<Item = u64>, now: u64, series_max: usize) -> Self {
        let expired = now.saturating_sub(OMITTED_SECONDS_MAX * 1_000_000_000);
        let mut times: Vec<u64> = last_seen.filter(|time| *time >= expired).collect();
        let Some(excess) = times.len().checked_sub(series_max).filter(|excess| *excess > 0) else {
            return Self { after: expired, at: usize::MAX, is_full: false };
        };
        let (_, &mut after, later) = times.select_nth_unstable(excess);
        let at = series_max - later.iter().filter(|time| **time > after).count();
        Self { after, at, is_full: true }
    }

    /// Whether a series stays that was last seen at this time. To be called once for each.
    pub(super) fn keeps(&mut self, last_seen: u64) -> bool {
        let boundary = last_seen == self.after && self.at > 0;
        self.at -= usize::from(boundary);
        last_seen > self.after || boundary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times that stay of these, an hour and more after zero.
    #[track_caller]
    fn stay(times: &[u64], series_max: usize, now_seconds: u64, expected: &[u64]) {
        const SECOND: u64 = 1_000_000_000;
        let mut retention = Retention::of(times.iter().map(|time| time * SECOND), now_seconds * SECOND, series_max);
        let kept: Vec<u64> = times.iter().copied().filter(|time| retention.keeps(time * SECOND)).collect();
        assert_eq!(kept, expected, "{times:?} within {series_max} at {now_seconds}");
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
