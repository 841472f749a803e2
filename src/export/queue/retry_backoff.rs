//! The pause before a request is sent again.

use super::request_exporter::RetryDecision;
use crate::config::Retry;
use crate::net::{Backoff, random_share};
use std::time::Duration;

/// A pause is shortened at random by at most this share: clients of a receiver that recovers must not all retry at once.
const JITTER_SHARE: f64 = 0.5;

/// The export's backoff: the configured pauses, or a longer pause that the receiver requests.
#[derive(Clone, Debug)]
pub struct RetryBackoff(Backoff);

impl RetryBackoff {
    /// Pauses as configured.
    #[must_use]
    pub const fn new(retry: Retry) -> Self {
        Self(Backoff::new(retry.initial, retry.max, JITTER_SHARE))
    }

    /// Starts again from the initial pause, after a request was accepted.
    pub const fn reset(&mut self) {
        self.0.reset();
    }

    /// The pause before the request is sent again, or `None` if it must not be. A longer pause that the receiver requests is kept.
    pub fn next(&mut self, decision: RetryDecision) -> Option<Duration> {
        let requested = match decision {
            RetryDecision::Never => return None,
            RetryDecision::Later => Duration::ZERO,
            RetryDecision::After(requested) => requested,
        };
        Some(self.0.next(random_share()).max(requested))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry { initial: Duration::from_secs(5), max: Duration::from_secs(30), give_up_after: None };

    #[test]
    fn pauses_are_at_most_the_configured_ones_and_at_least_half_of_them() {
        let mut backoff = RetryBackoff::new(RETRY);
        for full in [5, 10, 20, 30, 30, 30] {
            let pause = backoff.next(RetryDecision::Later).unwrap_or_default();
            let full = Duration::from_secs(full);
            assert!(pause >= full / 2 && pause <= full, "{pause:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.next(RetryDecision::Later).is_some_and(|pause| pause <= RETRY.initial));
    }

    #[test]
    fn a_receiver_may_request_a_longer_pause_and_not_a_shorter_one() {
        let mut backoff = RetryBackoff::new(RETRY);
        assert_eq!(backoff.next(RetryDecision::After(Duration::from_secs(60))), Some(Duration::from_secs(60)));
        assert!(backoff.next(RetryDecision::After(Duration::ZERO)).is_some_and(|pause| pause >= RETRY.initial));
        assert_eq!(backoff.next(RetryDecision::Never), None);
    }
}
