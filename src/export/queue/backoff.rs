//! How long to wait before a request is sent once more.

use crate::config::Retry;
use super::request_exporter::RetryDecision;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that grow with each failure in a row, each a little longer or shorter by chance: many senders of one receiver that
/// comes back must not all ask at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    retry: Retry,
    failures: u32,
    chance: RandomState,
}

impl Backoff {
    /// As configured.
    #[must_use]
    pub fn new(retry: Retry) -> Self {
        Self { retry, failures: 0, chance: RandomState::new() }
    }

    /// Something was taken.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Something was not taken: how long to wait now, or `None` where the same would be refused again. What the receiver asks for
    /// is kept where it is longer.
    pub fn wait(&mut self, again: RetryDecision) -> Option<Duration> {
        let asked = match again {
            RetryDecision::Never => return None,
            RetryDecision::Later => Duration::ZERO,
            RetryDecision::After(asked) => asked,
        };
        let grown = self.retry.initial.saturating_mul(1 << self.failures.min(31)).min(self.retry.max);
        self.failures = self.failures.saturating_add(1);
        Some(grown.mul_f64(0.5 + 0.5 * self.unit()).max(asked))
    }

    /// From 0 up to 1.
    fn unit(&self) -> f64 {
        f64::from(self.chance.hash_one(self.failures) as u32) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry { initial: Duration::from_secs(5), max: Duration::from_secs(30), give_up_after: None };

    #[test]
    fn waits_double_up_to_the_longest_and_begin_again_after_a_success() {
        let mut backoff = Backoff::new(RETRY);
        for full in [5, 10, 20, 30, 30, 30] {
            let wait = backoff.wait(RetryDecision::Later).unwrap_or_default();
            let full = Duration::from_secs(full);
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.wait(RetryDecision::Later).is_some_and(|wait| wait <= RETRY.initial));
    }

    #[test]
    fn a_receiver_may_ask_for_more_and_not_for_less() {
        let mut backoff = Backoff::new(RETRY);
        assert_eq!(backoff.wait(RetryDecision::After(Duration::from_secs(60))), Some(Duration::from_secs(60)));
        assert!(backoff.wait(RetryDecision::After(Duration::ZERO)).is_some_and(|wait| wait >= RETRY.initial));
        assert_eq!(backoff.wait(RetryDecision::Never), None);
    }

    #[test]
    fn senders_do_not_ask_in_step() {
        let first = || Backoff::new(RETRY).wait(RetryDecision::Later);
        assert!((0..20).any(|_| first() != first()));
    }
}
