//! Self-metrics about access to the pull endpoint: rejected clients, tokens in use, and password checks.

use super::self_metrics::{
    CERTIFICATE_NOT_AFTER, PASSWORD_CHECKS, PULL_REFUSALS, REFUSAL_REASON, TOKEN_LAST_USED, TOKEN_NAME, counter, gauge,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};
use std::sync::atomic::{AtomicBool, Ordering};

/// The instruments of access.
#[derive(Debug)]
pub struct AccessMetrics {
    refusals: Counter<u64>,
    token_last_used: Gauge<u64>,
    password_checks: Counter<u64>,
    certificate_not_after: Gauge<u64>,
    /// `true` since there was a certificate.
    has_certificate: AtomicBool,
}

impl AccessMetrics {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            refusals: counter(meter, &PULL_REFUSALS),
            token_last_used: gauge(meter, &TOKEN_LAST_USED),
            password_checks: counter(meter, &PASSWORD_CHECKS),
            certificate_not_after: gauge(meter, &CERTIFICATE_NOT_AFTER),
            has_certificate: AtomicBool::new(false),
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

    /// Records when the certificate of the pull endpoint expires, in Unix seconds. `None` means without a certificate: there is no series
    /// then, or 0 if there was a certificate before, because a series of a synchronous gauge cannot be removed.
    pub fn certificate(&self, not_after_seconds: Option<u64>) {
        let had_certificate = self.has_certificate.fetch_or(not_after_seconds.is_some(), Ordering::Relaxed);
        if had_certificate || not_after_seconds.is_some() {
            self.certificate_not_after.record(not_after_seconds.unwrap_or(0), &[]);
        }
    }

    /// Counts the comparison of a password with its hash.
    pub fn password_checked(&self) {
        self.password_checks.add(1, &[]);
    }
}
