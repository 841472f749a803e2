//! How large a request may be: as configured, or what the receiver was seen to accept, and a larger one now and then.

use parking_lot::{Mutex, MutexGuard};

/// Requests are not split below this for a receiver that rejects all of them.
const LIMIT_BYTES_MIN: usize = 1024;
/// So many requests near the limit are accepted before a larger one is tried.
const TRIAL_AFTER_REQUESTS: u32 = 100;
/// The same, after larger ones were rejected again and again.
const TRIAL_AFTER_REQUESTS_MAX: u32 = 1000;

/// The limit of one signal's requests, in bytes before compression.
#[derive(Debug)]
pub struct RequestSize {
    bytes_max: usize,
    learned: Mutex<Learned>,
}

#[derive(Debug)]
struct Learned {
    limit: usize,
    /// Requests near the limit that were accepted since it changed.
    accepted: u32,
    trial_after: u32,
    /// A larger limit is being tried, which nothing has confirmed.
    is_trial: bool,
    /// It has become smaller, and that is not known to suffice.
    is_falling: bool,
}

impl RequestSize {
    /// Never above this.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        let learned = Learned { limit: bytes_max, accepted: 0, trial_after: TRIAL_AFTER_REQUESTS, is_trial: false, is_falling: false };
        Self { bytes_max, learned: Mutex::new(learned) }
    }

    /// The limit for the next request.
    pub fn limit(&self) -> usize {
        self.learned().limit
    }

    /// The receiver accepted a request of this length. Returns a limit that is confirmed now, after others were too large.
    pub fn accepted(&self, len: usize) -> Option<usize> {
        let mut learned = self.learned();
        let confirmed = std::mem::take(&mut learned.is_falling).then_some(learned.limit);
        if learned.limit < self.bytes_max && len > learned.limit / 2 {
            if std::mem::take(&mut learned.is_trial) {
                learned.trial_after = TRIAL_AFTER_REQUESTS;
            }
            learned.accepted += 1;
            if learned.accepted >= learned.trial_after {
                learned.limit = learned.limit.saturating_mul(2).min(self.bytes_max);
                (learned.accepted, learned.is_trial) = (0, true);
            }
        }
        confirmed
    }

    /// The receiver rejected a request of this length as too large: the next ones are half as large at most.
    pub fn too_large(&self, len: usize) {
        let mut learned = self.learned();
        learned.limit = learned.limit.min(len / 2).max(LIMIT_BYTES_MIN);
        learned.accepted = 0;
        if std::mem::take(&mut learned.is_trial) {
            learned.trial_after = learned.trial_after.saturating_mul(2).min(TRIAL_AFTER_REQUESTS_MAX);
        } else {
            learned.is_falling = true;
        }
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock()
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
    fn the_accepted_size_is_remembered() {
        let size = RequestSize::new(4_000_000);
        assert_eq!(send(&size, 10, 300_000), 4);
        assert_eq!(size.limit(), 250_000);
    }

    #[test]
    fn it_is_announced_once_when_it_is_confirmed() {
        let size = RequestSize::new(4_000_000);
        assert_eq!(size.accepted(4_000_000), None);
        size.too_large(4_000_000);
        size.too_large(2_000_000);
        assert_eq!(size.accepted(900_000), Some(1_000_000));
        assert_eq!(size.accepted(900_000), None);
    }

    #[test]
    fn a_larger_one_is_tried_now_and_then_and_ever_more_rarely() {
        let size = RequestSize::new(4_000_000);
        send(&size, 10, 300_000);
        let rejected = send(&size, 10_000, 300_000);
        assert!((8..=20).contains(&rejected), "{rejected}");
        assert_eq!(size.limit(), 250_000);
    }

    #[test]
    fn it_grows_again_with_the_receiver_up_to_what_is_configured() {
        let size = RequestSize::new(4_000_000);
        send(&size, 10, 300_000);
        assert_eq!(send(&size, 500, usize::MAX), 0);
        assert_eq!(size.limit(), 4_000_000);
    }

    #[test]
    fn small_requests_prove_nothing_about_a_larger_limit() {
        let size = RequestSize::new(4_000_000);
        send(&size, 10, 300_000);
        (0..1000).for_each(|_| assert!(size.accepted(10_000).is_none_or(|limit| limit == 250_000)));
        assert_eq!(size.limit(), 250_000);
    }

    #[test]
    fn it_has_a_smallest_size() {
        let size = RequestSize::new(4_000_000);
        send(&size, 100, 0);
        assert_eq!(size.limit(), LIMIT_BYTES_MIN);
    }
}
