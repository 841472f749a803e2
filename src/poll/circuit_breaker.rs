//! A server that keeps failing is asked less often, until it answers.
//!
//! # What is said meanwhile
//!
//! `mail.up` 0 with the `error.type` of the last poll: a value of its own for "not asked" would hide what is wrong from whoever
//! alerts on it. Nothing is counted in `mail.poll.errors`, because nothing was tried. A refusal for asking too often neither
//! opens the circuit nor closes it: the server says itself when to come again, and that is kept elsewhere.
//!
//! # Parts
//!
//! An optional part has a circuit of its own, which counts only while the required part answers: a wrong token of one part is not tried
//! at every poll, and a server that was away is asked for everything as soon as it is back.
//!
//! # How late a recovery is seen
//!
//! By one pause at most, so the longest pause is short (`backoff_max`), and no pause begins before the third failure in a row.

use super::PollError;
use crate::net::Backoff;
use std::time::{Duration, Instant};

/// Failed polls in a row that open the circuit.
const FAILURES_MIN: u32 = 3;
/// How much of a pause chance takes off at most, so that servers that failed together are not asked together.
const JITTER_SHARE_MAX: f64 = 0.2;

/// Whether a target is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// At each collection that finds its reading too old.
    Closed,
    /// Not before `until`, and then once: an answer closes the circuit, a failure keeps it open for longer.
    Open {
        /// When it is asked again.
        until: Instant,
        /// Polls that failed in a row.
        failures: u32,
    },
}

/// The circuit of one target, or of an optional part.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    /// Pauses are longer than the shortest interval between two polls. Otherwise they would have no effect.
    is_enabled: bool,
    backoff: Backoff,
    failures: u32,
    open: Option<(Instant, PollError)>,
}

impl CircuitBreaker {
    pub(super) fn new(min_interval: Duration, pause_max: Duration) -> Self {
        let is_enabled = !min_interval.is_zero() && pause_max > min_interval;
        let backoff = Backoff::new(min_interval.saturating_mul(2), pause_max, JITTER_SHARE_MAX);
        Self { is_enabled, backoff, failures: 0, open: None }
    }

    /// Why nothing is asked now.
    pub(super) fn held(&self, now: Instant) -> Option<&PollError> {
        self.open.as_ref().filter(|(until, _)| *until > now).map(|(_, error)| error)
    }

    /// Whether the next poll is there to find out if the server answers at all.
    pub(super) fn is_probe(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the last poll failed.
    pub(super) fn is_suspect(&self) -> bool {
        self.failures > 0
    }

    pub(super) fn state(&self) -> Circuit {
        self.open.as_ref().map_or(Circuit::Closed, |(until, _)| Circuit::Open { until: *until, failures: self.failures })
    }

    /// A poll has ended; `chance` is from 0 to 1. Gives the pause, where this opened the circuit.
    pub(super) fn note(&mut self, now: Instant, error: Option<&PollError>, chance: f64) -> Option<Duration> {
        let Some(error) = error else {
            (self.failures, self.open) = (0, None);
            self.backoff.reset();
            return None;
        };
        if matches!(error, PollError::RateLimited(_)) {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        if !self.is_enabled || self.failures < FAILURES_MIN {
            return None;
        }
        let pause = self.backoff.next(chance);
        let was_closed = self.open.replace((now + pause, error.clone())).is_none();
        was_closed.then_some(pause)
    }
}

/// For the log: `3.3s`.
pub(super) fn to_tenths(pause: Duration) -> Duration {
    Duration::from_secs_f64((pause.as_secs_f64() * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> CircuitBreaker {
        CircuitBreaker::new(15 * SECOND, 120 * SECOND)
    }

    fn refused() -> PollError {
        PollError::Connect("refused".into())
    }

    fn fail(breaker: &mut CircuitBreaker, now: Instant, times: usize, error: &PollError, chance: f64) {
        for _ in 0..times {
            breaker.note(now, Some(error), chance);
        }
    }

    fn pause(breaker: &CircuitBreaker, now: Instant) -> u64 {
        match breaker.state() {
            Circuit::Closed => 0,
            Circuit::Open { until, .. } => until.duration_since(now).as_secs(),
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (mut breaker, now) = (breaker(), Instant::now());
        let pauses: Vec<u64> = (0..40)
            .map(|_| {
                breaker.note(now, Some(&refused()), 0.0);
                pause(&breaker, now)
            })
            .collect();
        assert_eq!(pauses[..7], [0, 0, 30, 60, 120, 120, 120]);
        assert_eq!(pauses[39], 120);
    }

    #[test]
    fn chance_shortens_a_pause_and_never_lengthens_it() {
        let now = Instant::now();
        for (chance, seconds) in [(0.0, 30), (0.5, 27), (1.0, 24)] {
            let mut breaker = breaker();
            fail(&mut breaker, now, 3, &refused(), chance);
            assert_eq!(pause(&breaker, now), seconds, "{chance}");
        }
    }

    #[test]
    fn it_opens_once_and_holds_until_its_time() {
        let (mut breaker, now) = (breaker(), Instant::now());
        let said: Vec<_> = (0..5).map(|_| breaker.note(now, Some(&refused()), 0.0)).collect();
        assert_eq!(said, [None, None, Some(30 * SECOND), None, None]);
        assert_eq!(breaker.state(), Circuit::Open { until: now + 120 * SECOND, failures: 5 });
        assert_eq!(breaker.held(now + 119 * SECOND), Some(&refused()));
        assert_eq!(breaker.held(now + 120 * SECOND), None);
        assert!(breaker.is_probe());
    }

    #[test]
    fn one_good_poll_closes_it_and_forgets() {
        let (mut breaker, now) = (breaker(), Instant::now());
        fail(&mut breaker, now, 10, &refused(), 0.0);
        breaker.note(now, None, 0.0);
        assert_eq!((breaker.state(), breaker.is_suspect(), breaker.is_probe()), (Circuit::Closed, false, false));
        let said: Vec<_> = (0..3).map(|_| breaker.note(now, Some(&refused()), 0.0)).collect();
        assert_eq!(said, [None, None, Some(30 * SECOND)]);
    }

    #[test]
    fn a_rate_limit_is_no_failure_and_no_answer() {
        let (mut breaker, now) = (breaker(), Instant::now());
        let limited = PollError::RateLimited(SECOND);
        fail(&mut breaker, now, 10, &limited, 0.0);
        assert_eq!(breaker.state(), Circuit::Closed);
        fail(&mut breaker, now, 3, &refused(), 0.0);
        breaker.note(now, Some(&limited), 0.0);
        assert_eq!(breaker.state(), Circuit::Open { until: now + 30 * SECOND, failures: 3 });
    }

    #[test]
    fn pauses_that_are_no_longer_than_the_interval_hold_nothing_back() {
        let (mut breaker, now) = (CircuitBreaker::new(Duration::ZERO, SECOND), Instant::now());
        fail(&mut breaker, now, 10, &refused(), 0.0);
        assert_eq!((breaker.held(now), breaker.state()), (None, Circuit::Closed));
    }
}
