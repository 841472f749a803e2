//! What is expected of each fault.

use crate::faults::tls;
use postmeter::simulate::{Fault, System};

/// What a program with twenty faulty targets, whose answers may have 4 MiB each, may come to.
const MEMORY_KIB_MAX: u64 = 256 * 1024;
/// The same with 100,000 series each, some 70 bytes a series and body, twice while one reading replaces the other.
const MEMORY_OF_MANY_SERIES_KIB_MAX: u64 = 768 * 1024;

/// What becomes of a reading.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// There is none: the value of `error.type`.
    Fails(&'static str),
    /// It is what the server has, with these repairs.
    Mends(&'static str),
    /// A part of it is missing, counted as these repairs.
    Loses(&'static str),
}

impl Outcome {
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Fails(_))
    }
}

#[derive(Clone, Debug)]
pub struct Case {
    pub fault: &'static str,
    pub system: System,
    pub outcome: Outcome,
    /// Keys that each target has besides.
    pub keys: &'static str,
    /// Within the time of a test.
    pub recovers: bool,
    pub memory_kib_max: u64,
}

const HASTY: &str = "min_interval: 1s, timeout: 2s";
const PATIENT: &str = "min_interval: 1s, timeout: 60s, body_bytes_max: 4MiB";
/// Three megabytes or 100,000 series take a program without optimization its time, and what is passed on of them the test.
const HEAVY: &str = "min_interval: 10s, timeout: 60s, relay: {series_max: 1000}";

fn case(fault: &'static str, system: System, outcome: Outcome) -> Case {
    Case { fault, system, outcome, keys: PATIENT, recovers: true, memory_kib_max: MEMORY_KIB_MAX }
}

/// All of them, in the order of the table.
pub fn cases() -> Vec<Case> {
    use Outcome::{Fails, Loses, Mends};
    use System::{Cpanel, Emailengine, Kumomta};
    let fails = |fault, error| case(fault, Emailengine, Fails(error));
    let hasty = |fault| Case { keys: HASTY, ..fails(fault, "timeout") };
    let heavy = |fault, system, repairs| Case { keys: HEAVY, recovers: false, ..case(fault, system, Mends(repairs)) };
    vec![
        fails("refuse", "connect"),
        fails("reset", "connect"),
        fails("close", "connect"),
        case("close-kept", Emailengine, Mends("")),
        hasty("hang"),
        hasty("hang-in-body"),
        hasty("slow"),
        fails("cut", "connect"),
        fails("status-401", "auth"),
        fails("status-403", "auth"),
        fails("status-404", "status"),
        // It is asked again after half a minute.
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
        case("invalid-utf8", Emailengine, Mends("invalid_utf8")),
        case("invalid-utf8", Kumomta, Mends("invalid_utf8")),
        case("non-finite", Emailengine, Loses("inconsistent_histogram, non_finite")),
        case("non-finite", Kumomta, Mends("")),
        case("duplicate-series", Emailengine, Mends("duplicate_series")),
        case("duplicate-families", Emailengine, Mends("duplicate_series")),
        case("duplicate-families", Kumomta, Fails("malformed")),
        case("type-change", Emailengine, Mends("name_collision, out_of_range")),
        case("type-change", Kumomta, Mends("name_collision")),
        heavy("long-labels", Emailengine, "label_too_long"),
        heavy("long-labels", Kumomta, "label_too_long"),
        Case { memory_kib_max: MEMORY_OF_MANY_SERIES_KIB_MAX, ..heavy("churn", Emailengine, "") },
        case("future", Emailengine, Mends("")),
        case("wrong-certificate", Emailengine, Fails("tls")),
        case("unknown-authority", Emailengine, Fails("tls")),
        case("expired-certificate", Emailengine, Fails("tls")),
    ]
}

impl Case {
    /// None for faults of a certificate.
    pub fn sim_fault(&self) -> Option<&'static Fault> {
        Fault::by_name(self.fault)
    }

    pub fn help(&self) -> &'static str {
        let of_tls = || tls::FAULTS.iter().find(|(name, _)| *name == self.fault).map_or("", |(_, help)| help);
        self.sim_fault().map_or_else(of_tls, |fault| fault.help)
    }

    /// Whether it takes the processor long.
    pub fn is_heavy(&self) -> bool {
        self.keys == HEAVY
    }

    /// Failed polls that are waited for.
    pub fn polls(&self) -> f64 {
        if self.recovers || self.is_heavy() { crate::faults::POLLS } else { 1.0 }
    }

    /// Whether a faulty target may push this metric.
    pub fn is_said(&self, metric: &str) -> bool {
        !self.outcome.is_failure() || metric == "mail.up" || metric.starts_with("mail.poll.")
    }
}
