//! What Postmeter says of those who read its pull endpoint: who was refused, and which tokens are in use.

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
        let refusals = meter
            .u64_counter("postmeter.pull.refusals")
            .with_unit("{refusal}")
            .with_description("Requests and connections to the pull endpoint that were refused or cut off, by why.");
        let token_last_used = meter
            .u64_gauge("postmeter.token.last_used_timestamp")
            .with_unit("s")
            .with_description("When a token was used last, in seconds since 1970.");
        let password_checks = meter
            .u64_counter("postmeter.password.checks")
            .with_unit("{check}")
            .with_description("Passwords that were checked against a bcrypt hash, each once while it is remembered.");
        Self { refusals: refusals.build(), token_last_used: token_last_used.build(), password_checks: password_checks.build() }
    }

    /// A request or a connection was refused or cut off.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.add(1, &[KeyValue::new("postmeter.refusal.reason", reason)]);
    }

    /// The token of this name was used, in seconds since 1970.
    pub fn token_used(&self, name: &str, at_seconds: u64) {
        self.token_last_used.record(at_seconds, &[KeyValue::new("postmeter.token.name", name.to_owned())]);
    }

    /// A password was checked against its hash.
    pub fn password_checked(&self) {
        self.password_checks.add(1, &[]);
    }
}
