//! Self-metrics about access to the pull endpoint: rejected clients, tokens in use, and password checks.

use super::self_metrics::{PASSWORD_CHECKS, PULL_REFUSALS, REFUSAL_REASON, TOKEN_LAST_USED, TOKEN_NAME, counter, gauge};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};

/// The instruments of access.
#[derive(Debug)]
pub struct AccessMetrics {
    refusals: Counter<u64>,
    token_last_used: Gauge<u64>,
    password_checks: Counter<u64>,
}

impl AccessMetrics {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            refusals: counter(meter, &PULL_REFUSALS),
            token_last_used: gauge(meter, &TOKEN_LAST_USED),
            password_checks: counter(meter, &PASSWORD_CHECKS),
        }
    }

    /// Counts a rejected or interrupted request or connection.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.add(1, &[KeyValue::new(REFUSAL_REASON.key, reason)]);
    }

    /// Records the use of a token, in Unix seconds.
    pub fn token_used(&self, name: &str, at_seconds: u64) {
        self.token_last_used.record(at_seconds, &[KeyValue::new(TOKEN_NAME.key, name.to_owned())]);
    }

    /// Counts the comparison of a password with its hash.
    pub fn password_checked(&self) {
        self.password_checks.add(1, &[]);
    }
}
