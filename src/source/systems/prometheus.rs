//! Any exposition endpoint, such as an exporter beside a mail server: relayed in its own words, no rules.
//!
//! # No start time
//!
//! `process_start_time_seconds` says when the exporter began, not its counters: an exporter of the kernel or of a database
//! tells counts that are older than itself. None is known, so none is said.

use crate::format::prometheus;
use crate::source::{Credential, Part, Request, Source, WHOLE_URL};
use std::time::Duration;

/// See the module.
pub static SOURCE: Source = Source {
    name: "prometheus",
    title: "Prometheus",
    parts: &[Part {
        name: "metrics",
        help: "everything the endpoint says",
        requests: &[Request { format: "text", path: WHOLE_URL, post: None, read: prometheus::read_unended }],
        body_bytes_max: 256 * 1024 * 1024,
        credential: Credential::Optional,
        rules: &[],
        known_by: &[],
        misnamed_when: &[],
        interval: None,
        on_unauthorized: "set token (or token_file), or username and password, to what the endpoint wants; if one is set, it is refused",
        on_not_found: "the url is asked for as it is, and with /metrics where it has no path; set url to where the metrics are",
    }],
    min_interval: Duration::from_secs(15),
    timeout: Duration::from_secs(10),
    requests_per_minute_max: None,
    windowed: false,
    gauges_underflow: false,
    mistyped_counters: &[],
    version: None,
    counters_since: None,
    process_since: None,
    records: None,
};
