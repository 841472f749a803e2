//! The expected outcome of each fault of a mail server.

use crate::faults::tls;
use postmeter::simulate::{Fault, System};

/// Peak memory with twenty faulty targets whose bodies have up to 4 MiB each.
const MEMORY_KIB_MAX: u64 = 256 * 1024;
/// Peak memory with 100,000 series each: about 70 bytes for a series, and two readings while a new one replaces the old one.
const MEMORY_OF_MANY_SERIES_KIB_MAX: u64 = 768 * 1024;

/// The expected outcome of a poll.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// The poll fails with this `error.type`.
    Fails(&'static str),
    /// The reading is complete, with these repairs.
    Repairs(&'static str),
    /// Some series are dropped, and counted as these repairs.
    Drops(&'static str),
}

impl Outcome {
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Fails(_))
    }
}

/// A fault of a system, and its expected outcome.
#[derive(Clone, Debug)]
pub struct Case {
    pub fault: &'static str,
    pub system: System,
    pub outcome: Outcome,
    /// Configuration keys of the targets.
    pub keys: &'static str,
    /// `true` if the targets recover within the time of the test.
    pub recovers: bool,
    pub memory_kib_max: u64,
}

const HASTY: &str = "min_interval: 1s, timeout: 2s";
const PATIENT: &str = "min_interval: 1s, timeout: 60s, body_bytes_max: 4MiB";
/// For bodies of three megabytes or 100,000 series, which take a debug build long. Passthrough is limited, because the test reads it.
const HEAVY: &str = "min_interval: 10s, timeout: 60s, relay: {series_max: 1000}";

fn case(fault: &'static str, system: System, outcome: Outcome) -> Case {
    Case { fault, system, outcome, keys: PATIENT, recovers: true, memory_kib_max: MEMORY_KIB_MAX }
}

/// All cases, in the order of the table.
pub fn cases() -> Vec<Case> {
    use Outcome::{Drops, Fails, Repairs};
    use System::{Cpanel, Emailengine, Kumomta};
    let fails = |fault, error| case(fault, Emailengine, Fails(error));
    let hasty = |fault| Case { keys: HASTY, ..fails(fault, "timeout") };
    let heavy = |fault, system, repairs| Case { keys: HEAVY, recovers: false, ..case(fault, system, Repairs(repairs)) };
    vec![
        fails("refuse", "connect"),
        fails("reset", "connect"),
        fails("close", "connect"),
        case("close-kept", Emailengine, Repairs("")),
        hasty("hang"),
        hasty("hang-in-body"),
        hasty("slow"),
        fails("cut", "connect"),
        fails("status-401", "auth"),
        fails("status-403", "auth"),
        fails("status-404", "status"),
        // The next request is half a minute later.
        Case { recovers: false, ..fails("status-429", "rate_limited") },
        fails("status-429-retry-after", "rate_limited"),
        fails("status-500", "status"),
        fails("status-503", "status"),
        fails("redirect", "status"),
        fails("html", "malformed"),
        fails("empty", "malformed"),
        fails("truncated", "malformed"),
        case("truncated", Kumomta, Fails("malformed")),
        case("truncated", Cpanel, Fails("malformed")),
        fails("truncated-help", "malformed"),
        fails("truncated-number", "malformed"),
        fails("gzip-bomb", "too_large"),
        fails("huge", "too_large"),
        fails("endless", "too_large"),
        fails("leaked-line", "malformed"),
        case("invalid-utf8", Emailengine, Repairs("invalid_utf8")),
        case("invalid-utf8", Kumomta, Repairs("invalid_utf8")),
        case("non-finite", Emailengine, Drops("inconsistent_histogram, non_finite")),
        case("non-finite", Kumomta, Repairs("")),
        case("duplicate-series", Emailengine, Repairs("duplicate_series")),
        case("duplicate-families", Emailengine, Repairs("duplicate_series")),
        case("duplicate-families", Kumomta, Fails("malformed")),
        case("type-change", Emailengine, Repairs("name_collision, out_of_range")),
        case("type-change", Kumomta, Repairs("name_collision")),
        heavy("long-labels", Emailengine, "label_too_long"),
        heavy("long-labels", Kumomta, "label_too_long"),
        Case { memory_kib_max: MEMORY_OF_MANY_SERIES_KIB_MAX, ..heavy("churn", Emailengine, "") },
        case("future", Emailengine, Repairs("")),
        case("wrong-certificate", Emailengine, Fails("tls")),
        case("unknown-authority", Emailengine, Fails("tls")),
        case("expired-certificate", Emailengine, Fails("tls")),
    ]
}

impl Case {
    /// The fault of the simulated server; `None` for faults of a certificate.
    pub fn sim_fault(&self) -> Option<&'static Fault> {
        Fault::by_name(self.fault)
    }

    pub fn help(&self) -> &'static str {
        let of_tls = || tls::FAULTS.iter().find(|(name, _)| *name == self.fault).map_or("", |(_, help)| help);
        self.sim_fault().map_or_else(of_tls, |fault| fault.help)
    }

    /// Returns true if the bodies are expensive to process.
    pub fn is_heavy(&self) -> bool {
        self.keys == HEAVY
    }

    /// The number of failed polls of each target before the outcome is checked.
    pub fn polls(&self) -> f64 {
        if self.recovers || self.is_heavy() { crate::faults::mail_server::POLLS } else { 1.0 }
    }

    /// Returns true if a faulty target may export this metric.
    pub fn may_export(&self, metric: &str) -> bool {
        !self.outcome.is_failure() || metric == "mail.up" || metric.starts_with("postmeter.poll.")
    }
}
