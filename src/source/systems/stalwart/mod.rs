//! Stalwart: `GET /metrics/prometheus`, Prometheus text format, Basic authentication; the queue from its management API.
//!
//! # Facts
//!
//! From versions 0.15.5 and 0.16.18, their source code and tests with running servers:
//!
//! - The only label is `le`. Counters that are 0 are missing. Buckets are not cumulative. Durations are milliseconds.
//! - 0.16 renamed some counters, so rules have both names.
//!
//! # What is not mapped
//!
//! - `spf_*`, `dmarc_*` and `dkim_*`: each counts a verification that a counter with the prefix `smtp_` counts, too.
//! - `delivery_rate_limit_exceeded`: it counts the same events as `queue_rate_limit_exceeded`.
//! - `smtp_spf_ehlo_*`: a second check in the same session.

mod queue;
mod rules;

use crate::format::prometheus;
use crate::source::{Credential, Part, Request, Source};

/// Stalwart, as listed in the registry.
pub static SOURCE: Source = Source { gauges_underflow: true, ..Source::new("stalwart", "Stalwart", PARTS) };

static PARTS: &[Part] = &[
    Part {
        body_bytes_max: 4 * 1024 * 1024,
        credential: Credential::Basic,
        rules: rules::METRICS,
        identifying_families: rules::IDENTIFYING_FAMILIES,
        misnaming_families: rules::MISNAMING_FAMILIES,
        unauthorized_hint: "set username and password to those of the Prometheus endpoint (Settings > Telemetry > Metrics), which are not those of an account; Stalwart counts each rejected scrape as a failed login",
        not_found_hint: "enable the Prometheus endpoint in Stalwart (Settings > Telemetry > Metrics > Prometheus)",
        ..Part::new("metrics", "all metrics of the server", &[Request::get("text", "/metrics/prometheus", prometheus::read)])
    },
    Part {
        body_bytes_max: 1024 * 1024,
        credential: Credential::BearerOrBasic,
        rules: rules::QUEUE,
        unauthorized_hint: "set parts.queue.token to an API key, or username and password to those of an account, with the permission message-queue-list (0.15) or sysQueuedMessageQuery (0.16)",
        not_found_hint: "this server has neither the management API of 0.15 nor JMAP of 0.16; check the url",
        ..Part::new("queue", "number of queued messages, and the age of the oldest (0.15)", QUEUE_REQUESTS)
    },
];

static QUEUE_REQUESTS: &[Request] = &[
    Request::get("0.15", "/api/queue/messages?limit=1&values=1", queue::read_management),
    Request { post_body: Some(queue::JMAP_QUERY), ..Request::get("0.16", "/jmap/", queue::read_jmap) },
];

#[cfg(test)]
mod tests;
