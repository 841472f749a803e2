//! The size limit of requests: the configured one, or a smaller one if the receiver rejects larger requests. A larger limit is tried now
//! and then.

use parking_lot::{Mutex, MutexGuard};

/// The smallest limit: requests are not split further for a receiver that rejects all of them.
const LIMIT_BYTES_MIN: usize = 1024;
/// The number of accepted requests near the limit before a larger limit is tried.
const TRIAL_AFTER_REQUESTS: u32 = 100;
/// The largest number of such requests, after several larger limits have failed.
const TRIAL_AFTER_REQUESTS_MAX: u32 = 1000;

/// The size limit of one signal's requests, in bytes before compression.
#[derive(Debug)]
pub struct RequestSize {
    bytes_max: usize,
    state: Mutex<LimitState>,
}

#[derive(Debug)]
struct LimitState {
    limit: usize,
    /// The number of accepted requests near the limit since the limit changed.
    accepted: u32,
    trial_after: u32,
    /// The limit was raised, and no accepted request has confirmed it yet.
    is_trial: bool,
    /// The limit was lowered, and no accepted request has confirmed it yet.
    is_falling: bool,
}

impl RequestSize {
    /// Creates a limit of `bytes_max` bytes, which is never exceeded.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        let state = LimitState { limit: bytes_max, accepted: 0, trial_after: TRIAL_AFTER_REQUESTS, is_trial: false, is_falling: false };
        Self { bytes_max, state: Mutex::new(state) }
    }

    /// The size limit of the next request, in bytes.
    pub fn limit(&self) -> usize {
        self.state().limit
    }

    /// Records that the receiver accepted a request of this length. Returns the limit if this confirms it after larger requests were
    /// rejected.
    pub fn accepted(&self, len: usize) -> Option<usize> {
        let mut state = self.state();
        let confirmed = std::mem::take(&mut state.is_falling).then_some(state.limit);
        if state.limit < self.bytes_max && len > state.limit / 2 {
            if std::mem::take(&mut state.is_trial) {
                state.trial_after = TRIAL_AFTER_REQUESTS;
            }
            state.accepted += 1;
            if state.accepted >= state.trial_after {
                state.limit = state.limit.saturating_mul(2).min(self.bytes_max);
                (state.accepted, state.is_trial) = (0, true);
            }
        }
        confirmed
    }

    /// Records that the receiver rejected a request of this length as too large. The next requests are at most half as large.
    pub fn too_large(&self, len: usize) {
        let mut state = self.state();
        state.limit = state.limit.min(len / 2).max(LIMIT_BYTES_MIN);
        state.accepted = 0;
        if std::mem::take(&mut state.is_trial) {
            state.trial_after = state.trial_after.saturating_mul(2).min(TRIAL_AFTER_REQUESTS_MAX);
        } else {
            state.is_falling = true;
        }
    }

    fn state(&self) -> MutexGuard<'_, LimitState> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends requests as large as the limit to a receiver with this limit; returns how many it rejected.
    fn send(size: &RequestSize, requests: usize, receiver_max: usize) -> usize {
        let mut rejected = 0;
        for _ in 0..requests {
            let len = size.limit();
            if len <= receiver_max {
                size.accepted(len);
            } else {
                size.too_large(len);
                rejected += 1;
            }
        }
        rejected
    }

    #[test]
    fn the_accepted_size_becomes_the_limit() {
        let size = RequestSize::new(4_000_000);
        assert_eq!(send(&size, 10, 300_000), 4);
        assert_eq!(size.limit(), 250_000);
    }

    #[test]
    fn a_lower_limit_is_returned_once_when_it_is_confirmed() {
        let size = RequestSize::new(4_000_000);
        assert_eq!(size.accepted(4_000_000), None);
        size.too_large(4_000_000);
        size.too_large(2_000_000);
        assert_eq!(size.accepted(900_000), Some(1_000_000));
        assert_eq!(size.accepted(900_000), None);
    }

    #[test]
    fn a_larger_limit_is_tried_now_and_then_and_less_often_after_failures() {
        let size = RequestSize::new(4_000_000);
        send(&size, 10, 300_000);
        let rejected = send(&size, 10_000, 300_000);
        assert!((8..=20).contains(&rejected), "{rejected}");
        assert_eq!(size.limit(), 250_000);
    }

    #[test]
    fn the_limit_grows_with_the_receiver_up_to_the_configured_one() {
        let size = RequestSize::new(4_000_000);
        send(&size, 10, 300_000);
        assert_eq!(send(&size, 500, usize::MAX), 0);
        assert_eq!(size.limit(), 4_000_000);
    }

    #[test]
    fn small_requests_do_not_raise_the_limit() {
        let size = RequestSize::new(4_000_000);
        send(&size, 10, 300_000);
        (0..1000).for_each(|_| assert!(size.accepted(10_000).is_none_or(|limit| limit == 250_000)));
        assert_eq!(size.limit(), 250_000);
    }

    #[test]
    fn the_limit_has_a_minimum() {
        let size = RequestSize::new(4_000_000);
        send(&size, 100, 0);
        assert_eq!(size.limit(), LIMIT_BYTES_MIN);
    }
}
