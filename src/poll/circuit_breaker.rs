//! Circuit breaker: a server that fails repeatedly is polled less often, until it responds.
//!
//! # Readings while the circuit is open
//!
//! They have `mail.up` 0 and the `error.type` of the last poll: a special value for "not polled" would hide the cause from alerts. Nothing
//! is counted in `postmeter.poll.errors`, because no request was sent. A rejection by a rate limit neither opens the circuit nor closes it:
//! the server itself determines the next request, which [`rate_budget`](super::rate_budget) enforces.
//!
//! # Parts
//!
//! An optional part has a circuit of its own, which counts only while the required part responds. So an invalid token of one part is not
//! sent at every poll, and after an outage all parts are requested at once.
//!
//! # Delay of a recovery
//!
//! A recovery is noticed at most one pause late. Therefore the longest pause is short (`backoff_max`), and there is no pause before the
//! third failure in a row.

use super::PollError;
use crate::net::Backoff;
use std::time::{Duration, Instant};

/// Failed polls in a row that open the circuit.
const FAILURES_MIN: u32 = 3;
/// The largest share of a pause that jitter takes off, so that servers that failed together are not polled together.
const JITTER_SHARE_MAX: f64 = 0.2;

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// The target is polled whenever a collection finds its reading too old.
    Closed,
    /// The target is not polled before `until`, and then once: a success closes the circuit, a failure prolongs the pause.
    Open {
        /// The time of the next poll.
        until: Instant,
        /// Failed polls in a row.
        failures: u32,
    },
}

/// The circuit breaker of a target, or of an optional part.
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

    /// The error that opened the circuit, while it prevents requests.
    pub(super) fn blocking_error(&self, now: Instant) -> Option<&PollError> {
        self.open.as_ref().filter(|(until, _)| *until > now).map(|(_, error)| error)
    }

    /// Returns true if the next poll tests whether the server responds again.
    pub(super) fn is_probe(&self) -> bool {
        self.open.is_some()
    }

    /// Returns true if the last poll failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    pub(super) fn state(&self) -> Circuit {
        self.open.as_ref().map_or(Circuit::Closed, |(until, _)| Circuit::Open { until: *until, failures: self.failures })
    }

    /// Records the outcome of a poll. `random` is from 0 to 1. Returns the pause if this outcome opened the circuit.
    pub(super) fn record(&mut self, now: Instant, error: Option<&PollError>, random: f64) -> Option<Duration> {
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
        let pause = self.backoff.next(random);
        let was_closed = self.open.replace((now + pause, error.clone())).is_none();
        was_closed.then_some(pause)
    }
}

/// Rounds a duration to tenths of a second for a log line: `3.3s`.
pub(super) fn to_tenths(duration: Duration) -> Duration {
    Duration::from_secs_f64((duration.as_secs_f64() * 10.0).round() / 10.0)
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

    fn fail(breaker: &mut CircuitBreaker, now: Instant, times: usize, error: &PollError, random: f64) {
        for _ in 0..times {
            breaker.record(now, Some(error), random);
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
                breaker.record(now, Some(&refused()), 0.0);
                pause(&breaker, now)
            })
            .collect();
        assert_eq!(pauses[..7], [0, 0, 30, 60, 120, 120, 120]);
        assert_eq!(pauses[39], 120);
    }

    #[test]
    fn jitter_shortens_a_pause_and_never_lengthens_it() {
        let now = Instant::now();
        for (random, seconds) in [(0.0, 30), (0.5, 27), (1.0, 24)] {
            let mut breaker = breaker();
            fail(&mut breaker, now, 3, &refused(), random);
            assert_eq!(pause(&breaker, now), seconds, "{random}");
        }
    }

    #[test]
    fn the_circuit_opens_once_and_blocks_until_its_time() {
        let (mut breaker, now) = (breaker(), Instant::now());
        let opened: Vec<_> = (0..5).map(|_| breaker.record(now, Some(&refused()), 0.0)).collect();
        assert_eq!(opened, [None, None, Some(30 * SECOND), None, None]);
        assert_eq!(breaker.state(), Circuit::Open { until: now + 120 * SECOND, failures: 5 });
        assert_eq!(breaker.blocking_error(now + 119 * SECOND), Some(&refused()));
        assert_eq!(breaker.blocking_error(now + 120 * SECOND), None);
        assert!(breaker.is_probe());
    }

    #[test]
    fn one_successful_poll_closes_the_circuit_and_resets_the_pauses() {
        let (mut breaker, now) = (breaker(), Instant::now());
        fail(&mut breaker, now, 10, &refused(), 0.0);
        breaker.record(now, None, 0.0);
        assert_eq!((breaker.state(), breaker.is_failing(), breaker.is_probe()), (Circuit::Closed, false, false));
        let opened: Vec<_> = (0..3).map(|_| breaker.record(now, Some(&refused()), 0.0)).collect();
        assert_eq!(opened, [None, None, Some(30 * SECOND)]);
    }

    #[test]
    fn a_rate_limit_is_neither_a_failure_nor_a_success() {
        let (mut breaker, now) = (breaker(), Instant::now());
        let limited = PollError::RateLimited(SECOND);
        fail(&mut breaker, now, 10, &limited, 0.0);
        assert_eq!(breaker.state(), Circuit::Closed);
        fail(&mut breaker, now, 3, &refused(), 0.0);
        breaker.record(now, Some(&limited), 0.0);
        assert_eq!(breaker.state(), Circuit::Open { until: now + 30 * SECOND, failures: 3 });
    }

    #[test]
    fn pauses_that_do_not_exceed_the_interval_block_nothing() {
        for (min_interval, pause_max) in [(Duration::ZERO, SECOND), (SECOND, SECOND)] {
            let (mut breaker, now) = (CircuitBreaker::new(min_interval, pause_max), Instant::now());
            fail(&mut breaker, now, 10, &refused(), 0.0);
            assert_eq!((breaker.blocking_error(now), breaker.state()), (None, Circuit::Closed));
        }
    }
}
