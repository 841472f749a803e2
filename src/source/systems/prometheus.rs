//! Any Prometheus endpoint, such as an exporter next to a mail server. Its metrics are forwarded unchanged; there are no rules.
//!
//! # No start time
//!
//! `process_start_time_seconds` is when the exporter started, which can be later than the start of its counters: an exporter for the
//! kernel or a database reports counters that are older than itself. So counters have no start time.

use crate::format::prometheus;
use crate::source::{Part, Request, Source, TARGET_URL};

/// A Prometheus endpoint, as listed in the registry.
pub static SOURCE: Source = Source::new("prometheus", "Prometheus", PARTS);

static PARTS: &[Part] = &[Part {
    body_bytes_max: 256 * 1024 * 1024,
    unauthorized_hint: "set token (or token_file), or username and password, to a credential that the endpoint accepts; if one is set, the endpoint rejects it",
    not_found_hint: "the url is used unchanged, or with /metrics appended if it has no path; set url to the address of the metrics",
    ..Part::new("metrics", "all metrics of the endpoint", REQUESTS)
}];

static REQUESTS: &[Request] = &[Request::get("text", TARGET_URL, prometheus::read_unterminated)];
