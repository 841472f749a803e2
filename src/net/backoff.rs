//! Exponential backoff: pauses that double with each failure in a row, up to a longest pause, with optional jitter.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// Doublings after which a pause no longer grows. The longest pause limits it much earlier.
const DOUBLINGS_MAX: u32 = 31;

/// The pauses between attempts. Pure: the caller provides the random number for the jitter.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    max: Duration,
    /// The largest share of a pause that jitter takes off, from 0 to 1.
    jitter_share: f64,
    failures: u32,
}

impl Backoff {
    /// Pauses from `initial` to `max`, shortened at random by at most `jitter_share`, which keeps clients that failed together from
    /// retrying together.
    pub(crate) const fn new(initial: Duration, max: Duration, jitter_share: f64) -> Self {
        Self { initial, max, jitter_share, failures: 0 }
    }

    /// The pause after one more failure. `random` is from 0 to 1.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let pause = self.initial.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        if self.jitter_share > 0.0 { pause.mul_f64(1.0 - self.jitter_share * random) } else { pause }
    }

    /// Starts again from the initial pause, after a success.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random number from 0 to 1, for jitter only.
pub(crate) fn random_share() -> f64 {
    let bits = RandomState::new().hash_one(0_u8);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(seconds(5), seconds(30), 0.0);
        assert_eq!([(); 5].map(|()| backoff.next(0.5)), [5, 10, 20, 30, 30].map(seconds));
        (0..100).for_each(|_| assert_eq!(backoff.next(0.5), seconds(30)));
        backoff.reset();
        assert_eq!(backoff.next(0.5), seconds(5));
    }

    #[test]
    fn jitter_shortens_a_pause_by_at_most_its_share() {
        for (random, expected) in [(0.0, 20), (0.5, 15), (1.0, 10)] {
            assert_eq!(Backoff::new(seconds(20), seconds(30), 0.5).next(random), seconds(expected), "{random}");
        }
    }

    #[test]
    fn two_random_shares_differ() {
        let shares: Vec<f64> = (0..20).map(|_| random_share()).collect();
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        assert!(shares.iter().any(|share| *share != shares[0]));
    }
}
